"""What next-sentence prediction adds to masked words: for a task on pairs, and for one on single texts."""

from __future__ import annotations

from collections.abc import Sequence

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs, tasks

HARDLY = 1.0  # points; published is a loss of 0.1 on single texts
LABELS = {"article": 50, "topic": 10}  # a class, of 2 answers and of 11 topics


class BertNspHelpsPairs(Claim):
    name = "bert-nsp-helps-pairs"
    statement = "Pretraining on next sentences beside masked words helps a task on pairs of texts, and one on single texts hardly."
    source = f"{runs.BERT}, table 5: without it QNLI 84.9 against 88.4, MNLI 83.9 against 84.4, SST-2 92.6 against 92.7"
    data = runs.DATA
    minutes = 32.0
    changed = (
        "it held with two findings; a third, the loss on single texts, was added, and is what did not hold (-12.0 points); a rate is "
        "chosen for each number of labels and for each network now, where one served all"
    )

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        gain = {}
        right = {}
        for task, per_class in LABELS.items():
            asked = {
                foretold: [
                    tasks.FewLabels(lab, runs.recipe(seed, tasks=foretold), task, per_class) for seed in self.seeds
                ]
                for foretold in ("both", "words")
            }
            right[task] = {foretold: [one.percent("pretrained") for one in own] for foretold, own in asked.items()}
            gain[task] = [a - b for a, b in zip(right[task]["both"], right[task]["words"], strict=True)]
            rates = ", ".join(f"{foretold} {own[0].best_rate('pretrained'):g}" for foretold, own in asked.items())
            self.notes.append(
                f"{task}, {per_class} labels a class, by what was foretold: {runs.means(right[task])} % right; rates {rates}"
            )
        self.notes.append(
            "the task on pairs: whether two sentences are of one article or of two of one topic, which is near to next "
            f"sentences themselves; on single texts: their topic. {tasks.SEARCH}"
        )
        return [
            Finding(
                "pairs, words and next sentences over words alone",
                "3.5 points on QNLI, 0.5 on MNLI",
                right["article"]["both"],
                right["article"]["words"],
            ),
            Finding(
                "gain on pairs over gain on single texts", "3.4 points, QNLI and SST-2", gain["article"], gain["topic"]
            ),
            hardly(gain["topic"]),
        ]


def hardly(gain: Sequence[float]) -> Finding:
    """Whether single texts lose less than ``HARDLY`` by next sentences, of which the gain is ``gain`` (a seed each)."""
    return Finding(
        f"single texts: gain of words and next sentences over words alone, over a loss of {HARDLY:.0f} point",
        "a loss of 0.1 points on SST-2",
        gain,
        [-HARDLY] * len(gain),
    )
