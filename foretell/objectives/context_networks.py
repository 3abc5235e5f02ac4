"""The two players' own networks in a context encoder: what fills the hole, and what tells fills from pictures.

Shapes follow the authors' code (arXiv 1604.07379): 4x4 kernels of stride 2 and no pooling; ReLU where pictures are made,
LeakyReLU 0.2 where they are judged; a norm after every convolution but the first of the judge and the last of the maker;
convolution weights N(0, 0.02), gains of norms N(1, 0.02).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foretell.encoders.base import Encoder
from foretell.encoders.channelwise import ChannelwiseBottleneck

WIDEST = 512


def _norm(kind: str, channels: int, *, tracked: bool = True) -> nn.Module:
    if kind == "group":
        return nn.GroupNorm(min(8, channels), channels)
    return nn.BatchNorm2d(channels, track_running_stats=tracked)


def _initialise(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(part.weight, 1.0, 0.02)


def map_size(encoder: Encoder) -> tuple[int, int]:
    """(h, w) of the encoder's ``map``. Raises InputError for an encoder that gives none."""
    modes = [(part, part.training) for part in encoder.modules()]
    encoder.eval()
    with torch.no_grad():
        height, width = encoder.map(torch.zeros(1, encoder.channels, encoder.side, encoder.side)).shape[2:]
    for part, mode in modes:
        part.training = mode
    return height, width


class Filler(nn.Module):
    """The encoder's map (B, maps, h, w) -> the whole picture (B, channels, side, side), normalised.

    ``channelwise``: whether the channel-wise fully connected layer carries the context across the map. ``width``:
    channels of the last stage; each stage before it has twice as many, 512 at most. ``mean`` and ``std`` (one a
    channel, in [0, 1]): the picture before normalisation is kept in [0, 1] by a sigmoid (the authors' tanh).
    """

    def __init__(
        self,
        encoder: Encoder,
        side: int,
        *,
        channelwise: bool,
        width: int,
        norm: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        grid, maps = map_size(encoder), encoder.map_dim
        self.side = side
        self.across: nn.Module = nn.Identity()
        doublings = 0
        while min(grid) << doublings < side:
            doublings += 1
        steps: list[nn.Module] = []
        before = maps
        for stage in reversed(range(doublings - 1)):
            after = min(WIDEST, width << stage)
            steps += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), _norm(norm, after), nn.ReLU()]
            before = after
        # an encoder that keeps the picture's resolution leaves nothing to enlarge
        last = (
            nn.ConvTranspose2d(before, encoder.channels, 4, 2, 1)
            if doublings
            else nn.Conv2d(before, encoder.channels, 1)
        )
        self.steps = nn.Sequential(*steps, last)
        _initialise(self.steps)
        if channelwise:
            self.across = ChannelwiseBottleneck(maps, grid)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.steps(self.across(features))
        picture = torch.sigmoid(logits[:, :, : self.side, : self.side].float())
        return (picture - self.mean) / self.std


class Discriminator(nn.Module):
    """Content (B, channels, side, side) -> (B,) logits: above 0 it takes it for real.

    Batch norm keeps no running statistics: real and filled content are judged in passes of their own, each by its own
    statistics, while training and after.
    """

    def __init__(self, channels: int, side: int, *, width: int, norm: str) -> None:
        super().__init__()
        stages = max(0, side.bit_length() - 3)
        steps: list[nn.Module] = []
        before = channels
        for stage in range(stages):
            # beyond 64 px there are more stages of the same width in front, as in the authors' judge of whole images
            after = min(WIDEST, width << max(0, stage - max(0, stages - 4)))
            steps.append(nn.Conv2d(before, after, 4, 2, 1, bias=stage == 0))
            if stage:
                steps.append(_norm(norm, after, tracked=False))
            steps.append(nn.LeakyReLU(0.2))
            before, side = after, side // 2
        self.steps = nn.Sequential(*steps, nn.Conv2d(before, 1, side))
        _initialise(self)

    def forward(self, content: Tensor) -> Tensor:
        logits: Tensor = self.steps(content)
        return logits.flatten(1)[:, 0].float()


def judgement(logits: Tensor, real: bool) -> Tensor:
    """Mean binary cross-entropy of ``logits`` against "all real" or "all filled"."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def _as_it_is(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    """A checkpoint without the state of ``module``, as of an earlier version, leaves it as it is."""
    state.setdefault(f"{prefix}_extra_state", module.get_extra_state())


class Won(nn.Module):
    """Says once that the discriminator has won: its loss, averaged over some ``LONG`` steps, is below ``LOW``.

    Chance is 2 ln 2 = 1.39. At the published weights a loss near zero is usual, since the filler tries little; what the
    filler still learns from it is seen in the gradient energy of the fills. Average and whether it was said are kept in
    checkpoints.
    """

    LOW = 0.05
    LONG = 100

    def __init__(self) -> None:
        super().__init__()
        self.mean = 2 * math.log(2)
        self.told = False
        self.register_load_state_dict_pre_hook(_as_it_is)  # type: ignore[no-untyped-call]

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.mean, self.told], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        self.mean, self.told = float(state[0]), bool(state[1])

    def notice(self, loss: float, rate: float) -> str | None:
        """The warning, at the step at which it becomes true."""
        self.mean += (loss - self.mean) / self.LONG
        if self.told or self.mean >= self.LOW:
            return None
        self.told = True
        return (
            f"the discriminator has won: its loss has long been near zero ({self.mean:.3f} on average, chance is 1.386), so "
            f"that fills gain little from it; lower objective.discriminator_rate (now {rate:g}) or "
            "objective.discriminator_width, keep objective.conditioned = false, or set objective.adversarial = 0"
        )
