"""Pipelines that cannot be done are refused before any of their steps is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_words import refused
from pipeline_words import PLAN, again, made_studies
from safetensors.torch import save_file

from foretell.recipe import Recipe
from foretell.verbs.pipeline_checks import Checks
from foretell.verbs.pipeline_plan import read_plan
from foretell.verbs.pipelining import Work

pytest.importorskip("pydicom")

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_studies(tmp_path_factory.mktemp("studies"))


def test_bad_pipelines_are_refused(studies: Path, foretell: Call, tmp_path: Path) -> None:
    def said(text: str, *more: str) -> Any:
        (tmp_path / "plan.toml").write_text(text)
        return foretell("pipeline", tmp_path / "plan.toml", studies, "--out", tmp_path / "run", *more)

    refused(said(PLAN.replace('after = "domain"', 'after = "donain"')), "cases", "'donain'", "no earlier step")
    refused(said(PLAN.replace('name = "cases"', 'name = "domain"')), "two steps are named domain")
    refused(said(PLAN.replace('kind = "compare"', 'kind = "contrast"')), "step.4.kind")
    refused(said(PLAN.replace("seeds = 2", "sedes = 2")), "step.4.sedes")
    refused(said(PLAN.replace('["start", "domain", "cases"]', '["start"]')), "comparison", "kind pretrain")
    refused(
        said(PLAN.replace('after = "domain"', 'after = "domain"\nseeds = 2')),
        "cases: 'seeds' is no setting of kind pretrain",
    )
    refused(said(PLAN.replace("40%,all", "40%,2")), "step comparison: per_class 40%,2", "not both")
    refused(said(PLAN.replace("seeds = 2", 'shift = "B"')), "step comparison: shift B: expected COLUMN=VALUE")
    refused(said(PLAN, "--shift", "B"), "--shift B: expected COLUMN=VALUE")
    refused(
        said(PLAN[: PLAN.index('[[step]]\nname = "comparison"')], "--shift", "domain=B"), "no step of kind 'compare'"
    )
    refused(said(PLAN, "--weights", "nowhere.safetensors"), "nowhere.safetensors")
    refused(said("x ="), "not TOML")
    for kind, at in (
        ("compare", 'per_class = "40%,all"\nseeds = 2\ntrials = 1\n'),
        ("finetune", 'after = "cases"\ntrials = 1\n'),
    ):
        refused(
            said(PLAN.replace(at, f'{at}[step.set]\n"transfer.steps" = 1\n"training.batch" = 3\n')),
            f"'training.batch' is no setting of kind {kind}, whose [step.set] takes those of transfer alone",
        )
    refused(foretell("pipeline", "medicine", studies), "unknown pipeline 'medicine'", "medical")
    refused(foretell("pipeline", "medical"), "DATA is missing")
    (tmp_path / "plan.toml").write_text(PLAN)
    words = again(tmp_path, studies)
    refused(
        foretell(*words[:-1], studies.parent / "labels.csv"), "labels.csv/fits.jsonl: cannot be written (it lies below"
    )
    refused(foretell("pipeline", "medical_widths", studies, "--weights", "x"), "is no start")
    refused(
        foretell("pipeline", "medical_starts", studies), "step natural needs weights to start from; give --weights FILE"
    )


def test_what_no_comparison_could_use_is_refused_before_training(studies: Path, foretell: Call, tmp_path: Path) -> None:
    def said(rows: list[str], *more: str) -> Any:
        (tmp_path / "plan.toml").write_text(PLAN)
        (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
        words = [
            "pipeline",
            tmp_path / "plan.toml",
            studies,
            "--labels",
            tmp_path / "labels.csv",
            "--out",
            tmp_path / "run",
        ]
        return foretell(*words, *more)

    names = [f"ID-{patient}" for patient in range(30)]
    refused(said(["PatientID,label", *(f"{name},same" for name in names)]), "two classes or more")
    refused(
        said(["PatientID,lable", *(f"{name},{at % 2}" for at, name in enumerate(names))]),
        "labels.csv: no column 'label' among PatientID, lable; is it 'lable'? Then give --set data.columns.label=lable",
    )
    rare = [f"{name},{at % 2 if at < 20 else 1},{'train' if at < 20 else 'test'}" for at, name in enumerate(names)]
    refused(said(["PatientID,label,split", *rare]), "in the test part:", "one class only ('1', 20 samples)")
    halves = [f"{name},{at % 2},{'AB'[at > 23]}" for at, name in enumerate(names)]
    refused(said(["PatientID,label,domain", *halves], "--shift", "domain=C"), "unknown value of column 'domain' 'C'")
    refused(said(["PatientID,label,domain", *halves], "--shift", "hospital=B"), "column of --shift 'hospital'")
    one = [f"{name},{at % 2 if at < 24 else 1},{'AB'[at > 23]}" for at, name in enumerate(names)]
    refused(
        said(["PatientID,label,domain", *one], "--shift", "domain=B"),
        "--shift domain=B",
        "one class only ('1', 12 samples)",
    )
    parts = [
        f"{path.name},{at // 2 % 2},{'train' if at % 6 else 'test'}"
        for at, path in enumerate(sorted(studies.iterdir()))
    ]
    first, second, *_ = (path.name for path in sorted(studies.iterdir()))
    refused(
        said(["path,label,split", *parts]),
        "group 'patient-",
        f"is in two splits: {first} is test, {second} is train (and 9 more",
    )
    assert not (tmp_path / "run").exists()


def test_a_step_is_not_set_beside_itself(studies: Path, foretell: Call, tmp_path: Path) -> None:
    wide = '\n[[step]]\nname = "wide"\nkind = "pretrain"\nafter = "start"\nrecipe = "xray"\n[step.set]\n"training.steps" = 3\n'
    plan = PLAN.replace(
        '\n[[step]]\nname = "cases"', f'{wide}"encoder.name" = "resnet_small"\n\n[[step]]\nname = "cases"'
    )
    (tmp_path / "plan.toml").write_text(plan)
    refused(
        foretell(*again(tmp_path, studies), "-s", "encoder.name=resnet_tiny"),
        "steps domain and wide are the same pretraining",
        "--set encoder.name=resnet_tiny overrules what tells them apart",
    )
    (tmp_path / "plan.toml").write_text(plan.replace('"encoder.name" = "resnet_small"', '"transfer.steps" = 1'))
    refused(
        foretell(*again(tmp_path, studies)), "domain and wide are the same", "(transfer.steps changes no pretraining)"
    )
    assert not (tmp_path / "run").exists()


def test_domains_that_are_judged_are_held_out_beside_others(studies: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    plan = read_plan(tmp_path / "plan.toml").with_settings({"shift": "domain=B"}, "plan.toml")
    for given in (["data.held_out=domain=C"], {"data.held_out": ["domain=C"]}, {"data": {"held_out": ["domain=C"]}}):
        options, overrides, recipe = Work(plan, tmp_path, {}, given)._recipe(plan.step[1])
        assert recipe.data.held_out == ["domain=C", "domain=B"]
        assert Recipe.load("xray", options, overrides).data.held_out == ["domain=C", "domain=B"]


def test_a_start_that_learnt_from_the_other_domain_is_told(studies: Path, foretell: Call, tmp_path: Path) -> None:
    told = foretell(
        "pretrain", studies, "--out", tmp_path / "seen", "--encoder", "resnet_tiny", "--batch", 8, "--budget", "1 step"
    )
    assert told.status == 0, told.err
    (tmp_path / "plan.toml").write_text(PLAN)
    plan = read_plan(tmp_path / "plan.toml").with_settings({"shift": "domain=B"}, "plan.toml")
    plan = plan.with_weights(str(tmp_path / "seen" / "encoder"), "plan.toml")
    options = {"data.source": str(studies), "data.labels": str(studies.parent / "labels.csv")}
    notes = Checks(plan, lambda step, weights: Work(plan, tmp_path, options, ())._recipe(step, weights)[2]).run()
    assert sum("learnt from 12 images of domain=B too, without labels" in note for note in notes) == 1


def test_weights_that_fit_no_network_compared_are_refused_before_training(
    studies: Path, foretell: Call, tmp_path: Path
) -> None:
    save_file({"conv.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "other.safetensors")
    (tmp_path / "plan.toml").write_text(PLAN.replace('after = "start"\n', ""))
    words = [*again(tmp_path, studies), "--weights", str(tmp_path / "other.safetensors")]
    refused(foretell(*words), "step comparison: ", "other.safetensors: does not fit encoder 'resnet_tiny'")
    assert not (tmp_path / "run").exists()
