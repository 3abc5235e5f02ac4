"""Words of one class come to lie together, because they share their contexts: where the order of words is lost, they do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text.runs import means
from foretell.claims.words import runs
from foretell.counters import seed_of
from foretell.objectives.word2vec import Word2Vec


class Word2VecClasses(Claim):
    name = "word2vec-classes"
    statement = (
        "Words of one topic get vectors with higher cosines than words of different topics, unlike random vectors, and "
        "not where the words of the text are shuffled."
    )
    source = f"{runs.PAPERS}, section 4 of the first"
    data = runs.DATA
    minutes = 1.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [_measured(lab, seed) for seed in self.seeds]
        told = {arm: [row[f"gap {arm}"] for row in rows] for arm in ("trained", "shuffled", "random")}
        near = {arm: [row[f"near {arm}"] for row in rows] for arm in told}
        self.notes.append(f"cosine within a topic less that across topics, in hundredths: {means(told)}")
        self.notes.append(
            f"words whose nearest word is of the same topic: {means(near)} %; of {rows[0]['words']:.0f} words with a topic"
        )
        unit = "hundredths"
        return [
            Finding("cosine within a topic over across, trained", "wide", told["trained"], [0.0] * len(rows), unit),
            Finding(
                "that gap, trained over random vectors", "random ones have none", told["trained"], told["random"], unit
            ),
            Finding(
                "that gap, trained over shuffled text", "context is needed", told["trained"], told["shuffled"], unit
            ),
        ]


def gap(vectors: NDArray[np.float32], codes: NDArray[np.int64]) -> float:
    """Mean cosine of two different unit ``vectors`` (N, D) of one class, less that of two of different classes; x 100."""
    same = codes[:, None] == codes
    other = ~same
    np.fill_diagonal(same, False)
    cosine = vectors @ vectors.T
    return 100 * float(cosine[same].mean() - cosine[other].mean())


def _random(objective: Word2Vec, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed_of(seed, "random vectors")).normal(size=(len(objective.store.words), runs.DIM))
    found: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return found


def _measured(lab: Lab, seed: int) -> dict[str, float]:
    recipes = {"trained": runs.recipe(seed), "shuffled": runs.recipe(seed, runs.SHUFFLED)}

    def work() -> dict[str, float]:
        objectives = {arm: runs.trained(lab, made) for arm, made in recipes.items()}
        found: dict[str, float] = {}
        for arm, objective in (*objectives.items(), ("random", objectives["trained"])):
            rows, codes = runs.classes(objective.store.words)
            vectors = (_random(objective, seed) if arm == "random" else runs.unit(objective))[rows]
            found |= {f"gap {arm}": gap(vectors, codes), f"near {arm}": runs.agreement(vectors, codes)}
            found["words"] = float(len(rows))
        return found

    return lab.result("word2vec-classes", {arm: lab.key(made) for arm, made in recipes.items()}, work)
