"""The work behind ``foretell neighbours``, of images and of cases of several images."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from foretell.data.build import convert
from foretell.data.frames import split_name
from foretell.data.outside import read_outside
from foretell.data.store import ImageStore
from foretell.data.table import many
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.errors import InputError
from foretell.options import Overrides
from foretell.recipe import DataConfig
from foretell.report import build as build_report
from foretell.report.exhibits import fitted, neighbours_grid, write_neighbours
from foretell.run import Run
from foretell.transfer.config import TransferConfig
from foretell.transfer.images.labelled import Index
from foretell.transfer.images.nearby import (
    Near,
    Unit,
    belonging,
    called,
    kept_whole,
    nearest_cases,
    nearest_images,
)
from foretell.transfer.labels import labels_fingerprint
from foretell.verbs import common
from foretell.verbs.embedding import features_of, opened
from foretell.verbs.progress import counting

PICTURE = ".png"
AT_RANDOM = 10  # images asked for where none is given


@dataclass(frozen=True)
class Asked:
    """The queries: what they are called, their images, and their rows (Q,) of the data; None for a file from outside."""

    names: Sequence[str]
    images: ImageStore
    rows: Index | None


def _of_file(path: Path, encoder: TimmEncoder, side: int, store: ImageStore, data: DataConfig) -> Asked:
    known = store.scale if data.scale is None else data.scale
    pixels, scale = read_outside(path, max(512, side), data.medical.window, known)
    if pixels.shape[2] < encoder.channels and pixels.shape[2] != 1:
        raise InputError(f"{path}: has {pixels.shape[2]} channels, the encoder takes {encoder.channels}")
    planes = convert(pixels.transpose(2, 0, 1), encoder.channels, pixels.dtype.itemsize, scale)
    return Asked([str(path)], ImageStore.of([planes.transpose(1, 2, 0)], source=str(path)), None)


def _row_of(name: str, store: ImageStore) -> int | None:
    """The row of the image that is called ``name`` or lies in that file, whatever links lead there; of a file of many
    frames, its first.
    """
    files = [split_name(own)[0] for own in store.names]
    for names in (store.names, files):
        if name in names:
            return names.index(name)
    if store.found is None:
        return None
    file = name if os.path.exists(name) else split_name(name)[0]
    frame = name[len(file) :]
    root = os.path.abspath(store.found.root)
    places = {
        os.path.normpath(os.path.join(root, files[row])): row
        for row in reversed(range(len(files)))  # so that the first frame of a file is kept
        if frame in ("", store.names[row][len(files[row]) :])
    }
    row = places.get(os.path.abspath(file))
    return _same_file(file, places) if row is None else row


def _same_file(file: str, places: Mapping[str, int]) -> int | None:
    """The row of that of ``places`` which is ``file`` by another path; None where there is none."""
    with contextlib.suppress(OSError):
        asked = os.stat(file)
        for place, row in places.items():
            with contextlib.suppress(OSError):
                if os.path.samestat(asked, os.stat(place)):
                    return row
    return None


def _asked(image: str | Path | None, encoder: TimmEncoder, side: int, store: ImageStore, data: DataConfig) -> Asked:
    """The image asked for, or a few of the data at random. Raises InputError for one that is not there."""
    if image is None:
        rows = np.sort(np.random.default_rng(0).permutation(len(store))[:AT_RANDOM])
        return Asked([store.names[row] for row in rows], store.subset(rows), rows)
    name = str(image)
    row = _row_of(name, store)
    if row is not None:
        frame = split_name(store.names[row])[1] is not None and split_name(name)[1] is None
        return Asked([store.names[row] if frame else name], store.subset([row]), np.array([row]))
    if Path(name).exists():
        return _of_file(Path(name), encoder, side, store, data)
    near = difflib.get_close_matches(name, store.names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise InputError(f"{name}: neither a file nor an image of {store.source}{hint}")


def _among(asked: Asked, apart: Sequence[Index], unit: str) -> list[Index]:
    """For each query the rows that may be found: those that share no number of ``apart`` with it. Raises InputError."""
    everything = np.arange(len(apart[0]), dtype=np.int64)
    if asked.rows is None:
        return [everything] * len(asked.names)
    found = []
    for name, row in zip(asked.names, asked.rows, strict=True):
        left = np.logical_and.reduce([codes != codes[row] for codes in apart])
        if not left.any():
            raise InputError(
                f"{name}: nothing is left to find but its own {unit}, which is left out; give --apart image or other --data"
            )
        found.append(everything[left])
    return found


def _label(labels: Sequence[str | None], rows: Index) -> str | None:
    """The one label of ``rows``; None where they have none or several."""
    known = {labels[row] for row in rows.tolist()} - {None}
    return known.pop() if len(known) == 1 else None


def _same(one: str | None, other: str | None) -> bool | None:
    """Whether two labels are one; None where either is missing."""
    return None if one is None or other is None else one == other


def _told(near: Near, store: ImageStore, by: Unit, labels: Sequence[str | None]) -> list[dict[str, Any]]:
    """What is handed back of the neighbours of one query."""
    found: list[dict[str, Any]] = []
    for row, similarity, members in zip(near.rows.tolist(), near.similarity.tolist(), near.members, strict=True):
        one = {"name": store.names[row], "similarity": similarity, "label": _label(labels, members)}
        if by != "image":
            one |= {"case": called(store.table, by, row) or store.names[row], "images": len(members)}
        found.append(one)
    return found


def _line(one: dict[str, Any]) -> str:
    label = [one["label"]] if one["label"] is not None else []
    if "case" not in one:
        return f"  {one['similarity']:.3f}  {one['name']}" + (f"  ({label[0]})" if label else "")
    told = ", ".join([*label, many(one["images"], "image"), f"nearest: {one['name']}"])
    return f"  {one['similarity']:.3f}  {one['case']}  ({told})"


def _draw(
    asked: Asked, found: Sequence[Near], store: ImageStore, labels: Sequence[str | None], side: int, out: Path
) -> None:
    """Write each query and what was found as one picture, as many as every query has."""
    k = min(len(near.rows) for near in found)
    shown = torch.stack([fitted(asked.images.image(at), side) for at in range(len(asked.names))])
    others = torch.stack(
        [torch.stack([fitted(store.image(int(row)), side) for row in near.rows[:k]]) for near in found]
    )
    same = None
    if asked.rows is not None and any(label is not None for label in labels):
        own = [labels[row] for row in asked.rows.tolist()]
        same = [
            [_same(label, _label(labels, rows)) for rows in near.members[:k]]
            for label, near in zip(own, found, strict=True)
        ]
    neighbours_grid(shown, others, same, out, scale=max(1, round(72 / side)))


def neighbours(
    place: Path,
    image: str | Path | None,
    k: int,
    *,
    by: Unit,
    apart: Unit | Literal["auto"],
    data: str | Path | None,
    out: Path | None,
    device: str,
    overrides: Overrides = (),
) -> list[dict[str, Any]]:
    """See ``foretell.verbs.neighbours``."""
    if k < 1:
        raise InputError(f"--k {k}: expected at least 1 neighbour")
    encoder, facts, store, chosen, run = opened(place, data, device, overrides)
    if out is not None and out.suffix.lower() != PICTURE:
        raise InputError(
            f"{out}: unknown suffix '{out.suffix}'; expected {PICTURE}, for the pictures of the neighbours"
        )
    if out is not None:
        common.make_place(out)
    of = belonging(store, by, "--by")
    whole = kept_whole(store) if apart == "auto" else belonging(store, apart, "--apart")
    asked = _asked(image, encoder, facts["side"], store, chosen)
    if image is None and run is None and out is None:
        raise InputError("--out is missing: where to write the pictures of the neighbours in other data")
    unit = apart if apart != "auto" else by if whole is None else str(store.table.identity)
    itself = of if apart == "auto" else np.arange(len(store), dtype=np.int64)
    among = _among(asked, [itself] if whole is None else [itself, whole], unit)
    features = features_of(encoder, facts, store, counting("embedding"))
    queries = features_of(encoder, facts, asked.images)
    found = [
        nearest_images(query, features, rows, k) if by == "image" else nearest_cases(query, features, of, rows, k)
        for query, rows in zip(queries, among, strict=True)
    ]
    labels = store.table.column("label") if "label" in store.table else [None] * len(store)
    answer: list[dict[str, Any]] = [
        {"query": name, "neighbours": _told(near, store, by, labels)}
        for name, near in zip(asked.names, found, strict=True)
    ]
    if asked.rows is not None and unit != "image":
        print(f"left out: a query's own {unit}; --apart image leaves out the image alone")
    for one in answer:
        print(one["query"])
        print("\n".join(_line(neighbour) for neighbour in one["neighbours"]))
    if out is not None:
        _draw(asked, found, store, labels, min(96, facts["side"]), out)
        print(f"pictures: {out}")
    elif image is None and by == "image" and run is not None:
        _exhibit(run, store, features, whole if unit != "image" else None, k)
    return answer


def _exhibit(run: Run, store: ImageStore, features: Any, apart: Index | None, k: int) -> None:
    """Draw the neighbours of the run's report anew."""
    held = Run.resume(run.path)
    try:
        known = "label" in store.table
        codes = store.table.codes("label")[0] if known else None
        by = labels_fingerprint(store, TransferConfig()) if known else None
        write_neighbours(held, store, features, codes, apart=apart, k=k, labels_fingerprint=by, part="all")
    finally:
        held.close()
    print(f"pictures: {run.path / 'exhibits' / 'neighbours.png'}")
    print(f"report: {build_report(run.path)}")
