"""The pairs of MICLe, exactly: two different images of a case, every pair as likely, each case once, no label read."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.claims.base import Claim, Finding
from foretell.claims.chance import SURE, chi_squares
from foretell.claims.lab import Lab
from foretell.claims.medical import micle
from foretell.claims.medical.micle import mean
from foretell.counters import Rng, Rows, seed_of
from foretell.data.bags import Pairs
from foretell.data.store import ImageStore
from foretell.objectives.micle import MICLe
from foretell.recipe import Recipe

BATCHES = 400
COMPARED = 20  # batches that are drawn again with other labels
FEWEST = 5  # draws that an ordered pair of images must be expected to have, to be tested
Index = NDArray[np.int64]


class MICLePairs(Claim):
    name = "micle-pairs"
    statement = (
        "A case of several images gives two different ones, each ordered pair as likely as any other; a case of one "
        "image gives it twice; a case is once in a batch; no label is read."
    )
    source = "Azizi et al. 2021 (arXiv 2101.05224), section 3.2"
    data = f"{micle.WHERE}, with the units of one frame"
    minutes = 6.0

    def work(self, lab: Lab) -> list[Finding]:
        rows = [_measured(lab, seed) for seed in self.seeds]

        def of(name: str) -> list[float]:
            return [row[name] for row in rows]

        def none(what: str, name: str, unit: str) -> Finding:
            return Finding(f"{what}, less than one", "none", [1.0] * len(rows), of(name), unit)

        self.notes += [
            f"{BATCHES} batches of {mean(of('batch')):.0f} cases a seed, of {mean(of('cases')):.0f} cases, "
            f"{mean(of('single')):.1f}% of them of one image; "
            f"{mean(of('fallback')):.1f}% of the pairs are one image twice",
            f"{mean(of('cells')):.0f} kinds of ordered pairs, of cases of up to {max(of('largest')):.0f} images, are "
            f"drawn often enough to be tested: chi-square {mean(of('chi-square')):.0f}, bound {mean(of('bound')):.0f} "
            f"({SURE:.1%})",
            f"{COMPARED} batches and their views drawn again with the labels permuted, and with the cases permuted",
        ]
        return [
            none("pairs of images of two cases", "mixed", "pairs"),
            none("cases of several images paired with one image twice", "twice", "pairs"),
            none("cases of one image paired otherwise", "otherwise", "pairs"),
            Finding(
                "ordered pairs of a case's images, uniform: chi-square below its bound",
                "at random",
                of("bound"),
                of("chi-square"),
                "chi-square",
            ),
            none("cases that are in a batch again", "again", "cases"),
            none("batches that change with the labels", "labels", "batches"),
            Finding("batches that change with the cases, over 99%", "all", of("groups"), [99.0] * len(rows)),
        ]


def built(lab: Lab, made: Recipe) -> MICLe:
    objective = lab.build(made)
    assert isinstance(objective, MICLe)
    return objective


def counted(objective: MICLe, batches: list[Pairs]) -> dict[str, float]:
    """What is wrong with the pairs of ``batches``, how many are one image twice, and whether all are as likely."""
    bags = objective.bags
    first, second = (
        np.concatenate([getattr(one, side).index.numpy() for one in batches]) for side in ("first", "second")
    )
    case, other = bags.of_row[first], bags.of_row[second]
    several, same = bags.sizes[case] > 1, first == second
    again = sum(len(one) - len(np.unique(bags.of_row[one.first.index.numpy()])) for one in batches)
    tables = tables_of(objective, first, second)
    statistic, bound = chi_squares([(found, np.full(len(found), found.mean())) for found in tables.values()])
    return {
        "mixed": float((case != other).sum()),
        "twice": float((several & same).sum()),
        "otherwise": float((~several & ~same).sum()),
        "again": float(again),
        "fallback": 100 * float(same.mean()),
        "cells": float(sum(len(found) for found in tables.values())),
        "largest": float(max(tables)),
        "chi-square": statistic,
        "bound": bound,
    }


def tables_of(objective: MICLe, first: Index, second: Index) -> dict[int, Index]:
    """Counts of the ordered pairs (place of the first image in its case, of the second), M (M - 1) of them for cases
    of M images; M whose pairs are expected fewer than ``FEWEST`` times are left out.
    """
    bags = objective.bags
    place = np.empty(len(bags.of_row), np.int64)
    for bag in range(len(bags)):
        place[bags.members(bag)] = np.arange(bags.sizes[bag])
    pairs = (bags.of_row[first] == bags.of_row[second]) & (first != second)
    one, other, size = place[first[pairs]], place[second[pairs]], bags.sizes[bags.of_row[first[pairs]]]
    kind = one * (size - 1) + other - (other > one)
    tables = {
        images: np.bincount(kind[size == images], minlength=images * (images - 1))
        for images in np.unique(size).tolist()
    }
    return {images: found for images, found in tables.items() if found.mean() >= FEWEST}


def permuted(store: ImageStore, column: str, seed: int) -> ImageStore:
    """The same images with the values of a column in another order."""
    order = np.random.default_rng(seed_of(seed, "permuted", column)).permutation(len(store))
    values = store.table.column(column)
    return store.with_table(store.table.with_column(column, [values[at] for at in order]))


def shown(objective: MICLe, seed: int, step: int, batch: int) -> list[Tensor]:
    """The rows of both images of each pair of a batch, and their views."""
    rows = Rows.of_rank(batch)
    pairs = objective.draw("case", seed, step, rows)
    views = objective.hide(pairs, Rng(seed, step, rows)).visible
    return [pairs.first.index, pairs.second.index, *views.values()]


def differing(one: MICLe, other: MICLe, seed: int, batch: int) -> int:
    """How many of ``COMPARED`` batches are of other images or other views."""
    both = ((shown(objective, seed, step, batch) for objective in (one, other)) for step in range(COMPARED))
    return sum(not all(map(torch.equal, *pair)) for pair in both)


def _measured(lab: Lab, seed: int) -> dict[str, float]:
    made = micle.recipe(lab, seed, "micle", micle.THEN)
    key = {"recipe": lab.key(made), "batches": BATCHES, "compared": COMPARED, "fewest": FEWEST}

    def work() -> dict[str, float]:
        objective, batch = built(lab, made), made.training.batch
        lab.say(f"micle-pairs: drawing, seed {seed}")

        def changed_with(column: str) -> int:
            name = f"{made.data.source}, {column} permuted"
            lab.add(name, lambda: permuted(lab.store(str(made.data.source)), column, seed))
            return differing(objective, built(lab, made.changed({"data.source": name})), seed, batch)

        batches = [objective.draw("case", seed, step, Rows.of_rank(batch)) for step in range(BATCHES)]
        return {
            **counted(objective, batches),
            "labels": float(changed_with("label")),
            "groups": 100 * changed_with("group") / COMPARED,
            "batch": float(batch),
            "cases": float(len(objective.bags)),
            "single": 100 * objective.bags.single,
        }

    return lab.result("micle-pairs", key, work)
