"""A lens that shifts green against red and blue gives the place of a patch away, whatever the picture shows."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import patch_localization as shared
from foretell.claims.lab import Lab

ARMS: dict[str, tuple[str, dict[str, object]]] = {
    "lens": ("textures through a lens", shared.UNPROTECTED),
    "no lens": ("textures", shared.UNPROTECTED),
    "no lens, colour dropped": ("textures", {}),
}


class PatchAberration(Claim):
    name = "patch-aberration"
    statement = (
        "On pictures whose content does not depend on the place, chromatic aberration alone lets the network foretell "
        "relative positions, and its tower knows where in the picture a patch lies. Without aberration it does neither."
    )
    source = "Doersch et al. 2015 (arXiv 1505.05192), section 3 and figure 4"
    data = "crops of two photographed textures (CC0), green magnified by 2%"
    minutes = 1.5

    def work(self, lab: Lab) -> list[Finding]:
        rows = shared.measured(self, lab, ARMS)

        def of(arm: str, name: str) -> list[float]:
            return [row[name] for row in rows[arm]]

        at_most = [shared.CHANCE + shared.MARGIN] * len(self.seeds)
        constant = [100.0] * len(self.seeds)
        return [
            Finding(
                "accuracy through the lens over chance",
                "well above",
                of("lens", "accuracy"),
                [shared.CHANCE] * len(self.seeds),
            ),
            Finding(
                "position error through the lens under the constant's, in percent of it",
                "0.255 against 0.371 (31%) on the tenth of ImageNet that shows aberration most",
                constant,
                of("lens", "position"),
            ),
            Finding(
                f"without a lens accuracy stays under chance + {shared.MARGIN:g}",
                "chance",
                at_most,
                of("no lens", "accuracy"),
            ),
            Finding(
                f"without a lens and with colour dropped too, under chance + {shared.MARGIN:g}",
                "chance",
                at_most,
                of("no lens, colour dropped", "accuracy"),
            ),
            Finding(
                "the lens's position error under that without a lens",
                "not published",
                of("no lens", "position"),
                of("lens", "position"),
            ),
        ]
