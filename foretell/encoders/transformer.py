"""What Foretell's own light transformers are made of: a pre-norm block and positions by sines."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """(B, T, width) -> the same: attention, then a four-fold MLP, each after a layer norm and added to its input.

    The block of the vision transformer (Dosovitskiy et al., arXiv 2010.11929); linear layers start as Xavier's.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        for linear in (self.qkv, self.out, self.wide, self.narrow):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, last: int | None = None) -> Tensor:
        """``last``: only the last so many tokens are worked out, from all: (B, last, width)."""
        normed = self.norm1(x)
        if last is None:
            q, k, v = self._heads(self.qkv(normed), 3)
        else:
            width = x.shape[2]
            weight, bias = self.qkv.weight, self.qkv.bias
            (q,) = self._heads(functional.linear(normed[:, -last:], weight[:width], bias[:width]), 1)
            k, v = self._heads(functional.linear(normed, weight[width:], bias[width:]), 2)
            x = x[:, -last:]
        attended = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        made: Tensor = x + self.narrow(functional.gelu(self.wide(self.norm2(x))))
        return made

    def _heads(self, projected: Tensor, count: int) -> tuple[Tensor, ...]:
        """(B, T, count * width) -> ``count`` of (B, heads, T, width / heads)."""
        batch, length, _ = projected.shape
        return projected.view(batch, length, count, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def sine_positions(grid: tuple[int, int], width: int) -> Tensor:
    """(rows * columns, width): half of the values tell the row, half the column, by sines and cosines of each.

    Frequencies fall from 1 to 1/10000 (Vaswani et al., arXiv 1706.03762; in two dimensions as the masked autoencoder's
    authors do). Raises ValueError unless ``width`` is a multiple of 4.
    """
    if width % 4:
        raise ValueError(f"positions in two dimensions need a width that is a multiple of 4, not {width}")
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))

    def along(length: int) -> Tensor:
        angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
        return torch.cat([angle.sin(), angle.cos()], dim=1).float()

    rows, columns = grid
    down = along(rows)[:, None].expand(-1, columns, -1)
    across = along(columns)[None].expand(rows, -1, -1)
    return torch.cat([across, down], dim=2).reshape(rows * columns, width)
