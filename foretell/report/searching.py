"""The report's part on the search of settings: how it went, and every trial of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from foretell.report import analysis, words
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Cell, Table
from foretell.transfer.labels import same_labels

SEARCHED = ("features", "rate", "steps", "epochs", "weight_decay", "strength", "schedule")
KEPT = "classifier kept"
DRAWN = {"random": "drawn at random", "tpe": "drawn by tpe (which learns from earlier trials)"}


def searches(run: Gathered) -> list[Json]:
    """Every search of the run: that of the classifier kept, then those of the arms.

    Each has "arm" (its name), "labels", "method", "trials" and what is known of the whole ("workers", "pruning", "budget").
    A trial has its number, settings, "validation", "state", "seconds" and whether it was "chosen".
    """
    return [search_of(arm, entry) for arm, entry in _entries(run)]


def search_of(arm: str, entry: Json) -> Json:
    """One of ``searches``: that of a comparison's ``entry``, ``arm`` in words."""
    return {
        "arm": arm,
        "labels": entry.get("labels"),
        "method": entry.get("method"),
        **{name: entry[name] for name in ("workers", "pruning", "budget") if name in entry},
        "trials": _trials(entry),
    }


def kept_classifier(run: Gathered) -> Json:
    """results/finetune.json, {} where it is of other data or labels or of another task than the comparison."""
    kept, comparison = run.results.get("finetune", {}), run.comparison
    both = [name for name in ("task", "data") if kept.get(name) and comparison.get(name)]
    same = all(kept[name] == comparison[name] for name in both) and same_labels(kept, comparison)
    return kept if same else {}


def _entries(run: Gathered) -> Iterator[tuple[str, Json]]:
    kept = kept_classifier(run)
    if kept.get("search"):
        yield KEPT, {**kept["search"], "labels": kept.get("labels")}
    for entry in run.comparison.get("search") or []:
        yield analysis.arm_name(run.comparison, str(entry.get("arm"))), entry


def _settings(trial: Json) -> Json:
    return {name: trial[name] for name in SEARCHED if trial.get(name) is not None}


def _trials(entry: Json) -> list[Json]:
    chosen, trials = _settings(entry.get("chosen") or {}), entry.get("trials") or []
    if not trials:
        return [{"trial": None, **chosen, "state": "not searched", "chosen": True}] if chosen else []
    best = next(
        (at for at, trial in enumerate(trials) if _state(trial) == "complete" and _settings(trial) == chosen), None
    )
    return [
        {
            "trial": at + 1,
            **_settings(trial),
            "validation": trial.get("validation"),
            "state": _state(trial),
            "seconds": trial.get("seconds"),
            "chosen": at == best,
            **{name: trial[name] for name in ("share", "failed") if name in trial},
        }
        for at, trial in enumerate(trials)
    ]


def _state(trial: Json) -> str:
    return str(trial.get("state") or ("failed" if trial.get("failed") else "complete"))


def _in_words(trial: Json) -> str:
    names = {"weight_decay": "decay"}
    return ", ".join(
        f"{names.get(name, name)} {words.number(value) if words.known(value) else value}"
        for name, value in _settings(trial).items()
    )


def _state_cell(trial: Json) -> Cell:
    if trial["state"] == "pruned":
        return Cell("pruned", f"at {words.percent(trial.get('share'), 0)}")
    return Cell(trial["state"], words.shorten(str(trial.get("failed", "")), 60))


def section(run: Gathered) -> Json | None:
    """``shown`` of the run's searches."""
    return shown(searches(run))


def shown(found: list[Json]) -> Json | None:
    """What was saved and by whom in a sentence, and the table of all trials; None where there are none."""
    rows: list[list[Cell | str]] = [
        [
            Cell(entry["arm"]), words.count(entry["labels"]),
            Cell(words.count(trial["trial"]), "chosen" if trial["chosen"] else "", "word better" if trial["chosen"] else ""),
            Cell(_in_words(trial)), _state_cell(trial),
            words.percent(trial.get("validation")), words.duration(trial.get("seconds")),
        ]
        for entry in found
        for trial in entry["trials"]
    ]  # fmt: skip
    if not rows:
        return None
    head = ["Arm", "Labels", "Trial", "Settings", "State", "Validation", "Time"]
    return {"sentence": _sentence(found), "table": Table(head, rows, words=5)}


def _sentence(found: list[Json]) -> str:
    told = []
    pruned = [entry["pruning"] for entry in found if entry.get("pruning")]
    if pruned:
        spared = words.counted(max(one["spared"] for one in pruned), "trial")
        told.append(
            f"A trial was given up where all its validation so far was below the median of the complete ones at that point, "
            f"for every arm alike; never one before {spared} were complete. That was so of "
            f"{words.counted(sum(one['pruned'] for one in pruned), 'trial')} and saved about "
            f"{words.duration(sum(one['seconds_saved'] for one in pruned))}."
        )
    budgets = sorted({str(entry["budget"]) for entry in found if entry.get("budget")})
    if budgets:
        told.append(f"A search began no more trials once they had taken {words.listed(budgets)} together.")
    workers = max((entry.get("workers") or 1 for entry in found), default=1)
    if workers > 1:
        told.append(f"Up to {workers} processes shared a search.")
    return " ".join(told)


def method(comparison: Json) -> str:
    """How the settings of the arms were searched, a sentence; "" where nothing is known of it."""
    trials: Any = comparison.get("trials")
    if not trials:
        return ""
    if trials == 1:
        return "No settings were searched, since 1 trial leaves no choice: every arm has one setting at each number of labels."
    named = {str(entry["method"]) for entry in comparison.get("search") or [] if entry.get("method")}
    what = next((f"Learning rate, schedule and weight decay were {DRAWN[one]}" for one in named & DRAWN.keys()), None)
    if "published" in named:
        what = "Learning rate and weight decay were searched on the grid of Azizi et al. (2021)"
    told = (
        f"{what or 'Learning rate and schedule were searched'} with {words.counted(trials, 'trial')} for every arm and number "
        f"of labels{_more(comparison, trials)}, once, on labels of the first seed that come out of its label budget."
    )
    if len(comparison.get("seeds") or []) > 1:
        told += (
            " The other seeds reuse them: their settings were chosen on other labels than they learn from, and the intervals over "
            "seeds leave out how much that choice varies."
        )
    return told


def _more(comparison: Json, trials: int) -> str:
    """Which arms tried more than ``trials`` settings, and how many, in brackets."""
    found = {
        str(entry.get("arm")): len(entry["trials"])
        for entry in comparison.get("search") or []
        if entry.get("arm") == "tfidf" and len(entry.get("trials") or []) > trials
    }
    told = [f"{analysis.arm_name(comparison, arm)} {count}" for arm, count in found.items()]
    return f" ({words.listed(told)})" if told else ""
