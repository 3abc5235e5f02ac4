"""Images decoded once into flat memory-mapped arrays, read by index as batches."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.data import build
from foretell.data.content import content_hash
from foretell.data.images import Images
from foretell.data.medical.config import MedicalConfig
from foretell.data.medical.labels import join_by_identifier, without_identifiers
from foretell.data.medical.source import READING, describe, has_medical, hidden_array, hides
from foretell.data.ordering import arrange, of_first_frames
from foretell.data.pixels import Pixels, shrink
from foretell.data.pool import Crew
from foretell.data.settled import settle, torn
from foretell.data.source import Source, join, not_among, of_unused, scan
from foretell.data.stores import alone, whole
from foretell.data.table import Table
from foretell.data.watch import Watch
from foretell.errors import InputError
from foretell.side_by_side import usable_cores

MEASURED = 20_000  # images that channel statistics are measured on, evenly spaced, where there are more


class ImageStore:
    """Images of one channel number and depth, each of its own size, and the table that goes with them.

    ``sizes`` (N, 2) int64 are heights and widths, ``names`` what a person calls each image, ``table`` has one row an
    image, ``unreadable`` lists (name, reason) of the files passed over, ``hashes`` (N, 16) uint8 identify content. ``scale`` is
    what 16-bit values were multiplied by that say nothing of their white (``data.scale``), None where there are none.
    """

    def __init__(
        self,
        pixels: Pixels,
        sizes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        hashes: NDArray[np.uint8],
        table: Table,
        names: list[str],
        meta: Mapping[str, Any],
        *,
        folder: Path | None = None,
        rows: NDArray[np.int64] | None = None,
        fingerprint: str | None = None,
        found: Source | None = None,
    ) -> None:
        self._flat = pixels
        self._all_sizes = sizes
        self._offsets = offsets
        self._all_hashes = hashes
        self._meta = meta
        self._folder = folder
        self._rows = rows
        self.table = table
        self.names = names
        self.found = found
        self.fingerprint: str = fingerprint or meta["fingerprint"]
        self.channels: int = int(meta["channels"])
        self.dtype: np.dtype[Any] = pixels.dtype
        raw = pixels.dtype == np.uint16 and meta.get("raw", "scale" in meta)
        self.scale: int | None = int(meta["scale"]) if raw else None
        self.sizes = sizes if rows is None else sizes[rows]
        self.hashes = hashes if rows is None else hashes[rows]
        self.source: str = meta["source"]
        self.kind: str = meta["kind"]
        self.notes: list[str] = list(meta.get("notes", []))
        self.unreadable: list[tuple[str, str]] = [(name, reason) for name, reason in meta.get("unreadable", [])]
        self._statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
        self._grid = self._as_grid()

    def _as_grid(self) -> Pixels | None:
        """(N, C, H, W) of images of one size, else None."""
        sizes = self._all_sizes
        if not bool((sizes == sizes[0]).all()):
            return None
        height, width = (int(length) for length in sizes[0])
        return self._flat.reshape(len(sizes), self.channels, height, width)

    # pickled for another process of this machine: what lies in a folder is mapped there again, not copied

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["_grid"]
        if self._folder is not None:
            del state["_flat"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._folder is not None:
            self._flat = _mapped(self._folder, self.dtype)
        self._grid = self._as_grid()

    @classmethod
    def of(
        cls,
        images: Pixels | Sequence[Pixels],
        table: Table | None = None,
        *,
        names: list[str] | None = None,
        source: str = "memory",
        kind: str = "array",
    ) -> ImageStore:
        """A store in memory of (N, H, W, C) or (N, H, W), or of a list of (H, W, C): uint8 or uint16."""
        arrays = [image if image.ndim == 3 else image[:, :, None] for image in images]
        if not arrays or arrays[0].dtype not in (np.uint8, np.uint16):
            raise InputError(f"{source}: expected at least one image of type uint8 or uint16")
        sizes = np.array([image.shape[:2] for image in arrays], np.int64)
        channels = arrays[0].shape[2]
        flat = np.concatenate([image.transpose(2, 0, 1).ravel() for image in arrays])
        hashes = np.stack([np.frombuffer(content_hash(image), np.uint8) for image in arrays])
        names = names or [f"{source}[{i}]" for i in range(len(arrays))]
        table = table if table is not None else Table({"path": list(names)})
        meta = build.describe(sizes, channels, flat.dtype.itemsize, hashes, {"source": source, "kind": kind})
        return cls(flat, sizes, build.offsets_of(sizes, channels), hashes, table, names, meta)

    def __len__(self) -> int:
        return len(self.names)

    def _own(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        return index if self._rows is None else self._rows[index]

    def image(self, i: int) -> Pixels:
        """(H, W, C) of one image, a copy."""
        at = int(self._own(np.array([i], np.int64))[0])
        height, width = self._all_sizes[at]
        flat = self._flat[self._offsets[at] : self._offsets[at + 1]]
        return np.ascontiguousarray(flat.reshape(self.channels, height, width).transpose(1, 2, 0))

    def read(self, index: NDArray[np.int64] | Sequence[int]) -> Images:
        """The images ``index`` (B,) as one batch, zero beyond each image's own size."""
        index = np.asarray(index, np.int64)
        at = self._own(index)
        sizes = torch.from_numpy(self._all_sizes[at])
        if self._grid is not None:
            pixels = torch.from_numpy(self._grid[at])
        else:
            pixels = torch.from_numpy(self._ragged(at))
        content = np.ascontiguousarray(self._all_hashes[at, :8]).view(np.int64)[:, 0]  # half of a hash is enough
        return Images(pixels, sizes, torch.from_numpy(index.copy()), torch.from_numpy(content))

    def _ragged(self, at: NDArray[np.int64]) -> Pixels:
        sizes = self._all_sizes[at]
        height, width = sizes.max(axis=0)
        out = np.zeros((len(at), self.channels, height, width), self.dtype)
        starts, stops = self._offsets[at].tolist(), self._offsets[at + 1].tolist()
        for image, start, stop, (high, wide) in zip(out, starts, stops, sizes.tolist(), strict=True):
            image[:, :high, :wide] = self._flat[start:stop].reshape(self.channels, high, wide)
        return out

    def subset(self, index: NDArray[np.int64] | Sequence[int]) -> ImageStore:
        """A view of the rows ``index``: nothing is copied but the table."""
        index = np.asarray(index, np.int64)
        if not len(index):
            raise InputError(f"{self.source}: a part of it with no images was asked for; expected at least one")
        at = self._own(index)
        digest = hashlib.blake2b(self._meta["fingerprint"].encode() + at.tobytes(), digest_size=16).hexdigest()
        return ImageStore(
            self._flat,
            self._all_sizes,
            self._offsets,
            self._all_hashes,
            self.table.subset(index),
            [self.names[int(i)] for i in index],
            self._meta,
            folder=self._folder,
            rows=at,
            fingerprint=digest,
        )

    def with_table(self, table: Table) -> ImageStore:
        """The same images with another table of as many rows."""
        if len(table) != len(self):
            raise InputError(f"{self.source}: a table of {len(table)} rows for {len(self)} images")
        store = ImageStore(
            self._flat,
            self._all_sizes,
            self._offsets,
            self._all_hashes,
            table,
            self.names,
            self._meta,
            folder=self._folder,
            rows=self._rows,
            fingerprint=self.fingerprint,
            found=self.found,
        )
        store.kind, store.notes = self.kind, list(self.notes)
        return store

    def without_classes(self) -> ImageStore:
        """The same images without the column ``label``; class folders are a plain folder then."""
        store = self.with_table(
            Table({name: values for name, values in self.table.columns.items() if name != "label"}, rows=len(self))
        )
        if store.kind == "class folders":
            store.kind, store.notes = "folder", self._notes_without_classes()
        return store

    def _notes_without_classes(self) -> list[str]:
        of_classes = self.found.class_notes if self.found is not None else []
        return [note for note in self.notes if note not in of_classes]

    def notes_beside(self, findings: Sequence[str]) -> list[str]:
        """``notes`` where the columns ``findings``, if any, are what is learnt: they have a meaning, and folders are no
        classes.
        """
        if self.found is None or not findings:
            return self.notes
        left = [name for name in self.found.unused if name not in findings]
        unused = of_unused(self.found.unused)
        notes = self._notes_without_classes()
        return [of_unused(left) if note == unused else note for note in notes if left or note != unused]

    def with_labels(self, labels: str | Path, columns: Mapping[str, str] | None = None) -> tuple[ImageStore, list[str]]:
        """(store with the columns of the table ``labels`` joined by path, paths in it that no image has).

        Medical images are also joined by patient, study or series (``data.medical.labels``).
        """
        found, by_identifier = self.found, None
        if found is not None and found.salt is not None and Path(labels).is_file():
            by_identifier = join_by_identifier(self.table, found, Path(labels), columns)
        root = found.root if found is not None else Path(self.source)
        joined, missing = by_identifier or join(self.names, root, Path(labels), columns)
        added = {name: values for name, values in joined.columns.items() if name != "path"}
        if found is not None and found.salt is not None:
            added = without_identifiers(added, columns, found, self.table)
        store = self.without_classes() if "label" in added and self.kind == "class folders" else self
        return store.with_table(Table({**store.table.columns, **added}, rows=len(self))), missing

    @property
    def usual_side(self) -> int:
        """The median of the images' shorter sides, in pixels."""
        return int(np.median(self.sizes.min(axis=1)))

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, deviation) of each channel in [0, 1], every image counting alike; a deviation is at least 1/255.

        Measured on up to ``MEASURED`` evenly spaced images and kept beside the store.
        """
        if self._statistics is None:
            kept = self._folder / "statistics.json" if self._folder is not None and self._rows is None else None
            self._statistics = None if kept is None else _kept_statistics(kept, self.channels)
            if self._statistics is None:
                self._statistics = self._measure()
                if kept is not None:
                    with contextlib.suppress(OSError):  # a cache that may only be read: measured again next time
                        build.replace_text(kept, json.dumps(self._statistics))
        return self._statistics

    def _measure(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        count = min(len(self), MEASURED)
        chosen = np.unique(np.linspace(0, len(self) - 1, count).round().astype(np.int64))
        peak = float(np.iinfo(self.dtype).max)
        first, second = np.zeros(self.channels), np.zeros(self.channels)
        for i in self._own(chosen):
            values = self._flat[self._offsets[i] : self._offsets[i + 1]].reshape(self.channels, -1)
            values = values.astype(np.float32) / np.float32(peak)
            first += values.mean(axis=1, dtype=np.float64)
            second += np.einsum("cn,cn->c", values, values, dtype=np.float64) / values.shape[1]
        mean = first / len(chosen)
        std = np.sqrt(np.maximum(second / len(chosen) - mean**2, (1 / 255) ** 2))
        return tuple(float(value) for value in mean), tuple(float(value) for value in std)


def _kept_statistics(path: Path, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """(mean, deviation) of each channel as they were kept; None where there are none, or none that can be."""
    try:
        mean, std = np.array(json.loads(path.read_text()), np.float64).reshape(2, channels)
    except (OSError, ValueError, TypeError):
        return None
    if not ((mean >= 0) & (mean <= 1) & (std > 0) & (std <= 1)).all():
        return None
    return tuple(mean.tolist()), tuple(std.tolist())


def cache_folder() -> Path:
    """``$FORETELL_CACHE``, else ``~/.cache/foretell``."""
    given = os.environ.get("FORETELL_CACHE")
    return Path(given).expanduser() if given else Path("~/.cache/foretell").expanduser()


def read_like(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``open_images`` by which other images enter an encoder as those did that it learnt from.

    ``facts``: what ``load_encoder`` or ``load_classifier`` tell of it: its channels, ``data.scale`` of 16-bit values and
    ``data.medical.window``; the last two are left as they are by default where it does not say.
    """
    options = {"channels": facts["channels"], "scale": facts.get("scale")}
    window = facts.get("window")
    return options if window is None else {**options, "medical": MedicalConfig(window=window)}


def open_images(
    source: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    labels: str | Path | None = None,
    side: int = 512,
    cache: Path | None = None,
    workers: int | None = None,
    max_unreadable: float = 0.01,
    channels: int | None = None,
    scale: int | None = None,
    frames: int = 0,
    medical: MedicalConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageStore:
    """The store of a source, built at the first call and found in the cache from then on.

    Args:
        source: as ``foretell.data.source.scan`` takes it.
        columns: names of the columns that stand for the known ones, ``{"label": "diagnosis"}``.
        labels: a table joined to the images by path.
        side: the longest side an image is kept at, in pixels.
        cache: folder of the stores; ``$FORETELL_CACHE`` or ``~/.cache/foretell`` by default.
        workers: decoding processes; the number of usable cores by default.
        max_unreadable: share of the files that may be unreadable; up to 3 are passed over unless it is 0.
        channels: number to bring all images to; see ``foretell.data.build.settle_channels``.
        scale: what 16-bit values are multiplied by; see ``foretell.data.scale``.
        frames: above 0, the source is one of sequences: every ``frames``-th frame of animations, TIFF, DICOM and video is
            an image, and the columns ``group`` and ``order`` are completed from the names (``data.sequences.arrange``).
        medical: how DICOM and NIfTI become images, and what of their headers becomes columns (``data.medical.describe``).
        progress: called with (files decoded, files).

    Raises InputError for a source that is not as expected or changes meanwhile, ForetellError when the cache cannot be
    written.
    """
    if side < 4:
        raise InputError(f"side={side}: expected at least 4 pixels")
    if not 0 <= max_unreadable < 1:
        raise InputError(f"max_unreadable={max_unreadable}: expected a share in [0, 1)")
    root = Path(cache) if cache is not None else cache_folder()
    chosen = medical or MedicalConfig()
    if Path(source).suffix.lower() == ".zip":
        from foretell.data.archive import unpack

        found = scan(unpack(Path(source), root), columns, moving=frames > 0, called=str(source))
    else:
        found = scan(source, columns, moving=frames > 0)
    how = ""
    hidden = hides(chosen, columns)
    with Crew(workers or usable_cores()) as crew:
        if found.names and hidden and not has_medical(found):
            found = describe(found, chosen, columns, cache=root, crew=crew)
        elif has_medical(found):
            found = describe(found, chosen, columns, frames=frames, cache=root, crew=crew, progress=progress)
            how = f" {READING} {chosen.window}"
            if Path(source).suffix.lower() == ".zip":
                found.notes.append(f"unpacked as it is, with names and all that headers say, into {found.root}")
            if found.kind != "manifest":  # the others are columns of the labels
                own = found.table.columns
                columns = {known: name for known, name in (columns or {}).items() if name not in own}
        if frames and found.names:
            found = arrange(found, frames)
        elif found.names:
            found.notes += of_first_frames(found)
        if found.kind == "embedded":
            store = _embedded(found, side)
        else:
            store = _cached(found, root, side, how, chosen.window, crew, max_unreadable, channels, scale, progress)
    if hidden and found.kind == "array":
        store.table = hidden_array(found, store.table, chosen, columns)
    store.found = found
    store.notes = [*found.notes, *store.notes]
    if frames and found.kind == "array" and not {"group", "order"} & store.table.columns.keys():
        count = len(store)
        store.table = store.table.with_column("group", [found.name] * count)
        store.table = store.table.with_column("order", [str(row) for row in range(count)])
        store.notes.append("the rows of the array are understood as the frames of one sequence")
    if labels is not None:
        store, missing = store.with_labels(labels, columns)
        if missing:
            store.notes.append(not_among(labels, missing))
    return store


def _embedded(found: Source, side: int) -> ImageStore:
    from foretell.data import embedded

    images, table = embedded.load(found.name[1:])
    found.table = table
    arrays: Iterable[Pixels] = (shrink(image if image.ndim == 3 else image[:, :, None], side) for image in images)
    found.names = [value or f"{found.name}[{i}]" for i, value in enumerate(table.column("path"))]
    return ImageStore.of(list(arrays), table, names=found.names, source=found.name, kind="embedded")


def _cached(
    found: Source,
    cache: Path,
    side: int,
    how: str,
    window: str,
    crew: Crew,
    max_unreadable: float,
    channels: int | None,
    scale: int | None,
    progress: Callable[[int, int], None] | None,
) -> ImageStore:
    from foretell.data import arrays

    images: list[arrays.Member] = []
    watch = Watch()
    if found.kind == "array":
        images, found.table, notes = arrays.understand(found.root)
        found.names = [name for name in found.table.column("path") if name is not None]
        found.notes += notes
        key = build.key_of(Source(found.name, found.kind, found.root, [], found.table), side, watch=watch)
    else:
        key = build.key_of(found, side, how, watch)
    folder = _folder_of(cache / "images", key, channels, scale)
    if not _made(folder):  # a finished one is read from a cache that may not be written, too
        with alone(folder.parent / f"{key}.lock"):
            work = folder.parent / f"{key}.building"
            if _made(folder):  # by the process that was waited for
                pass
            elif found.kind == "array":
                build.build_array(found, images, folder, work, side, channels, scale, progress, watch)
            else:
                build.build_files(
                    found, folder, work, side, window, crew, max_unreadable, channels, scale, progress, watch
                )
    settle(folder)
    store = _open(folder, found)
    limit = build.Limit(max_unreadable, len(found))
    limit.check(found, store.unreadable)
    return store


def _folder_of(images: Path, key: str, channels: int | None, scale: int | None) -> Path:
    """Where the store of ``key`` with so many channels and this scale lies.

    One that has them without being asked is decoded once: a run's own data mostly has its scale.
    """
    of_channels = key if channels is None else f"{key}-{channels}"
    for name in dict.fromkeys((key, of_channels)):
        if _has(images / name, channels, scale):
            return images / name
    return images / (of_channels if scale is None else f"{of_channels}-x{scale}")


def _made(folder: Path) -> bool:
    return (folder / "meta.json").exists() and not torn(folder)


def _has(folder: Path, channels: int | None, scale: int | None) -> bool:
    """Whether there is a store that is as these would make it."""
    if not _made(folder):
        return False
    with whole(folder, "the stored images were"):
        meta = json.loads((folder / "meta.json").read_text())
        same = scale is None or meta["dtype"] == "uint8" or meta.get("scale", 1) == scale
        return same and channels in (None, meta["channels"])


def _mapped(folder: Path, dtype: np.dtype[Any]) -> Pixels:
    # a plain array over the mapping: memmap's own subclass costs time at every index
    return np.asarray(np.memmap(folder / "pixels.bin", dtype, "r"))


def _open(folder: Path, found: Source) -> ImageStore:
    with whole(folder, "the stored images were"):
        meta = json.loads((folder / "meta.json").read_text())
        dtype = np.dtype(meta["dtype"])
        sizes, offsets = np.load(folder / "sizes.npy"), np.load(folder / "offsets.npy")
        hashes, rows = np.load(folder / "hashes.npy"), np.load(folder / "rows.npy")
        pixels = _mapped(folder, dtype)
        if not np.array_equal(offsets, build.offsets_of(sizes, meta["channels"])) or len(pixels) != int(offsets[-1]):
            raise ValueError("its pixels are cut short")
        scale = {"scale": meta["scale"]} if "scale" in meta else {}
        made = build.describe(sizes, meta["channels"], dtype.itemsize, hashes, scale)
        if made["fingerprint"] != meta["fingerprint"]:
            raise ValueError("its parts do not belong together")
        if len(rows) != len(sizes) or rows.max() >= len(found):
            raise ValueError("its rows are not those of the source")
    all_read = len(rows) == len(found)
    names = found.names if all_read else [found.names[int(row)] for row in rows]
    table = found.table if all_read else found.table.subset(rows)
    meta = {**meta, "source": found.name, "kind": found.kind}
    return ImageStore(pixels, sizes, offsets, hashes, table, list(names), meta, folder=folder)
