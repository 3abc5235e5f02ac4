"""With few labels a pretrained decoder is worth more than the same network from scratch, and less so with more of them."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import gpt_auxiliary, runs, tasks

FEW, MANY = 10, 90  # labels a class, of 11 topics


class GptFewLabels(Claim):
    name = "gpt-few-labels"
    statement = "Pretrained on the next word and then fine-tuned, a decoder beats training from scratch, the more so the fewer the labels."
    source = f"{runs.GPT}, table 5: 74.7 on average against 59.9 without pretraining"
    data = runs.DATA
    minutes = 34.0
    changed = (
        "rates of fine-tuning were chosen once, with 30 labels a topic (+40.9 and +16.1 points over scratch, both holding); they are "
        "chosen for each number of labels now"
    )

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        arms: dict[int, dict[str, list[float]]] = {}
        for per_class in (FEW, MANY):
            arms[per_class] = {arm: [right(lab, seed, per_class, arm) for seed in self.seeds] for arm in tasks.ARMS}
            rates = gpt_auxiliary.asked(lab, runs.decoder(self.seeds[0]), per_class).told_rates()
            self.notes.append(f"topic, {per_class} labels a class: {runs.means(arms[per_class])} % right; {rates}")
        self.notes.append(
            f"{tasks.SEARCH}; lambda {gpt_auxiliary.WEIGHT:g} where the decoder is tuned, from scratch too"
        )
        gap = {
            per_class: [a - b for a, b in zip(found["pretrained"], found["scratch"], strict=True)]
            for per_class, found in arms.items()
        }
        return [
            *(
                Finding(
                    f"topic of a text, {per_class} labels a class: fine-tuned over from scratch",
                    "14.8 points on average",
                    arms[per_class]["pretrained"],
                    arms[per_class]["scratch"],
                )
                for per_class in (FEW, MANY)
            ),
            Finding(f"the gap at {FEW} labels a class over the gap at {MANY}", "not published", gap[FEW], gap[MANY]),
        ]


def right(lab: Lab, seed: int, per_class: int, arm: tasks.Arm) -> float:
    """Percent of the test examples that ``arm`` gets right; the pretrained one's fine-tunings are those of gpt-auxiliary."""
    made = runs.decoder(seed)
    if arm == "pretrained":
        return float(gpt_auxiliary.measured(lab, made, per_class, gpt_auxiliary.WEIGHT)["percent"])
    return gpt_auxiliary.asked(lab, made, per_class).percent(arm)
