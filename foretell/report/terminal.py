"""The report in a terminal: the verdict and its numbers in at most fifteen lines."""

from __future__ import annotations

import textwrap
from pathlib import Path

from foretell.report import about, analysis, headline, words
from foretell.report.gather import Json, gather
from foretell.report.page import title_of
from foretell.report.results import key_figures

WIDTH = 100
MOST = 15


def lines(run_path: str | Path) -> str:
    """At most 15 lines of about 100 characters: title, verdict, score by labels, key figures, what is missing.

    The verdict is never cut; where room is short, the table keeps its ends. Raises InputError when ``run_path`` is no
    run or one of its files is damaged.
    """
    run = gather(run_path)
    head = [_short(title_of(run)), *(textwrap.wrap(headline.verdict(run), WIDTH) or [""])]
    tail = [
        _short(f"{figure.title}: {figure.value}" + (f" ({figure.note})" if figure.note else ""))
        for figure in key_figures(run)
        if figure.title not in ("Pretrained", "From scratch")
    ]
    absent = about.missing(run)
    if absent:
        part, command = absent[0]
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        tail.append(_short(f"Missing{more}: {part[0].lower()}{part[1:]}"))
        tail.append(f"  add it by: {command}")  # never cut: it is there to be copied
    return "\n".join([*head, *_table(run.comparison, MOST - len(head) - len(tail)), *tail][:MOST])


def _table(comparison: Json, room: int) -> list[str]:
    """Scores by labels, pretrained and from scratch, in at most ``room`` lines: the last is always shown."""
    cells = analysis.summary_of(comparison)
    shown = [arm for arm in ("pretrained", "scratch") if arm in cells]
    if not shown or room < 2:
        return []
    pairs = {pair.labels: pair for pair in analysis.differences(comparison)}
    measured = sorted({cell.labels for arm in shown for cell in cells[arm]})
    if len(measured) > room - 1:
        measured = [*measured[: room - 2], measured[-1]]
    out = [_row("labels", *(analysis.arm_name(comparison, arm) for arm in shown), "difference")]
    for labels in measured:
        scores = []
        for arm in shown:
            cell = analysis.at_labels(cells[arm], labels)
            bounds = words.interval(cell.low, cell.high) if cell else ""
            scores.append(words.percent(cell.mean if cell else None) + (f" [{bounds}]" if bounds else ""))
        pair = pairs.get(labels)
        out.append(
            _row(words.count(labels), *scores, f"{words.points(pair.difference)} {pair.verdict}" if pair else "")
        )
    return out


def _short(text: str) -> str:
    return textwrap.shorten(text, WIDTH, placeholder=" …")


def _row(first: str, *rest: str) -> str:
    return (f"{first:>8}  " + "  ".join(f"{cell:<24}" for cell in rest)).rstrip()
