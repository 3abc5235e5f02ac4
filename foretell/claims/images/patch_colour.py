"""Dropping colours, or projecting one axis out of them, closes the shortcut that a lens opens."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import patch_localization as shared
from foretell.claims.lab import Lab

SOURCE = "textures through a lens"
ARMS = {
    "no countermeasure": (SOURCE, shared.UNPROTECTED),
    "colour dropped": (SOURCE, {**shared.UNPROTECTED, "colour": "drop"}),
    "uniform noise": (SOURCE, {**shared.UNPROTECTED, "colour": "drop", "noise": "uniform"}),
    "projection": (SOURCE, {**shared.UNPROTECTED, "colour": "projection"}),
}


class PatchColour(Claim):
    name = "patch-colour"
    statement = (
        "Colour dropping takes away what chromatic aberration tells: accuracy falls to chance and the tower no longer knows "
        "where a patch lies. Projection takes away a part of it."
    )
    source = "Doersch et al. 2015 (arXiv 1505.05192), section 3: position error 0.371 by chance, 0.255, with projection 0.321"
    data = "crops of two photographed textures (CC0), green magnified by 2%"
    minutes = 2.0

    def work(self, lab: Lab) -> list[Finding]:
        rows = shared.measured(self, lab, ARMS)

        def of(arm: str, name: str) -> list[float]:
            return [row[name] for row in rows[arm]]

        at_most = [shared.CHANCE + shared.MARGIN] * len(self.seeds)
        found = []
        for arm in ("colour dropped", "uniform noise"):
            found += [
                Finding(f"accuracy under chance + {shared.MARGIN:g}, {arm}", "chance", at_most, of(arm, "accuracy")),
                Finding(
                    f"position error at least 97% of the constant's, {arm}",
                    "the constant's",
                    of(arm, "position"),
                    [97.0] * len(self.seeds),
                ),
            ]
        return [
            *found,
            Finding(
                "accuracy without countermeasure over projection",
                "not published",
                of("no countermeasure", "accuracy"),
                of("projection", "accuracy"),
            ),
            Finding(
                "position error with projection over that without countermeasure",
                "18 points of the constant's",
                of("projection", "position"),
                of("no countermeasure", "position"),
            ),
        ]
