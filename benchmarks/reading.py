"""An epoch from the store beside ImageFolder with PIL decoding, and the anonymous memory of an epoch over 100,000 images.

python -m benchmarks.reading --json benchmarks/results.json

The embedded colour set (64 pixels) is written as JPEG and as PNG. Both sides give every image once in random order, in
batches of uint8 tensors (B, C, H, W). The peer is torchvision's ImageFolder with PILToTensor (no conversion to float) in a
DataLoader, without worker processes and with some that stay alive (one a core, at most eight); the faster of them is the one
compared. Ours is ``ImageStore.read`` in the one process, its pixels in the page cache, as the peer's files are.

The large set (1.2 GB, beyond any processor cache) also gives the share of the machine's limit: the same pixels copied in
their stored order, a batch at a time into one buffer, beside reading them in random order, in turn in one process.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import PILToTensor

from benchmarks.harness import Pairing, anonymous, described, paired, parser, report
from benchmarks.peers import workers
from foretell.counters import Rows
from foretell.data.embedded import load
from foretell.data.sampler import Sampler
from foretell.data.store import ImageStore, open_images

BATCH = 256
MEMORY = 500.0  # MB of anonymous memory that an epoch over the large set may take, the whole process


def epoch(store: ImageStore, number: int = 0) -> int:
    """Read every whole batch of an epoch; the number of images."""
    sampler, rows = Sampler(len(store), 0), Rows(0, BATCH, BATCH)
    steps = sampler.steps(BATCH)
    return sum(len(store.read(sampler.index(step, rows))) for step in range(number * steps, (number + 1) * steps))


def peer_epoch(loader: DataLoader[tuple[torch.Tensor, int]]) -> int:
    return sum(len(images) for images, _ in loader)


def write(folder: Path, images: np.ndarray, labels: list[str | None], suffix: str) -> Path:
    """Class folders of files."""
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / suffix / (label or "none") / f"{i:05d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, quality=90)
    return folder / suffix


def large_epoch(source: Path, cache: Path, rounds: int) -> None:
    """Print an epoch's peak and the process's memory before it in MB, images a second, and the share of a plain copy."""
    before = anonymous()
    store = open_images(source, cache=cache)
    sampler, rows, peak = Sampler(len(store), 0), Rows(0, BATCH, BATCH), 0.0
    for step in range(sampler.steps(BATCH)):
        batch = store.read(sampler.index(step, rows))
        peak = max(peak, anonymous())
    assert batch.pixels.shape == (BATCH, 3, 64, 64)
    pixels = np.memmap(next(cache.rglob("pixels.bin")), np.uint8, "r").reshape(len(store), -1)
    buffer = np.empty((BATCH, pixels.shape[1]), np.uint8)

    def copy() -> None:
        for step in range(sampler.steps(BATCH)):
            np.copyto(buffer, pixels[step * BATCH : (step + 1) * BATCH])

    copy()
    pairing = paired(lambda: epoch(store, 1), copy, rounds)
    print(peak, before, sampler.steps(BATCH) * BATCH / statistics.median(pairing.ours), pairing.ratio, *pairing.spread)


def large_set(path: Path, images: np.ndarray, count: int) -> None:
    """The set repeated to ``count`` images, every copy shifted in colour so that no two are equal."""
    out = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *images.shape[1:]))
    for start in range(0, count, len(images)):
        part = out[start : start + len(images)]
        part[:] = images[: len(part)] + np.uint8(start // len(images))
    out.flush()


def compare(folder: Path, cache: Path, rounds: int) -> tuple[ImageStore, Pairing, str]:
    """(store, ours beside the faster way of the peer, what that way is)."""
    store = open_images(folder, cache=cache)
    files = ImageFolder(str(folder), transform=PILToTensor())
    assert len(files) == len(store)
    best: tuple[Pairing, str] | None = None
    for processes in (0, workers()):
        loader = DataLoader(
            files, BATCH, shuffle=True, drop_last=True, num_workers=processes, persistent_workers=processes > 0
        )
        assert peer_epoch(loader) == epoch(store)
        pairing = paired(lambda: epoch(store), lambda loader=loader: peer_epoch(loader), rounds)
        if best is None or pairing.ratio < best[0].ratio:
            best = (pairing, f"{processes} worker processes")
    assert best is not None
    return store, *best


def main() -> int:
    options = parser(__doc__ or "")
    options.add_argument("--images", type=int, default=100_000, help="images of the memory test")
    options.add_argument("--set", default="emoji", help="embedded set of 64 pixels")
    options.add_argument("--large", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.large:
        large_epoch(*args.large, args.rounds)
        return 0
    images, table = load(args.set)
    figures: dict[str, str] = {"images, pixels, batch": f"{len(images)}, {images.shape[1]}, {BATCH}"}
    ratios = []
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place), Path(place) / "cache"
        for suffix in ("jpg", "png"):
            store, pairing, way = compare(write(folder, images, table.column("label"), suffix), cache, args.rounds)
            ratios.append(pairing.ratio)
            figures |= {f"{suffix}: {key}": value for key, value in described(pairing).items()}
            figures[f"{suffix}: the peer's faster way"] = way
            rate = len(store) // BATCH * BATCH / float(np.median(pairing.ours))
            figures[f"{suffix}: ours, images a second"] = f"{rate:.0f}"
        large_set(folder / "large.npy", images, args.images)
        large = cache / "large"  # of its own, to find its pixels
        open_images(folder / "large.npy", cache=large)
        command = [sys.executable, "-m", "benchmarks.reading", "--rounds", str(args.rounds)]
        command += ["--large", str(folder / "large.npy"), str(large)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, before, rate, share, low, high = (float(value) for value in done.stdout.split())
        figures[f"{args.images} images: peak anonymous memory"] = f"{peak:.0f} MB ({before:.0f} MB before opening)"
        figures[f"{args.images} images: images a second"] = f"{rate:.0f}"
        figures[f"{args.images} images: share of the copy bandwidth"] = f"{share:.0%} ({low:.0%} to {high:.0%})"
    report(
        args,
        "reading",
        figures,
        f"at least 10 times ImageFolder with PIL decoding, under {MEMORY:.0f} MB of anonymous memory",
        min(ratios) >= 10 and peak < MEMORY,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
