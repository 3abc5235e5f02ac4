"""The runs of patch localisation that the claims share, and what is measured of them.

On textures: 96 px pieces, 2 x 2 patches of 32 px with gaps of 16 px, a small encoder. On the embedded emoji: the packaged
recipe ``patch_localization``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from foretell.claims.base import Claim
from foretell.claims.images.patch_pictures import textures
from foretell.claims.lab import Lab
from foretell.counters import Rng, Rows, seed_of
from foretell.data.store import ImageStore
from foretell.objectives.patch_exhibits import agreement, embed_patches
from foretell.objectives.patch_localization import PatchLocalization
from foretell.recipe import Recipe
from foretell.views.patches import pairs

CHANCE = 12.5
# what accuracy on some thousand pairs may be off by and still be called chance, in points: three binomial deviations
MARGIN = 3.0
LENS = 0.02
STEPS = 100
GRASS = ("grass", "gravel")
# (textures, k of the lens): the stores the claims are worked out on
STORES = {
    "textures": (GRASS, 0.0),
    "textures through a lens": (GRASS, LENS),
    "bricks": (("brick",), 0.0),
}
UNPROTECTED: dict[str, object] = {"colour": "keep", "resample": 0.0, "contrast": False}


def recipe(source: str, seed: int, steps: int | None = None, **settings: object) -> Recipe:
    """A run on one of ``STORES``; ``settings`` are those of the objective. Gap and jitter stay on unless they are given."""
    options: dict[str, Any] = {
        "data.source": source,
        "objective.name": "patch_localization",
        "objective.patch": 32,
        "objective.grid": 2,
        "encoder.name": "resnet_tiny",
        "training.seed": seed,
        "training.batch": 32,
        "training.steps": steps or STEPS,
        "training.optimizer": "adamw",
        "training.rate": 2e-3,
        "training.weight_decay": 1e-4,
        "training.precision": "float32",
        "training.layout": "channels_last",
        "training.checkpoint_every": 1000,
        "training.health_every": 1000,
    }
    return Recipe.load(None, options | {f"objective.{name}": value for name, value in settings.items()})


def emoji(seed: int, **changes: object) -> Recipe:
    """The packaged recipe on the embedded emoji, with dotted keys (``__`` for the dot) changed."""
    settings = {"training.seed": seed, **{key.replace("__", "."): value for key, value in changes.items()}}
    return Recipe.load("patch_localization", settings)


def open_stores(lab: Lab) -> None:
    """Let the names of ``STORES`` stand for their stores in ``lab``."""
    for name, (which, k) in STORES.items():
        lab.add(name, lambda which=which, k=k: textures(which, k))  # type: ignore[misc]


def trained(lab: Lab, made: Recipe) -> PatchLocalization:
    objective = lab.trained(made)
    assert isinstance(objective, PatchLocalization)
    return objective


def test_part(lab: Lab, made: Recipe) -> ImageStore:
    assert made.data.source is not None
    return lab.store(made.data.source).subset(lab.split(made.data.source)[1])


def logits_on(objective: PatchLocalization, store: ImageStore, draws: int = 4, batch: int = 80) -> torch.Tensor:
    """(N, M, 8) in evaluation mode for every pair of ``draws`` grids in each image of ``store``."""
    objective.eval()
    device = objective.weights.device
    found = []
    with torch.no_grad():
        for draw in range(draws):
            for start in range(0, len(store), batch):
                images = store.read(np.arange(start, min(start + batch, len(store))))
                task = objective.hide(images, Rng(seed_of(977, draw), start, Rows.of_rank(len(images))))
                found.append(objective.logits(task.visible["patches"].to(device))[0].float().cpu())
    return torch.cat(found)


def accuracy(logits: torch.Tensor, grid: int) -> float:
    """In percent, the eight directions counting alike: 12.5 for any answer that does not look at the patches."""
    _, labels, weights = pairs(grid)
    return 100 * float(((logits.argmax(-1) == labels).float() @ weights).mean())


def position_error(objective: PatchLocalization, train: ImageStore, test: ImageStore, draws: int = 2) -> float:
    """RMSE of the place of a patch, read linearly from fc6 of that one patch, in percent of the best constant's.

    Ridge regression on patches of ``train``, its penalty by cross-validation, measured on patches of ``test``. 100 and
    more: the tower does not know where a patch lies.
    """

    def of(store: ImageStore) -> tuple[np.ndarray, np.ndarray]:
        drawn = [embed_patches(objective, store, np.arange(len(store)), seed) for seed in range(draws)]
        return tuple(torch.cat([one[name] for one in drawn]).double().numpy() for name in ("fc6", "place"))  # type: ignore[return-value]

    x, y = of(train)
    held_x, held_y = of(test)
    scale = x.std(axis=0) + 1e-6
    probe = RidgeCV(alphas=np.logspace(0, 6, 13)).fit(x / scale, y)
    error = np.sqrt(np.mean((probe.predict(held_x / scale) - held_y) ** 2))
    return 100 * float(error / np.sqrt(np.mean((y.mean(axis=0) - held_y) ** 2)))


def neighbours_of(objective: PatchLocalization, store: ImageStore) -> dict[str, float]:
    """Agreement in class and place of the nearest patch of another image, and their base rates, in percent."""
    found = embed_patches(objective, store, np.arange(len(store)), 977)
    codes = torch.as_tensor(np.asarray(store.table.codes("label")[0]), dtype=torch.int64)
    measured = agreement(found, codes[found["row"]], objective.grid)
    return {name: 100 * measured[name] for name in ("class", "class_base", "place", "place_base")}


def judged(lab: Lab, name: str, made: Recipe) -> dict[str, float]:
    """Accuracy, position error and neighbours of the run ``made`` on the test part of its textures, kept in the lab."""

    def work() -> dict[str, float]:
        objective = trained(lab, made)
        lab.say(f"{name}: measuring seed {made.training.seed}")
        test = test_part(lab, made)
        return {
            "accuracy": accuracy(logits_on(objective, test), objective.grid),
            "position": position_error(objective, objective.store, test),
            **neighbours_of(objective, test),
        }

    return lab.result("patch-textures", {"recipe": lab.key(made)}, work)


def measured(
    claim: Claim, lab: Lab, arms: Mapping[str, tuple[str, Mapping[str, object]]], steps: int | None = None
) -> dict[str, list[dict[str, float]]]:
    """What ``judged`` says of each arm, one of ``STORES`` and settings of the objective, for every seed; the means become notes."""
    open_stores(lab)
    rows = {
        arm: [judged(lab, claim.name, recipe(source, seed, steps, **settings)) for seed in claim.seeds]
        for arm, (source, settings) in arms.items()
    }
    claim.notes += [told(arm, of_arm) for arm, of_arm in rows.items()]
    return rows


def told(arm: str, rows: list[dict[str, float]]) -> str:
    """An arm's means over seeds, for the notes."""
    mean = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return (
        f"{arm}: accuracy {mean['accuracy']:.1f} (chance {CHANCE}), position error {mean['position']:.0f}% of the constant's, "
        f"nearest patch shares the place {mean['place']:.1f} (base {mean['place_base']:.1f}) and the texture "
        f"{mean['class']:.1f} (base {mean['class_base']:.1f})"
    )
