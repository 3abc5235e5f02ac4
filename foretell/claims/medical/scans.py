"""The runs of the claims on CT and MR volumes: tiles of slabs as cases, with the views of the recipe ``xray``."""

from __future__ import annotations

from typing import Any

from foretell.claims.lab import Lab
from foretell.claims.medical import micle
from foretell.claims.medical.micle import Arm
from foretell.claims.medical.volume_tiles import TILE, open_tiles
from foretell.recipe import Recipe

SOURCE = "tiles of volumes"
STEPS = (90, 110)  # of a first stage and of a second: what keeps a claim within some ten minutes
SETTINGS: dict[str, Any] = {
    **micle.SETTINGS,
    "objective.views.side": TILE,
    "objective.views.rotation": 45.0,
    "objective.views.saturation": 0.0,
    "objective.views.hue": 0.0,
    "objective.views.grey": 0.0,
}
WHERE = (
    "tiles of 40 px from slabs of 8 slices of four volumes: two human brains and a macaque's in MR (three planes), a "
    "head in CT (axial) (Debian mricron-data, invesalius-examples, PyPI nilearn: fetched by name, never shipped)"
)
DISJOINT = (
    "labels are of one human brain, and tested on is the other, the ICBM 152 template, which no pretraining has seen: "
    "patients are apart, but there is one of each, and seeds draw weights, batches and labelled cases, not patients"
)
TUNED_ON = "held-back cases of units of a strategy game (as the claims on these), not on volumes"


def recipe(lab: Lab, seed: int, arm: Arm, steps: int, **views: object) -> Recipe:
    """The packaged recipe ``claims`` for tiles; ``views`` are settings of the random views."""
    lab.add(SOURCE, open_tiles)
    changes = {
        **SETTINGS,
        **{f"objective.views.{name}": value for name, value in views.items()},
        "data.source": SOURCE,
        "objective.name": arm,
        "training.seed": seed,
        "training.steps": steps,
    }
    return Recipe.load("claims", changes)
