"""What tells two texts of a pair apart: without [SEP] between them, segment embeddings have to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs
from foretell.claims.text.bert_next_sentence import measured
from foretell.data.text.textrows import Examples
from foretell.objectives.bert import Bert
from foretell.objectives.text import TextObjective


class WithoutSeparator(Bert):
    """Pairs with no [SEP] between the two texts, told apart by their segments alone."""

    def examples(self, seed: int, epoch: int) -> Examples:
        made = super().examples(seed, epoch)
        return replace(made, between=np.full(len(made), -1, np.int64))


class WithoutEither(WithoutSeparator):
    """Nothing says where the first text ends."""

    def states(self, visible: dict[str, Tensor]) -> Tensor:
        return super().states({name: value for name, value in visible.items() if name != "segment"})


ARMS: dict[str, type[TextObjective] | None] = {
    "both": None,
    "segments alone": WithoutSeparator,
    "neither": WithoutEither,
}


class BertSegments(Claim):
    name = "bert-segments"
    statement = "Where no [SEP] stands between two texts, next sentences are foretold worse without segment embeddings."
    source = f"{runs.BERT}, section 3 and figure 2 (both are used; no figure)"
    data = runs.DATA
    minutes = 42.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        right = {
            arm: [measured(lab, runs.recipe(seed, tasks="both"), runs.SOURCE, kind)["network"] for seed in self.seeds]
            for arm, kind in ARMS.items()
        }
        self.notes.append(f"right pairs: {runs.means(right)} %; both: [SEP] and segments")
        return [
            Finding(
                "right pairs without [SEP], segment embeddings over none",
                "told apart by segments",
                right["segments alone"],
                right["neither"],
            )
        ]
