"""The crossing point: with how many labels an arm equals a baseline that has all of them (Azizi et al., arXiv 2101.05224,
section 4.4), read off the arm's label curve.

Its interval over seeds is that of an inverse prediction (Fieller 1954): the numbers of labels at which the paired Student's t
interval of (arm with so many, minus baseline with all) holds zero. That over test groups is of the crossings on the drawn
test parts (``redrawn``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from foretell.measures.intervals import EQUAL, t_interval
from foretell.measures.metrics import metric_name

Row = dict[str, Any]
Array = NDArray[np.float64]
Lead = list[tuple[int, Array]]  # labels, then arm minus baseline, one value a seed

LEVEL = 0.95
BELOW = ("fewer than", "at most")  # readings of a crossing that may lie anywhere below the fewest labels tried
PAIRS = (("pretrained", "scratch"), ("pretrained", "supervised"), ("probe", "scratch"), ("probe", "supervised"))


def _amounts(rows: Sequence[Row], arm: str, metric: str) -> dict[Any, tuple[int, dict[int, float]]]:
    """Amount -> its labels and the score of every seed, fewest labels first."""
    points: dict[Any, tuple[int, dict[int, float]]] = {}
    for row in rows:
        if row["arm"] == arm and row[metric] is not None:
            points.setdefault(row["per_class"], (row["labels"], {}))[1][row["seed"]] = float(row[metric])
    return dict(sorted(points.items(), key=lambda point: point[1][0]))


def _share(worse: Array, best: Array, read: Callable[[Array], float]) -> float:
    """How far it is from ``worse``, read below zero, to ``best``, read above it, until it reads zero."""
    return float(brentq(lambda share: read((1 - share) * worse + share * best), 0, 1))


def reached(lead: Lead, read: Callable[[Array], float]) -> float:
    """Labels at which ``read`` of the lead first reaches zero: 0 where the fewest are more than enough, the fewest themselves
    where they are just enough (fewer may be too), inf where none are.

    ``lead`` at rising numbers of labels. Between two of them it runs along the logarithm of the labels, and where its mean
    falls it stays at the best before: more labels are never worse than fewer. What ``read`` finds within ``EQUAL`` of zero is
    zero: means that tie differ by rounding.
    """
    before: tuple[float, Array] | None = None
    for labels, values in lead:
        best = values if before is None or values.mean() > before[1].mean() else before[1]
        at = math.log(labels)
        found = read(best)
        if found <= -EQUAL:
            before = (at, best)
            continue
        if abs(found) < EQUAL:
            return float(labels)
        if before is None:
            return 0.0
        start, worse = before
        return math.exp(start + _share(worse, best, read) * (at - start))
    return math.inf


def _record(labels: float, fewest: int) -> Row:
    """What ``reached`` found, where ``fewest`` are the fewest labels that were tried."""
    if math.isinf(labels):
        return {"labels": None, "reading": "more than"}
    if labels <= fewest:
        return {"labels": None, "reading": "at most" if labels else "fewer than"}
    return {"labels": round(labels), "reading": "about"}


def _mean(values: Array) -> float:
    return float(values.mean())


def _unknown(low: float, high: float, lead: Lead) -> bool:
    """Whether the ends of an interval agree for no better reason than that the ``lead`` there has no spread."""
    if not math.isclose(low, high, rel_tol=EQUAL):
        return False
    if lead[0][0] < low < math.inf:
        return True
    values = lead[0][1] if low <= lead[0][0] else max((own for _, own in lead), key=_mean)
    return float(np.ptp(values)) < EQUAL


def _over_seeds(lead: Lead) -> Row:
    """{"low", "high"}: where the upper and where the lower end of the t interval reaches zero; None with one seed, and where
    the seeds do not differ."""
    if len(lead[0][1]) < 2:
        return {"low": None, "high": None}
    low = reached(lead, lambda values: t_interval(values.tolist(), LEVEL).high)
    high = reached(lead, lambda values: t_interval(values.tolist(), LEVEL).low)
    if _unknown(low, high, lead):
        return {"low": None, "high": None}
    return {"low": _record(low, lead[0][0]), "high": _record(high, lead[0][0])}


def _over_groups(
    redrawn: Sequence[Row], metric: str, arm: str, against: tuple[str, Any], labels: dict[Any, int]
) -> Row:
    """{"group_low", "group_high"}: percentiles of the crossings on the drawn test parts; {} where too few are defined, or all
    are alike.

    ``against`` is an arm at one amount, ``labels`` those of each amount of ``arm``, fewest first.
    """
    values = {
        (row["arm"], row["per_class"]): np.asarray(row["values"], dtype=np.float64)
        for row in redrawn
        if row["metric"] == metric
    }
    ours = [(arm, amount) for amount in labels]
    if not values.keys() >= {against, *ours}:
        return {}
    leads = np.stack([values[point] - values[against] for point in ours], axis=1)
    defined = leads[~np.isnan(leads).any(axis=1)]
    if len(defined) < 2:
        return {}
    counts = list(labels.values())
    found = np.sort([reached(list(zip(counts, lead[:, None], strict=True)), _mean) for lead in defined])
    # Ranks, not interpolated percentiles: one end may be infinite.
    low, high = (float(found[round(q * (len(found) - 1))]) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    if _unknown(low, high, list(zip(counts, defined.T, strict=True))):
        return {}
    return {"group_low": _record(low, counts[0]), "group_high": _record(high, counts[0])}


def crossing(rows: Sequence[Row], arm: str, against: str, metric: str, redrawn: Sequence[Row] = ()) -> Row | None:
    """With how many labels ``arm`` reaches the mean of ``against`` with its most; None where one of them has no rows.

    {"at", "low", "high"}: each {"labels", "reading"}: about so many, interpolated on the logarithm of the labels, or (labels
    None) fewer than the fewest, at most the fewest (with these the scores are equal) or more than the most that were tried.
    ``low`` and ``high`` are the ends of the 95% interval over seeds, paired; None with one seed, and where the differences
    have no spread. ``redrawn`` (``redrawn.taken_from``) adds that over test groups, "group_low" and "group_high", where it has
    a spread. "of": the labels of ``against``, which are "all" that there are or not; "fewest" and "most" are those of ``arm``.
    """
    ours, others = _amounts(rows, arm, metric), _amounts(rows, against, metric)
    if not ours or not others:
        return None
    whole, (of, baseline) = list(others.items())[-1]
    seeds = sorted(set(baseline).intersection(*(by_seed for _, by_seed in ours.values())))
    if not seeds:
        return None
    lead = [(count, np.array([by_seed[seed] - baseline[seed] for seed in seeds])) for count, by_seed in ours.values()]
    labels = {amount: count for amount, (count, _) in ours.items()}
    return {
        "arm": arm,
        "against": against,
        "metric": metric,
        "score": float(np.mean([baseline[seed] for seed in seeds])),
        "of": of,
        "all": any(row["arm"] == against and row["per_class"] is None for row in rows),
        "at": _record(reached(lead, _mean), lead[0][0]),
        **_over_seeds(lead),
        **_over_groups(redrawn, metric, arm, (against, whole), labels),
        "fewest": lead[0][0],
        "most": lead[-1][0],
        "n": len(seeds),
    }


def crossings(rows: Sequence[Row], metric: str, redrawn: Sequence[Row] = ()) -> list[Row]:
    """``crossing`` of every pair in ``PAIRS`` that has rows."""
    found = (crossing(rows, arm, against, metric, redrawn) for arm, against in PAIRS)
    return [one for one in found if one is not None]


def number(labels: Row, entry: Row) -> str:
    """A number of labels as it is read: "1,654", "fewer than 11", "11 or fewer", "more than 88"."""
    reading = labels["reading"]
    if reading == "at most":
        return f"{entry['fewest']:,} or fewer"
    ends = {"fewer than": entry["fewest"], "more than": entry["most"]}
    return f"{reading} {ends[reading]:,}" if reading in ends else f"{labels['labels']:,}"


def _interval(low: Row, high: Row, entry: Row, over: str) -> str:
    least, most = number(low, entry), number(high, entry)
    if high["reading"] in BELOW or low["reading"] == "more than":
        return f"the whole 95% interval over {over} is {most}"
    least += ", the fewest that were tried," if low["reading"] in BELOW else ""
    most += ", the most that were tried" if high["reading"] == "more than" else ""
    return f"95% interval over {over}: {least} to {most}"


def _spread(entry: Row) -> str:
    seeds = f"{entry['n']} seeds"
    over_seeds = "one seed leaves the spread unknown"
    if entry["low"] is not None:
        over_seeds = _interval(entry["low"], entry["high"], entry, seeds)
    elif entry["n"] > 1:
        over_seeds = f"no interval, as the difference is the same in all {seeds}"
    if "group_low" not in entry:
        return over_seeds
    return f"{over_seeds}; {_interval(entry['group_low'], entry['group_high'], entry, 'test groups')}"


def sentence(entry: Row, titles: dict[str, str]) -> str:
    """What a crossing says, for a person, without a full stop; ``titles`` names the arms."""
    ours, others = titles[entry["arm"]], titles[entry["against"]]
    at = number(entry["at"], entry)
    about = (
        f"about {at} labels ({entry['at']['labels'] / entry['of']:.0%})" if entry["at"]["labels"] else f"{at} labels"
    )
    every = "all " if entry.get("all", True) else ""
    return (
        f"{ours[:1].upper()}{ours[1:]} needs {about} for the {metric_name(entry['metric'])} that {others} has with "
        f"{every}{entry['of']:,} ({entry['score']:.1%}); {_spread(entry)}"
    )
