"""What frames a pipeline's page: when it was done, its key figures, how it was measured, and the words it uses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from foretell.measures.metrics import metric_name
from foretell.report import analysis, searching, words
from foretell.report import pipeline_figures as figures
from foretell.report.gather import judged_of
from foretell.report.glossary import glossary
from foretell.report.parts import Figure

Json = dict[str, Any]
LAST = ("comparison.json", "scores.json", "status.json")  # the file that a step writes last


def when(folders: Iterable[Path]) -> str:
    """When the last of the steps was done, by the files in their ``folders``; "" where there are none."""
    written = [place.stat().st_mtime for folder in folders for name in LAST if (place := folder / name).is_file()]
    return time.strftime("%d %B %Y, %H:%M UTC", time.gmtime(max(written))) if written else ""


def key_figures(comparison: Json, seconds: float) -> list[Figure]:
    """The best pretrained arm and training from scratch with most labels, the labels, the patients or cases, and the time."""
    most, amount = figures.amounts_of(comparison)[-1]
    fewest = figures.amounts_of(comparison)[0][0]
    cells = analysis.summary_of(comparison)
    key, arms = figures.keys_of(comparison), comparison["arms"]
    last = {arm: cell for arm in figures.tuned(comparison) if (cell := analysis.at_labels(cells.get(arm, []), most))}
    pretrained = [arm for arm in last if arms[arm]["step"] is not None]
    metric = metric_name(str(comparison["metric"]))
    given = f"{metric} with {analysis.labels_phrase(most, amount)}"
    out = []
    if pretrained:
        best = max(pretrained, key=lambda arm: last[arm].mean)
        of = f"the highest of {len(pretrained)} arms; " if len(pretrained) > 1 else ""
        out.append(_score(figures.title_of(comparison, best), last[best], f"{of}{given}", key(best)))
    out += [
        _score(figures.title_of(comparison, arm), last[arm], given, key(arm)) for arm in last if arm not in pretrained
    ]
    noun = judged_of(comparison["test"], "image")
    least = f", and {words.count(fewest)} at the fewest" if fewest < most else ""
    out.append(Figure(words.count(most), "Labels", f"labelled {noun}s to learn from{least}"))
    if groups := comparison["test"].get("groups"):
        tested = words.counted(comparison["test"]["samples"], f"test {noun}")
        out.append(Figure(words.count(groups), "Patients or cases", f"groups of the {tested}"))
    out.append(Figure(words.duration(seconds), "Time", "of all steps together"))
    return out


def _score(title: str, cell: analysis.Cell, given: str, key: str) -> Figure:
    bounds = words.interval(cell.low, cell.high)
    seeds = f"{bounds} ({words.counted(cell.n, 'seed')}); " if bounds else "one seed; "
    return Figure(words.percent(cell.mean), words.begun(title), f"{seeds}{given}", key)


def method(comparison: Json) -> list[str]:
    """How a comparison was measured, a sentence each."""
    test, seeds = comparison["test"], comparison["seeds"]
    noun = judged_of(test, "image")
    out = [
        f"Every score is on the same {words.counted(test['samples'], f'test {noun}')} ({test['split']}), never trained on. "
        "Every arm has the same labels, views, steps and number of settings tried."
    ]
    if len(seeds) > 1:
        out.append(
            f"Each figure is the mean over {len(seeds)} seeds ({words.listed([str(seed) for seed in seeds])}); a seed draws its "
            "own labelled subset, the same for every arm, and larger subsets contain the smaller ones. The intervals over seeds "
            "are 95% t-intervals, of differences paired by seed."
        )
    else:
        out.append("One seed was run, so that no interval over seeds can be given: read differences with care.")
    if test.get("groups"):
        out.append(
            "The intervals over groups are 95% intervals too, of the scores with the test part's groups (patients or cases) drawn "
            "again with replacement: how far so few of them may be off."
        )
    return [*out, *filter(None, [searching.method(comparison)])]


def explained(comparisons: Sequence[Json]) -> list[tuple[str, str]]:
    """The words that the page uses, and their meanings."""
    noun = judged_of(comparisons[0]["test"], "image") if comparisons else "image"
    searched = any(one.get("search") for one in comparisons)
    shown = {"efficiency": bool(comparisons), "measures": bool(comparisons), "search": searched, "cost": True}
    return glossary(shown, noun)
