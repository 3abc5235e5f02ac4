"""The next word as an auxiliary loss of fine-tuning: lambda 0.5 against 0, with few and with many labels."""

from __future__ import annotations

from typing import Any

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs, tasks
from foretell.recipe import Recipe
from foretell.transfer.text.engine import at_most
from foretell.transfer.text.tuning import TextStart, tune
from foretell.transfer.watch import Watch

FEW, MANY = 10, 90  # labels a class
WEIGHT = 0.5  # of the auxiliary loss
LOOKS = 40  # at the test examples, during a fine-tuning
LOOKED_AT = 250  # of them
SHARE = 0.9  # of the lower of both arms' last scores: the target


class GptAuxiliary(Claim):
    name = "gpt-auxiliary"
    statement = (
        "Foretelling the next word beside the label (lambda = 0.5) makes fine-tuning end better with many labels, gains more "
        "with many than with few, and brings it near its end sooner."
    )
    source = f"{runs.GPT}, sections 3.2 and 5 and table 5"
    data = runs.DATA
    minutes = 32.0
    changed = (
        "the rate of fine-tuning was chosen once, with 30 labels a topic (all three findings undecided); it is chosen for each lambda "
        "and number of labels now"
    )

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        last: dict[tuple[int, float], list[float]] = {}
        steps: dict[tuple[int, float], list[float]] = {}
        for per_class in (FEW, MANY):
            for seed in self.seeds:
                curves = {weight: measured(lab, runs.decoder(seed), per_class, weight) for weight in (WEIGHT, 0.0)}
                target = SHARE * min(found["percent"] for found in curves.values())
                for weight, found in curves.items():
                    last.setdefault((per_class, weight), []).append(found["percent"])
                    steps.setdefault((per_class, weight), []).append(first_at(found["curve"], target))
        for (per_class, weight), percent in last.items():
            took = runs.mean_of(steps[per_class, weight])
            self.notes.append(
                f"{per_class} labels a class, lambda {weight:g}: {runs.mean_of(percent):.1f} % right, {took:.0f} steps to "
                f"the target; {asked(lab, runs.decoder(self.seeds[0]), per_class, weight).told_rates(['pretrained'])}"
            )
        self.notes.append(
            f"target: {SHARE:.0%} of the lower of the last scores of both; looked at every "
            f"{tasks.STEPS // LOOKS} steps. {tasks.SEARCH}"
        )
        gain = {n: [a - b for a, b in zip(last[n, WEIGHT], last[n, 0.0], strict=True)] for n in (FEW, MANY)}
        return [
            Finding(
                f"accuracy at {MANY} labels a class, lambda 0.5 over 0",
                "0.7 points on MNLI, 1.2 on QNLI; on average -0.3",
                last[MANY, WEIGHT],
                last[MANY, 0.0],
            ),
            Finding(
                f"the gain of the auxiliary loss, {MANY} labels a class over {FEW}",
                "larger data sets gain, smaller ones do not",
                gain[MANY],
                gain[FEW],
            ),
            Finding(
                f"steps to the target at {MANY} labels a class, lambda 0 over 0.5",
                "accelerates convergence",
                steps[MANY, 0.0],
                steps[MANY, WEIGHT],
                "steps",
            ),
        ]


def first_at(curve: list[list[float]], target: float) -> float:
    """The first step of ``curve`` (step, percent) at which ``target`` is reached; the last one where it never is."""
    return next((step for step, percent in curve if percent >= target), curve[-1][0])


def asked(lab: Lab, made: Recipe, per_class: int, weight: float = WEIGHT) -> tasks.FewLabels:
    """The topics with so many labels a class, fine-tuned with lambda ``weight``."""
    return tasks.FewLabels(lab, made, "topic", per_class, {"auxiliary": weight})


def measured(lab: Lab, made: Recipe, per_class: int, weight: float) -> dict[str, Any]:
    """{"percent": right at the end, "curve": (step, percent of a part of the test examples)}."""
    config = tasks.tuning(lab, auxiliary=weight)
    seed = made.training.seed
    runs.trained_on(lab, made)  # before the rate, as in ``FewLabels.percent``
    trial = tasks.trial_at(asked(lab, made, per_class, weight).best_rate("pretrained"))
    key = {
        "recipe": lab.key(made), "labels": per_class, "looks": [LOOKS, LOOKED_AT], "arm": "pretrained",
        **tasks.of_trial(trial), **tasks.judging(config),
    }  # fmt: skip

    def work() -> dict[str, Any]:
        objective = runs.trained_on(lab, made)
        lab.say(f"gpt-auxiliary: seed {seed}, {per_class} labels a class, lambda {weight:g}")
        model, layout = tasks.ready(objective)
        data = tasks.labelled(tasks.topics(layout, "train"), per_class, seed)
        test = at_most(tasks.topics(layout, "test"), tasks.TESTED)
        part = at_most(test, LOOKED_AT, seed=1)

        def score(tuner: Any) -> float:
            found = part.score()
            tuner.judged(part, found)
            return found.result()[part.metric]

        start = TextStart(model)
        every = max(1, trial.steps // LOOKS)
        fitted = tune(start, data, config=config, trial=trial, seed=seed, look=lambda: Watch(every, score))
        curve = [(step, 100 * value) for step, _, value in fitted.curve]
        return {"percent": tasks.judged(fitted, test), "curve": curve}

    return lab.result("gpt-auxiliary", key, work)
