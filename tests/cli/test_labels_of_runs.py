"""Labels given to a run, where its data lies, and which images it is tested on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_words import SMALL, refused, write_labels

from foretell.verbs import kept_split

Call = Callable[..., Any]


def test_labels_join_by_file_name(foretell: Call, flat: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in flat.iterdir())
    some = [(name, name[:3]) for name in names[::2]]
    table = write_labels(tmp_path / "labels.csv", [*some, ("gone1.png", "x"), ("gone2.png", "x")])
    said = foretell("pretrain", flat, "--labels", table, "--out", tmp_path / "run", *SMALL)
    assert said.status == 0, said.err
    assert "2 rows name files not among the images (gone1.png, gone2.png)" in said.out
    assert "100 images have no label" in said.out
    parts = json.loads((tmp_path / "run" / "split.json").read_text())
    assert (len(parts["train"]), len(parts["test"])) == (180, 20)


def test_labels_that_match_nothing(foretell: Call, flat: Path, tmp_path: Path) -> None:
    table = write_labels(tmp_path / "labels.csv", [("gone1.png", "a"), ("gone2.png", "b")])
    refused(foretell("pretrain", flat, "--labels", table, *SMALL), f"{table}: none of its 2 rows names an image")
    missing = tmp_path / "none.csv"
    refused(foretell("pretrain", flat, "--labels", missing, *SMALL), f"{missing}: does not exist")


def test_labels_without_a_column_of_labels_are_not_those_of_the_folders(
    foretell: Call, pictures: Path, run: Path, tmp_path: Path
) -> None:
    table = write_labels(tmp_path / "labels.csv", [("ant00.png", "a")])
    table.write_text(table.read_text().replace("label", "species"))
    said = (
        f"{table}: no column 'label' among path, species; is it 'species'? Then give --set data.columns.label=species"
    )
    for words in (["pretrain", pictures, "--out", tmp_path / "run", *SMALL], ["finetune", run], ["evaluate", run]):
        refused(foretell(*words, "--labels", table), said)


def test_labels_of_one_class(foretell: Call, flat: Path, run: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in flat.iterdir())
    table = write_labels(tmp_path / "labels.csv", [(name, "animal") for name in names])
    refused(
        foretell("finetune", run, "--data", flat, "--labels", table), f"{table}: column", "one class only ('animal')"
    )


def test_a_run_without_labels_cannot_be_finetuned_without_some(foretell: Call, run: Path, flat: Path) -> None:
    refused(foretell("finetune", run, "--data", flat), "has no labels to measure by; give --labels FILE")


def test_data_that_has_moved_is_asked_for_and_known_again(
    foretell: Call, moved: tuple[Path, Path], tmp_path: Path
) -> None:
    copy, place = moved
    for words in (["evaluate", copy], ["finetune", copy], ["embed", copy], ["neighbours", copy]):
        refused(foretell(*words), f"{tmp_path / 'gone'}: the data of {copy} is no longer there; put it back, or give")
    said = foretell("evaluate", copy, place, "--trials", 1)
    assert said.status == 0, said.err
    assert "report: " in said.out, "the same images are the run's own, wherever they lie"


def test_a_run_whose_images_have_changed_is_not_measured_on_a_split_it_may_have_seen(
    foretell: Call, run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    parts = json.loads((copy / "split.json").read_text())
    (copy / "split.json").write_text(json.dumps({**parts, "fingerprint": "another"}))
    for verb in ("evaluate", "finetune"):
        refused(foretell(verb, copy), f"{copy}: the images of", "have changed since the run was trained")


def test_the_split_of_the_pretraining_is_used_again(run: Path) -> None:
    from foretell.verbs import common

    read = common.read_run(run)
    data = common.data_for(read, None)
    store = common.open_data(data)
    parts = common.divide_again(read, store, data)
    kept = json.loads((run / "split.json").read_text())
    assert parts.test.tolist() == kept["test"]
    assert parts.train.tolist() == kept["train"]


@pytest.mark.parametrize(
    ("how", "column", "told"),
    [
        ("the split column of the data", ["train", "train", "test", "test"], None),
        ("the split column of the data", ["train", "Training", None, "test"], "names another"),
        ("the split column of the data", ["train", "train", "train", "train"], "names another"),
        ("the split column of the data", ["train", "train", "val", "val"], None),
        ("the split column of the data", None, "the split that the run keeps"),
        ("the split column of the data, with 2 images of its train part held out at random", ["train"] * 4, None),
        ("2 labelled images held out at random by class (seed 0)", None, None),
        (
            "2 labelled images held out at random by class (seed 0)",
            ["test", "train", "train", "train"],
            "names another",
        ),
    ],
)
def test_a_split_column_that_is_not_that_of_the_pretraining_is_told(
    how: str, column: list[str | None] | None, told: str | None
) -> None:
    from foretell.data.splits import Parts
    from foretell.data.table import Table

    kept = Parts(np.array([0, 1]), np.array([2, 3]), how)
    table = Table({"label": list("abab"), **({} if column is None else {"split": column})})
    found = kept_split.beside(kept, table, apart=False)
    assert (found.train.tolist(), found.test.tolist()) == ([0, 1], [2, 3])
    assert (found.how == how) == (told is None)
    assert told is None or told in found.how


def test_rows_held_out_by_their_domain_are_not_missed_in_the_test_part() -> None:
    from foretell.data.splits import Parts
    from foretell.data.table import Table

    kept = Parts(np.array([0]), np.array([2]), "the split column of the data; night held out")
    assert kept_split.beside(kept, Table({"split": ["train", "test", "test"]}), apart=True).how == kept.how


def test_unlabelled_rows_are_pretrained_on_unless_their_group_is_tested() -> None:
    from foretell.data.store import ImageStore
    from foretell.data.table import Table
    from foretell.recipe import DataConfig
    from foretell.verbs.common import divide

    groups = [f"g{row // 4}" for row in range(40)]
    labels = [None if row % 4 == 3 else "ab"[row // 4 % 2] for row in range(40)]
    images = np.arange(40 * 4 * 4, dtype=np.uint8).reshape(40, 4, 4, 1)
    store = ImageStore.of(images, Table({"label": labels, "group": groups}))
    parts = divide(store, DataConfig())
    tested = {groups[row] for row in parts.test}
    assert tested
    assert all(labels[row] is not None for row in parts.test)
    assert not tested & {groups[row] for row in parts.train}
    assert {row for row in range(40) if groups[row] not in tested} == set(parts.train.tolist())
