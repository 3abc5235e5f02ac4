"""One optimiser step of every player."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foretell import distributed
from foretell.counters import Rng, Rows, seed_of
from foretell.encoders.convolution import gemm_weight_gradients
from foretell.errors import ForetellError, InputError
from foretell.objectives.base import Batch, Task, Trainable
from foretell.train.accumulate import cut, gradients
from foretell.train.config import TrainingConfig
from foretell.train.optim import make_optimizer, set_rate
from foretell.train.schedule import rate_at


@dataclass
class Outcome:
    """``parts``: the step's loss, mean over processes; ``stop``: whether a process was asked to stop."""

    parts: dict[str, float]
    rate: float
    stop: bool


def to_layout(module: nn.Module, layout: str) -> None:
    """Lay convolution weights out as ``layout`` ("contiguous" or "channels_last"), in place.

    With channels_last on a CPU, weight gradients are matrix products (``encoders.convolution``).
    """
    gemm_weight_gradients(module, on=layout == "channels_last")
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    if any(parameter.ndim == 4 for parameter in module.parameters()):
        # only tensors of four dimensions have this layout; volumes keep their own
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.ndim == 4:
                tensor.data = tensor.data.contiguous(memory_format=form)


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed the generators that work on ``device`` draws from (``torch.manual_seed`` does much more, in 0.3 ms)."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


class Stepper:
    """Everything that changes while training: the players' optimisers and, in place, the parameters."""

    def __init__(
        self,
        trainable: Trainable,
        config: TrainingConfig,
        rows: Rows,
        *,
        steps: int,
        device: torch.device,
        precision: str,
        layout: str,
    ) -> None:
        self.trainable = trainable
        self.config = config
        self.rows = rows
        self.steps = steps
        self.device = device
        self.precision = precision
        self.layout = layout
        self.players = trainable.players()
        self.parameters = {name: [p for _, p in player.parameters] for name, player in self.players.items()}
        exclude = getattr(trainable, "exclude", None)
        self.optimizers = {name: make_optimizer(player, config, exclude) for name, player in self.players.items()}
        self._world = distributed.world()
        self._rank = distributed.rank()

    def task(self, step: int, batch: Batch) -> Task:
        """What ``step`` hides of ``batch``, in the run's layout."""
        with torch.no_grad():
            task = self.trainable.hide(batch, Rng(self.config.seed, step, self.rows, self.device))
        if self.layout == "channels_last":
            for name, tensor in task.visible.items():
                if tensor.ndim == 4:
                    task.visible[name] = tensor.contiguous(memory_format=torch.channels_last)
        return task

    def autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def __call__(self, step: int, batch: Batch, stop: bool = False) -> Outcome:
        """Take step number ``step`` (from 0). ``stop`` is this process's wish to stop after it.

        Raises ForetellError before any parameter changes when a loss or a gradient is not finite.
        """
        task = self.task(step, batch)
        if self.trainable.updates:
            rate = rate_at(step, self.steps, self.config)
            parts = self.trainable.update(task, rate)
            _check_finite(step, "", parts, 0.0)
            return Outcome(parts, rate, stop)
        chunks = cut(task, self.config.chunk)
        rate = rate_at(step, self.steps, self.config)
        logged: dict[str, float] = {}
        asked = False
        names = list(self.players)
        for name in names:
            parts, gradient, stopping = self._gradient(step, name, task, chunks, keep=name != names[-1], stop=stop)
            asked = asked or stopping
            _check_finite(step, name if len(names) > 1 else "", parts, gradient)
            optimizer = self.optimizers[name]
            set_rate(optimizer, rate)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if len(names) == 1:
                logged = parts
            else:
                logged |= {f"{name}.{part}": value for part, value in parts.items()}
                logged["total"] = logged.get("total", 0.0) + parts["total"]
        task.cache.clear()
        return Outcome({"total": logged["total"], **logged}, rate, asked)

    def _gradient(
        self, step: int, name: str, task: Task, chunks: list[Task], *, keep: bool, stop: bool
    ) -> tuple[dict[str, float], float, bool]:
        """Leave ``name``'s gradient, mean over processes and clipped, in its parameters; (loss parts, norm, stop)."""
        parameters = self.parameters[name]

        def reseed(chunk: int) -> None:
            seed_torch(seed_of(self.config.seed, step, self._rank, "torch", name, chunk), self.device)

        shared = keep and len(self.players) > 1
        losses = gradients(self.trainable, name, parameters, task, chunks, self.autocast, reseed, shared)
        if self._world > 1:
            stop = _average(parameters, losses, stop)
        held = [p.grad for p in parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(held))) if held else torch.zeros(())
        values: list[float] = torch.stack([*losses.values(), norm.to(next(iter(losses.values())))]).tolist()
        gradient = values.pop()
        if self.config.clip is not None and math.isfinite(gradient) and gradient > self.config.clip:
            torch._foreach_mul_(held, self.config.clip / (gradient + 1e-6))
        return dict(zip(losses, values, strict=True)), gradient, stop

    # state ---------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Module and optimisers, as a checkpoint holds them."""
        return {
            "module": self.trainable.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Raises InputError when ``state`` is of another network."""
        try:
            self.trainable.load_state_dict(state["module"])
            kept = {name: state["optimizers"][name] for name in self.optimizers}
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"is of another network: {_first_line(error)}; put back the recipe and the checkpoints of this run, or start a "
                "new one with another --out"
            ) from error
        for name, optimizer in self.optimizers.items():
            try:
                optimizer.load_state_dict(kept[name])
            except (RuntimeError, ValueError, KeyError) as error:
                raise InputError(
                    f"its {self.config.optimizer} optimiser holds other groups of parameters than this version makes; go on "
                    "with the version that began the run, or start a new one with another --out"
                ) from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)][:160].rstrip(".") if lines else type(error).__name__


def _average(parameters: list[nn.Parameter], losses: dict[str, Tensor], stop: bool) -> bool:
    """Average gradients and losses over processes in one exchange; whether any process wants to stop.

    A parameter without gradient here counts as zero if another process has one, and stays without if none has.
    """
    has = torch.tensor([p.grad is not None for p in parameters] + [stop], dtype=torch.float32)
    has = has.to(parameters[0].device)
    filled = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    distributed.average_([*filled, has, *losses.values()])
    *present, stopping = (has > 0).tolist()
    for parameter, grad, there in zip(parameters, filled, present, strict=True):
        parameter.grad = grad if there else None
    return bool(stopping)


def _check_finite(step: int, player: str, parts: dict[str, float], gradient: float) -> None:
    wrong = [name for name, value in parts.items() if not math.isfinite(value)]
    if not wrong and math.isfinite(gradient):
        return
    if wrong:
        # name the cause before the sum it spoils
        name = next((part for part in wrong if part != "total"), "total")
        what = f"loss '{name}' is {parts[name]}"
    else:
        what = "gradient is not finite"
    whose = f" of player '{player}'" if player else ""
    raise ForetellError(
        f"step {step + 1}: the {what}{whose}; the last checkpoint is kept. Try a lower training.rate, a longer "
        "training.warmup, training.clip = 1, or training.precision = 'float32'"
    )


def finite_parameters(parameters: Iterable[nn.Parameter]) -> bool:
    """Whether every parameter is finite."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in parameters)
