"""With the shortcut, near patches come from the same place; without it, they show the same thing."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import patch_localization as shared
from foretell.claims.lab import Lab

SOURCE = "textures through a lens"
ARMS = {
    "shortcut open": (SOURCE, shared.UNPROTECTED),
    "colour dropped": (SOURCE, {**shared.UNPROTECTED, "colour": "drop"}),
}


class PatchNeighbours(Claim):
    name = "patch-neighbours"
    statement = (
        "Where a lens gives places away, the nearest patches by the tower come from the same place of their pictures; with "
        "colour dropped they come from anywhere, and show the same class more often."
    )
    source = "Doersch et al. 2015 (arXiv 1505.05192), section 3 and figure 4"
    data = "crops of two photographed textures (CC0), green magnified by 2%"
    minutes = 1.0

    def work(self, lab: Lab) -> list[Finding]:
        rows = shared.measured(self, lab, ARMS)

        def of(arm: str, name: str) -> list[float]:
            return [row[name] for row in rows[arm]]

        near_base = [value + 5 for value in of("colour dropped", "place_base")]
        return [
            Finding(
                "shared place over its base rate, shortcut open",
                "same place",
                of("shortcut open", "place"),
                of("shortcut open", "place_base"),
            ),
            Finding(
                "shared place under base rate + 5, colour dropped",
                "near base rate",
                near_base,
                of("colour dropped", "place"),
            ),
            Finding(
                "shared class, colour dropped over shortcut open",
                "not published",
                of("colour dropped", "class"),
                of("shortcut open", "class"),
            ),
        ]
