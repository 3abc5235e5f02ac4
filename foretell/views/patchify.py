"""An image as a sequence of patches, as a vision transformer reads it, and back."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def patchify(x: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) -> (B, T, C * patch * patch), row by row; zeros below and to the right where a side is no multiple."""
    channels, height, width = x.shape[1:]
    x = functional.pad(x, (0, -width % patch, 0, -height % patch))
    rows, columns = x.shape[2] // patch, x.shape[3] // patch
    parts = x.reshape(-1, channels, rows, patch, columns, patch).permute(0, 2, 4, 1, 3, 5)
    return parts.reshape(-1, rows * columns, channels * patch * patch)


def unpatchify(patches: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """The inverse: (B, rows * columns, C * patch * patch) -> (B, C, rows * patch, columns * patch)."""
    rows, columns = grid
    parts = patches.reshape(len(patches), rows, columns, -1, patch, patch).permute(0, 3, 1, 4, 2, 5)
    return parts.reshape(len(patches), -1, rows * patch, columns * patch)
