"""Choosing among pretext tasks by their own loss picks the wrong model."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import autoencoder as shared
from foretell.claims.images.autoencoder import NARROW, WIDE, WIDTHS
from foretell.claims.lab import Lab
from foretell.objectives.autoencoder_measures import picked

LOW = 0.5  # a rank correlation below this is low
GRID = [
    *[("plain", "input", width) for width in WIDTHS],
    *[
        (name, target, width)
        for name, target in (("denoising", "clean"), ("noise-to-noise", "copy"))
        for width in (NARROW, WIDE)
    ],
    ("blind spots", "hidden", WIDE),
]


class AutoencoderOwnLoss(Claim):
    name = "autoencoder-own-loss"
    statement = "Over a grid of autoencoders the pretext loss does not rank the models as their worth does."
    source = "the mission article, challenge C3: the choice of the pretext task"
    data = shared.SOURCE
    minutes = 8.0

    def work(self, lab: Lab) -> list[Finding]:
        names = [f"{name} {width}" for name, _, width in GRID]
        grid = [[shared.measured(lab, shared.recipe(seed, t, w)) for _, t, w in GRID] for seed in self.seeds]
        for at, name in enumerate(names):
            self.notes.append(shared.told(name, [rows[at] for rows in grid]))
        found = []
        for what, key in (("probe of the code", "probe"), ("PSNR to the clean picture", "psnr")):
            verdicts = [picked([row["loss"] for row in rows], [row[key] for row in rows], names) for rows in grid]
            for seed, verdict in zip(self.seeds, verdicts, strict=True):
                self.notes.append(f"seed {seed}, {what}: {verdict['sentence']}")
            found += [
                Finding(
                    f"{LOW:g} over the rank correlation of low pretext loss with {what}, {len(GRID)} models",
                    "low or negative",
                    [LOW] * len(grid),
                    [verdict["rank"] for verdict in verdicts],
                    "of rank correlation",
                ),
                Finding(
                    f"{what} of the model that is best for the other seeds, over that of the one with the lowest loss",
                    "the wrong model",
                    [rows[_best(grid, key, but=at)][key] for at, rows in enumerate(grid)],
                    [min(rows, key=lambda row: row["loss"])[key] for rows in grid],
                    "dB" if key == "psnr" else "points",
                ),
            ]
        return found


def _best(grid: list[list[dict[str, float]]], key: str, *, but: int) -> int:
    """The place of the model with the highest mean of ``key`` over all seeds ``but`` one (all, if there is one alone)."""
    others = [rows for at, rows in enumerate(grid) if at != but] or grid
    means = [sum(rows[place][key] for rows in others) for place in range(len(grid[0]))]
    return max(range(len(means)), key=means.__getitem__)
