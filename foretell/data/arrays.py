"""``.npy`` and ``.npz`` arrays of images, read in parts and never unpickled.

* Images are (N, H, W), (N, H, W, C) or (N, C, H, W): the smaller of axes 1 and 3 counts channels, the last if equal.
* Whole numbers in 0 to 255 are stored as 8-bit, up to 65535 as 16-bit; true and false as 255 and 0.
* Floats in [0, 1] are stored as 8-bit where all of them are whole 255ths, else as 16-bit; floats in [0, 255] are
  rounded to 8-bit: they reach ``BRIGHTEST``, and a share of ``MANY`` of those above 0 lies above ``DARK``. Anything else,
  and any value that is not finite, is refused, and so are arrays of one file whose values are of different kinds.
* In an ``.npz``, images are under ``images``, ``x``, ``data`` or the only key; ``labels`` or ``y`` and any other
  known column (``group``, ``case``, ``split`` ...) hold one value an image. Keys such as ``train_images`` and
  ``train_labels`` are read as splits.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.pixels import SMALLEST, Pixels, rescaled
from foretell.data.scale import check_scale
from foretell.data.source import SPLITS
from foretell.data.table import COLUMNS, Table, text_of
from foretell.errors import InputError, in_brief

IMAGE_KEYS = ("images", "image", "x", "data")
LABEL_KEYS = ("labels", "label", "y", "targets", "target")
PART = 32 << 20  # bytes read at once
DEFLATED = 1032  # times smaller than its content is what is packed in a zip, at most
# Floats whose white is 255 reach at least BRIGHTEST, and of those above 0 a share of MANY lies above DARK; in a set whose
# white is 1, a stray value does neither.
BRIGHTEST, DARK, MANY = 10, 2, 0.25


@dataclass
class Member:
    """One array of a file: what its header says."""

    file: Path
    key: str | None
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def title(self) -> str:
        return f"{self.file}" if self.key is None else f"{self.file} ({self.key})"

    def _open(self) -> IO[bytes]:
        if self.key is None:
            return self.file.open("rb")
        return zipfile.ZipFile(self.file).open(f"{self.key}.npy")

    def parts(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """(first row, rows) of the array, in parts of about ``PART`` bytes."""
        with self._open() as stream:
            _header(stream, self.title)
            if self.fortran:  # columns first: no row lies in one piece
                data = self._read(stream)
                yield 0, np.frombuffer(data, self.dtype).reshape(self.shape, order="F")
                return
            row = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
            step = max(1, PART // max(1, row))
            for first in range(0, self.shape[0], step):
                count = min(step, self.shape[0] - first)
                data = self._read(stream, count * row)
                if len(data) < count * row:
                    raise InputError(
                        f"{self.title}: is cut short at row {first + len(data) // max(1, row)} of {self.shape[0]}; "
                        "save it again"
                    )
                yield first, np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])

    def _read(self, stream: IO[bytes], size: int = -1) -> bytes:
        try:
            return stream.read(size)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError):
            raise InputError(f"{self.title}: is damaged (its checksum or compressed data); save it again") from None

    def whole(self) -> NDArray[Any]:
        return np.concatenate([part for _, part in self.parts()])


def _header(stream: IO[bytes], title: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except ValueError as error:
        raise InputError(
            f"{title}: not a NumPy array ({in_brief(error)}); save it with numpy.save or numpy.savez"
        ) from None
    if dtype.hasobject:
        raise InputError(f"{title}: holds pickled Python objects, which are never loaded; save plain numbers or text")
    return shape, fortran, dtype


def _check_room(member: Member, size: int) -> None:
    """Raises InputError for an array whose header claims more than the ``size`` bytes after it, before memory is taken for it.

    A value counts as one byte at least, since texts without letters have none.
    """
    row = max(1, member.dtype.itemsize) * math.prod(member.shape[1:])
    claimed = row * math.prod(member.shape[:1])
    if min(member.shape, default=0) < 0 or claimed > size:
        at = f" at row {max(0, size) // row} of {member.shape[0]}" if member.shape else ""
        raise InputError(
            f"{member.title}: is cut short{at} (its header claims {claimed:,} bytes of values, and there are {max(0, size):,}); "
            "save it again"
        )


def members(path: Path) -> dict[str, Member]:
    """The arrays of a file by key (an ``.npy`` has one, "images"), headers only. Raises InputError."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as stream:
                found = {"images": Member(path, None, *_header(stream, str(path)))}
                _check_room(found["images"], path.stat().st_size - stream.tell())
            return found
        found = {}
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    key = name.removesuffix(".npy")
                    with archive.open(name) as stream:
                        found[key] = Member(path, key, *_header(stream, f"{path} ({key})"))
                        size = min(archive.getinfo(name).file_size, DEFLATED * path.stat().st_size)
                        _check_room(found[key], size - stream.tell())
        return found
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError):
        raise InputError(f"{path}: not an .npz file (a damaged or cut zip); save it with numpy.savez") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def understand(path: Path) -> tuple[list[Member], Table, list[str]]:
    """(image arrays to be read one after another, table, notes). Raises InputError."""
    found = members(path)
    lower = {key.lower(): member for key, member in found.items()}
    parts = _split_parts(lower)
    if parts:
        images = [member for _, member, _ in parts]
        columns: dict[str, list[str | None]] = {"split": []}
        for split, member, labels in parts:
            _check_shape(member)
            columns["split"] += [split] * member.shape[0]
            if labels is not None:
                columns.setdefault("label", []).extend(_column(labels, member.shape[0]))
        if len(columns.get("label", columns["split"])) != len(columns["split"]):
            raise InputError(f"{path}: some of its splits have labels and some have none; give labels for all or none")
        notes = [f"splits understood: {', '.join(split for split, _, _ in parts)}"]
    else:
        key = next((key for key in IMAGE_KEYS if key in lower), None)
        if key is None and len(lower) == 1:
            key = next(iter(lower))
        if key is None:
            raise InputError(
                f"{path}: no array named images or x among {', '.join(found) or 'none'}; expected images (N, H, W, C)"
            )
        images, columns, notes = [lower[key]], {}, []
        _check_shape(images[0])
        for name, member in lower.items():
            known = "label" if name in LABEL_KEYS else name.removesuffix("s") if name not in COLUMNS else name
            if name != key and known in COLUMNS and known != "path":
                columns[known] = _column(member, images[0].shape[0])
    if len({(channels_of(member), member.shape[1:]) for member in images}) > 1:
        raise InputError(f"{path}: its splits have images of different shapes; expected one")
    count = sum(member.shape[0] for member in images)
    columns = {"path": [f"{path.name}[{i}]" for i in range(count)], **columns}
    return images, Table(columns, rows=count), notes


def _split_parts(lower: dict[str, Member]) -> list[tuple[str, Member, Member | None]]:
    parts = []
    for key, member in lower.items():
        for image_key in IMAGE_KEYS:
            for form in (f"{{}}_{image_key}", f"{image_key}_{{}}"):
                for word, split in SPLITS.items():
                    if key == form.format(word):
                        other = next(
                            (
                                form.replace(image_key, y).format(word)
                                for y in LABEL_KEYS
                                if form.replace(image_key, y).format(word) in lower
                            ),
                            None,
                        )
                        parts.append((split, member, lower[other] if other else None))
    return parts


def _column(member: Member, count: int) -> list[str | None]:
    values = member.whole()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or len(values) != count:
        raise InputError(
            f"{member.title}: has shape {values.shape}; expected ({count},), one value for each of {count} images"
        )
    return [text_of(value) for value in values.tolist()]


def _check_shape(member: Member) -> None:
    shape = member.shape
    if len(shape) not in (3, 4):
        raise InputError(f"{member.title}: has shape {shape}; expected images (N, H, W), (N, H, W, C) or (N, C, H, W)")
    if shape[0] == 0 or channels_of(member) == 0:
        raise InputError(f"{member.title}: holds no images (shape {shape})")
    height, width = shape[2:] if channels_first(member) else shape[1:3]
    if min(height, width) < SMALLEST:
        raise InputError(
            f"{member.title}: images are {width} x {height} pixels (shape {shape}); "
            f"expected at least {SMALLEST} x {SMALLEST}"
        )


def channels_first(member: Member) -> bool:
    return len(member.shape) == 4 and member.shape[1] < member.shape[3]


def channels_of(member: Member) -> int:
    if len(member.shape) == 3:
        return 1
    return member.shape[1] if channels_first(member) else member.shape[3]


@dataclass
class Scale:
    """How values become pixels: multiplied by ``factor``, rounded, as ``dtype``. ``raw``: nothing says which value is white."""

    dtype: type[np.uint8] | type[np.uint16]
    factor: int
    note: str
    raw: bool = False

    def pixels(self, values: NDArray[Any]) -> Pixels:
        if values.dtype.kind == "f":
            return np.asarray(np.rint(values.astype(np.float64) * self.factor), self.dtype)
        pixels: Pixels = values.astype(self.dtype)
        return pixels if self.factor == 1 else pixels * np.asarray(self.factor, self.dtype)


@dataclass
class Values:
    """What one pass over the values of ``member`` found.

    ``row``: the first image with the largest value; ``whole``: whether all floats are whole 255ths; ``share``: of the floats
    above 0 those above ``DARK``, in [0, 1].
    """

    member: Member
    low: float
    high: float
    row: int
    whole: bool
    share: float

    @property
    def kind(self) -> str:
        """What white is, in words. Arrays of different kinds never have one scale."""
        kind = self.member.dtype.kind
        if kind == "f":
            return "floats in [0, 1]" if self.high <= 1 else "floats in [0, 255]"
        return "true and false" if kind == "b" else "whole numbers"

    def __str__(self) -> str:
        up_to = f" up to {self.high:g}" if self.kind == "whole numbers" else ""
        return f"{self.member.title} holds {self.kind}{up_to} ({self.member.dtype})"

    def check(self) -> None:
        """Raises InputError for values of which it cannot be said which one is white."""
        title, floats = self.member.title, self.member.dtype.kind == "f"
        if self.low < 0 or self.high > (255 if floats else 65535):
            expected = "floats in [0, 1] or [0, 255]" if floats else "whole numbers in 0 to 65535"
            raise InputError(
                f"{title}: values run from {self.low:g} to {self.high:g}; expected {expected}: {rescaled(self.low)}"
            )
        if floats and self.high > 1 and (self.high < BRIGHTEST or self.share < MANY):
            raise InputError(
                f"{title}: row {self.row} reaches {self.high:g}, too much for floats in [0, 1], and too few values lie above "
                f"{DARK} for floats in [0, 255]; expected one of the two: clip the values to 1, or rescale them"
            )


def values_of(member: Member) -> Values:
    """One pass over an array; none over 8-bit values and over true and false. Raises InputError naming array and row."""
    kind = member.dtype.kind
    if kind not in "biuf":
        raise InputError(f"{member.title}: holds values of type {member.dtype}; expected numbers")
    if kind == "b" or member.dtype == np.uint8:
        return Values(member, 0, 1 if kind == "b" else 255, 0, False, 0.0)
    found = Values(member, np.inf, -np.inf, 0, True, 0.0)
    lit, bright = 0, 0
    for first, part in member.parts():
        if kind == "f":
            _check_finite(member, first, part)
            scaled = part * np.float64(255)
            found.whole = found.whole and bool((np.abs(scaled - np.rint(scaled)) < 0.01).all())
            lit, bright = lit + int((part > 0).sum()), bright + int((part > DARK).sum())
        high = float(part.max())
        if high > found.high:
            found.high, found.row = high, first + int(part.reshape(len(part), -1).max(axis=1).argmax())
        found.low = min(found.low, float(part.min()))
    found.share = bright / max(1, lit)
    return found


def _check_finite(member: Member, first: int, part: NDArray[Any]) -> None:
    finite = np.isfinite(part).reshape(len(part), -1).all(axis=1)
    if finite.all():
        return
    row = int(np.argmin(finite))
    what = "NaN" if np.isnan(part[row]).any() else "an infinite value"
    raise InputError(
        f"{member.title}: row {first + row} holds {what}; expected finite numbers: replace it or leave that image out"
    )


def _check_alike(found: list[Values]) -> None:
    """Raises InputError where one scale would be wrong for some of a file's arrays; wider ones beside 8-bit ones are."""
    for one in found[1:]:
        first = found[0]
        eight = {values.member.dtype == np.uint8 for values in (first, one)}
        if first.kind != one.kind or (len(eight) > 1 and max(first.high, one.high) > 255):
            raise InputError(f"{first} and {one}; expected values of one kind and range: convert one to the other's")


def scale_of(images: list[Member], asked: int | None = None) -> Scale:
    """The rule at the top of this file, settled by one pass over the values; 16-bit ones are multiplied by ``asked``.

    Raises InputError naming array and row, or the two arrays whose values are of different kinds.
    """
    found = [values_of(member) for member in images]
    for values in found:
        values.check()
    _check_alike(found)
    kind, high = found[0].kind, max(values.high for values in found)
    if kind == "true and false":
        return Scale(np.uint8, 255, "true and false stored as 255 and 0")
    if kind == "floats in [0, 1]":
        if all(values.whole for values in found):
            return Scale(np.uint8, 255, "floats in [0, 1] stored as 8-bit")
        return Scale(np.uint16, 65535, "floats in [0, 1] stored as 16-bit")
    if kind == "floats in [0, 255]":
        return Scale(np.uint8, 1, f"floats up to {high:g} understood as 0 to 255, stored as 8-bit")
    if high <= 255:
        return Scale(np.uint8, 1, "")
    if asked is not None:
        check_scale(images[0].title, int(high), asked)
    told = "" if asked is None else f", multiplied by {asked} (data.scale)"
    return Scale(np.uint16, asked or 1, f"whole numbers up to {high:g} stored as 16-bit{told}", raw=True)


def image_parts(images: list[Member], scale: Scale) -> Iterator[Pixels]:
    """(n, H, W, C) uint8 or uint16, in order, a part at a time."""
    for member in images:
        for _, part in member.parts():
            pixels = scale.pixels(part)
            if pixels.ndim == 3:
                pixels = pixels[..., None]
            elif channels_first(member):
                pixels = pixels.transpose(0, 2, 3, 1)
            yield pixels
