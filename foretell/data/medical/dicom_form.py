"""What a DICOM header says of its pixels: how many, how they lie in the file, how grey is seen.

The files of a series mostly say the same, so that it is worked out again only where the words of a header differ from those
of the file before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from foretell.data.medical.dicom_values import Tones, bits_stored
from foretell.data.medical.window import Window
from foretell.data.pixels import MEMORY, Pixels, Unreadable, check_size
from foretell.data.table import many

FRAMES = 1 << 20  # frames of one file: beyond it a header is taken for damage
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
LAYOUT = (
    *("SOPClassUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation"),
)
GREYS = (
    *("BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation", "PresentationLUTShape"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("VOILUTSequence", "PixelPaddingValue", "PixelPaddingRangeLimit"),
)
WORDS = tuple(dict.fromkeys((*LAYOUT, *GREYS, *GROUPS)))


@dataclass
class Form:
    """``frames`` images, for which a file has at least ``least`` bytes.

    ``stored`` is the type of grey pixels that lie in the file as an array, None where they must be decoded; its upper
    ``unused`` bits mean nothing. ``tones`` by window is what was worked out of the greys of such files. ``groups``: frames
    may say for themselves how they are seen.
    """

    rows: int
    columns: int
    frames: int
    least: int
    stored: np.dtype[Any] | None
    unused: int
    groups: bool
    tones: dict[Window, Tones] = field(default_factory=dict)

    def check(self, size: int) -> None:
        """Raises Unreadable when a file of ``size`` bytes cannot hold this, before memory is taken for it."""
        if self.frames > FRAMES or self.least > size:
            raise Unreadable(
                f"is cut short or holds no pixel data (its header claims {many(self.frames, 'frame')} of {self.columns} x "
                f"{self.rows} pixels, and the file has {size:,} bytes)"
            )

    def lying(self, data: Any) -> list[Pixels] | None:
        """Stored values (H, W) of each frame in the ``data`` of the file, mostly views; None where they must be decoded."""
        if self.stored is None or not isinstance(data, bytes):
            return None
        count = self.frames * self.rows * self.columns
        if len(data) < count * self.stored.itemsize:
            return None
        values = np.frombuffer(data, self.stored, count)
        if self.unused:
            values = (values << self.unused) >> self.unused
        return list(values.reshape(self.frames, self.rows, self.columns))


_last: list[tuple[tuple[Any, ...], Form]] = []


def form_of(dataset: Any) -> Form:
    """The form of a data set, which is the last one's where the headers say the same.

    Raises Unreadable when the data set holds no image, or one that memory cannot hold.
    """
    words = _words(dataset)
    if words is not None and _last and _last[0][0] == words:
        return _last[0][1]
    try:
        form = _form(dataset)
    except (TypeError, ValueError):  # a text or a list where a number belongs
        raise Unreadable("is damaged (a size in its header is no number)") from None
    if words is not None:
        _last[:] = [(words, form)]
    return form


@cache
def tags_of(names: tuple[str, ...]) -> tuple[Any, ...]:
    """The tags of elements: looked up once, not for every file."""
    tag = import_module("pydicom.tag").Tag
    return tuple(tag(name) for name in names)


def _words(dataset: Any) -> tuple[Any, ...] | None:
    """What decides about the form, by which headers are compared; None where that would take longer (nested parts)."""
    elements = [dataset.get_item(tag) for tag in tags_of(WORDS)]
    if any(element is not None and element.VR == "SQ" and not isinstance(element.value, bytes) for element in elements):
        return None
    syntax = dataset.file_meta.get("TransferSyntaxUID", None) if hasattr(dataset, "file_meta") else None
    return (syntax, dataset.original_encoding, *(element and (element.VR, element.value) for element in elements))


def object_of(dataset: Any) -> str:
    """What a data set without an image is. Raises Unreadable for one of a kind that has an image."""
    classes = (dataset.get("SOPClassUID", None), getattr(dataset, "file_meta", {}).get("MediaStorageSOPClassUID", None))
    kind = next((str(uid.name) for uid in classes if uid), "an unknown object")
    if "Image Storage" in kind:  # some go on: "Digital X-Ray Image Storage - For Presentation"
        raise Unreadable(
            f"is DICOM without pixels, which a {kind} has; it is cut short, or they were taken out: leave it out"
        )
    return kind


def _form(dataset: Any) -> Form:
    if str(dataset.get("SOPClassUID", "")) == PDF:
        raise Unreadable("is a PDF in DICOM, not an image; leave it out")
    rows, columns = dataset.get("Rows", None), dataset.get("Columns", None)
    if not rows or not columns:
        raise Unreadable(f"is DICOM without pixels ({object_of(dataset)}); leave it out")
    check_size(int(rows), int(columns))
    count = max(1, int(dataset.get("NumberOfFrames", None) or 1))
    bits = int(dataset.get("BitsAllocated", None) or 16)
    frame = int(rows) * int(columns) * int(dataset.get("SamplesPerPixel", None) or 1) * (max(8, bits) // 8)
    if frame > MEMORY:
        raise Unreadable(
            f"claims frames of {columns} x {rows} pixels, {frame >> 20} MiB each; expected at most {MEMORY >> 20} MiB: "
            "shrink it"
        )
    syntax = syntax_of(dataset)
    plain = syntax is None or not (syntax.is_compressed or syntax.is_deflated)
    least = count if not plain else count * (frame if bits > 1 else frame // 8) * 2 // 3  # YBR 4:2:2 has two thirds
    stored = _stored(dataset, bits) if plain and syntax is not None and syntax.is_little_endian else None
    unused = bits - bits_stored(dataset) if stored is not None else 0
    return Form(int(rows), int(columns), count, least, stored, unused, any(name in dataset for name in GROUPS))


def _stored(dataset: Any, bits: int) -> np.dtype[Any] | None:
    """The type of plain grey pixels, None for any other."""
    sign = dataset.get("PixelRepresentation", None)
    used = dataset.get("BitsStored", None)
    grey = str(dataset.get("PhotometricInterpretation", "")) in ("MONOCHROME1", "MONOCHROME2")
    if not grey or dataset.get("SamplesPerPixel", None) != 1 or bits not in (8, 16) or sign not in (0, 1):
        return None
    if not isinstance(used, int) or not 1 <= used <= bits:
        return None
    return np.dtype(f"<{'ui'[sign]}{bits // 8}")


def syntax_of(dataset: Any) -> Any:
    """How the pixels are stored, None where it is not said. Raises Unreadable for a way that nobody knows."""
    syntax = dataset.file_meta.get("TransferSyntaxUID", None) if hasattr(dataset, "file_meta") else None
    try:
        if syntax is not None:
            _ = syntax.is_encapsulated
    except ValueError:
        raise Unreadable("is stored in an unknown transfer syntax; save it uncompressed") from None
    return syntax


def greys_of(dataset: Any) -> Any:
    """The elements beside the pixels that say how grey is seen, in a data set of their own."""
    head = import_module("pydicom.dataset").Dataset()
    head.set_original_encoding(*dataset.original_encoding, dataset.original_character_set)  # of tables in it
    for name in GREYS:
        if name in dataset:
            head[name] = dataset[name]
    return head
