"""Segmentation with few masks: an encoder that SimCLR trained on unlabelled slices beside one from random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import scans
from foretell.claims.medical.micle import mean
from foretell.claims.medical.volume_slices import HELD, TASKS, Segmentation, open_slices, segmented
from foretell.dense import compare_dense
from foretell.dense.compare import Budget
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe

HEAD = TASKS[-1].title
SIDE = 48
STEPS = 200
FEW = (4, 16)  # masks
ARMS = ("pretrained", "frozen", "scratch", "random")
# Kept under a key of their own, which names how their batch norm is set; the others keep the key of all.
APART = ("random",)
BUDGET = Budget(steps=160, batch=8, rates=(1e-3, 3e-3, 1e-2))
SETTINGS: dict[str, Any] = {**scans.SETTINGS, "objective.views.side": SIDE, "training.batch": 32}


def recipe(lab: Lab, seed: int) -> Recipe:
    """SimCLR on the slices of every plane and volume that are not tested on."""
    source = f"slices of volumes {seed}"
    lab.add(source, lambda: open_slices(seed))
    changes = {"data.source": source, "objective.name": "simclr", "training.seed": seed, "training.steps": STEPS}
    return Recipe.load("claims", SETTINGS | changes)


class SegmentationFewLabels(Claim):
    name = "segmentation-few-labels"
    statement = (
        "With few labelled slices a pretrained encoder segments better than one from random weights, both tuned or both "
        "frozen."
    )
    source = (
        "Chaitanya et al. 2020 (arXiv 2006.10511): contrastive pretraining raises Dice where few volumes are annotated"
    )
    data = (
        "axial slices of two human brains in MR (eight parts) and of a head in CT (bone, soft tissue) "
        "(Debian mricron-data, invesalius-examples, PyPI nilearn: fetched by name, never shipped)"
    )
    minutes = 30.0

    def work(self, lab: Lab) -> list[Finding]:
        findings = [finding for task in TASKS for finding in self._findings(lab, task)]
        self.notes += [
            "mean Dice of all classes but the background, in percent; equal steps, views and search, the rate chosen "
            "on masks held out of those given",
            f"brain: {scans.DISJOINT}",
            "head: there is one, of which a third of the slabs, other ones for each seed, is tested on: slabs are "
            "apart, the patient is not; its masks were drawn by threshold",
        ]
        return findings

    def resplit_of(self, finding: Finding) -> float | None:
        """The slabs of the head are split anew by each seed; the brain that is tested on is the same."""
        return HELD / (1 - HELD) if finding.what.startswith(HEAD) else None

    def _findings(self, lab: Lab, task: Segmentation) -> list[Finding]:
        measured = [self._measure(lab, seed, task) for seed in self.seeds]

        def of(arm: str, count: int) -> list[float]:
            return [row[f"{arm} {count}"] for row in measured]

        for count in FEW:
            told = ", ".join(f"{arm} {mean(of(arm, count)):.1f}" for arm in ARMS)
            self.notes.append(f"{task.title}, {count} masks: {told}")
        return [
            Finding(f"{task.title}, {count} masks, {told}", "higher", of(arm, count), of(other, count))
            for count in FEW
            for arm, other, told in (
                ("pretrained", "scratch", "tuned, pretrained over scratch"),
                ("frozen", "random", "frozen, pretrained over random"),
            )
        ]

    @staticmethod
    def _measure(lab: Lab, seed: int, task: Segmentation) -> dict[str, float]:
        """Dice in percent of each arm and number of masks, as "ARM COUNT".

        Kept results of the key without ``APART`` may hold these arms, too, with batch norm as an untrained encoder has it.
        """
        made = recipe(lab, seed)
        key = {
            "recipe": lab.key(made),
            "task": task.title,
            "few": FEW,
            "arms": ARMS,
            "budget": [BUDGET.steps, BUDGET.batch, *BUDGET.rates],
            "judged": "whole slices",
        }

        def work(arms: Sequence[str]) -> dict[str, Any]:
            objective = lab.trained(made)
            assert isinstance(objective, ImageObjective)
            lab.say(f"segmentation-few-labels: {task.title}, seed {seed}")
            store, masks, train, test = segmented(lab.store(str(made.data.source)), task)
            return compare_dense(
                objective.encoder,
                store,
                masks,
                train=train,
                test=test,
                views=objective.views.milder(),
                images=FEW,
                seeds=(seed,),
                arms=arms,
                budget=replace(BUDGET, device=lab.device),
            )

        together = [arm for arm in ARMS if arm not in APART]
        rows = lab.result("segmentation", key, lambda: work(together))["rows"]
        apart = {**key, "arms": APART, "batch norm": "measured on the training part"}
        rows = [row for row in rows if row["arm"] in together]
        rows += lab.result("segmentation", apart, lambda: work(APART))["rows"]
        return {f"{row['arm']} {row['images']}": 100 * row["dice"] for row in rows}
