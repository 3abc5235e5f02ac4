"""The comparison of a pipeline's pretraining steps: equal search, labels, splits and test images for every arm."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foretell.encoders import build_encoder
from foretell.errors import InputError
from foretell.recipe import Recipe
from foretell.report import build as build_report
from foretell.run import Run
from foretell.transfer.compare import compare
from foretell.transfer.crossing import crossing
from foretell.transfer.intervals import paired
from foretell.verbs import common
from foretell.verbs.common import say
from foretell.verbs.pipelining import Step

FIRST = ("pretrained", "probe", "scratch", "random", "supervised")
LATER = ("pretrained", "probe")

Row = dict[str, Any]


def compare_step(step: Step, runs: Mapping[str, Path], start: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the ``runs`` by step name; ``start`` are the weights that the first of them started from ("": random).

    The arms that no pretraining changes (from scratch, random features, the start itself) are measured once. Each run also
    keeps its own comparison, and its report shows it. Returns {"arms", "rows", "summary", "paired", "crossing", "metric",
    ...}, its arms named by step. Raises InputError for data without labels or a test part.
    """
    parts: list[dict[str, Any]] = []
    for number, (name, folder) in enumerate(runs.items()):
        say(f"  {name}:")
        parts.append(_one(step, folder, start if not number else None, settings))
    return merged(list(runs), parts)


def _one(step: Step, folder: Path, start: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    read = common.read_run(folder)
    read.recipe = Recipe.load(folder / "recipe.toml", None, settings)
    config = read.recipe.transfer
    store = common.open_data(common.data_for(read, None))
    if not common.class_names(store):
        raise InputError(
            f"{store.source}: has no labels of two classes or more to compare by; give --labels FILE (a CSV with label, and "
            "path, patient, study or series)"
        )
    divided = common.divide_again(read, store, read.recipe.data)
    if not len(divided.test):
        raise InputError(f"{store.source}: no test part ({divided.how}); give a split column with test rows")
    supervised = None
    if start:
        chosen = read.recipe.encoder.model_copy(update={"weights": start})
        supervised = build_encoder(chosen, store.channels, read.encoder.side).eval()
    held = Run.resume(folder)
    try:
        result = compare(
            read.encoder.to(common.device_of(config.device)),
            store,
            train=divided.train,
            test=divided.test,
            views=config.views_after(read.views),
            per_class=numbers(step.per_class),
            seeds=range(step.seeds),
            arms=FIRST if start is not None else LATER,
            trials=step.trials,
            training=config,
            run=held,
            progress=_telling(),
            supervised=supervised,
            split=divided.how,
        )
        held.write_json("results/comparison.json", result)
        build_report(folder)
        return result
    finally:
        held.close()


def numbers(text: str) -> list[int | None]:
    """Numbers of labels a class of a text as "1,5,all"; None is all. Raises InputError."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word != "all" and not (word.isdigit() and int(word)):
            raise InputError(
                f"per_class = '{text}': expected numbers of at least 1 or 'all', as 1,5,10,all; not '{word}'"
            )
    return [None if word == "all" else int(word) for word in words]


def _telling() -> Any:
    last = [time.monotonic()]

    def progress(done: int, total: int, what: str) -> None:
        if time.monotonic() - last[0] > 5 or done == total:
            last[0] = time.monotonic()
            say(f"    {done / max(total, 1):.0%}: {what}")

    return progress


# putting together ------------------------------------------------------------


def merged(names: list[str], parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One comparison of all steps: a step's own arm has its name, a frozen one ends in ", probe"."""
    arms: dict[str, dict[str, str]] = {}
    rows: list[Row] = []
    summary: list[Row] = []
    for name, part in zip(names, parts, strict=True):
        renamed = {arm: _arm(name, arm) for arm in part["arms"]}
        arms |= {renamed[arm]: {"title": renamed[arm]} for arm in part["arms"]}
        rows += [{**row, "arm": renamed[row["arm"]]} for row in part["rows"]]
        summary += [{**row, "arm": renamed[row["arm"]]} for row in part["summary"]]
    first = parts[0]
    kept = {key: first.get(key) for key in ("metric", "classes", "test", "seeds", "trials", "notes")}
    baseline = "supervised" if "supervised" in arms else "scratch"
    pairs = [(name, other) for at, name in enumerate(names) for other in ("scratch", *names[:at])]
    if baseline == "supervised":
        pairs += [(name, baseline) for name in names]
    metric = str(first["metric"])
    return {
        **kept,
        "arms": arms,
        "rows": rows,
        "summary": summary,
        "paired": [row for arm, other in pairs for row in differences(rows, arm, other, metric)],
        "baseline": baseline,
        "crossing": [row for name in names if (row := crossing(rows, name, baseline, metric)) is not None],
        "fits": sum(part["cost"]["evaluations"] for part in parts),
    }


def _arm(step: str, arm: str) -> str:
    return {"pretrained": step, "probe": f"{step}, probe"}.get(arm, arm)


def _points(rows: list[Row]) -> list[int | None]:
    found = {row["per_class"] for row in rows}
    return sorted(found, key=lambda point: float("inf") if point is None else point)


def _scores(rows: list[Row], arm: str, per_class: int | None, metric: str) -> dict[int, float]:
    own = [row for row in rows if row["arm"] == arm and row["per_class"] == per_class and row[metric] is not None]
    return {int(row["seed"]): float(row[metric]) for row in own}


def differences(rows: list[Row], arm: str, against: str, metric: str) -> list[Row]:
    """``arm`` minus ``against`` at each number of labels, with the 95% t interval over paired seeds."""
    found = []
    for per_class in _points(rows):
        ours, others = _scores(rows, arm, per_class, metric), _scores(rows, against, per_class, metric)
        seeds = sorted(ours.keys() & others.keys())
        if seeds:
            interval = paired([ours[seed] for seed in seeds], [others[seed] for seed in seeds])
            labels = next(row["labels"] for row in rows if row["arm"] == arm and row["per_class"] == per_class)
            found.append(
                {
                    "arm": arm, "against": against, "metric": metric, "per_class": per_class, "labels": labels,
                    "difference": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n,
                    "verdict": interval.verdict,
                }
            )  # fmt: skip
    return found
