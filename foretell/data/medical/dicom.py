"""DICOM images through pydicom, an extra: ``pip install 'foretell[medical]'``. Only pixels and how to show them are read.

Values become pixels as the file says they are to be seen: a palette or a YBR colour space becomes RGB, grey passes
``dicom_values``. One frame is held at a time, unless the window is one of the file's own range of values. No message
quotes the header, which holds names.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
import warnings
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.medical.dicom_form import Form, form_of, greys_of, syntax_of, tags_of
from foretell.data.medical.dicom_values import Tones, ends_of, ranged
from foretell.data.medical.window import FILE, Window
from foretell.data.pixels import MEMORY, Pixels, Unreadable, check_finite
from foretell.errors import in_brief

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
TONES = ("PixelValueTransformationSequence", "FrameVOILUTSequence")

# the packages that pydicom decodes these with, by what a transfer syntax is called
PLUGINS = {
    "JPEG-LS": "pylibjpeg pylibjpeg-libjpeg",
    "JPEG 2000": "pylibjpeg pylibjpeg-openjpeg",
    "High-Throughput": "pylibjpeg pylibjpeg-openjpeg",
    "JPEG": "pylibjpeg pylibjpeg-libjpeg",
}


def _pydicom(part: str = "pydicom") -> Any:
    try:
        return import_module(part)
    except ImportError:
        raise Unreadable("is DICOM, which needs pydicom: pip install 'foretell[medical]'") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without remarks on values that break the standard: they may quote what must not be shown."""
    config = _pydicom("pydicom.config")
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def opened(path: Path, *, pixels: bool, names: tuple[str, ...] = ()) -> Any:
    """The data set of a file, of the elements ``names`` alone where there are any. Raises Unreadable."""
    pydicom = _pydicom()
    with quiet():
        try:
            try:
                return pydicom.dcmread(path, stop_before_pixels=not pixels, specific_tags=[*tags_of(names)])
            except pydicom.errors.InvalidDicomError:
                return _without_preamble(pydicom, path, pixels)
        except (Unreadable, OSError):
            raise
        except (EOFError, struct.error):
            raise Unreadable("is cut short (its header ends too soon)") from None
        except Exception as error:  # damaged input
            raise Unreadable(f"is damaged ({type(error).__name__} in its header)") from None


def _without_preamble(pydicom: Any, path: Path, pixels: bool) -> Any:
    """Files older than part 10: taken for DICOM when they name the class of their object."""
    try:
        found = pydicom.dcmread(path, force=True, stop_before_pixels=not pixels)
        named = str(found.get("SOPClassUID", "")).startswith("1.2.840.10008.")
    except Exception:  # anything at all may lie in it
        named = False
    if not named:
        raise Unreadable("is not DICOM (no file meta information)")
    if not found.file_meta.get("TransferSyntaxUID", None):
        implicit, little = found.original_encoding
        uid = pydicom.uid
        found.file_meta.TransferSyntaxUID = (
            uid.ImplicitVRLittleEndian
            if implicit
            else uid.ExplicitVRLittleEndian
            if little
            else uid.ExplicitVRBigEndian
        )
    return found


def checked(dataset: Any, path: Path) -> Form:
    """The form of the pixels that the header of ``path`` claims, before memory is taken for them.

    Raises Unreadable when it holds no image, or claims more than the file or memory can hold.
    """
    with quiet():
        form = form_of(dataset)
    form.check(path.stat().st_size)
    return form


def count(path: Path) -> int:
    """Number of frames, from the header. Raises Unreadable."""
    return checked(opened(path, pixels=False), path).frames


def frames(path: Path, window: Window = FILE) -> Iterator[Pixels]:
    """(H, W, C) uint8 or uint16 of each frame; all frames of a file share one range of values. Raises Unreadable."""
    dataset = opened(path, pixels=True)
    form = checked(dataset, path)
    if not any(name in dataset for name in PIXELS):
        raise Unreadable("is DICOM without pixels (no pixel data); leave it out")
    lying = form.lying(getattr(dataset.get_item("PixelData"), "value", None))
    if lying is not None:
        yield from _grey(lying, dataset, form, window)
        return
    _check_plugin(dataset)
    several = _decoded(dataset)
    if int(dataset.get("SamplesPerPixel", None) or 1) > 1:
        yield from map(_colour, several)
    elif str(dataset.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
        first, palette = _palette(dataset)
        for image in several:
            yield palette[np.clip(image.astype(np.int64) - first, 0, len(palette) - 1)]
    else:
        yield from _grey(_finite(several), dataset, form, window)


def _finite(several: Iterable[Pixels]) -> Iterator[Pixels]:
    """Stored values as they are. Raises Unreadable for a frame that holds NaN or infinity."""
    for image in several:
        check_finite(image, "pixels")
        yield image


def _colour(image: Pixels) -> Pixels:
    """RGB of any depth in the store's: beyond 16 bits the upper ones are kept."""
    depth = image.dtype.itemsize
    return np.asarray(image >> (8 * depth - 16) if depth > 2 else image, np.uint8 if depth == 1 else np.uint16)


def _palette(dataset: Any) -> tuple[int, Pixels]:
    """(the stored value of the first entry, (entries, 3) uint8)."""
    entries, first, _ = dataset.RedPaletteColorLookupTableDescriptor
    numbers = np.arange(first, first + (entries or 1 << 16))
    try:
        colours = _pydicom("pydicom.pixels").apply_color_lut(numbers, dataset)
    except Exception as error:  # a table that is cut short, or in segments that nobody knows
        raise Unreadable(f"cannot be decoded (its palette: {type(error).__name__})") from None
    # 16-bit entries hold the colour in their upper byte; some writers put it in the lower one
    return int(first), np.asarray(colours >> 8 if int(colours.max()) > 255 else colours, np.uint8)


def _grey(several: Iterable[Pixels], dataset: Any, form: Form, window: Window) -> Iterator[Pixels]:
    for image, tones in _toned(several, dataset, form, window):
        with quiet():
            shown = tones.pixels(image)
        yield shown[:, :, None]


def _toned(several: Iterable[Pixels], dataset: Any, form: Form, window: Window) -> Iterator[tuple[Pixels, Tones]]:
    """Each frame's stored values and what makes pixels of them: the same for all files of a form, unless values decide."""
    if window in form.tones:
        return zip(several, itertools.repeat(form.tones[window]), strict=False)
    with quiet():
        heads = [head_of(dataset, frame) for frame in range(form.frames)] if form.groups else [greys_of(dataset)]
        values_decide = any(ranged(head, window) for head in heads)
        ends = window.low, window.high
        if values_decide:
            several = _held(several, dataset, form.frames)
            ends = ends_of(several, heads if form.groups else heads * form.frames, window)
    tones = [Tones(window, head, ends) for head in heads]
    if form.groups:
        return zip(several, tones, strict=False)
    if not values_decide:
        form.tones[window] = tones[0]
    return zip(several, itertools.repeat(tones[0]), strict=False)


def _held(several: Iterable[Pixels], dataset: Any, number: int) -> list[Pixels]:
    size = number * int(dataset.Rows) * int(dataset.Columns) * max(1, int(dataset.BitsAllocated) // 8)
    if size > MEMORY:
        raise Unreadable(
            f"has {number} frames without a window, too many to find their common range; set data.medical.window=CENTRE/WIDTH"
        )
    return list(several)


def head_of(dataset: Any, frame: int) -> Any:
    """What says how one frame is seen: an enhanced multi-frame file has it in groups of its own (PS3.3 C.7.6.16)."""
    shared = dataset.get("SharedFunctionalGroupsSequence", None) or []
    own = dataset.get("PerFrameFunctionalGroupsSequence", None) or []
    groups = [*shared[:1], *own[frame : frame + 1]]
    parts = [group[name].value[0] for group in groups for name in TONES if group.get(name, None)]
    if not parts:
        return dataset
    head = greys_of(dataset)
    for part in parts:
        for element in part:
            head[element.tag] = element
    return head


def _check_plugin(dataset: Any) -> None:
    syntax = syntax_of(dataset)
    if syntax is None or not syntax.is_encapsulated:
        return
    decoders = _pydicom("pydicom.pixels")
    try:
        ready = decoders.get_decoder(syntax).is_available
    except NotImplementedError:
        raise Unreadable(f"is compressed as {syntax.name}, which pydicom does not read; save it uncompressed") from None
    if not ready:
        raise Unreadable(_missing(syntax.name))


def _lacks_plugin(dataset: Any) -> bool:
    """Whether one of the plugins that decode this compression is not installed, as Pillow decodes JPEG of 8 bits alone."""
    return bool(_pydicom("pydicom.pixels").get_decoder(syntax_of(dataset)).missing_dependencies)


def _missing(name: str) -> str:
    package = next((package for kind, package in PLUGINS.items() if kind in name), "pylibjpeg")
    return f"is compressed as {name}, which needs a plugin of pydicom: pip install {package}"


def _decoded(dataset: Any) -> Iterator[Pixels]:
    """Stored values of each frame, (H, W), or RGB (H, W, 3)."""
    several = _pydicom("pydicom.pixels").iter_pixels(dataset)
    while True:
        with quiet():  # not around the whole loop: a reader may pause between two frames
            try:
                image = next(several, None)
            except (
                Exception
            ) as error:  # an unsupported compression, a length that does not fit, an unknown colour space
                if "read-only" in str(error):
                    yield from _at_once(dataset)
                    return
                raise _undecoded(dataset, error) from None
        if image is None:
            return
        yield image


def _at_once(dataset: Any) -> Iterator[Pixels]:
    """All frames together: frame by frame pydicom 3.0 mends signs in the memory of its plugin, which may not be written."""
    with quiet():
        try:
            whole = dataset.pixel_array
        except Exception as error:
            raise _undecoded(dataset, error) from None
    yield from whole if int(dataset.get("NumberOfFrames", 1) or 1) > 1 else [whole]


def _undecoded(dataset: Any, error: Exception) -> Unreadable:
    text = " ".join(str(error).split())
    if "missing dependencies" in text or ("does not support" in text and _lacks_plugin(dataset)):
        return Unreadable(_missing(dataset.file_meta.TransferSyntaxUID.name))
    short = "less than expected" in text or "fewer" in text
    return Unreadable(f"{'is cut short' if short else 'cannot be decoded'} ({in_brief(error, 160)})")
