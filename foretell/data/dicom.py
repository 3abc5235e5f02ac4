"""DICOM images through pydicom, an extra: ``pip install 'foretell[medical]'``. Only pixels and how to show them are read.

Values become pixels as the file says they are to be seen: a palette or a YBR colour space becomes RGB, the modality's and
the viewer's tables are applied (PS3.3 C.11), and MONOCHROME1 is inverted. Where no window is given, the file's own range
of values is spread over 16 bits (8-bit values stay as they are).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.pixels import Pixels, Unreadable


def _pydicom(part: str = "pydicom") -> Any:
    try:
        return import_module(part)
    except ImportError:
        raise Unreadable("is DICOM, which needs pydicom: pip install 'foretell[medical]'") from None


def _opened(path: Path, pixels: bool) -> Any:
    pydicom = _pydicom()
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except pydicom.errors.InvalidDicomError:
        raise Unreadable("is not DICOM (no file meta information)") from None
    except Exception as error:  # damaged input
        raise Unreadable(f"is damaged ({' '.join(str(error).split()) or type(error).__name__})") from None


def count(path: Path) -> int:
    """Number of frames, from the header. Raises Unreadable."""
    return int(_opened(path, pixels=False).get("NumberOfFrames", None) or 1)


def frames(path: Path) -> Iterator[Pixels]:
    """(H, W, C) uint8 or uint16 of each frame; all frames of a file share one range of values. Raises Unreadable."""
    dataset = _opened(path, pixels=True)
    if "PixelData" not in dataset:
        raise Unreadable("is DICOM without pixels")
    try:
        array = _shown(dataset)
    except Exception as error:  # an unsupported compression, a length that does not fit, a colour space nobody knows
        raise Unreadable(f"cannot be decoded ({' '.join(str(error).split())[:120]})") from None
    several = int(dataset.get("NumberOfFrames", None) or 1) > 1
    colour = int(dataset.get("SamplesPerPixel", 1)) > 1 or array.ndim == 3 + several
    for image in array if several else array[None]:
        yield np.ascontiguousarray(image if colour else image[:, :, None])


def _shown(dataset: Any) -> Pixels:
    luts = _pydicom("pydicom.pixels")
    values: Pixels = dataset.pixel_array  # YBR is turned into RGB by pydicom 3
    kind = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if kind == "PALETTE COLOR":
        values = luts.apply_color_lut(values, dataset)
        return (values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values.astype(np.uint8)
    if int(dataset.get("SamplesPerPixel", 1)) > 1:
        return (values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values.astype(np.uint8)
    seen = luts.apply_modality_lut(values, dataset)
    windowed = "WindowWidth" in dataset or "VOILUTSequence" in dataset
    if not windowed and seen.dtype == np.uint8:
        return np.asarray(255 - seen if kind == "MONOCHROME1" else seen)
    seen = luts.apply_voi_lut(seen, dataset).astype(np.float32)
    low, high = float(seen.min()), float(seen.max())
    share = (seen - low) / max(high - low, 1e-12)
    if kind == "MONOCHROME1":
        share = 1 - share
    if values.dtype == np.uint8:
        return np.asarray(np.rint(share * 255), np.uint8)
    return np.asarray(np.rint(share * 65535), np.uint16)
