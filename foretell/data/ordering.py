"""The columns of frames, ``group`` (a sequence) and ``order`` (a frame's place in it), before anything is decoded.

Where a source does not say, names do: ``walk/003.png`` and ``walk-003.png`` are frame 3 of the sequence ``walk``, and
``clip.gif`` is a sequence of its own.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import PurePosixPath

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


def arrange(source: Source, every: int = 1) -> Source:
    """``source`` with one row a frame, and the columns ``group`` and ``order``.

    A file of many frames becomes its every ``every``-th frame, in order; its ``group`` is the given one (and its
    ``case`` the file), or else the file; its ``order`` leaps where frames of a video are missing. Stills keep the columns
    that are given, and take the others from their names. A file that cannot be opened is left as one row, to be reported
    when it is read.
    """
    given = source.table.columns
    columns: dict[str, list[str | None]] = {name: [] for name in given}
    columns |= {name: [] for name in ("group", "order") if name not in given}
    names: list[str] = []
    leaps: list[str] = []
    films = frames = unnumbered = 0
    cases: list[str | None] = []
    for row, name in enumerate(source.names):
        file, one = split_name(name)  # a manifest may name single frames
        places = places_of(source.path(row)) if one is None else range(1)
        count = len(places)
        said, number = numbered(name) if one is None else (file, str(one))
        group = given["group"][row] if "group" in given else (name if count > 1 else said)
        leap = next((frame for frame, place in enumerate(places) if place > frame), None)
        leaps += [] if leap is None else [f"{name}[{leap - 1}] to [{leap}]"]
        many_frames = range(0, count, every) if count > 1 else [None]
        films, frames = films + (count > 1), frames + (len(many_frames) if count > 1 else 0)
        for frame in many_frames:
            order = number if "order" not in given else given["order"][row]
            for column, values in given.items():
                columns[column].append(values[row])
            names.append(name if frame is None else f"{name}[{frame}]")
            if "path" in columns:
                columns["path"][-1] = names[-1]
            for column, value in (("group", group), ("order", order if frame is None else str(places[frame]))):
                if column in given:
                    columns[column].pop()
                columns[column].append(value)
            cases.append(name if frame is not None else (given["case"][row] if "case" in given else group))
            unnumbered += columns["order"][-1] is None
    if "group" in given and films:
        columns["case"] = cases
    if source.kind == "class folders" and len(set(zip(columns["label"], columns["group"], strict=True))) == len(
        set(columns["label"])
    ):  # walk/001.png: the folder is the sequence, and no class
        source = source.without_classes()
        del columns["label"]
    notes = list(source.notes)
    if films:
        each = "" if every == 1 else f", every {ordinal(every)} of them"
        notes.append(f"{many(films, 'file')} of many frames: {many(frames, 'frame')}{each}")
    if leaps:
        notes.append(
            f"{many(len(leaps), 'video')} of constant rate leap{'s' * (len(leaps) == 1)} in time, first from "
            f"{leaps[0]}: frames are missing there, and no window crosses that"
        )
    if unnumbered:
        notes.append(f"{many(unnumbered, 'file')} without a number in the name or an order: no frame of a sequence")
    return replace(source, names=names, table=Table(columns, rows=len(names)), notes=notes)
