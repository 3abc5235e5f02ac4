"""What is measured at the start of a run: precision, layout, operations a sample, seconds a step and those beside it.

Every measurement leaves the trainable as it found it, so that a run is the same as one told the outcome beforehand.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from foretell import distributed
from foretell.counters import Rows
from foretell.errors import InputError
from foretell.objectives.base import Batch, Contrastive, Trainable
from foretell.train import cost
from foretell.train.accumulate import cut, gradients
from foretell.train.budget import seconds_of
from foretell.train.config import TrainingConfig
from foretell.train.feed import Feed, stream_of
from foretell.train.health import Health
from foretell.train.machine import limits, synchronise
from foretell.train.monitor import Monitor, undisturbed
from foretell.train.step import Stepper, to_layout

PRECISIONS, LAYOUTS = ("float32", "bfloat16"), ("contiguous", "channels_last")
MADE_FOR = {"epochs", "steps", "time", "batch", "chunk", "precision", "layout", "threads"}
# A faster choice must be faster by this to be taken over plainer arithmetic.
LAYOUT_GAIN = 1.03
PRECISION_GAIN = 1.10
# Rows of the first trial, which only tells how long a row takes, and the most of the others on a CPU. A GPU is tried
# with the whole batch: with few rows it waits for its orders, whatever the precision.
FEW, MANY = 4, 64


@dataclass
class Measured:
    """The choices of a run, kept in its facts.json under "measured" and never made again.

    ``steps_per_round``: the most steps between two rounds of a monitor, where ``fit`` was asked for a number of rounds.
    """

    precision: str
    layout: str
    threads: int
    steps: int = 0
    seconds_per_step: float | None = None
    flops_per_sample: float | None = None
    steps_per_round: int | None = None

    def every(self, monitor: Monitor) -> int:
        """Steps between two rounds of ``monitor``."""
        return monitor.every if self.steps_per_round is None else min(monitor.every, self.steps_per_round)

    @classmethod
    def read(cls, kept: Any) -> Measured:
        """What was kept as a table. Raises InputError where it is not what a run writes."""
        try:
            made = cls(**kept)
            whole = all(type(number) is int and number > 0 for number in (made.threads, made.steps))
            spaced = made.steps_per_round
            whole = whole and (spaced is None or (type(spaced) is int and spaced > 0))
            if whole and made.precision in PRECISIONS and made.layout in LAYOUTS:
                return made
        except TypeError:  # another table, or none
            pass
        raise InputError('"measured" is not what a run writes; put back a copy, or train anew with another --out')


def measured_for(config: TrainingConfig) -> dict[str, Any]:
    """The settings that the choices of a run are made for, kept beside them."""
    return config.model_dump(mode="json", include=MADE_FOR)


def still_measured(facts: dict[str, Any], config: TrainingConfig) -> Any:
    """What facts.json holds under "measured"; None where it was made for other settings than those of ``config``."""
    same = facts.get("measured_for") in (None, measured_for(config))  # None: of an earlier version
    return facts.get("measured") if same else None


@contextmanager
def throwaway(trainable: Trainable) -> Iterator[None]:
    """Train within the block as one likes: parameters, buffers, modes and random numbers are restored after it."""
    saved = copy.deepcopy(trainable.state_dict())
    loose = {name: buffer.clone() for name, buffer in trainable.named_buffers() if name not in saved}
    try:
        with undisturbed(trainable):
            yield
    finally:
        trainable.zero_grad(set_to_none=True)
        trainable.load_state_dict(saved)
        for name, buffer in trainable.named_buffers():
            if name in loose:
                buffer.copy_(loose[name])


def _seed(chunk: int) -> None:
    torch.default_generator.manual_seed(chunk)


def _part(rows: Rows, count: int) -> Rows:
    return Rows(rows.start, min(rows.start + count, rows.stop), rows.total)


class _Trial:
    """Forward and backward of a few rows of the first batch, in one precision and layout."""

    def __init__(self, trainable: Trainable, config: TrainingConfig, rows: Rows, device: torch.device) -> None:
        self.trainable = trainable
        self.config = config
        self.device = device
        self.rows = rows
        self.batch: Batch = trainable.draw(stream_of(trainable, config.seed, 0), config.seed, 0, rows).to(device)

    def stepper(self, precision: str, layout: str) -> Stepper:
        to_layout(self.trainable, layout)
        return Stepper(
            self.trainable,
            self.config,
            self.rows,
            steps=1,
            device=self.device,
            precision=precision,
            layout=layout,
        )

    def work(self, stepper: Stepper) -> Callable[[], None]:
        def once() -> None:
            task = stepper.task(0, self.batch)
            for name, parameters in stepper.parameters.items():
                gradients(self.trainable, name, parameters, task, cut(task, None), stepper.autocast, _seed, True)
            task.cache.clear()
            self.trainable.zero_grad(set_to_none=True)

        return once

    def seconds(self, work: Callable[[], None]) -> float:
        synchronise(self.device)
        begin = time.perf_counter()
        work()
        synchronise(self.device)
        return time.perf_counter() - begin


def candidates(trainable: Trainable, config: TrainingConfig, device: torch.device) -> list[tuple[str, str]]:
    """The (precision, layout) pairs worth trying, plainest first.

    bfloat16 only where its matrix product is faster than float32's; channels_last only with 2-d convolutions.
    """
    convolution = any(isinstance(module, torch.nn.modules.conv._ConvNd) for module in trainable.modules())
    four = any(parameter.ndim == 4 for parameter in trainable.parameters())
    layouts = ["contiguous", "channels_last"] if convolution and four else ["contiguous"]
    if config.layout != "auto":
        layouts = [config.layout]
    precisions: list[str] = [config.precision]
    if config.precision == "auto":
        able = limits(device)
        precisions = ["float32"] + (["bfloat16"] if able.bfloat16_flops > able.float32_flops else [])
    # bfloat16 kernels are written for channels_last
    return [(p, layout) for p in precisions for layout in layouts if p == "float32" or layout == layouts[-1]]


def _seconds_a_trial(config: TrainingConfig) -> float:
    """At most 2.5 s, or a fiftieth of a budget in time."""
    return 2.5 if config.time is None else min(2.5, max(0.1, seconds_of(config.time) / 50))


def _trial_size(each: float, allowed: float, pairs: int, most: int = MANY) -> tuple[int, int]:
    """Rows of a trial, a power of two, and how often each pair is tried, when a row takes ``each`` seconds.

    Rows come first: which layout is faster depends on them, and few rows mislead.
    """
    rows = int(2 ** math.floor(math.log2(max(allowed / max(each, 1e-9), 1))))
    rows = min(max(rows, FEW), most)
    return rows, min(max(int(2 * allowed / (pairs * rows * max(each, 1e-9))), 1), 4)


def choose(
    trainable: Trainable, config: TrainingConfig, rows: Rows, device: torch.device, progress: Callable[[str], None]
) -> tuple[str, str]:
    """The faster of ``candidates`` on a small part of the first batch; no measurement when there is one."""
    if trainable.updates:
        return "float32", "contiguous"  # that is how its kernels are written
    pairs: list[tuple[str, str]] = distributed.broadcast_object(candidates(trainable, config, device))
    if len(pairs) == 1:
        return pairs[0]
    progress("measuring which precision and memory layout is fastest here")
    seconds: dict[tuple[str, str], float] = {}
    with throwaway(trainable):
        trial = _Trial(trainable, config, _part(rows, FEW), device)
        for pair in pairs:
            work = trial.work(trial.stepper(*pair))
            work()
        each = trial.seconds(work) / len(trial.rows)
        most = MANY if device.type == "cpu" else len(rows)
        # the same on every process, as a trial may exchange embeddings
        count, rounds = distributed.broadcast_object(_trial_size(each, _seconds_a_trial(config), len(pairs), most))
        trial = _Trial(trainable, config, _part(rows, count), device)
        # in turns, so that a machine that is busy for a while is so for all
        for _ in range(rounds):
            for pair in pairs:
                work = trial.work(trial.stepper(*pair))
                seconds[pair] = min(seconds.get(pair, math.inf), trial.seconds(work))
        to_layout(trainable, "contiguous")
    best = pairs[0]
    for pair in pairs[1:]:
        gain = PRECISION_GAIN if pair[0] != best[0] else LAYOUT_GAIN
        if seconds[pair] * gain < seconds[best]:
            best = pair
    chosen: tuple[str, str] = distributed.broadcast_object(best)
    return chosen


def flops_per_sample(trainable: Trainable, config: TrainingConfig, rows: Rows, device: torch.device) -> float:
    """Floating-point operations of a step, for each sample, forward and backward over all players.

    Counted on a few rows once a shape: work that grows faster than the batch (the similarity matrix of a contrastive
    loss) is therefore undercounted, by under a hundredth for any usual encoder.
    """
    if trainable.updates:
        return trainable.work()
    part = _part(rows, 2)
    key = cost.shape_key(trainable, _sample_shape(trainable, config, part), config.chunk)
    count = cost.known(key)
    if count is None:
        with throwaway(trainable):
            trial = _Trial(trainable, config, part, device)
            stepper = trial.stepper("float32", "contiguous")
            work = trial.work(stepper)

            def counted() -> None:
                work()
                if config.chunk is not None and config.chunk < len(rows) and isinstance(trainable, Contrastive):
                    # cached gradients embed twice
                    with torch.no_grad():
                        trainable.embed(stepper.task(0, trial.batch))

            count = cost.counted(key, counted)
    return count / len(part)


def _sample_shape(trainable: Trainable, config: TrainingConfig, part: Rows) -> tuple[tuple[int, ...], ...]:
    batch = trainable.draw(stream_of(trainable, config.seed, 0), config.seed, 0, part)
    return tuple(tuple(value.shape) for value in vars(batch).values() if isinstance(value, torch.Tensor))


def seconds_per_step(
    trainable: Trainable,
    config: TrainingConfig,
    rows: Rows,
    device: torch.device,
    choice: tuple[str, str],
    allowed: float,
) -> float:
    """Mean seconds of a whole step with its drawing, over about 3% of ``allowed`` seconds, two steps at least.

    Every process gets rank 0's figure.
    """
    taken: list[float] = []
    with throwaway(trainable):
        to_layout(trainable, choice[1])
        # as many steps as keep the rate in the warm-up
        stepper = Stepper(trainable, config, rows, steps=10**6, device=device, precision=choice[0], layout=choice[1])
        feed = Feed(trainable, config.seed, rows, device)
        try:
            begin = time.perf_counter()
            more = True
            while more:
                start = time.perf_counter()
                stepper(len(taken), feed.get(len(taken)))
                synchronise(device)
                taken.append(time.perf_counter() - start)
                more = len(taken) < 2 or (time.perf_counter() - begin < min(0.03 * allowed, 10.0) and len(taken) < 200)
                more = distributed.broadcast_object(more)
        finally:
            feed.close()
    # the first step pays for memory and for kernels that are chosen on first use
    typical: float = distributed.broadcast_object(statistics.mean(taken[1:]))
    return typical


def seconds_aside(
    trainable: Trainable, monitors: Sequence[Monitor], health: Health | None, health_every: int
) -> tuple[float, list[tuple[int, float]]]:
    """(seconds a step that ``health``, measured every so many steps, takes beside it, (``every``, seconds a round) of
    each monitor), by trying each once.
    """
    looks = [(m.every, _seconds_once(trainable, partial(m, trainable, 0))) for m in monitors]
    if health is None:
        return 0.0, looks
    judged = partial(health, 0, loss=0.0, chance=None, warm=False)
    return _seconds_once(trainable, judged) / health_every, looks


def _seconds_once(trainable: Trainable, call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    with throwaway(trainable):
        call()
    return time.perf_counter() - begin
