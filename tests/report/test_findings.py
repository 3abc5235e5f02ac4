"""What a task showed after training is kept in the run and laid out in its report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from foretell.objectives.base import Exhibit
from foretell.report import build
from foretell.report.findings import write_findings
from foretell.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run.create(tmp_path / "run")
    (made.path / "recipe.toml").write_text('[data]\nsource = "@emoji"\n\n[objective]\nname = "patch_localization"\n')
    return made


def exhibit(name: str, **more: object) -> Exhibit:
    panels = [("patch", torch.rand(3, 3, 12, 12)), ("nearest", torch.rand(3, 3, 12, 12))]
    return Exhibit("Near <patches>", "What lies near.", panels, name=name, **more)


def test_pictures_words_and_figures_are_in_the_page_once(run: Run) -> None:
    table = [("shared", "agree", "base rate"), ("the class", "31.0%", "14.2%")]
    write_findings(run, [exhibit("near", table=table), exhibit("sure")])
    page = build(run.path).read_text()
    assert page.count('id="near-picture"') == page.count('id="sure-picture"') == 1
    assert page.count("data:image/png") == 2
    assert "Near &lt;patches&gt;" in page
    assert "Near <patches>" not in page
    assert "left to right: patch and nearest" in page
    assert re.search(r'<table id="near-table">.*31\.0%.*14\.2%', page, re.S)
    assert 'id="sure-table"' not in page
    kept = json.loads((run.path / "report.json").read_text())["findings"]
    assert [one["name"] for one in kept] == ["near", "sure"]
    assert kept[0]["table"] == [list(row) for row in table]


def test_no_findings_leave_no_trace(run: Run) -> None:
    write_findings(run, [])
    assert not (run.path / "results/findings.json").exists()
    assert "report.html" in str(build(run.path))


def test_findings_of_others_stay_and_those_that_are_no_longer_so_go(run: Run) -> None:
    write_findings(run, [exhibit("near"), exhibit("saliency")])
    write_findings(run, [exhibit("saliency")], without=["saliency"])
    assert [one["name"] for one in kept(run)] == ["near", "saliency"]
    write_findings(run, [], without=["saliency"])
    assert [one["name"] for one in kept(run)] == ["near"]
    page = build(run.path).read_text()
    assert page.count("data:image/png") == 1
    assert 'id="near-picture"' in page


def kept(run: Run) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((run.path / "results/findings.json").read_text())["findings"]
    return found
