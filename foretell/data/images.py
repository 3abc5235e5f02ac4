"""A batch of stored images: padded pixels and each image's own size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Images:
    """``pixels`` (B, C, H, W) uint8 or uint16, zero beyond each image's own (height, width) in ``sizes`` (B, 2) int64.

    H and W are the largest of the batch. ``index`` (B,) int64 are the rows of the store the images came from, and ``content``
    (B,) int64 tells what they show: the same for the same picture, in whatever store and row it lies.
    """

    pixels: Tensor
    sizes: Tensor
    index: Tensor
    content: Tensor

    def __len__(self) -> int:
        return self.pixels.shape[0]

    @property
    def channels(self) -> int:
        return self.pixels.shape[1]

    @property
    def peak(self) -> float:
        """The pixel value that stands for 1.0: 255 or 65535."""
        return 65535.0 if self.pixels.dtype == torch.uint16 else 255.0

    @property
    def uniform(self) -> bool:
        """Whether every image fills the whole (H, W)."""
        size = torch.tensor(self.pixels.shape[2:])
        return bool((self.sizes.cpu() == size).all())

    def float(self) -> Tensor:
        """Float32 (B, C, H, W) in [0, 1]."""
        return self.pixels.to(torch.float32).mul_(1.0 / self.peak)

    def to(self, device: torch.device) -> Images:
        if self.pixels.device == device:
            return self
        return Images(
            self.pixels.to(device, non_blocking=True),
            self.sizes.to(device, non_blocking=True),
            self.index.to(device, non_blocking=True),
            self.content.to(device, non_blocking=True),
        )

    def rows(self, start: int, stop: int) -> Images:
        part = slice(start, stop)
        return Images(self.pixels[part], self.sizes[part], self.index[part], self.content[part])
