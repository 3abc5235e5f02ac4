"""How images enter an exported encoder, from timm's ``pretrained_cfg``, which anybody may have edited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foretell.data.scale import WHITE
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


def values_told(facts: Mapping[str, Any]) -> list[str]:
    """How the values of a file become pixels in [0, 1], in words, one kind of file each.

    ``facts``: ``scale`` of 16-bit values and ``window`` as the encoder's run had them, each where it is known.
    """
    told = ["of 8 bits: over 255"]
    scale, window = facts.get("scale"), facts.get("window")
    if scale is not None:
        times = f"times {scale} over {WHITE}, so that {WHITE // scale} is white" if scale != 1 else f"over {WHITE}"
        told.append(f"of 16 bits in PNG, TIFF and .npy: {times}")
    if window is not None:
        own = "the file's own window" if window == "file" else f"the window {window} (`data.medical.window`)"
        told.append(f"of DICOM and NIfTI: from 0, the black, to 1, the white of {own}")
    return told


def resizing_told(entry: Entrance) -> str:
    """How an image of any size becomes the square that the encoder takes, in words."""
    how = f"{entry.interpolation}, with antialiasing"
    if entry.crop == SQUASH:
        return f"the whole image becomes {entry.side} x {entry.side} px, whatever its shape ({how})"
    assert not isinstance(entry.crop, str)
    shorter = int(entry.side / entry.crop)
    return f"the shorter side becomes {shorter} px ({how}), and the central {entry.side} x {entry.side} px are kept"


def reading(entry: Entrance, scale: int | None) -> str:
    """Lines of Python that make a file ``pixels`` (1, channels, side, side) in [0, 1], without Foretell.

    Of 8 bits, or greys of 16 bits where there is a ``scale``. "" for channels that no common kind of file has.
    """
    colours = {1: "L", 3: "RGB"}.get(entry.channels)
    if scale is not None:
        values = 'values = np.asarray(Image.open("image.png")).astype(np.float32)[None]  # 16-bit greys'
        over = f"values * {scale} / {WHITE}" if scale != 1 else f"values / {WHITE}"
    elif colours is not None:
        opened = f'Image.open("image.png").convert("{colours}")'
        values = f"values = np.atleast_3d(np.asarray({opened}, np.float32)).transpose(2, 0, 1)"
        over = "values / 255"
    else:
        return ""
    size = [entry.side] * 2 if isinstance(entry.crop, str) else int(entry.side / entry.crop)
    cut = "" if isinstance(entry.crop, str) else f"pixels = functional.center_crop(pixels, {entry.side})\n"
    return f"""import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

{values}
pixels = torch.from_numpy({over}).expand(1, {entry.channels}, -1, -1)
pixels = functional.resize(pixels, {size}, InterpolationMode.{entry.interpolation.upper()}, antialias=True).clamp(0, 1)
{cut}"""


def _numbers(config: Mapping[str, Any], name: str, count: int) -> tuple[float, ...]:
    given = config.get(name)
    known = isinstance(given, list) and all(isinstance(value, int | float) and math.isfinite(value) for value in given)
    if not isinstance(given, list) or not known or len(given) != count:
        raise _wrong(name, given, f"a number for each of the {count} channels")
    return tuple(map(float, given))


def _wrong(name: str, value: object, expected: str) -> InputError:
    return InputError(f"{name} is {str(value)[:80]}, expected {expected}; export the encoder again")
