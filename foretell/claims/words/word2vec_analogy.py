"""a is to b as c is to which word? The vector offset answers, and better than the word nearest to c."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text.runs import means
from foretell.claims.words import runs
from foretell.encoders.vectors import Floats
from foretell.recipe import Recipe
from foretell.transfer.text.word_tests import answers

# two crossed attributes each: which thing, and which form of it
PAIRS: dict[str, str] = {
    "country and people": (
        "france french, germany german, italy italian, spain spanish, russia russian, china chinese, japan japanese, "
        "england english, ireland irish, scotland scottish, poland polish, portugal portuguese, greece greek, egypt "
        "egyptian, turkey turkish, sweden swedish, denmark danish, norway norwegian, austria austrian, hungary hungarian, "
        "india indian, canada canadian, australia australian, mexico mexican, brazil brazilian, korea korean"
    ),
    "one and several": (
        "country countries, city cities, language languages, river rivers, state states, island islands, "
        "film films, artist artists, writer writers, mountain mountains, animal animals, plant plants, system systems, "
        "number numbers, element elements, metal metals, planet planets, star stars, disease diseases, cell cells, work "
        "works, form forms, group groups, bird birds, war wars, king kings, novel novels, song songs, region regions"
    ),
}


class Word2VecAnalogy(Claim):
    name = "word2vec-analogy"
    statement = "The fourth word of an analogy is found by the offset of vectors far above chance, and above the word nearest to the third."
    source = f"{runs.PAPERS}, section 4.1 of the first (skip-gram: 55% semantic, 59% syntactic; 1.6 billion words)"
    data = runs.DATA
    minutes = 0.5

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [_measured(lab, runs.recipe(seed)) for seed in self.seeds]
        for kind in PAIRS:
            told = {
                way: [row[f"{kind}, {way}"] for row in rows] for way in ("offset", "nearest to the third", "chance")
            }
            self.notes.append(f"{kind}: {means(told, 2)} % right of {rows[0][f'{kind}, questions']:.0f} questions")
        findings = []
        for kind in PAIRS:
            ours = [row[f"{kind}, offset"] for row in rows]
            findings += [
                Finding(f"{kind}: offset over chance", "far above", ours, [row[f"{kind}, chance"] for row in rows]),
                Finding(
                    f"{kind}: offset over the word nearest to the third",
                    "the offset tells",
                    ours,
                    [row[f"{kind}, nearest to the third"] for row in rows],
                ),
            ]
        return findings


def questions(listed: str, known: dict[str, int]) -> np.ndarray:
    """(Q, 4) rows a, b, c, d of every two of the ``listed`` pairs whose words are ``known``."""
    pairs = [tuple(pair.split()) for pair in listed.split(", ")]
    rows = [(known[a], known[b]) for a, b in pairs if a in known and b in known]
    return np.array([(*one, *other) for one, other in permutations(rows, 2)], np.int64).reshape(-1, 4)


def nearest(unit: Floats, asked: np.ndarray) -> np.ndarray:
    """(Q,) the row nearest to c for (Q, 3) rows a, b, c of the unit vectors (V, D), these three left out."""
    scores = unit[asked[:, 2]] @ unit.T
    np.put_along_axis(scores, asked, -np.inf, axis=1)
    found: np.ndarray = scores.argmax(axis=1)
    return found


def _measured(lab: Lab, made: Recipe) -> dict[str, float]:
    def work() -> dict[str, float]:
        space = runs.trained(lab, made).neighbourhood()
        found: dict[str, float] = {}
        for kind, listed in PAIRS.items():
            asked = questions(listed, space.index)
            offset = answers(space.unit, asked[:, :3]) == asked[:, 3]
            near = nearest(space.unit, asked[:, :3]) == asked[:, 3]
            found |= {
                f"{kind}, offset": 100 * float(offset.mean()),
                f"{kind}, nearest to the third": 100 * float(near.mean()),
                f"{kind}, chance": 100 / (len(space.words) - 3),
                f"{kind}, questions": float(len(asked)),
            }
        return found

    return lab.result("word2vec-analogy", {"recipe": lab.key(made), "pairs": PAIRS}, work)
