"""The pieces that sections are made of: table cells, tables, key figures, pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from foretell.report.gather import Gathered

BETWEEN = 24  # pixels between two blocks of a picture


@dataclass(frozen=True)
class Cell:
    """A table cell: a value, smaller second and third lines, and a style class."""

    main: str
    sub: str = ""
    kind: str = ""
    more: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under ``head``; the first ``words`` columns are text, the others numbers (right-aligned)."""

    head: Sequence[Cell | str]
    rows: Sequence[Sequence[Cell | str]]
    words: int = 1


@dataclass(frozen=True)
class Figure:
    """A key number of the page's top, its unit or interval, and what it is."""

    value: str
    title: str
    note: str
    key: str = "ink"


def image(run: Gathered, stem: str) -> str | None:
    """A picture of the run as a data URI."""
    png = run.pictures.get(stem)
    return "data:image/png;base64," + base64.b64encode(png).decode() if png else None


def inscription(run: Gathered, stem: str, key: str) -> str:
    """A text kept in a picture, as "Panels" by ``exhibits.picture_grid``; "" when there is none."""
    png = run.pictures.get(stem)
    if not png:
        return ""
    try:
        with Image.open(io.BytesIO(png)) as opened:
            return str(opened.info.get(key, ""))
    except (OSError, SyntaxError):  # not a PNG that can be read: the page shows what the browser makes of it
        return ""


def pixel_width(run: Gathered, stem: str) -> int:
    """Its width in pixels, read from the PNG header."""
    png = run.pictures.get(stem, b"")
    return int.from_bytes(png[16:20], "big") if len(png) >= 24 else 0


def blocks(run: Gathered, stem: str) -> list[tuple[str, int]]:
    """(data URI, width in pixels) of each block of rows of a picture, which a narrow page puts below each other.

    The whole picture where it says of no blocks; [] where there is none.
    """
    whole, told = image(run, stem), inscription(run, stem, "Blocks")
    if whole is None or not told.isdecimal() or int(told) < 2:
        return [] if whole is None else [(whole, pixel_width(run, stem))]
    count, apart = int(told), BETWEEN
    found = []
    with Image.open(io.BytesIO(run.pictures[stem])) as sheet:
        wide = (sheet.width + apart) // count - apart
        for place in range(count):
            left = place * (wide + apart)
            kept = io.BytesIO()
            sheet.crop((left, 0, left + wide, sheet.height)).save(kept, "PNG", optimize=True)
            found.append(("data:image/png;base64," + base64.b64encode(kept.getvalue()).decode(), wide))
    return found
