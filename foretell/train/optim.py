"""Optimisers: LARS as SimCLR's authors wrote it, and torch's SGD and AdamW, one for each player."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from foretell.errors import InputError
from foretell.objectives.base import Player
from foretell.train.config import TrainingConfig

Exclude: TypeAlias = Callable[[str, nn.Parameter], bool]


def bias_or_norm(name: str, parameter: nn.Parameter) -> bool:
    """Whether ``parameter`` is a bias or belongs to a norm: these are neither decayed nor adapted."""
    return parameter.ndim <= 1 or name.rpartition(".")[2] == "bias"


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates (You et al. 2017, arXiv 1708.03888) as in SimCLR's released code.

    g <- g + weight_decay w;  ratio = trust |w| / |g|, or 1 where either norm is 0;  v <- momentum v + lr ratio g;
    w <- w - v, or with ``nesterov`` w - (momentum v + lr ratio g). The rate is inside v, unlike in torch's SGD, so that
    a change of rate does not rescale past steps. Groups with ``adapt`` false have ratio 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        nesterov: bool = False,
        adapt: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust": trust,
            "nesterov": nesterov,
            "adapt": adapt,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            for w in weights:
                if "velocity" not in self.state[w]:
                    self.state[w]["velocity"] = torch.zeros_like(w, memory_format=torch.preserve_format)
            velocity = [self.state[w]["velocity"] for w in weights]
            gradients = [w.grad for w in weights if w.grad is not None]
            if weights[0].device.type == "cpu":
                # faster here than many tensors a call, which goes through memory once more for each operation
                for w, g, v in zip(weights, gradients, velocity, strict=True):
                    self._one(group, w, g, v)
            else:
                self._many(group, weights, gradients, velocity)

    @staticmethod
    def _one(group: dict[str, Any], w: Tensor, g: Tensor, v: Tensor) -> None:
        rate = group["lr"]
        if group["weight_decay"]:
            g = g.add(w, alpha=group["weight_decay"])
        if group["adapt"]:
            w_norm, g_norm = float(torch.linalg.vector_norm(w)), float(torch.linalg.vector_norm(g))
            if w_norm > 0 and g_norm > 0:
                rate *= group["trust"] * w_norm / g_norm
        v.mul_(group["momentum"]).add_(g, alpha=rate)
        if group["nesterov"]:
            w.sub_(v, alpha=group["momentum"]).sub_(g, alpha=rate)
        else:
            w.sub_(v)

    @staticmethod
    def _many(
        group: dict[str, Any], weights: list[nn.Parameter], gradients: list[Tensor], velocity: list[Tensor]
    ) -> None:
        w: list[Tensor] = list(weights)
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, w, alpha=group["weight_decay"]))
        if group["adapt"]:
            w_norm = torch.stack(torch._foreach_norm(w))
            g_norm = torch.stack(torch._foreach_norm(gradients))
            # on the device, as reading the norms would wait for it
            ratio = torch.where((w_norm > 0) & (g_norm > 0), group["trust"] * w_norm / g_norm, 1.0) * group["lr"]
            scaled = torch._foreach_mul(gradients, list(ratio.unbind()))
        else:
            scaled = torch._foreach_mul(gradients, group["lr"])
        torch._foreach_mul_(velocity, group["momentum"])
        torch._foreach_add_(velocity, scaled)
        if group["nesterov"]:
            torch._foreach_add_(scaled, velocity, alpha=group["momentum"])
            torch._foreach_sub_(w, scaled)
        else:
            torch._foreach_sub_(w, velocity)


def make_optimizer(player: Player, config: TrainingConfig, exclude: Exclude | None = None) -> torch.optim.Optimizer:
    """The optimiser of one player, for float32 parameters of any shape and device.

    Parameters for which ``exclude(name, parameter)`` is true get no weight decay and, under LARS, no adaptation, as do
    all biases and norm parameters; SimCLR's code excludes the supervised head by this. Each group holds its factor of
    the schedule (``player.rate`` x ``player.scales``) as ``scale``; ``set_rate`` applies it.
    Raises InputError when the player has no parameter.
    """
    if not player.parameters:
        raise InputError("there is nothing to train: all parameters are frozen")
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in player.parameters:
        excluded = bias_or_norm(name, parameter) or (exclude is not None and exclude(name, parameter))
        scale = player.rate * player.scales.get(name, 1.0)
        groups.setdefault((scale, excluded), []).append(parameter)
    made: list[dict[str, Any]] = [
        {"params": parameters, "scale": scale, "weight_decay": 0.0 if excluded else config.weight_decay}
        | ({"adapt": not excluded} if config.optimizer == "lars" else {})
        for (scale, excluded), parameters in groups.items()
    ]
    if config.optimizer == "lars":
        return LARS(made, lr=0.0, momentum=config.momentum, nesterov=config.nesterov)
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(made, lr=0.0, momentum=config.momentum, nesterov=nesterov)
    return torch.optim.AdamW(made, lr=0.0, betas=player.betas or config.betas, fused=_fused(player))


def _fused(player: Player) -> bool:
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for _, p in player.parameters)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the scheduled ``rate`` on every group, times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
