"""Texture and lines that go on from one patch to the next give its direction away: a gap and jitter are needed."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import patch_localization as shared
from foretell.claims.lab import Lab

STEPS = 200  # what goes on across a border is learnt more slowly than what a lens does
ARMS: dict[str, tuple[str, dict[str, object]]] = {
    "gap 0": ("textures", {"gap": 0, "jitter": 0}),
    "gap": ("textures", {"jitter": 0}),
    "gap and jitter": ("textures", {}),
    "bricks, gap 0": ("bricks", {"gap": 0, "jitter": 0}),
    "bricks, gap": ("bricks", {"jitter": 0}),
    "bricks, gap and jitter": ("bricks", {}),
}


class PatchGap(Claim):
    name = "patch-gap"
    statement = (
        "On textures, patches that touch are told by what goes on across their border, and a gap of half a patch prevents "
        "it; jitter takes away the cue of lines that run through several patches."
    )
    source = "Doersch et al. 2015 (arXiv 1505.05192), section 3: gap 48 px, jitter 7 px at 96 px"
    data = "crops of photographed grass, gravel and bricks (CC0)"
    minutes = 5.5

    def work(self, lab: Lab) -> list[Finding]:
        rows = shared.measured(self, lab, ARMS, STEPS)

        def of(arm: str) -> list[float]:
            return [row["accuracy"] for row in rows[arm]]

        at_most = [shared.CHANCE + shared.MARGIN] * len(self.seeds)
        return [
            Finding("accuracy on grass and gravel, gap 0 over half a patch", "not published", of("gap 0"), of("gap")),
            Finding(
                "accuracy on bricks, gap 0 over half a patch", "not published", of("bricks, gap 0"), of("bricks, gap")
            ),
            Finding(
                f"with gap and jitter under chance + {shared.MARGIN:g}, grass and gravel",
                "near chance",
                at_most,
                of("gap and jitter"),
            ),
            Finding(
                "accuracy on bricks with the gap, no jitter over jitter",
                "not published",
                of("bricks, gap"),
                of("bricks, gap and jitter"),
            ),
        ]
