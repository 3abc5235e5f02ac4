"""The small image sets that come with the package: grey animals, colour emoji, and a film of a beating heart.

They are real, permissively licensed (a notice lies beside each file) and need no network. The film is one sequence of
frames (columns ``group`` and ``order``) without classes or split. Every row of the others has a ``split``:
'train' or 'test', fixed once and for all, so that figures from different places may be compared. A fifth of the groups
of each class is for testing: the groups of a class (where there are none, the images) are sorted by subcategory, size
and the SHA-256 of ``2:`` with the group's name, and every fifth of them, starting with the third, is for testing, unless
it has a near duplicate (as ``foretell check`` finds them) in the training part: then it is for training too. So no group
and no near duplicate is in both parts.

The files are made from the packages named in ``SETS`` by ``benchmarks/datasets/make_embedded.py``.
"""

from __future__ import annotations

import io
import lzma
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foretell.data.table import Table
from foretell.errors import ForetellError, unknown

FOLDER = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class EmbeddedSet:
    """What one set is, where it comes from and on what terms."""

    title: str
    source: str
    licence: str
    made: str


SETS = {
    "animals": EmbeddedSet(
        title="grey silhouettes of ten animals",
        source="PyPI animal-mnist 0.4 (Sina Mohammadi)",
        licence="MIT",
        made="exact duplicates are dropped",
    ),
    "emoji": EmbeddedSet(
        title="colour emoji in nine categories",
        source="npm emoji-datasource-google 16.0.0 (images: Google, Noto Emoji; names: Cal Henderson)",
        licence="Apache-2.0 (images), MIT (names and categories)",
        made="drawn on white; exact duplicates are dropped; the group is the concept, which its skin tones share",
    ),
    "heart": EmbeddedSet(
        title="ultrasound film of a beating heart",
        source="PyPI pydicom-data 1.0.0, color3d_jpeg_baseline.dcm",
        licence="MIT",
        made="the fan alone, grey, shrunk from 370 pixels; frames in order of time",
    ),
}


def names() -> list[str]:
    """The embedded sets."""
    return list(SETS)


def load(name: str) -> tuple[NDArray[np.uint8], Table]:
    """Images (N, H, W, C) uint8, C 1 (animals, 28 pixels; heart, 64) or 3 (emoji, 64), and a table of N rows.

    Columns: ``path`` (a name, unique), ``label``, ``split``, and for emoji ``group`` (the concept) and ``subcategory``; for
    heart ``path``, ``group`` and ``order``.
    Raises InputError for an unknown name, ForetellError for a damaged installation.
    """
    with _open(name) as stored:
        table = _table(stored)
        side, channels = (int(stored[key]) for key in ("side", "channels"))
        images = np.empty((len(table), side, side, channels), dtype=np.uint8)
        packed = stored["strips"].tobytes()
        at = row = 0
        for length, count in zip(stored["lengths"].tolist(), stored["counts"].tolist(), strict=True):
            strip = np.asarray(Image.open(io.BytesIO(packed[at : at + length])).convert("RGB"))
            images[row : row + count] = strip.reshape(count, side, side, 3)[..., :channels]
            at, row = at + length, row + count
    return images, table


def table(name: str) -> Table:
    """The table of ``load`` without decoding an image."""
    with _open(name) as stored:
        return _table(stored)


def describe(name: str) -> str:
    """A few lines: what the set is, its source and licence, and how many images, groups and classes it has."""
    with _open(name) as stored:
        rows, side, channels = _table(stored), int(stored["side"]), int(stored["channels"])
    known = SETS[name]
    about = f"{len(rows)} frames in order of time, no classes"
    if "label" in rows:
        parts = Counter(rows.column("split"))
        labels = Counter(rows.column("label"))
        groups = f" in {len(set(rows.column('group')))} groups" if "group" in rows else ""
        classes = ", ".join(f"{label} {count}" for label, count in sorted(labels.items(), key=str))
        about = f"{len(rows)} images ({parts['train']} train, {parts['test']} test){groups}\n{len(labels)} classes: {classes}"
    return "\n".join(
        (
            f"@{name}: {known.title}, {side} x {side} pixels, {'grey' if channels == 1 else 'RGB'}",
            f"source: {known.source}; {known.made}",
            f"licence: {known.licence}; notice in {name}.LICENSE.txt",
            about,
        )
    )


@contextmanager
def _open(name: str) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of one set's file, each read when it is asked for."""
    if name not in SETS:
        raise unknown("embedded data set", name, SETS)
    path = FOLDER / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise ForetellError(
            f"{path}: this part of the package is missing or damaged ({error}); install foretell again"
        ) from error


def _table(stored: Mapping[str, NDArray[Any]]) -> Table:
    columns = stored["columns"].tolist()
    return Table({column: stored[f"column_{column}"].tolist() for column in columns})
