"""Natural images first, then the domain's: better than either alone at as many steps, and all better than none."""

from __future__ import annotations

from typing import ClassVar

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import micle, scans
from foretell.claims.medical.micle import mean
from foretell.claims.medical.micle_cases import cases
from foretell.claims.medical.staged import top1
from foretell.claims.medical.units import RESPLIT
from foretell.recipe import Recipe

NATURAL = "@emoji"
BOTH = "natural then domain"
PLANS = {"natural": (False, False), "domain": (True, True), BOTH: (False, True)}  # whether a stage sees the domain
SOURCE = (
    "Azizi et al. 2021 (arXiv 2101.05224), section 4: SimCLR on natural images and then on the domain's is best, on "
    "natural images alone it is worse than with the domain's"
)


def natural(seed: int, steps: int) -> Recipe:
    """The packaged recipe ``claims`` on pictures in colour."""
    changes = {
        **micle.SETTINGS,
        "data.source": NATURAL,
        "objective.name": "simclr",
        "training.seed": seed,
        "training.steps": steps,
    }
    return Recipe.load("claims", changes)


class MICLeTwoStage(Claim):
    """``domain`` is the recipe of the domain's stages, here units; ``few`` cases a class are labelled;
    ``steps`` are those of each stage; ``about`` says what is tested on.
    """

    name = "micle-two-stage"
    statement = (
        "SimCLR on natural images and then on the domain's beats either alone, and training from scratch is below all "
        "three."
    )
    source = SOURCE
    data = f"{NATURAL} (drawn pictures in colour stand for natural images), then {micle.WHERE}"
    minutes = 12.0
    resplit: ClassVar[float | None] = RESPLIT
    few: ClassVar[int] = 2
    steps: ClassVar[tuple[int, int]] = (200, 300)
    tuned_on: ClassVar[str] = micle.TUNED_ON
    about: ClassVar[str] = "a third of the units of each race, other ones for each seed, is tested on"

    def domain(self, lab: Lab, seed: int, steps: int) -> Recipe:
        return micle.recipe(lab, seed, "simclr", steps)

    def work(self, lab: Lab) -> list[Finding]:
        measured = {plan: [self._measure(lab, seed, plan) for seed in self.seeds] for plan in PLANS}

        def of(plan: str, name: str) -> list[float]:
            return [row[name] for row in measured[plan]]

        probe, scratch = f"probe {self.few}", of(BOTH, "scratch")
        for plan in PLANS:
            self.notes.append(
                f"{plan}: linear probe {mean(of(plan, probe)):.1f}, fine-tuned {mean(of(plan, 'pretrained')):.1f}"
            )
        self.notes += [
            f"from scratch: {mean(scratch):.1f}",
            f"top-1 of cases on {cases(self.few)} (probes: mean of {micle.DRAWS} draws); every plan has "
            f"{self.steps[0]} steps of SimCLR and then {self.steps[1]}, which differ in their data alone; {self.about}",
            micle.tuning(self.tuned_on),
        ]
        return [
            *(
                Finding(f"{what}, {BOTH} over {plan} alone", "better", of(BOTH, name), of(plan, name))
                for what, name in (("fine-tuned", "pretrained"), ("linear probe", probe))
                for plan in PLANS
                if plan != BOTH
            ),
            *(Finding(f"fine-tuned, {plan} over scratch", "better", of(plan, "pretrained"), scratch) for plan in PLANS),
        ]

    def _measure(self, lab: Lab, seed: int, plan: str) -> dict[str, float]:
        """Top-1 of cases in percent, as ``staged.top1`` names it; of "scratch" with one of the plans."""
        stages = [
            self.domain(lab, seed, steps) if of_domain else natural(seed, steps)
            for of_domain, steps in zip(PLANS[plan], self.steps, strict=True)
        ]
        target = self.domain(lab, seed, self.steps[-1])
        return top1(lab, target, stages, tuned=self.few, probed=(self.few,), scratch=plan == BOTH)


class MICLeTwoStageVolumes(MICLeTwoStage):
    name = "micle-two-stage-volumes"
    data = f"{NATURAL} (drawn pictures in colour stand for natural images), then {scans.WHERE}"
    resplit = None
    few = 8
    steps = scans.STEPS
    about = scans.DISJOINT
    tuned_on = scans.TUNED_ON

    def domain(self, lab: Lab, seed: int, steps: int) -> Recipe:
        return scans.recipe(lab, seed, "simclr", steps)
