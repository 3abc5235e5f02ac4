"""The one training loop: pretext tasks and supervised heads alike."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from foretell import distributed
from foretell.counters import Rows
from foretell.errors import ForetellError, ForetellWarning, of
from foretell.objectives.base import Trainable
from foretell.run import Run
from foretell.train import checkpoint, cost, measure, memory
from foretell.train.accumulate import check_batch, check_shared
from foretell.train.budget import Pace, seconds_of, steps_per_round, told_rounds
from foretell.train.config import TrainingConfig
from foretell.train.feed import Feed
from foretell.train.health import FINE, Health, Verdict
from foretell.train.journal import Journal
from foretell.train.machine import checked_limits, describe, named_device
from foretell.train.measure import Measured
from foretell.train.monitor import Best, Monitor, undisturbed
from foretell.train.progress import Progress, spoken
from foretell.train.resume import Start, recipe_of, start_of
from foretell.train.schedule import warmup_steps
from foretell.train.step import Stepper, finite_parameters, to_layout
from foretell.train.stop import Interruption
from foretell.train.trackers import check as check_trackers
from foretell.train.trackers import wanted

CHECKPOINT_SECONDS = 300.0
DEFAULT_EPOCHS = 100.0


@dataclass
class FitResult:
    """What ``fit`` did, over all its parts when it was resumed.

    ``seconds`` of training with its measurements; ``samples`` seen; ``state``: "finished", "early" (no improvement for
    ``patience`` rounds) or "stopped" (by a signal); ``best`` of the first monitor; ``weights``: the step that the trainable's
    weights are of, the last one, or with ``patience`` in a run the best one; ``peak_memory_bytes`` as
    ``cost.PeakMemory`` counts, of the last part; ``flops`` as ``cost.count_flops`` counts, None where
    nobody reads it (no run, no progress, nothing measured); ``curve``: (step, seconds, value) of the first monitor;
    ``loss`` of the last step; ``measured``: the fields of ``measure.Measured``, such as precision and layout.
    """

    steps: int
    seconds: float
    samples: int
    state: Literal["finished", "early", "stopped"]
    best: Best | None
    weights: int
    peak_memory_bytes: int
    flops: float | None
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    loss: float | None = None
    measured: dict[str, Any] = field(default_factory=dict)


def fit(
    trainable: Trainable,
    config: TrainingConfig,
    run: Run | None = None,
    *,
    resume: bool | str | Path = False,
    monitors: Sequence[Monitor] = (),
    progress: Progress | None = None,
    rounds: int | None = None,
) -> FitResult:
    """Train ``trainable`` in place for the budget of ``config``.

    Without a ``run`` nothing is written; precision and layout "auto" are measured, and given ones cost nothing.
    ``resume`` goes on from the last checkpoint of ``run``, or from the checkpoint at a path, bit-equal on CPU to never
    having stopped. Under torchrun every process calls this with the same arguments, ``run`` on rank 0 alone.

    ``rounds``: so many measurements of each monitor at least, where its own ``every`` gives fewer in all (but no more than a
    budget in time has room for). The choice is kept once it is made, so that resuming needs ``rounds`` only where the run was
    stopped before.

    A trainable may also have ``exclude(name, parameter)``, true for parameters without weight decay and adaptation.

    Raises InputError for settings or data that cannot be trained on (fewer samples than a batch, a batch of one where
    samples are compared, chunks with batch norm, another recipe on resuming), and ForetellError for a loss that is not
    finite, a disk that is full, an unreadable checkpoint and another process that has ended (ProcessLost); the last
    checkpoint is kept.
    """
    distributed.start()
    check_shared(config.batch, resumed=resume is not False)
    return _Fit(trainable, config, run, monitors, progress, rounds).run_all(resume)


class _Fit:
    def __init__(
        self,
        trainable: Trainable,
        config: TrainingConfig,
        run: Run | None,
        monitors: Sequence[Monitor],
        progress: Progress | None,
        rounds: int | None,
    ) -> None:
        self.begun = time.perf_counter()
        self.first = distributed.rank() == 0
        self.run = run if self.first else None
        self.config = config
        self.monitors = list(monitors) if self.first else []
        # kernels of our own are written for a CPU
        self.device = torch.device("cpu") if trainable.updates else named_device(config.device)
        self.rounds = rounds
        self.rows = Rows.of_rank(config.batch, distributed.rank(), distributed.world())
        self.journal = Journal(self.run, progress if self.first else None, config.batch, trackers=wanted(config))
        self.trainable = _placed(trainable, self.device)
        self.changing = False  # the run: a resume that is refused, or fails, before leaves it as it is
        # what a checkpoint holds beside the parameters
        self.step = 0
        self.earlier = 0.0
        self.best: Best | None = None
        self.early = False
        self._verdict: Verdict | None = None
        self.curve: list[tuple[int, float, float]] = []
        self.loss_sum, self.loss_count = 0.0, 0
        self.last_loss: float | None = None

    @property
    def seconds(self) -> float:
        return self.earlier + time.perf_counter() - self.begun

    def run_all(self, resume: bool | str | Path) -> FitResult:
        threads = torch.get_num_threads()
        with memory.kept(), undisturbed(self.trainable), cost.PeakMemory(self.device) as self.memory:
            try:
                return self._run_all(resume)
            except (Exception, KeyboardInterrupt) as error:
                lost = distributed.is_lost(error)
                told = distributed.ProcessLost(f"another process has ended at step {self.step}") if lost else error
                if self.changing or resume is False:
                    self.journal.fail(self.step, told)
                if lost:
                    raise told from error
                raise
            finally:
                torch.set_num_threads(threads)

    def _run_all(self, resume: bool | str | Path) -> FitResult:
        self.resumed = resume is not False
        if self.run is not None and not self.resumed:
            check_trackers(self.config)
        self.trainable.train()
        per_epoch = self.trainable.steps_per_epoch(self.config.batch) * self.trainable.visits_per_epoch
        check_batch(self.trainable, self.config.batch, len(self.rows), self.config.chunk)
        start = start_of(self.run, resume, self.trainable, self.config)
        saved, where = start.saved, start.where
        self.measured = self._measured(start, per_epoch)
        to_layout(self.trainable, self.measured.layout)
        self.stepper = Stepper(
            self.trainable,
            self.config,
            self.rows,
            steps=self.measured.steps,
            device=self.device,
            precision=self.measured.precision,
            layout=self.measured.layout,
        )
        if saved is not None:
            self._restore(saved, where)
        distributed.broadcast_([*self.trainable.parameters(), *self.trainable.buffers()])
        self._prepare_health()
        self.changing = True
        if self.resumed:
            self._forget_later()
        self._write_facts()
        if self.first and self.config.patience is not None:
            self._tell_rounds(self.config.patience, begins=saved is None)
        with Interruption(distributed.broadcast_object(self.run is not None)) as interruption:
            if saved is None:
                self._save()
            state = self._loop(interruption)
        return self._result(state)

    # the loop --------------------------------------------------------------------------------------------------------

    def _loop(self, interruption: Interruption) -> Literal["finished", "early", "stopped"]:
        config, steps = self.config, self.measured.steps
        self.journal.begin(self.step, steps, resumed=self.resumed)
        rounds: set[int] = distributed.broadcast_object({self.measured.every(m) for m in self.monitors})
        feed = Feed(self.trainable, config.seed, self.rows, self.device)
        saved_at, saved_time = self.step, time.monotonic()
        stopped = False
        try:
            while self.step < steps and not self.early and not stopped:
                batch = feed.get(self.step, last=self.step + 1 == steps)
                outcome = self.stepper(self.step, batch, interruption.requested)
                self.step += 1
                stopped = outcome.stop
                self.last_loss = outcome.parts["total"]
                self.loss_sum += self.last_loss
                self.loss_count += 1
                self.journal.step(self.step, outcome.parts, outcome.rate, self.seconds)
                self._notice(outcome.parts)
                self._look(last=self.step == steps)
                if config.patience is not None and any(self.step % every == 0 for every in rounds):
                    self.early = distributed.broadcast_object(self.early)
                ending = self.step == steps or self.early or stopped
                if (
                    ending
                    or self.step % config.checkpoint_every == 0
                    or time.monotonic() - saved_time > CHECKPOINT_SECONDS
                ):
                    self._save()
                    saved_at, saved_time = self.step, time.monotonic()
        finally:
            feed.close()
        assert saved_at == self.step or self.run is None
        return "finished" if self.step == steps else "early" if self.early else "stopped"

    def _notice(self, parts: dict[str, float]) -> None:
        """What the trainable finds remarkable: an event of the run, or a warning where there is nobody to read events."""
        told = self.trainable.notice(parts)
        if told is None or not self.first:
            return
        self._tell(told)

    def _tell(self, told: str) -> None:
        self.journal.event(f"step {self.step}: {told}", self.step)
        if not self.journal.wanted:
            warnings.warn(f"step {self.step}: {told}", ForetellWarning, stacklevel=3)

    def _tell_once(self, told: str) -> None:
        """``_tell`` of a run that has ended, which may be resumed again."""
        text = f"step {self.step}: {told}"
        if self.run is None or all(line.get("text") != text for line in self.run.metrics("event")):
            self._tell(told)

    def _tell_rounds(self, patience: int, *, begins: bool) -> None:
        """How often ``patience`` is asked for, and that it cannot end the run where there are too few rounds; once, where
        the run ``begins``.
        """
        if not self.monitors:
            self._tell("training.patience has no effect: nothing is monitored (no usable labels, or no text held out)")
        elif begins:
            monitor = self.monitors[0]
            text = told_rounds(patience, monitor.name, self.measured.every(monitor), self.measured.steps)
            self.journal.event(f"step {self.step}: {text}", self.step)

    def _look(self, last: bool) -> None:
        """Health and monitors that are due, on the first process."""
        if self.health is not None and (self.step % self.config.health_every == 0 or last):
            warm = self.step >= warmup_steps(self.measured.steps, self.config)
            loss = self.loss_sum / self.loss_count if self.loss_count else 0.0
            values = self.health(self.step, loss=loss, chance=self.chance, warm=warm)
            self.loss_sum, self.loss_count = 0.0, 0
            self.journal.measured("health", self.step, **values)
            self.journal.skip()
        for number, monitor in enumerate(self.monitors):
            if self.step % self.measured.every(monitor) and not last:
                continue
            with undisturbed(self.trainable):
                value = float(monitor(self.trainable, self.step))
            self.journal.measured("monitor", self.step, name=monitor.name, value=value)
            self.journal.skip()
            if number == 0:
                self._judge(monitor, value)

    def _judge(self, monitor: Monitor, value: float) -> None:
        self.curve.append((self.step, self.seconds, value))
        self.best = Best.after(self.best, monitor, value, self.step)
        if self.best.step == self.step and self.run is not None:
            self.run.check_there()
            checkpoint.save(self.run.path / "checkpoints" / checkpoint.BEST, self._payload())
        patience, last = self.config.patience, self.step == self.measured.steps
        if patience is not None and self.best.rounds >= patience and not last:
            self.early = True
            text = f"stopped early, {monitor.name} has not improved since step {self.best.step}"
            self.journal.event(f"step {self.step}: {text}", self.step)

    # checkpoints -----------------------------------------------------------------------------------------------------

    def _payload(self) -> dict[str, Any]:
        return {
            "step": self.step,
            **self.stepper.state(),
            "recipe": recipe_of(self.trainable, self.config),
            "measured": asdict(self.measured),
            "seconds": self.seconds,
            "best": asdict(self.best) if self.best else None,
            "early": self.early,
            "curve": self.curve,
            "loss": [self.loss_sum, self.loss_count, self.last_loss],
            "health": self.health.verdict.state() if self.health else None,
        }

    def _save(self) -> None:
        if self.run is None:
            return
        if not finite_parameters(self.trainable.parameters()):
            raise ForetellError(
                f"step {self.step}: parameters are not finite; the last checkpoint is kept. Try a lower training.rate, "
                "a longer training.warmup, training.clip = 1, or training.precision = 'float32'"
            )
        self.run.check_there()
        folder = self.run.path / "checkpoints"
        checkpoint.save(checkpoint.path_of(folder, self.step), self._payload())
        checkpoint.prune(folder, self.config.keep)
        self.journal.skip()

    def _restore(self, saved: dict[str, Any], where: str) -> None:
        """Raises InputError, before the run is changed, where the checkpoint is not one of it."""
        with checkpoint.restoring(where):
            with of(where):
                self.stepper.load(saved)
            self.step = saved["step"]
            self.earlier = float(saved["seconds"])
            self.best = Best(**saved["best"]) if saved["best"] else None
            self.early = bool(saved["early"])
            self.curve = [(int(step), float(seconds), float(value)) for step, seconds, value in saved["curve"]]
            self.loss_sum, self.loss_count, self.last_loss = saved["loss"]
            self._verdict = Verdict(**saved["health"]) if saved["health"] else None
        if self.step > self.measured.steps:
            raise checkpoint.unusable(
                where, f"is of step {self.step:,}, and the run ends after {self.measured.steps:,}"
            )
        if not checkpoint.finite([list(self.trainable.parameters()), saved["optimizers"]]):
            raise checkpoint.unusable(where, "holds numbers that are not finite")

    def _forget_later(self) -> None:
        """Drop what a killed process left past the step that the run goes on from."""
        if self.run is not None:
            checkpoint.drop_after(self.run.path / "checkpoints", self.step)
            self.run.cut_metrics(self.step)

    # the start -------------------------------------------------------------------------------------------------------

    def _measured(self, start: Start, per_epoch: float) -> Measured:
        """Precision, layout, threads and steps: as stored when resuming, else as given or measured."""
        stored = start.saved.get("measured") if start.saved else distributed.broadcast_object(start.measured)
        if start.saved is not None or stored is not None:
            with of(start.where):
                measured = Measured.read(stored)
            _set_threads(measured.threads)
            self._watch(measured)
            return measured
        _set_threads(self.config.threads or torch.get_num_threads())
        precision, layout = measure.choose(self.trainable, self.config, self.rows, self.device, self._say)
        measured = Measured(precision, layout, torch.get_num_threads())
        self._watch(measured)
        measured.steps = self._steps(measured, per_epoch)
        if self.rounds is not None and self.config.time is None:
            measured.steps_per_round = steps_per_round(measured.steps, self.rounds)
        measured.steps, measured.steps_per_round = distributed.broadcast_object(
            (measured.steps, measured.steps_per_round)
        )
        return measured

    def _steps(self, measured: Measured, per_epoch: float) -> int:
        """The steps of the budget; those that fit into a time, with what a step takes, are measured, and a round's with them."""
        if self.config.steps is not None:
            return self.config.steps
        if self.config.time is None:
            return max(1, round((DEFAULT_EPOCHS if self.config.epochs is None else self.config.epochs) * per_epoch))
        self._say("measuring how many steps fit into the time")
        allowed, modes = seconds_of(self.config.time), (measured.precision, measured.layout)
        each = measure.seconds_per_step(self.trainable, self.config, self.rows, self.device, modes, allowed)
        health = self._new_health(None) if self.run is not None else None
        aside = measure.seconds_aside(self.trainable, self.monitors, health, self.config.health_every)
        pace, left = Pace(each, *distributed.broadcast_object(aside)), allowed - self.seconds
        if self.rounds is not None and pace.looks:
            measured.steps_per_round = steps_per_round(left / pace.seconds(), self.rounds)
        measured.seconds_per_step = pace.seconds(measured.steps_per_round)
        fitting = int(left / measured.seconds_per_step)
        if fitting < 1:
            self._say(
                f"{self.config.time} are over before one step (about {spoken(measured.seconds_per_step)}), of which one is taken "
                "all the same; give a longer budget, or a number of steps"
            )
        return max(1, fitting)

    def _watch(self, measured: Measured) -> None:
        """Know the operations a sample and the machine's limit, where somebody will read them."""
        measuring = "auto" in (self.config.precision, self.config.layout)
        if not distributed.broadcast_object(self.journal.wanted or measuring):
            return
        if measured.flops_per_sample is None:
            measured.flops_per_sample = measure.flops_per_sample(self.trainable, self.config, self.rows, self.device)
        self.journal.flops_per_sample = measured.flops_per_sample
        # one process's limit times the processes: on one machine they share its cores by threads
        self.journal.peak_flops = checked_limits(self.device).flops(measured.precision) * distributed.world()

    def _prepare_health(self) -> None:
        self.chance = self.trainable.chance_loss(self.config.batch)
        self.health = self._new_health(self._verdict) if self.journal.wanted else None
        if self.health is not None and self.health.verdict.last not in FINE:
            self.journal.health = self.health.verdict.last

    def _new_health(self, verdict: Verdict | None) -> Health | None:
        if type(self.trainable).health is Trainable.health:
            return None
        return Health(self.trainable, self.config.seed, self.device, verdict)

    def _say(self, text: str) -> None:
        if self.journal.progress is not None:
            self.journal.progress.event(text)

    # the end ---------------------------------------------------------------------------------------------------------

    def _write_facts(self, **more: Any) -> None:
        if self.run is None:
            return
        facts = self.run.read_json("facts.json") or {}
        facts |= {"measured": asdict(self.measured), "measured_for": measure.measured_for(self.config)}
        facts["machine"] = describe(self.device)
        if self.chance is not None:
            facts["chance_loss"] = self.chance
        self.run.write_json("facts.json", facts | more)

    def _weights(self, state: str) -> int:
        """Give the trainable of a run with ``patience`` the weights of its best round back; the step that its weights are of."""
        best = self.best
        if self.run is None or self.config.patience is None or state == "stopped":
            return self.step
        self._tell_untrained()
        if best is None or best.step in (0, self.step):
            return self.step
        path = self.run.path / "checkpoints" / checkpoint.BEST
        saved = checkpoint.load(path)
        if saved["step"] != best.step:
            self._tell_once(
                f"the weights stay those of the last step: {path.name} is not of step {best.step}, which was best"
            )
            return self.step
        with checkpoint.restoring(path):
            self.trainable.load_state_dict(saved["module"])
        self._tell_once(f"the weights are those of step {best.step}, whose {best.monitor} was best ({best.value:.4g})")
        return best.step

    def _tell_untrained(self) -> None:
        """Say it where the run's log has a value of the first monitor before the first step, and no round was better."""
        if self.run is None or self.best is None or not self.monitors:
            return
        logged = (line for line in self.run.metrics("monitor") if line.get("name") == self.best.monitor)
        before = next((line.get("value") for line in logged if line.get("step") == 0), None)
        if not isinstance(before, int | float):
            return
        higher = self.monitors[0].higher_is_better
        if before > self.best.value if higher else before < self.best.value:
            self._tell_once(
                f"{self.best.monitor} was best before training ({before:.4g}): no round came up to it, the best one with "
                f"{self.best.value:.4g} at step {self.best.step}; give a longer budget, or try another objective"
            )

    def _result(self, state: Literal["finished", "early", "stopped"]) -> FitResult:
        samples = self.step * self.config.batch
        per_sample = self.measured.flops_per_sample
        result = FitResult(
            steps=self.step,
            seconds=self.seconds,
            samples=samples,
            state=state,
            best=self.best,
            weights=self._weights(state),
            peak_memory_bytes=self.memory.bytes,
            flops=None if per_sample is None else per_sample * samples,
            curve=self.curve,
            loss=self.last_loss,
            measured=asdict(self.measured),
        )
        spent = {
            "seconds": result.seconds,
            "samples": samples,
            "peak_memory_bytes": result.peak_memory_bytes,
            "flops": result.flops,
        }
        self._write_facts(cost=spent, ended={"state": state, "steps": self.step, "weights": result.weights})
        ended = "stopped" if state == "stopped" else "finished"
        text = f"{ended} at step {self.step} of {self.measured.steps} after {spoken(result.seconds)}"
        if state == "stopped":
            text += "; go on with --resume"
            self.journal.event(f"step {self.step}: stopped by a signal", self.step)
        self.journal.finish(ended, self.step, text, loss=self.last_loss, seconds=result.seconds)
        return result


def _placed(trainable: Trainable, device: torch.device) -> Trainable:
    """On ``device``, with batch norm over all processes where there are several."""
    trainable.to(device)
    if distributed.world() > 1:
        from foretell.encoders.norm import convert_batchnorm

        convert_batchnorm(trainable)
    return trainable


def _set_threads(threads: int) -> None:
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
