"""A process that decodes shards of images: JSON lines in on stdin, JSON lines out on stdout.

It imports no torch, so that it starts fast and stays small. ``decode_shard`` is also what a small set calls directly.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.content import content_hash
from foretell.data.decode import decode
from foretell.data.medical.window import Window, parse
from foretell.data.pixels import Pixels, Unreadable
from foretell.data.scale import WINDOWED, silent

EVERY = 16  # images between two reports


def shard_paths(work: Path, shard: int) -> tuple[Path, Path]:
    """(pixels, facts) of a finished shard."""
    return work / f"shard-{shard:06d}.bin", work / f"shard-{shard:06d}.npz"


def _peak(path: Path, image: Pixels) -> int:
    """The largest value of a 16-bit image, or that its window has said what is white; of others 0."""
    if image.dtype != np.uint16:
        return 0
    return int(image.max()) if silent(path) else WINDOWED


def decode_shard(
    work: Path,
    shard: int,
    root: Path,
    names: list[str],
    side: int,
    window: Window,
    skip: Mapping[int, str],
    report: Callable[[int, int], None],
) -> None:
    """Decode ``names`` into one shard: pixels (C, H, W) one after another in their own depth, and their facts.

    The facts are written last and renamed into place, so that a shard that has them is whole. ``skip`` gives the reason
    for files that must not be touched. ``report(done, unreadable)`` is called before each image and at the end.
    """
    pixels_path, facts_path = shard_paths(work, shard)
    rows, sizes, channels, depths, peaks, hashes = [], [], [], [], [], []
    bad: list[int] = []
    reasons: list[str] = []
    with open(pixels_path, "wb") as stream:
        for i, name in enumerate(names):
            report(i, len(bad))
            try:
                if i in skip:
                    raise Unreadable(skip[i])
                image = decode(root / name, side, window)
            except Unreadable as reason:
                bad.append(i)
                reasons.append(str(reason))
                continue
            stream.write(np.ascontiguousarray(image.transpose(2, 0, 1)).data)
            rows.append(i)
            sizes.append(image.shape[:2])
            channels.append(image.shape[2])
            depths.append(image.dtype.itemsize)
            peaks.append(_peak(root / name, image))
            hashes.append(np.frombuffer(content_hash(image), np.uint8))
    aside = facts_path.with_suffix(".part")
    with open(aside, "wb") as stream:
        np.savez(
            stream,
            rows=np.array(rows, np.int64),
            sizes=np.array(sizes, np.int32).reshape(-1, 2),
            channels=np.array(channels, np.int32),
            depths=np.array(depths, np.int32),
            peaks=np.array(peaks, np.int64),
            hashes=np.array(hashes, np.uint8).reshape(-1, 16),
            bad=np.array(bad, np.int64),
            reasons=np.array(reasons, np.str_),
        )
    os.replace(aside, facts_path)
    report(len(names), len(bad))


def main() -> None:
    """Serve shards until stdin closes, which is also what happens when the parent dies.

    The arguments name packages that will be needed: they are loaded while nothing waits for it yet.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a decoder prints must not mix with the answers

    def say(**what: Any) -> None:
        answers.write(json.dumps(what) + "\n")

    for name in sys.argv[1:]:
        with contextlib.suppress(ImportError):  # said of the files that need it
            importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        every = 1 if job["careful"] else EVERY

        def report(done: int, bad: int, every: int = every, count: int = len(job["names"])) -> None:
            if done % every == 0 or done == count:
                say(done=done, bad=bad)

        try:
            decode_shard(
                Path(job["work"]),
                job["shard"],
                Path(job["root"]),
                job["names"],
                job["side"],
                parse(job["window"]),
                {int(i): reason for i, reason in job["skip"].items()},
                report,
            )
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            say(error="the disk is full" if full else str(error))
        else:
            say(end=True)


if __name__ == "__main__":
    main()
