"""Natural images first, then the domain's: better than either alone at as many steps, and all of them better than none."""

from __future__ import annotations

from typing import ClassVar

from foretell.claims import micle, scans
from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.micle import mean
from foretell.claims.micle_cases import cases
from foretell.claims.staged import Stages, compared
from foretell.recipe import Recipe

NATURAL = "@emoji"
BOTH = "natural then domain"
PLANS = {"natural": (False, False), "domain": (True, True), BOTH: (False, True)}  # whether a stage sees the domain
STEPS = (micle.FIRST, micle.THEN)
SOURCE = (
    "Azizi et al. 2021 (arXiv 2101.05224), section 4: SimCLR on natural images and then on the domain's is best, on natural "
    "images alone it is worse than with the domain's"
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
    """Subclasses say what the domain is."""

    name = "micle-two-stage"
    statement = "SimCLR on natural images and then on the domain's beats either alone, and training from scratch is below all three."
    source = SOURCE
    data = f"{NATURAL} (drawn pictures in colour stand for natural images), then {micle.WHERE}"
    minutes = 12.0
    few: ClassVar[int] = 2
    about: ClassVar[str] = "a third of the units of each race, other ones for each seed, is tested on"

    def domain(self, lab: Lab, seed: int, steps: int) -> Recipe:
        return micle.recipe(lab, seed, "simclr", steps)

    def work(self, lab: Lab) -> list[Finding]:
        measured = [self._measure(lab, seed) for seed in self.seeds]

        def of(name: str) -> list[float]:
            return [row[name] for row in measured]

        for plan in PLANS:
            self.notes.append(f"{plan}: linear probe {mean(of(f'probe {plan}')):.1f}, fine-tuned {mean(of(plan)):.1f}")
        self.notes += [
            f"from scratch: {mean(of('scratch')):.1f}",
            f"top-1 of cases on {cases(self.few)} (probes: mean of {micle.DRAWS} draws); every plan has {STEPS[0]} steps of SimCLR and "
            f"then {STEPS[1]}, which differ in their data alone; {self.about}",
        ]
        single = [plan for plan in PLANS if plan != BOTH]
        return [
            *(Finding(f"fine-tuned, {BOTH} over {plan} alone", "better", of(BOTH), of(plan)) for plan in single),
            *(
                Finding(f"linear probe, {BOTH} over {plan} alone", "better", of(f"probe {BOTH}"), of(f"probe {plan}"))
                for plan in single
            ),
            *(Finding(f"fine-tuned, {plan} over scratch", "better", of(plan), of("scratch")) for plan in PLANS),
        ]

    def _stages(self, lab: Lab, seed: int, plan: str) -> Stages:
        return [
            self.domain(lab, seed, steps) if of_domain else natural(seed, steps)
            for of_domain, steps in zip(PLANS[plan], STEPS, strict=True)
        ]

    def _measure(self, lab: Lab, seed: int) -> dict[str, float]:
        """Top-1 in percent: of each plan fine-tuned, of its probe as "probe PLAN", and of "scratch"."""
        target = self.domain(lab, seed, STEPS[-1])
        found = {}
        for plan in PLANS:
            stages = self._stages(lab, seed, plan)
            ways = ("pretrained", "scratch") if plan == BOTH else ("pretrained",)
            tuned = compared(lab, target, stages, ways, (self.few,))
            probed = compared(lab, target, stages, ("probe",), (self.few,), draws=micle.DRAWS)
            found[plan] = micle.accuracy(tuned, "pretrained", self.few)
            found[f"probe {plan}"] = micle.accuracy(probed, "probe", self.few)
            if "scratch" in ways:
                found["scratch"] = micle.accuracy(tuned, "scratch", self.few)
        return found


class MICLeTwoStageVolumes(MICLeTwoStage):
    name = "micle-two-stage-volumes"
    data = f"{NATURAL} (drawn pictures in colour stand for natural images), then {scans.WHERE}"
    few = 8
    about = scans.DISJOINT

    def domain(self, lab: Lab, seed: int, steps: int) -> Recipe:
        return scans.recipe(lab, seed, "simclr", steps)
