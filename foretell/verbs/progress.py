"""What a person is told while a verb works: its lines, and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from foretell import distributed

EVERY, REWRITTEN = 5.0, 0.2  # seconds between two lines, and on a terminal, where one line is rewritten


def say(text: str = "") -> None:
    """Print a line for a person, once for all processes."""
    if distributed.rank() == 0:
        print(text, flush=True)


class _Line:
    """A line on standard error, of the first process alone: rewritten on a terminal, else a new one now and then."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.began = self.shown = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self.shown >= (REWRITTEN if self.terminal else EVERY)

    def show(self, text: str, *, ended: bool = False) -> None:
        if distributed.rank():
            return
        self.shown = time.monotonic()
        end = "\n" if ended or not self.terminal else ""
        print(("\r\x1b[K" if self.terminal else "") + text, end=end, file=sys.stderr, flush=True)


def counting(what: str) -> Callable[[int, int], None]:
    """A progress callback (done, total)."""
    line = _Line()
    line.shown = 0.0 if line.terminal else line.began  # on a terminal the first is shown at once

    def progress(done: int, total: int) -> None:
        ended = done >= total
        if line.due() or (ended and line.shown != line.began):
            rate = done / max(time.monotonic() - line.began, 1e-9)
            text = f"{what}: {done:,} of {total:,} ({done / max(total, 1):.0%}), {rate:,.0f} a second"
            line.show(text, ended=ended)

    return progress


def counting_up(what: str, unit: str) -> Callable[[int, float], None]:
    """A progress callback (done, rate a second) where the total is not known."""
    line = _Line()

    def progress(done: int, rate: float) -> None:
        if line.due():
            line.show(f"{what}: {done:,} {unit}, {rate:,.0f} a second")

    return progress


def telling() -> Callable[[int, int, str], None]:
    """A progress callback (done, total, what) of a comparison or a search: what is being done, how far it is, and the time left."""
    began = time.monotonic()
    last = 0.0

    def progress(done: int, total: int, what: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < EVERY and done < total:
            return
        last = now
        left = (now - began) * (total - done) / done if done else None
        ending = f", about {left:,.0f} s left" if left is not None and done < total else ""
        say(f"  {done / max(total, 1):.0%}: {what}{ending}")

    return progress
