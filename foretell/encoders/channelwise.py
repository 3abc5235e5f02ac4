"""The channel-wise fully connected layer of context encoders (Pathak et al., arXiv 1604.07379, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelwiseLinear(nn.Module):
    """(B, maps, h, w) -> the same shape: each map by a matrix of its own over its n^2 = h w positions.

    y[b, c] = W[c] x[b, c] + bias[c], with W of maps x n^2 x n^2 numbers (maps n^4; a full layer would have maps^2 n^4).
    A change at one position reaches every position of its own map and no other map; mixing the maps is left to a
    convolution. A 1x1 convolution is no substitute: it mixes maps and not positions.
    """

    def __init__(self, maps: int, grid: tuple[int, int]) -> None:
        super().__init__()
        positions = grid[0] * grid[1]
        self.weight = nn.Parameter(torch.empty(maps, positions, positions))
        self.bias = nn.Parameter(torch.zeros(maps, positions))
        bound = positions**-0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        maps = x.flatten(2).transpose(0, 1)
        moved = torch.baddbmm(self.bias[:, None], maps, self.weight.transpose(1, 2))
        return moved.transpose(0, 1).reshape(x.shape)


class ChannelwiseBottleneck(nn.Sequential):
    """(B, maps, h, w) -> the same shape: the channel-wise layer, then a stride-1 convolution that mixes the maps."""

    def __init__(self, maps: int, grid: tuple[int, int]) -> None:
        super().__init__(ChannelwiseLinear(maps, grid), nn.ReLU(), nn.Conv2d(maps, maps, 1), nn.ReLU())
