"""A denoising autoencoder and noise-to-noise copy far less of the noise than a plain one; whether that grows with width."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import autoencoder as shared
from foretell.claims.images.autoencoder import NARROW, WIDE
from foretell.claims.lab import Lab

TARGETS = {"plain": "input", "denoising": "clean", "noise-to-noise": "copy"}


class AutoencoderDenoising(Claim):
    name = "autoencoder-denoising"
    statement = (
        "Foretelling the clean picture, or another noisy copy of it, copies far less of the noise than a plain autoencoder of "
        "the same width, a share that does not rise with the width, and cleans the picture."
    )
    source = "Vincent et al. 2008 (denoising); Lehtinen et al. 2018, arXiv 1803.04189 (noise-to-noise)"
    data = shared.SOURCE
    minutes = 5.0

    def work(self, lab: Lab) -> list[Finding]:
        arms = {
            (name, width): [shared.measured(lab, shared.recipe(seed, target, width)) for seed in self.seeds]
            for name, target in TARGETS.items()
            for width in (NARROW, WIDE)
        }
        self.notes += [shared.told(f"{name}, code of {width}", rows) for (name, width), rows in arms.items()]

        def of(name: str, width: int, what: str, scale: float = 1.0) -> list[float]:
            return [scale * row[what] for row in arms[name, width]]

        def rise(name: str) -> list[float]:
            both = zip(of(name, WIDE, "copied", 100), of(name, NARROW, "copied", 100), strict=True)
            return [wide - narrow for wide, narrow in both]

        found = []
        for name in ("denoising", "noise-to-noise"):
            found += [
                Finding(
                    f"share of the noise that is copied, plain over {name}, code of {WIDE}",
                    "well below the plain one's",
                    of("plain", WIDE, "copied", 100),
                    of(name, WIDE, "copied", 100),
                ),
                Finding(
                    f"rise of that share from a code of {NARROW} to {WIDE}, plain over {name}",
                    "rises less",
                    rise("plain"),
                    rise(name),
                ),
                Finding(
                    f"rise of that share from a code of {NARROW} to {WIDE}, below zero with {name}",
                    "does not rise with the width",
                    [0.0] * len(self.seeds),
                    rise(name),
                ),
                Finding(
                    f"PSNR to the clean picture, {name} over the noisy picture, code of {WIDE}",
                    "above",
                    of(name, WIDE, "psnr"),
                    of(name, WIDE, "psnr_given"),
                    "dB",
                ),
            ]
        return found
