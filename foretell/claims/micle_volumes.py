"""Slabs of CT and MR volumes as cases: pairs of their slices beside two views of one slice, and beside no pretraining."""

from __future__ import annotations

from foretell.claims import micle, scans
from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.micle import mean
from foretell.claims.micle_cases import ARMS, cases
from foretell.claims.staged import compared

FEW = (2, 8)
TUNED = 8


class MICLeVolumes(Claim):
    name = "micle-volumes"
    statement = (
        "Where a case is a place of a slab and its images are neighbouring slices, MICLe after SimCLR beats SimCLR alone on another "
        "patient, and both beat training from scratch."
    )
    source = (
        "Azizi et al. 2021 (arXiv 2101.05224), section 3.2; the paper has photographs of skin as cases, and no volumes"
    )
    data = scans.WHERE
    minutes = 8.0

    def work(self, lab: Lab) -> list[Finding]:
        measured = [self._measure(lab, seed) for seed in self.seeds]

        def of(name: str) -> list[float]:
            return [row[name] for row in measured]

        for arm in ARMS:
            told = ", ".join(f"{mean(of(f'{arm} probe {n}')):.1f} on {cases(n)}" for n in FEW)
            self.notes.append(f"{arm}: linear probe {told}; fine-tuned on {cases(TUNED)} {mean(of(arm)):.1f}")
        self.notes += [
            f"from scratch on {cases(TUNED)}: {mean(of('scratch')):.1f}",
            f"top-1 of cases (mean of the slices' probabilities); probes: mean of {micle.DRAWS} draws of the labelled cases; "
            f"{scans.DISJOINT}",
            "the four slices of a case lie 2 mm apart at least: near duplicates, which two crops of one slice are too",
        ]
        return [
            *(
                Finding(
                    f"linear probe, {cases(n)}, MICLe over SimCLR",
                    "above",
                    of(f"micle probe {n}"),
                    of(f"simclr probe {n}"),
                )
                for n in FEW
            ),
            Finding(f"fine-tuned, {cases(TUNED)}, MICLe over SimCLR", "above", of("micle"), of("simclr")),
            Finding(f"fine-tuned, {cases(TUNED)}, MICLe over scratch", "above", of("micle"), of("scratch")),
            Finding(f"fine-tuned, {cases(TUNED)}, SimCLR over scratch", "above", of("simclr"), of("scratch")),
        ]

    @staticmethod
    def _measure(lab: Lab, seed: int) -> dict[str, float]:
        """Top-1 in percent: of each arm fine-tuned, of its probes as "ARM probe N", and of "scratch"."""
        target = scans.recipe(lab, seed, "simclr", micle.THEN)
        found = {}
        for arm in ARMS:
            stages = [scans.recipe(lab, seed, "simclr", micle.FIRST), scans.recipe(lab, seed, arm, micle.THEN)]
            probed = compared(lab, target, stages, ("probe",), FEW, draws=micle.DRAWS)
            found |= {f"{arm} probe {n}": micle.accuracy(probed, "probe", n) for n in FEW}
            ways = ("pretrained", "scratch") if arm == "simclr" else ("pretrained",)
            tuned = compared(lab, target, stages, ways, (TUNED,))
            found[arm] = micle.accuracy(tuned, "pretrained", TUNED)
            if "scratch" in ways:
                found["scratch"] = micle.accuracy(tuned, "scratch", TUNED)
        return found
