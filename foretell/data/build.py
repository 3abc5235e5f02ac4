"""Files decoded once into a store on disk: in parallel, resumable, fingerprinted.

A store is a folder: ``pixels.bin`` (every image (C, H, W), one after another), ``sizes.npy`` (N, 2) height and width,
``offsets.npy`` (N + 1,) in elements, ``hashes.npy`` (N, 16) of each image's content as decoded, ``rows.npy`` (N,) of
the source, ``meta.json``. While it is built, finished shards lie in ``NAME.building``; joining frees each as it goes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.arrays import Member, channels_first, channels_of, image_parts, scale_of
from foretell.data.content import content_hash
from foretell.data.frames import VIDEO, split_name
from foretell.data.pixels import Pixels, shrink
from foretell.data.pool import Crew, decode_all
from foretell.data.scale import WINDOWED, settle_scale
from foretell.data.settled import mark, torn
from foretell.data.source import Source
from foretell.data.stores import whole
from foretell.data.table import many
from foretell.data.watch import Watch
from foretell.data.worker import shard_paths
from foretell.errors import ForetellError, InputError

VERSION = 2
VIDEO_VERSION = 2  # of what is read from a video, whose stores alone it makes anew
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass
class Limit:
    """How many unreadable files are passed over: a share of all, though up to 3 files unless the share is 0."""

    share: float
    total: int

    @property
    def allowed(self) -> int:
        if self.share == 0:
            return 0
        return max(int(self.share * self.total), min(3, (self.total - 1) // 2))

    def check(self, source: Source, bad: list[tuple[str, str]], count: int | None = None) -> None:
        """Raises InputError with the first file and its reason when there are too many."""
        count = len(bad) if count is None else count
        if count <= self.allowed and count < self.total:
            return
        name, reason = bad[0] if bad else ("", "")
        first = f"the first, {name}, {reason}" if bad else "see the first of them"
        if count >= self.total:
            raise InputError(f"{source.name}: none of its {self.total} files can be read as an image: {first}")
        raise InputError(
            f"{source.name}: {count} of {self.total} files cannot be read, more than the {self.allowed} that "
            f"max_unreadable={self.share:g} allows: {first}; mend or remove them, or raise max_unreadable"
        )


def key_of(source: Source, side: int, how: str = "", watch: Watch | None = None) -> str:
    """The name of a store in the cache: a hash of place, files with sizes and times of change, ``side``, ``how`` read.

    ``watch`` is told of the files: what is kept by the name is made while it finds no change.
    """
    digest = hashlib.blake2b(f"{VERSION}\0{source.root}\0{side}{how}".encode(), digest_size=12)
    root = str(source.root)
    for name in source.names or [""]:
        path = os.path.join(root, split_name(name)[0]) if name else root
        if os.path.splitext(path)[1].lower() in VIDEO:
            digest.update(f"\0video {VIDEO_VERSION}".encode())
        try:
            status = os.stat(path) if watch is None else watch.add(path)
            digest.update(f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogateescape"))
        except OSError:
            digest.update(f"\0{name}\0missing".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@dataclass
class Facts:
    """What the finished shards hold, in the order of the source."""

    rows: NDArray[np.int64]
    sizes: NDArray[np.int32]
    channels: NDArray[np.int32]
    depths: NDArray[np.int32]
    peaks: NDArray[np.int64]
    hashes: NDArray[np.uint8]
    counts: list[int]
    bad: list[tuple[str, str]]


def build_files(
    source: Source,
    folder: Path,
    work: Path,
    side: int,
    window: str,
    crew: Crew,
    max_unreadable: float,
    channels: int | None,
    scale: int | None,
    progress: Callable[[int, int], None] | None,
    watch: Watch | None = None,
) -> None:
    """Build the store of ``source`` at ``folder`` by way of ``work``, which a later call for the same files resumes.

    Raises InputError for too many unreadable files, mixed channels, values beyond ``scale`` and a file that ``watch``
    finds changed.
    """
    plan = work / "join.json"
    if torn(work) or (plan.exists() and _joined(work)[2:] != (channels, scale)):
        shutil.rmtree(work)  # half built when the machine stopped, or half joined for other channels or another scale
    work.mkdir(parents=True, exist_ok=True)
    mark(work)
    size = _shard_size(work, len(source), crew.count)
    names = source.names
    shards = [(k, names[start : start + size]) for k, start in enumerate(range(0, len(names), size))]
    limit = Limit(max_unreadable, len(names))
    if not plan.exists():
        done = {k: len(part) for k, part in shards if shard_paths(work, k)[1].exists()}
        bad = dict.fromkeys(done, 0)
        if progress and done:
            progress(sum(done.values()), len(names))

        def report(shard: int, count: int, unreadable: int) -> None:
            done[shard], bad[shard] = count, unreadable
            if progress:
                progress(sum(done.values()), len(names))
            if sum(bad.values()) > limit.allowed and unreadable:
                raise _TooMany

        try:
            waiting = [(k, part) for k, part in shards if k not in done]
            decode_all(crew, work, source.root, waiting, side, window, report)
        except _TooMany:
            if watch is not None:
                watch.check(made=work)
            limit.check(source, _first_bad(source, side, window, shards, bad), sum(bad.values()))
    with whole(work, "the half built store was"):
        facts = _facts(source, work, size, len(shards))
    if watch is not None:
        watch.check(made=work)
    limit.check(source, facts.bad)
    _join(source, folder, work, facts, side, channels, scale)


def _joined(work: Path) -> tuple[int, int, int | None, int | None]:
    """(shards that are joined, bytes of them, channels and scale asked for), as a join that was cut off left them."""
    with whole(work, "the half built store was"):
        shard, written, channels, scale = json.loads((work / "join.json").read_text())
        return int(shard), int(written), channels, scale


class _TooMany(Exception):
    pass


def _first_bad(
    source: Source, side: int, window: str, shards: list[tuple[int, list[str]]], bad: dict[int, int]
) -> list[tuple[str, str]]:
    """One unreadable file with its reason, for the message: the shard that holds it may be unfinished."""
    from foretell.data.decode import decode
    from foretell.data.medical.window import parse
    from foretell.data.pixels import Unreadable

    for shard, names in shards:
        if bad.get(shard):
            for name in names:
                try:
                    decode(source.root / name, side, parse(window))
                except Unreadable as reason:
                    return [(name, str(reason))]
    return []


def _shard_size(work: Path, total: int, workers: int) -> int:
    """Images a shard: kept from the first start, so that a resumed build cuts the same shards."""
    path = work / "shards.json"
    try:
        return int(json.loads(path.read_text())["size"])
    except (OSError, ValueError, KeyError):
        size = min(256, max(16, -(-total // (workers * 4))))
        path.write_text(json.dumps({"size": size}))
        return size


def _facts(source: Source, work: Path, size: int, shards: int) -> Facts:
    parts: list[dict[str, NDArray[Any]]] = []
    bad: list[tuple[str, str]] = []
    for shard in range(shards):
        with np.load(shard_paths(work, shard)[1], allow_pickle=False) as file:
            part = {name: file[name] for name in file.files}
        first = shard * size
        bad += [
            (source.names[first + int(i)], str(reason)) for i, reason in zip(part["bad"], part["reasons"], strict=True)
        ]
        part["rows"] = part["rows"] + first
        parts.append(part)
    whole = {
        name: np.concatenate([part[name] for part in parts])
        for name in ("rows", "sizes", "channels", "depths", "peaks", "hashes")
    }
    return Facts(**whole, counts=[len(part["rows"]) for part in parts], bad=bad)


def settle_channels(
    source: Source, names: list[str], found: NDArray[np.int32], asked: int | None
) -> tuple[int, list[str]]:
    """(channels of the store, notes). Grey beside RGB becomes RGB; another mixture raises InputError naming the rarest.

    ``asked`` 1 or 3 turns RGB into grey (BT.601) or grey into RGB; of images with more channels than asked the first
    are kept; one with fewer raises InputError.
    """
    kinds, first, counts = np.unique(found, return_index=True, return_counts=True)
    have = {int(kind): (names[int(i)], int(n)) for kind, i, n in zip(kinds, first, counts, strict=True)}
    if asked is not None:
        notes = []
        for kind, (name, count) in have.items():
            if kind == asked:
                continue
            if (kind, asked) in ((1, 3), (3, 1)):
                notes.append(f"{many(count, 'image')} turned from {_channel_name(kind)} into {_channel_name(asked)}")
            elif kind > asked:
                notes.append(f"{many(count, 'image')} of {kind} channels: the first {asked} kept")
            else:
                raise InputError(
                    f"{source.name}: {name} has {_channels(kind)}, fewer than channels={asked}; "
                    f"ask for channels={kind}, or leave it out"
                )
        return asked, notes
    if len(have) == 1:
        return next(iter(have)), []
    if set(have) == {1, 3}:
        return 3, [f"{many(have[1][1], 'grey image')} beside {have[3][1]} in colour: stored as RGB"]
    raise InputError(f"{source.name}: {_odd_one(have)}")


def _odd_one(have: dict[int, tuple[str, int]]) -> str:
    """What to do about a mixture: channels -> (first file, how many of them), by the rarest of those that go with no other."""
    greys = have[1][1] if {1, 3} <= set(have) else 0
    counts = {kind: count for kind, (_, count) in have.items() if not (greys and kind == 1)}
    if greys:
        counts[3] += greys
    usual = max(counts, key=lambda kind: counts[kind])
    odd = min((kind for kind in counts if kind != usual), key=lambda kind: counts[kind])
    count, fewest = counts[odd], min(counts)
    more = f" and {count - 1:,} more have" if count > 1 else " has"
    said = f"{have[odd][0]}{more} {_channels(odd)} beside {many(counts[usual], 'image')} of {usual}"
    said += f": remove {'it' if count == 1 else 'them'}"
    if greys and fewest == 2:  # no two channels can be made of a grey image
        return said
    kept = "first" if fewest == 1 else f"first {fewest}"
    return f"{said}, or --set data.channels={fewest} to keep the {kept} of each image"


def _channels(count: int) -> str:
    return f"{count} channel" + ("" if count == 1 else "s")


def _channel_name(count: int) -> str:
    return {1: "grey", 3: "RGB"}.get(count, _channels(count))


def convert(image: Pixels, channels: int, depth: int, scale: int) -> Pixels:
    """(C, H, W) in the store's channels and depth: 8-bit values times 257, 16-bit ones times ``scale``."""
    if image.shape[0] != channels:
        if image.shape[0] == 1 and channels == 3:
            image = np.repeat(image, 3, axis=0)
        elif image.shape[0] == 3 and channels == 1:
            image = np.rint(np.tensordot(LUMA, image.astype(np.float32), 1)[None]).astype(image.dtype)
        else:
            image = image[:channels]
    if depth == 2:
        if image.dtype == np.uint8:
            return image.astype(np.uint16) * 257
        return image * np.uint16(scale) if scale > 1 else image
    return image


def _join(
    source: Source, folder: Path, work: Path, facts: Facts, side: int, channels: int | None, scale: int | None
) -> None:
    """Turn shards into the store. Each shard is deleted once its pixels are in place; a resumed join goes on there."""
    names = [source.names[int(row)] for row in facts.rows]
    target, notes = settle_channels(source, names, facts.channels, channels)
    depth = int(facts.depths.max())
    own, told = settle_scale(source.name, names, facts.peaks, facts.depths == 2, scale)
    notes += told
    shallow = int((facts.depths == 1).sum())
    if depth == 2 and shallow:
        notes.append(f"{many(shallow, '8-bit image')} beside 16-bit ones: stored as 16-bit")
    plan = work / "join.json"
    next_shard, written = 0, 0
    if plan.exists():
        next_shard, written = _joined(work)[:2]
    pixels = work / "pixels.bin"
    try:
        with open(pixels, "r+b" if pixels.exists() else "w+b") as out:
            # a file that was cut to nothing, ext4 writes out when it is closed
            if os.fstat(out.fileno()).st_size > written:
                out.truncate(written)
            out.seek(written)
            done = sum(facts.counts[:next_shard])
            for shard in range(next_shard, len(facts.counts)):
                rows = slice(done, done + facts.counts[shard])
                done = rows.stop
                _append(out, shard_paths(work, shard)[0], facts, rows, target, depth, own or 1)
                out.flush()
                replace_text(plan, json.dumps([shard + 1, out.tell(), channels, scale]), lasting=False)  # see mark
                shard_paths(work, shard)[0].unlink(missing_ok=True)
        sizes = facts.sizes.astype(np.int64)
        meta = {"source": source.name, "kind": source.kind, "notes": notes, "unreadable": facts.bad, "side": side}
        meta |= {"scale": own or 1, "raw": own is not None}
        write_facts(work, sizes, target, depth, facts.hashes, facts.rows, meta)
    except OSError as error:
        raise ForetellError(
            f"{work}: the store cannot be written ({error.strerror or error}); what is done is kept: make room, "
            "or set FORETELL_CACHE to another folder, and run again"
        ) from None
    for path in [*work.glob("shard-*"), work / "shards.json", plan]:
        path.unlink(missing_ok=True)
    publish(work, folder)


def _append(out: Any, path: Path, facts: Facts, rows: slice, channels: int, depth: int, scale: int) -> None:
    same = bool((facts.channels[rows] == channels).all() and (facts.depths[rows] == depth).all() and scale == 1)
    with open(path, "rb") as shard:
        if same:
            copy_file(shard, out)
            return
        factors = np.where(facts.peaks[rows] == WINDOWED, 1, scale)
        parts = facts.sizes[rows], facts.channels[rows], facts.depths[rows], factors
        for (height, width), count, size, factor in zip(*parts, strict=True):
            data = shard.read(int(height) * int(width) * int(count) * int(size))
            image = np.frombuffer(data, np.uint8 if size == 1 else np.uint16).reshape(count, height, width)
            out.write(np.ascontiguousarray(convert(image, channels, depth, int(factor))).data)


def copy_file(source: Any, out: Any) -> None:
    """All of the open file ``source`` behind what was written to ``out``: within the kernel, where it can do that."""
    copy = getattr(os, "copy_file_range", None)
    left = os.fstat(source.fileno()).st_size
    out.flush()
    while copy is not None and left:
        try:
            done = copy(source.fileno(), out.fileno(), left)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP):
                raise
            copy = None
        else:
            left -= done
            copy = copy if done else None  # some file systems copy nothing and call it done
    out.seek(0, os.SEEK_END)
    if left:
        source.seek(-left, os.SEEK_END)
        shutil.copyfileobj(source, out, 4 << 20)


def offsets_of(sizes: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
    """(N + 1,) where each image begins and the last one ends, in elements."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes.prod(axis=1) * channels, out=offsets[1:])
    return offsets


def describe(
    sizes: NDArray[np.int64], channels: int, depth: int, hashes: NDArray[np.uint8], meta: dict[str, Any]
) -> dict[str, Any]:
    """The facts of a store: the fingerprint is a hash of every image's content in order, channels, depth and scale."""
    digest = hashlib.blake2b(f"{VERSION} {channels} {depth} {meta.get('scale', 1)}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(hashes).data)
    return {
        "version": VERSION,
        "count": len(sizes),
        "channels": channels,
        "dtype": "uint8" if depth == 1 else "uint16",
        "fingerprint": digest.hexdigest(),
        **meta,
    }


def write_facts(
    folder: Path,
    sizes: NDArray[np.int64],
    channels: int,
    depth: int,
    hashes: NDArray[np.uint8],
    rows: NDArray[np.int64],
    meta: dict[str, Any],
) -> None:
    """All of a store but its pixels, into a folder that is marked (``settled``)."""
    np.save(folder / "sizes.npy", sizes)
    np.save(folder / "offsets.npy", offsets_of(sizes, channels))
    np.save(folder / "hashes.npy", hashes)
    np.save(folder / "rows.npy", rows)
    replace_text(folder / "meta.json", json.dumps(describe(sizes, channels, depth, hashes, meta)), lasting=False)


def build_array(
    source: Source,
    images: list[Member],
    folder: Path,
    work: Path,
    side: int,
    channels: int | None,
    scale: int | None,
    progress: Callable[[int, int], None] | None,
    watch: Watch | None = None,
) -> None:
    """Build the store of an array, a part at a time; an unfinished one is begun anew. Raises InputError, also for a file
    that ``watch`` finds changed.
    """
    how = scale_of(images, scale)
    have = channels_of(images[0])
    target, notes = settle_channels(source, source.names[:1], np.array([have], np.int32), channels)
    if how.note:
        notes.append(how.note)
    form = "(N, channels, height, width)" if channels_first(images[0]) else "(N, height, width, channels)"
    if len(images[0].shape) == 4:
        notes.append(f"shape {images[0].shape} understood as {form}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    mark(work)
    total = len(source)
    sizes = np.zeros((total, 2), np.int64)
    hashes = np.zeros((total, 16), np.uint8)
    done = 0
    try:
        with open(work / "pixels.bin", "wb") as out:
            for part in image_parts(images, how):
                for image in part:
                    small = shrink(image, side)
                    planes = convert(np.ascontiguousarray(small.transpose(2, 0, 1)), target, small.itemsize, 1)
                    sizes[done] = planes.shape[1:]
                    hashes[done] = np.frombuffer(content_hash(small), np.uint8)
                    out.write(planes.data)
                    done += 1
                if progress:
                    progress(done, total)
        meta: dict[str, Any] = {"source": source.name, "kind": source.kind, "notes": notes, "side": side}
        meta |= {"scale": how.factor if how.raw else 1, "raw": how.raw}
        rows = np.arange(total, dtype=np.int64)
        write_facts(work, sizes, target, np.dtype(how.dtype).itemsize, hashes, rows, meta)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise ForetellError(
            f"{work}: the store cannot be written ({error.strerror or error}): make room, or set FORETELL_CACHE to "
            "another folder"
        ) from None
    if watch is not None:
        watch.check(made=work)
    publish(work, folder)


def publish(work: Path, folder: Path) -> None:
    """Rename the finished store into place, over a damaged one if there is one."""
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(work, folder)


def replace_text(path: Path, text: str, *, lasting: bool = True) -> None:
    """Write aside, then rename: the file is whole or not there; where ``lasting``, after a power cut too."""
    aside = path.with_suffix(".part")
    with open(aside, "w") as stream:
        stream.write(text)
        stream.flush()
        if lasting:
            os.fsync(stream.fileno())
    os.replace(aside, path)
