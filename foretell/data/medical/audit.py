"""What ``foretell check`` says of medical images: how their greys lie after windowing, how large cases are, burnt-in text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from foretell.data.bags import Bags
from foretell.data.medical.burnt_text import looks_written
from foretell.data.store import ImageStore
from foretell.data.table import many

BINS = 16
LOOKED_AT = 200  # images, evenly spaced
SIZES = ((1, "1 image"), (2, "2"), (4, "3 to 4"), (9, "5 to 9"), (99, "10 to 99"), (1 << 62, "100 or more"))
BARS = " ▁▂▃▄▅▆▇█"
CROWDED = 0.5  # share of all pixels at one end beyond which the window is doubtful


@dataclass
class MedicalAudit:
    """``intensities``: share of the pixels in each of 16 equal steps from black to white. ``said`` and ``seen``: images
    whose header says that text is burnt in, and images that look so, of the ``looked_at``. ``mixed``: series of several
    sizes or planes, with these.
    """

    intensities: list[float]
    looked_at: int
    said: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)


def is_medical(store: ImageStore) -> bool:
    return store.found is not None and store.found.salt is not None


def examine(store: ImageStore) -> MedicalAudit:
    """The findings on up to ``LOOKED_AT`` evenly spaced images; headers count for all."""
    chosen = np.unique(np.linspace(0, len(store) - 1, min(len(store), LOOKED_AT)).round().astype(np.int64))
    peak = int(np.iinfo(store.dtype).max) + 1
    shares = np.zeros(BINS)
    seen = []
    for row in chosen:
        image = store.image(int(row))
        steps = image.ravel().astype(np.int64) * BINS // peak
        shares += np.bincount(steps, minlength=BINS) / steps.size
        if looks_written(image):
            seen.append(store.names[int(row)])
    burned = store.table.column("burned") if "burned" in store.table else []
    said = [name for name, value in zip(store.names, burned, strict=False) if value == "yes"]
    return MedicalAudit([float(value) for value in shares / len(chosen)], len(chosen), said, seen, mixed_series(store))


def mixed_series(store: ImageStore) -> list[str]:
    """The series whose images differ in size or plane, in words, with an image of each kind."""
    if "series" not in store.table:
        return []
    planes = store.table.column("plane") if "plane" in store.table else [None] * len(store)
    kinds: dict[str, dict[str, list[int]]] = {}
    for row, (series, plane) in enumerate(zip(store.table.column("series"), planes, strict=True)):
        if series is not None:
            height, width = store.sizes[row].tolist()
            kinds.setdefault(series, {}).setdefault(f"{width} x {height} {plane or ''}".strip(), []).append(row)
    return [
        f"{series}: {' and '.join(f'{len(rows)} of {name} ({store.names[rows[0]]})' for name, rows in own.items())}"
        for series, own in kinds.items()
        if len(own) > 1
    ]


def case_sizes(store: ImageStore) -> dict[str, int]:
    """How many cases (as ``micle`` takes them) have so many images; {} without a column that says cases."""
    columns = [name for name in ("group", "case") if name in store.table]
    if not columns:
        return {}
    sizes = Bags(store.table, columns).sizes
    counted = Counter(next(name for most, name in SIZES if size <= most) for size in sizes)
    return {name: counted[name] for _, name in SIZES if counted[name]}


def lines(found: MedicalAudit) -> list[str]:
    """The findings for a terminal."""
    shares = np.array(found.intensities)
    bars = "".join(BARS[int(np.ceil(share / max(shares.max(), 1e-12) * 8))] for share in shares)
    text = [
        f"  greys after windowing, black to white: |{bars}|, darkest step {shares[0]:.0%}, lightest {shares[-1]:.0%}"
    ]
    if shares[-1] > CROWDED:
        text.append("  most pixels are at the white end: is the window right? data.medical.window sets another")
    if found.mixed:
        more = f", and {len(found.mixed) - 1} more" if len(found.mixed) > 1 else ""
        text.append(f"  series of mixed sizes or planes (a scout image among slices?): {found.mixed[0]}{more}")
    if found.said:
        text.append(f"  BURNT-IN TEXT: the headers of {many(len(found.said), 'image')} say so ({found.said[0]})")
    if found.seen:
        text.append(
            f"  BURNT-IN TEXT: {len(found.seen)} of {many(found.looked_at, 'image')} looked at seem to have writing in them "
            f"({found.seen[0]}): it may name a patient, and an encoder may read it"
        )
    return text
