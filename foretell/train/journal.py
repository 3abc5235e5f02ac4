"""Everything a run writes and shows while it trains; silent without a run and on all processes but the first."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from foretell.errors import ForetellError, InputError, first_line
from foretell.run import Run
from foretell.train.health import EARLY, FINE
from foretell.train.progress import Progress, spoken
from foretell.train.trackers import MLflow, TensorBoard, Tracker, masked

HEARTBEAT = 5.0  # seconds between writings of status.json
LINES = 2000  # about how many "step" lines a run logs at most
WAITED = 1.0  # seconds for a tracker that are told


@dataclass
class Journal:
    """``run`` and ``progress`` may each be None."""

    run: Run | None
    progress: Progress | None
    batch: int
    steps: int = 0
    trackers: Sequence[type[TensorBoard] | type[MLflow]] = ()
    flops_per_sample: float | None = None
    peak_flops: float | None = None
    health: str = ""
    _tracking: list[Tracker] = field(default_factory=list)
    _beat: float = 0.0
    _mark: tuple[float, int] | None = None
    _speed: float | None = field(default=None)

    @property
    def wanted(self) -> bool:
        """Whether anybody reads what this journal says."""
        return self.run is not None or self.progress is not None

    def event(self, text: str, step: int) -> None:
        self._log("event", step=step, text=text)
        if self.progress is not None:
            self.progress.event(text)

    def begin(self, step: int, steps: int, *, resumed: bool = False) -> None:
        """Raises InputError for a tracker that cannot be used; a run that is ``resumed`` goes on without it, and says so."""
        self.steps = steps
        for kind in self.trackers if self.run is not None else ():
            self._track(kind, step, resumed)
        self._mark = (time.perf_counter(), step)
        if self.progress is not None:
            self.progress.start(step, steps)
        self._status("running", step, force=True)

    def step(self, step: int, parts: dict[str, float], rate: float, seconds: float) -> None:
        """After ``step`` steps and ``seconds`` of training altogether."""
        if not self.wanted:
            return
        self._time(step)
        share = None
        if self._speed and self.flops_per_sample and self.peak_flops:
            share = self._speed * self.flops_per_sample / self.peak_flops
        every = max(1, self.steps // LINES)
        if step % every == 0 or step == self.steps:
            self._log(
                "step",
                step=step,
                **parts,
                rate=rate,
                samples_per_second=self._speed,
                share_of_peak=share,
                seconds=seconds,
            )
        values: dict[str, Any] = {
            "loss": parts["total"],
            "samples_per_second": self._speed,
            "seconds_left": self._left(step),
            "share_of_peak": share,
            "health": self.health,
        }
        if self.progress is not None:
            self.progress.update(step, values)
        self._status("running", step, **values)

    def measured(self, kind: str, step: int, **values: Any) -> None:
        """A "health" or "monitor" line."""
        if kind == "health":
            verdict = str(values["verdict"])
            before = self.health or EARLY
            if verdict != before and not {verdict, before} <= set(FINE):
                self.event(f"step {step}: {verdict}", step)
            self.health = verdict
        self._log(kind, step=step, **values)

    def skip(self) -> None:
        """Leave the time since the last step out of the speed: it went into something else."""
        if self._mark is not None:
            self._mark = (time.perf_counter(), self._mark[1])

    def finish(self, state: str, step: int, text: str, **values: Any) -> None:
        """``state``: "finished" or "stopped"."""
        self._status(state, step, force=True, health=self.health, **values)
        self._close(state, step)
        if self.progress is not None:
            self.progress.close(text)

    def fail(self, step: int, error: BaseException) -> None:
        """Never raises: what failed may be the disk."""
        message = first_line(error)
        state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        with contextlib.suppress(ForetellError, OSError, ValueError):
            self._status(state, step, force=True, message=message)
        with contextlib.suppress(ForetellError, OSError, ValueError):
            self._log("event", step=step, text=message)
        self._close(state, step)
        if self.progress is not None:
            self.progress.close(f"ended at step {step}")

    # ------------------------------------------------------------------------------------------------------------------

    def _track(self, kind: type[TensorBoard] | type[MLflow], step: int, resumed: bool) -> None:
        assert self.run is not None
        asked, begun = kind.asked(), time.perf_counter()
        if asked is not None and self.progress is not None:
            self.progress.event(asked)
        try:
            self._tracking.append(kind(self.run, step))
        except InputError as error:
            if not resumed:
                raise
            self._lost(kind, step, error.__cause__ or error, begun)

    def _time(self, step: int) -> None:
        now = time.perf_counter()
        if self._mark is not None and step > self._mark[1] and now > self._mark[0]:
            speed = (step - self._mark[1]) * self.batch / (now - self._mark[0])
            self._speed = speed if self._speed is None else 0.9 * self._speed + 0.1 * speed
        self._mark = (now, step)

    def _left(self, step: int) -> float | None:
        return (self.steps - step) * self.batch / self._speed if self._speed else None

    def _status(self, state: str, step: int, force: bool = False, **values: Any) -> None:
        now = time.monotonic()
        if self.run is None or (not force and now < self._beat):
            return
        self._beat = now + HEARTBEAT
        self.run.status(state, step=step, steps=self.steps, **values)

    def _log(self, kind: str, **values: Any) -> None:
        if self.run is None:
            return
        self.run.log(kind, **values)
        step = values.pop("step")
        numbers = {
            f"{kind}/{values.get('name', name)}": float(value)
            for name, value in values.items()
            if isinstance(value, int | float)
        }
        for tracker in self._tracking if numbers else ():
            begun = time.perf_counter()
            try:
                tracker.log(step, numbers)
            except Exception as error:
                self._lost(tracker, step, error, begun)

    def _close(self, state: str, step: int) -> None:
        for tracker in self._tracking:
            begun = time.perf_counter()
            try:
                tracker.close(state)
            except Exception as error:
                self._lost(tracker, step, error, begun)
        self._tracking = []

    def _lost(self, tracker: Tracker | type[Tracker], step: int, error: BaseException, begun: float) -> None:
        """Tell it, and what was waited since ``begun``, and go on: the training is worth more than its copy."""
        self._tracking = [one for one in self._tracking if one is not tracker]
        waited = time.perf_counter() - begun
        reason = masked(first_line(error)) + (f"; waited {spoken(waited)} for it" if waited > WAITED else "")
        with contextlib.suppress(ForetellError, OSError, ValueError):
            self.event(f"step {step}: {tracker.title} is not written to any more ({reason})", step)
        self.skip()
