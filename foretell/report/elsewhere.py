"""The report's sections on how few labels equal all of the baseline's, and on another domain with no training there."""

from __future__ import annotations

from foretell.measures import crossing as crossing_points
from foretell.report import analysis, charts, words
from foretell.report.gather import Gathered, Json, judged_of
from foretell.report.parts import Cell, Table
from foretell.report.saving import nothing_to_reach


def crossing(run: Gathered) -> Json | None:
    """A sentence for each pair of arms: with how many labels one equals the other's all."""
    found = [] if nothing_to_reach(run) else run.comparison.get("crossing") or []
    titles = {arm: analysis.arm_name(run.comparison, arm) for arm in run.comparison.get("arms", {})}
    sentences = [
        crossing_points.sentence(entry, titles) for entry in found if {entry["arm"], entry["against"]} <= set(titles)
    ]
    return {"sentences": sentences} if sentences else None


def _difference(record: Json) -> Cell:
    return Cell(words.points(record["mean"]), words.interval(record["low"], record["high"], signed=True))


def shift(run: Gathered) -> Json | None:
    """What every arm loses on the other domain, and what pretraining gains there beside its gain at home."""
    comparison = run.comparison
    found = comparison.get("shift")
    if not found or not found.get("drops"):
        return None
    gains = {(row["arm"], row["labels"]): row for row in found["gains"]}
    head: list[Cell | str] = [
        "Arm", Cell("labels"), Cell("at home"), Cell(found["domain"]), Cell("drop"), Cell("gain at home", "over scratch"),
        Cell("gain there", "over scratch"),
    ]  # fmt: skip
    rows: list[list[Cell | str]] = []
    for row in found["drops"]:
        gain = gains.get((row["arm"], row["labels"]))
        name = Cell(analysis.arm_name(comparison, row["arm"]), kind=f"c-{charts.key_of(row['arm'])}")
        shown: list[Cell | str] = [
            name,
            words.count(row["labels"]),
            words.percent(row["in"]),
            words.percent(row["out"]),
        ]
        more: list[Cell | str] = (
            [words.MISSING] * 2 if gain is None else [_difference(gain["in"]), _difference(gain["out"])]
        )
        rows.append([*shown, _difference(row["drop"]), *more])
    samples = words.counted(found["samples"], judged_of(comparison.get("test") or {}, "sample"))
    told = f"The models as they are, applied to {samples} of {found['domain']}"
    return {"sentence": f"{told} {unseen(found, 'training')}.", "table": Table(head, rows)}


def unseen(shift: Json, training: str) -> str:
    """Who has not seen the images of the other domain: no ``training``, unless pretraining learnt from some of them;
    where a result of an earlier version does not say, no fine-tuning.
    """
    seen = shift.get("seen")
    if seen == 0:
        return f"that no {training} saw"
    without = "that no fine-tuning saw"
    if seen is None:
        return without
    return f"{without}; pretraining learnt from {words.counted(seen, 'image')} of {shift['domain']}, without labels"
