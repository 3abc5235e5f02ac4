"""What 16-bit values are multiplied by in a store, where no file says what is white: PNG, TIFF and ``.npy``.

Such files hold 12 or 14 bits as often as 16. The largest value of a set decides, unless a scale is asked for: a run keeps its
own for other data, so that the same thing is as bright there. DICOM and NIfTI fill the depth of the store by their window.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.frames import split_name
from foretell.data.medical.files import kind_of
from foretell.errors import InputError

WHITE = 65535
WINDOWED = -1  # in place of a largest value: a window has said what is white


def silent(path: Path) -> bool:
    """Whether an image file says nothing of what is white."""
    return kind_of(Path(split_name(str(path))[0])) is None


def usual_scale(peak: int) -> int:
    """The largest power of two by which values up to ``peak`` stay in 16 bits."""
    return 1 << (16 - max(1, peak.bit_length()))


def check_scale(where: str, peak: int, scale: int) -> None:
    """Raises InputError where values up to ``peak`` leave 16 bits."""
    if peak * scale > WHITE:
        raise InputError(
            f"{where}: its values reach {peak}, and data.scale={scale} keeps those up to {WHITE // scale}; leave it out, or "
            f"train with --set data.scale={WHITE // peak}"
        )


def settle_scale(
    where: str, names: Sequence[str], peaks: NDArray[Any], deep: NDArray[np.bool_], asked: int | None
) -> tuple[int | None, list[str]]:
    """(scale of a set, notes); None where it has no 16-bit values that a scale is for.

    ``peaks`` are the images' largest values, or ``WINDOWED``; ``deep``: those of 16 bits. Raises InputError naming the image
    whose values are the farthest beyond what ``asked`` keeps.
    """
    raw = np.flatnonzero(deep & (peaks != WINDOWED))
    if not len(raw):
        return None, []
    first = raw[int(peaks[raw].argmax())]
    peak = int(peaks[first])
    if asked is not None:
        check_scale(f"{where}: {names[first]}", peak, asked)
        return asked, [f"16-bit pixels reach {peak}: multiplied by {asked} (data.scale)"]
    if len(raw) < int(deep.sum()):  # beside what a window has scaled: as they are
        return 1, []
    scale = usual_scale(peak)
    bits = scale.bit_length() - 1
    return scale, [f"16-bit pixels reach {peak}: shifted up by {bits} bits (scale {scale})"] if bits else []
