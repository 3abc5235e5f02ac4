"""With a part of the labelled cases, pretraining reaches what training from scratch reaches with all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import micle
from foretell.claims.medical.micle import mean
from foretell.claims.medical.micle_cases import ARMS, FEW, cases
from foretell.claims.medical.units import RESPLIT
from foretell.measures.crossing import crossing, number

PART = 0.3  # of the labels: the most that one of the paper's arms needs
MORE = (4, None)  # cases a class, of five or more that there are
TITLES = {"simclr": "SimCLR", "micle": "MICLe after SimCLR"}
Rows = list[dict[str, Any]]


class MICLeCrossing(Claim):
    name = "micle-crossing"
    statement = f"Fine-tuned after pretraining, {PART:.0%} of the labelled cases give what training from scratch needs all of them for."
    source = "Azizi et al. 2021 (arXiv 2101.05224), section 4.4: 20% (ResNet-50 4x) and 30% (152 2x) of the supervised start's labels"
    data = micle.WHERE
    minutes = 16.0
    resplit = RESPLIT

    def work(self, lab: Lab) -> list[Finding]:
        rows = [row for seed in self.seeds for row in self._curves(lab, seed)]
        by_seed = [[row for row in rows if row["seed"] == seed] for seed in self.seeds]

        def of(arm: str, per_class: int | None) -> list[float]:
            return [micle.accuracy(own, arm, per_class) for own in by_seed]

        for arm in ARMS:
            found = crossing(rows, arm, "scratch", "accuracy")
            assert found is not None
            spread = (
                ""
                if found["low"] is None
                else f" (95% {number(found['low'], found)} to {number(found['high'], found)})"
            )
            told = ", ".join(f"{'all' if n is None else n}: {mean(of(arm, n)):.1f}" for n in (*FEW, *MORE))
            self.notes.append(
                f"{TITLES[arm]} equals scratch with all {found['of']} cases (top-1 {100 * found['score']:.1f}) at "
                f"{number(found['at'], found)}{spread}; top-1 by cases a class {told}"
            )
        labels = {n: max(row["labels"] for row in rows if row["per_class"] == n) for n in (*FEW, *MORE)}
        self.notes += [
            "the baseline is training from scratch with all cases, not an encoder trained on labelled natural images; "
            f"{told_shares(labels)}",
            micle.tuning(),
        ]
        return [
            Finding(
                f"{TITLES[arm]} with {PART:.0%} of the labelled cases over scratch with all",
                "equal at 20 to 30% of the labels",
                read_off([(count, of(arm, n)) for n, count in labels.items()], PART),
                of("scratch", None),
            )
            for arm in ARMS
        ]

    def _curves(self, lab: Lab, seed: int) -> Rows:
        """Rows of the arms simclr, micle and scratch, numbered by the split."""
        found: Rows = []
        for arm in ARMS:
            ways = ("pretrained", "scratch") if arm == "simclr" else ("pretrained",)
            for per_class in (FEW, MORE):
                # the larger amounts are judged by the other camera too, which micle-shift asks of the same trainings
                for row in micle.compared(lab, seed, arm, ways, per_class, shifted=per_class is MORE):
                    name = arm if row["arm"] == "pretrained" else row["arm"]
                    found.append({**row, "arm": name, "seed": seed})
        return found


def read_off(curve: Sequence[tuple[int, Sequence[float]]], share: float) -> list[float]:
    """The score of each seed with ``share`` of the most labels of ``curve``: (labels, a score a seed), fewest first.

    Between two amounts it runs along the logarithm of the labels, as in ``crossing``; below the fewest it is theirs.
    """
    amounts = [math.log(labels) for labels, _ in curve]
    at = math.log(share) + amounts[-1]
    return [float(np.interp(at, amounts, own)) for own in zip(*(scores for _, scores in curve), strict=True)]


def told_shares(labels: Mapping[int | None, int]) -> str:
    """Which shares of all were measured, and how that of ``PART`` is read off; ``labels`` by cases a class, None for all."""
    told = ", ".join(f"{cases(n)} {count / labels[None]:.0%}" for n, count in labels.items() if n is not None)
    return (
        f"of all cases {told} were measured: the score with {PART:.0%} is read off between amounts, along the logarithm of "
        "the labels, as the crossing is"
    )
