"""What the channel-wise fully connected layer carries, and what cannot be carried without it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.images.context_losses import PAPER
from foretell.claims.lab import Lab
from foretell.encoders.channelwise import ChannelwiseBottleneck, ChannelwiseLinear
from foretell.objectives.context_encoder import ContextEncoder
from foretell.recipe import Recipe
from foretell.views import plain

SOURCE = "@emoji"
SIDE = 128
FAR = 8  # pixels from the picture's edge that count as far from its middle
IMAGES = 8


class ContextEncoderChannelwise(Claim):
    name = "context-encoder-channelwise"
    statement = (
        "The channel-wise fully connected layer has m n^4 parameters; a change at one position reaches every position of "
        "its own map and no other map; without the layer what is far from the middle cannot reach it."
    )
    source = f"{PAPER}, section 3.1: m n^4 against m^2 n^4 parameters"
    data = f"{SOURCE}, the maps of untrained encoders at {SIDE} px"
    minutes = 0.1

    def work(self, lab: Lab) -> list[Finding]:
        rows = [lab.result(self.name, {"seed": seed}, lambda seed=seed: _measure(lab, seed)) for seed in self.seeds]  # type: ignore[misc]
        maps, positions = (int(rows[0][name]) for name in ("maps", "positions"))
        self.notes.append(
            f"{maps} maps of {positions} positions: {int(rows[0]['parameters']):,} parameters, and m n^4 is "
            f"{maps * positions**2:,}"
        )

        def of(name: str) -> list[float]:
            return [row[name] for row in rows]

        return [
            Finding(
                "parameters of a full layer over the channel-wise one's", "m", of("ratio"), [1.0] * len(rows), "times"
            ),
            Finding(
                "positions that a change at one position reaches, in its own map over the others",
                "all and none",
                of("own"),
                of("others"),
            ),
            Finding(
                f"pixels within {FAR} px of the edge that reach the middle, with the layer over without",
                "not published",
                of("with"),
                of("without"),
            ),
        ]


def _measure(lab: Lab, seed: int) -> dict[str, Any]:
    store = lab.store(SOURCE)
    images = plain(store.read(np.random.default_rng(seed).permutation(len(store))[:IMAGES]), SIDE)
    reached = {}
    found: dict[str, Any] = {}
    for layer in (True, False):
        made = Recipe.load(
            None,
            {
                "data.source": SOURCE,
                "objective.name": "context_encoder",
                "objective.views.side": SIDE,
                "objective.channelwise": layer,
                "objective.adversarial": 0.0,
                "objective.width": 16,
                "encoder.name": "resnet_tiny",
                "training.seed": seed,
            },
        )
        objective = lab.build(made)
        assert isinstance(objective, ContextEncoder)
        objective.eval()
        if layer:
            found |= _changes(objective, images, seed)
        reached[layer] = _reach(objective, images)
    return found | {"with": reached[True], "without": reached[False]}


def _changes(objective: ContextEncoder, images: torch.Tensor, seed: int) -> dict[str, float]:
    """The layer's size, and the percent of positions that change with one position of one map of real features."""
    bottleneck = objective.filler.across
    assert isinstance(bottleneck, ChannelwiseBottleneck)
    layer = bottleneck[0]
    assert isinstance(layer, ChannelwiseLinear)
    maps, positions = layer.weight.shape[:2]
    layer = copy.deepcopy(layer).double()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        x = objective.encoder.map(images).double()
        changed = x.clone()
        at = int(rng.integers(maps))
        changed.view(len(x), maps, -1)[:, at, int(rng.integers(positions))] += 1
        moved = (layer(changed) != layer(x)).flatten(2)
    others = torch.cat([moved[:, :at], moved[:, at + 1 :]], 1)
    parameters = layer.weight.numel()
    return {
        "maps": maps,
        "positions": positions,
        "parameters": parameters,
        "ratio": (maps * positions) ** 2 / parameters,
        "own": 100 * float(moved[:, at].double().mean()),
        "others": 100 * float(others.double().mean()),
    }


def _reach(objective: ContextEncoder, images: torch.Tensor) -> float:
    """Percent of the pixels near the edge that have an influence on the middle of the foretold picture."""
    pixels = images.clone().requires_grad_()
    middle = slice(SIDE // 2 - 1, SIDE // 2 + 1)
    (gradient,) = torch.autograd.grad(objective.foretell(pixels)[:, :, middle, middle].sum(), pixels)
    touched = gradient.abs().amax(1) > 0
    far = torch.ones(SIDE, SIDE, dtype=torch.bool)
    far[FAR:-FAR, FAR:-FAR] = False
    return 100 * float(touched[:, far].double().mean())
