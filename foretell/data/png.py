"""PNG read in bands of rows: for images larger than memory should hold, and for 16-bit colour, which Pillow cuts to 8.

The format is W3C's "Portable Network Graphics (PNG) Specification (Third Edition)".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from foretell.data.pixels import Pixels, Reducer, Unreadable, over_white

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey + alpha, RGB + alpha
BAND = 8 << 20  # bytes of a band of rows
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@dataclass(frozen=True)
class Header:
    """The IHDR chunk."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def deep_colour(self) -> bool:
        """16 bits a sample and more than one sample a pixel."""
        return self.depth == 16 and self.colour != 0

    @property
    def bits(self) -> int:
        return self.depth * SAMPLES[self.colour]

    def stride(self, width: int) -> int:
        """Bytes of a row of ``width`` pixels, without its filter byte."""
        return (width * self.bits + 7) // 8


def header(path: Path) -> Header:
    """Raises Unreadable when the file is not a PNG or its first chunk is damaged."""
    with path.open("rb") as stream:
        start = stream.read(33)
    if len(start) < 33 or start[:8] != SIGNATURE or start[12:16] != b"IHDR":
        raise Unreadable("is damaged (no PNG header)")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", start[16:29])
    if colour not in SAMPLES or depth not in (1, 2, 4, 8, 16):
        raise Unreadable(f"is damaged (PNG colour type {colour}, depth {depth})")
    return Header(width, height, depth, colour, bool(interlace))


def read(path: Path, head: Header, side: int, memory: int) -> Pixels:
    """(H, W, C) uint8 or uint16, alpha over white, shrunk by a whole factor to at least twice ``side`` if larger.

    Raises Unreadable, also for an interlaced image of more than ``memory`` bytes.
    """
    reducer = Reducer(max(head.width, head.height) // (2 * side))
    with path.open("rb") as stream:
        stream.seek(8)
        source = _Chunks(stream)
        if head.interlaced:
            if head.height * head.stride(head.width) > memory:
                raise Unreadable(
                    f"is an interlaced PNG of {head.width * head.height / 1e6:.0f} megapixels, which cannot be read "
                    "in parts; save it without interlacing"
                )
            reducer.push(_colours(_interlaced(source, head), head, source))
        else:
            for rows in _bands(source, head, head.width, head.height):
                reducer.push(_colours(_samples(rows, head, head.width), head, source))
    return reducer.result()


def orientation(path: Path) -> int:
    """EXIF orientation 1 to 8 from the eXIf chunk, wherever it lies, without inflating a pixel."""
    with path.open("rb") as stream:
        stream.seek(8)
        while len(start := stream.read(8)) == 8:
            size, kind = struct.unpack(">I4s", start)
            if kind == b"eXIf" and size < 1 << 20:
                exif = Image.Exif()
                try:
                    exif.load(stream.read(size))
                    value = exif.get(0x0112, 1)
                except Exception:  # damaged EXIF beside sound pixels
                    return 1
                return value if isinstance(value, int) and 1 <= value <= 8 else 1
            stream.seek(size + 4, 1)
    return 1


class _Chunks:
    """The inflated bytes of the IDAT chunks, and the palette and transparency met before them."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.palette: Pixels | None = None
        self.transparency: bytes | None = None
        self._inflate = zlib.decompressobj()
        self._waiting = b""

    def _next(self) -> bytes:
        while True:
            start = self.stream.read(8)
            if len(start) < 8:
                raise Unreadable("is cut short (truncated PNG)")
            size, kind = struct.unpack(">I4s", start)
            if kind == b"IEND":
                raise Unreadable("is cut short (pixels are missing)")
            data = self.stream.read(size)
            check = self.stream.read(4)
            if len(data) < size or len(check) < 4:
                raise Unreadable("is cut short (truncated PNG)")
            if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(check, "big"):
                raise Unreadable(f"is damaged (wrong checksum of chunk {kind.decode('latin-1')})")
            if kind == b"IDAT":
                return data
            if kind == b"PLTE":
                self.palette = np.frombuffer(data, np.uint8).reshape(-1, 3)
            elif kind == b"tRNS":
                self.transparency = data

    def take(self, count: int) -> bytearray:
        """The next ``count`` inflated bytes."""
        out = bytearray()
        while len(out) < count:
            if not self._waiting:
                self._waiting = self._next()
            try:
                out += self._inflate.decompress(self._waiting, count - len(out))
            except zlib.error as error:
                raise Unreadable(f"is damaged ({error})") from None
            self._waiting = self._inflate.unconsumed_tail
        return out


def _bands(source: _Chunks, head: Header, width: int, height: int) -> Iterator[Pixels]:
    """Unfiltered rows (h, stride) uint8 of an image or pass, a band at a time."""
    from foretell.data.unfilter import unfilter

    stride = head.stride(width)
    step = max(1, BAND // (stride + 1))
    before = np.zeros(stride, np.uint8)
    for top in range(0, height, step):
        count = min(step, height - top)
        raw = np.frombuffer(source.take(count * (stride + 1)), np.uint8).reshape(count, stride + 1)
        rows = np.ascontiguousarray(raw[:, 1:])
        if raw[:, 0].max() > 4:
            raise Unreadable("is damaged (unknown PNG filter)")
        unfilter(rows, np.ascontiguousarray(raw[:, 0]), before, max(1, head.bits // 8))
        before = rows[-1].copy()
        yield rows


def _samples(rows: Pixels, head: Header, width: int) -> Pixels:
    """(h, width, samples) of unfiltered rows: uint8, or uint16 at depth 16; below depth 8 the plain numbers."""
    height, samples = rows.shape[0], SAMPLES[head.colour]
    if head.depth == 16:
        return rows.view(">u2").astype(np.uint16).reshape(height, width, samples)
    if head.depth == 8:
        return rows.reshape(height, width, samples)
    bits = np.unpackbits(rows, axis=1).reshape(height, -1, head.depth)
    weights = 1 << np.arange(head.depth - 1, -1, -1, dtype=np.uint8)
    return np.asarray((bits * weights).sum(axis=2, dtype=np.uint8)[:, :width, None])


def _interlaced(source: _Chunks, head: Header) -> Pixels:
    whole = np.zeros((head.height, head.width, SAMPLES[head.colour]), np.uint16 if head.depth == 16 else np.uint8)
    for top, left, down, across in ADAM7:
        part = whole[top::down, left::across]
        if part.size:
            bands = [_samples(rows, head, part.shape[1]) for rows in _bands(source, head, part.shape[1], part.shape[0])]
            part[:] = np.concatenate(bands)
    return whole


def _colours(values: Pixels, head: Header, source: _Chunks) -> Pixels:
    """Grey or RGB from what the samples stand for: palette, transparent colour, alpha."""
    if head.colour == 3:
        if source.palette is None:
            raise Unreadable("is damaged (no palette)")
        if int(values.max()) >= len(source.palette):
            raise Unreadable("is damaged (a colour beyond the palette)")
        palette = source.palette
        if bool((palette == palette[:, :1]).all()):
            palette = palette[:, :1]
        if source.transparency is not None:
            alpha = np.full((len(palette), 1), 255, np.uint8)
            given = np.frombuffer(source.transparency, np.uint8)[: len(palette)]
            alpha[: len(given), 0] = given
            palette = over_white(np.concatenate([palette, alpha], axis=1)[None])[0]
        coloured: Pixels = palette[values[:, :, 0]]
        return coloured
    if head.colour in (4, 6):
        return over_white(values)
    peak = (1 << head.depth) - 1
    clear = None
    if source.transparency is not None and len(source.transparency) >= 2 * values.shape[2]:
        key = np.frombuffer(source.transparency, ">u2", count=values.shape[2])
        clear = (values == key).all(axis=2)
    if head.depth < 8:
        values = values * np.uint8(255 // peak)
        peak = 255
    if clear is not None:
        values = np.where(clear[:, :, None], values.dtype.type(peak), values)
    return values
