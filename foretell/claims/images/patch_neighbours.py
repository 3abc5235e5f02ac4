"""With the shortcut, near patches come from the same place; without it, they show the same thing."""

from __future__ import annotations

from typing import Any

from foretell.claims.base import Claim, Finding
from foretell.claims.images import patch_localization as shared
from foretell.claims.lab import Lab

SOURCE = "textures through a lens"
ARMS: dict[str, dict[str, Any]] = {
    "shortcut open": dict(shared.UNPROTECTED),
    "colour dropped": {**shared.UNPROTECTED, "colour": "drop"},
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
        shared.open_stores(lab)
        rows = {
            arm: [shared.judged(lab, self.name, shared.recipe(SOURCE, seed, **settings)) for seed in self.seeds]
            for arm, settings in ARMS.items()
        }

        def of(arm: str, name: str) -> list[float]:
            return [row[name] for row in rows[arm]]

        self.notes += [shared.told(arm, measured) for arm, measured in rows.items()]
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
