"""What the mask generators promise: their area, what is dropped, and where the loss has a gradient."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.counters import Rng, Rows
from foretell.losses import hole_error
from foretell.objectives.context_encoder import ContextEncoder
from foretell.recipe import Recipe
from foretell.views.masks import MaskConfig, draw_masks

SOURCE = "@emoji"
SIDE = 64
MASKS = 2000
AREA, RESOLUTION = (0.2, 0.3), 0.06
IMAGES = 32


class ContextEncoderMasks(Claim):
    name = "context-encoder-masks"
    statement = (
        "Every mask keeps to its stated area, is 1 on the pixels that are dropped, and the loss has no gradient on the "
        "others."
    )
    source = (
        "Pathak et al. 2016 (arXiv 1604.07379), section 3.3, and the authors' code: 20% to 30%, drawn until it fits"
    )
    data = f"{SOURCE} at {SIDE} px, {MASKS} masks of each kind a seed"
    minutes = 0.5

    def work(self, lab: Lab) -> list[Finding]:
        rows = [lab.result(self.name, {"seed": seed}, lambda seed=seed: _measure(lab, seed)) for seed in self.seeds]  # type: ignore[misc]
        areas = "smallest and largest area, in percent: "
        for kind in ("block", "region"):
            self.notes.append(f"{kind}: {areas}{rows[0][f'{kind} low']:.1f}, {rows[0][f'{kind} high']:.1f}")

        def of(name: str) -> list[float]:
            return [row[name] for row in rows]

        return [
            Finding(
                "masks of 20 to 30 per cent at the first try, over the fixed threshold of the authors' code",
                "drawn again until it fits",
                of("within"),
                of("fixed threshold"),
            ),
            Finding(
                "pixels that show the fill, where the mask is 1 over where it is 0", "all", of("hidden"), of("shown")
            ),
            Finding(
                "seen pixels without a gradient, over a loss on the whole picture",
                "all",
                of("no gradient"),
                of("no gradient, whole"),
            ),
        ]


def fixed_threshold(seed: int, count: int) -> torch.Tensor:
    """(count, SIDE, SIDE): windows of one large picture of enlarged noise, dropped below a quarter of its range."""
    generator = torch.Generator().manual_seed(seed)
    large = 40 * SIDE
    cells = math.ceil(large * RESOLUTION)
    noise = torch.rand(1, 1, cells, cells, generator=generator)
    pattern = F.interpolate(noise, (large, large), mode="bicubic")[0, 0] < 0.25
    top, left = torch.randint(large - SIDE + 1, (2, count), generator=generator).tolist()
    return torch.stack([pattern[y : y + SIDE, x : x + SIDE] for y, x in zip(top, left, strict=True)]).float()


def _measure(lab: Lab, seed: int) -> dict[str, float]:
    found: dict[str, float] = {}
    rng = Rng(seed, 0, Rows.of_rank(MASKS))
    for kind in ("block", "region"):
        config = MaskConfig.model_validate({"kind": kind, "area": AREA, "resolution": RESOLUTION})
        areas = draw_masks(config, rng, "mask", SIDE).mean((1, 2, 3))
        found |= {f"{kind} low": 100 * float(areas.min()), f"{kind} high": 100 * float(areas.max())}
        if kind == "region":
            found["within"] = _within(areas)
    found["fixed threshold"] = _within(fixed_threshold(seed, MASKS).mean((1, 2)))
    return found | _gradients(lab, seed)


def _within(areas: torch.Tensor) -> float:
    return 100 * float(((areas >= AREA[0]) & (areas <= AREA[1])).double().mean())


def _gradients(lab: Lab, seed: int) -> dict[str, float]:
    """What the network is shown of real images, and where the loss pulls, in percent of pixels."""
    settings = {"objective.name": "context_encoder", "objective.views.side": SIDE, "training.seed": seed}
    made = Recipe.load(None, {"data.source": SOURCE, "encoder.name": "resnet_tiny", **settings})
    objective = lab.build(made)
    assert isinstance(objective, ContextEncoder)
    rows = Rows.of_rank(IMAGES)
    task = objective.hide(objective.draw("image", seed, 0, rows), Rng(seed, 0, rows))
    mask = task.hidden["mask"].expand_as(task.hidden["clean"]) == 1
    filled = task.visible["context"] == 0  # the data's mean, after normalisation
    found = {
        "hidden": 100 * float(filled[mask].double().mean()),
        "shown": 100 * float(filled[~mask].double().mean()),
    }
    for name, weights in (
        ("no gradient", task.hidden["mask"]),
        ("no gradient, whole", torch.ones_like(task.hidden["mask"])),
    ):
        picture = torch.zeros_like(task.hidden["clean"]).requires_grad_()
        (gradient,) = torch.autograd.grad(hole_error(picture, task.hidden["clean"], weights), picture)
        found[name] = 100 * float((gradient[~mask] == 0).double().mean())
    return {key: float(np.round(value, 6)) for key, value in found.items()}
