"""Frames of the units of a strategy game: many images of one thing, its race as the label; a unit is a case.

INSIDE: 5,782 PNG with alpha, mostly 72 x 72: 20 folders of races, one of ships and carts, two pictures beside them. 210
units have four frames or more (median 17). A frame belongs to the unit whose name is the shortest beginning of its own, up
to a '-', that is itself a picture in the folder; what follows a '+' (a variant) is cut off.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from foretell.claims.fetch import Package, unpack
from foretell.counters import seed_of
from foretell.data.pixels import Pixels
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.transfer.fractions import subset

PACKAGE = Package(
    "debian",
    "wesnoth-1.16-data",
    "1:1.16.9-1",
    "1012b964bd412a6770685e3324ae3b61e176caff7846192d1ee63d55cd621e26",
    "GPL-2.0-or-later: loaded, never shipped",
)
_IMAGES = "/data/core/images/units/"
FRAMES = 4  # of a unit that is a case of several images
UNITS = 8  # of a race that is a class
TESTED = 1 / 3  # of the units of each class
RESPLIT = TESTED / (1 - TESTED)  # test to training units, of which each seed draws its own
OTHER_CAMERA = "domain=warm"
STRENGTH = 0.3  # of that camera: on training cases held back, scratch keeps two thirds of its accuracy by it
POSES = ("attack", "defend", "die", "idle", "run")


def _rename(name: str) -> str | None:
    _, found, inside = name.partition(_IMAGES)
    return inside if found and inside.endswith(".png") else None


def folder() -> Path:
    """The frames, one folder a race. Raises Unavailable where the package cannot be had."""
    return unpack(PACKAGE, _rename)


def units(paths: list[str]) -> list[str]:
    """The unit of each frame, as folder/name."""
    known = {path.removesuffix(".png") for path in paths}
    found = []
    for path in paths:
        place = PurePosixPath(path)
        parts = place.stem.split("-")
        beginnings = ["-".join(parts[:count]) for count in range(1, len(parts) + 1)]
        names = [(place.parent / beginning).as_posix() for beginning in beginnings]
        found.append(next(name for name in names if name in known).split("+")[0])
    return found


def races(cases: list[str]) -> list[str | None]:
    """The race of every frame of a unit of ``FRAMES`` or more in a race with ``UNITS`` or more of them, else None."""
    sizes = Counter(cases)
    large = {case: case.split("/")[0] for case, size in sizes.items() if size >= FRAMES and "/" in case}
    counts = Counter(large.values())
    return [large[case] if counts[large.get(case, "")] >= UNITS else None for case in cases]


def poses(paths: list[str]) -> list[str]:
    """What a unit does in each frame: one of ``POSES``, as the file's name says, or "stand"."""
    words = [set(re.findall(r"[a-z]+", PurePosixPath(path).stem)) for path in paths]
    return [next((pose for pose in POSES if pose in own), "stand") for own in words]


def _tested(cases: list[str], labels: list[str | None], seed: int) -> set[str]:
    """A third of the labelled units of every race, drawn by ``seed``."""
    names = sorted({case for case, label in zip(cases, labels, strict=True) if label is not None})
    codes = np.unique([name.split("/")[0] for name in names], return_inverse=True)[1].astype(np.int64)
    return {names[at] for at in subset(codes, share=TESTED, seed=seed_of("test units", seed))}


def first_of_each(paths: list[str], cases: list[str]) -> NDArray[np.int64]:
    """The row of one frame of every unit: that of the shortest name, which is the unit's own picture."""
    best: dict[str, int] = {}
    for row, case in enumerate(cases):
        least = best.setdefault(case, row)
        if (len(paths[row]), paths[row]) < (len(paths[least]), paths[least]):
            best[case] = row
    return np.array(sorted(best.values()), np.int64)


def open_units(seed: int, *, single: bool = False) -> ImageStore:
    """All frames, with columns label (race, or none), group (unit), pose and split: test units are drawn by ``seed``.

    Frames without a label are in the training part. ``single``: one frame of each unit, that of the shortest name.
    """
    place = folder()
    store = open_images(place)
    paths = [Path(name).as_posix() for name in store.names]
    cases = units(paths)
    labels = races(cases)
    tested = _tested(cases, labels, seed)
    table = Table(
        {
            "path": list(paths),
            "label": labels,
            "group": list(cases),
            "pose": list(poses(paths)),
            "split": ["test" if case in tested else "train" for case in cases],
        }
    )
    return store.with_table(table).subset(first_of_each(paths, cases) if single else np.arange(len(cases)))


def warm(image: Pixels, strength: float = STRENGTH) -> Pixels:
    """(H, W, 3) as a camera with a warm cast, little contrast and soft focus shows it, from 0 (as it is) to a
    ``strength`` of 1: a mean of 3 x 3 pixels, a gamma of 1.5, contrast 0.6 around 0.5 and gains of 1, 0.85 and 0.65 for
    red, green and blue.
    """
    seen = image.astype(np.float64) / 255
    padded = np.pad(seen, ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = image.shape[:2]
    mean = np.mean([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)
    soft = (1 - strength) * seen + strength * mean
    flat = 0.2 * strength + (1 - 0.4 * strength) * soft ** (1 + 0.5 * strength)
    gains = 1 - strength * np.array([0.0, 0.15, 0.35])
    shown: Pixels = np.rint(255 * flat * gains).astype(np.uint8)
    return shown


def with_other_camera(store: ImageStore) -> ImageStore:
    """The labelled frames of ``store``, and those of test units once more as ``warm`` shows them: column domain."""
    known = [row for row, label in enumerate(store.table.column("label")) if label is not None]
    again = [row for row in known if store.table.column("split")[row] == "test"]
    images = [store.image(row) for row in known] + [warm(store.image(row)) for row in again]
    domain = ["plain"] * len(known) + [OTHER_CAMERA.partition("=")[2]] * len(again)
    table = store.table.subset([*known, *again]).with_column("domain", domain)
    return ImageStore.of(images, table)
