"""TIFF beyond Pillow: any number of channels, 16-bit and float colour, and images too large to hold, read in bands.

The format is Adobe's "TIFF Revision 6.0" with the BigTIFF extension. Strips and tiles are unpacked by Pillow's libtiff,
which sees each as a grey picture of bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from foretell.data.pixels import MEMORY, Pixels, Reducer, Unreadable, over_white, whole_numbers

PACKED = {5, 32773, 34925, 50000}  # LZW, PackBits, LZMA, Zstandard
BAND = 16 << 20  # bytes of a band of uncompressed rows
COPY, MASK = 1, 4  # bits of the tag 254: a smaller copy of another page; what of one is transparent
MOST_TAGS = 4096  # of a directory: one of more is damaged
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q", 6: "b", 8: "h", 9: "i"}


@dataclass
class Tiff:
    """One image of a file, laid out as its tags say."""

    path: Path
    order: str
    tags: dict[int, tuple[int, ...]] = field(repr=False)

    def tag(self, number: int, default: int) -> int:
        return self.tags.get(number, (default,))[0]

    @property
    def width(self) -> int:
        return self.tag(256, 0)

    @property
    def height(self) -> int:
        return self.tag(257, 0)

    @property
    def samples(self) -> int:
        return self.tag(277, 1)

    @property
    def bits(self) -> int:
        return self.tag(258, 1)

    @property
    def orientation(self) -> int:
        value = self.tag(274, 1)
        return value if 1 <= value <= 8 else 1

    @property
    def alpha(self) -> int:
        """0 none, 1 premultiplied, 2 plain: of the last sample, where it is the only one beyond grey or RGB."""
        extra = self.tags.get(338, ())
        colours = {0: 1, 1: 1, 2: 3}.get(self.tag(262, 1), 0)
        alone = len(extra) == 1 and self.samples == colours + 1
        return extra[0] if alone and extra[0] in (1, 2) else 0

    @property
    def dtype(self) -> np.dtype[np.generic]:
        kind = {1: "u", 2: "i", 3: "f"}.get(self.tag(339, 1))
        if kind is None or self.bits not in (8, 16, 32, 64) or len(set(self.tags.get(258, (8,)))) != 1:
            raise Unreadable(f"is a TIFF of an unknown sample format ({self.bits} bits)")
        return np.dtype(f"{self.order}{kind}{self.bits // 8}")

    @property
    def beyond_pillow(self) -> bool:
        """Whether Pillow would refuse the file, cut its depth, drop channels, or hold more than ``MEMORY`` bytes."""
        if self.bits < 8 or self.tag(262, 1) not in (0, 1, 2) or self.tag(259, 1) not in PACKED | {1, 8, 32946}:
            return False
        colours = 3 if self.tag(262, 1) == 2 else 1
        channels = self.samples not in (colours, colours + bool(self.alpha))
        deep = self.bits > 8 and self.samples > 1
        pixel = 4 if self.samples > 1 else max(1, self.bits // 8)
        return channels or deep or self.width * self.height * pixel > MEMORY

    def read(self, side: int, memory: int) -> Pixels:
        """(H, W, C) uint8 or uint16, shrunk by a whole factor to at least twice ``side`` if larger.

        Raises Unreadable.
        """
        reducer = Reducer(max(self.width, self.height) // (2 * side))
        top = 0
        with self.path.open("rb") as stream:
            for band in self._bands(stream, memory):
                pixels = whole_numbers(band[: self.height - top, : self.width])
                top += pixels.shape[0]
                if self.tag(262, 1) == 0:  # white is zero
                    pixels = np.iinfo(pixels.dtype).max - pixels
                reducer.push(over_white(pixels, self.alpha == 1) if self.alpha else pixels)
        if top < self.height:
            raise Unreadable("is cut short (rows are missing)")
        return reducer.result()

    def _bands(self, stream: BinaryIO, memory: int) -> Iterator[Pixels]:
        """(h, at least width, samples) in order from the top."""
        tiled = 324 in self.tags
        wide = self.tag(322, 0) if tiled else self.width
        high = self.tag(323, 0) if tiled else min(self.tag(278, self.height), self.height)
        offsets, counts = self.tags.get(324 if tiled else 273), self.tags.get(325 if tiled else 279)
        if not (wide and high and offsets and counts and len(offsets) == len(counts)):
            raise Unreadable("is damaged (no strips or tiles)")
        across, down = -(-self.width // wide), -(-self.height // high)
        planes = self.samples if self.tag(284, 1) == 2 else 1
        if len(offsets) < across * down * planes:
            raise Unreadable("is cut short (strips or tiles are missing)")
        samples = self.samples // planes
        row = wide * samples * self.dtype.itemsize
        if self.tag(259, 1) == 1 and across == 1:  # rows lie plainly in the file: any part can be read
            step = max(1, min(high, BAND // (row * planes)))
        else:
            step = high
            if row * high * across * planes > memory:
                raise Unreadable(
                    f"has {self.width * self.height / 1e6:.0f} megapixels in strips too large to unpack; "
                    "shrink it, or save it in tiles"
                )
        for place in range(down):
            rows = high if tiled else min(high, self.height - place * high)
            for start in range(0, rows, step):
                count = min(step, rows - start)
                parts = []
                for plane in range(planes):
                    first = (plane * down + place) * across
                    segments = [
                        self._segment(
                            stream, offsets[i] + (start * row if step < high else 0), counts[i], count, wide, samples
                        )
                        for i in range(first, first + across)
                    ]
                    parts.append(segments[0] if across == 1 else np.concatenate(segments, axis=1))
                yield parts[0] if planes == 1 else np.concatenate(parts, axis=2)

    def _segment(self, stream: BinaryIO, offset: int, size: int, rows: int, wide: int, samples: int) -> Pixels:
        row = wide * samples * self.dtype.itemsize
        compression = self.tag(259, 1)
        stream.seek(offset)
        data = stream.read(rows * row if compression == 1 else size)
        if compression in (8, 32946):
            data = zlib.decompressobj().decompress(data, rows * row)
        elif compression != 1:
            data = _unpack(data, compression, row, rows)
        if len(data) < rows * row:
            raise Unreadable("is cut short (truncated strip)")
        predictor = self.tag(317, 1)
        if predictor == 3:
            return _float_rows(data, rows, wide, samples, self.dtype)
        values = np.frombuffer(data, self.dtype, count=rows * wide * samples).reshape(rows, wide, samples)
        if predictor == 2:
            values = np.add.accumulate(values, axis=1, dtype=self.dtype.newbyteorder("="))
        return values


def _unpack(data: bytes, compression: int, width: int, height: int) -> bytes:
    """A strip unpacked by libtiff: written as a grey 8-bit image of its own, whose pixels are the strip's bytes."""
    tags = [(256, width), (257, height), (258, 8), (259, compression), (262, 1), (273, 8), (277, 1), (278, height)]
    tags.append((279, len(data)))
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    file = struct.pack("<2sHI", b"II", 42, 8 + len(data) + len(data) % 2) + data + b"\0" * (len(data) % 2)
    with Image.open(io.BytesIO(file + table + struct.pack("<I", 0))) as image:
        return image.tobytes()


def _float_rows(data: bytes, rows: int, wide: int, samples: int, dtype: np.dtype[np.generic]) -> Pixels:
    """Adobe's floating-point predictor: bytes by significance, differenced along the row."""
    size = dtype.itemsize
    raw = np.frombuffer(data, np.uint8, count=rows * wide * samples * size).reshape(rows, -1, samples)
    raw = np.add.accumulate(raw, axis=1, dtype=np.uint8).reshape(rows, size, wide * samples)
    ordered = np.ascontiguousarray(raw.transpose(0, 2, 1))
    return ordered.view(f">f{size}").reshape(rows, wide, samples)


def opened(path: Path, at: int | None = None) -> Tiff | None:
    """The image whose directory lies at the byte ``at``, by default the first, when the file is a TIFF and Pillow would not
    read the image fully; else None. Raises Unreadable.
    """
    with path.open("rb") as stream:
        head = _head(stream)
        if head is None:
            return None
        order, big, first = head
        try:
            tags = _read_tags(stream, order, first if at is None else at, big)
        except (struct.error, OverflowError):
            raise Unreadable("is cut short (truncated TIFF)") from None
    found = Tiff(path, order, tags)
    return found if found.beyond_pillow else None


def pages(path: Path) -> list[tuple[int, int]]:
    """(number of its directory, byte where that lies) of each page of a file; [(0, 0)] for one that is no TIFF.

    Smaller copies of pages (the pyramid of a slide) and masks are none, unless they come first. The directory at which the
    chain breaks off is the last one, to be reported when it is read.
    """
    found = []
    seen: set[int] = set()
    with path.open("rb") as stream:
        head = _head(stream)
        if head is None:
            return [(0, 0)]
        order, big, at = head
        while (at or not seen) and at not in seen:
            number = len(seen)
            seen.add(at)
            try:
                kind, following = _kind_and_next(stream, order, at, big)
            except (struct.error, OverflowError):
                kind, following = 0, 0
            if not number or not kind & (COPY | MASK):
                found.append((number, at))
            at = following
    return found


def _head(stream: BinaryIO) -> tuple[str, bool, int] | None:
    """(byte order of ``struct``, whether it is BigTIFF, byte of the first directory); None for a file that is no TIFF."""
    start = stream.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 8:
        return None
    version = struct.unpack(order + "H", start[2:4])[0]
    if version not in (42, 43) or (version == 43 and len(start) < 16):
        return None
    big = version == 43
    return order, big, struct.unpack(order + ("Q" if big else "I"), start[8:16] if big else start[4:8])[0]


def _kind_and_next(stream: BinaryIO, order: str, at: int, big: bool) -> tuple[int, int]:
    """(the tag 254 of the directory at a byte, byte of the next directory, 0 after the last). Raises struct.error."""
    stream.seek(at)
    width, entry = (8, 20) if big else (4, 12)
    count = struct.unpack(order + ("Q" if big else "H"), stream.read(8 if big else 2))[0]
    entries = stream.read(min(count, MOST_TAGS) * entry)
    if len(entries) < count * entry:
        raise struct.error("truncated or damaged directory")
    kind = 0
    for start in range(0, len(entries), entry):
        tag, form = struct.unpack_from(order + "HH", entries, start)
        if tag == 254 and form in (3, 4):
            kind = struct.unpack_from(order + _TYPES[form], entries, start + 4 + width)[0]
    following = stream.read(width)
    return kind, struct.unpack(order + ("Q" if big else "I"), following)[0] if len(following) == width else 0


def _read_tags(stream: BinaryIO, order: str, offset: int, big: bool) -> dict[int, tuple[int, ...]]:
    stream.seek(offset)
    width = 8 if big else 4
    count = struct.unpack(order + ("Q" if big else "H"), stream.read(8 if big else 2))[0]
    tags: dict[int, tuple[int, ...]] = {}
    entries = [stream.read(12 + 8 * big) for _ in range(min(count, MOST_TAGS))]
    for entry in entries:
        tag, kind = struct.unpack(order + "HH", entry[:4])
        number = struct.unpack(order + ("Q" if big else "I"), entry[4 : 4 + width])[0]
        if kind not in _TYPES or number > 1 << 24:
            continue
        form = f"{order}{number}{_TYPES[kind]}"
        size = struct.calcsize(form)
        value = entry[4 + width :]
        if size > width:
            stream.seek(struct.unpack(order + ("Q" if big else "I"), value[:width])[0])
            value = stream.read(size)
        tags[tag] = struct.unpack(form, value[:size])
    return tags
