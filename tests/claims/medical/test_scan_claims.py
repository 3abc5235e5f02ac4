"""The claims on volumes, blur, two stages and segmentation, each worked out at a tiny size, and what stages share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_micle_claims import small_units
from working import works_out

from foretell import claims
from foretell.claims.base import overall
from foretell.claims.encoders import kept_encoder
from foretell.claims.lab import Lab
from foretell.claims.medical import (
    micle,
    micle_two_stage,
    scans,
    segmentation_few_labels,
    staged,
)
from foretell.dense.compare import Budget

NAMES = ["micle-two-stage", "micle-two-stage-volumes", "micle-blur", "micle-volumes", "segmentation-few-labels"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patients: None) -> Lab:
    quick = {"objective.views.side": 16, "training.batch": 8, "transfer.steps": 2}
    for module in (micle, scans, segmentation_few_labels):
        monkeypatch.setattr(module, "SETTINGS", {**module.SETTINGS, **quick})
    for name, value in (("FIRST", 1), ("THEN", 1), ("open_units", small_units)):
        monkeypatch.setattr(micle, name, value)
    monkeypatch.setattr(staged, "DRAWS", 1)
    monkeypatch.setattr(scans, "STEPS", (1, 1))
    for name in ("MICLeTwoStage", "MICLeTwoStageVolumes"):
        monkeypatch.setattr(getattr(micle_two_stage, name), "steps", (1, 1))
    monkeypatch.setattr(segmentation_few_labels, "STEPS", 1)
    monkeypatch.setattr(segmentation_few_labels, "FEW", (2, 4))
    monkeypatch.setattr(segmentation_few_labels, "BUDGET", Budget(steps=1, batch=2, rates=(1e-3, 3e-3)))
    return Lab(tmp_path, device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_worked_out_from_beginning_to_end(name: str, lab: Lab) -> None:
    works_out(name, lab, minutes=60, seeds=(0,))


def test_kept_results_of_segmentation_give_all_arms_but_the_random_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def compared(*_: Any, arms: Sequence[str], images: Sequence[int], **__: Any) -> dict[str, Any]:
        asked.append(tuple(arms))
        return {"rows": [{"arm": arm, "images": n, "dice": 0.5} for arm in arms for n in images]}

    monkeypatch.setattr(segmentation_few_labels, "compare_dense", compared)
    measure, task = segmentation_few_labels.SegmentationFewLabels._measure, segmentation_few_labels.TASKS[0]
    first = measure(lab, 0, task)
    assert asked == [("pretrained", "frozen", "scratch"), ("random",)]
    for path in (lab.folder / "results").glob("segmentation-*.json"):
        if "pretrained" in path.read_text():  # as they were when all arms were kept together
            path.write_text(
                json.dumps(compared(arms=segmentation_few_labels.ARMS, images=(2, 4))).replace("0.5", "0.25")
            )
    again = measure(lab, 0, task)
    assert {name: value / first[name] for name, value in again.items()} == {
        f"{arm} {n}": 1.0 if arm == "random" else 0.5 for arm in segmentation_few_labels.ARMS for n in (2, 4)
    }


def test_each_stage_begins_at_the_encoder_of_the_one_before(lab: Lab) -> None:
    """Colour to grey on the way: the first convolution is summed over its channels."""
    target = scans.recipe(lab, 0, "simclr", 1)
    natural = micle_two_stage.natural(0, 1)
    at_start = staged.arrived(lab, target, [natural]).encoder.state_dict()
    coloured = lab.trained(natural).state_dict()
    for name, value in at_start.items():
        trained = coloured[f"encoder.{name}"]
        fitted = trained if trained.shape == value.shape else trained.sum(1, keepdim=True)
        torch.testing.assert_close(value, fitted)
    after = staged.arrived(lab, target, [natural, target]).encoder.state_dict()
    assert any(not torch.equal(after[name], value) for name, value in at_start.items())


def test_the_units_share_their_runs_with_the_other_claims(lab: Lab) -> None:
    first, then = (micle.recipe(lab, 0, "simclr", steps) for steps in (micle.FIRST, micle.THEN))
    begun = staged.kept(lab, [first])
    assert begun == kept_encoder(lab, first)
    ours = staged.arrived(lab, then, [first, then]).encoder.state_dict()
    theirs = micle.pretrained(lab, 0, "simclr").encoder.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert len(list((lab.folder / "runs").iterdir())) == 2


def test_every_plan_is_judged_alike(lab: Lab) -> None:
    """The views of what is judged are those of the domain, whatever the stages saw."""
    target = scans.recipe(lab, 0, "simclr", 1)
    natural = micle_two_stage.natural(0, 1)
    seen = [staged.arrived(lab, target, stages) for stages in ([natural, natural], [target, target], [natural, target])]
    assert len({one.views.model_dump_json() for one in seen}) == 1
    assert len({one.store.fingerprint for one in seen}) == 1


def figures(better: dict[str, float]):  # type: ignore[no-untyped-def]
    """What ``compared`` finds: the score of the first of ``better`` that its stages contain."""

    def compared(lab, target, stages, arms, per_class, *, draws=1):  # type: ignore[no-untyped-def]
        told = " ".join(
            [made.objective.name + f" blur {made.objective.views.blur:g} {made.data.source}" for made in stages]
        )
        score = next(value for part, value in better.items() if part in told) + 0.001 * target.training.seed
        return [
            {"arm": arm, "per_class": n, "seed": 0, "accuracy": score if arm != "scratch" else 0.1}
            for arm in arms
            for n in per_class
        ]

    return compared


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("micle-blur", {"blur 1": 0.5, "blur 0.5": 0.6, "": 0.7}, {"blur 1": 0.7, "blur 0.5": 0.6, "": 0.5}),
        ("micle-volumes", {"micle": 0.7, "": 0.6}, {"micle": 0.05, "": 0.06}),
        (
            "micle-two-stage-volumes",
            {"@emoji simclr blur 0 @emoji": 0.5, "@emoji": 0.7, "": 0.6},
            {"@emoji simclr blur 0 @emoji": 0.08, "@emoji": 0.05, "": 0.06},
        ),
    ],
)
def test_figures_as_published_hold_and_their_opposite_does_not(
    name: str, right: dict[str, float], wrong: dict[str, float], lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for figured, outcome in ((right, "holds"), (wrong, "does not hold")):
        monkeypatch.setattr(staged, "compared", figures(figured))
        findings = claims.get(name)(seeds=(0, 1, 2)).work(lab)
        assert {finding.outcome for finding in findings} == {outcome}
        assert overall(findings) == outcome
