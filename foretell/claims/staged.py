"""Pretraining in stages, each beginning at the encoder of the one before, and what the last one's encoder is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foretell.claims.encoders import compared_encoder, kept_encoder
from foretell.claims.lab import Lab
from foretell.claims.micle import DRAWS, TRIALS, accuracy
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe

Stages = Sequence[Recipe]


def kept(lab: Lab, stages: Stages) -> Path:
    """The folder of the encoder that ``stages`` trained one after the other; each was trained once in this lab."""
    *before, last = stages
    made = last.changed({"encoder.weights": str(kept(lab, before))}) if before else last
    return kept_encoder(lab, made)


def arrived(lab: Lab, target: Recipe, stages: Stages) -> ImageObjective:
    """The objective of ``target``, its data and views, with the encoder of ``stages``: no step was taken there."""
    objective = lab.build(target.changed({"encoder.weights": str(kept(lab, stages))}))
    assert isinstance(objective, ImageObjective)
    return objective


def compared(
    lab: Lab,
    target: Recipe,
    stages: Stages,
    arms: Sequence[str],
    per_class: Sequence[int | None],
    *,
    draws: int = 1,
) -> list[dict[str, Any]]:
    """The rows of a comparison on the data of ``target`` of the encoder of ``stages``, with ``draws`` draws of labels.

    Views, steps and search are those of ``target``, whatever the stages saw: alike for all that is compared on it.
    """
    seed = target.training.seed
    seeds = tuple(range(1000 * seed, 1000 * seed + draws))
    key = {
        "target": lab.key(target), "stages": [lab.key(made) for made in stages], "arms": list(arms),
        "per_class": list(per_class), "seeds": list(seeds), "trials": TRIALS,
    }  # fmt: skip

    def work() -> dict[str, Any]:
        source = target.data.source
        assert source is not None
        objective = arrived(lab, target, stages)
        lab.say(
            f"{' then '.join(str(made.data.source) for made in stages)}, seed {seed}: {', '.join(arms)} on {source}"
        )
        return compared_encoder(
            lab, objective, target.transfer, source, arms=arms, per_class=per_class, seeds=seeds, trials=TRIALS
        )

    rows: list[dict[str, Any]] = lab.result("staged-compared", key, work)["rows"]
    return rows


def top1(
    lab: Lab, target: Recipe, stages: Stages, *, tuned: int, probed: Sequence[int | None], scratch: bool = False
) -> dict[str, float]:
    """Top-1 in percent: "pretrained", fine-tuned on ``tuned`` a class; with ``scratch`` that of "scratch" too; and
    "probe N" for each N of ``probed`` a class (None: all), the mean of several draws of them.
    """
    ways = ("pretrained", "scratch") if scratch else ("pretrained",)
    rows = compared(lab, target, stages, ways, (tuned,))
    found = {way: accuracy(rows, way, tuned) for way in ways}
    for n in probed:
        rows = compared(lab, target, stages, ("probe",), (n,), draws=1 if n is None else DRAWS)
        found[f"probe {n}"] = accuracy(rows, "probe", n)
    return found
