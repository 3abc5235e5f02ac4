"""The one contract of image encoders: ``pooled``, ``map`` and ``tokens``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from foretell.settings import Settings


class EncoderConfig(Settings):
    """Which encoder, and how its first layers meet the image."""

    name: str = Field("auto", description="a Foretell encoder or any timm name; auto: chosen by side and device")
    stem: Literal["auto", "standard", "small"] = Field(
        "auto",
        description="small: 3x3 stride-1 first convolution and no max-pool (SimCLR, CIFAR-10); auto: by side",
    )
    norm: Literal["batch", "group"] = Field(
        "batch",
        description="batch: the network's own normalisation; group: group norm in place of batch norm, so that a "
        "sample's embedding does not depend on its batch and k processes equal one",
    )
    patch: int | None = Field(
        None, ge=1, description="pixels a side of a transformer's patch; default: the network's own"
    )
    weights: str | None = Field(
        None, description="a run folder, an exported encoder or a safetensors file to start from"
    )


class Encoder(nn.Module):
    """An image encoder. Inputs are float32 (B, channels, side, side), normalised by the run's mean and deviation.

    ``map_dim`` is the number of channels of ``map``: ``dim`` but for networks that widen after pooling (MobileNetV3).
    """

    def __init__(self, name: str, dim: int, channels: int, side: int, stem: str) -> None:
        super().__init__()
        self.name = name
        self.dim = dim
        self.map_dim = dim
        self.channels = channels
        self.side = side
        self.stem = stem

    def pooled(self, x: Tensor) -> Tensor:
        """(B, dim)."""
        raise NotImplementedError

    def map(self, x: Tensor) -> Tensor:
        """(B, map_dim, h, w): the features before pooling."""
        raise NotImplementedError

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``map`` and ``pooled`` of one pass."""
        return self.map(x), self.pooled(x)

    def tokens(self, x: Tensor, keep: Tensor | None = None, *, prefix: bool = False) -> Tensor:
        """(B, T, map_dim), row by row; ``keep`` (B, K) int64: the positions that are embedded (transformers only).

        ``prefix``: with the class and register tokens before them, where the network has such.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.pooled(x)
