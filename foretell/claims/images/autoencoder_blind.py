"""A pixel foretold from the others cannot copy its own noise, unless the others' noise tells it."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import autoencoder as shared
from foretell.claims.images.autoencoder import WIDE
from foretell.claims.lab import Lab

GRAIN = 1.0  # px
NEAR_ZERO = 5.0  # points


class AutoencoderBlindSpot(Claim):
    name = "autoencoder-blind-spot"
    statement = (
        "Foretelling pixels from the others copies none of a noise that is independent from pixel to pixel, but does copy one "
        "that is correlated over neighbours."
    )
    source = "Krull et al. 2019, arXiv 1811.10980; Batson and Royer 2019, arXiv 1901.11365"
    data = shared.SOURCE
    minutes = 2.0

    def work(self, lab: Lab) -> list[Finding]:
        arms = {
            "independent noise": [shared.measured(lab, shared.recipe(seed, "hidden", WIDE)) for seed in self.seeds],
            f"noise correlated over {GRAIN:g} px": [
                shared.measured(lab, shared.recipe(seed, "hidden", WIDE, objective__grain=GRAIN)) for seed in self.seeds
            ],
        }
        self.notes += [shared.told(f"blind spots, {name}", rows) for name, rows in arms.items()]
        independent, correlated = ([100 * row["copied"] for row in rows] for rows in arms.values())
        psnr, given = ([row[name] for row in arms["independent noise"]] for name in ("psnr", "psnr_given"))
        return [
            Finding(
                f"{NEAR_ZERO:g} points over the share of independent noise that is copied, either sign",
                "near zero",
                [NEAR_ZERO] * len(self.seeds),
                [abs(value) for value in independent],
            ),
            Finding(
                "share of the noise that is copied, correlated over independent noise",
                "not for correlated noise",
                correlated,
                independent,
            ),
            Finding("PSNR to the clean picture over the noisy one's, independent noise", "above", psnr, given, "dB"),
        ]
