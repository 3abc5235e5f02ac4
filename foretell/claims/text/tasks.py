"""The labelled tasks on text of the claims, and how each arm learns them: settings chosen alike, in equal steps.

All of it is ``foretell.transfer``'s: fine-tuning, linear models on frozen features, and TF-IDF.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from foretell.claims.lab import Lab
from foretell.claims.text import runs
from foretell.claims.text.runs import LENGTH, Document
from foretell.counters import seed_of
from foretell.encoders.language import LanguageModel
from foretell.objectives.text import TextObjective
from foretell.recipe import Recipe
from foretell.tasks.base import TextTask
from foretell.tasks.classification import Classification, Entailment
from foretell.tasks.layout import Layout, extended
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import splits_of, subset
from foretell.transfer.networks import copied
from foretell.transfer.text.engine import at_most
from foretell.transfer.text.features import Bank, frozen_kinds
from foretell.transfer.text.linear import fit_dense, fit_sparse, search_linear
from foretell.transfer.text.tfidf import KINDS, PENALTIES, TfIdf
from foretell.transfer.text.tuning import TextFitted, TextStart, tune
from foretell.transfer.text_config import TextTuning
from foretell.transfer.trials import Trial

TRIALS = 3  # settings, of features and penalty, tried for each linear arm within its labels
STEPS, BATCH = 600, 16  # of a fine-tuning; from random weights 100 are too few to judge by
DECAY = 0.01  # of weights, in every fine-tuning
TESTED = 1000  # test examples
TRIED = (1e-4, 3e-4, 1e-3, 2e-3)  # rates of fine-tuning, for every arm
CHOSEN_ON = 0  # the seed whose network and labels a rate is chosen with

Tuned = Literal["pretrained", "scratch"]
Arm = Literal[Tuned, "probe", "tfidf"]
TUNED: tuple[Tuned, ...] = get_args(Tuned)
ARMS: tuple[Arm, ...] = get_args(Arm)
PACE = f"{STEPS} steps of {BATCH} texts for every fine-tuning"
SEARCH = (
    f"{PACE}, its rate of {len(TRIED)} the best on validation documents, chosen on one seed for each start, task and number of "
    f"labels; {TRIALS} settings (of features and penalty) tried for each linear model within its labels"
)


# tasks ----------------------------------------------------------------------------------------------------------------


def topics(layout: Layout, part: str) -> Classification:
    """Which of the topics a lead is of; those without one are left out."""
    known = [(number, one) for number, one in enumerate(runs.documents()) if one.topic is not None]
    names = sorted({str(one.topic) for _, one in known})
    chosen = [(number, one) for number, one in known if one.part == part]
    codes = np.array([names.index(str(one.topic)) for _, one in chosen], np.int64)
    index = np.array([number for number, _ in chosen], np.int64)
    return Classification.of(layout, [(" ".join(one.sentences),) for _, one in chosen], codes, names, index=index)


def articles(layout: Layout, part: str) -> Classification:
    """Whether two sentences are of one article, or of two of one topic.

    The first is the first of a lead, the second the last of the same lead (half of the time) or of another.
    """
    by_topic: dict[str, list[tuple[int, Document]]] = {}
    for number, one in enumerate(runs.documents()):
        if one.part == part:
            by_topic.setdefault(one.topic or "", []).append((number, one))
    texts, codes, numbers = [], [], []
    for topic, chosen in sorted(by_topic.items()):
        rng = np.random.default_rng(seed_of("articles", topic, part))
        for at, (number, one) in enumerate(chosen):
            same = len(chosen) == 1 or bool(rng.integers(2))
            other = one if same else chosen[(at + 1 + int(rng.integers(len(chosen) - 1))) % len(chosen)][1]
            texts.append((one.sentences[0], other.sentences[-1]))
            codes.append(int(same))
            numbers.append(number)
    names, index = ["another article", "the same article"], np.array(numbers, np.int64)
    return Entailment.of(layout, texts, np.array(codes, np.int64), names, index=index)


TASKS: dict[str, Callable[[Layout, str], Classification]] = {"topic": topics, "article": articles}


def ready(objective: TextObjective) -> tuple[LanguageModel, Layout]:
    """A copy of the network to read labelled texts with, and how they are laid out for it."""
    model, tokenizer = extended(copied(objective.encoder), objective.store.tokenizer)
    return model.eval(), Layout.of(model, tokenizer, LENGTH)


def labelled(task: TextTask, per_class: int, seed: int) -> TextTask:
    """``task`` with so many labels a class."""
    return task.take(subset(task.codes, per_class=per_class, seed=seed))


# arms -----------------------------------------------------------------------------------------------------------------


def tuning(lab: Lab, **settings: Any) -> TransferConfig:
    """How labelled tasks are learnt; ``settings``: changes to those of fine-tuning."""
    own = TextTuning(**{"batch": BATCH, "precision": "float32", **settings})
    return TransferConfig(steps=STEPS, device=lab.device, text=own)


def trial_at(rate: float) -> Trial:
    """How a fine-tuning with ``rate`` runs."""
    return Trial(rate, STEPS, DECAY)


def of_trial(trial: Trial) -> dict[str, Any]:
    """What the result of a fine-tuning depends on by its settings: a part of the key it is kept by."""
    return {"rate": trial.rate, "decay": trial.weight_decay}


def judging(config: TransferConfig) -> dict[str, Any]:
    """How many are tested and how ``config`` learns: a part of the key that a result is kept by."""
    return {"tested": TESTED, "config": config.model_dump(mode="json", exclude={"device"})}


def judged(fitted: TextFitted, test: TextTask) -> float:
    """Percent of ``test`` that is right."""
    score = test.score()
    fitted.tuner.judged(test, score)
    return 100 * score.result()[test.metric]


def fine_tuned(
    start: TextStart, data: TextTask, test: TextTask, config: TransferConfig, trial: Trial, seed: int
) -> float:
    """Percent of ``test`` that is right after fine-tuning on ``data``."""
    return judged(tune(start, data, config=config, trial=trial, seed=seed), test)


def linear(model: LanguageModel | None, data: TextTask, test: TextTask, config: TransferConfig, seed: int) -> float:
    """Percent of ``test`` that is right by a linear model on frozen features of ``model``, or on TF-IDF without one."""
    pairs, _ = splits_of(data, config, seed)
    kinds: Any = {name: TfIdf(name) for name in KINDS} if model is None else frozen_kinds(Bank(model))
    fit, span = (fit_sparse, PENALTIES) if model is None else (fit_dense, config.strengths)
    chosen, _ = search_linear(kinds, fit, data, pairs, TRIALS, span)
    features = kinds[chosen["features"]].fitted(data)
    found = fit(features(data), data, chosen["strength"]).predictions(features(test), test)
    score = test.score()
    score.add(found, test, np.arange(len(test)))
    return 100 * score.result()[test.metric]


@dataclass(frozen=True)
class FewLabels:
    """A task with so many labels a class, drawn by the seed of the run of ``made``, and what each arm makes of it.

    "pretrained": every layer of the run fine-tuned; "scratch": the same network from random weights; "probe": a linear model on
    its frozen features; "tfidf": one on TF-IDF. ``settings`` are changes to those of fine-tuning. Each result is worked
    out once in a lab.
    """

    lab: Lab
    made: Recipe
    task: str
    per_class: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def percent(self, arm: Arm) -> float:
        """Percent of the test examples that one arm gets right."""
        if arm == "probe" or arm == "tfidf":
            return self._linear(arm)
        runs.trained_on(self.lab, self.made)  # before the rate, of another seed: seeds side by side train at once
        return self.tuned(arm, self.best_rate(arm))

    def best_rate(self, arm: Tuned) -> float:
        """That of ``TRIED`` with which the arm does best on validation documents, for the run and the labels of the seed
        ``CHOSEN_ON``; the lowest one of equals.
        """
        first = replace(self, made=self.made.changed({"training.seed": CHOSEN_ON}))
        return max(TRIED, key=lambda rate: first.tuned(arm, rate, "validation"))

    def told_rates(self, arms: Sequence[Tuned] = TUNED) -> str:
        """The rates of fine-tuning, for a note."""
        return "rates " + ", ".join(f"{arm} {self.best_rate(arm):g}" for arm in arms)

    def tuned(self, arm: Tuned, rate: float, part: str = "test") -> float:
        """Percent of the examples of ``part`` that are right after fine-tuning with ``rate``."""
        trial = trial_at(rate)

        def judge(model: LanguageModel, data: TextTask, judged: TextTask, config: TransferConfig) -> float:
            start = TextStart(model, scratch=arm == "scratch")
            return fine_tuned(start, data, judged, config, trial, self.made.training.seed)

        own = {"arm": arm, **of_trial(trial)}
        return self._kept("text-arm" if part == "test" else "text-trial", part, own, judge)

    def _linear(self, arm: Literal["probe", "tfidf"]) -> float:
        def judge(model: LanguageModel, data: TextTask, test: TextTask, config: TransferConfig) -> float:
            return linear(model if arm == "probe" else None, data, test, config, self.made.training.seed)

        return self._kept("text-arm", "test", {"arm": arm, "trials": TRIALS, "features": "by document"}, judge)

    def _kept(
        self,
        name: str,
        part: str,
        own: dict[str, Any],
        judge: Callable[[LanguageModel, TextTask, TextTask, TransferConfig], float],
    ) -> float:
        """What ``judge`` makes of network, labelled and judged examples; ``own``: the arm's part of the key it is kept by."""
        config = tuning(self.lab, **self.settings)
        key = {
            "recipe": self.lab.key(self.made), "task": self.task, "labels": self.per_class, **own, **judging(config),
        }  # fmt: skip

        def work() -> dict[str, float]:
            objective = runs.trained_on(self.lab, self.made)
            seed = self.made.training.seed
            how = ", ".join([own["arm"], *([f"rate {own['rate']:g}"] if "rate" in own else []), part])
            self.lab.say(
                f"{self.made.objective.name}, seed {seed}: {self.task}, {self.per_class} labels a class, {how}"
            )
            model, layout = ready(objective)
            data = labelled(TASKS[self.task](layout, "train"), self.per_class, seed)
            return {"percent": judge(model, data, at_most(TASKS[self.task](layout, part), TESTED), config)}

        return float(self.lab.result(name, key, work)["percent"])
