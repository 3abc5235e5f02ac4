"""A folder of DICOM and a table of labels to one report, in steps that are kept, used again and gone on with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_words import refused
from dicom_files import saved, small

from foretell.verbs import pipelining
from foretell.verbs.pipeline_comparison import merged

pytest.importorskip("pydicom")

Call = Callable[..., Any]

PLAN = """
[shared]
"encoder.name" = "resnet_tiny"
"training.batch" = 8
"training.warmup" = 0.0
"training.precision" = "float32"
"training.layout" = "contiguous"
"transfer.steps" = 2
"transfer.curve_points" = 0

[[step]]
name = "start"
kind = "start"

[[step]]
name = "domain"
kind = "pretrain"
after = "start"
recipe = "xray"
[step.set]
"training.steps" = 3

[[step]]
name = "cases"
kind = "pretrain"
after = "domain"
recipe = "xray"
[step.set]
"objective.name" = "micle"
"training.steps" = 2

[[step]]
name = "comparison"
kind = "compare"
of = ["domain", "cases"]
per_class = "2,all"
seeds = 2
trials = 1

[[step]]
name = "classifier"
kind = "finetune"
after = "cases"
trials = 1
"""


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 patients of two images each, half of them with a bright square; labels.csv by patient."""
    folder = tmp_path_factory.mktemp("studies")
    rng = np.random.default_rng(0)
    for patient in range(24):
        for image in range(2):
            pixels = rng.integers(0, 1000, (24, 24), dtype=np.uint16)
            if patient % 2:
                pixels[6:14, 6:14] += 2000
            made = small(
                PatientID=f"ID-{patient}", StudyInstanceUID=f"1.2.{patient}", SeriesInstanceUID=f"1.2.{patient}.1",
                SOPInstanceUID=f"1.2.{patient}.1.{image}", Rows=24, Columns=24, PixelData=pixels.tobytes(),
            )  # fmt: skip
            made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
            saved(folder, made, f"{patient:02d}-{image}.dcm")
    rows = [f"ID-{patient},{'square' if patient % 2 else 'plain'}" for patient in range(24)]
    (folder.parent / "labels.csv").write_text("\n".join(["PatientID,label", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def done(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pipeline."""
    from foretell.cli import main

    patch = pytest.MonkeyPatch()
    patch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    out = tmp_path_factory.mktemp("pipeline")
    (out / "plan.toml").write_text(PLAN)
    words = ["pipeline", str(out / "plan.toml"), str(studies), "--labels", str(studies.parent / "labels.csv")]
    assert main([*words, "--out", str(out / "run")]) == 0
    patch.undo()
    return out


def again(done: Path, studies: Path) -> list[str]:
    words = ["pipeline", str(done / "plan.toml"), str(studies), "--labels", str(studies.parent / "labels.csv")]
    return [*words, "--out", str(done / "run")]


def numbers(done: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((done / "run" / "report.json").read_text())
    return found


def test_one_report_over_all_steps(done: Path) -> None:
    found = numbers(done)
    assert [step["name"] for step in found["steps"]] == ["start", "domain", "cases", "comparison", "classifier"]
    assert all(step["seconds"] > 0 for step in found["steps"][1:])
    (comparison,) = found["comparisons"]
    arms = ["domain", "domain, probe", "scratch", "random", "cases", "cases, probe"]
    assert sorted(comparison["arms"]) == sorted(arms)
    for arm in arms:
        own = [row for row in comparison["summary"] if row["arm"] == arm and row["metric"] == comparison["metric"]]
        assert len(own) == 2, arm  # at 2 labels a class, and with all
    assert {(row["arm"], row["against"]) for row in comparison["paired"]} == {
        ("domain", "scratch"), ("cases", "scratch"), ("cases", "domain"),
    }  # fmt: skip
    assert {row["arm"] for row in comparison["crossing"]} == {"domain", "cases"}
    page = (done / "run" / "report.html").read_text()
    for text in ("Steps and their cost", "cases − domain", "Peak MB", "cases equals scratch with all"):
        assert text in page
    for link in re.findall(r'href="([^"]+)"', page):
        assert (done / "run" / link).is_file()


def test_no_name_or_identifier_is_written(done: Path) -> None:
    for path in (done / "run").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"Nachname" not in content, path
            assert b"ID-7" not in content, path


def test_each_step_starts_from_the_one_before(done: Path) -> None:
    (domain,) = (done / "run").glob("domain-*")
    (cases,) = (done / "run").glob("cases-*")
    assert f'weights = "{domain}"' in (cases / "recipe.toml").read_text()
    assert "rotation = 45.0" in (cases / "recipe.toml").read_text()  # the views of the recipe hold for both tasks
    assert (cases / "report.html").is_file()


def test_nothing_is_done_twice(done: Path, studies: Path, foretell: Call) -> None:
    files = {path: path.stat().st_mtime_ns for path in (done / "run").glob("*/**/*") if path.is_file()}
    said = foretell(*again(done, studies))
    assert said.status == 0
    assert said.out.count("done before and unchanged") == 5
    (start,) = (done / "run").glob("start-*/start.json")
    changed = {path for path, time in files.items() if path.stat().st_mtime_ns != time} - {start}
    assert not changed


def test_a_changed_setting_does_its_step_and_those_after_it_again(done: Path, studies: Path, foretell: Call) -> None:
    before = {path.name for path in (done / "run").iterdir()}
    (done / "plan.toml").write_text(PLAN.replace('"training.steps" = 2', '"training.steps" = 4'))
    said = foretell(*again(done, studies))
    (done / "plan.toml").write_text(PLAN)
    assert said.status == 0
    after = {path.name for path in (done / "run").iterdir()}
    assert before < after  # the folders of before are kept
    assert {name.rpartition("-")[0] for name in after - before} == {"cases", "comparison", "classifier"}


def test_a_stopped_step_goes_on(
    done: Path, studies: Path, foretell: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foretell.objectives.simclr import SimCLR

    words = [*again(done, studies)[:-1], str(tmp_path / "run"), "--set", "training.checkpoint_every=1"]
    whole = SimCLR.loss_from

    def stopping(self: SimCLR, *arguments: Any, **options: Any) -> Any:
        stopping.calls += 1  # type: ignore[attr-defined]
        if stopping.calls == 3:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return whole(self, *arguments, **options)

    stopping.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(SimCLR, "loss_from", stopping)
    assert foretell(*words).status == 130
    monkeypatch.undo()
    (domain,) = (tmp_path / "run").glob("domain-*")
    assert not (domain / "encoder").exists()
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    said = foretell(*words)
    assert said.status == 0, said.err
    assert "going on" in said.out
    assert len(list((tmp_path / "run").glob("domain-*"))) == 1


def test_bad_pipelines_are_refused(studies: Path, foretell: Call, tmp_path: Path) -> None:
    def said(text: str, *more: str) -> Any:
        (tmp_path / "plan.toml").write_text(text)
        return foretell("pipeline", tmp_path / "plan.toml", studies, "--out", tmp_path / "run", *more)

    refused(said(PLAN.replace('after = "domain"', 'after = "donain"')), "cases", "'donain'", "no earlier step")
    refused(said(PLAN.replace('name = "cases"', 'name = "domain"')), "two steps are named domain")
    refused(said(PLAN.replace('kind = "compare"', 'kind = "contrast"')), "step.4.kind")
    refused(said(PLAN.replace("seeds = 2", "sedes = 2")), "step.4.sedes")
    refused(said(PLAN.replace('["domain", "cases"]', '["start"]')), "comparison", "kind pretrain")
    refused(said(PLAN, "--weights", "nowhere.safetensors"), "nowhere.safetensors")
    refused(said("x ="), "not TOML")
    refused(foretell("pipeline", "medicine", studies), "unknown pipeline 'medicine'", "medical")
    refused(foretell("pipeline", "medical"), "DATA is missing")


def test_the_packaged_pipeline_is_valid() -> None:
    plan = pipelining.read_plan("medical")
    assert [step.kind for step in plan.step] == ["start", "pretrain", "pretrain", "compare", "finetune"]


def test_arms_are_named_by_step() -> None:
    def part(arms: list[str]) -> dict[str, Any]:
        rows = [
            {"arm": arm, "labels": 4, "per_class": None, "seed": seed, "accuracy": 0.5 + 0.1 * seed}
            for arm in arms
            for seed in (0, 1)
        ]
        summary = [{"arm": arm, "labels": 4, "metric": "accuracy", "mean": 0.5} for arm in arms]
        return {
            "arms": {arm: {} for arm in arms}, "rows": rows, "summary": summary, "metric": "accuracy",
            "cost": {"evaluations": 1},
        }  # fmt: skip

    found = merged(["one", "two"], [part(["pretrained", "scratch", "supervised"]), part(["pretrained"])])
    assert list(found["arms"]) == ["one", "scratch", "supervised", "two"]
    assert found["baseline"] == "supervised"
    assert {(row["arm"], row["against"]) for row in found["paired"]} == {
        ("one", "scratch"), ("two", "scratch"), ("two", "one"), ("one", "supervised"), ("two", "supervised"),
    }  # fmt: skip
