"""Features learnt by filling holes: arbitrary regions against the middle square, and against a plain autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.images.context_losses import PAPER
from foretell.claims.lab import Lab, Variant
from foretell.counters import Rng
from foretell.data.images import Images
from foretell.measures.probe import linear_probe
from foretell.objectives.base import Task
from foretell.objectives.context_encoder import ContextEncoder
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe
from foretell.transfer.fractions import validation_splits
from foretell.transfer.images.features import extract
from foretell.views import augment

SOURCE = "@animals"
SIDE = 28
PROBED = 3000  # labelled training images of the probe
VIEWS = {"scale": (0.5, 1.0), "ratio": (1.0, 1.0), "jitter": 0.0, "grey": 0.0, "blur": 0.0}


class WholePicture(ContextEncoder):
    """The plain autoencoder of the same networks: nothing is dropped, and the squared error is the whole picture's."""

    def hide(self, batch: Images, rng: Rng) -> Task:
        clean = augment(batch, self.views, rng, "view")
        everywhere = torch.ones_like(clean[:, :1])
        return Task({"context": clean}, {"clean": clean, "mask": everywhere, "target": everywhere})


ARMS: dict[str, tuple[str, type[ContextEncoder] | None]] = {  # the kind of holes, a variant
    "random regions": ("region", None),
    "the centre": ("centre", None),
    "plain autoencoder": ("region", WholePicture),  # its regions are not used
}


def recipe(seed: int, arm: str) -> Recipe:
    """A run on the embedded animals with the views of the paper: crops and flips."""
    options: dict[str, Any] = {
        "data.source": SOURCE,
        "objective.name": "context_encoder",
        "objective.adversarial": 0.0,
        "objective.mask.kind": ARMS[arm][0],
        "objective.views.side": SIDE,
        "encoder.name": "resnet_tiny",
        "training.seed": seed,
        "training.batch": 128,
        "training.steps": 300,
        "training.optimizer": "adamw",
        "training.rate": 2e-3,
        "training.weight_decay": 1e-4,
        "training.precision": "float32",
        "training.layout": "channels_last",
        "training.checkpoint_every": 1000,
        "training.health_every": 1000,
    }
    return Recipe.load(None, options | {f"objective.views.{name}": value for name, value in VIEWS.items()})


class ContextEncoderFeatures(Claim):
    name = "context-encoder-features"
    statement = (
        "Features learnt by filling random regions beat those of the middle square and those of a plain autoencoder with the "
        "same decoder."
    )
    source = f"{PAPER}, section 5.2 and table 2: VOC 2007 classification 56.5 mAP against 53.8 of an autoencoder"
    data = SOURCE
    minutes = 29.0

    def work(self, lab: Lab) -> list[Finding]:
        rows = {arm: [self._measure(lab, arm, seed) for seed in self.seeds] for arm in ARMS}
        self.notes += [f"{arm}: linear probe {np.mean(scores):.1f}" for arm, scores in rows.items()]
        self.notes.append(
            f"probe of the pooled features on {PROBED} labels; its penalty is chosen on held-out ones among them, 4 trials"
        )
        published = {"the centre": "better", "plain autoencoder": "2.7 points mAP"}
        return [
            Finding(f"linear probe, random regions over {arm}", published[arm], rows["random regions"], rows[arm])
            for arm in published
        ]

    def _measure(self, lab: Lab, arm: str, seed: int) -> float:
        made, kind = recipe(seed, arm), ARMS[arm][1]
        key = {"recipe": lab.key(made, kind), "probed": PROBED}
        return float(lab.result(self.name, key, lambda: {"accuracy": self._probe(lab, made, kind, seed)})["accuracy"])

    @staticmethod
    def _probe(lab: Lab, made: Recipe, kind: Variant, seed: int) -> float:
        objective = lab.trained(made, kind)
        assert isinstance(objective, ImageObjective)
        store, (train, test) = lab.store(SOURCE), lab.split(SOURCE)
        codes, classes = store.table.codes("label")
        few = np.sort(np.random.default_rng(seed).permutation(train)[:PROBED])
        x, held = (extract(objective.encoder, store, rows, objective.views) for rows in (few, test))
        splits, _ = validation_splits(codes[few], None, k=2, share=0.25, seed=0)
        probe, _ = linear_probe(x, codes[few], len(classes), splits=splits, trials=4)
        return 100 * float((probe.logits(held).argmax(axis=1) == codes[test]).mean())
