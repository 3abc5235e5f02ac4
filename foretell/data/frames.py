"""Files of many frames: animations (GIF, APNG, WebP), TIFF, multi-frame DICOM, video. ``clip.gif[3]`` names the fourth of one.

Frames are read one after another: the last file stays open, so that a whole clip in order is decoded once.
"""

from __future__ import annotations

import atexit
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foretell.data.medical.files import DICOM, kind_of
from foretell.data.medical.window import FILE, Window
from foretell.data.pixels import Pixels, Unreadable, check_size, finish
from foretell.errors import in_brief

# .png may hold an APNG, .webp a still or an animation: their headers say
ANIMATED = frozenset((".gif", ".png", ".apng", ".webp"))
PAGED = frozenset((".tif", ".tiff"))  # each page is decoded as a still is (``decode``)
VIDEO = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".ts", ".3gp")
)
MOVING = DICOM | VIDEO | {".gif", ".apng"}  # beyond what is read as a still anyway

# a slice of a volume has its plane before its number: brain.nii.gz[axial 57]
_NAMED = re.compile(r"^(?P<file>.*)\[(?:(?:\d+ )?[a-z]+ )?(?P<frame>\d+)\]$", re.DOTALL)


def split_name(name: str) -> tuple[str, int | None]:
    """(file, frame) of ``clip.gif[3]``; (name, None) for any other.

    >>> split_name("clip.gif[3]"), split_name("still.png")
    (('clip.gif', 3), ('still.png', None))
    """
    found = _NAMED.match(name)
    return (found["file"], int(found["frame"])) if found else (name, None)


def by_file(named: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(name, reason) pairs with those of one file and reason as one, and how many frames or slices they are.

    >>> by_file([("a.nii[axial 0]", "is cut short"), ("a.nii[axial 1]", "is cut short"), ("b.png", "is empty")])
    [('a.nii (2 slices)', 'is cut short'), ('b.png', 'is empty')]
    """
    found: dict[tuple[str, str], list[str]] = {}
    for name, reason in named:
        found.setdefault((split_name(name)[0], reason), []).append(name)
    return [
        (names[0] if len(names) == 1 else f"{file} ({len(names):,} {_parts_of(file)})", reason)
        for (file, reason), names in found.items()
    ]


def _parts_of(file: str) -> str:
    return "slices" if kind_of(Path(file)) == "nifti" else "frames"


def count_frames(path: Path) -> int:
    """How many frames a file has, from its headers where they say: 1 for a still. Raises Unreadable."""
    suffix = path.suffix.lower()
    if suffix in VIDEO:
        from foretell.data import video

        return len(video.places(path))
    if kind_of(path) == "dicom":
        from foretell.data.medical import dicom

        return dicom.count(path)
    if suffix in PAGED:
        from foretell.data import tiff

        return len(tiff.pages(path))
    if suffix not in ANIMATED:
        return 1
    from PIL import Image

    try:
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception as error:  # decoders raise anything on damaged input
        raise Unreadable(f"is damaged ({in_brief(error)})") from None


def frames_of(path: Path) -> int:
    """``count_frames``, and 1 of a file that cannot be opened: that is reported when it is read."""
    return len(places_of(path))


def places_of(path: Path) -> Sequence[int]:
    """The place of each frame: its number, or more behind a leap in time; [0] of a file that cannot be opened."""
    try:
        if path.suffix.lower() in VIDEO:
            from foretell.data import video

            return video.places(path)
        return range(count_frames(path))
    except (Unreadable, OSError):
        return range(1)


@dataclass
class _Open:
    key: tuple[Path, int, int, Window]
    frames: Iterator[Pixels | Unreadable]
    next: int = 0
    failure: Exception | None = None  # what ended ``frames``: it holds for all that would have followed


_last: list[_Open] = []


def _close_last() -> None:
    """Close the file that is open: a decoder that is half done at the interpreter's end would say so on stderr."""
    while _last:
        close = getattr(_last.pop().frames, "close", None)
        if close is not None:
            close()


atexit.register(_close_last)


def read_frame(path: Path, frame: int, side: int, window: Window = FILE) -> Pixels:
    """(H, W, C) of one frame of ``path``, its longest side at most ``side``. Raises Unreadable when there is no such one."""
    status = path.stat()
    key = (path, status.st_mtime_ns, side, window)
    if not _last or _last[0].key != key or _last[0].next > frame:
        _close_last()
        _last.append(_Open(key, _reader(path, window)(path)))
    opened = _last[0]
    image = None
    while opened.next <= frame:
        if opened.failure is not None:
            raise opened.failure.with_traceback(None)
        try:
            image = next(opened.frames, None)
        except Exception as failure:
            opened.failure = failure
            raise
        if image is None:
            raise Unreadable(f"has no frame {frame} (it ends after {opened.next})")
        opened.next += 1
    assert image is not None
    if isinstance(image, Unreadable):
        raise image
    check_size(*image.shape[:2])
    return finish(image, side)


def _reader(path: Path, window: Window) -> Callable[[Path], Iterator[Pixels | Unreadable]]:
    suffix = path.suffix.lower()
    if suffix in VIDEO:
        from foretell.data import video

        return video.frames
    if kind_of(path) == "dicom":
        from foretell.data.medical import dicom

        return partial(dicom.frames, window=window)
    return _animation


def _animation(path: Path) -> Iterator[Pixels]:
    """The frames of an animation as they are shown: each is composed over those before it, then over white."""
    from PIL import Image

    from foretell.data.pillow import pixels_of

    with Image.open(path) as image:
        for number in range(int(getattr(image, "n_frames", 1))):
            image.seek(number)
            shown = image.convert("RGBA") if image.mode in ("P", "PA") else image
            pixels = pixels_of(shown.copy(), max(image.size))
            # whether frames of a palette are grey may change from one to the next: all of them as RGB
            yield pixels if pixels.shape[2] != 1 or image.mode in ("L", "LA", "1") else pixels.repeat(3, axis=2)
