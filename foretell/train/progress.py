"""Progress for a person: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import IO, Any, Protocol

from foretell.errors import unknown

LINE_EVERY = 10.0  # seconds between plain lines


class Progress(Protocol):
    """What the loop tells: ``values`` may hold loss, samples_per_second, seconds_left, share_of_peak and health."""

    def start(self, step: int, steps: int) -> None: ...
    def update(self, step: int, values: Mapping[str, Any]) -> None: ...
    def event(self, text: str) -> None: ...
    def close(self, text: str) -> None: ...


def spoken(seconds: float) -> str:
    """A duration in words.

    >>> spoken(7), spoken(75), spoken(3700), spoken(90000)
    ('7 s', '1 min 15 s', '1 h 2 min', '1 d 1 h')
    """
    whole = max(0, round(seconds))
    for unit, size, below, step in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // step} {below}"
    return f"{whole} s"


def line_of(values: Mapping[str, Any]) -> str:
    """One line of ``values``, leaving out what is not known."""
    parts = []
    if values.get("loss") is not None:
        parts.append(f"loss {values['loss']:.4f}")
    if values.get("samples_per_second"):
        parts.append(f"{values['samples_per_second']:,.0f} samples/s")
    if values.get("share_of_peak"):
        parts.append(f"{values['share_of_peak']:.0%} of this machine's peak")
    if values.get("health"):
        parts.append(str(values["health"]))
    if values.get("seconds_left") is not None:
        parts.append(f"{spoken(values['seconds_left'])} left")
    return ", ".join(parts)


class PlainProgress:
    """A line at the start, about every 10 seconds, and at the end."""

    def __init__(self, title: str = "training", stream: IO[str] | None = None) -> None:
        self.title = title
        self.stream = stream if stream is not None else sys.stderr
        self.steps = 0
        self._next = 0.0

    def _print(self, text: str) -> None:
        print(f"{self.title}: {text}", file=self.stream, flush=True)

    def start(self, step: int, steps: int) -> None:
        self.steps = steps
        self._next = time.monotonic() + LINE_EVERY
        self._print(f"{steps} steps" + (f", from step {step}" if step else ""))

    def update(self, step: int, values: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_EVERY
            self._print(f"step {step}/{self.steps}, {line_of(values)}")

    def event(self, text: str) -> None:
        self._print(text)

    def close(self, text: str) -> None:
        self._print(text)


class RichProgress:
    """A bar with the same values beside it."""

    def __init__(self, title: str = "training", stream: IO[str] | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self.console = Console(file=stream if stream is not None else sys.stderr)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[line]}"),
            console=self.console,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task(title, total=None, line="")
        self._next = 0.0
        self._latest = 0

    def start(self, step: int, steps: int) -> None:
        self._latest = step
        self._bar.update(self._task, total=steps, completed=step)
        self._bar.start()

    def update(self, step: int, values: Mapping[str, Any]) -> None:
        now = time.monotonic()
        self._latest = step
        if now >= self._next:
            self._next = now + 0.25
            self._bar.update(self._task, completed=step, line=line_of(values))

    def event(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False)

    def close(self, text: str) -> None:
        self._bar.update(self._task, completed=self._latest)
        self._bar.stop()
        self._bar.console.print(text, highlight=False, markup=False)


def make_progress(title: str = "training", stream: IO[str] | None = None) -> Progress | None:
    """A bar on a terminal and plain lines elsewhere, on standard error; ``FORETELL_PROGRESS`` = rich, plain or none."""
    wanted = os.environ.get("FORETELL_PROGRESS", "")
    out = stream if stream is not None else sys.stderr
    if wanted == "none":
        return None
    if wanted not in ("", "auto", "plain", "rich"):
        raise unknown("FORETELL_PROGRESS", wanted, ["auto", "plain", "rich", "none"])
    if wanted == "rich" or (wanted != "plain" and out.isatty()):
        return RichProgress(title, stream)
    return PlainProgress(title, stream)
