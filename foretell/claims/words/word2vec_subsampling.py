"""Leaving out most of the frequent words makes a pass over the text quicker and the vectors of rare words better."""

from __future__ import annotations

import time

import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text.runs import mean_of, means
from foretell.claims.words import runs
from foretell.counters import Rng, Rows
from foretell.objectives.word2vec import Word2Vec

SAMPLES = {"with": 1e-4, "without": 0.0}
RARE = 25  # occurrences of a rare word, at most
FEWEST = 5  # articles that a rare word with a class stands in
PASSES, PIECE = 5, 200_000  # of the text that is timed, and its words


class Word2VecSubsampling(Claim):
    name = "word2vec-subsampling"
    statement = "Sub-sampling frequent words speeds training up and makes the vectors of rare words better."
    source = f"{runs.PAPERS}, section 2.3 of the second (2 to 10 times as fast)"
    data = runs.DATA
    minutes = 1.5

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [_measured(lab, seed) for seed in self.seeds]
        told = {arm: [row[f"rare {arm}"] for row in rows] for arm in SAMPLES}
        every = {arm: [row[f"all {arm}"] for row in rows] for arm in SAMPLES}
        speed = [row["quicker"] for row in rows]
        self.notes.append(
            f"rare words (up to {RARE} times) whose nearest word is of the same topic: {means(told)} %, of "
            f"{rows[0]['words']:.0f}; all words with a topic: {means(every)} %"
        )
        self.notes.append(
            f"threshold {SAMPLES['with']:g}; a pass takes 1 / {mean_of(speed):.2f} of the processor's time"
        )
        return [
            Finding(
                "processor time of a pass, without over with (a ratio, over 1)",
                "2 to 10",
                speed,
                [1.0] * len(rows),
                "times",
            ),
            Finding("rare words beside one of their topic, with over without", "better", told["with"], told["without"]),
        ]


def processor_seconds(objective: Word2Vec) -> float:
    """The shortest time that the kernel computes on one piece of the text, in one thread; the vectors stay as they are."""
    ids = objective.store.ids[:PIECE]
    rows = Rows.of_rank(len(ids))
    task = objective.hide(objective.draw("words", 0, 0, rows), Rng(0, 0, rows))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        objective.make_ready()
        took = []
        for _ in range(PASSES):
            began = time.thread_time()
            objective.update(task, 0.0)
            took.append(time.thread_time() - began)
    finally:
        torch.set_num_threads(threads)
    return min(took)


def _measured(lab: Lab, seed: int) -> dict[str, float]:
    recipes = {arm: runs.recipe(seed, sample=sample) for arm, sample in SAMPLES.items()}

    def work() -> dict[str, float]:
        found: dict[str, float] = {}
        took = {}
        for arm, made in recipes.items():
            objective = runs.trained(lab, made)
            took[arm] = processor_seconds(objective)
            rows, codes = runs.classes(objective.store.words, FEWEST)
            vectors = runs.unit(objective)[rows]
            rare = objective.store.counts[rows] <= RARE
            found |= {
                f"all {arm}": runs.agreement(vectors, codes),
                f"rare {arm}": runs.agreement(vectors, codes, rare),
                "words": float(rare.sum()),
            }
        return found | {"quicker": took["without"] / took["with"]}

    return lab.result("word2vec-subsampling", {arm: lab.key(made) for arm, made in recipes.items()}, work)
