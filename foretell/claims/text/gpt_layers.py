"""The more layers of a pretrained decoder are taken over, the better the task is learnt."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs, tasks
from foretell.counters import seed_of
from foretell.encoders.language import LanguageModel
from foretell.objectives.text import TextObjective
from foretell.recipe import Recipe
from foretell.transfer.networks import copied
from foretell.transfer.text.comparison import at_most
from foretell.transfer.text.tuning import TextStart, fresh_model

LABELS = 30  # a class, of 11 topics


class GptLayers(Claim):
    name = "gpt-layers"
    statement = "Each further layer that is taken over from the pretrained decoder makes the fine-tuned one better."
    source = f"{runs.GPT}, figure 2 (left): up to 9 points on MNLI for all layers over the embeddings alone"
    data = runs.DATA
    minutes = 13.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        first = lab.build(runs.decoder(0))
        assert isinstance(first, TextObjective)
        most = first.encoder.shape.layers
        right = {kept: [measured(lab, runs.decoder(seed), kept) for seed in self.seeds] for kept in range(most + 1)}
        told = {f"{kept} layers": percent for kept, percent in right.items()}
        self.notes.append(f"embeddings and {runs.means(told)} % right; {LABELS} labels a class. {tasks.SEARCH}")
        return [
            Finding(
                f"topic of a text, {more} layers over {more - 1}" + (" (the embeddings alone)" if more == 1 else ""),
                "each layer helps",
                right[more],
                right[more - 1],
            )
            for more in range(1, most + 1)
        ]


def taken_over(model: LanguageModel, kept: int, seed: int) -> LanguageModel:
    """A copy of ``model`` with its embeddings and first ``kept`` layers; what comes after has fresh weights."""
    made, fresh = copied(model), fresh_model(model, seed)
    for number in range(kept, model.shape.layers):
        made.net.layers[number] = fresh.net.layers[number]
    if kept < model.shape.layers and made.net.norm is not None:
        made.net.norm = fresh.net.norm
    return made


def measured(lab: Lab, made: Recipe, kept: int) -> float:
    """Percent of test texts whose topic is right, of a network that took over ``kept`` layers."""
    config = tasks.tuning(lab)
    seed = made.training.seed
    key = {"recipe": lab.key(made), "labels": LABELS, "kept": kept, **tasks.conditions(config, "gpt")}

    def work() -> dict[str, float]:
        model, layout = tasks.ready(runs.trained_on(lab, made))
        lab.say(f"gpt-layers: seed {seed}, {kept} layers taken over")
        data = tasks.labelled(tasks.topics(layout, "train"), LABELS, seed)
        test = at_most(tasks.topics(layout, "test"), tasks.TESTED)
        start = TextStart(taken_over(model, kept, seed_of(seed, "layers") % (1 << 31)))
        return {"percent": tasks.fine_tuned(start, data, test, config, seed)}

    return float(lab.result("gpt-layers", key, work)["percent"])
