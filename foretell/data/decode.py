"""One image file as an array: orientation applied, palette and alpha resolved, its longest side bounded.

Rules, the same for every format:

* DICOM and NIfTI become what is to be seen of them: ``dicom_values``, ``nifti``, ``window``.
* EXIF orientation is applied. Of an animation or a multi-page file the first frame is read; ``clip.gif[3]`` is frame 3.
* A palette becomes its colours; a palette of greys stays grey. CMYK, YCbCr and Lab become RGB.
* Alpha is composited over white.
* 16-bit pixels stay 16-bit. A float image must lie in [0, 1] and becomes 16-bit; whole numbers must fit in 16 bits.
* An image longer than ``side`` is shrunk with antialiasing (an area mean to at most twice the size, then bicubic).
* No more than ``MEMORY`` bytes are decoded at once: a larger JPEG is decoded smaller, a larger PNG or TIFF in bands.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from foretell.data import nifti, png, tiff
from foretell.data.frames import VIDEO, read_frame, split_name
from foretell.data.medical_files import kind_of
from foretell.data.pillow import orientation_of, pixel_bytes, pixels_of
from foretell.data.pixels import MEMORY, Pixels, Unreadable, check_size, finish, whole_numbers
from foretell.data.window import FILE, Window


def decode(path: Path | str, side: int, window: Window = FILE) -> Pixels:
    """(H, W, C) uint8 or uint16, longest side at most ``side``; ``window`` is for DICOM and NIfTI. Raises Unreadable."""
    path = Path(path)
    try:
        file, frame = split_name(str(path))
        kind = kind_of(Path(file))
        if kind == "nifti":
            return nifti.read(str(path), side, window)
        if frame is not None or kind == "dicom" or path.suffix.lower() in VIDEO:
            return read_frame(Path(file), frame or 0, side, window)
        if path.suffix.lower() == ".npy":
            return _decode_array(path, side)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata and on large images: judged here
            return _decode_file(path, side)
    except Unreadable:
        raise
    except FileNotFoundError:
        raise Unreadable("does not exist") from None
    except IsADirectoryError:
        raise Unreadable("is a folder, not an image") from None
    except PermissionError:
        raise Unreadable("may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise Unreadable(_unidentified(path)) from None
    except MemoryError:
        raise Unreadable("does not fit in memory") from None
    except Exception as error:  # decoders raise anything on damaged input: SyntaxError, struct.error, ValueError ...
        text = " ".join(str(error).split()) or type(error).__name__
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
    if path.suffix.lower() in (".tif", ".tiff"):
        opened = tiff.opened(path)  # more than four channels, or 16-bit colour: beyond Pillow
        if opened is not None:
            check_size(opened.height, opened.width)
            return finish(opened.read(side, MEMORY), side, opened.orientation)
    Image.MAX_IMAGE_PIXELS = None  # its guard stops at a fixed number of pixels; ours is check_size and MEMORY
    with Image.open(path) as image:
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
