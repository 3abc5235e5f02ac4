"""Next-sentence prediction: far above the base rate, how much of it topics alone explain, and what order has to do with it."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs
from foretell.objectives.text import TextObjective
from foretell.objectives.text_measures import HeldOut, pair_guesses
from foretell.recipe import Recipe

ROWS = 5000  # of pairs that are measured on, at most


class BertNextSentence(Claim):
    name = "bert-next-sentence"
    statement = (
        "Whether a text follows another is foretold far better than by the more frequent answer, and worse where the "
        "sentences of each document are shuffled."
    )
    source = f"{runs.BERT}, section 3.1 (97 to 98% right against 50%)"
    data = runs.DATA
    minutes = 80.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = {
            source: [measured(lab, runs.recipe(seed, source=source, tasks="both"), source) for seed in self.seeds]
            for source in (runs.SOURCE, runs.SHUFFLED)
        }
        for source, found in rows.items():
            told = runs.means({name: [row[name] for row in found] for name in found[0]})
            self.notes.append(f"{source}: {told} % right")
        self.notes.append(
            "base: the more frequent answer; topic: a linear model on how alike the two texts' words are; length: on their "
            "lengths. Random texts are of another document, so that topics tell much."
        )
        ordered = {name: [row[name] for row in rows[runs.SOURCE]] for name in rows[runs.SOURCE][0]}
        mixed = {name: [row[name] for row in rows[runs.SHUFFLED]] for name in rows[runs.SHUFFLED][0]}
        gain = {
            source: [a - b for a, b in zip(found["network"], found["base"], strict=True)]
            for source, found in (("ordered", ordered), ("shuffled", mixed))
        }
        return [
            Finding("right pairs, network over the base rate", "about 47 points", ordered["network"], ordered["base"]),
            Finding(
                "right pairs, network over the lengths alone",
                "no length artefact",
                ordered["network"],
                ordered["length"],
            ),
            Finding(
                "gain over the base rate, sentences in order over shuffled ones",
                "falls when shuffled",
                gain["ordered"],
                gain["shuffled"],
            ),
        ]


def measured(lab: Lab, made: Recipe, source: str, kind: type[TextObjective] | None = None) -> dict[str, float]:
    """Percent of held-out pairs that the network (of another ``kind`` than the recipe's) and guesses get right."""

    def work() -> dict[str, float]:
        objective = runs.trained_on(lab, made, kind)
        store = lab.text(source).subset(lab.split(source, "test")[0])
        held = HeldOut(objective, store, 1, ROWS)
        guesses = pair_guesses(objective, held)
        found = {"network": held.parts(objective)["right_pairs"], **guesses}
        return {name: 100 * value for name, value in found.items()}

    key = {"recipe": lab.key(made, kind), "rows": ROWS, "guesses": "on the network's pairs"}
    return lab.result("bert-next-sentence", key, work)
