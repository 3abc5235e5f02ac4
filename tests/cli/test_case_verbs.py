"""Cases, another domain and findings from the command line, on a table of real pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_words import refused

import foretell as package
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.recipe import DataConfig
from foretell.transfer.images.saved import load_classifier
from foretell.verbs import neighbouring
from foretell.verbs.common import divide

Call = Callable[..., Any]
QUICK = (
    "--per-class",
    "1,all",
    "--seeds",
    "2",
    "--trials",
    "1",
    "-s",
    "transfer.steps=2",
    "-s",
    "transfer.curve_points=0",
)


@pytest.fixture(scope="module")
def table(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures in cases of two of one class; a third of the cases from hospital B; findings beside the class."""
    files = sorted(pictures.rglob("*.png"))[:-2]  # all of them would be the run's own images, with its split
    rows = []
    for at, path in enumerate(files):
        label = path.parent.name
        case = f"{label} {at // 2}"
        rows.append(
            {
                "path": path, "label": label, "case": case, "patient": case, "domain": "B" if at // 2 % 3 == 0 else "A",
                "dim": at // 2 % 2, "first": -1 if at % 5 == 0 else int(label == files[0].parent.name),
                "split": "test" if at // 2 % 4 == 0 else "train",
            }
        )  # fmt: skip
    target = tmp_path_factory.mktemp("cases") / "cases.csv"
    with target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_an_encoder_is_judged_by_case_and_at_another_hospital(run: Path, table: Path, foretell: Call) -> None:
    said = foretell(
        "evaluate",
        run,
        table,
        "--compare",
        "--shift",
        "domain=B",
        "--arms",
        "probe,scratch",
        "-s",
        "transfer.unit=case",
        *QUICK,
    )
    assert said.status == 0, said.err
    assert "test cases, with" in said.out
    by_class = [line for line in said.out.splitlines() if "retrieval by class" in line]
    assert len(by_class) == 3
    assert all(line.endswith(" images, a query's own group left out)") for line in by_class)
    assert "images)" in next(line for line in said.out.splitlines() if "retrieval by group" in line)
    assert "that from scratch has with all" in said.out
    assert "pretraining saw images of domain=B too, without labels" in said.out  # they are among other ones here
    assert "cases of domain=B, with no training on their labels:" in said.out
    assert "drop" in said.out
    assert "over from scratch" in said.out
    assert "has one label" not in said.out


def test_who_judges_images_is_told_once_that_cases_could_be(run: Path, table: Path, foretell: Call) -> None:
    said = foretell("evaluate", run, table, "--compare", "--arms", "probe,random", *QUICK)
    assert said.status == 0, said.err
    assert said.out.count("every case has one label: transfer.unit=case judges cases") == 1
    assert "comparing the arms probe and random, with equal augmentation, search and steps:" in said.out


def test_the_headline_is_told_in_the_table_the_curve_and_the_drop(run: Path, table: Path, foretell: Call) -> None:
    led = ("-s", "transfer.unit=case", "-s", "transfer.metric=balanced_accuracy")
    said = foretell("evaluate", run, table, *led)
    assert "this encoder     balanced accuracy" in said.out
    assert "accuracy" in said.out.partition("balanced accuracy")[2]
    settings = ("transfer.steps=2", "transfer.curve_points=0", *led[1::2])
    found = package.evaluate(
        run, table, compare=True, per_class="1,all", seeds=2, trials=1, shift="domain=B", set=settings
    )["comparison"]
    assert found["metric"] == "balanced_accuracy"
    assert {row["metric"] for row in found["shift"]["drops"]} == {"balanced_accuracy"}
    assert any("group_low" in row for row in found["summary"] if row["metric"] == "balanced_accuracy")
    refused(foretell("evaluate", run, table, "-s", "transfer.metric=balanced"), "transfer.metric", "balanced_accuracy")


def test_findings_are_columns_of_the_table(run: Path, table: Path, foretell: Call) -> None:
    said = foretell(
        "evaluate", run, table, "--compare", "--arms", "pretrained,probe", "-s", "transfer.findings=dim,first", *QUICK
    )
    assert said.status == 0, said.err


def test_with_findings_no_label_is_taken_for_a_class_and_the_split_is_that_of_the_run(
    table: Path, foretell: Call, tmp_path: Path
) -> None:
    """The labels beside findings may be of the folders' names, as of two hospitals."""
    made = ("--out", tmp_path / "run", "--encoder", "resnet_tiny", "--batch", 8, "--budget", "1 step")
    said = foretell("pretrain", table, *made, "-s", "transfer.findings=dim,first")
    assert said.status == 0, said.err
    assert "findings are judged by a comparison" in said.out
    assert "columns without a meaning here: patient\n" in said.out
    assert "that it has not seen:" not in said.out
    assert "accuracy" not in said.out
    results = tmp_path / "run" / "results"
    assert json.loads((results / "neighbours.json").read_text())["share"] is None
    assert json.loads((results / "map.json").read_text())["classes"] == []

    with table.open(newline="") as stream:
        rows = [{name: value for name, value in row.items() if name != "split"} for row in csv.DictReader(stream)]
    other = tmp_path / "other.csv"
    with other.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    said = foretell("evaluate", tmp_path / "run", other)
    assert said.status == 0, said.err
    assert "test part: the split that the run keeps" in said.out
    assert "findings are judged by a comparison" in said.out
    assert "labels:" not in said.out


def test_a_domain_without_a_comparison_and_one_that_is_not_there_are_refused(
    run: Path, table: Path, foretell: Call
) -> None:
    refused(foretell("evaluate", run, table, "--shift", "domain=B"), "--shift domain=B", "--compare; give that too")
    refused(foretell("evaluate", run, table, "--compare", "--shift", "domain=C", *QUICK), "column 'domain'", "'C'")


def test_a_domain_of_one_class_is_refused_before_any_work(run: Path, table: Path, foretell: Call) -> None:
    with table.open(newline="") as stream:
        case = next(row["case"] for row in csv.DictReader(stream) if row["split"] == "test")
    said = foretell("evaluate", run, table, "--compare", "--shift", f"case={case}", *QUICK)
    refused(said, f"--shift case={case}: ", "one class only", "2 samples)", "give one whose labels differ")
    assert "labels:" not in said.out  # no neighbours and no probe
    flat = ("-s", "transfer.findings=first", *QUICK)
    said = foretell("evaluate", run, table, "--compare", "--shift", f"case={case}", *flat)
    refused(said, f"--shift case={case}: ", "no finding is there in some samples", "give one whose labels differ")


def test_a_split_of_pretraining_that_cuts_cases_is_refused(
    run: Path, table: Path, pictures: Path, foretell: Call, tmp_path: Path
) -> None:
    left = sorted(pictures.rglob("*.png"))[-2:]
    whole = tmp_path / "whole.csv"
    more = "".join(f"{path},{path.parent.name},last,last,A,0,0,train\n" for path in left)
    whole.write_text(table.read_text() + more)
    said = foretell("evaluate", run, whole, "-s", "transfer.unit=case")
    refused(said, "both in the training and in the test part", "so pretrain on this table")


def test_a_case_is_found_once_and_never_its_own(
    run: Path, table: Path, pictures: Path, foretell: Call, tmp_path: Path
) -> None:
    asked = str(sorted(pictures.rglob("*.png"))[0])
    own = f"{Path(asked).parent.name} 0"
    found = package.neighbours(run, asked, data=table, by="case", k=200, out=tmp_path / "cases.png")[0]
    assert found["query"] == asked
    named = [one["case"] for one in found["neighbours"]]
    assert len(named) == len(set(named)) == 98
    assert own not in named
    for one in found["neighbours"]:
        assert one["images"] == 2
        assert one["case"].startswith(f"{one['label']} ")
        assert one["label"] in one["name"]
    values = [one["similarity"] for one in found["neighbours"]]
    assert values == sorted(values, reverse=True)
    assert (tmp_path / "cases.png").stat().st_size > 0
    said = foretell("neighbours", run, asked, "--data", table, "--by", "case", "--apart", "image", "-k", 99)
    assert said.status == 0, said.err
    assert f"{own}  ({Path(asked).parent.name}, 1 image, nearest: " in said.out
    assert "left out" not in said.out


def test_the_nearest_images_are_of_other_cases_unless_asked_for(
    run: Path, table: Path, pictures: Path, foretell: Call
) -> None:
    asked, twin = (str(path) for path in sorted(pictures.rglob("*.png"))[:2])

    def names(*words: object) -> list[str]:
        said = foretell("neighbours", run, asked, "--data", table, "-k", 200, *words)
        assert said.status == 0, said.err
        assert ("left out: a query's own case" in said.out) == (words == ())
        return [line.split("  ")[2] for line in said.out.splitlines() if line.startswith("  ")]

    assert not {asked, twin} & set(names())
    alone = names("--apart", "image")
    assert twin in alone
    assert asked not in alone


def test_an_image_of_the_data_is_known_through_links(
    run: Path, table: Path, pictures: Path, foretell: Call, tmp_path: Path
) -> None:
    asked, twin = sorted(pictures.rglob("*.png"))[:2]
    (tmp_path / "folder").symlink_to(pictures)
    (tmp_path / "link.png").symlink_to(asked)
    for path in (tmp_path / "folder" / asked.relative_to(pictures), tmp_path / "link.png"):
        own = [one["name"] for one in package.neighbours(run, path, k=200)[0]["neighbours"]]
        assert str(asked.relative_to(pictures)) not in own
        assert len(own) == 199
        of_cases = [one["name"] for one in package.neighbours(run, path, data=table, k=200)[0]["neighbours"]]
        assert not {str(asked), str(twin)} & set(of_cases)
    refused(foretell("neighbours", run, tmp_path / "other.png"), "neither a file nor an image of")


def test_a_neighbour_without_a_label_has_no_frame(
    run: Path, table: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with table.open() as file:
        rows = list(csv.DictReader(file))
    few = tmp_path / "few.csv"
    few.write_text(
        "path,label\n" + "".join(f"{row['path']},{row['label'] * (at % 2 == 0)}\n" for at, row in enumerate(rows))
    )
    drawn: list[list[bool | None]] = []
    monkeypatch.setattr(neighbouring, "neighbours_grid", lambda shown, others, same, *place, **more: drawn.extend(same))
    for at in (0, 1):
        near = package.neighbours(run, rows[at]["path"], data=few, k=9, out=tmp_path / "near.png")[0]["neighbours"]
        labels = [one["label"] for one in near]
        assert set(labels) > {None}
        told = [None if label is None else label == rows[0]["label"] for label in labels]
        assert drawn.pop() == (told if at == 0 else [None] * 9), "an image without a label has no class to share"


def test_cases_near_a_picture_from_outside_are_all_cases(
    run: Path, table: Path, pictures: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(sorted(pictures.rglob("*.png"))[0].read_bytes())
    found = package.neighbours(run, outside, data=table, by="case", k=200)[0]["neighbours"]
    assert len(found) == 99
    assert Path(found[0]["name"]).name == sorted(path.name for path in pictures.rglob("*.png"))[0]


def test_cases_without_a_column_and_a_query_that_leaves_nothing_are_refused(
    run: Path, table: Path, pictures: Path, foretell: Call, tmp_path: Path
) -> None:
    refused(foretell("neighbours", run, "--by", "case"), f"--by case: {pictures} has no column case or group")
    refused(foretell("neighbours", run, "--apart", "study"), f"--apart study: {pictures} has no column study")
    one = tmp_path / "one.csv"
    some = [line.split(",") for line in table.read_text().splitlines()[1:5]]
    one.write_text("path,label,case\n" + "".join(f"{line[0]},{line[1]},all\n" for line in some))
    said = foretell("neighbours", run, some[0][0], "--data", one, "--by", "case")
    refused(said, f"{some[0][0]}: nothing is left to find but its own case", "give --apart image")


def test_pretraining_keeps_cases_of_no_patient_whole() -> None:
    named = [f"c{row // 4}" for row in range(80)]
    labels = [None if row % 4 == 3 else "ab"[row // 4 % 2] for row in range(80)]  # one image of each case has no label
    table = Table({"case": named, "label": labels})
    store = ImageStore.of(np.zeros((80, 8, 8), np.uint8), table)
    parts = divide(store, DataConfig(source="photos.csv"))
    assert len(parts.test)
    assert not {named[row] for row in parts.train} & {named[row] for row in parts.test}
    assert "labelled images held out at random by class, cases kept whole" in parts.how


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_a_classifier_of_cases_is_kept(pooling: str, run: Path, table: Path, foretell: Call, tmp_path: Path) -> None:
    own = run / "exhibits" / "saliency.png"  # there where the run's own classifier was kept before
    before = own.exists() and own.stat().st_mtime_ns
    said = foretell(
        "finetune",
        run,
        "--data",
        table,
        "--out",
        tmp_path / "kept",
        "--trials",
        "1",
        "-s",
        "transfer.unit=case",
        "-s",
        f"transfer.pooling={pooling}",
        "-s",
        "transfer.steps=2",
    )
    assert said.status == 0, said.err
    assert "test cases: accuracy" in said.out
    kept, facts = load_classifier(tmp_path / "kept")
    assert len(kept.classes) == 4
    assert (facts["pooling"], kept.attention is None) == (pooling, pooling == "mean")
    assert 'pooling=facts["pooling"]' in (tmp_path / "kept" / "README.md").read_text()
    assert (tmp_path / "kept" / "saliency.png").is_file()
    assert (own.exists() and own.stat().st_mtime_ns) == before, "the images are not the run's own"
