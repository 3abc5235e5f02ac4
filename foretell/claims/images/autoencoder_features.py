"""What features are worth for classes of a network that copies, cleans, fills, or tells images apart.

All networks are read in the same two ways.
"""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import autoencoder as shared
from foretell.claims.images.autoencoder import SIDE, WIDE
from foretell.claims.lab import Lab
from foretell.objectives.autoencoder import Autoencoder
from foretell.objectives.autoencoder_measures import Features, Index, codes
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe
from foretell.transfer.images.features import extract

BLIND = 0.5
READS = {"pooled": "pooled features", "code": f"{WIDE} values read from the whole map"}
AUTOENCODERS: dict[str, tuple[str, dict[str, float]]] = {
    "plain": ("input", {"objective__noise": 0.0}),
    "denoising": ("clean", {}),
    "blind spots": ("hidden", {"objective__noise": 0.0, "objective__blind": BLIND}),
}
ARMS = ("untrained", *AUTOENCODERS, "simclr")


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


def autoencoder(seed: int, name: str) -> Recipe:
    """The recipe of one of the autoencoders; the untrained one's is that of the plain one."""
    target, changes = AUTOENCODERS["plain" if name == "untrained" else name]
    return shared.recipe(seed, target, WIDE, **changes)


def network(lab: Lab, name: str, seed: int) -> Autoencoder:
    """An arm's encoder with a code of ``WIDE`` values over its map, in evaluation mode.

    The code is the arm's own; over SimCLR's encoder, which has none, it is the untrained one's.
    """
    made = autoencoder(seed, "untrained" if name == "simclr" else name)
    found = lab.trained(made) if name in AUTOENCODERS else lab.build(made).eval()
    assert isinstance(found, Autoencoder)
    if name == "simclr":
        learnt = lab.trained(simclr(seed))
        assert isinstance(learnt, ImageObjective)
        found.encoder.load_state_dict(learnt.encoder.state_dict())
    return found


def read(lab: Lab, found: Autoencoder, how: str, rows: Index) -> Features:
    """(N, dim) float32 of clean pictures, ``how`` being one of ``READS``."""
    store = lab.store(shared.SOURCE)
    if how == "code":
        return codes(found, store, rows, clean=True)
    return extract(found.encoder, store, rows, found.views)


class AutoencoderFeatures(Claim):
    name = "autoencoder-features"
    statement = (
        "A wide plain autoencoder is worth no more for classes than an untrained one; denoising or filling blind spots makes "
        "it worth more, and a contrastive task more still: in pooled features as in as many values of the whole map."
    )
    source = "Pathak et al. 2016, arXiv 1604.07379, table 2 (autoencoder 53.8 against random 53.3 on PASCAL)"
    data = shared.SOURCE
    minutes = 4.0

    def work(self, lab: Lab) -> list[Finding]:
        arms = {name: [self._of(lab, name, seed) for seed in self.seeds] for name in ARMS}
        for name, rows in arms.items():
            means = (f"{sum(row[how] for row in rows) / len(rows):.1f}% of {what}" for how, what in READS.items())
            self.notes.append(f"{name}: linear probe {', '.join(means)}, clean pictures")
        self.notes.append("SimCLR's map is read by an untrained code, an autoencoder's by its own")
        return [finding for how in READS for finding in _findings(arms, how)]

    def _of(self, lab: Lab, name: str, seed: int) -> dict[str, float]:
        def work() -> dict[str, float]:
            found = network(lab, name, seed)
            return {how: shared.accuracy(lambda rows, how=how: read(lab, found, how, rows), lab) for how in READS}  # type: ignore[misc]

        made = simclr(seed) if name == "simclr" else autoencoder(seed, name)
        key = {
            "recipe": lab.key(made),
            "code": lab.key(autoencoder(seed, "untrained")),
            "untrained": name == "untrained",
        }
        return lab.result(self.name, key, work)


def _findings(arms: dict[str, list[dict[str, float]]], how: str) -> list[Finding]:
    """The comparisons of one readout."""
    of = {name: [row[how] for row in rows] for name, rows in arms.items()}
    learnt = [max(pair) for pair in zip(of["denoising"], of["blind spots"], strict=True)]
    probe = f"linear probe of {READS[how]}"
    return [
        Finding(
            f"{probe}, untrained over plain (above zero: copying taught nothing)",
            "no better than random",
            of["untrained"],
            of["plain"],
        ),
        Finding(f"{probe}, denoising over plain", "better", of["denoising"], of["plain"]),
        Finding(f"{probe}, blind spots over plain", "better", of["blind spots"], of["plain"]),
        Finding(f"{probe}, SimCLR over the better of the two", "better still", of["simclr"], learnt),
    ]
