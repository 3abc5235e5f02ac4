"""Frames in order of time: the columns ``group`` (a sequence) and ``order`` (a frame's place in it), and windows of them.

A sequence is the rows of one ``group``, and of one ``case`` within it where the table has that column (two clips of one
patient), by ``order``. Where a source does not say, names do: ``walk/003.png`` and ``walk-003.png`` are frame 3 of the
sequence ``walk``, and ``clip.gif`` is a sequence of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.data.table import many, some
from foretell.errors import InputError

Index = NDArray[np.int64]
SHOWN = 3  # sequences named in a message
CUT = 1.5  # a step of more than this many usual ones is a cut: frames are missing there


@dataclass
class Frames:
    """Windows of ``length`` frames: ``images`` holds (B * length) frames, those of a window one after another."""

    images: Images
    length: int

    def __len__(self) -> int:
        return len(self.images) // self.length

    @property
    def sizes(self) -> Tensor:
        """(B, 2) the size of each window's frames: within a window all have the same."""
        return self.images.sizes[:: self.length]

    def to(self, device: torch.device) -> Frames:
        return Frames(self.images.to(device), self.length)

    def rows(self, start: int, stop: int) -> Frames:
        return Frames(self.images.rows(start * self.length, stop * self.length), self.length)


class Windows:
    """All runs of ``length`` frames, ``stride`` frames apart, of the sequences of a store.

    ``rows`` (W, length) int64 rows of the store, in order of time; ``sequence`` (W,) the number of each one's sequence
    in ``names``, in order; ``span`` the frames from a window's first to its last. No window crosses a cut: a place
    where frames are missing, or where they change their size. Sequences that are too short are ``passed_over``, as
    (name, frames). Raises InputError when the table has no sequences, two frames have one place, or no sequence is long enough.
    """

    def __init__(self, store: ImageStore, length: int, stride: int = 1) -> None:
        self.length, self.stride = length, stride
        self.span = span = (length - 1) * stride + 1
        self.passed_over: list[tuple[str, int]] = []
        self.names: list[str] = []
        rows: list[Index] = []
        numbers: list[Index] = []
        offsets = np.arange(length) * stride
        uncut, reasons = 0, []
        for name, members in sequences(store).items():
            runs, reason = _runs(store, members)
            starts = [start + np.arange(stop - start - span + 1) for start, stop in runs if stop - start >= span]
            if not starts:
                uncut = max(uncut, *(stop - start for start, stop in runs))
                reasons += [reason] if reason else []
                self.passed_over.append((name, len(members)))
                continue
            first = np.concatenate(starts)
            rows.append(members[first[:, None] + offsets])
            numbers.append(np.full(len(first), len(self.names), np.int64))
            self.names.append(name)
        if not rows:
            longest = max((count for _, count in self.passed_over), default=0)
            cut = f", uncut at most {uncut:,}" if uncut < longest else ""
            why = f"; {reasons[0]}" if uncut < longest and reasons else ""
            raise InputError(
                f"{store.source}: no sequence has {span} frames without a cut ({many(len(self.passed_over), 'sequence')}, "
                f"the longest of {many(longest, 'frame')}{cut}){why}; give longer ones, or set fewer frames or a smaller stride"
            )
        self.rows: Index = np.concatenate(rows)
        self.sequence: Index = np.concatenate(numbers)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, store: ImageStore, index: Sequence[int] | Index) -> Frames:
        """The windows ``index`` (B,) as one batch."""
        return Frames(store.read(self.rows[np.asarray(index, np.int64)].ravel()), self.length)

    @property
    def note(self) -> str:
        """What was passed over, in words; "" when nothing was."""
        if not self.passed_over:
            return ""
        shown = ", ".join(f"{name} ({count})" for name, count in self.passed_over[:SHOWN])
        more = ", ..." if len(self.passed_over) > SHOWN else ""
        total = len(self.passed_over) + len(self.names)
        return (
            f"{len(self.passed_over):,} of {many(total, 'sequence')} have fewer than {self.span} frames in a row and are passed "
            f"over: {shown}{more}"
        )


def sequences(store: ImageStore) -> dict[str, Index]:
    """Sequence -> (n,) rows of the store in order of time. Raises InputError naming two rows at one place of a sequence."""
    table = store.table
    lacking = [name for name in ("group", "order") if name not in table]
    if lacking:
        raise InputError(
            f"{store.source}: no column {' nor '.join(lacking)}, so there are no sequences of frames; expected numbered "
            "frames (walk/001.png, ...), animations, video, or a manifest with the columns group and order"
        )
    cases = table.column("case") if "case" in table else [None] * len(table)
    found: dict[str, list[tuple[float, int]]] = {}
    for row, (group, case, order) in enumerate(zip(table.column("group"), cases, table.column("order"), strict=True)):
        if group is None or order is None:
            continue
        name = group if case in (None, group) else f"{group}/{case}"
        found.setdefault(name, []).append((_place(store, row, order), row))
    result = {}
    for name, places in found.items():
        places.sort()
        for (place, row), (after, other) in itertools.pairwise(places):
            if place == after:
                raise InputError(
                    f"{store.source}: {store.names[row]} and {store.names[other]} are both frame {place:g} of the sequence "
                    f"{name}; give each its own order, or its own group or case"
                )
        result[name] = np.array([row for _, row in places], np.int64)
    return result


def summary(store: ImageStore) -> str:
    """How many sequences there are, how long, and the first by name, in words. Raises InputError as ``sequences``."""
    found = sequences(store)
    if not found:
        return "no frame belongs to a sequence"
    lengths = [len(rows) for rows in found.values()]
    alike = len(set(lengths)) == 1
    span = many(lengths[0], "frame") if alike else f"{min(lengths)} to {max(lengths)} frames"
    alone = sum(length == 1 for length in lengths)
    of_one = f", {alone} of one frame alone" if alone and not alike else ""
    names = list(found) if alike else [f"{name} ({length})" for name, length in zip(found, lengths, strict=True)]
    return f"{many(len(lengths), 'sequence')} of {span}{of_one}: {some(names, SHOWN)}"


def _place(store: ImageStore, row: int, order: str) -> float:
    try:
        place = float(order)
    except ValueError:
        place = np.nan
    if not np.isfinite(place):
        raise InputError(
            f"{store.source}: order '{order}' of {store.names[row]} is no number; expected a frame or a time"
        )
    return place


def _runs(store: ImageStore, members: Index) -> tuple[list[tuple[int, int]], str]:
    """(start, stop) of the stretches of ``members`` without a cut, and why the first cut is one, in words; "" without any."""
    if len(members) < 2:
        return [(0, len(members))], ""
    order = store.table.column("order")
    places = np.array([_place(store, int(row), order[int(row)] or "") for row in members])
    steps = np.diff(places)
    sizes = store.sizes[members]
    resized = (sizes[1:] != sizes[:-1]).any(axis=1)
    cuts = np.flatnonzero((steps > CUT * np.median(steps)) | resized)
    runs = list(itertools.pairwise([0, *(cuts + 1).tolist(), len(members)]))
    if not len(cuts):
        return runs, ""
    before, after = (store.names[int(row)] for row in members[cuts[0] : cuts[0] + 2])
    if resized[cuts[0]]:
        (height, width), (then_height, then_width) = sizes[cuts[0] : cuts[0] + 2].tolist()
        return runs, (
            f"frames change size from {width} x {height} to {then_width} x {then_height} px at {after}: bring all to one size"
        )
    return runs, f"frames are missing between {before} and {after}"


def last_part(store: ImageStore, share: float) -> tuple[Index, Index]:
    """Rows of the beginning of every sequence, and of its last ``share``: how a few long sequences are divided in time."""
    first, last = [], []
    for members in sequences(store).values():
        cut = len(members) - round(share * len(members))
        first.append(members[:cut])
        last.append(members[cut:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(last))
