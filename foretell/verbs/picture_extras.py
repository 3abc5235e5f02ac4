"""What a file has beside the pixels that are read from it: transparency, colour profile, resolution, EXIF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from foretell.data.frames import count_frames
from foretell.data.pixels import Pixels, Unreadable

ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
# tags of EXIF that say something of the picture in a TIFF too, where the others say how the file is laid out
SPEAKING = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x8769, 0x8825)
RECOLOURED = ("CMYK", "YCbCr", "LAB", "HSV")  # modes that are read as RGB
SPACES = {1: b"GRAY", 2: b"GRAY", 3: b"RGB ", 4: b"RGB "}  # channels -> colour space of a profile that fits them


@dataclass(frozen=True)
class Extras:
    """``mode`` of Pillow, "" for a file that is not Pillow's; ``frames`` in the file; ``clear`` (H, W, 4) uint8: RGB as it
    is under what is transparent, and alpha, turned upright, None where nothing is transparent.
    """

    mode: str = ""
    frames: int = 1
    clear: NDArray[np.uint8] | None = None
    profile: bytes = b""
    resolution: tuple[float, float] | None = None
    exif: bytes = b""

    def saved(self, channels: int) -> dict[str, Any]:
        """What Pillow is told to save beside pixels of ``channels``."""
        told: dict[str, Any] = {}
        if self.profile and self.profile[16:20] == SPACES.get(channels):
            told["icc_profile"] = self.profile
        if self.resolution is not None:
            told["dpi"] = self.resolution
        if self.exif:
            told["exif"] = self.exif
        return told

    def laid_under(self, pixels: Pixels, hole: NDArray[np.bool_]) -> Pixels:
        """(H, W, C + 1): ``pixels`` (H, W, C) in the hole, opaque there; around it the file's own colours and alpha."""
        assert self.clear is not None
        colours = self.clear[:, :, : pixels.shape[2]]  # of a grey file all three are alike
        whole = np.concatenate([colours, self.clear[:, :, 3:]], axis=2)
        whole[hole] = np.concatenate([pixels[hole], np.full((int(hole.sum()), 1), 255, np.uint8)], axis=1)
        return whole


def transparent(opened: Image.Image) -> bool:
    return opened.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in opened.info


def extras_of(path: Path, size: tuple[int, int]) -> Extras:
    """What ``path`` has beside its pixels, which were read as ``size`` (H, W)."""
    try:
        frames = count_frames(path)
    except Unreadable:
        frames = 1
    try:
        with Image.open(path) as opened:
            opened.load()
            # asked after loading: Pillow turns a TIFF itself and then drops the tag
            exif, turned = _exif(opened)
            return Extras(
                opened.mode,
                frames,
                _clear(opened, size),
                opened.info.get("icc_profile") or b"",
                _resolution(opened, turned),
                exif,
            )
    except Exception:  # no kind of file of Pillow's, or damaged beside its pixels
        return Extras(frames=frames)


def _exif(opened: Image.Image) -> tuple[bytes, bool]:
    """(EXIF of the picture once it is upright, whether that swaps width and height)."""
    try:
        exif = opened.getexif()
        turned = exif.get(ORIENTATION) in TURNED
        exif.pop(ORIENTATION, None)
        if opened.format in ("TIFF", "MPO"):
            for tag in set(exif) - set(SPEAKING):
                del exif[tag]
        return exif.tobytes() if len(exif) else b"", turned
    except Exception:  # damaged EXIF beside sound pixels
        return b"", False


def _clear(opened: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    if not transparent(opened):
        return None
    upright = ImageOps.exif_transpose(opened)
    if upright.mode in ("La", "RGBa"):
        upright = upright.convert({"La": "LA", "RGBa": "RGBA"}[upright.mode])
    found = np.asarray(upright.convert("RGBA"))
    return found if found.shape[:2] == size else None


def _resolution(opened: Image.Image, turned: bool) -> tuple[float, float] | None:
    """Pixels an inch across and down, where the file says."""
    try:
        across, down = (float(value) for value in opened.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not (math.isfinite(across) and math.isfinite(down) and across > 0 and down > 0):
        return None
    return (down, across) if turned else (across, down)
