"""A zip of images as a folder in the cache: unpacked once, checked before a byte is written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import lzma
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from foretell.data.stores import forgotten
from foretell.data.watch import Watch
from foretell.errors import ForetellError, InputError

LARGEST = 64 << 30  # bytes unpacked
NAMED = 80  # letters of a file's name in a message
# what the names inside lead to: too long for the disk, or a file where another says that there is a folder
NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL)
PACKED = 200  # times smaller than its content: beyond it an archive is taken for a trap
# what a damaged zip leads to; what these say is told to nobody: it quotes the file, which may name a patient
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, UnicodeDecodeError)


def unpack(path: Path, cache: Path) -> Path:
    """The folder ``cache/unpacked/...`` with the files of the zip ``path``, made at the first call.

    Raises InputError when it is no zip, is encrypted, changes meanwhile, holds a path that leads out of it, or unpacks to
    more than ``LARGEST`` bytes or ``PACKED`` times its size; ForetellError when the cache cannot be written.
    """
    watch = Watch()
    try:
        status = watch.add(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    key = hashlib.blake2b(
        f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}".encode(), digest_size=12
    ).hexdigest()
    place = cache / "unpacked" / key
    if place.is_dir():
        return place
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [item for item in archive.infolist() if not item.is_dir()]
            _check(path, inside, status.st_size)
            _write(archive, inside, place, watch)
    except NotImplementedError:  # of the archive as a whole; of one file ``_unpack`` tells it
        raise InputError(
            f"{path}: a zip of a version that is not read, or a damaged one; pack it again, or give a folder"
        ) from None
    except DAMAGE as error:
        raise InputError(
            f"{path}: not a zip file, or a damaged one ({_part(error)}); pack it again, or give a folder"
        ) from None
    except OSError as error:
        if error.errno in NAMES:
            raise InputError(
                f"{path}: '{error.filename}' cannot be unpacked ({error.strerror}); give a folder"
            ) from None
        raise ForetellError(
            f"{place.parent}: cannot be written ({error.strerror or error}); make room, or set FORETELL_CACHE to another "
            "folder"
        ) from None
    return place


def _part(error: Exception) -> str:
    """The part of a zip that an error of ``DAMAGE`` is about."""
    compressed = isinstance(error, (zlib.error, lzma.LZMAError, EOFError))
    return "its compressed data" if compressed else "its headers or checksums"


def _check(path: Path, inside: list[zipfile.ZipInfo], size: int) -> None:
    total = sum(item.file_size for item in inside)
    if not inside:
        raise InputError(f"{path}: the zip is empty; expected images")
    if total > min(LARGEST, max(PACKED * size, 1 << 20)):
        raise InputError(f"{path}: unpacks from {size:,} to {total:,} bytes; that is no set of images: give a folder")
    for item in inside:
        parts = PurePosixPath(item.filename.replace("\\", "/")).parts
        if not parts or item.filename.startswith("/") or ".." in parts or ":" in parts[0]:
            raise InputError(f"{path}: holds '{item.filename}', a path that leads out of it; it is not unpacked")
        if item.flag_bits & 1:
            raise InputError(f"{path}: is encrypted; unpack it yourself and give the folder")


def _write(archive: zipfile.ZipFile, inside: list[zipfile.ZipInfo], place: Path, watch: Watch) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(".unpacking-*"):  # by a process that was killed
        with contextlib.suppress(OSError):
            if forgotten(left):
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".unpacking-") as aside:
        root = Path(aside) / "files"
        for item in inside:
            target = root / item.filename.replace("\\", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            _unpack(archive, item, target)
        watch.check()
        if not place.is_dir():  # another process may have been first
            os.replace(root, place)


def _unpack(archive: zipfile.ZipFile, item: zipfile.ZipInfo, target: Path) -> None:
    """Write one file of the zip to ``target``. Raises InputError naming it where it is damaged, or packed in an unknown
    way.
    """
    name = item.filename if len(item.filename) <= NAMED else f"{item.filename[:NAMED]}..."
    with target.open("wb") as stream:
        try:
            with archive.open(item) as source:
                while part := source.read(1 << 20):
                    stream.write(part)
        except NotImplementedError:
            raise InputError(
                f"{archive.filename}: '{name}' in it is packed in a way that is not read (method {item.compress_type}); pack it "
                "with Deflate, or give a folder"
            ) from None
        except DAMAGE as error:
            raise InputError(
                f"{archive.filename}: is damaged at '{name}' ({_part(error)}); pack it again, or give a folder"
            ) from None
        except OSError as error:
            if error.errno is not None:  # of the disk, not of bzip2
                raise
            raise InputError(
                f"{archive.filename}: is damaged at '{name}' (its bzip2 data); pack it again, or give a folder"
            ) from None
