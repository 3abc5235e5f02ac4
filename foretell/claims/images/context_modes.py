"""Where two answers are equally likely, least squares answers with their mean; an adversary makes the network choose."""

from __future__ import annotations

import numpy as np
import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.images import context_encoder as shared
from foretell.claims.images.context_losses import PAPER
from foretell.claims.lab import Lab
from foretell.counters import seed_of
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.objectives.context_measures import fill_with, holes, pictures
from foretell.recipe import Recipe

SOURCE = "gravel around one of two textures"
STEPS = 300
MODES = ("grass", "brick")
ARMS = {"L2 alone": shared.L2, "joint": {}, "adversarial alone": shared.ADVERSARIAL}


def modes() -> np.ndarray:
    """(2, 16, 16) uint8: one piece of grass and one of bricks, that fill the middle square."""
    start, half = shared.SIDE // 2, shared.SIDE // 2
    return np.stack([shared.photograph(name)[start : start + half, start : start + half] for name in MODES])


def two_modes() -> ImageStore:
    """Pieces of gravel, each stored once with each of ``modes`` in the middle, so that no piece says which it holds.

    Training pieces are of the left part of the photograph, test pieces of the right part. Columns: label, split.
    """
    quarter = shared.SIDE // 4
    found, labels, parts = [], [], []
    for part, count in (("train", shared.TRAIN), ("test", shared.TEST)):
        region, rng = shared.region("gravel", part), np.random.default_rng(seed_of("two modes", part))
        around = shared.pieces(region, count // len(MODES), rng)
        for name, content in zip(MODES, modes(), strict=True):
            piece = around.copy()
            piece[:, quarter:-quarter, quarter:-quarter] = content
            found.append(piece)
            labels += [name] * len(piece)
            parts += [part] * len(piece)
    return ImageStore.of(np.concatenate(found), Table({"label": list(labels), "split": list(parts)}), source=SOURCE)


def recipe(seed: int, arm: str) -> Recipe:
    # turned round, two modes would be four
    return shared.recipe(seed, SOURCE, STEPS, **{"views.flip": 0.0, "mask.overlap": 0, **ARMS[arm]})


class ContextEncoderModes(Claim):
    name = "context-encoder-modes"
    statement = (
        "Where a hole holds one of two textures and nothing around it says which, L2 fills it with their mean, and an "
        "adversarial loss with one of them."
    )
    source = f"{PAPER}, section 3.2"
    data = (
        "pieces of photographed gravel, each twice: with a piece of grass and with one of bricks in the middle (CC0), 32 px, "
        "grey"
    )
    minutes = 14.0

    def work(self, lab: Lab) -> list[Finding]:
        lab.add(SOURCE, two_modes)
        rows = {arm: [self._measure(lab, arm, seed) for seed in self.seeds] for arm in ARMS}
        self.notes += [f"{arm}: {shared.means(of, 'nearest', 'mean')}" for arm, of in rows.items()]
        self.notes.append(
            "nearest, mean: root mean squared distance to the nearer mode and to their mean, % of the range; every arm at the "
            "same rates"
        )

        def of(arm: str, name: str) -> list[float]:
            return [row[name] for row in rows[arm]]

        unit = "% of the range"
        return [
            Finding(
                "L2 alone: distance to the nearer mode over distance to the mean",
                "averages the modes",
                of("L2 alone", "nearest"),
                of("L2 alone", "mean"),
                unit,
            ),
            Finding(
                "distance to the nearer mode, L2 alone over joint",
                "picks a mode",
                of("L2 alone", "nearest"),
                of("joint", "nearest"),
                unit,
            ),
            Finding(
                "distance to the nearer mode, L2 alone over adversarial alone",
                "picks a mode",
                of("L2 alone", "nearest"),
                of("adversarial alone", "nearest"),
                unit,
            ),
        ]

    def _measure(self, lab: Lab, arm: str, seed: int) -> dict[str, float]:
        made = recipe(seed, arm)
        return lab.result(self.name, {"recipe": lab.key(made)}, lambda: self._judge(lab, made, seed))

    @staticmethod
    def _judge(lab: Lab, made: Recipe, seed: int) -> dict[str, float]:
        objective = shared.trained(lab, made)
        store, (_, test) = lab.store(SOURCE), lab.split(SOURCE)
        truth = pictures(store, test, shared.SIDE)
        quarter = shared.SIDE // 4
        filled = fill_with(objective, truth, holes(objective, len(truth), seed))
        content = filled[:, 0, quarter:-quarter, quarter:-quarter]
        either = torch.from_numpy(modes()).float() / 255
        to_modes = (content[:, None] - either[None]).square().mean((2, 3)).sqrt()
        to_mean = (content - either.mean(0)).square().mean((1, 2)).sqrt()
        return {"nearest": 100 * float(to_modes.amin(1).mean()), "mean": 100 * float(to_mean.mean())}
