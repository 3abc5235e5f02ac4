"""The runs of context encoders that the claims share: small pieces of photographed textures, each arm a setting.

The pieces are of grass, gravel and bricks; what surrounds a hole says which, how bright, and what runs into it. Square
holes in the middle, a small encoder, about half a minute a run on two cores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from foretell.claims.images.patch_pictures import FOLDER, PART
from foretell.claims.lab import Lab
from foretell.counters import Rng, Rows, seed_of
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.measures.probe import fit_probe
from foretell.objectives.context_encoder import ContextEncoder
from foretell.objectives.context_measures import filled_by_all, measure
from foretell.recipe import Recipe
from foretell.run import Run

TEXTURES = ("grass", "gravel", "brick")
SOURCE = "pieces of photographed textures"
DATA = "pieces of photographed grass, gravel and bricks (CC0), 32 px, grey"
SIDE = 32
OVERLAP = 2  # px of the middle square on each side that are seen and foretold
TRAIN, TEST = 3000, 600  # pieces of all textures together
STEPS, BATCH, RATE = 400, 64, 2e-3

L2 = {"reconstruction": 1.0, "adversarial": 0.0}
ADVERSARIAL = {"reconstruction": 0.0, "adversarial": 1.0}
ARMS: dict[str, dict[str, Any]] = {
    "L2 alone": L2,
    "joint": {},
    # the authors' code gives the filler ten times the discriminator's rate only where both losses are used
    "adversarial alone": {**ADVERSARIAL, "rate": RATE / 10, "discriminator_rate": 1.0},
    "adversarial alone, joint's rates": ADVERSARIAL,
    "L2 alone, border weight 1": {**L2, "mask.border_weight": 1.0},
    "conditioned": {"conditioned": True},
}


def photograph(name: str) -> NDArray[np.uint8]:
    """(256, 256) grey: one of ``TEXTURES``, halved so that 32 px show some of its elements."""
    return np.asarray(Image.open(FOLDER / f"{name}.png").convert("L").reduce(2))


def region(name: str, part: str) -> NDArray[np.uint8]:
    """(256, W) grey: the left part of photograph ``name`` for "train", what is right of it for "test"."""
    whole = photograph(name)
    edge = int(PART * whole.shape[1])
    return whole[:, :edge] if part == "train" else whole[:, edge:]


def pieces(whole: NDArray[np.uint8], count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(count, SIDE, SIDE) at random places of ``whole`` (H, W)."""
    every = np.lib.stride_tricks.sliding_window_view(whole, (SIDE, SIDE))
    top, left = (rng.integers(length, size=count) for length in every.shape[:2])
    return every[top, left]


def textures() -> ImageStore:
    """``TRAIN`` pieces of the left part of the photographs, ``TEST`` of the right part. Columns: label, split."""
    found, labels, parts = [], [], []
    for part, count in (("train", TRAIN), ("test", TEST)):
        for name in TEXTURES:
            number = count // len(TEXTURES)
            found.append(pieces(region(name, part), number, np.random.default_rng(seed_of("pieces", name, part))))
            labels += [name] * number
            parts += [part] * number
    return ImageStore.of(np.concatenate(found), Table({"label": list(labels), "split": list(parts)}), source=SOURCE)


def recipe(seed: int, source: str = SOURCE, steps: int = STEPS, rate: float = RATE, **settings: object) -> Recipe:
    """A run on whole pieces; ``rate``: the filler's; ``settings`` are those of the objective, by dotted key."""
    options: dict[str, Any] = {
        "data.source": source,
        "objective.name": "context_encoder",
        "objective.views.side": SIDE,
        "objective.views.scale": (1.0, 1.0),
        "objective.mask.kind": "centre",
        "objective.mask.overlap": OVERLAP,
        "objective.width": 32,
        "objective.discriminator_width": 32,
        "encoder.name": "resnet_tiny",
        "training.seed": seed,
        "training.batch": BATCH,
        "training.steps": steps,
        "training.optimizer": "adamw",
        "training.rate": rate,
        "training.weight_decay": 1e-4,
        "training.precision": "float32",
        "training.layout": "channels_last",
        "training.checkpoint_every": 1000,
        "training.health_every": 1000,
    }
    return Recipe.load(None, options | {f"objective.{name}": value for name, value in settings.items()})


def trained(lab: Lab, made: Recipe) -> ContextEncoder:
    objective = lab.trained(made)
    assert isinstance(objective, ContextEncoder)
    return objective


def judged(lab: Lab, seed: int, arm: str) -> dict[str, float]:
    """What one of ``ARMS`` does on the test pieces, in flat figures, trained and measured once for all claims.

    psnr (dB), l1 and l2 (percent), gradient and seam (ratios to the truth's) of "filled" and, with their names in front,
    "shuffled", "neighbour" and "mean"; "told": how often (percent) fills are told from real content; "accuracy" (percent)
    of the run's own discriminator on test pieces.
    """
    lab.add(SOURCE, textures)
    made = recipe(seed, **ARMS[arm])
    return lab.result("context-encoder", {"recipe": lab.key(made), "judged": 1}, lambda: _judge(lab, made, seed))


def _judge(lab: Lab, made: Recipe, seed: int) -> dict[str, float]:
    objective = trained(lab, made)
    store, (_, test) = lab.store(SOURCE), lab.split(SOURCE)
    truth, mask, filled, _ = filled_by_all(objective, store, test, seed)
    found: dict[str, float] = {}
    for arm, of in measure(truth, mask, filled)["arms"].items():
        before = "" if arm == "context_encoder" else f"{arm} "
        percent = {"l1": 100 * of["l1"], "l2": 100 * of["l2"]}
        found |= {f"{before}{name}": value for name, value in (of | percent).items()}
    found["told"] = told_apart(filled["context_encoder"], truth, mask, seed)
    found["accuracy"] = discriminated(objective, store, test, seed)
    return found


def told_while_training(lab: Lab, seed: int, arm: str) -> float:
    """Percent of contents, real and filled, that the discriminator of one of ``ARMS`` told right, mean over all its steps."""
    lab.add(SOURCE, textures)
    made = recipe(seed, **ARMS[arm])

    def work() -> dict[str, float]:
        trained(lab, made)
        lines = Run.read(lab.run_of(made)).metrics("step")
        return {"accuracy": 100 * float(np.mean([line["discriminator.accuracy"] for line in lines]))}

    return float(lab.result("context-encoder-telling", {"recipe": lab.key(made)}, work)["accuracy"])


def discriminated(objective: ContextEncoder, store: ImageStore, rows: NDArray[np.int64], seed: int) -> float:
    """Percent of held-out contents, real and filled, that the run's discriminator tells right; nan without one."""
    if objective.discriminator is None:
        return float("nan")
    objective.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(rows) - BATCH + 1, BATCH):
            own = Rows.of_rank(BATCH)
            batch = store.read(rows[np.random.default_rng(seed).permutation(len(rows))[start : start + BATCH]])
            device = objective.filler.mean.device
            task = objective.hide(batch.to(device), Rng(seed_of(seed, "judged"), start, own, device))
            found.append(float(objective.loss(task, "discriminator")["accuracy"]))
    return 100 * float(np.mean(found))


def told_apart(filled: Tensor, truth: Tensor, mask: Tensor, seed: int) -> float:
    """Percent of held-out hole contents of which a classifier knows whether they are filled or real; 50 is at random.

    (A two-sample test by classification, Lopez-Paz and Oquab, arXiv 1610.06545.) The classifier is logistic regression
    on the features of a network with random weights, which see textures; an image gives either its fill or its truth, so
    that no pair gives the answer away. Both halves are used for learning in turn. Holes are the same square in all.
    """
    rows, columns = mask[0, 0].any(1), mask[0, 0].any(0)
    content = torch.where(torch.arange(len(truth))[:, None, None, None] % 2 == 0, filled, truth)
    content = content[:, :, rows][:, :, :, columns]
    content = torch.nn.functional.interpolate(content, (28, 28), mode="nearest")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "told apart"))
        net = build_encoder(EncoderConfig(name="resnet_tiny"), content.shape[1], 28)
    net.train()  # batch statistics stand for the running ones, which an untrained network has not
    with torch.no_grad():
        features = net.map((content - content.mean()) / content.std())
        x = torch.cat([features.mean((2, 3)), features.std((2, 3))], 1).numpy()
    y = np.arange(len(x)) % 2
    order = np.random.default_rng(seed_of(seed, "halves")).permutation(len(x))
    right = 0
    for learnt, held in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        probe = fit_probe(x[learnt], y[learnt], 2, 0.1)
        right += int((probe.logits(x[held]).argmax(1) == y[held]).sum())
    return 100 * right / len(x)


def means(rows: list[dict[str, float]], *names: str) -> str:
    """The mean over seeds of some figures, for a note; what was not measured is left out."""
    found = {name: float(np.mean([row[name] for row in rows])) for name in names}
    return ", ".join(f"{name} {value:.2f}" for name, value in found.items() if not np.isnan(value))
