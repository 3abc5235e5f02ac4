"""Slabs of CT and MR volumes as cases: pairs of their slices, two views of one slice, and no pretraining."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import micle, scans
from foretell.claims.medical.micle import Arm, mean
from foretell.claims.medical.micle_cases import ARMS, cases
from foretell.claims.medical.staged import top1

FEW = (2, 8)
TUNED = 8
MEASURES = {**{f"probe {n}": f"linear probe, {cases(n)}" for n in FEW}, "pretrained": f"fine-tuned, {cases(TUNED)}"}


class MICLeVolumes(Claim):
    name = "micle-volumes"
    statement = (
        "Where a case is a place of a slab and its images are neighbouring slices, MICLe after SimCLR beats SimCLR "
        "alone on another patient, and both beat training from scratch."
    )
    source = (
        "Azizi et al. 2021 (arXiv 2101.05224), section 3.2; the paper has photographs of skin as cases, and no volumes"
    )
    data = scans.WHERE
    minutes = 12.0
    changed = "3 seeds left it undecided, and 6 followed"

    def work(self, lab: Lab) -> list[Finding]:
        measured = {arm: [self._measure(lab, seed, arm) for seed in self.seeds] for arm in ARMS}

        def of(arm: Arm, name: str) -> list[float]:
            return [row[name] for row in measured[arm]]

        for arm in ARMS:
            told = "; ".join(f"{what} {mean(of(arm, name)):.1f}" for name, what in MEASURES.items())
            self.notes.append(f"{arm}: {told}")
        scratch = of("simclr", "scratch")
        self.notes += [
            f"from scratch: {cases(TUNED)} {mean(scratch):.1f}",
            f"top-1 of cases (mean of the slices' probabilities); probes: mean of {micle.DRAWS} draws of the labelled "
            f"cases; {scans.DISJOINT}",
            micle.tuning(scans.TUNED_ON),
            "neighbouring slices of a case lie 2 voxels apart: near duplicates, which two crops of one slice are too",
        ]
        tuned = MEASURES["pretrained"]
        return [
            *(
                Finding(f"{what}, MICLe over SimCLR", "above", of("micle", name), of("simclr", name))
                for name, what in MEASURES.items()
            ),
            Finding(f"{tuned}, MICLe over scratch", "above", of("micle", "pretrained"), scratch),
            Finding(f"{tuned}, SimCLR over scratch", "above", of("simclr", "pretrained"), scratch),
        ]

    @staticmethod
    def _measure(lab: Lab, seed: int, arm: Arm) -> dict[str, float]:
        """Top-1 of cases in percent, as ``staged.top1`` names it; of "scratch" with one of the arms."""
        first, then = scans.STEPS
        target = scans.recipe(lab, seed, "simclr", then)
        stages = [scans.recipe(lab, seed, "simclr", first), scans.recipe(lab, seed, arm, then)]
        return top1(lab, target, stages, tuned=TUNED, probed=FEW, scratch=arm == "simclr")
