"""Results that a run keeps say by which labels they were measured: those of other labels are not taken for them."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_words import SMALL, Said

from foretell.run import Run
from foretell.transfer.labels import FROZEN, KEY
from foretell.verbs import worth

Call = Callable[..., Said]
QUICK = ("--trials", 1, "--set", "transfer.steps=1", "--set", "transfer.curve_points=0")


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Run]:
    run = Run.create(tmp_path / "run")
    yield run
    run.close()


def result(fingerprint: str | None, classes: list[str], samples: int = 8, **more: Any) -> dict[str, Any]:
    found = {"classes": classes, "test": {"samples": samples, "split": "at random", "unlabelled": 0}, "knn": {"k": 1}}
    found |= {"linear_probe": {}, "retrieval": {}, "commonest": {"class": classes[0], "share": 0.6}, **more}
    return found if fingerprint is None else {**found, KEY: fingerprint}


def kept(held: Run) -> dict[str, Any]:
    found = held.read_json("results/comparison.json")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("before", "after", "others"),
    [
        (("a", ["cat", "dog"]), ("a", ["cat", "dog"]), False),
        (("a", ["cat", "dog"]), ("b", ["cat", "dog"]), True),  # corrected labels
        (("a", ["cat", "dog"]), ("b", ["no", "yes"]), True),
        ((None, ["cat", "dog"]), ("b", ["cat", "dog"]), False),  # of an earlier version
        ((None, ["cat", "dog"]), ("b", ["no", "yes"]), True),
    ],
)
def test_scores_of_other_labels_stay_beside_a_comparison_and_are_marked(
    held: Run, before: tuple[str | None, list[str]], after: tuple[str, list[str]], others: bool
) -> None:
    own = {**result(*before), "summary": [{"arm": "probe"}], "retrieval": {"pretrained": {}}}
    held.write_json("results/comparison.json", own)
    new = result(*after, commonest={"class": "another", "share": 0.9})
    assert worth.keep(held, new) is others
    found = kept(held)
    assert found["classes"] == before[1]
    assert found.get(KEY) == before[0]
    assert found["commonest"] == (own if others else new)["commonest"]
    assert found.get(FROZEN) == ({"classes": after[1], KEY: after[0]} if others else None)
    assert ("retrieval" in found) is not others, "scores of other labels are not put together"
    assert worth.keep(held, {**new, "knn": {}, "retrieval": {"random": {}}}) is others
    assert kept(held)["knn"] == new["knn"], "those of the same labels are"


def test_where_nothing_was_compared_the_last_labels_are_those_of_the_run(held: Run) -> None:
    assert worth.keep(held, result("a", ["cat", "dog"], linear_probe={"random": {}})) is False
    assert worth.keep(held, result("b", ["no", "yes"])) is False
    found = kept(held)
    assert (found["classes"], found[KEY], found["commonest"]["class"]) == (["no", "yes"], "b", "no")
    assert "linear_probe" not in found


def test_the_report_marks_scores_of_other_labels(foretell: Call, run: Path, pictures: Path, tmp_path: Path) -> None:
    mine = shutil.copytree(run, tmp_path / "run")
    said = foretell("finetune", mine, "--per-class", 2, "--seeds", 1, *QUICK)
    assert said.status == 0, said.err
    before = json.loads((mine / "results" / "comparison.json").read_text())
    assert before[KEY] == json.loads((mine / "results" / "finetune.json").read_text())[KEY]
    assert before[KEY] == json.loads((mine / "results" / "neighbours.json").read_text())[KEY]
    names = sorted(path.relative_to(pictures) for path in pictures.glob("*/*.png"))
    table = tmp_path / "odd.csv"
    table.write_text("path,label\n" + "".join(f"{name},{'no' if at % 5 else 'yes'}\n" for at, name in enumerate(names)))
    said = foretell("evaluate", mine, "--labels", table, "--trials", 1)
    assert said.status == 0, said.err
    assert "the report's comparison is of other labels and stays" in said.out
    after = json.loads((mine / "results" / "comparison.json").read_text())
    assert {name: after[name] for name in ("classes", "commonest", "summary", KEY)} == {
        name: before[name] for name in ("classes", "commonest", "summary", KEY)
    }
    assert after[FROZEN]["classes"] == ["no", "yes"]
    page = re.sub(r"\s+", " ", (mine / "report.html").read_text())
    card = (mine / "MODEL_CARD.md").read_text()
    scored = "Nearest neighbours, the linear probe and retrieval were scored by other labels (no and yes)"
    assert scored in page
    assert scored in card.replace("\\", "")
    assert "the commonest class alone, no, " not in page + card
    assert "by the labels that it was drawn with, which are not those of the scores" in page
    assert "classifier kept" in page
    said = foretell("finetune", mine, "--labels", table, "--no-compare", *QUICK)
    assert said.status == 0, said.err
    assert "the report's scores are of other labels: it says nothing of this classifier" in said.out
    assert "classifier kept" not in (mine / "report.html").read_text().lower()


def test_the_labels_that_chose_the_step_are_told_wherever_the_encoder_is_judged(
    foretell: Call, pictures: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    plain = foretell("pretrain", pictures, "--out", tmp_path / "plain", *SMALL)
    assert plain.status == 0, plain.err
    said = foretell("pretrain", pictures, "--out", run, *SMALL, "--set", "training.patience=3")
    assert said.status == 0, said.err
    labels = json.loads((run / "facts.json").read_text())["patience"]["labels"]
    assert labels == json.loads((run / "facts.json").read_text())["data"]["train"]
    told = f"kNN accuracy on {labels:,} labelled images of pretraining's training part chooses the step"
    assert told in said.out
    assert "chooses the step" not in plain.out
    for folder in (run, tmp_path / "plain"):
        found = foretell("evaluate", folder, "--compare", "--per-class", 2, "--seeds", 1, "--arms", "probe", *QUICK)
        assert found.status == 0, found.err
        assert (told in found.out) == (folder == run)
        comparison = json.loads((folder / "results" / "comparison.json").read_text())
        assert any(told in note for note in comparison["notes"]) == (folder == run)
        page = html.unescape((folder / "report.html").read_text())
        assert page.count(told) == 2 * (folder == run)  # beside the monitors, and how it was measured
        assert ("no label read" in page) == (folder != run)
        assert (told in (folder / "MODEL_CARD.md").read_text()) == (folder == run)


def test_scores_that_a_new_result_lacks_stay_in_the_evaluation(held: Run) -> None:
    scores = {"pretrained": {"accuracy": 0.9}}
    known = {
        "classes": ["a", "b"],
        KEY: "one",
        "commonest": {},
        "test": {"samples": 4, "split": "a fifth"},
        "knn": scores,
    }
    whole = {**known, "linear_probe": scores, "retrieval": scores}
    worth.keep(held, whole)
    for lacking in ({"linear_probe": {}, "retrieval": {}}, {"linear_probe": scores, "retrieval": {}}):
        worth.keep(held, {**known, **lacking})
        assert held.read_json("results/evaluation.json") == whole
    other = {**known, "linear_probe": {}, "retrieval": {}, "test": {"samples": 5, "split": "a fifth"}}
    worth.keep(held, other)
    assert held.read_json("results/evaluation.json") == other
