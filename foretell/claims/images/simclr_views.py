"""Which random views a contrastive task needs: crops and colour together, or the images are told apart by their colours."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import simclr
from foretell.claims.images.simclr import PER_CLASS
from foretell.claims.lab import Lab
from foretell.recipe import Recipe

SOURCE = "@emoji"
SIDE = 32
NO_COLOUR: dict[str, object] = {"objective__views__jitter": 0.0, "objective__views__grey": 0.0}
NO_CROP: dict[str, object] = {"objective__views__scale": [1.0, 1.0], "objective__views__ratio": [1.0, 1.0]}
ARMS: dict[str, dict[str, object]] = {"both": {}, "crops alone": NO_COLOUR, "colour alone": NO_CROP}
PROBE = f"probe on {PER_CLASS} labels a class"


def recipe(seed: int, **changes: object) -> Recipe:
    return simclr.recipe(seed, data__source=SOURCE, objective__views__side=SIDE, **changes)


def measured(lab: Lab, claim: Claim, arms: list[str]) -> dict[str, dict[str, list[float]]]:
    """Arm -> what ``simclr.judged`` gives -> a value a seed; the means are put into the claim's notes."""
    found = {}
    for arm in arms:
        rows = [simclr.judged(lab, "simclr-views", recipe(seed, **ARMS[arm])) for seed in claim.seeds]
        found[arm] = {name: [row[name] for row in rows] for name in rows[0]}
        means = {name: sum(values) / len(values) for name, values in found[arm].items()}
        claim.notes.append(
            f"{arm}: {PROBE} {means['probe']:.1f}, kNN {means['knn']:.1f}, contrastive accuracy {means['contrastive']:.1f}"
        )
    return found


class SimCLRColourShortcut(Claim):
    name = "simclr-colour-shortcut"
    statement = "Without colour distortion the contrastive task is solved better and the representation is worse."
    source = "Chen et al. 2020 (arXiv 2002.05709), section 3.1: colour histograms alone tell images apart"
    data = "@emoji at 32 px"
    minutes = 5.0

    def work(self, lab: Lab) -> list[Finding]:
        found = measured(lab, self, ["both", "crops alone"])
        without, both = found["crops alone"], found["both"]
        return [
            Finding(
                "contrastive accuracy, without colour distortion over with it",
                "higher",
                without["contrastive"],
                both["contrastive"],
            ),
            Finding(f"{PROBE}, with colour distortion over without", "higher", both["probe"], without["probe"]),
        ]


class SimCLRComposition(Claim):
    name = "simclr-composition"
    statement = "Crops and colour distortion together give a better representation than either alone."
    source = "Chen et al. 2020 (arXiv 2002.05709), section 3.1 and figure 5"
    data = "@emoji at 32 px"
    minutes = 7.0

    def work(self, lab: Lab) -> list[Finding]:
        found = measured(lab, self, list(ARMS))
        return [
            Finding(f"{PROBE}, both over {arm}", "better", found["both"]["probe"], found[arm]["probe"])
            for arm in ("crops alone", "colour alone")
        ]
