"""The crossing point: with how many labels an arm equals a baseline that has all of them (Azizi et al., arXiv 2101.05224,
section 4.4), read off the arm's label curve, with an interval by drawing the seeds anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from foretell.transfer.measures.summary import labels_for

Row = dict[str, Any]
Curve = list[tuple[int, dict[int, float]]]  # labels, then seed -> score

DRAWS = 1000
PAIRS = (("pretrained", "scratch"), ("pretrained", "supervised"), ("probe", "scratch"), ("probe", "supervised"))


def curve_of(rows: Sequence[Row], arm: str, metric: str) -> Curve:
    """The scores of every seed at every number of labels of ``arm``, fewest labels first."""
    points: dict[int | None, tuple[int, dict[int, float]]] = {}
    for row in rows:
        if row["arm"] == arm and row[metric] is not None:
            points.setdefault(row["per_class"], (row["labels"], {}))[1][row["seed"]] = float(row[metric])
    return sorted(points.values(), key=lambda point: point[0])


def labels_to_reach(ours: Curve, score: float, seeds: Sequence[int]) -> float:
    """Labels that the mean curve of ``seeds`` needs for ``score``: 0 where the fewest are enough, inf where none are."""
    means = [(labels, float(np.mean([by_seed[seed] for seed in seeds]))) for labels, by_seed in ours]
    labels, reading = labels_for(score, means)
    if labels is not None:
        return labels
    return 0.0 if reading == "fewer than" else math.inf


def _record(labels: float) -> Row:
    if math.isinf(labels):
        return {"labels": None, "reading": "more than"}
    return {"labels": round(labels), "reading": "about"} if labels else {"labels": None, "reading": "fewer than"}


def crossing(
    rows: Sequence[Row], arm: str, against: str, metric: str, *, draws: int = DRAWS, level: float = 0.95
) -> Row | None:
    """With how many labels ``arm`` reaches the mean of ``against`` with its most; None where one of them has no rows.

    {"at", "low", "high"}: each {"labels", "reading"} as ``summary.labels_for`` reads a curve: about so many, interpolated
    on the logarithm of the labels, or fewer than the fewest or more than the most that were tried (labels None). ``low``
    and ``high`` are percentiles over ``draws`` in which the seeds are drawn with replacement, the same for both arms; None
    with one seed. "of": the labels of ``against``, which are "all" that there are or not; "fewest" and "most" are those of
    ``arm``.
    """
    ours, others = curve_of(rows, arm, metric), curve_of(rows, against, metric)
    if not ours or not others:
        return None
    whole, baseline = others[-1]
    seeds = sorted(set(baseline).intersection(*(by_seed for _, by_seed in ours)))
    if not seeds:
        return None

    def found(chosen: Sequence[int]) -> float:
        return labels_to_reach(ours, float(np.mean([baseline[seed] for seed in chosen])), chosen)

    low: Row | None = None
    high: Row | None = None
    if len(seeds) > 1:
        rng = np.random.default_rng(0)
        drawn = np.sort([found(rng.choice(seeds, len(seeds)).tolist()) for _ in range(draws)])
        # Ranks, not interpolated percentiles: one end may be infinite.
        low, high = (_record(float(drawn[round(q * (draws - 1))])) for q in ((1 - level) / 2, (1 + level) / 2))
    return {
        "arm": arm,
        "against": against,
        "metric": metric,
        "score": float(np.mean([baseline[seed] for seed in seeds])),
        "of": whole,
        "all": any(row["arm"] == against and row["per_class"] is None for row in rows),
        "at": _record(found(seeds)),
        "low": low,
        "high": high,
        "fewest": ours[0][0],
        "most": ours[-1][0],
        "n": len(seeds),
    }


def crossings(rows: Sequence[Row], metric: str) -> list[Row]:
    """``crossing`` of every pair in ``PAIRS`` that has rows."""
    found = (crossing(rows, arm, against, metric) for arm, against in PAIRS)
    return [one for one in found if one is not None]


def number(labels: Row, entry: Row) -> str:
    """A number of labels as it is read: "31", "fewer than 11", "more than 88"."""
    ends = {"fewer than": entry["fewest"], "more than": entry["most"]}
    reading = labels["reading"]
    return f"{reading} {ends[reading]}" if reading in ends else str(labels["labels"])


def _spread(entry: Row) -> str:
    if entry["low"] is None:
        return "one seed leaves the spread unknown"
    low, high = number(entry["low"], entry), number(entry["high"], entry)
    if low == high and entry["low"]["labels"] is None:
        return f"the whole 95% interval is {low}, {entry['n']} seeds"
    return f"95% interval {low} to {high}, {entry['n']} seeds"


def sentence(entry: Row, titles: dict[str, str]) -> str:
    """What a crossing says, for a person; ``titles`` names the arms."""
    ours, others = titles[entry["arm"]], titles[entry["against"]]
    at = number(entry["at"], entry)
    share = f" ({entry['at']['labels'] / entry['of']:.0%})" if entry["at"]["labels"] else ""
    every = "all " if entry.get("all", True) else ""
    return (
        f"{ours} equals {others} with {every}{entry['of']} labels ({entry['metric'].replace('_', ' ')} {entry['score']:.1%}) at "
        f"{at}{share}; {_spread(entry)}"
    )
