"""Progress for a person: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import IO, Any, Protocol

from foretell.errors import unknown

FIRST_LINE = 2.0  # seconds to the first plain line
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


def line_of(values: Mapping[str, Any], *, left: bool = True) -> str:
    """One line of ``values``, leaving out what is not known, and the time that is left if not ``left``."""
    parts = []
    if values.get("loss") is not None:
        parts.append(f"loss {values['loss']:.4f}")
    if values.get("samples_per_second"):
        parts.append(f"{values['samples_per_second']:,.0f} samples/s")
    if values.get("share_of_peak"):
        parts.append(f"{values['share_of_peak']:.0%} of this machine's peak")
    if values.get("health"):
        parts.append(str(values["health"]))
    if left and values.get("seconds_left") is not None:
        parts.append(_left(values))
    return ", ".join(parts)


def _left(values: Mapping[str, Any]) -> str:
    return f"{spoken(values['seconds_left'])} left" if values.get("seconds_left") is not None else ""


class PlainProgress:
    """A line at the start, soon after, about every 10 seconds, and at the end."""

    def __init__(self, title: str = "training", stream: IO[str] | None = None) -> None:
        self.title = title
        self.stream = stream if stream is not None else sys.stderr
        self.steps = 0
        self._next = 0.0

    def _print(self, text: str) -> None:
        print(f"{self.title}: {text}", file=self.stream, flush=True)

    def start(self, step: int, steps: int) -> None:
        self.steps = steps
        self._next = time.monotonic() + FIRST_LINE
        self._print(f"{steps} step{'' if steps == 1 else 's'}" + (f", from step {step}" if step else ""))

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
    """A bar with the time that is left, and under it a line of the other values, which fits 80 columns."""

    def __init__(self, title: str = "training", stream: IO[str] | None = None) -> None:
        from rich.console import Console, RenderableType
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar
        from rich.text import Text

        class WithLine(Bar):
            def get_renderables(self) -> Iterable[RenderableType]:
                yield from super().get_renderables()
                for task in self.tasks:
                    if task.fields["line"]:
                        yield Text(task.fields["line"])

        self.console = Console(file=stream if stream is not None else sys.stderr)
        self._bar = WithLine(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task(title, total=None, line="", left="")
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
            self._bar.update(self._task, completed=step, line=line_of(values, left=False), left=_left(values))

    def event(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False)

    def close(self, text: str) -> None:
        self._bar.update(self._task, completed=self._latest, left="")
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
