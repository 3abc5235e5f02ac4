"""``foretell report``: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from foretell.options import Arg, Where


def report(run: Annotated[Where, Arg("the run folder")]) -> Path:
    """Write a run's report anew, and sum it up.

    report.html, report.json and MODEL_CARD.md, from what the run holds now. Works at any time, also
    while the run goes on or after it failed.

    Returns the path of report.html. Raises InputError when the folder is no run.
    """
    from foretell.report import build, lines

    page = build(Path(run))
    print(lines(Path(run)))
    print(f"report: {page}")
    return page
