"""What an encoder that learnt to foretell slices is worth for their labels, beside the same network with random weights."""

from __future__ import annotations

from typing import Any

from foretell.claims.base import Claim, Finding
from foretell.claims.encoders import compared_encoder
from foretell.claims.frames.frame_sequences import SLICES
from foretell.claims.frames.next_frame import PAPER, recipe, trained
from foretell.claims.lab import Lab
from foretell.claims.medical.micle import accuracy, mean

LABELLED = {10: "10 cases a class", None: "all cases"}  # of the patient who was learnt from
DRAWS = 3  # of the labelled cases, and of the random weights
TRIALS = 4  # penalties of the probe
WAYS = {"probe": "foretelling slices", "random": "random weights"}


class NextFrameFeatures(Claim):
    name = "next-frame-features"
    statement = "The frozen features of an encoder that learnt to foretell slices tell parts of the brain better than random ones."
    source = f"{PAPER}, abstract: foretelling frames as a way to learn features without labels"
    data = SLICES.where
    minutes = 2.0

    def work(self, lab: Lab) -> list[Finding]:
        rows = [self._compared(lab, seed) for seed in self.seeds]
        found = {(way, n): [accuracy(row, way, n) for row in rows] for way in WAYS for n in LABELLED}
        for way, title in WAYS.items():
            told = "; ".join(f"{labelled} {mean(found[way, n]):.1f}" for n, labelled in LABELLED.items())
            self.notes.append(f"{title}, linear probe: {told}")
        self.notes.append(
            f"top-1 of cases (mean of the slices' probabilities), mean of {DRAWS} draws of labelled cases and of random "
            f"weights; penalties of both are chosen on held-out labels, {TRIALS} trials; {SLICES.told}"
        )
        return [
            Finding(f"linear probe, {labelled}, over random weights", "above", found["probe", n], found["random", n])
            for n, labelled in LABELLED.items()
        ]

    @staticmethod
    def _compared(lab: Lab, seed: int) -> list[dict[str, Any]]:
        made = recipe(lab, SLICES, seed)
        seeds = tuple(range(1000 * seed, 1000 * seed + DRAWS))
        key = {"recipe": lab.key(made), "per_class": list(LABELLED), "seeds": list(seeds), "trials": TRIALS}

        def work() -> dict[str, Any]:
            objective = trained(lab, made)
            lab.say(f"next-frame-features, seed {seed}: {', '.join(WAYS)}")
            return compared_encoder(
                lab,
                objective,
                made.transfer,
                str(made.data.source),
                arms=tuple(WAYS),
                per_class=tuple(LABELLED),
                seeds=seeds,
                trials=TRIALS,
            )

        found: list[dict[str, Any]] = lab.result("next-frame-features", key, work)["rows"]
        return found
