"""Another domain, with no training on it: what each arm loses there, and what each level of pretraining gains (Azizi et
al., arXiv 2101.05224, section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foretell.data.domains import rows_of, rows_unknown, told_unknown
from foretell.errors import InputError
from foretell.measures.intervals import alike, paired
from foretell.measures.metrics import metric_name
from foretell.measures.redrawn import spread
from foretell.transfer.images.labelled import Index

if TYPE_CHECKING:
    from foretell.data.store import ImageStore
    from foretell.transfer.images.labelled import Labelled

Row = dict[str, Any]
LISTED = 5  # classes that a note names
PREFIX = "shift_"  # of a metric's name, for its value on the other domain
LEVELS = ("random", "supervised", "probe", "pretrained")


def apart(store: ImageStore, shift: str, train: Index, test: Index) -> tuple[Index, Index, Index, list[str]]:
    """(training rows, test rows, rows of the other domain, notes): nothing of the domain is in the first two.

    Rows of the domain whose group, or case of no group, has training rows too are left out, and so are rows of the first two
    that have no value in its column: notes say how many.
    """
    other = rows_of(store, shift, "--shift")
    unsaid = np.intersect1d(rows_unknown(store, [shift], "--shift"), np.concatenate([train, test]))
    train, test = (np.setdiff1d(part, np.concatenate([other, unsaid])) for part in (train, test))
    notes = [told_unknown(store, unsaid, [shift])] if len(unsaid) else []
    if not len(train) or not len(test):
        part = "training" if not len(train) else "test"
        raise InputError(
            f"--shift {shift}: every {part} row is of that domain{' or without a value' if notes else ''}; give one that the "
            "split leaves rows beside"
        )
    identities, noun = store.table.identities(), store.table.identity
    if identities is None:
        return train, test, other, notes
    learnt = {identities[row] for row in train} - {None}
    alone = np.array([identities[row] not in learnt for row in other])
    if not alone.any():
        raise InputError(
            f"--shift {shift}: every {noun} of that domain has training rows in another; nothing is left to test"
        )
    count = int((~alone).sum())
    if count:
        notes.append(f"{count} images of {shift} left out: their {noun} has training images in another domain")
    return train, test, other[alone], notes


def unlike(held: Labelled, shifted: Labelled, metric: str, shift: str) -> list[str]:
    """A note where ``metric`` is a mean over other classes, or findings, at home than on the domain: their drop is then not
    that of one classifier alone.
    """
    noun = "classes" if held.targets is None else "findings"
    if held.targets is None and metric == "accuracy":
        return []
    home, away = (_averaged(part) for part in (held, shifted))
    only = [
        (name, "at home" if here else "there")
        for name, here, there in zip(held.classes, home, away, strict=True)
        if here != there
    ]
    if not only:
        return []
    listed = ", ".join(f"{name} ({where})" for name, where in only[:LISTED]) + (", ..." if len(only) > LISTED else "")
    return [
        f"{shift}: {metric_name(metric)} is a mean over other {noun} than at home; judged in one place alone: {listed}. The drops "
        "hold that too"
    ]


def _averaged(data: Labelled) -> list[bool]:
    """Of which classes, or findings, the samples of ``data`` tell: those that occur, and those that are there and not there."""
    if data.targets is None:
        return [bool(count) for count in np.bincount(data.codes, minlength=len(data.classes))]
    return [bool((column == 1).any() and (column == 0).any()) for column in data.targets.T]


def _by_seed(rows: Sequence[Row], arm: str, per_class: int | None, metric: str) -> dict[int, float]:
    return {
        row["seed"]: float(row[metric])
        for row in rows
        if row["arm"] == arm and row["per_class"] == per_class and row.get(metric) is not None
    }


def _points(rows: Sequence[Row]) -> list[tuple[str, int | None, int]]:
    """(arm, per_class, labels) of the rows, each once, in their order."""
    return list(
        {(row["arm"], row["per_class"]): (row["arm"], row["per_class"], row["labels"]) for row in rows}.values()
    )


def drops(rows: Sequence[Row], metric: str, redrawn: Sequence[Row] = ()) -> list[Row]:
    """What each arm loses: ``metric`` on its own domain minus on the other, paired by seed, with the 95% t interval.

    ``redrawn`` adds the interval over test groups (``redrawn.spread``): those of the two domains vary independently, or
    together where both were tested on the same groups.
    """
    found = []
    for arm, per_class, labels in _points(rows):
        inside, outside = (_by_seed(rows, arm, per_class, name) for name in (metric, PREFIX + metric))
        seeds = sorted(inside.keys() & outside.keys())
        if not seeds:
            continue
        interval = paired([inside[seed] for seed in seeds], [outside[seed] for seed in seeds]).within(-1, 1)
        means = {name: float(np.mean([by[seed] for seed in seeds])) for name, by in (("in", inside), ("out", outside))}
        drop = {**interval.record(), **spread(redrawn, per_class, (arm, metric), (arm, PREFIX + metric))}
        found.append({"arm": arm, "per_class": per_class, "labels": labels, "metric": metric, **means, "drop": drop})
    return found


def gains(
    rows: Sequence[Row],
    metric: str,
    against: str = "scratch",
    *,
    arms: Sequence[str] = LEVELS,
    redrawn: Sequence[Row] = (),
) -> list[Row]:
    """What each of ``arms`` gains over ``against`` on its own domain and on the other, and how much more there.

    {"in", "out", "more"}: differences paired by seed, with their 95% t intervals; "more" is of "out" over "in". ``redrawn``
    adds the intervals over test groups to the first two.
    """
    found = []
    for arm, per_class, labels in _points(rows):
        if arm not in arms or arm == against:
            continue
        ours, others = (
            [_by_seed(rows, name, per_class, one) for one in (metric, PREFIX + metric)] for name in (arm, against)
        )
        seeds = sorted(set.intersection(*(set(by) for by in (*ours, *others))))
        if not seeds:
            continue
        inside, outside = ([a[seed] - b[seed] for seed in seeds] for a, b in zip(ours, others, strict=True))
        nothing = [0.0] * len(seeds)
        at_home, away = (spread(redrawn, per_class, (arm, one), (against, one)) for one in (metric, PREFIX + metric))
        found.append(
            {
                "arm": arm,
                "against": against,
                "per_class": per_class,
                "labels": labels,
                "metric": metric,
                "in": {**paired(inside, nothing).within(-1, 1).record(), **at_home},
                "out": {**paired(outside, nothing).within(-1, 1).record(), **away},
                "more": paired(outside, inside).within(-2, 2).record(),
            }
        )
    return found


def _span(record: Row) -> str:
    if record["n"] < 2:
        return f"{100 * record['mean']:+.1f} points (one seed)"
    if alike(record["low"], record["high"]):
        return f"{100 * record['mean']:+.1f} points (all seeds alike)"
    return f"{100 * record['mean']:+.1f} points ({100 * record['low']:+.1f} to {100 * record['high']:+.1f})"


def lines(shift: Row, titles: dict[str, str]) -> list[str]:
    """The drops and gains for a person, one line an arm and number of labels."""
    said = []
    for row in shift["drops"]:
        said.append(
            f"  {titles[row['arm']]}, {row['labels']} labels: {row['in']:.1%} at home, {row['out']:.1%} on {shift['domain']}: "
            f"drop {_span(row['drop'])}"
        )
    for row in shift["gains"]:
        said.append(
            f"  {titles[row['arm']]} over {titles[row['against']]}, {row['labels']} labels: {_span(row['in'])} at home, "
            f"{_span(row['out'])} on {shift['domain']}"
        )
    return said
