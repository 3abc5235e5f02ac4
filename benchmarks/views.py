"""Random SimCLR views alone, ``foretell.views.augment`` beside lightly's SimCLRTransform, on one core.

    python -m benchmarks.views [--device cuda] [--profile] [--json benchmarks/results.json]

Both make two views an image of the same real images (pieces of two photographs that come with scikit-learn) with SimCLR's
published settings, blur included. lightly's transform works on one PIL image at a time, ``augment`` on a batch of stored
uint8 pixels; each has one thread. With ``--device cuda`` only ``augment`` works there: a whole GPU beside one core.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import warnings
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.harness import Pairing, described, paired, parser, report
from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.views import ViewConfig, augment

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
WANTED = {32: 4.0, 96: 3.0}


def pieces(side: int, count: int) -> np.ndarray:
    """(count, side, side, 3) uint8, cut from real photographs at random places."""
    photographs = load_sample_images().images
    rng = np.random.default_rng(0)
    cut = np.empty((count, side, side, 3), dtype=np.uint8)
    for index in range(count):
        photograph = photographs[index % len(photographs)]
        top, left = (rng.integers(length - side + 1) for length in photograph.shape[:2])
        cut[index] = photograph[top : top + side, left : left + side]
    return cut


class Ours:
    """Two views of each image of one batch, of a new step at each call."""

    def __init__(self, pixels: np.ndarray, device: torch.device) -> None:
        count, height, width, _ = pixels.shape
        stored = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        sizes = torch.tensor([[height, width]]).repeat(count, 1)
        self.images = Images(stored, sizes, torch.arange(count)).to(device)
        self.config = ViewConfig(side=height, mean=MEAN, std=STD)
        self.device = device
        self.steps = itertools.count()

    def __call__(self) -> None:
        count = len(self.images)
        rng = Rng(0, next(self.steps), Rows(0, count, count), self.device)
        for name in ("first", "second"):
            augment(self.images, self.config, rng, name)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def where(device: str) -> str:
    """On what each side works."""
    return "each on one core" if device == "cpu" else "ours on a whole GPU, lightly on one core"


def lightly_views(pixels: np.ndarray) -> Callable[[], None]:
    from lightly.transforms import SimCLRTransform

    side = pixels.shape[1]
    transform = SimCLRTransform(input_size=side, normalize={"mean": list(MEAN), "std": list(STD)})
    pictures = [Image.fromarray(picture) for picture in pixels]

    def work() -> None:
        for picture in pictures:
            transform(picture)

    return work


def by_operation(ours: Ours) -> dict[str, str]:
    """The dearest operations, in microseconds a view."""
    cuda = ours.device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * cuda
    rounds = 5
    with torch.profiler.profile(activities=kinds) as taken:
        for _ in range(rounds):
            ours()
    views = 2 * rounds * len(ours.images)
    spent = {
        event.key: (event.self_device_time_total if cuda else event.self_cpu_time_total) / views
        for event in taken.key_averages()
    }
    dearest = sorted(spent, key=spent.__getitem__, reverse=True)[:10]
    return {f"  {name}": f"{spent[name]:.2f} us a view" for name in dearest}


def measure(side: int, args: argparse.Namespace) -> None:
    pixels = pieces(side, args.batch)
    ours, peer = Ours(pixels, torch.device(args.device)), lightly_views(pixels[: args.peer_images])
    for _ in range(2):
        ours()
    peer()
    pairing = paired(ours, peer, args.rounds)
    # Both to seconds a view: the batches differ, so that a round of either lasts long enough to be timed.
    pairing = Pairing(
        [second / (2 * args.batch) for second in pairing.ours],
        [second / (2 * min(args.peer_images, args.batch)) for second in pairing.peer],
    )
    figures = described(pairing) | {
        "microseconds a view, ours": f"{statistics.median(pairing.ours) * 1e6:.1f}",
        "microseconds a view, lightly": f"{statistics.median(pairing.peer) * 1e6:.1f}",
    }
    if args.profile:
        figures |= by_operation(ours)
    wanted = WANTED.get(side, 1.0)
    report(
        args,
        f"views at {side} px",
        figures,
        f"at least {wanted:g} times lightly's views a second, {where(args.device)}",
        pairing.ratio >= wanted,
    )


def main() -> None:
    options = parser(__doc__ or "", rounds=7)
    options.add_argument("--sides", type=int, nargs="+", default=[32, 96])
    options.add_argument("--batch", type=int, default=256)
    options.add_argument("--peer-images", type=int, default=64, help="images of one round of lightly's")
    options.add_argument("--profile", action="store_true", help="also the time of each operation")
    args = options.parse_args()
    warnings.filterwarnings("ignore", module="lightly")
    torch.set_num_threads(1)
    for side in args.sides:
        measure(side, args)


if __name__ == "__main__":
    main()
