"""One image file as an array: orientation applied, palette and alpha resolved, its longest side bounded.

Rules, the same for every format:

* DICOM and NIfTI become what is to be seen of them: ``dicom_values``, ``nifti``, ``window``.
* EXIF orientation is applied, and the display matrix of a video. Of an animation or a multi-page file the first frame
  is read; ``clip.gif[3]`` is frame 3. A page of a TIFF is read as a still of its own.
* A palette becomes its colours; a palette of greys stays grey. CMYK, YCbCr and Lab become RGB.
* Alpha is composited over white.
* 16-bit pixels stay 16-bit. A float image must lie in [0, 1] and becomes 16-bit; whole numbers must fit in 16 bits. Of
  a video of 10 or 12 bits, grey becomes 16-bit and colour 8-bit.
* An image longer than ``side`` is shrunk with antialiasing (an area mean to at most twice the size, then bicubic).
* No more than ``MEMORY`` bytes are decoded at once: a larger JPEG is decoded smaller, a larger PNG or TIFF in bands.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from foretell.data import png, tiff
from foretell.data.frames import PAGED, VIDEO, read_frame, split_name
from foretell.data.medical import nifti
from foretell.data.medical.files import kind_of
from foretell.data.medical.window import FILE, Window
from foretell.data.pillow import orientation_of, pixel_bytes, pixels_of
from foretell.data.pixels import MEMORY, Pixels, Unreadable, check_size, finish, whole_numbers
from foretell.errors import in_brief


def decode(path: Path | str, side: int, window: Window = FILE) -> Pixels:
    """(H, W, C) uint8 or uint16, longest side at most ``side``; ``window`` is for DICOM and NIfTI. Raises Unreadable."""
    path = Path(path)
    file, frame = split_name(str(path))
    kind = None
    try:
        kind = kind_of(Path(file))
        if kind == "nifti":
            return nifti.read(str(path), side, window)
        paged = frame is not None and Path(file).suffix.lower() in PAGED
        if not paged and (frame is not None or kind == "dicom" or path.suffix.lower() in VIDEO):
            return read_frame(Path(file), frame or 0, side, window)
        if path.suffix.lower() == ".npy":
            return _decode_array(path, side)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata and on large images: judged here
            return _decode_file(path, side) if frame is None else _decode_page(Path(file), frame, side)
    except Unreadable:
        raise
    except FileNotFoundError:
        link = Path(file).is_symlink()
        raise Unreadable("is a link to a file that does not exist" if link else "does not exist") from None
    except IsADirectoryError:
        raise Unreadable("is a folder, not an image") from None
    except PermissionError:
        raise Unreadable("may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise Unreadable(_unidentified(path)) from None
    except MemoryError:
        raise Unreadable("does not fit in memory") from None
    except Exception as error:  # decoders raise anything on damaged input: SyntaxError, struct.error, ValueError ...
        text = type(error).__name__ if kind == "dicom" else in_brief(error)  # a header's words may name a patient
        cut = "truncated" in text.lower() or isinstance(error, EOFError)
        raise Unreadable(f"is cut short ({text})" if cut else f"is damaged ({text})") from None


def _unidentified(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(64)
    if not start:
        return "is empty (0 bytes)"
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        text = start[: error.start].decode("utf-8") if error.start > 56 else ""
    if text and all(letter.isprintable() or letter.isspace() for letter in text):
        return f"is text, not an image (it begins '{' '.join(text.split())[:24]}')"
    return "is not an image of a known format"


def _decode_file(path: Path, side: int) -> Pixels:
    if path.suffix.lower() in PAGED:
        opened = tiff.opened(path)  # more than four channels, or 16-bit colour: beyond Pillow
        if opened is not None:
            return _in_bands(opened, side)
    with _open(path) as image:
        return _loaded(path, image, side)


def _open(path: Path) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = None  # its guard stops at a fixed number of pixels; ours is check_size and MEMORY
    return Image.open(path)


def _in_bands(opened: tiff.Tiff, side: int) -> Pixels:
    check_size(opened.height, opened.width)
    return finish(opened.read(side, MEMORY), side, opened.orientation)


def _loaded(path: Path, image: Image.Image, side: int) -> Pixels:
    """The picture that ``image``, opened from ``path``, stands at."""
    width, height = image.size
    check_size(height, width)
    if image.format == "PNG":
        header = png.header(path)
        if header.deep_colour or width * height * pixel_bytes(image) > MEMORY:
            return finish(png.read(path, header, side, MEMORY), side, png.orientation(path))
    elif image.format == "JPEG":
        longest = max(image.size)
        image.draft(None, (width * 2 * side // longest, height * 2 * side // longest))
        if "progressive" in image.info and width * height * len(image.getbands()) > MEMORY:
            raise Unreadable(
                f"is a progressive JPEG of {width * height / 1e6:.0f} megapixels, which cannot be read in parts; "
                "shrink it or save it as baseline"
            )
    size = image.size[0] * image.size[1] * pixel_bytes(image)
    if size > MEMORY:
        raise Unreadable(
            f"has {width * height / 1e6:.0f} megapixels, and its {image.format} form cannot be read in parts; "
            "shrink it, or save it as a PNG that is not interlaced"
        )
    image.load()
    return finish(pixels_of(image, side), side, orientation_of(image))


class _Stack(NamedTuple):
    """A TIFF whose pages are read: to open it anew for each would walk through all of its directories each time."""

    key: tuple[Path, int, int]
    pages: list[tuple[int, int]]
    image: Image.Image


_stacks: list[_Stack] = []  # the last one


def _decode_page(path: Path, page: int, side: int) -> Pixels:
    """One page of a TIFF. Raises Unreadable when there is no such one."""
    key = (path, path.stat().st_mtime_ns, side)
    if not _stacks or _stacks[0].key != key:
        _close_stack()
        _stacks.append(_Stack(key, tiff.pages(path), _open(path)))
    stack = _stacks[0]
    if page >= len(stack.pages):
        raise Unreadable(f"has no frame {page} (it ends after {len(stack.pages)})")
    number, at = stack.pages[page]
    opened = tiff.opened(path, at)
    if opened is not None:
        return _in_bands(opened, side)
    try:
        stack.image.seek(number)
        return _loaded(path, stack.image, side)
    except Exception:
        _close_stack()  # what it stands at is unknown
        raise


def _close_stack() -> None:
    while _stacks:
        _stacks.pop().image.close()


def _decode_array(path: Path, side: int) -> Pixels:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise Unreadable(
            f"holds an array of shape {array.shape}; expected (height, width) or (height, width, channels)"
        )
    check_size(array.shape[0], array.shape[1])
    if array.nbytes > MEMORY:
        step = -(-max(array.shape[:2]) // (2 * side))
        array = array[::step, ::step]
    return finish(whole_numbers(np.ascontiguousarray(array)), side)


ImageFile.LOAD_TRUNCATED_IMAGES = False  # a half-decoded image is a wrong image
