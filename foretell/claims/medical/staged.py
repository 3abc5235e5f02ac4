"""Pretraining in stages, each beginning at the encoder of the one before, and what the last one's encoder is worth.

The first stage begins at the weights of its own recipe, where it names some.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foretell.claims.encoders import compared_encoder, kept_encoder
from foretell.claims.lab import Lab
from foretell.claims.medical.micle import DRAWS, accuracy, searched
from foretell.data.splits import split
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe

Stages = Sequence[Recipe]
HELD_BACK = 1 / 3


def kept(lab: Lab, stages: Stages) -> Path:
    """The folder of the encoder that ``stages`` trained one after the other; each was trained once in this lab."""
    *before, last = stages
    made = last.changed({"encoder.weights": str(kept(lab, before))}) if before else last
    return kept_encoder(lab, made)


def arrived(lab: Lab, target: Recipe, stages: Stages) -> ImageObjective:
    """The objective of ``target``, its data and views, with the encoder of ``stages``: no step was taken there.

    Without stages it is the encoder that ``target`` begins at.
    """
    objective = lab.build(target.changed({"encoder.weights": str(kept(lab, stages))}) if stages else target)
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
    rate: float | None = None,
) -> list[dict[str, Any]]:
    """The rows of a comparison on the data of ``target`` of the encoder of ``stages``, with ``draws`` draws of labels.

    Arms that are fine-tuned have the ``rate`` (default: as ``micle.searched`` says). Views and steps are those of
    ``target``, and batch norm is measured on its training part, whatever the stages saw: alike for all that is compared on it.
    """
    seed = target.training.seed
    seeds = tuple(range(1000 * seed, 1000 * seed + draws))
    transfer, trials = searched(target.transfer, arms, per_class, rate)
    key = {
        "target": lab.key(target), "stages": [lab.key(made) for made in stages], "arms": list(arms),
        "per_class": list(per_class), "seeds": list(seeds), "trials": trials, "rates": transfer.rates,
        "norm": "target",
    }  # fmt: skip

    def work() -> dict[str, Any]:
        source = target.data.source
        assert source is not None
        objective = arrived(lab, target, stages)
        told = " then ".join(str(made.data.source) for made in stages) or "no stage"
        lab.say(f"{told}, seed {seed}: {', '.join(arms)} on {source}")
        return compared_encoder(
            lab,
            objective,
            transfer,
            source,
            arms=arms,
            per_class=per_class,
            seeds=seeds,
            trials=trials,
            elsewhere=True,
        )

    rows: list[dict[str, Any]] = lab.result("staged-compared", key, work)["rows"]
    return rows


def held_back(lab: Lab, source: str, seed: int) -> str:
    """The name of the labelled training images of ``source``, of which a third is in the place of the test part: what
    settings of pretraining are chosen on. Groups stay whole.
    """
    name = f"{source}, a third of its training part held back ({seed})"

    def make() -> ImageStore:
        labels = lab.store(source).table.column("label")
        part = lab.store(source).subset([row for row in lab.split(source)[0] if labels[row] is not None])
        table = Table({known: values for known, values in part.table.columns.items() if known != "split"})
        held = set(split(table, {"train": 1 - HELD_BACK, "test": HELD_BACK}, seed)["test"].tolist())
        return part.with_table(
            table.with_column("split", ["test" if row in held else "train" for row in range(len(part))])
        )

    lab.add(name, make)
    return name


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
