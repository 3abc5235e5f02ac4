"""What a decoder knows of tasks that it was not taught, read off its probabilities as pretraining goes on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs
from foretell.claims.text.runs import Document
from foretell.counters import seed_of
from foretell.objectives.text import TextObjective
from foretell.recipe import Recipe
from foretell.transfer.networks import evaluating

MOST = 600  # sentences of a task
WORDS = 8  # of a sentence, at least
CHOICES = 4  # texts to go on with
AT_ONCE = 64
CHANCE = {"order": 50.0, "choice": 100 / CHOICES}
WHAT = {"order": "a sentence above one with two neighbouring words exchanged", "choice": "how a lead goes on, of four"}


class GptZeroShot(Claim):
    name = "gpt-zero-shot"
    statement = (
        "Without any label, a decoder's probabilities tell a sentence from one with two words exchanged, and how a text "
        "goes on from how others do; the more so the longer it was pretrained."
    )
    source = f"{runs.GPT}, section 5 and figure 2 (right)"
    data = runs.DATA
    minutes = 12.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [measured(lab, runs.decoder(seed)) for seed in self.seeds]
        steps = sorted({int(step) for row in rows for step in row})
        findings = []
        for task, what in WHAT.items():
            right = {step: [row[str(step)][task] for row in rows] for step in steps}
            told = runs.means({f"{step} steps": percent for step, percent in right.items()})
            self.notes.append(f"{what}: {told} % right ({CHANCE[task]:.0f} at random)")
            findings += [
                Finding(
                    f"{what}: {steps[-1]} steps over chance",
                    "above chance",
                    right[steps[-1]],
                    [CHANCE[task]] * len(rows),
                ),
                Finding(
                    f"{what}: {steps[-1]} steps over {steps[1]}", "rises steadily", right[steps[-1]], right[steps[1]]
                ),
            ]
        return findings


def exchanged(sentence: str, rng: np.random.Generator) -> str | None:
    """``sentence`` with two different neighbouring words amid it exchanged; None where it is too short."""
    words = sentence.split()
    places = [at for at in range(1, len(words) - 2) if words[at].lower() != words[at + 1].lower()]
    if len(words) < WORDS or not places:
        return None
    at = int(rng.choice(places))
    return " ".join([*words[:at], words[at + 1], words[at], *words[at + 2 :]])


def orders(texts: Sequence[Document], seed: int) -> list[tuple[str, str]]:
    """(sentence, the same with two words exchanged)."""
    rng = np.random.default_rng(seed_of("exchanged", seed))
    sentences = [texts[at].sentences[0] for at in rng.permutation(len(texts))[:MOST]]
    return [(one, other) for one in sentences if (other := exchanged(one, rng)) is not None]


def choices(texts: Sequence[Document], seed: int) -> list[tuple[str, ...]]:
    """(first sentence, the one after it, second sentences of other documents of the topic)."""
    rng = np.random.default_rng(seed_of("choices", seed))
    by_topic: dict[str | None, list[Document]] = {}
    for one in texts:
        by_topic.setdefault(one.topic, []).append(one)
    found = []
    for at in rng.permutation(len(texts))[:MOST]:
        one = texts[at]
        others = [other for other in by_topic[one.topic] if other is not one]
        if len(others) < CHOICES - 1:
            continue
        drawn = rng.choice(len(others), CHOICES - 1, replace=False)
        found.append((*one.sentences[:2], *(others[number].sentences[1] for number in drawn)))
    return found


def rows_of(objective: TextObjective, before: Sequence[str], after: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """(tokens before, tokens of the text itself), which fit the positions: the beginning of the first is cut, the end of
    the second."""
    tokenizer, end, room = objective.store.tokenizer, objective.store.specials["end"], objective.encoder.shape.positions
    sides = [
        [one.ids for one in tokenizer.encode_batch(list(some), add_special_tokens=False)] for some in (before, after)
    ]
    kept = [[end, *given[-(room // 2) :]] for given in sides[0]]
    return [(given, told[: room - len(given)]) for given, told in zip(kept, sides[1], strict=True)]


def likelihood(objective: TextObjective, before: Sequence[str], after: Sequence[str]) -> NDArray[np.float64]:
    """(N,) mean log-probability of the tokens of each text ``after``, which follows ``before``."""
    model = objective.encoder
    device = next(model.parameters()).device
    rows = rows_of(objective, before, after)
    found = []
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        ids = torch.zeros(len(some), max(len(a) + len(b) for a, b in some), dtype=torch.long)
        own = torch.zeros_like(ids, dtype=torch.bool)
        for number, (a, b) in enumerate(some):
            ids[number, : len(a) + len(b)] = torch.tensor([*a, *b])  # what follows is not seen by what comes before
            own[number, len(a) : len(a) + len(b)] = True
        ids, mine = ids.to(device), own[:, 1:].to(device)
        with evaluating(model):
            logits = model.logits(model.net(ids[:, :-1])).float()
            losses = functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        found.append((-(losses * mine).sum(1) / mine.sum(1)).cpu().numpy())
    return np.concatenate(found)


def measured(lab: Lab, made: Recipe) -> dict[str, dict[str, float]]:
    """Step -> percent right of each task."""

    def work() -> dict[str, dict[str, float]]:
        seed, texts = made.training.seed, runs.of_part("test")
        tasks: dict[str, list[tuple[str, ...]]] = {
            "order": [("", *pair) for pair in orders(texts, seed)],
            "choice": choices(texts, seed),
        }
        found: dict[str, dict[str, float]] = {}
        for step, objective in lab.earlier(made):
            assert isinstance(objective, TextObjective)
            if step % runs.EVERY:
                continue
            lab.say(f"gpt-zero-shot: seed {seed}, step {step}")
            found[str(step)] = {}
            for task, rows in tasks.items():
                before = [row[0] for row in rows for _ in row[1:]]
                scores = likelihood(objective, before, [one for row in rows for one in row[1:]])
                best = scores.reshape(len(rows), -1).argmax(axis=1)
                found[str(step)][task] = 100 * float((best == 0).mean())
        return found

    return lab.result("gpt-zero-shot", {"recipe": lab.key(made), "most": MOST, "choices": CHOICES}, work)
