"""Slices of NIfTI volumes through nibabel, an extra: ``pip install 'foretell[medical]'``.

A volume is turned to the axes of the body first, so that a plane means the same in every file, and a slice is shown as
DICOM shows it: the patient's right on the left of axial and coronal slices, the front on the left of sagittal ones, the
head up. ``brain.nii.gz[axial 57]`` names a slice, ``film.nii.gz[3 axial 57]`` one of the fourth volume of a series in time.
"""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from foretell.data.medical.window import Window, share, span
from foretell.data.pixels import MEMORY, Pixels, Unreadable, check_finite, check_size, finish
from foretell.errors import in_brief

PLANES = ("sagittal", "coronal", "axial")  # across which axis of the body: right, front, head

_NAMED = re.compile(r"^(?P<file>.*)\[(?:(?P<time>\d+) )?(?P<plane>sagittal|coronal|axial) (?P<at>\d+)\]$", re.DOTALL)


class Slice(NamedTuple):
    """One slice of a file: of volume ``time`` (None: the only one), in ``plane``, number ``at``."""

    file: str
    time: int | None
    plane: str
    at: int


@dataclass(frozen=True)
class Volume:
    """What a header says: size along the axes of the body in voxels, volumes in time, millimetres a voxel."""

    shape: tuple[int, int, int]
    times: int
    spacing: tuple[float, float, float]

    def names(self, file: str, planes: tuple[str, ...], every: int) -> list[Slice]:
        """Every ``every``-th slice of each of ``planes``, of each volume in time."""
        times: list[int | None] = [None] if self.times == 1 else list(range(self.times))
        return [
            Slice(file, time, plane, at)
            for time in times
            for plane in planes
            for at in range(0, self.shape[PLANES.index(plane)], every)
        ]

    def pixel_spacing(self, plane: str) -> tuple[float, float, float]:
        """(down, across, between slices) of ``plane`` in millimetres."""
        x, y, z = self.spacing
        return {"sagittal": (z, y, x), "coronal": (z, x, y), "axial": (y, x, z)}[plane]


def name_of(one: Slice) -> str:
    time = "" if one.time is None else f"{one.time} "
    return f"{one.file}[{time}{one.plane} {one.at}]"


def split(name: str) -> Slice | None:
    """The slice that a name means; None for any other.

    >>> split("brain.nii[axial 57]")
    Slice(file='brain.nii', time=None, plane='axial', at=57)
    """
    found = _NAMED.match(name)
    if found is None:
        return None
    return Slice(found["file"], None if found["time"] is None else int(found["time"]), found["plane"], int(found["at"]))


def _nibabel() -> Any:
    try:
        return import_module("nibabel")
    except ImportError:
        raise Unreadable("is NIfTI, which needs nibabel: pip install 'foretell[medical]'") from None


@contextmanager
def _damage_told() -> Iterator[None]:
    """What nibabel and gzip raise at damaged input is Unreadable."""
    try:
        yield
    except Unreadable:
        raise
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Unreadable(f"is damaged (its gzip data: {in_brief(error)})") from None
    except (EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise
        raise Unreadable("is cut short (its voxels end too soon)") from None
    except Exception as error:
        raise Unreadable(f"is damaged ({in_brief(error)})") from None


def _opened(path: Path, unpacked: gzip.GzipFile | None = None) -> Any:
    """The file turned to the axes of the body, its values not yet read, or read from ``unpacked``. Raises Unreadable."""
    nibabel = _nibabel()
    with _damage_told(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = nibabel.load(path)
        if unpacked is not None:
            image = type(image).from_stream(unpacked)
        shape = image.shape
        if len(shape) not in (3, 4):
            raise Unreadable(f"has {len(shape)} dimensions {shape}; expected a volume, or volumes in time")
        size = int(np.prod(shape, dtype=np.float64)) * max(4, image.get_data_dtype().itemsize)
        if size > MEMORY:
            raise Unreadable(
                f"claims {' x '.join(map(str, shape))} voxels, {size >> 20} MiB; expected at most {MEMORY >> 20} MiB: "
                "cut it into smaller volumes"
            )
        return nibabel.as_closest_canonical(image)


def volume(path: Path) -> Volume:
    """What the header says. Raises Unreadable."""
    image = _opened(path)
    x, y, z = (int(length) for length in image.shape[:3])
    across, deep, high = (round(float(step), 4) for step in image.header.get_zooms()[:3])
    return Volume((x, y, z), int(image.shape[3]) if len(image.shape) == 4 else 1, (across, deep, high))


def origin(path: Path) -> tuple[float, float, float]:
    """Where the centre of the first voxel lies, in millimetres along the axes of the body. Raises Unreadable."""
    x, y, z = (float(place) for place in _opened(path).affine[:3, 3])
    return x, y, z


def voxels(path: Path) -> Pixels:
    """(X, Y, Z) or (X, Y, Z, T) values as they are, along the axes of the body. Raises Unreadable, also where the checksum
    of a compressed file is not that of its bytes.
    """
    if not path.name.lower().endswith(".gz"):
        return _values(_opened(path))
    with _damage_told(), gzip.open(path) as unpacked:
        values = _values(_opened(path, unpacked))
        # the checksum stands behind all that is there, and nibabel reads the voxels alone
        while unpacked.read(1 << 20):
            pass
        return values


def _values(image: Any) -> Pixels:
    try:
        return np.asanyarray(image.dataobj)
    except (EOFError, ValueError):
        raise Unreadable("is cut short (its voxels end too soon)") from None
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise
        raise Unreadable("is cut short (its voxels end too soon)") from None


def tones(path: Path, window: Window) -> Pixels:
    """(X, Y, Z, T, C) uint8 or uint16, between black and white by ``window``. Raises Unreadable."""
    values = voxels(path)
    if values.dtype.names:  # RGB of 8 bits each
        coloured = np.stack([values[name] for name in ("R", "G", "B")], axis=-1)
        return coloured if coloured.ndim == 5 else coloured[:, :, :, None]
    if values.dtype.kind not in "iufb":
        raise Unreadable(f"holds values of type {values.dtype}; expected whole numbers or floats")
    whole = values[..., None] if values.ndim == 4 else values[..., None, None]
    check_finite(whole, "voxels")
    low, high = _ends(path, whole, window)
    if whole.dtype == np.uint8 and window.kind == "file":  # without a window in the header they stay as they are
        return np.asarray(np.rint(share(np.arange(256), low, high) * 255), np.uint8)[whole]
    return np.asarray(np.rint(share(whole, low, high) * 65535), np.uint16)


def _ends(path: Path, values: Pixels, window: Window) -> tuple[float, float]:
    """(black, white); of a file without a window of its own, bytes from 0 to 255, and the range of other values."""
    if window.kind == "given":
        return window.low, window.high
    if window.kind == "file":
        header = _opened(path).header
        low, high = float(header.get("cal_min", 0)), float(header.get("cal_max", 0))
        if low < high:
            return low, high
        if values.dtype == np.uint8:
            return 0, 255
    return span(values.ravel(), None, window)


_last: list[tuple[tuple[Path, int, Window], Pixels | Unreadable]] = []


def _kept_tones(path: Path, window: Window) -> Pixels:
    """``tones`` of a file, which is read once for all of its slices, also where it cannot be."""
    key = (path, path.stat().st_mtime_ns, window)
    if not _last or _last[0][0] != key:
        _last.clear()
        try:
            found: Pixels | Unreadable = tones(path, window)
        except Unreadable as reason:
            found = reason
        _last[:] = [(key, found)]
    kept = _last[0][1]
    if isinstance(kept, Unreadable):
        raise Unreadable(str(kept))
    return kept


def read(name: str, side: int, window: Window) -> Pixels:
    """(H, W, C) of the slice ``name``, its longest side at most ``side``. The last volume is kept. Raises Unreadable."""
    one = split(name)
    if one is None:
        volume(Path(name))  # says what is wrong with the file, where that is why it has no slices
        raise Unreadable("is a volume; expected a slice of it, as volume.nii.gz[axial 57]")
    whole = _kept_tones(Path(one.file), window)
    time = one.time or 0
    if time >= whole.shape[3] or one.at >= whole.shape[PLANES.index(one.plane)]:
        raise Unreadable(f"has no such slice (its size is {' x '.join(str(length) for length in whole.shape[:4])})")
    image = shown(whole[:, :, :, time], one.plane, one.at)
    check_size(*image.shape[:2])
    return finish(image, side)


def shown(values: Pixels, plane: str, at: int) -> Pixels:
    """(H, W, ...) slice ``at`` of (X, Y, Z, ...) values, turned as it is shown."""
    if plane == "sagittal":
        return values[at, ::-1, ::-1].swapaxes(0, 1)
    if plane == "coronal":
        return values[::-1, at, ::-1].swapaxes(0, 1)
    return values[::-1, ::-1, at].swapaxes(0, 1)
