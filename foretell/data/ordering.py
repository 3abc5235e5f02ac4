"""The columns of frames, ``group`` (a sequence) and ``order`` (a frame's place in it), before anything is decoded.

Where a source does not say, names do: ``walk/003.png`` and ``walk-003.png`` are frame 3 of the sequence ``walk``, and
``clip.gif`` is a sequence of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

from foretell.data.frames import ANIMATED, PAGED, VIDEO, frames_of, places_of, split_name
from foretell.data.source import Source
from foretell.data.table import Table, many, ordinal

LOOKED_AT = 500  # files whose headers are read for a note
_NUMBERED = re.compile(r"^(?P<prefix>.*?)[-_. ]*(?P<number>\d+)$", re.DOTALL)


def numbered(name: str) -> tuple[str, str | None]:
    """(sequence, number) that a file's name says; the number is None where it ends in none.

    >>> numbered("walk/003.png"), numbered("elf/bow-12.png"), numbered("elf/bow.png")
    (('walk', '3'), ('elf/bow', '12'), ('elf/bow', None))
    """
    path = PurePosixPath(name)
    found = _NUMBERED.match(path.stem)
    folder = "" if str(path.parent) == "." else str(path.parent)
    if found is None:
        return os.path.join(folder, path.stem), None
    return os.path.join(folder, found["prefix"]).rstrip("/") or ".", str(int(found["number"]))


def of_first_frames(source: Source) -> list[str]:
    """A note where files hold more frames than the first, which alone is read of them; of many files, some are looked at."""
    suffixes = [os.path.splitext(name)[1].lower() for name in source.names]
    rows = [row for row, suffix in enumerate(suffixes) if suffix in ANIMATED | PAGED]
    some = rows[:: max(1, -(-len(rows) // LOOKED_AT))]
    counts = [count for count in (frames_of(source.path(row)) for row in some) if count > 1]
    found = []
    if counts:
        looked = "" if len(some) == len(rows) else f"of {len(some):,} files looked at, "
        found.append(f"{looked}{many(len(counts), 'file')} hold{'s' * (len(counts) == 1)} {sum(counts):,} frames")
    videos = sum(suffix in VIDEO for suffix in suffixes)  # whose frames are not counted without reading all of them
    if videos:
        found.append(many(videos, "video"))
    return [f"{what}; only the first frame of each is used: --set data.frames=1 takes all" for what in found]


class _Frame(NamedTuple):
    """A row of the arranged table: frame ``at`` of the file in ``row`` of the source; None where the file is one image."""

    row: int
    at: int | None
    name: str
    group: str | None
    order: str | None
    case: str | None


def arrange(source: Source, every: int = 1) -> Source:
    """``source`` with one row a frame, and the columns ``group`` and ``order``.

    A file of many frames becomes its every ``every``-th frame, in order; its ``group`` is the given one (and its
    ``case`` the file), or else the file; its ``order`` leaps where frames of a video are missing. Stills keep the columns
    that are given, and take the others from their names. A file that cannot be opened is left as one row, to be reported
    when it is read.
    """
    places = [
        places_of(source.path(row)) if split_name(name)[1] is None else range(1)  # a manifest may name single frames
        for row, name in enumerate(source.names)
    ]
    frames = [frame for row, own in enumerate(places) for frame in _frames_of(source, row, own, every)]
    names = [frame.name for frame in frames]
    given = source.table.columns
    columns = {name: [values[frame.row] for frame in frames] for name, values in given.items()}
    columns |= {"group": [frame.group for frame in frames], "order": [frame.order for frame in frames]}
    if "path" in given:
        columns["path"] = list[str | None](names)
    if "group" in given and any(len(own) > 1 for own in places):
        columns["case"] = [frame.case for frame in frames]
    if source.kind == "class folders" and len(set(zip(columns["label"], columns["group"], strict=True))) == len(
        set(columns["label"])
    ):  # walk/001.png: the folder is the sequence, and no class
        source = source.without_classes()
        del columns["label"]
    notes = [*source.notes, *_notes(source.names, places, frames, every)]
    return replace(source, names=names, table=Table(columns, rows=len(names)), notes=notes)


def _frames_of(source: Source, row: int, places: Sequence[int], every: int) -> list[_Frame]:
    """The rows that one file becomes, whose frames lie at ``places``."""
    name = source.names[row]
    given = {column: values[row] for column, values in source.table.columns.items()}
    if len(places) > 1:
        group = given.get("group", name)
        return [_Frame(row, at, f"{name}[{at}]", group, str(places[at]), name) for at in range(0, len(places), every)]
    file, one = split_name(name)
    said, number = numbered(name) if one is None else (file, str(one))
    group = given.get("group", said)
    return [_Frame(row, None, name, group, given.get("order", number), given.get("case", group))]


def _notes(names: Sequence[str], places: Sequence[Sequence[int]], frames: Sequence[_Frame], every: int) -> list[str]:
    """What is told of files of many frames, of frames that are missing in them, and of images that are in no sequence."""
    notes = []
    films = sum(len(own) > 1 for own in places)
    if films:
        each = "" if every == 1 else f", every {ordinal(every)} of them"
        taken = sum(frame.at is not None for frame in frames)
        notes.append(f"{many(films, 'file')} of many frames: {many(taken, 'frame')}{each}")
    leaps = []
    for name, own in zip(names, places, strict=True):
        leap = next((at for at, place in enumerate(own) if place > at), None)
        if leap is not None:
            leaps.append(f"{name}[{leap - 1}] to [{leap}]")
    if leaps:
        notes.append(
            f"{many(len(leaps), 'video')} of constant rate leap{'s' * (len(leaps) == 1)} in time, first from "
            f"{leaps[0]}: frames are missing there, and no window crosses that"
        )
    unnumbered = sum(frame.order is None for frame in frames)
    if unnumbered:
        notes.append(f"{many(unnumbered, 'file')} without a number in the name or an order: no frame of a sequence")
    return notes
