"""The last steps of a view, in place: solarise, normalise and erase; and the parts a batch is worked on in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from foretell.data.images import Images

# Small enough for the working set to stay in a processor's cache; elsewhere only to bound memory.
_CHUNK_BYTES = {"cpu": 3 << 20}
_CHUNK_BYTES_ELSEWHERE = 512 << 20


def chunks(images: Images) -> Iterator[tuple[int, int]]:
    """(start, stop) of the parts of a batch that are worked on together."""
    _, channels, height, width = images.pixels.shape
    limit = _CHUNK_BYTES.get(images.pixels.device.type, _CHUNK_BYTES_ELSEWHERE)
    size = max(1, limit // (4 * channels * height * width))
    for start in range(0, len(images), size):
        yield start, min(start + size, len(images))


def solarise_(view: Tensor, chosen: Tensor) -> None:
    """Invert the values above 0.5 of the ``chosen`` (B,) images of ``view`` (B, C, H, W) in [0, 1], in place."""
    # x and 1 - x, whichever is smaller; torch.minimum is not vectorised on a CPU.
    inverted = (view - 0.5).abs_().neg_().add_(0.5)
    torch.where(chosen[:, None, None, None], inverted, view, out=view)


def per_channel(values: Sequence[float], view: Tensor, name: str) -> Tensor:
    """``values`` to broadcast over ``view``; ValueError when there is not one a channel."""
    if len(values) != view.shape[1]:
        raise ValueError(f"{len(values)} values of {name} for images with {view.shape[1]} channels")
    return torch.tensor(values, device=view.device, dtype=view.dtype).view(1, -1, 1, 1)


def normalise_(view: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None) -> Tensor:
    """(view - mean) / std for each channel, in place; None is 0 for the mean and 1 for the deviation."""
    if mean is not None:
        view.sub_(per_channel(mean, view, "mean"))
    if std is not None:
        view.mul_(per_channel(std, view, "std").reciprocal_())
    return view


def erase_(view: Tensor, box: Tensor, filling: Tensor) -> None:
    """Fill ``box`` (B, 4: top, left, height, width; height 0 for none) with ``filling`` (B or 1, C, 1, 1), in place."""
    top, left, tall, wide = (part[:, None] for part in box.unbind(1))
    down = torch.arange(view.shape[2], device=view.device)
    across = torch.arange(view.shape[3], device=view.device)
    rows = (down >= top) & (down < top + tall)
    columns = (across >= left) & (across < left + wide)
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]
    torch.where(inside, filling, view, out=view)
