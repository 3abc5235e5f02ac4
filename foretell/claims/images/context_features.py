"""Features learnt by filling holes: arbitrary regions against the middle square, and against a plain autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from foretell.claims.base import Claim, Finding
from foretell.claims.images.context_losses import PAPER
from foretell.claims.lab import Lab
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe
from foretell.transfer.fractions import validation_splits
from foretell.transfer.images.features import extract
from foretell.transfer.measures.probe import linear_probe

SOURCE = "@animals"
SIDE = 28
PROBED = 3000  # labelled training images of the probe
VIEWS = {"scale": (0.5, 1.0), "ratio": (1.0, 1.0), "jitter": 0.0, "grey": 0.0, "blur": 0.0}
ARMS: dict[str, dict[str, Any]] = {
    "random regions": {"name": "context_encoder", "adversarial": 0.0, "mask.kind": "region"},
    "the centre": {"name": "context_encoder", "adversarial": 0.0, "mask.kind": "centre"},
    "plain autoencoder": {"name": "autoencoder", "noise": 0.0},
}


def recipe(seed: int, arm: str) -> Recipe:
    """A run on the embedded animals with the views of the paper: crops and flips."""
    options: dict[str, Any] = {
        "data.source": SOURCE,
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
    options |= {f"objective.views.{name}": value for name, value in VIEWS.items()}
    return Recipe.load(None, options | {f"objective.{name}": value for name, value in ARMS[arm].items()})


class ContextEncoderFeatures(Claim):
    name = "context-encoder-features"
    statement = (
        "Features learnt by filling random regions beat those of the middle square and those of a plain autoencoder."
    )
    source = f"{PAPER}, section 5.2 and table 2: VOC 2007 classification 56.5 mAP against 53.8 of an autoencoder"
    data = SOURCE
    minutes = 9.0

    def work(self, lab: Lab) -> list[Finding]:
        rows = {arm: [self._measure(lab, arm, seed) for seed in self.seeds] for arm in ARMS}
        self.notes += [f"{arm}: linear probe {np.mean(scores):.1f}" for arm, scores in rows.items()]
        self.notes.append(f"probe on {PROBED} labels; its penalty is chosen on held-out ones among them, 4 trials")
        published = {"the centre": "better", "plain autoencoder": "2.7 points mAP"}
        return [
            Finding(f"linear probe, random regions over {arm}", published[arm], rows["random regions"], rows[arm])
            for arm in published
        ]

    def _measure(self, lab: Lab, arm: str, seed: int) -> float:
        made = recipe(seed, arm)
        key = {"recipe": lab.key(made), "probed": PROBED}
        return float(lab.result(self.name, key, lambda: {"accuracy": self._probe(lab, made, seed)})["accuracy"])

    @staticmethod
    def _probe(lab: Lab, made: Recipe, seed: int) -> float:
        objective = lab.trained(made)
        assert isinstance(objective, ImageObjective)
        store, (train, test) = lab.store(SOURCE), lab.split(SOURCE)
        codes, classes = store.table.codes("label")
        few = np.sort(np.random.default_rng(seed).permutation(train)[:PROBED])
        views = objective.views
        x, held = (
            extract(objective.encoder, store, rows, side=SIDE, mean=views.mean, std=views.std) for rows in (few, test)
        )
        splits, _ = validation_splits(codes[few], None, k=2, share=0.25, seed=0)
        probe, _ = linear_probe(x, codes[few], len(classes), splits=splits, trials=4)
        return 100 * float((probe.logits(held).argmax(axis=1) == codes[test]).mean())
