"""The more layers of a pretrained decoder are taken over, the better the task is learnt.

A network with few of them is nearly one from scratch, which wants another rate than the whole: each number of layers
has its own, chosen on validation documents for the network of one seed.
"""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs, tasks
from foretell.counters import seed_of
from foretell.encoders.language import LanguageModel
from foretell.objectives.text import TextObjective
from foretell.recipe import Recipe
from foretell.transfer.networks import copied
from foretell.transfer.text.engine import at_most
from foretell.transfer.text.tuning import TextStart, fresh_model

LABELS = 30  # a class, of 11 topics
TRIED = (3e-5, *tasks.TRIED[:3])  # rates of fine-tuning, for every number of layers


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
        rates = {kept: best_rate(lab, kept) for kept in range(most + 1)}
        right = {
            kept: [measured(lab, runs.decoder(seed), kept, rate, "test") for seed in self.seeds]
            for kept, rate in rates.items()
        }
        told = {f"{kept} layers": percent for kept, percent in right.items()}
        self.notes.append(f"embeddings and {runs.means(told)} % right; {LABELS} labels a class")
        chosen = ", ".join(f"{rate:g} with {kept}" for kept, rate in rates.items())
        self.notes.append(
            f"{tasks.PACE}; rates by layers taken over: {chosen}, of {len(TRIED)} the best on validation documents, chosen once"
        )
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


def best_rate(lab: Lab, kept: int) -> float:
    """That of ``TRIED`` with which ``kept`` layers do best on validation documents; the lowest one of equals."""
    return max(TRIED, key=lambda rate: measured(lab, runs.decoder(tasks.CHOSEN_ON), kept, rate, "validation"))


def measured(lab: Lab, made: Recipe, kept: int, rate: float, part: str) -> float:
    """Percent of the texts of ``part`` whose topic is right, of a network that took over ``kept`` layers."""
    config = tasks.tuning(lab)
    seed = made.training.seed
    trial = tasks.trial_at(rate)
    key = {
        "recipe": lab.key(made), "labels": LABELS, "kept": kept, "part": part, **tasks.of_trial(trial),
        **tasks.judging(config),
    }  # fmt: skip

    def work() -> dict[str, float]:
        model, layout = tasks.ready(runs.trained_on(lab, made))
        lab.say(f"gpt-layers: seed {seed}, {kept} layers taken over, rate {rate:g}, {part}")
        data = tasks.labelled(tasks.topics(layout, "train"), LABELS, seed)
        judged = at_most(tasks.topics(layout, part), tasks.TESTED)
        start = TextStart(taken_over(model, kept, seed_of(seed, "layers") % (1 << 31)))
        return {"percent": tasks.fine_tuned(start, data, judged, config, trial, seed)}

    return float(lab.result("gpt-layers", key, work)["percent"])
