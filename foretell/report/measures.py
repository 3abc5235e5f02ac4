"""Every measure of a comparison's arms with the most labels, side by side: accuracy alone misleads where classes are of
unequal size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from foretell.measures.intervals import ALIKE
from foretell.measures.metrics import metric_name
from foretell.measures.multilabel import of_finding
from foretell.measures.summary import LOWER
from foretell.report import analysis, words
from foretell.report.gather import Json
from foretell.report.parts import Cell, Table
from foretell.report.results import score_cell

NAMES = {
    "auroc": ("AUROC", "macro"),
    "balanced_accuracy": ("balanced accuracy", ""),
    "accuracy": ("accuracy", "top-1"),
    "macro_f1": ("macro-F1", ""),
    "top3_accuracy": ("top-3 accuracy", ""),
    "sensitivity": ("sensitivity", ""),
    "specificity": ("specificity", ""),
    "brier": ("Brier score", "lower is better"),
    "ece": ("ECE", "lower is better"),
    "f1": ("F1", "of the words of the answers"),
    "exact": ("exact match", ""),
}
COUNTS = ("samples", "images", "words", "of", "groups", "unlabelled")  # beside the scores of a test part
IMAGES = "image_"  # before the measures of the images of cases
CLASSES_FOR_TOP3 = 4  # of as many as 3 every answer is among the first three


def _known(comparison: Json) -> set[str]:
    """The metrics that have a mean for some arm with the most labels."""
    most = max(row["labels"] for row in comparison["summary"])
    return {row["metric"] for row in comparison["summary"] if row["labels"] == most and words.known(row["mean"])}


def _shown(comparison: Json) -> list[str]:
    """The metrics of ``NAMES`` that have a mean for some arm with the most labels."""
    known = _known(comparison)
    classes = len(comparison.get("classes") or [])
    return [metric for metric in NAMES if metric in known and tells(metric, classes)]


def tells(metric: str, classes: int) -> bool:
    """Whether ``metric``, of cases or (image_...) of their images, depends on the answers with so many classes."""
    return metric.removeprefix(IMAGES) != "top3_accuracy" or classes >= CLASSES_FOR_TOP3


def named(metric: str, *, findings: bool = False) -> Cell:
    """The cell that names ``metric``, of cases or (image_...) of their images, and which way is better; ``findings``: it is of
    several findings a sample.
    """
    name, told = NAMES.get(metric.removeprefix(IMAGES), (metric_name(metric), ""))
    if findings and metric.removeprefix(IMAGES) == "accuracy":
        told = ""
    of_images = metric.startswith(IMAGES) and metric.removeprefix(IMAGES) in NAMES
    return Cell(f"{name} of images" if of_images else name, told)


def _name(comparison: Json, metric: str) -> Cell:
    name, told = NAMES[metric]
    if metric == "accuracy" and (comparison.get("findings") or len(comparison.get("classes") or []) < 2):
        told = ""
    headline = "the headline" if metric == analysis.metric_of(comparison) else ""
    return Cell(name, told, more=headline)


def _cell(cell: analysis.Cell | None, metric: str) -> Cell | str:
    """A share in per cent, a value of which less is better as it is; each with its intervals."""
    if cell is None:
        return words.MISSING
    if metric not in LOWER:
        return score_cell(cell)
    return Cell(f"{cell.mean:.3f}", words.interval(cell.low, cell.high, share=False))


def of_classifier(scores: Json, classes: int, *, findings: bool = False) -> list[list[Cell | str]]:
    """A row a measure of one model, with its interval over test groups where there is one."""
    intervals = scores.get("intervals") or {}
    rows: list[list[Cell | str]] = []
    for name, value in scores.items():
        if name in COUNTS or not words.known(value) or not tells(name, classes):
            continue
        share = name.removeprefix(IMAGES) not in LOWER
        bounds = words.interval(*intervals[name], share=share) if name in intervals else ""
        groups = f"groups {bounds}" if bounds and bounds != ALIKE else ""
        rows.append([named(name, findings=findings), Cell(words.percent(value) if share else f"{value:.3f}", groups)])
    return rows


def measures(
    comparison: Json, arms: Iterable[str], named: Callable[[str], Cell], *, arms_down: bool = False
) -> Json | None:
    """{"table": a row a measure and a column an arm, "labels": with how many, "intervals": whether
    there are some, "metric": the headline, in words}.

    ``named`` is the cell that names an arm; ``arms_down``: a row an arm and a column a measure, for many arms with long
    names. None where there is one measure alone, or none.
    """
    if not comparison.get("summary"):
        return None
    shown = _shown(comparison)
    if len(shown) < 2:
        return None
    most = max(row["labels"] for row in comparison["summary"])
    of_metrics = {metric: _name(comparison, metric) for metric in shown}
    return {
        "table": _table(comparison, arms, named, of_metrics, "Measure", arms_down=arms_down),
        "labels": words.counted(most, "label"),
        "intervals": any(row["labels"] == most and words.known(row.get("low")) for row in comparison["summary"]),
        "metric": metric_name(analysis.metric_of(comparison)),
    }


def of_each_finding(
    comparison: Json, arms: Iterable[str], named: Callable[[str], Cell], *, arms_down: bool = False
) -> Table | None:
    """The AUROC of each finding with the most labels, laid out as ``measures``; None without several findings."""
    names = [str(name) for name in comparison.get("classes") or []]
    if len(names) < 2 or not comparison.get("summary") or not _known(comparison) & set(map(of_finding, names)):
        return None
    of_metrics = {of_finding(name): Cell(name) for name in names}
    return _table(comparison, arms, named, of_metrics, "Finding", arms_down=arms_down)


def _table(
    comparison: Json,
    arms: Iterable[str],
    named: Callable[[str], Cell],
    of_metrics: Mapping[str, Cell],
    what: str,
    *,
    arms_down: bool,
) -> Table:
    """``of_metrics``, the cell that names each, with the most labels, beside the ``arms``; ``what`` they are, in words."""
    arms = list(arms)
    most = max(row["labels"] for row in comparison["summary"])
    found = {metric: analysis.summary_of(comparison, metric) for metric in of_metrics}
    cells = [[_cell(analysis.at_labels(found[metric].get(arm, []), most), metric) for metric in found] for arm in arms]
    of_arms = [named(arm) for arm in arms]
    if arms_down:
        return Table(["Arm", *of_metrics.values()], [[name, *row] for name, row in zip(of_arms, cells, strict=True)])
    turned = zip(of_metrics.values(), zip(*cells, strict=True), strict=True)
    return Table([what, *of_arms], [[name, *row] for name, row in turned])
