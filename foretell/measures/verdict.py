"""Two plain sentences on what pretraining was worth, from paired intervals; they also say where it was not worth
it, and a third where untrained features may do as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from foretell.measures.intervals import EQUAL, alike
from foretell.measures.metrics import metric_name

Row = dict[str, Any]

FEW = 100  # test samples below which their number is told with a verdict


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _points(value: float) -> str:
    """A difference of shares in percentage points, signed with a true minus."""
    return f"{100 * value:+.1f}".replace("-", "−")


def _listed(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"{numbers[0]}"
    return f"{', '.join(str(n) for n in numbers[:-1])} and {numbers[-1]}"


def _labels(numbers: Sequence[int]) -> str:
    return f"{_listed(numbers)} label{'' if list(numbers) == [1] else 's'}"


def _span(row: Row, seeds: str = "") -> str:
    """The difference with its interval ``seeds`` in words, and the one over groups of the test part where it is known."""
    groups = f", {_points(row['group_low'])} to {_points(row['group_high'])} over groups" if _grouped(row) else ""
    if _tied(row):
        return f"the same score in each of {row['n']} seeds{groups}"
    interval = f"95% interval {_points(row['low'])} to {_points(row['high'])}{seeds}"
    if _still(row):
        interval = f"the same in each of {row['n']} seeds, which leaves its spread unknown"
    return f"{_points(row['difference'])} points, {interval}{groups}"


def _still(row: Row) -> bool:
    """Whether all seeds, two or more, have the same difference: its spread is unknown."""
    return not _missing(row["low"]) and alike(row["low"], row["high"])


def _tied(row: Row) -> bool:
    """Whether both arms score the same in every seed, of two or more."""
    return _still(row) and abs(row["difference"]) < EQUAL


def _grouped(row: Row) -> bool:
    """Whether there is an interval over groups that says something: not where every drawn test part is alike."""
    return not _missing(row.get("group_low")) and not alike(row["group_low"], row["group_high"])


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _pair(paired: Sequence[Row], arm: str, against: str, metric: str) -> list[Row]:
    rows = [r for r in paired if (r["arm"], r["against"], r["metric"]) == (arm, against, metric)]
    return sorted(rows, key=lambda row: int(row["labels"]))


def verdict(paired: Sequence[Row], summary: Sequence[Row], metric: str = "accuracy") -> str:
    """Two sentences from ``summary.differences`` and ``summary.summarise``, or three.

    A difference counts where its 95% interval over seeds does not span zero, nor that over groups of the test part where it
    is known. The first sentence says where pretraining paid, or that it did not; the second where the advantage ends, or what
    else was seen; the third, of a pretraining that paid, where it was not shown to beat random frozen features.
    """
    rows = _pair(paired, "pretrained", "scratch", metric)
    name = metric_name(metric)
    if not rows:
        return (
            "Whether pretraining was worth it is not known. "
            "The comparison lacks the pretrained arm, the one from scratch, or both."
        )
    if all(_missing(row["low"]) for row in rows):
        best = max(rows, key=lambda row: float(row["difference"]))
        return (
            f"One seed leaves the spread unknown, so it is undecided whether pretraining was worth it "
            f"(largest difference {_points(best['difference'])} points of {name}, at {_labels([best['labels']])}). "
            "Compare with three seeds or more."
        )
    means = {(row["arm"], row["labels"]): row["mean"] for row in summary if row["metric"] == metric}
    by = {word: [row for row in rows if row["verdict"] == word] for word in ("better", "worse", "undecided")}
    seeds = rows[0]["n"]
    if by["better"]:
        paid = _paid(rows, by, means, name, seeds)
        return f"{paid} {_beside_random(by['better'], paired, means, metric)}".strip()
    return _did_not(rows, by, paired, metric, name, seeds)


def _paid(rows: list[Row], by: dict[str, list[Row]], means: dict[Any, float], name: str, seeds: int) -> str:
    top = max(by["better"], key=lambda row: float(row["difference"]))
    at = top["labels"]
    first = (
        f"Pretraining was worth it with {_labels([row['labels'] for row in by['better']])}: with {at}, {name} is "
        f"{_percent(means['pretrained', at])} after pretraining and {_percent(means['scratch', at])} from scratch "
        f"({_span(top, f' over {seeds} seeds')})."
    )
    last = by["better"][-1]["labels"]
    beyond = [row for row in rows if row["labels"] > last]
    before = [row["labels"] for row in by["undecided"] if row["labels"] < last]
    lost = [row["labels"] for row in by["worse"] if row["labels"] < last]
    aside = f"; with {_labels(before)} it is undecided" if before else ""
    aside += f"; with {_labels(lost)} it was worse than from scratch" if lost else ""
    if not beyond:
        return f"{first} The advantage had not ended at {_labels([last])}, the most that was tried{aside}."
    end = beyond[0]
    worse = [row for row in beyond if row["verdict"] == "worse"]
    if worse:
        row = worse[0]
        return (
            f"{first} It was not worth it with {_labels([row['labels']])}, where training from scratch is better "
            f"({_span(row)}); the advantage ends between {last} and {end['labels']} labels{aside}."
        )
    open_ = "undecided" if any(map(_still, beyond)) else "within its spread"
    return (
        f"{first} The advantage ends between {last} and {end['labels']} labels: with "
        f"{_listed([row['labels'] for row in beyond])} the difference is {open_} ({_span(end)}), so there "
        f"pretraining was not shown to be worth it{aside}."
    )


def _beside_random(paid: list[Row], paired: Sequence[Row], means: dict[Any, float], metric: str) -> str:
    """A sentence on the numbers of labels that ``paid`` where random frozen features may do as well; "" where there are
    none, or that arm was not measured."""
    amounts = {row["labels"] for row in paid}
    open_ = [
        row
        for row in _pair(paired, "pretrained", "random", metric)
        if row["labels"] in amounts and row["verdict"] != "better"
    ]
    if not open_:
        return ""
    least = min(open_, key=lambda row: float(row["difference"]))
    at = least["labels"]
    where = f": with {at} they have" if len(open_) > 1 else ", where they have"
    return (
        f"It was not shown to beat random frozen features with {_labels([row['labels'] for row in open_])}{where} "
        f"{_percent(means['random', at])} ({_span(least)})."
    )


def _did_not(
    rows: list[Row], by: dict[str, list[Row]], paired: Sequence[Row], metric: str, name: str, seeds: int
) -> str:
    more = ", more groups" if any(map(_grouped, rows)) else ""
    first = f"Pretraining was not shown to be worth it: {_never_ahead(rows, seeds)}."
    probe = [row for row in _pair(paired, "probe", "scratch", metric) if row["verdict"] == "better"]
    if probe:
        row = max(probe, key=lambda item: float(item["difference"]))
        second = (
            f"Frozen, with a linear probe, the same encoder did beat it with "
            f"{_labels([item['labels'] for item in probe])} ({_span(row)} with {row['labels']})"
        )
        random = {item["labels"]: item["verdict"] for item in _pair(paired, "probe", "random", metric)}
        if random and all(random.get(item["labels"]) != "better" for item in probe):
            second += ", without being shown to beat random features"
        second += (
            f"; fine-tuned it was worse with {_labels([r['labels'] for r in by['worse']])}." if by["worse"] else "."
        )
    elif by["worse"]:
        row = min(by["worse"], key=lambda item: float(item["difference"]))
        second = (
            f"With {_labels([item['labels'] for item in by['worse']])} it was worse "
            f"({_span(row)} with {row['labels']}), so train from scratch there."
        )
    elif any(map(_still, rows)):
        second = f"More seeds{more}, more test samples or longer pretraining would have to tell."
    else:
        exceeded = "both of its intervals" if more else "its interval"
        second = (
            f"No difference in {name} exceeds {exceeded}: more seeds{more} or longer pretraining would have to tell."
        )
    return f"{first} {second}"


def _never_ahead(rows: list[Row], seeds: int) -> str:
    """That fine-tuning beat training from scratch at no number of labels, or that it is open whether it did."""
    top = max(rows, key=lambda row: float(row["difference"]))
    with_ = f"with {_labels([row['labels'] for row in rows])}, fine-tuning after it"
    if all(map(_tied, rows)):
        return f"{with_} and training from scratch score the same in every seed"
    at = _labels([top["labels"]])
    if _still(top) and top["difference"] >= EQUAL:
        return f"fine-tuning after it leads training from scratch most at {at}, where the difference is undecided ({_span(top)})"
    tested = " and of the groups tested" if any(map(_grouped, rows)) else ""
    beyond = "" if _still(top) else f" beyond the spread of {seeds} seeds{tested}"
    return f"{with_} never beat training from scratch{beyond} (best at {at}: {_span(top)})"


def with_tested(result: Row, noun: str) -> str:
    """The verdict of a comparison, then on how many test samples (each a ``noun``) it is, where they are fewer than ``FEW``
    and no interval over groups of them tells how far off that may be."""
    told, samples = str(result["verdict"]), (result.get("test") or {}).get("samples")
    rows = _pair(result.get("paired") or [], "pretrained", "scratch", result.get("metric", "accuracy"))
    if not rows or not isinstance(samples, int) or samples >= FEW or any(map(_grouped, rows)):
        return told
    return f"{told} All of it is on {samples} test {noun}{'' if samples == 1 else 's'}: how far so few may be off is in no interval over seeds."


def beside(result: Row, against: str) -> str:
    """A sentence that sets fine-tuning and the probe beside another arm of a comparison, "" where it has none of
    them."""
    metric = result["metric"]
    means = {(row["arm"], row["labels"]): row["mean"] for row in result["summary"] if row["metric"] == metric}
    names = {"pretrained": "fine-tuned", "probe": "probe"}
    told = []
    for labels in sorted(labels for arm, labels in means if arm == against):
        parts = []
        for arm, name in names.items():
            for row in _pair(result["paired"], arm, against, metric):
                if row["labels"] == labels:
                    word = "undecided" if _missing(row["low"]) else row["verdict"]
                    parts.append(f"{name} {_percent(means[arm, labels])}, {word}")
        if parts:
            told.append(f"with {_labels([labels])} {_percent(means[against, labels])} ({'; '.join(parts)})")
    if not told:
        return ""
    return f"{result['arms'][against]['title']}, beside pretraining: {'; '.join(told)}."
