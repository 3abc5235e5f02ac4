"""What a code is worth for classes: copying teaches nothing, cleaning and filling a little, telling images apart most."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import autoencoder as shared
from foretell.claims.images.autoencoder import SIDE, WIDE
from foretell.claims.lab import Lab
from foretell.objectives.autoencoder_measures import Features, Index
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe
from foretell.transfer.images.features import extract

BLIND = 0.5


def simclr(seed: int) -> Recipe:
    """SimCLR with the encoder, the size, the batch and the steps of the autoencoders."""
    base = shared.recipe(seed, "clean", WIDE)
    settings = {
        "data.source": shared.SOURCE,
        "objective.name": "simclr",
        "objective.temperature": 0.1,
        "objective.head_dim": 64,
        "objective.views.side": SIDE,
        "objective.views.scale": [0.2, 1.0],
        "objective.views.brightness": 0.4,
        "objective.views.contrast": 0.4,
        "objective.views.blur": 0.0,
        "encoder.name": base.encoder.name,
    }
    training = {f"training.{name}": getattr(base.training, name) for name in base.training.model_fields_set}
    return Recipe.load(None, settings | training)


class AutoencoderFeatures(Claim):
    name = "autoencoder-features"
    statement = (
        "A wide plain autoencoder's code is worth no more for classes than an untrained one's; denoising or filling blind "
        "spots makes it worth more, and a contrastive task more still."
    )
    source = "Pathak et al. 2016, arXiv 1604.07379, table 2 (autoencoder 53.8 against random 53.3 on PASCAL)"
    data = shared.SOURCE
    minutes = 8.0

    def work(self, lab: Lab) -> list[Finding]:
        arms = {name: [self._of(lab, name, seed) for seed in self.seeds] for name in ("untrained", *_ARMS, "simclr")}
        for name, values in arms.items():
            self.notes.append(f"{name}: linear probe {sum(values) / len(values):.1f}% on clean pictures")
        learnt = [max(pair) for pair in zip(arms["denoising"], arms["blind spots"], strict=True)]
        probe = "linear probe"
        return [
            Finding(
                f"{probe}, untrained over plain (code of {WIDE}; above zero: copying taught nothing)",
                "no better than random",
                arms["untrained"],
                arms["plain"],
            ),
            Finding(f"{probe}, denoising over plain", "better", arms["denoising"], arms["plain"]),
            Finding(f"{probe}, blind spots over plain", "better", arms["blind spots"], arms["plain"]),
            Finding(f"{probe}, SimCLR over the better of the two", "better still", arms["simclr"], learnt),
        ]

    def _of(self, lab: Lab, name: str, seed: int) -> float:
        if name == "simclr":
            made = simclr(seed)
            key = {"recipe": lab.key(made)}
            return float(lab.result(self.name, key, lambda: {"probe": self._contrastive(lab, made)})["probe"])
        target, changes = _ARMS["plain" if name == "untrained" else name]
        made = shared.recipe(seed, target, WIDE, **changes)
        return float(shared.measured(lab, made, untrained=name == "untrained")["probe_clean"])

    def _contrastive(self, lab: Lab, made: Recipe) -> float:
        objective = lab.trained(made)
        assert isinstance(objective, ImageObjective)
        views = objective.views

        def embed(rows: Index) -> Features:
            return extract(objective.encoder, lab.store(shared.SOURCE), rows, side=SIDE, mean=views.mean, std=views.std)

        return shared.accuracy(embed, lab)


_ARMS: dict[str, tuple[str, dict[str, float]]] = {
    "plain": ("input", {"objective__noise": 0.0}),
    "denoising": ("clean", {}),
    "blind spots": ("hidden", {"objective__noise": 0.0, "objective__blind": BLIND}),
}
