"""With few labels a pretrained encoder is worth more than the same network from scratch: for single texts and for pairs."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs, tasks

LABELS = {"topic": (10, 90), "article": (50, 500)}  # a class; of 11 topics, and of 2 answers
WHAT = {"topic": "topic of a text", "article": "whether two sentences are of one article"}


class BertFewLabels(Claim):
    name = "bert-few-labels"
    statement = (
        "Pretrained on masked words and next sentences and then fine-tuned, an encoder beats the same network from "
        "scratch with few labels, on single texts and on pairs."
    )
    source = f"{runs.BERT}, table 1 and section 5.1 (there from 2,500 labels on, and beside other pretrained networks)"
    data = runs.DATA
    minutes = 60.0
    changed = (
        "rates of fine-tuning were chosen once, with 30 labels a topic and 200 pairs, which left topics at 90 labels below scratch "
        "(-9.0 points, -10.7 to -7.3); they are chosen for each number of labels now"
    )

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        findings = []
        for task, numbers in LABELS.items():
            for per_class in numbers:
                asked = [tasks.FewLabels(lab, runs.recipe(seed, tasks="both"), task, per_class) for seed in self.seeds]
                arms: dict[str, list[float]] = {arm: [one.percent(arm) for one in asked] for arm in tasks.ARMS}
                self.notes.append(
                    f"{task}, {per_class} labels a class: {runs.means(arms)} % right; {asked[0].told_rates()}"
                )
                findings.append(
                    Finding(
                        f"{WHAT[task]}, {per_class} labels a class: fine-tuned over from scratch",
                        "pretraining helps, most with few labels",
                        arms["pretrained"],
                        arms["scratch"],
                    )
                )
        self.notes.append(tasks.SEARCH)
        return findings
