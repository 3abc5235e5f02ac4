"""From the rows of a comparison to its summary: intervals over seeds, paired differences, labels and steps saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from foretell.measures.intervals import EQUAL, Interval, Verdict, paired, t_interval
from foretell.measures.metrics import METRICS

Row = dict[str, Any]

PAIRS = (
    ("pretrained", "scratch"),
    ("probe", "scratch"),
    ("pretrained", "random"),
    ("probe", "random"),
    ("pretrained", "probe"),
    ("pretrained", "supervised"),
    ("supervised", "scratch"),
    ("pretrained", "tfidf"),
    ("probe", "tfidf"),
    ("scratch", "tfidf"),
    ("pretrained", "baseline"),
    ("probe", "baseline"),
    ("scratch", "baseline"),
)


LOWER = ("brier", "ece")  # whose lower value is the better one
MOST = {"brier": 2.0}  # the largest value of a metric; of those that are not named, shares, 1
_OTHER: dict[Verdict, Verdict] = {"better": "worse", "worse": "better", "undecided": "undecided"}


def _named(metric: str) -> str:
    """``metric`` without "shift_" or "image_" before it."""
    return metric.removeprefix("shift_").removeprefix("image_")


def verdict_of(interval: Interval, metric: str) -> Verdict:
    """Whether a difference of ``metric`` (with or without "image_" or "shift_" before it) speaks for the first arm."""
    return _OTHER[interval.verdict] if _named(metric) in LOWER else interval.verdict


def bounded(interval: Interval, metric: str) -> Interval:
    """The interval of a mean of ``metric``, cut to the values that are possible."""
    return interval.within(0, MOST.get(_named(metric), 1.0))


def bounded_difference(interval: Interval, metric: str) -> Interval:
    """The interval of a difference of ``metric``, cut to the values that are possible."""
    most = MOST.get(_named(metric), 1.0)
    return interval.within(-most, most)


def _value(row: Row, metric: str) -> float:
    return math.nan if row[metric] is None else float(row[metric])


def _points(rows: Sequence[Row], amount: str) -> list[int | None]:
    """The amounts of labels in rising order; None (all labels) is the last."""
    return sorted({row[amount] for row in rows}, key=lambda point: math.inf if point is None else point)


def summarise(
    rows: Sequence[Row], metrics: Sequence[str] = METRICS, amount: Sequence[str] = ("per_class", "labels")
) -> list[Row]:
    """Mean and 95% t interval over seeds, within its bounds, for every arm, amount of labels and metric.

    ``amount``: the columns that say how many labels a row has; rows with the same value of the first belong together.
    """
    summary = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        for point in _points(rows, amount[0]):
            own = [row for row in rows if row["arm"] == arm and row[amount[0]] == point]
            for metric in metrics if own else ():
                interval = bounded(t_interval([_value(row, metric) for row in own]), metric)
                labels = {name: own[0][name] for name in amount}
                summary.append({"arm": arm, **labels, "metric": metric, **interval.record()})
    return summary


def differences(
    rows: Sequence[Row],
    metrics: Sequence[str] = METRICS,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    amount: Sequence[str] = ("per_class", "labels"),
) -> list[Row]:
    """Paired differences over seeds for the ``pairs`` of arms, with "better", "worse" or "undecided"; their 95% t intervals
    within their bounds. ``amount`` as ``summarise``."""
    found = []
    for point in _points(rows, amount[0]):
        for arm, against in pairs:
            ours = {row["seed"]: row for row in rows if row["arm"] == arm and row[amount[0]] == point}
            others = {row["seed"]: row for row in rows if row["arm"] == against and row[amount[0]] == point}
            seeds = sorted(ours.keys() & others.keys())
            for metric in metrics if seeds else ():
                raw = paired(
                    [_value(ours[seed], metric) for seed in seeds], [_value(others[seed], metric) for seed in seeds]
                )
                interval = bounded_difference(raw, metric)
                found.append(
                    {
                        **{name: ours[seeds[0]][name] for name in amount},
                        "arm": arm,
                        "against": against,
                        "metric": metric,
                        "difference": interval.mean,
                        "low": interval.low,
                        "high": interval.high,
                        "n": interval.n,
                        "verdict": verdict_of(interval, metric),
                    }
                )
    return found


def _means(summary: Sequence[Row], arm: str, metric: str) -> list[tuple[int, float]]:
    return sorted((row["labels"], row["mean"]) for row in summary if row["arm"] == arm and row["metric"] == metric)


def labels_for(score: float, curve: Sequence[tuple[int, float]]) -> tuple[int | None, str]:
    """How many labels the curve of (labels, mean score) needs for ``score``, and how that number is to be read.

    "about": interpolated on the logarithm of the labels between two points of the curve's running maximum;
    "fewer than": the smallest point is above it already; "more than": no point reaches it. None for the last two. Scores that
    differ by rounding alone (``EQUAL``) are the same.
    """
    best = -math.inf
    last: tuple[int, float] | None = None
    for labels, value in curve:
        if value > score - EQUAL:
            if last is None:
                return (labels, "about") if value < score + EQUAL else (None, "fewer than")
            share = min(1.0, max(0.0, (score - best) / (value - best)))
            return round(math.exp(math.log(last[0]) + share * (math.log(labels) - math.log(last[0])))), "about"
        if value > best:
            best = value
        last = (labels, best)
    return None, "more than"


def labels_saved(summary: Sequence[Row], metric: str, arm: str = "pretrained", against: str = "scratch") -> Row | None:
    """For each number of labels of ``arm``: with how many labels ``against`` reaches the same mean score."""
    ours, others = _means(summary, arm, metric), _means(summary, against, metric)
    if not ours or not others:
        return None
    points = []
    for labels, score in ours:
        equal, reading = labels_for(score, others)
        points.append(
            {
                "labels": labels,
                "score": score,
                "equals_scratch_with": equal,
                "reading": reading,
                "most_tried": others[-1][0],
            }
        )
    return {"arm": arm, "against": against, "points": points}


def _widest(curves: Sequence[Sequence[Sequence[float]]]) -> int:
    """The most steps between two looks of any of the curves of (step, ...), or before the first."""
    return max(
        int(later[0] - earlier[0]) for curve in curves for earlier, later in zip([[0], *curve], curve, strict=False)
    )


def to_reach(rows: Sequence[Row], arm: str = "pretrained", against: str = "scratch", *, samples: int) -> Row | None:
    """Steps and seconds each of two arms takes to reach the final score of ``against``, from the curves of the
    first seed, which are scored on ``samples`` test samples.

    "all" has an entry for each number of labels, ascending; steps and seconds are those of the first look at which an arm
    is there, and None where it does not get there. "every" is the most steps between two looks. None without curves.
    """
    found = []
    for per_class in _points(rows, "per_class"):
        pair = {
            name: next((r for r in rows if r["arm"] == name and r["per_class"] == per_class and r.get("curve")), None)
            for name in (arm, against)
        }
        ours, others = pair[arm], pair[against]
        if ours is None or others is None:
            continue
        score = others["curve"][-1][2]
        steps: dict[str, int | None] = {}
        seconds: dict[str, float | None] = {}
        for name, row in ((arm, ours), (against, others)):
            at = next((point for point in row["curve"] if point[2] >= score), None)
            steps[name], seconds[name] = (None, None) if at is None else (at[0], at[1])
        found.append(
            {
                "labels": ours["labels"],
                "per_class": per_class,
                "score": score,
                "steps": steps,
                "seconds": seconds,
                "every": _widest([ours["curve"], others["curve"]]),
            }
        )
    return {"arm": arm, "against": against, "samples": samples, "all": found} if found else None
