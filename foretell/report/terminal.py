"""The report in a terminal: the verdict and its numbers in at most fifteen lines."""

from __future__ import annotations

import textwrap
from pathlib import Path

from foretell.report import about, analysis, words
from foretell.report.gather import gather
from foretell.report.page import title_of
from foretell.report.results import key_figures

WIDTH = 100
ROWS = 5


def lines(run_path: str | Path) -> str:
    """At most 15 lines of at most 100 characters: title, verdict, score by labels, key figures, what is missing.

    Raises InputError when ``run_path`` is no run or one of its files is damaged.
    """
    run = gather(run_path)
    out = [_short(title_of(run)), *_verdict(analysis.verdict(run))]
    comparison = run.comparison
    cells = analysis.summary_of(comparison)
    pairs = {pair.labels: pair for pair in analysis.differences(comparison)}
    shown = [arm for arm in ("pretrained", "scratch") if arm in cells]
    if shown:
        measured = sorted({cell.labels for arm in shown for cell in cells[arm]})
        out.append(_row("labels", *(analysis.arm_name(comparison, arm) for arm in shown), "difference"))
        for labels in measured[: ROWS - 1] + measured[ROWS - 1 :][-1:]:
            scores = []
            for arm in shown:
                cell = analysis.at_labels(cells[arm], labels)
                bounds = f" [{words.interval(cell.low, cell.high)}]" if cell and cell.low is not None else ""
                scores.append(f"{words.percent(cell.mean)}{bounds}" if cell else words.MISSING)
            pair = pairs.get(labels)
            told = f"{words.points(pair.difference)} {pair.verdict}" if pair else ""
            out.append(_row(words.count(labels), *scores, told))
    for figure in key_figures(run):
        if figure.title not in ("Pretrained", "From scratch"):
            out.append(_short(f"{figure.title}: {figure.value}" + (f" ({figure.note})" if figure.note else "")))
    absent = about.missing(run)
    if absent:
        part, command = absent[0]
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        out.append(_short(f"Missing{more}: {part[0].lower()}{part[1:]}"))
        out.append(f"  add it by: {command}")  # never cut: it is there to be copied
    return "\n".join(out[:15])


def _verdict(text: str) -> list[str]:
    wrapped = textwrap.wrap(text, WIDTH, max_lines=3, placeholder=" …")
    return wrapped or [""]


def _short(text: str) -> str:
    return textwrap.shorten(text, WIDTH, placeholder=" …")


def _row(first: str, *rest: str) -> str:
    return (f"{first:>8}  " + "  ".join(f"{cell:<24}" for cell in rest)).rstrip()
