"""A start that learnt natural images with labels, then SimCLR and MICLe on the domain's own: the steps together and each
alone, and with how few labelled cases they equal that start with all of them.

Every arm is the network of the supervised start, at the same views, batch and steps of fine-tuning, with as many settings
tried. The arms that are pretrained take equal steps on the domain, and the rate of a start's SimCLR is chosen among
``RATES`` after its first stage, on training cases that are held back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import imagenet, micle, scans, staged
from foretell.claims.medical.micle import Arm, mean
from foretell.claims.medical.micle_cases import FEW, cases
from foretell.claims.medical.micle_crossing import MORE, PART, read_off, told_shares
from foretell.claims.medical.units import RESPLIT
from foretell.recipe import Recipe
from foretell.transfer.measures.crossing import crossing, sentence

RATES = (5e-4, 2e-3)  # the rule of AdamW at this batch, and that of the recipe, which is for networks from scratch
TRIALS = 2  # for each arm and number of labelled cases
DRAWS = 2  # of the labelled cases
SETTINGS: dict[str, Any] = {
    "transfer.rates": [3e-4, 3e-3],  # what has learnt is tuned more gently
    "transfer.scratch_rates": [1e-3, 1e-2],
}
AMOUNTS = (*FEW, *MORE)
JUDGED = FEW[-1]  # cases a class that a rate is judged with
Rows = list[dict[str, Any]]
Of = Callable[[str, int | None], list[float]]


@dataclass(frozen=True)
class Plan:
    """``natural``: whether it begins at the supervised start; ``then``: what follows SimCLR on the domain, None where
    nothing is learnt there.
    """

    natural: bool
    then: Arm | None


START, ALONE = "supervised start", "SimCLR from scratch"
BOTH, WHOLE = "supervised start and SimCLR", "supervised start, SimCLR and MICLe"
PLANS = {
    START: Plan(True, None),
    ALONE: Plan(False, "simclr"),
    BOTH: Plan(True, "simclr"),
    WHOLE: Plan(True, "micle"),
}
PUBLISHED = {  # what the whole gains over the others
    START: "+6.7 points with all labels",
    ALONE: "above",
    BOTH: "+0.1 to +1.2 points with all labels",
}


def frozen(plan: str) -> str:
    """The arm of a linear probe, beside that of fine-tuning, which has the plan's own name."""
    return f"{plan}, frozen"


def averaged(rows: Rows, names: Mapping[str, str], seed: int) -> Rows:
    """One row for each arm of ``names`` (arm -> its name) and amount of labels, the mean over draws, numbered by the split."""
    labels = {row["per_class"]: row["labels"] for row in rows}
    return [
        {"arm": name, "per_class": n, "labels": count, "seed": seed, "accuracy": micle.accuracy(rows, arm, n) / 100}
        for arm, name in names.items()
        for n, count in labels.items()
    ]


class MICLeNaturalStart(Claim):
    """``domain`` is the recipe of the domain's stages, here units, ``side`` that of their views where it is another;
    ``steps`` are those of the two stages; ``about`` says what is tested on.
    """

    name = "micle-natural-start"
    statement = (
        "With few labelled cases a supervised start from natural images, then SimCLR and then MICLe on the domain's own beats "
        f"each of these steps alone, and with {PART:.0%} of the cases it reaches that start with all of them."
    )
    source = (
        "Azizi et al. 2021 (arXiv 2101.05224), section 4: MICLe +6.7 points top-1 over the supervised start, which it equals "
        "with 20% (ResNet-50 4x) and 30% (152 2x) of the labels"
    )
    data = f"{imagenet.PACKAGE.title} (trained on ImageNet, Apache-2.0), then {micle.WHERE}"
    minutes = 100.0
    resplit: ClassVar[float | None] = RESPLIT
    side: ClassVar[int | None] = 64
    steps: ClassVar[tuple[int, int]] = (200, 300)
    about: ClassVar[str] = "a third of the units of each race, other ones for each seed, is tested on"

    def domain(self, lab: Lab, seed: int, arm: Arm, steps: int) -> Recipe:
        return micle.recipe(lab, seed, arm, steps)

    def work(self, lab: Lab) -> list[Finding]:
        rates = {natural: [self._rate(lab, seed, natural) for seed in self.seeds] for natural in (False, True)}
        by_seed = [
            self._curves(lab, seed, {natural: rates[natural][at] for natural in rates})
            for at, seed in enumerate(self.seeds)
        ]

        def of(arm: str, per_class: int | None) -> list[float]:
            return [micle.accuracy(own, arm, per_class) for own in by_seed]

        for arm in (*PLANS, "scratch", *map(frozen, PLANS)):
            told = ", ".join(f"{'all' if n is None else n}: {mean(of(arm, n)):.1f}" for n in AMOUNTS)
            self.notes.append(f"{arm}: top-1 by cases a class {told}")
        rows = [row for own in by_seed for row in own]
        for plan in (ALONE, BOTH, WHOLE):
            found = crossing(rows, plan, START, "accuracy")
            assert found is not None
            self.notes.append(sentence(found, {name: name for name in PLANS}))
        labels = {n: max(row["labels"] for row in rows if row["per_class"] == n) for n in AMOUNTS}
        self.notes.append(told_shares(labels))
        for natural, chosen in rates.items():
            told = ", ".join(f"{rate:g}" for rate in chosen)
            self.notes.append(f"rate of SimCLR {'after the supervised start' if natural else 'from scratch'}: {told}")
        self.notes.append(
            f"{imagenet.TIMM_NAME} in every arm; top-1 of cases, mean of {DRAWS} draws of the labelled cases; "
            f"{sum(self.steps)} steps on the domain in every arm that is pretrained there; {self.about}; rates of SimCLR "
            f"were chosen by a linear probe on {cases(JUDGED)} of training cases, judged on a third of those that was held "
            "back, the settings of fine-tuning on the labelled cases alone"
        )
        self.notes.append(micle.pace())
        return self._findings(of, labels)

    def _findings(self, of: Of, labels: Mapping[int | None, int]) -> list[Finding]:
        tuned = [
            Finding(f"fine-tuned, {cases(n)}, {WHOLE} over {plan}", PUBLISHED[plan], of(WHOLE, n), of(plan, n))
            for n in FEW
            for plan in PUBLISHED
        ]
        probed = [
            Finding(
                f"linear probe, {cases(n)}, {WHOLE} over {plan}",
                "not published",
                of(frozen(WHOLE), n),
                of(frozen(plan), n),
            )
            for n in FEW
            for plan in PUBLISHED
        ]
        start = [
            Finding(f"fine-tuned, {cases(n)}, {START} over scratch", "above", of(START, n), of("scratch", n))
            for n in FEW
        ]
        whole = Finding(
            f"fine-tuned, all cases, {WHOLE} over {START}", PUBLISHED[START], of(WHOLE, None), of(START, None)
        )
        part = Finding(
            f"{WHOLE} with {PART:.0%} of the labelled cases over {START} with all",
            "equal at 20 to 30% of the labels",
            read_off([(count, of(WHOLE, n)) for n, count in labels.items()], PART),
            of(START, None),
        )
        return [*tuned, *probed, *start, whole, part]

    def recipe(self, lab: Lab, seed: int, arm: Arm, steps: int, *, natural: bool, rate: float = RATES[0]) -> Recipe:
        """``domain`` for the network of the supervised start, its images scaled as that wants; ``natural``: with its weights."""
        plain = self.domain(lab, seed, arm, steps)
        assert plain.data.source is not None
        channels = lab.store(plain.data.source).channels
        changes = {
            **SETTINGS,
            "encoder.name": imagenet.TIMM_NAME,
            "objective.views.mean": [imagenet.MEAN] * channels,
            "objective.views.std": [imagenet.STD] * channels,
            "training.rate": rate,
            "encoder.weights": str(imagenet.kept_weights(lab)) if natural else None,
        }
        return plain.changed(changes if self.side is None else {**changes, "objective.views.side": self.side})

    def _first(self, lab: Lab, seed: int, natural: bool, rate: float) -> Recipe:
        return self.recipe(lab, seed, "simclr", self.steps[0], natural=natural, rate=rate)

    def _rate(self, lab: Lab, seed: int, natural: bool) -> float:
        """That of ``RATES`` whose first stage does best on training cases that are held back; the lower one of equals."""
        target = self.recipe(lab, seed, "simclr", self.steps[1], natural=False)
        assert target.data.source is not None
        judged = target.changed({"data.source": staged.held_back(lab, target.data.source, seed)})

        def score(rate: float) -> float:
            stages = [self._first(lab, seed, natural, rate)]
            rows = staged.compared(lab, judged, stages, ("probe",), (JUDGED,), draws=micle.DRAWS)
            return micle.accuracy(rows, "probe", JUDGED)

        return max(RATES, key=score)

    def _stages(self, lab: Lab, seed: int, plan: Plan, rate: float) -> list[Recipe]:
        if plan.then is None:
            return []
        then = self.recipe(lab, seed, plan.then, self.steps[1], natural=False, rate=rate)
        return [self._first(lab, seed, plan.natural, rate), then]

    def _curves(self, lab: Lab, seed: int, rates: Mapping[bool, float]) -> Rows:
        """Rows of every arm, numbered by the split; ``rates`` of SimCLR, by whether it begins at the supervised start."""
        found: Rows = []
        for name, plan in PLANS.items():
            stages = self._stages(lab, seed, plan, rates[plan.natural])
            target = self.recipe(lab, seed, "simclr", self.steps[1], natural=plan.natural and not stages)
            names = {"pretrained": name, "probe": frozen(name)}
            if name == START:
                names["scratch"] = "scratch"
            rows = staged.compared(lab, target, stages, tuple(names), AMOUNTS, draws=DRAWS, trials=TRIALS)
            found += averaged(rows, names, seed)
        return found


class MICLeNaturalStartVolumes(MICLeNaturalStart):
    name = "micle-natural-start-volumes"
    data = f"{imagenet.PACKAGE.title} (trained on ImageNet, Apache-2.0), then {scans.WHERE}"
    minutes = 168.0
    resplit = None
    side = None
    steps = scans.STEPS
    about = scans.DISJOINT

    def domain(self, lab: Lab, seed: int, arm: Arm, steps: int) -> Recipe:
        return scans.recipe(lab, seed, arm, steps)
