"""The autoencoders that the claims share, and what is measured of them: the embedded animals at 16 px, noise known.

The pictures are 16 px a side, 256 pixels, so that a code as wide as the picture copies them within some hundred steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from foretell.claims.lab import Lab
from foretell.objectives.autoencoder import Autoencoder
from foretell.objectives.autoencoder_measures import Features, Index, codes, measure, probe
from foretell.recipe import Recipe

SOURCE = "@animals"
SIDE = 16
NOISE = 0.7  # deviations of the data
WIDTHS = (4, 16, 64, 256)
NARROW, MIDDLE, WIDE = 16, 64, 256
STEPS = 300
BATCH = 64


def recipe(seed: int, target: str, width: int, **changes: Any) -> Recipe:
    """An autoencoder with a code of ``width``; ``changes``: dotted keys with ``__`` for the dot."""
    options: dict[str, Any] = {
        "data.source": SOURCE,
        "objective.name": "autoencoder",
        "objective.target": target,
        "objective.noise": NOISE,
        "objective.bottleneck": width,
        # whole pictures: what is given is measured as it is given
        "objective.views.side": SIDE,
        "objective.views.scale": [1.0, 1.0],
        "objective.views.ratio": [1.0, 1.0],
        "encoder.name": "vit_mini",
        "training.seed": seed,
        "training.batch": BATCH,
        "training.steps": STEPS,
        "training.optimizer": "adamw",
        "training.rate": 2e-3,
        "training.weight_decay": 1e-4,
        "training.precision": "float32",
        "training.layout": "contiguous",
        "training.checkpoint_every": 10_000,
        "training.health_every": 10_000,
    }
    return Recipe.load(None, options | {key.replace("__", "."): value for key, value in changes.items()})


def measured(lab: Lab, made: Recipe) -> dict[str, float]:
    """The figures of ``made``'s model on the test part, and "probe", the accuracy in percent of a linear probe of its code of
    noisy pictures.
    """
    return lab.result("autoencoder", {"recipe": lab.key(made)}, lambda: _measure(lab, made))


def _measure(lab: Lab, made: Recipe) -> dict[str, float]:
    objective = lab.trained(made)
    assert isinstance(objective, Autoencoder)
    store = lab.store(SOURCE)
    found = measure(objective, store, lab.split(SOURCE)[1]).record()
    return found | {"probe": accuracy(lambda rows: codes(objective, store, rows), lab)}


def accuracy(embed: Callable[[Index], Features], lab: Lab) -> float:
    """Percent of the test part that a linear probe of ``embed``'s features gets right."""
    train, test = lab.split(SOURCE)
    right = probe(embed, lab.store(SOURCE), train, test)
    assert right is not None
    return 100 * right


def told(name: str, rows: Sequence[dict[str, float]]) -> str:
    """A note on one arm: the means over seeds."""
    mean = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    return (
        f"{name}: own loss {mean['loss']:.3f}, error to the noisy {mean['noisy']:.3f}, to the clean {mean['clean']:.3f} "
        f"(the noisy picture's {mean['given']:.3f}), PSNR {mean['psnr']:.1f} dB ({mean['psnr_given']:.1f}), noise copied "
        f"{100 * mean['copied']:.1f}%, detail {100 * mean['detail']:.0f}%, probe of the code {mean['probe']:.1f}%"
    )
