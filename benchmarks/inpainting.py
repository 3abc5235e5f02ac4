"""Holes in natural pictures filled by a context encoder, beside copying from the nearest neighbour and the mean.

    python -m benchmarks.inpainting [--seeds 3] [--steps 1200] [--json benchmarks/results.json]

64 px crops of scikit-image's colour photographs and of the Earth in satellite colours. Whole pictures and whole ranges of
longitude are held out: no pixel of a test crop is in a training crop. The hole is the middle square (32 px foretold, the
inner 28 px dropped). The same recipe once with the joint loss and once with L2 alone.

The figures are those of ``foretell.objectives.context_measures``: PSNR of each hole, averaged over images; gradient energy
of the fill over that of the truth.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.datasets import earth, skimage_pictures
from benchmarks.harness import parser, report
from foretell.counters import seed_of
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.encoders import build_encoder
from foretell.measures.intervals import paired
from foretell.objectives.context_encoder import ContextEncoder
from foretell.objectives.context_measures import filled_by_all, measure
from foretell.recipe import Recipe
from foretell.train import fit

SIDE = 64
# photographs, held out: the cat and one side of the stereo pair with the other, since they show the same
TRAINING = ("astronaut.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "retina.jpg", "rocket.jpg")
HELD_OUT = ("chelsea.png", "motorcycle_left.png")
# degrees east that are held out: the Americas' west coast to the Atlantic's middle; a crop's width is left between
LONGITUDES = (-90.0, -30.0)
CROPS = {"train": 400, "test": 100}  # of each photograph, at three sizes
SCALES = (1, 2, 3)
SETTINGS = {"joint": {}, "L2 alone": {"objective.reconstruction": 1.0, "objective.adversarial": 0.0}}


def photographs() -> tuple[list[NDArray[np.uint8]], list[str], list[str]]:
    """(crops, the picture each is of, its part): random places, the picture reduced by 1, 2 and 3."""
    folder = skimage_pictures.load().folder
    assert folder is not None
    found: list[NDArray[np.uint8]] = []
    pictures: list[str] = []
    parts: list[str] = []
    for part, names in (("train", TRAINING), ("test", HELD_OUT)):
        for name in names:
            whole = Image.open(folder / name).convert("RGB")
            rng = np.random.default_rng(seed_of("crops", name))
            for scale in SCALES:
                pixels = np.asarray(whole.reduce(scale))
                for _ in range(math.ceil(CROPS[part] / len(SCALES))):
                    top, left = (int(rng.integers(length - SIDE + 1)) for length in pixels.shape[:2])
                    found.append(pixels[top : top + SIDE, left : left + SIDE])
                    pictures.append(name)
                    parts.append(part)
    return found, pictures, parts


def earth_crops() -> tuple[list[NDArray[np.uint8]], list[str], list[str]]:
    """The same of the Earth: crops in rows and columns, without those that are of one colour (open sea, ice)."""
    loaded = earth.load("bmng")
    assert loaded.images is not None
    across = earth.WIDTH // earth.PATCH
    down = len(loaded.images) // across
    whole = loaded.images.reshape(down, across, earth.PATCH, earth.PATCH, 3).swapaxes(1, 2)
    picture = whole.reshape(down * earth.PATCH, across * earth.PATCH, 3)
    found: list[NDArray[np.uint8]] = []
    names: list[str] = []
    parts: list[str] = []
    degrees = 360 / earth.WIDTH
    for top in range(0, picture.shape[0] - SIDE + 1, SIDE):
        for left in range(0, picture.shape[1] - SIDE + 1, SIDE):
            crop = picture[top : top + SIDE, left : left + SIDE]
            west, east = (at * degrees - 180 for at in (left, left + SIDE))
            inside = west >= LONGITUDES[0] and east <= LONGITUDES[1]
            outside = east <= LONGITUDES[0] - SIDE * degrees or west >= LONGITUDES[1] + SIDE * degrees
            if crop.std(axis=(0, 1)).max() < 8 or not (inside or outside):
                continue
            found.append(crop)
            names.append("earth")
            parts.append("test" if inside else "train")
    return found, names, parts


def crops() -> ImageStore:
    """Every crop, with columns label (its picture) and split."""
    first, second = photographs(), earth_crops()
    images, pictures, parts = (a + b for a, b in zip(first, second, strict=True))
    table = Table({"label": list(pictures), "split": list(parts)})
    return ImageStore.of(np.stack(images), table, source="natural crops")


def recipe(seed: int, steps: int, device: str, setting: str) -> Recipe:
    given = {
        "objective.mask.kind": "centre",
        "objective.views.side": SIDE,
        "objective.views.scale": (1.0, 1.0),
        "training.seed": seed,
        "training.steps": steps,
        "training.device": device,
    }
    return Recipe.load("context_encoder", given | SETTINGS[setting])


def filled(store: ImageStore, made: Recipe, pictures: dict[str, NDArray[np.int64]]) -> dict[str, dict[str, float]]:
    """Picture -> flat figures of the test crops of it after training by ``made``; "all" for all of them."""
    parts = np.array(store.table.column("split"), dtype=object)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(made.training.seed, "weights"))
        encoder = build_encoder(made.encoder, store.channels, SIDE)
        assert isinstance(made.objective, ContextEncoder.Config)
        objective = ContextEncoder(made.objective, encoder, store.subset(np.flatnonzero(parts == "train")))
    fit(objective, made.training)
    out = {}
    for name, rows in pictures.items():
        truth, mask, by_arm, learnt = filled_by_all(objective, store, rows, made.training.seed)
        assert not learnt, "a test crop was learnt from"
        measured = measure(truth, mask, by_arm)["arms"]
        out[name] = {f"{arm} {key}": value for arm, of in measured.items() for key, value in of.items()}
    return out


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--steps", type=int, default=1200)
    args = options.parse_args()

    store = crops()
    parts = np.array(store.table.column("split"), dtype=object)
    labels = np.array(store.table.column("label"), dtype=object)
    test = np.flatnonzero(parts == "test")
    pictures = {"all": test} | {name: test[labels[test] == name] for name in (*HELD_OUT, "earth")}
    print(f"{int((parts == 'train').sum()):,} training crops, {len(test):,} test crops", flush=True)
    found: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in SETTINGS}
    for seed in range(args.seeds):
        for setting in SETTINGS:
            made = recipe(seed, args.steps, args.device, setting)
            found[setting].append(filled(store, made, pictures))
            own = found[setting][-1]["all"]
            print(
                f"seed {seed}, {setting}: PSNR {own['context_encoder psnr']:.2f} dB, neighbour {own['neighbour psnr']:.2f}, "
                f"mean {own['mean psnr']:.2f}, gradient energy {own['context_encoder gradient']:.2f}",
                flush=True,
            )

    def of(setting: str, figure: str, picture: str = "all") -> list[float]:
        return [one[picture][figure] for one in found[setting]]

    def sharpness(setting: str) -> list[float]:
        return [-abs(math.log(max(value, 1e-9))) for value in of(setting, "context_encoder gradient")]

    margins = {
        arm: paired(of("joint", "context_encoder psnr"), of("joint", f"{arm} psnr"))
        for arm in ("neighbour", "mean", "shuffled")
    }
    nearer = paired(sharpness("joint"), sharpness("L2 alone"))
    arms = (("joint", "context_encoder"), ("L2 alone", "context_encoder"), ("joint", "neighbour"), ("joint", "mean"))
    figures = {
        f"{picture}: PSNR in the hole, dB, joint / L2 alone / neighbour / mean": " / ".join(
            f"{np.mean(of(setting, f'{arm} psnr', picture)):.2f}" for setting, arm in arms
        )
        for picture in pictures
    } | {
        f"joint over {arm}, dB, 95% interval": f"{margin.mean:+.2f} ({margin.low:+.2f} to {margin.high:+.2f})"
        for arm, margin in margins.items()
    }
    figures["gradient energy, true = 1, joint / L2 alone"] = " / ".join(
        f"{np.mean(of(setting, 'context_encoder gradient')):.2f}" for setting in SETTINGS
    )
    figures["joint nearer the true gradient energy, nats"] = (
        f"{nearer.mean:+.2f} ({nearer.low:+.2f} to {nearer.high:+.2f})"
    )
    figures["L1 and L2 in the hole, %, joint"] = " and ".join(
        f"{100 * np.mean(of('joint', f'context_encoder {name}')):.2f}" for name in ("l1", "l2")
    )
    figures["seeds, steps"] = f"{args.seeds}, {args.steps}"
    report(
        args,
        "Inpainting natural crops",
        figures,
        "joint: PSNR above neighbour copying and the mean fill; gradient energy nearer the truth's than L2 alone",
        margins["neighbour"].low > 0 and margins["mean"].low > 0 and nearer.low > 0,
    )


if __name__ == "__main__":
    main()
