"""The report of a run: ``build`` writes the page, ``lines`` sums it up for a terminal."""

from foretell.report.page import build
from foretell.report.terminal import lines

__all__ = ["build", "lines"]
