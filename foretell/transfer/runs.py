"""Several runs beside each other: starts (scratch, supervised, one pretext task or two) and widths in one table, from the
comparisons that the runs hold.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foretell.errors import InputError
from foretell.measures.intervals import ALIKE, paired, t_interval
from foretell.run import Run
from foretell.transfer.labels import same_labels

Row = dict[str, Any]


def _names(paths: Sequence[Path | str]) -> list[str]:
    """What to call each run: its folder, and as many of those above as tell it from the others of that name.

    Raises InputError for a run that is given twice.
    """
    whole = [Path(os.path.abspath(path)).parts for path in paths]
    twice = next((path for path, own in zip(paths, whole, strict=True) if whole.count(own) > 1), None)
    if twice is not None:
        raise InputError(f"{twice}: is given twice; expected runs that differ")
    names = []
    for own in whole:
        count = 1
        while sum(other[-count:] == own[-count:] for other in whole) > 1:
            count += 1
        names.append(str(Path(*own[-count:])))
    return names


def _read(path: Path, name: str) -> Row:
    run = Run.read(path)
    found = run.read_json("results/comparison.json")
    if not found or not found.get("rows"):
        raise InputError(f"{path}: no comparison yet; make one with: foretell evaluate {path} --compare")
    facts = run.read_json("facts.json") or {}
    about = {"name": name, "encoder": facts.get("encoder", {}).get("name")}
    # a run of texts is compared on labelled texts, whose source its comparison names; one of images on its own
    data = found.get("data") if "task" in found else facts.get("data", {}).get("fingerprint")
    return {**about, **found, "data": data}


def _protocol(comparison: Row) -> Row:
    """What two comparisons must share for a difference of theirs to mean anything."""
    labels = sorted({(row["per_class"] or 0, row["labels"]) for row in comparison["rows"]})
    shared = ("metric", "classes", "seeds", "trials", "test")
    return {**{name: comparison[name] for name in shared}, "numbers of labels": labels}


def _differing(ours: Row, theirs: Row) -> list[str]:
    """What two comparisons differ in; what one of them did not keep, as its data or settings, is taken for the same."""
    first, second = _protocol(ours), _protocol(theirs)
    found = [name for name in first if first[name] != second[name]]
    if None not in (ours["data"], theirs["data"]) and ours["data"] != theirs["data"]:
        found.append("data")
    if not same_labels(ours, theirs) and not {"classes", "data"} & set(found):
        found.append("labels")
    settings = ours.get("settings") or {}
    others = theirs.get("settings") or {}
    return found + [f"transfer.{name}" for name in settings.keys() & others.keys() if settings[name] != others[name]]


def _points(comparison: Row) -> list[tuple[Any, int]]:
    """(amount, labels) of a comparison, fewest first.

    The labels are those of the first seed, as in its summary: where whole groups are labelled, each seed draws others.
    """
    found: dict[Any, int] = {}
    for row in comparison["rows"]:
        found.setdefault(row["per_class"], row["labels"])
    return sorted(found.items(), key=lambda point: point[1])


def _values(comparison: Row, arm: str, amount: Any) -> dict[int, float]:
    metric = comparison["metric"]
    return {
        row["seed"]: float(row[metric])
        for row in comparison["rows"]
        if row["arm"] == arm and row["per_class"] == amount and row[metric] is not None
    }


def compare_runs(paths: Sequence[Path | str]) -> Row:
    """The arms of all runs at every amount of labels, and their differences from the same arm of the first run.

    {"metric", "seeds", "rows": [{"run", "encoder", "arm", "per_class", "labels", "mean", "low", "high", "n"}], "paired":
    [{"run", "against", "arm", "per_class", "labels", "difference", "low", "high", "n", "verdict"}]}, with 95% t intervals
    over seeds; "per_class" is the amount that was asked for, "labels" how many that were with the first seed. A run is
    called by its folder, with those above it that tell it from another of that name. An arm that does not depend on
    pretraining (scratch, random) is in the rows of every run: with one encoder its values agree.
    Raises InputError for fewer than two runs, a run given twice or without a comparison, and comparisons that differ in
    data, test part, seeds, search, numbers of labels or settings of fine-tuning.
    """
    if len(paths) < 2:
        raise InputError(f"comparing runs needs two or more, not {len(paths)}")
    found = [_read(Path(path), name) for path, name in zip(paths, _names(paths), strict=True)]
    first = found[0]
    for path, other in zip(paths[1:], found[1:], strict=True):
        differing = sorted(_differing(first, other))
        if differing:
            raise InputError(
                f"{path}: its comparison differs from that of {paths[0]} in {', '.join(differing)}; evaluate both with the "
                "same data, --seeds, --trials, --per-class and settings"
            )
    rows: list[Row] = []
    differences: list[Row] = []
    for run in found:
        for arm in run["arms"]:
            for amount, labels in _points(run):
                values = _values(run, arm, amount)
                where = {"run": run["name"], "arm": arm, "per_class": amount, "labels": labels}
                rows.append(
                    {**where, "encoder": run["encoder"], **t_interval(list(values.values())).within(0, 1).record()}
                )
                base = _values(first, arm, amount)
                seeds = sorted(values.keys() & base.keys())
                if run is first or not seeds:
                    continue
                interval = paired([values[seed] for seed in seeds], [base[seed] for seed in seeds]).within(-1, 1)
                spread = {"low": interval.low, "high": interval.high, "n": interval.n, "verdict": interval.verdict}
                differences.append({**where, "against": first["name"], "difference": interval.mean, **spread})
    return {"metric": first["metric"], "seeds": first["seeds"], "rows": rows, "paired": differences}


def _spread(row: Row) -> str:
    """The interval of a row in brackets; that there is none where all seeds are alike, and nothing for one seed."""
    if row["n"] < 2:
        return ""
    alike = row["low"] == row["high"]
    return f" ({ALIKE})" if alike else f" ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def table(result: Row) -> list[str]:
    """The rows as lines of Markdown, in percent: a line a run and arm, a column an amount of labels."""
    columns = list({row["per_class"]: row["labels"] for row in result["rows"]}.items())
    lines = [
        f"| run | encoder | arm | {' | '.join(f'{labels} labels' for _, labels in columns)} |",
        f"| --- | --- | --- | {' | '.join('---:' for _ in columns)} |",
    ]
    for run, encoder, arm in dict.fromkeys((row["run"], row["encoder"], row["arm"]) for row in result["rows"]):
        own = {row["per_class"]: row for row in result["rows"] if (row["run"], row["arm"]) == (run, arm)}
        shown = []
        for row in (own[amount] for amount, _ in columns):
            shown.append(f"{100 * row['mean']:.1f}{_spread(row)}")
        lines.append(f"| {run} | {encoder or ''} | {arm} | {' | '.join(shown)} |")
    return lines
