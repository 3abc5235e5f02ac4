"""A start that learnt natural images with labels, then SimCLR and MICLe on the domain's own: the steps together and each
alone, and with how few labelled cases they equal that start with all of them.

Every arm is the network of the supervised start, at the same views, batch and steps of fine-tuning. The arms that are
pretrained take equal steps on the domain. Rates are chosen once, for what begins at the supervised start and for what begins
at random weights alike, on training cases of the first split that are held back: that of SimCLR after its first stage, that of
fine-tuning without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import imagenet, micle, scans, staged
from foretell.claims.medical.micle import Arm, mean
from foretell.claims.medical.micle_cases import FEW, cases
from foretell.claims.medical.micle_crossing import MORE, PART, read_off, told_shares
from foretell.claims.medical.units import RESPLIT
from foretell.measures.crossing import crossing, sentence
from foretell.recipe import Recipe

RATES = (
    5e-4,
    2e-3,
)  # of SimCLR: the rule of AdamW at this batch, and that of the recipe, which is for networks from scratch
TUNING_RATES = (5e-4, 1.5e-3, 4e-3)  # of fine-tuning
MOST_STEPS = 250  # of one
SIDE = 40  # pixels
CHOSEN_ON = 0  # the split whose held-back training cases rates are chosen on
AMOUNTS = (*FEW, *MORE)
JUDGED = FEW[-1]  # cases a class that a rate of SimCLR is judged with
Rows = list[dict[str, Any]]
Of = Callable[[str, int | None], list[float]]
Tuning = Mapping[bool, Mapping[tuple[int | None, ...], float]]


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


def _listed(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)


class MICLeNaturalStart(Claim):
    """``domain`` is the recipe of the domain's stages, here units; ``about`` says what is tested on."""

    name = "micle-natural-start"
    statement = (
        "With few labelled cases a supervised start from natural images, then SimCLR and then MICLe on the domain's own beats "
        f"the start alone, SimCLR alone and both of them without MICLe, and with {PART:.0%} of the cases it reaches that start "
        "with all of them."
    )
    source = (
        "Azizi et al. 2021 (arXiv 2101.05224), section 4: MICLe +6.7 points top-1 over the supervised start, which it equals "
        "with 20% (ResNet-50 4x) and 30% (152 2x) of the labels"
    )
    data = f"{imagenet.PACKAGE.title} (trained on ImageNet, Apache-2.0), then {micle.WHERE}"
    minutes = 100.0
    resplit: ClassVar[float | None] = RESPLIT
    steps: ClassVar[tuple[int, int]] = scans.STEPS  # of the two stages
    about: ClassVar[str] = "a third of the units of each race, other ones for each seed, is tested on"

    def domain(self, lab: Lab, seed: int, arm: Arm, steps: int) -> Recipe:
        return micle.recipe(lab, seed, arm, steps)

    def work(self, lab: Lab) -> list[Finding]:
        self._try_rates(lab)
        rates = {natural: self._rate(lab, natural) for natural in (False, True)}
        tuning: Tuning = {
            natural: {amounts: self._tuning_rate(lab, natural, amounts[-1]) for amounts in (FEW, MORE)}
            for natural in rates
        }
        by_seed = [self._curves(lab, seed, rates, tuning) for seed in self.seeds]

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
            few, more = tuning[natural].values()
            self.notes.append(
                f"rates {'after the supervised start' if natural else 'from random weights'}: SimCLR {chosen:g}, fine-tuning "
                f"{few:g} up to {cases(FEW[-1])}, {more:g} above; chosen alike on training cases of the first split, a third of "
                f"them held back: SimCLR by a linear probe on {cases(JUDGED)}, fine-tuning without SimCLR, so that it is tuned "
                f"for the start alone; of {_listed(RATES)} and of {_listed(TUNING_RATES)}"
            )
        self.notes += [
            f"{imagenet.TIMM_NAME} in every arm; top-1 of cases (linear probes: mean of {micle.DRAWS} draws of the labelled "
            f"ones); {sum(self.steps)} steps on the domain in every arm that is pretrained there; {self.about}",
            micle.pace(MOST_STEPS),
        ]
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
        return plain.changed(
            {
                "encoder.name": imagenet.TIMM_NAME,
                "encoder.weights": str(imagenet.kept_weights(lab)) if natural else None,
                "objective.views.side": SIDE,
                "objective.views.mean": [imagenet.MEAN] * channels,
                "objective.views.std": [imagenet.STD] * channels,
                "training.rate": rate,
                "transfer.most_steps": MOST_STEPS,
            }
        )

    def _first(self, lab: Lab, seed: int, natural: bool, rate: float) -> Recipe:
        return self.recipe(lab, seed, "simclr", self.steps[0], natural=natural, rate=rate)

    def _held_back(self, lab: Lab, natural: bool) -> Recipe:
        """Where rates are chosen: training cases of the first split, a third of them in the place of the test part."""
        target = self.recipe(lab, CHOSEN_ON, "simclr", self.steps[1], natural=natural)
        assert target.data.source is not None
        return target.changed({"data.source": staged.held_back(lab, target.data.source, CHOSEN_ON)})

    def _try_rates(self, lab: Lab) -> None:
        """Score every rate. Processes that share ``lab`` meet in the middle: odd seeds begin at the other end."""
        trials = [partial(self._score, lab, natural, rate) for natural in (False, True) for rate in RATES]
        trials += [
            partial(self._tuning_score, lab, natural, amounts[-1], rate)
            for natural in (False, True)
            for amounts in (FEW, MORE)
            for rate in TUNING_RATES
        ]
        for trial in trials[::-1] if self.seeds[0] % 2 else trials:
            trial()

    def _score(self, lab: Lab, natural: bool, rate: float) -> float:
        """How well a linear probe does on a first stage of ``rate``."""
        stages = [self._first(lab, CHOSEN_ON, natural, rate)]
        judged = self._held_back(lab, natural=False)
        rows = staged.compared(lab, judged, stages, ("probe",), (JUDGED,), draws=micle.DRAWS)
        return micle.accuracy(rows, "probe", JUDGED)

    def _tuning_score(self, lab: Lab, natural: bool, per_class: int | None, rate: float) -> float:
        """How well fine-tuning with ``rate`` does on so many cases."""
        judged, arm = self._held_back(lab, natural), "pretrained" if natural else "scratch"
        return micle.accuracy(staged.compared(lab, judged, [], (arm,), (per_class,), rate=rate), arm, per_class)

    def _rate(self, lab: Lab, natural: bool) -> float:
        """That of ``RATES`` whose first stage does best; the lower one of equals."""
        return max(RATES, key=partial(self._score, lab, natural))

    def _tuning_rate(self, lab: Lab, natural: bool, per_class: int | None) -> float:
        """That of ``TUNING_RATES`` with which fine-tuning on so many cases does best; the lowest one of equals."""
        return max(TUNING_RATES, key=partial(self._tuning_score, lab, natural, per_class))

    def _stages(self, lab: Lab, seed: int, plan: Plan, rate: float) -> list[Recipe]:
        if plan.then is None:
            return []
        then = self.recipe(lab, seed, plan.then, self.steps[1], natural=False, rate=rate)
        return [self._first(lab, seed, plan.natural, rate), then]

    def _curves(self, lab: Lab, seed: int, rates: Mapping[bool, float], tuning: Tuning) -> Rows:
        """Rows of every arm, numbered by the split; ``rates`` of SimCLR and of ``tuning``, by whether an arm begins at the
        supervised start.
        """
        found: Rows = []
        for name, plan in PLANS.items():
            stages = self._stages(lab, seed, plan, rates[plan.natural])
            target = self.recipe(lab, seed, "simclr", self.steps[1], natural=plan.natural and not stages)
            probed = staged.compared(lab, target, stages, ("probe",), AMOUNTS, draws=micle.DRAWS)
            found += averaged(probed, {"probe": frozen(name)}, seed)
            ways = {"pretrained": (name, plan.natural), **({"scratch": ("scratch", False)} if name == START else {})}
            for amounts in (FEW, MORE):
                for way, (told, natural) in ways.items():
                    rows = staged.compared(lab, target, stages, (way,), amounts, rate=tuning[natural][amounts])
                    found += averaged(rows, {way: told}, seed)
        return found


class MICLeNaturalStartVolumes(MICLeNaturalStart):
    name = "micle-natural-start-volumes"
    data = f"{imagenet.PACKAGE.title} (trained on ImageNet, Apache-2.0), then {scans.WHERE}"
    minutes = 100.0
    resplit = None
    about = scans.DISJOINT

    def domain(self, lab: Lab, seed: int, arm: Arm, steps: int) -> Recipe:
        return scans.recipe(lab, seed, arm, steps)
