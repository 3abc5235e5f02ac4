"""Makes the embedded sets again from the packages they came from: `python -m benchmarks.datasets.make_embedded`.

The same packages, Pillow and libwebp give the same bytes; another libwebp may give other bytes of the same pixels, so that the
pixels and the table are compared too. `--check` writes nothing and fails where a set differs from the one in the package.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tempfile
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.datasets import animal_mnist, emoji_google
from benchmarks.datasets import heart as ultrasound
from foretell.data import embedded
from foretell.data.duplicates import clusters, near_pairs
from foretell.data.store import open_images
from foretell.data.table import Table

SEED = 2
EVERY, FIRST = 5, 2
LONGEST = 400  # images in a strip: WebP allows 16,383 pixels a side

Pixels = NDArray[np.uint8]


def with_split(table: Table) -> Table:
    """The table with the column ``split``, by the rule in the docstring of ``foretell.data.embedded``."""
    keys = table.column("group" if "group" in table else "path")
    size = Counter(keys)
    subcategory = dict(zip(keys, table.columns.get("subcategory", keys[:0] or [""] * len(table)), strict=True))
    label = dict(zip(keys, table.column("label"), strict=True))
    chosen: set[str | None] = set()
    for one in sorted({str(value) for value in label.values()}):
        groups = sorted(
            (key for key in size if label[key] == one),
            key=lambda key: (subcategory[key], size[key], hashlib.sha256(f"{SEED}:{key}".encode()).digest()),
        )
        chosen.update(groups[FIRST::EVERY])
    return table.with_column("split", ["test" if key in chosen else "train" for key in keys])


def without_leaks(images: Pixels, table: Table) -> Table:
    """The table with every test row in training whose near duplicate, or a near duplicate of its group, is there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, images)
        pairs = [(a, b) for a, b, _ in near_pairs(open_images(path, cache=Path(folder) / "cache"))[0]]
    rows_of: dict[str | None, list[int]] = {}
    for row, group in enumerate(table.columns.get("group", [])):
        rows_of.setdefault(group, []).append(row)
    pairs += [pair for rows in rows_of.values() for pair in pairwise(rows)]
    split = list(table.column("split"))
    for cluster in clusters(len(table), pairs):
        if any(split[row] == "train" for row in cluster):
            for row in cluster:
                split[row] = "train"
    return table.with_column("split", split)


def animals() -> tuple[Pixels, Table]:
    loaded = animal_mnist.load()
    assert loaded.images is not None
    return loaded.images, without_leaks(loaded.images, with_split(loaded.table))


def emoji() -> tuple[Pixels, Table]:
    """On white, without the colour swatches, each picture once: of equal ones the concept with the shortest name stays."""
    loaded = emoji_google.load()
    assert loaded.images is not None
    images = emoji_google.on_white(loaded.images)
    group = [str(name) for name in loaded.table.column("group")]
    first: dict[bytes, int] = {}
    for row, label in enumerate(loaded.table.column("label")):
        if label is None:
            continue
        content = images[row].tobytes()
        known = first.get(content)
        if known is None or len(group[row]) < len(group[known]):
            first[content] = row
    rows = sorted(first.values())
    table = loaded.table.subset(rows)
    del table.columns["name"]
    return images[rows], without_leaks(images[rows], with_split(table))


def heart() -> tuple[Pixels, Table]:
    """One film: it has no classes and no parts."""
    loaded = ultrasound.load()
    assert loaded.images is not None
    return loaded.images, loaded.table


def strips(images: Pixels, table: Table) -> list[Pixels]:
    """Images below each other: a group in one strip, where its skin tones compress as repetitions of the plain form."""
    if "group" not in table:
        return [images[at : at + LONGEST] for at in range(0, len(images), LONGEST)]
    group = table.column("group")
    starts = [0, *(row for row in range(1, len(group)) if group[row] != group[row - 1]), len(group)]
    found, at = [], 0
    for start, stop in pairwise(starts):
        if stop - at > LONGEST // 4 and start > at:
            found.append(images[at:start])
            at = start
    return [*found, images[at:]]


def pack(images: Pixels, table: Table) -> bytes:
    """The file of one set: lossless WebP strips and columns of text, in an archive with fixed dates."""
    side = images.shape[1]
    parts = strips(images, table)
    coded = [_webp(part.reshape(-1, side, images.shape[3])) for part in parts]
    arrays: dict[str, NDArray[np.generic]] = {
        "side": np.array(side),
        "channels": np.array(images.shape[3]),
        "lengths": np.array([len(part) for part in coded]),
        "counts": np.array([len(part) for part in parts]),
        "columns": np.array(list(table.columns)),
        **{f"column_{name}": np.array(values, dtype=np.str_) for name, values in table.columns.items()},
        "strips": np.frombuffer(b"".join(coded), dtype=np.uint8),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, values in arrays.items():
            item = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            item.compress_type = zipfile.ZIP_STORED if name == "strips" else zipfile.ZIP_LZMA
            content = io.BytesIO()
            np.save(content, values, allow_pickle=False)
            archive.writestr(item, content.getvalue())
    return stream.getvalue()


def _webp(strip: Pixels) -> bytes:
    if strip.shape[2] == 1:
        strip = np.repeat(strip, 3, axis=2)
    stream = io.BytesIO()
    Image.fromarray(strip).save(
        stream, "WEBP", lossless=True, quality=90, method=6
    )  # 100: 8% less, in 5 times the time
    return stream.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=embedded.FOLDER)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", choices=embedded.names())
    given = parser.parse_args()
    wrong = 0
    for name, make in (("animals", animals), ("emoji", emoji), ("heart", heart)):
        if given.only not in (None, name):
            continue
        images, table = make()
        content = pack(images, table)
        path = given.out / f"{name}.npz"
        if not given.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        same_bytes = path.read_bytes() == content
        kept, rows = embedded.load(name)
        same = bool(np.array_equal(kept, images)) and rows.columns == table.columns
        wrong += not same
        print(
            f"{name}: {len(images)} images, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}; ",
            end="",
        )
        print(f"pixels and table {'equal' if same else 'DIFFER'}, bytes {'equal' if same_bytes else 'differ'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
