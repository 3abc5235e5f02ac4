"""Text read in pieces of bounded size, plain or compressed; what is not text is named with file and byte."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from foretell.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
LONGEST = 16 << 20  # characters of one line
BLOCK = 1 << 19  # bytes read at once
PART = 1 << 10  # bytes of a .zst file at once: at most 32 MB of text, which 4 bytes may give 128 kB of

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def bare_suffix(path: Path) -> str:
    """The suffix in lower case without that of a compression: ".txt" of "a.TXT.gz"."""
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return Path(name).suffix


def open_bytes(path: Path) -> IO[bytes]:
    """The content of ``path``, decompressed by its suffix. Raises InputError when it cannot be opened."""
    try:
        suffix = path.suffix.lower()
        if suffix == ".gz":
            return cast("IO[bytes]", gzip.open(path, "rb"))
        if suffix == ".bz2":
            return bz2.open(path, "rb")
        if suffix == ".xz":
            return lzma.open(path, "rb")
        stream = path.open("rb")
        return io.BufferedReader(_Frames(stream), BLOCK) if suffix == ".zst" else stream
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


class _Frames(io.RawIOBase):
    """The text of a Zstandard file: of all of its frames, one after another (RFC 8878).

    Raises EOFError where the file ends within a frame, ZstdError for what is none.
    """

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self.file = file
        self.made = zstandard.ZstdDecompressor()
        self.frame: zstandard.ZstdDecompressionObj | None = None
        self.given = self.text = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        while not self.text:
            self.given = self.given or self.file.read(PART)
            if not self.given:
                if self.frame is not None:
                    raise EOFError("it ends within a frame")
                return 0
            self.frame = self.frame or self.made.decompressobj()
            self.text = self.frame.decompress(self.given)
            self.given = self.frame.unused_data
            if self.frame.eof:
                self.frame = None
        space = memoryview(buffer).cast("B")
        part, self.text = self.text[: len(space)], self.text[len(space) :]
        space[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self.file.close()
        super().close()


def blocks(path: Path) -> Iterator[bytes]:
    """The decompressed bytes in blocks. Raises InputError for a compressed file that is cut short or damaged."""
    import zstandard

    with open_bytes(path) as stream:
        done = 0
        while True:
            try:
                block = stream.read(BLOCK)
            except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zstandard.ZstdError) as error:
                raise InputError(
                    f"{path}: the compressed file is cut short or damaged after {done:,} bytes of text ({error}); "
                    "copy it again"
                ) from None
            except OSError as error:
                raise InputError(f"{path}: cannot be read after byte {done} ({error.strerror or error})") from None
            if not block:
                return
            done += len(block)
            yield block


def pieces(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Decoded text in pieces, every line end as a newline; a byte order mark is taken away, or decides on UTF-16.

    Raises InputError naming file and byte (of the decompressed text) for a byte that ``encoding`` does not have, and for
    a NUL, which text does not hold.
    """
    decoder: codecs.IncrementalDecoder | None = None
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    done = 0
    wide = False
    for block in blocks(path):
        if decoder is None:
            name = next((n for mark, n in _MARKS.items() if block.startswith(mark)), None)
            chosen = name if name is not None and encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
            try:
                "a".encode(chosen)  # which refuses a codec that is not one of text, as base64
                decoder = codecs.getincrementaldecoder(chosen)()
            except (LookupError, ValueError):
                raise InputError(
                    f"encoding '{encoding}' is not known; expected one as utf-8, latin-1 or cp1252"
                ) from None
            wide = codecs.lookup(chosen).name.startswith(("utf-16", "utf-32"))
        nul = -1 if wide else block.find(b"\0")
        if nul >= 0:
            raise _binary(path, done + nul, block)
        yield newlines.decode(_decode(path, decoder, block, done, encoding))
        done += len(block)
    if decoder is not None:
        yield newlines.decode(_decode(path, decoder, b"", done, encoding, final=True), final=True)


def _binary(path: Path, at: int, block: bytes) -> InputError:
    """That byte ``at`` is a NUL: every second one of a ``block`` in UTF-16 is, where letters are those of English."""
    nul = f"{path}: byte {at} is a NUL"
    start = block[:200]
    for name, low, high in (("utf-16-le", start[0::2], start[1::2]), ("utf-16-be", start[1::2], start[0::2])):
        if len(start) >= 8 and not low.count(0) and high.count(0) > len(high) / 2:
            return InputError(f"{nul}, as in UTF-16 without its mark; if it is, set data.encoding={name}")
    return InputError(
        f"{nul}, so that this is a binary file; expected plain text (a table or an archive needs its own suffix)"
    )


def _decode(
    path: Path, decoder: codecs.IncrementalDecoder, block: bytes, done: int, encoding: str, final: bool = False
) -> str:
    before = done - len(decoder.getstate()[0])
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(
            f"{path}: byte {before + error.start} (0x{byte:02x}) is not {encoding.upper()}; save the file as UTF-8, or "
            "name its encoding, as --set data.encoding=latin-1 (or cp1252)"
        ) from None


def lines(path: Path, encoding: str = "utf-8", longest: int = LONGEST) -> Iterator[str]:
    """Lines without their ends. Raises InputError as ``pieces``, and for a line of more than ``longest`` characters."""
    rest = ""
    number = 1
    for piece in pieces(path, encoding):
        found = (rest + piece).split("\n")
        rest = found.pop()
        for line in found:
            if len(line) > longest:
                raise _endless(path, number, longest)
            yield line
            number += 1
        if len(rest) > longest:
            raise _endless(path, number, longest)
    if rest:
        yield rest


def _endless(path: Path, number: int, longest: int) -> InputError:
    return InputError(
        f"{path}, line {number}: longer than {longest:,} characters; expected lines or paragraphs. For text without line "
        "ends set data.documents=words, which cuts it every 1,000 words"
    )
