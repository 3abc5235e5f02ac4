"""What the two losses of a context encoder are worth: sharpness, error, and which fills best."""

from __future__ import annotations

import math

from foretell.claims.base import Claim, Finding
from foretell.claims.images import context_encoder as shared
from foretell.claims.lab import Lab

ALONE = ("adversarial alone", "adversarial alone, joint's rates")
LOSSES = ("L2 alone", "joint", *ALONE)
FIGURES = ("psnr", "l1", "l2", "gradient", "seam", "told", "accuracy")
PAPER = "Pathak et al. 2016 (arXiv 1604.07379)"


class _Losses(Claim):
    """The three settings of lambda, each trained once for all the claims.

    The adversarial loss alone is trained twice: at the published rates, the filler's that of the discriminator (2e-4), and
    at those of the joint loss, the filler's ten times as high, at which L2 alone is trained too.
    """

    data = shared.DATA

    def of(self, lab: Lab, *arms: str) -> dict[str, list[dict[str, float]]]:
        measured = {arm: [shared.judged(lab, seed, arm) for seed in self.seeds] for arm in arms}
        for arm, rows in measured.items():
            self.notes.append(f"{arm}: {shared.means(rows, *FIGURES)}")
        return measured


def sharpness(rows: list[dict[str, float]]) -> list[float]:
    """-|ln(gradient energy of the fill / of the truth)|: 0 is as sharp as the truth, below 0 smoother or rougher."""
    return [-abs(math.log(max(row["gradient"], 1e-9))) for row in rows]


class ContextEncoderSharpness(_Losses):
    name = "context-encoder-sharpness"
    statement = "Filled with the joint loss, a hole is sharper than with L2 alone, which is too smooth."
    source = f"{PAPER}, sections 3.2 and 4.1"
    minutes = 5.0

    def work(self, lab: Lab) -> list[Finding]:
        measured = self.of(lab, "L2 alone", "joint")
        smooth = [1 - row["gradient"] for row in measured["L2 alone"]]
        return [
            Finding(
                "nearness of the gradient energy to the truth's, joint over L2 alone",
                "sharper",
                sharpness(measured["joint"]),
                sharpness(measured["L2 alone"]),
                "nats",
            ),
            Finding("gradient energy that L2 alone lacks", "blurry", smooth, [0.0] * len(smooth), "of the truth's"),
        ]


class ContextEncoderError(_Losses):
    name = "context-encoder-error"
    statement = "Of the three settings L2 alone has the lowest squared error, and adversarial alone the highest."
    source = f"{PAPER}, section 4.1; adversarial alone in the authors' code"
    minutes = 7.0

    def work(self, lab: Lab) -> list[Finding]:
        measured = self.of(lab, *LOSSES)
        error = {arm: [row["l2"] for row in rows] for arm, rows in measured.items()}
        unit = "% (L2)"
        return [
            Finding("L2, joint over L2 alone", "not published", error["joint"], error["L2 alone"], unit),
            *(Finding(f"L2, {arm} over joint", "not published", error[arm], error["joint"], unit) for arm in ALONE),
        ]


class ContextEncoderLoss(_Losses):
    name = "context-encoder-loss"
    statement = (
        "The best fills come from both losses together: truer than by the adversarial loss alone, and harder to tell from "
        "real content than by L2 alone."
    )
    source = f"{PAPER}, section 3.2: the adversarial loss is used jointly with L2"
    minutes = 7.0

    def work(self, lab: Lab) -> list[Finding]:
        measured = self.of(lab, *LOSSES)

        def of(arm: str, name: str) -> list[float]:
            return [row[name] for row in measured[arm]]

        self.notes.append("told: percent of hole contents that a classifier tells from real ones, 50 at random")
        return [
            *(
                Finding(f"PSNR in the hole, joint over {arm}", "coherent", of("joint", "psnr"), of(arm, "psnr"), "dB")
                for arm in ALONE
            ),
            Finding(
                "fills told from real content, L2 alone over joint",
                "joint more realistic",
                of("L2 alone", "told"),
                of("joint", "told"),
            ),
        ]
