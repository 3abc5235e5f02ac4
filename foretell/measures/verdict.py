"""Two plain sentences on what pretraining was worth, from paired intervals; they also say where it was not worth
it. Before them stands where an arm learnt nothing beyond guessing, after them where untrained features may do as well, or a
plain alternative is ahead of both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from foretell.measures.intervals import EQUAL, alike
from foretell.measures.metrics import metric_name

Row = dict[str, Any]

ARMS = {"pretrained": "fine-tuning after pretraining", "scratch": "training from scratch"}
PLAIN = {"tfidf": "TF-IDF", "baseline": "the plain baseline"}  # alternatives to both
FEW = 100  # test samples below which their number is told with a verdict


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _points(value: float) -> str:
    """A difference of shares in percentage points, signed with a true minus."""
    return f"{100 * value:+.1f}".replace("-", "−")


def _listed(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"{numbers[0]:,}"
    return f"{', '.join(f'{n:,}' for n in numbers[:-1])} and {numbers[-1]:,}"


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


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


def verdict(
    paired: Sequence[Row],
    summary: Sequence[Row],
    metric: str = "accuracy",
    *,
    guess: float | None = None,
    titles: Mapping[str, str] | None = None,
) -> str:
    """Two sentences from ``summary.differences`` and ``summary.summarise``, or up to four.

    A difference counts where its 95% interval over seeds does not span zero, nor that over groups of the test part where it
    is known. The first of the two sentences says where pretraining paid, or that it did not; the second where the advantage
    ends, or what else was seen. ``guess``, what answering the commonest class always comes to, puts one before them
    where an arm is no better; after them stands where a pretraining that paid was not shown to beat random frozen
    features, and where a plain alternative is ahead of both. ``titles`` names the arms.
    """
    rows = _pair(paired, "pretrained", "scratch", metric)
    name = metric_name(metric)
    if not rows:
        return (
            "Whether pretraining was worth it is not known. "
            "The comparison lacks the pretrained arm, the one from scratch, or both."
        )
    means = {(row["arm"], row["labels"]): row["mean"] for row in summary if row["metric"] == metric}
    guessing = {arm: no_better(summary, arm, metric, guess) for arm in ARMS}
    parts = [_guessing(guessing, name, guess)]
    names = ["tfidf", "baseline"]
    by = {word: [row for row in rows if row["verdict"] == word] for word in ("better", "worse", "undecided")}
    if all(guessing[arm] == [row["labels"] for row in rows] for arm in ARMS):
        parts.append("Whether pretraining was worth it is open: train longer, at another rate or on more labels.")
    elif all(_missing(row["low"]) for row in rows):
        largest = max(rows, key=lambda row: abs(float(row["difference"])))
        parts.append(
            f"One seed leaves the spread unknown, so it is undecided whether pretraining was worth it "
            f"(largest difference {_points(largest['difference'])} points of {name}, at {_labels([largest['labels']])}). "
            "Compare with three seeds or more."
        )
    elif by["better"]:
        parts += [_paid(rows, by, means, name, rows[0]["n"]), _beside_random(by["better"], paired, means, metric)]
        names.append("probe")
    else:
        parts.append(_did_not(rows, by, paired, metric, name, rows[0]["n"]))
    parts.append(_plain(names, paired, means, metric, titles or {}))
    return " ".join(filter(None, parts))


def no_better(summary: Sequence[Row], arm: str, metric: str, guess: float | None) -> list[int]:
    """The numbers of labels, ascending, at which the mean of ``arm`` is no higher than ``guess``."""
    if guess is None:
        return []
    own = (row for row in summary if (row["arm"], row["metric"]) == (arm, metric) and not _missing(row["mean"]))
    return sorted(int(row["labels"]) for row in own if row["mean"] <= guess + EQUAL)


def _guessing(found: Mapping[str, list[int]], name: str, guess: float | None) -> str:
    """That an arm, or both, learnt nothing beyond guessing; ``found``: arm -> at which numbers of labels."""
    if guess is None or not any(found.values()):
        return ""
    beside = f"{name} is no higher than the {_percent(guess)} of always answering the commonest class"
    ours, others = found["pretrained"], found["scratch"]
    if ours == others:
        return (
            f"With {_labels(ours)}, neither {ARMS['pretrained']} nor {ARMS['scratch']} learnt anything beyond guessing: "
            f"their {beside}."
        )
    told = [f"{ARMS[arm]} with {_labels(labels)}" for arm, labels in found.items() if labels]
    whose = "their" if len(told) > 1 else "its"
    return f"No more than guessing was learnt by {' and '.join(told)}: {whose} {beside}."


def _plain(
    names: Sequence[str], paired: Sequence[Row], means: Mapping[Any, float], metric: str, titles: Mapping[str, str]
) -> str:
    """That one of the plain alternatives ``names`` is ahead of both arms, and by how much of the nearer one; "" where none is."""
    found = []
    for name in names:
        over = {arm: {row["labels"]: row for row in _over(paired, name, arm, metric) if _ahead(row)} for arm in ARMS}
        both = sorted(over["pretrained"].keys() & over["scratch"].keys())
        for labels in both:
            arm = min(ARMS, key=lambda one: float(over[one][labels]["difference"]))
            found.append((over[arm][labels]["difference"], labels, name, arm, over[arm][labels], both))
    if not found:
        return ""
    _, labels, name, arm, row, both = max(found, key=lambda one: (one[0], -one[1]))
    title = titles.get(name) or PLAIN.get(name) or "a linear probe of the frozen pretrained encoder"
    return (
        f"{_begun(title)} is ahead of both with {_labels(both)}: with {labels:,} its {metric_name(metric)} is "
        f"{_percent(means[name, labels])}, more than that of {ARMS[arm]} by {_span(row)}."
    )


def _over(paired: Sequence[Row], name: str, arm: str, metric: str) -> list[Row]:
    """The differences of ``name`` over ``arm``, whichever way they are kept."""
    kept = [
        {
            **row,
            "difference": -row["difference"],
            **{low: None if row.get(high) is None else -row[high] for low, high in ENDS},
            "verdict": {"better": "worse", "worse": "better"}.get(row["verdict"], row["verdict"]),
        }
        for row in _pair(paired, arm, name, metric)
    ]
    return kept or _pair(paired, name, arm, metric)


ENDS = (("low", "high"), ("high", "low"), ("group_low", "group_high"), ("group_high", "group_low"))


def _ahead(row: Row) -> bool:
    """Whether a difference is above zero, decided or the same in all seeds."""
    return row["verdict"] == "better" or (_still(row) and not _grouped(row) and row["difference"] >= EQUAL)


def _paid(rows: list[Row], by: dict[str, list[Row]], means: dict[Any, float], name: str, seeds: int) -> str:
    top = max(by["better"], key=lambda row: float(row["difference"]))
    at = top["labels"]
    first = (
        f"Pretraining was worth it with {_labels([row['labels'] for row in by['better']])}: with {at:,}, {name} is "
        f"{_percent(means['pretrained', at])} after pretraining and {_percent(means['scratch', at])} from scratch "
        f"({_span(top, f' over {seeds} seeds')})."
    )
    last = by["better"][-1]["labels"]
    beyond = [row for row in rows if row["labels"] > last]
    before = [row["labels"] for row in by["undecided"] if row["labels"] < last]
    lost = [row for row in by["worse"] if row["labels"] < last]
    aside = f"; with {_labels(before)} it is undecided" if before else ""
    if lost:
        aside += f"; with {_labels([row['labels'] for row in lost])} it was worse than from scratch ({_worst(lost)})"
    if not beyond:
        return f"{first} The advantage had not ended at {_labels([last])}, the most that was tried{aside}."
    end = beyond[0]
    worse = [row for row in beyond if row["verdict"] == "worse"]
    if worse:
        row = worse[0]
        return (
            f"{first} It was not worth it with {_labels([row['labels']])}, where training from scratch is better "
            f"({_span(row)}); the advantage ends between {last:,} and {end['labels']:,} labels{aside}."
        )
    open_ = "undecided" if any(map(_still, beyond)) else "within its spread"
    return (
        f"{first} The advantage ends between {last:,} and {end['labels']:,} labels: with "
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
    where = f": with {at:,} they have" if len(open_) > 1 else ", where they have"
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
            f"{_labels([item['labels'] for item in probe])} ({_span(row)} with {row['labels']:,})"
        )
        random = {item["labels"]: item["verdict"] for item in _pair(paired, "probe", "random", metric)}
        if random and all(random.get(item["labels"]) != "better" for item in probe):
            second += ", without being shown to beat random features"
        lost = by["worse"]
        second += (
            f"; fine-tuned it was worse with {_labels([r['labels'] for r in lost])} ({_worst(lost)})." if lost else "."
        )
    elif by["worse"]:
        second = (
            f"With {_labels([item['labels'] for item in by['worse']])} it was worse ({_worst(by['worse'])}), so train from "
            "scratch there."
        )
    elif any(map(_still, rows)):
        second = f"More seeds{more}, more test samples or longer pretraining would have to tell."
    else:
        second = (
            f"Every difference in {name} may be chance{', of the seeds or of the groups tested' if more else ''}: more "
            f"seeds{more} or longer pretraining would have to tell."
        )
    return f"{first} {second}"


def _worst(lost: list[Row]) -> str:
    """The largest of the losses, in words."""
    row = min(lost, key=lambda item: float(item["difference"]))
    return f"{_span(row)} with {row['labels']:,}" if len(lost) > 1 else _span(row)


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
    nearest = "best" if top["difference"] > -EQUAL else "nearest to it"
    beyond = "" if _still(top) else f" beyond the spread of {seeds} seeds{tested}"
    return f"{with_} never beat training from scratch{beyond} ({nearest} at {at}: {_span(top)})"


def with_tested(result: Row, noun: str) -> str:
    """The verdict of a comparison, then on how many test samples (each a ``noun``) it is, where they are fewer than ``FEW``
    and no interval over groups of them tells how far off that may be."""
    told, test = str(result["verdict"]), result.get("test") or {}
    samples = test.get("samples")
    rows = _pair(result.get("paired") or [], "pretrained", "scratch", result.get("metric", "accuracy"))
    if not rows or not isinstance(samples, int) or samples >= FEW or any(map(_grouped, rows)):
        return told
    few = f"{samples} test {test.get('unit') or noun}{'' if samples == 1 else 's'}"
    return f"{told} All of it is on {few}: others might say otherwise, which intervals over seeds do not show."


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
    return f"{_begun(result['arms'][against]['title'])}, beside pretraining: {'; '.join(told)}."
