"""Searching settings from the command line: in a study of the run, joined by a second process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from cli_words import refused

from foretell.run import Run

Call = Callable[..., Any]
QUICK = ("--trials", 2, "-s", "transfer.steps=2", "-s", "transfer.curve_points=0")
DRAWN = (*QUICK, "-s", "transfer.search.method=random")
COMPARED = ("--per-class", "2", "--seeds", 1)


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def trials(run: Path) -> list[int]:
    """How many trials each study of the run has."""
    return [study.n_trials for study in optuna.get_all_study_summaries(f"sqlite:///{run / 'search.db'}")]


def test_a_second_process_joins_the_search_and_writes_nothing(own: Path, foretell: Call) -> None:
    held = Run.resume(own)
    before = sorted(path.relative_to(own) for path in own.rglob("*"))
    said = foretell("finetune", own, *COMPARED, *DRAWN)
    assert said.status == 0, said.err
    assert "in use by process" in said.out
    assert "taking part in its searches" in said.out
    assert "the searches are done; the process that holds the run goes on" in said.out
    written = {str(path.relative_to(own)) for path in own.rglob("*")} - {str(path) for path in before}
    assert written == {"search.db", ".search.db.lock"}
    assert trials(own) == [2, 2, 2], "of the classifier, and of two arms"
    held.close()
    said = foretell("finetune", own, *COMPARED, *DRAWN)
    assert said.status == 0, said.err
    assert (own / "classifier" / "model.safetensors").is_file()
    assert trials(own) == [2, 2, 2], "none is made again"
    report = json.loads((own / "report.json").read_text())
    assert [entry["method"] for entry in report["search"][:2]] == ["random", "random"]
    assert [one["state"] for one in report["search"][0]["trials"]] == ["complete"] * 2
    assert '<table id="search-table"' in (own / "report.html").read_text()


def test_a_search_of_one_process_is_not_joined(own: Path, foretell: Call) -> None:
    held = Run.resume(own)
    try:
        refused(foretell("finetune", own, "--no-compare", *QUICK), "in use by process")
        refused(foretell("evaluate", own, *DRAWN), "in use by process")
    finally:
        held.close()


def test_evaluate_joins_the_searches_of_a_comparison(own: Path, foretell: Call) -> None:
    held = Run.resume(own)
    said = foretell("evaluate", own, "--compare", "--arms", "scratch", *COMPARED, *DRAWN)
    assert said.status == 0, said.err
    assert trials(own) == [2]
    assert not list((own / "results").glob("*.jsonl"))
    held.close()


def test_an_unknown_method_names_the_nearest(own: Path, foretell: Call) -> None:
    said = foretell("finetune", own, "-s", "transfer.search.method=publsihed")
    refused(said, "expected 'grid', 'published', 'random' or 'tpe'", "did you mean 'published'?")
