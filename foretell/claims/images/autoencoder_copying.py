"""A plain autoencoder on noisy pictures copies the noise as soon as its code has room, and its own loss praises it."""

from __future__ import annotations

from itertools import pairwise

from foretell.claims.base import Claim, Finding
from foretell.claims.images import autoencoder as shared
from foretell.claims.images.autoencoder import MIDDLE, WIDTHS
from foretell.claims.lab import Lab


def _arms(claim: Claim, lab: Lab) -> dict[int, list[dict[str, float]]]:
    """The plain autoencoders by width, one row a seed, and a note on each."""
    arms = {w: [shared.measured(lab, shared.recipe(seed, "input", w)) for seed in claim.seeds] for w in WIDTHS}
    claim.notes += [shared.told(f"plain, code of {width}", rows) for width, rows in arms.items()]
    return arms


class AutoencoderCopying(Claim):
    name = "autoencoder-copying"
    statement = "A plain autoencoder trained on noisy pictures copies their noise, the more the wider its code."
    source = "the mission article, challenge C3: an autoencoder also imitates the noise of the original"
    data = shared.SOURCE
    minutes = 3.5

    def work(self, lab: Lab) -> list[Finding]:
        arms = _arms(self, lab)
        copied = {width: [100 * row["copied"] for row in rows] for width, rows in arms.items()}
        least = [min(copied[b][i] - copied[a][i] for a, b in pairwise(WIDTHS)) for i in range(len(self.seeds))]
        none = [0.0] * len(self.seeds)
        return [
            Finding(
                f"share of the noise that is copied, the smallest rise from one width to the next ({_listed()})",
                "rises with the width",
                least,
                none,
            ),
            Finding(
                f"share of the noise that is copied at the widest ({WIDTHS[-1]}), over a half",
                "over a half when wide",
                copied[WIDTHS[-1]],
                [50.0] * len(self.seeds),
            ),
        ]


class AutoencoderWidth(Claim):
    name = "autoencoder-width"
    statement = (
        "With the width of the code the error to the noisy picture keeps falling, while that to the clean one falls and "
        "rises again: the pretext's own measure misleads."
    )
    source = "the mission article, challenge C3"
    data = shared.SOURCE
    minutes = 3.5

    def work(self, lab: Lab) -> list[Finding]:
        arms = _arms(self, lab)
        noisy, clean = (
            {width: [100 * row[name] for row in rows] for width, rows in arms.items()} for name in ("noisy", "clean")
        )
        least = [min(noisy[a][i] - noisy[b][i] for a, b in pairwise(WIDTHS)) for i in range(len(self.seeds))]
        unit = "% of the data's variance"
        return [
            Finding(
                f"error to the noisy picture, the smallest fall from one width to the next ({_listed()})",
                "falls throughout",
                least,
                [0.0] * len(self.seeds),
                unit,
            ),
            Finding(
                f"error to the clean picture, code of {WIDTHS[0]} over {MIDDLE}",
                "falls at first",
                clean[WIDTHS[0]],
                clean[MIDDLE],
                unit,
            ),
            Finding(
                f"error to the clean picture, code of {WIDTHS[-1]} over {MIDDLE}",
                "rises again",
                clean[WIDTHS[-1]],
                clean[MIDDLE],
                unit,
            ),
        ]


def _listed() -> str:
    return ", ".join(map(str, WIDTHS))
