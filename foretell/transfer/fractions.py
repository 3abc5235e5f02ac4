"""Label fractions: nested, class-balanced, group-safe subsets, and how a label budget is cut for validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from foretell.counters import seed_of
from foretell.errors import InputError

if TYPE_CHECKING:
    from foretell.transfer.config import TransferConfig

Index = NDArray[np.int64]
Amount = int | float | None
"""How many labels: so many of each class (of all, where there are no classes), below 1 that share of them, None all."""


def amounts(text: str, named: str) -> list[Amount]:
    """The amounts of a text as "1,5,all" or "10%,50%,all", which ``named`` calls it. Raises InputError.

    Numbers and shares do not stand in one list: which of them is more would depend on the data.
    """
    words = [word.strip() for word in text.split(",")]
    found = [_amount(word) for word in words]
    wrong = next((word for word, amount in zip(words, found, strict=True) if amount == 0), None)
    if wrong is not None:
        raise InputError(
            f"{named} {text}: expected numbers of at least 1, as 1,5,10,all, or shares, as 10%,50%,all; not '{wrong}'"
        )
    if len({amount < 1 for amount in found if amount is not None}) > 1:
        raise InputError(f"{named} {text}: expected numbers a class or shares, not both in one list")
    return found


def _amount(word: str) -> Amount:
    """0 for a word that is none."""
    if word in ("all", "100%"):
        return None
    if word.isdecimal():
        return int(word)
    try:
        share = float(word.removesuffix("%")) / 100 if word.endswith("%") else 0.0
    except ValueError:
        return 0
    return share if 0 < share < 1 else 0


def in_words(amount: Amount) -> str:
    """ "5 a class", "10%", or "all"; "" for 0."""
    if amount is None:
        return "all"
    if not amount:
        return ""
    return f"{amount:,} a class" if amount >= 1 else f"{100 * amount:g}%"


def _group_codes(groups: Sequence[str | None] | Index | None, n: int) -> Index:
    """(n,) int64, one number a group; a row without a group is a group of its own."""
    if groups is None:
        return np.arange(n, dtype=np.int64)
    table: dict[object, int] = {}
    numbers = np.empty(n, dtype=np.int64)
    for row, name in enumerate(groups):
        missing = name is None or name == "" or (isinstance(name, int | np.integer) and name < 0)
        numbers[row] = table.setdefault(("row", row) if missing else ("group", str(name)), len(table))
    return numbers


def _priority(codes: Index, groups: Index, seed: int, unit: Literal["image", "group"]) -> dict[int, list[Index]]:
    """For each class its units (rows that are labelled together) in the order in which they get a label."""
    rng = np.random.default_rng(seed_of(seed, "fractions"))
    count = int(groups.max()) + 1 if len(groups) else 0
    place = rng.permutation(count)
    noise = rng.random(len(codes))
    order: dict[int, list[Index]] = {}
    if unit == "group":
        members: dict[int, list[int]] = {}
        for row in np.flatnonzero(codes >= 0):
            members.setdefault(int(groups[row]), []).append(int(row))
        for group in sorted(members, key=lambda g: int(place[g])):
            rows = np.asarray(members[group], dtype=np.int64)
            order.setdefault(int(np.bincount(codes[rows]).argmax()), []).append(rows)
        return order
    for code in np.unique(codes[codes >= 0]):
        rows = np.flatnonzero(codes == code)
        rows = rows[np.lexsort((noise[rows], place[groups[rows]]))]
        # The first image of every group comes before the second of any: labels go where they say most.
        turn = np.zeros(len(rows), dtype=np.int64)
        seen: dict[int, int] = {}
        for at, row in enumerate(rows):
            group = int(groups[row])
            turn[at] = seen.get(group, 0)
            seen[group] = int(turn[at]) + 1
        ranked = rows[np.lexsort((place[groups[rows]], turn))]
        order[int(code)] = [np.asarray([row]) for row in ranked]
    return order


def subset(
    codes: Index,
    groups: Sequence[str | None] | Index | None = None,
    *,
    per_class: int | None = None,
    share: float | None = None,
    seed: int = 0,
    unit: Literal["image", "group"] = "image",
) -> Index:
    """Rows (sorted, int64) that carry a label: ``per_class`` of each class, or ``share`` of each class (at least
    one).

    ``codes`` (N,) int64, -1 for no label. For one seed a smaller subset is contained in every larger one. A class
    with fewer than ``per_class`` gives what it has. ``unit="image"`` spends labels one image at a time and visits
    every group once before it visits one again; ``unit="group"`` labels whole groups (a group belongs to its most
    frequent class).
    """
    if (per_class is None) == (share is None):
        raise ValueError("give per_class or share, and only one of them")
    if per_class is not None and per_class < 1:
        raise InputError(f"labels a class: expected 1 or more, not {per_class}")
    if share is not None and not 0 < share <= 1:
        raise InputError(f"label share: expected a number in (0, 1], not {share}")
    order = _priority(codes, _group_codes(groups, len(codes)), seed, unit)
    chosen = []
    for code in sorted(order):
        units = order[code]
        count = per_class if per_class is not None else max(1, round((share or 0) * len(units)))
        chosen.extend(units[:count])
    return np.sort(np.concatenate(chosen)).astype(np.int64) if chosen else np.empty(0, dtype=np.int64)


def folds(codes: Index, groups: Sequence[str | None] | Index | None, k: int, seed: int) -> Index:
    """(N,) fold of each row in [0, k): classes spread evenly, a group never split."""
    numbers = _group_codes(groups, len(codes))
    rng = np.random.default_rng(seed_of(seed, "folds"))
    found, sizes = np.unique(numbers, return_counts=True)
    order = np.lexsort((rng.random(len(found)), -sizes))
    counts = np.zeros((k, int(codes.max()) + 1), dtype=np.int64)
    fold = np.empty(len(codes), dtype=np.int64)
    for at in order:
        rows = np.flatnonzero(numbers == found[at])
        main = int(np.bincount(codes[rows]).argmax())
        best = min(range(k), key=lambda f: (int(counts[f, main]), int(counts[f].sum())))
        fold[rows] = best
        np.add.at(counts[best], codes[rows], 1)
    return fold


def holdout(codes: Index, groups: Sequence[str | None] | Index | None, share: float, seed: int) -> tuple[Index, Index]:
    """(training rows, validation rows): about ``share`` of every class and at least one, a group never split."""
    k = max(2, round(1 / share))
    fold = folds(codes, groups, k, seed)
    return np.flatnonzero(fold != 0), np.flatnonzero(fold == 0)


def validation_splits(
    codes: Index,
    groups: Sequence[str | None] | Index | None,
    *,
    k: int,
    share: float,
    seed: int,
    fewest: int = 2,
) -> tuple[list[tuple[Index, Index]], str]:
    """How the labels at hand are cut to choose settings: (training rows, validation rows) pairs, and the rule in
    words.

    From 10 labels a class on, one stratified hold-out; below, cross-validation with ``k`` folds; no pair where no
    class has two labels, since a class that is held out whole cannot be learnt. Validation rows of a class that the
    training rows lack are left out, as no setting could foretell them, and so is a pair with fewer than ``fewest``
    classes to learn from (1: a task without classes, whose ``codes`` are all 0).
    """
    counts = np.bincount(codes)
    counts = counts[counts > 0]
    if len(counts) == 0 or counts.max() < 2:
        return [], "fresh views of the training images (one label a class: nothing can be held out)"
    if counts.min() >= 10:
        pairs = [holdout(codes, groups, share, seed)]
        how = f"stratified hold-out of {len(pairs[0][1])} of {len(codes)} labels"
    else:
        k = min(k, int(counts.max()))
        fold = folds(codes, groups, k, seed)
        pairs = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(k)]
        how = f"{k}-fold cross-validation on {len(codes)} labels"
    kept = []
    for train, valid in pairs:
        valid = valid[np.isin(codes[valid], codes[train])]
        if len(valid) and len(np.unique(codes[train])) >= fewest:
            kept.append((train, valid))
    if not kept:
        return [], "fresh views of the training images (the labels of a class are all in one group)"
    return kept, how


def splits_of(data: Samples, config: TransferConfig, seed: int) -> tuple[list[tuple[Index, Index]], str]:
    """``validation_splits`` of ``data`` by the settings ``config``; a task without classes has one code to learn from."""
    fewest = min(2, max(1, len(data.classes)))
    return validation_splits(data.codes, data.groups, k=config.folds, share=config.holdout, seed=seed, fewest=fewest)


# of a comparison ----------------------------------------------------------------------------------------------------


class Samples(Protocol):
    """Labelled samples: ``index`` (N,) rows of the source, ``codes`` (N,) classes, ``groups`` (N,) or None, and the names of
    the ``classes``.
    """

    @property
    def index(self) -> Index: ...
    @property
    def codes(self) -> Index: ...
    @property
    def groups(self) -> Index | None: ...
    @property
    def classes(self) -> list[str]: ...
    def __len__(self) -> int: ...


@dataclass
class Fraction:
    """One amount of labels: for each seed the positions of its labelled samples among the training samples."""

    per_class: Amount
    positions: dict[int, Index]

    def labels(self, seed: int) -> int:
        return len(self.positions[seed])


def _chosen(codes: Index, groups: Index | None, amount: Amount, seed: int, unit: Literal["image", "group"]) -> Index:
    """Positions of the labelled samples."""
    if amount is None:
        return np.arange(len(codes))
    if amount < 1:
        return subset(codes, groups, share=amount, seed=seed, unit=unit)
    return subset(codes, groups, per_class=int(amount), seed=seed, unit=unit)


def fractions_of(
    train: Samples,
    per_class: Sequence[Amount],
    seeds: Sequence[int],
    config: TransferConfig,
    cases: Index | None = None,
    kinds: str = "classes",
) -> tuple[list[Fraction], list[str]]:
    """The nested fractions, smallest first, and notes.

    A class with fewer samples than a fraction asks gives what it has; a fraction that would add no label to the one
    before is left out. ``cases`` (N,): a label is one of all samples of a case. ``kinds``: what the codes of ``train``
    are, in words.
    """
    found: list[Fraction] = []
    notes = []
    unit = config.label_unit if cases is None else "group"
    groups = train.groups if cases is None else cases
    one = np.arange(len(train)) if cases is None else np.unique(cases, return_index=True)[1]
    counts = np.bincount(train.codes[one], minlength=max(1, len(train.classes)))
    counts = counts[counts > 0]

    def named(wanted: Amount) -> str:
        whole = not train.classes and wanted is not None and wanted >= 1
        return f"{wanted:,} labels" if whole else in_words(wanted)

    for wanted in sorted(set(per_class), key=lambda n: np.inf if n is None else n):
        fraction = Fraction(wanted, {seed: _chosen(train.codes, groups, wanted, seed, unit) for seed in seeds})
        if found and fraction.labels(seeds[0]) == found[-1].labels(seeds[0]):
            notes.append(f"{named(wanted)}: no label more than before, left out")
            continue
        short = int((counts < wanted).sum()) if wanted is not None and (unit == "image" or cases is not None) else 0
        if short:
            who = f"{short} of {len(counts)} {kinds} have fewer and give what they have"
            notes.append(f"{named(wanted)}: {who if train.classes else 'there are fewer, and all are taken'}")
        found.append(fraction)
    return found, notes
