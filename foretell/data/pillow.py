"""What Pillow has loaded, as pixels of the store: its modes, palettes and transparency resolved."""

from __future__ import annotations

import numpy as np
from PIL import Image

from foretell.data.pixels import Pixels, whole_numbers


def pixel_bytes(image: Image.Image) -> int:
    """Bytes a pixel takes in Pillow's memory."""
    if image.mode in ("1", "L", "P"):
        return 1
    return 2 if image.mode.startswith("I;16") else 4


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation 1 to 8. Asked after loading: Pillow turns a TIFF itself and then drops the tag."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF beside sound pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _from_palette(image: Image.Image) -> Image.Image:
    if image.mode == "PA" or "transparency" in image.info:
        image = image.convert("RGBA")
        red, green, blue, alpha = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return Image.merge("LA", (red, alpha))
        return image
    image = image.convert("RGB")
    red, green, blue = image.split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else image


def pixels_of(image: Image.Image, side: int) -> Pixels:
    """(H, W, C) of a loaded Pillow image: mode resolved; shrunk by a whole factor if it is far larger than ``side``."""
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;"):
        return whole_numbers(np.asarray(image))[:, :, None]
    if mode == "1":
        image = image.convert("L")
    elif mode in ("P", "PA"):
        image = _from_palette(image)
    elif mode == "L" and "transparency" in image.info:
        image = image.convert("LA")
    elif mode == "RGB" and "transparency" in image.info:
        image = image.convert("RGBA")
    elif mode == "La":
        image = image.convert("LA")
    elif mode == "RGBa":
        image = image.convert("RGBA")
    elif mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGB")  # CMYK, YCbCr, LAB, HSV, RGBX
    if image.mode in ("LA", "RGBA"):
        solid = Image.new("L" if image.mode == "LA" else "RGB", image.size, "white")
        alpha = image.getchannel("A")
        solid.paste(image.convert(solid.mode), mask=alpha)
        image = solid
    factor = max(image.size) // (2 * side)
    if factor > 1:
        image = image.reduce(factor)
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array
