"""An encoder that has only met [MASK] where it had to foretell is worse at reading text without it, if it is not tuned."""

from __future__ import annotations

from typing import Any

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs, tasks

LABELS = 90  # a class, of 11 topics
MIXED, ALWAYS = "80/10/10", "100/0/0"
MASKS: dict[str, dict[str, Any]] = {MIXED: {}, ALWAYS: {"masks.masked": 1.0, "masks.kept": 0.0}}


class BertMaskMismatch(Claim):
    name = "bert-mask-mismatch"
    statement = (
        "Showing [MASK] at every place to foretell, never the token itself or another one, hurts frozen features, and "
        "more than it hurts fine-tuning."
    )
    source = f"{runs.BERT}, appendix C.2 and table 8: 94.0 against 94.9 F1 frozen, 94.9 against 95.4 fine-tuned"
    data = runs.DATA
    minutes = 60.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)

        asked = {
            masks: [
                tasks.FewLabels(lab, runs.recipe(seed, tasks="words", **own), "topic", LABELS) for seed in self.seeds
            ]
            for masks, own in MASKS.items()
        }
        frozen = {masks: [one.percent("probe") for one in own] for masks, own in asked.items()}
        tuned = {masks: [one.percent("pretrained") for one in own] for masks, own in asked.items()}
        rates = ", ".join(f"{masks} {own[0].best_rate('pretrained'):g}" for masks, own in asked.items())
        self.notes.append(f"topic from frozen features, by [MASK]/same/random: {runs.means(frozen)} % right")
        self.notes.append(f"topic, fine-tuned, by [MASK]/same/random: {runs.means(tuned)} % right; rates {rates}")
        self.notes.append(f"{LABELS} labels a class; {tasks.SEARCH}")
        loss = {
            name: [a - b for a, b in zip(arms[MIXED], arms[ALWAYS], strict=True)]
            for name, arms in (("frozen", frozen), ("tuned", tuned))
        }
        return [
            Finding(f"frozen features, {MIXED} over {ALWAYS}", "0.9 points F1", frozen[MIXED], frozen[ALWAYS]),
            Finding(f"what {ALWAYS} loses, frozen over fine-tuned", "0.4 points F1", loss["frozen"], loss["tuned"]),
        ]
