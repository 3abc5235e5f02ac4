"""Blur among the views of grey scans: it takes away the texture that tells one part of the brain from another."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import micle, scans
from foretell.claims.medical.micle import mean
from foretell.claims.medical.micle_cases import cases
from foretell.claims.medical.staged import top1

BLUR = {"without blur": 0.0, "blur half the time": 0.5, "blur every time": 1.0}  # probability
FEW = 8
MEASURES = {
    f"probe {FEW}": f"linear probe, {cases(FEW)}",
    "probe None": "linear probe, all cases",
    "pretrained": f"fine-tuned, {cases(FEW)}",
}


class MICLeBlur(Claim):
    name = "micle-blur"
    statement = "On grey scans blur among the views of pretraining lowers what the encoder is worth."
    source = "Azizi et al. 2021 (arXiv 2101.05224): no blur in pretraining on X-rays, since it destroys local texture"
    data = scans.WHERE
    minutes = 10.0
    changed = "3 seeds left it undecided, and 6 followed"

    def work(self, lab: Lab) -> list[Finding]:
        measured = {arm: [self._measure(lab, seed, arm) for seed in self.seeds] for arm in BLUR}

        def of(arm: str, name: str) -> list[float]:
            return [row[name] for row in measured[arm]]

        for arm in BLUR:
            told = ", ".join(f"{what} {mean(of(arm, name)):.1f}" for name, what in MEASURES.items())
            self.notes.append(f"{arm}: {told}")
        self.notes += [
            f"SimCLR, {scans.STEPS[0]} and then {scans.STEPS[1]} steps; blur of standard deviation 0.1 to 2 px; the views "
            "of fine-tuning have none in any arm",
            micle.tuning(scans.TUNED_ON),
            f"top-1 of cases; probes on few: mean of {micle.DRAWS} draws of the labelled cases; {scans.DISJOINT}",
        ]
        plain, *blurred = BLUR
        return [
            Finding(f"{what}, {plain} over {arm}", "better", of(plain, name), of(arm, name))
            for arm in blurred
            for name, what in MEASURES.items()
        ]

    @staticmethod
    def _measure(lab: Lab, seed: int, arm: str) -> dict[str, float]:
        """Top-1 of cases of each of ``MEASURES``, in percent."""
        stages = [scans.recipe(lab, seed, "simclr", steps, blur=BLUR[arm]) for steps in scans.STEPS]
        target = scans.recipe(lab, seed, "simclr", scans.STEPS[-1])
        return top1(lab, target, stages, tuned=FEW, probed=(FEW, None))
