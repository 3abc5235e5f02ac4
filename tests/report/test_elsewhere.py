"""The report's sections on the crossing point and on another domain."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from made_up_run import make

from foretell.report import build
from foretell.report.elsewhere import unseen

SPREAD = {"mean": 0.21, "low": 0.18, "high": 0.24, "n": 3}
SHIFT = {
    "domain": "domain=B", "samples": 80,
    "drops": [
        {"arm": "pretrained", "per_class": 5, "labels": 50, "metric": "accuracy", "in": 0.8, "out": 0.7, "drop": {**SPREAD, "mean": 0.1}},
        {"arm": "scratch", "per_class": 5, "labels": 50, "metric": "accuracy", "in": 0.6, "out": 0.39, "drop": SPREAD},
    ],
    "gains": [
        {"arm": "pretrained", "against": "scratch", "per_class": 5, "labels": 50, "metric": "accuracy", "in": {**SPREAD, "mean": 0.2},
         "out": {**SPREAD, "mean": 0.31}, "more": SPREAD}
    ],
}  # fmt: skip
CROSSING = {
    "arm": "pretrained", "against": "scratch", "metric": "accuracy", "score": 0.84, "of": 500, "n": 3, "fewest": 10, "most": 500,
    "at": {"labels": 120, "reading": "about"}, "low": {"labels": 90, "reading": "about"}, "high": {"labels": None, "reading": "more than"},
}  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    run = make(tmp_path_factory.mktemp("report") / "animals")
    path = run / "results" / "comparison.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "shift": SHIFT, "crossing": [CROSSING]}))
    built = build(run)
    return built.read_text(), json.loads(Path(built).with_suffix(".json").read_text())


def test_the_crossing_is_told_in_a_sentence(page: tuple[str, dict[str, Any]]) -> None:
    text, kept = page
    assert '<section id="crossing"' in text
    said = (
        "Pretrained needs about 120 labels (24%) for the accuracy that from scratch has with all 500 (84.0%); 95% interval over 3 "
        "seeds: 90 to more than 500, the most that were tried."
    )
    assert said in re.sub(r"\s+", " ", text)
    assert kept["crossing"] == [CROSSING]


def test_the_other_domain_has_a_row_for_each_arm(page: tuple[str, dict[str, Any]]) -> None:
    text, kept = page
    assert "The models as they are, applied to 80 samples of domain=B that no fine-tuning saw." in text
    table = text[text.index('<table id="shift-table"') :]
    table = table[: table.index("</table>")].replace("\N{NO-BREAK SPACE}", " ")
    for shown in ("80.0%", "70.0%", "+10.0", "+20.0", "+31.0", "39.0%", "+21.0", "+18.0 to +24.0"):
        assert shown in table
    assert kept["shift"]["domain"] == "domain=B"


def test_who_has_seen_the_other_domain_is_told() -> None:
    assert unseen({"domain": "domain=B", "seen": 0}, "step") == "that no step saw"
    told = "that no fine-tuning saw; pretraining learnt from 20 images of domain=B, without labels"
    assert unseen({"domain": "domain=B", "seen": 20}, "step") == told


def test_a_run_without_them_has_no_such_sections(tmp_path: Path) -> None:
    text = build(make(tmp_path / "animals")).read_text()
    assert 'id="crossing"' not in text
    assert 'id="shift"' not in text
