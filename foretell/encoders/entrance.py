"""How images enter an exported encoder, from timm's ``pretrained_cfg``, which anybody may have edited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foretell.errors import InputError
from foretell.views.config import SQUASH, Crop

INTERPOLATIONS = ("bilinear", "bicubic")
LARGEST_SIDE = 1 << 14  # pixels


@dataclass(frozen=True)
class Entrance:
    """Images of (``channels``, ``side``, ``side``), normalised by ``mean`` and ``std`` of each channel (pixels in [0, 1]).

    ``crop``: the share of the shorter side that is kept, in (0, 1], or "squash": the whole image, squeezed into a square.
    """

    side: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop: Crop


def entrance_of(config: Mapping[str, Any]) -> Entrance:
    """The entrance that ``config`` says. Raises InputError naming the first value that is none."""
    size = config.get("input_size")
    whole = isinstance(size, list) and len(size) == 3 and all(type(value) is int for value in size)
    if not isinstance(size, list) or not whole or size[0] < 1 or not 4 <= size[1] <= LARGEST_SIDE:
        raise _wrong("input_size", size, f"[channels, side, side] with a side of 4 to {LARGEST_SIDE}")
    mean, std = (_numbers(config, name, size[0]) for name in ("mean", "std"))
    if min(std) <= 0:
        raise _wrong("std", list(std), "numbers above 0")
    if max(map(abs, mean)) > 1 or max(std) > 1:
        raise _wrong("mean and std", [list(mean), list(std)], "those of pixels in [0, 1]")
    interpolation, crop = config.get("interpolation", "bilinear"), config.get("crop_pct", 1.0)
    if interpolation not in INTERPOLATIONS:
        raise _wrong("interpolation", interpolation, " or ".join(INTERPOLATIONS))
    if not isinstance(crop, int | float) or not 0 < crop <= 1:
        raise _wrong("crop_pct", crop, "a share in (0, 1]")
    squashed = config.get("crop_mode") == SQUASH and crop == 1
    return Entrance(size[1], size[0], mean, std, interpolation, SQUASH if squashed else float(crop))


def _numbers(config: Mapping[str, Any], name: str, count: int) -> tuple[float, ...]:
    given = config.get(name)
    known = isinstance(given, list) and all(isinstance(value, int | float) and math.isfinite(value) for value in given)
    if not isinstance(given, list) or not known or len(given) != count:
        raise _wrong(name, given, f"a number for each of the {count} channels")
    return tuple(map(float, given))


def _wrong(name: str, value: object, expected: str) -> InputError:
    return InputError(f"{name} is {str(value)[:80]}, expected {expected}; export the encoder again")
