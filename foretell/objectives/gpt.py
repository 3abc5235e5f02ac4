"""GPT: the next word, from all before it.

Papers: Radford, Narasimhan, Salimans, Sutskever, "Improving Language Understanding by Generative Pre-Training" (2018);
Radford et al., "Language Models are Unsupervised Multitask Learners" (2019) for the pre-norm form, which is the default
here (``network.norm = "post"`` is the first paper's).
Hidden: of every token what comes after it. Foretold: that token, from those before it in its document.
Use it to write on from a prompt, to score how likely a text is, and as a start for tasks written as token sequences.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.counters import Rng, Rows
from foretell.data.text.textrows import Examples, TextBatch, running_texts
from foretell.encoders.language import LanguageModel, Shape
from foretell.errors import InputError
from foretell.objectives.base import Exhibit, Task
from foretell.objectives.text import AT_ONCE, TextConfig, TextObjective
from foretell.views.tokens import NOT_CHOSEN
from foretell.vocabulary_loss import linear_cross_entropy


class Gpt(TextObjective):
    name = "gpt"
    paper = "Radford et al. 2018 and 2019"
    hides = "what comes after each word"
    foretells = "the next word, from those before it"
    good_for = "writing on from a prompt (foretell generate), scoring text, tasks written as token sequences"
    roles = ("end",)

    class Config(TextConfig):
        pass

    @classmethod
    def shape(cls, config: Gpt.Config, vocabulary: int) -> Shape:
        return Shape.of(
            config.network,
            vocabulary,
            config.length,
            causal=True,
            norm="pre",
            embedding_norm=False,
            activation="gelu_tanh",
            epsilon=1e-5,
        )

    @classmethod
    def model(cls, config: Gpt.Config, vocabulary: int, specials: dict[str, int]) -> LanguageModel:
        shape = cls.shape(config, vocabulary)
        return LanguageModel(shape, "gpt2" if shape.norm == "pre" else "openai-gpt", specials=specials)

    @classmethod
    def check_start(cls, config: Gpt.Config, layout: str, shape: Shape) -> None:
        if not shape.causal:
            raise InputError(f"the checkpoint is a {layout} encoder, which gpt cannot go on with; use bert")

    @classmethod
    def continued(cls, config: Gpt.Config, model: LanguageModel) -> LanguageModel:
        return model

    def examples(self, seed: int, epoch: int) -> Examples:
        return running_texts(self.store, self.config.length, self.store.specials["end"])

    def foretold(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        return lengths - 1

    def asked(self, most: int) -> Iterator[NDArray[np.int64]]:
        """As ``TextObjective.asked``, of rows; the token at the end of a document is among them."""
        plan = self.rows_of(0, 0)
        rows = np.arange(0, len(plan), max(1, len(plan) // most))
        for at in range(0, len(rows), AT_ONCE):
            part = rows[at : at + AT_ONCE]
            after = self.hide(plan.read(part), Rng(0, 0, Rows.of_rank(len(part)))).hidden["words"]
            yield after[after != NOT_CHOSEN].numpy()

    def hide(self, batch: TextBatch, rng: Rng) -> Task:
        task = self.task_of(batch)
        after = torch.full_like(batch.ids, NOT_CHOSEN)
        same = (batch.example[:, 1:] == batch.example[:, :-1]) & (batch.example[:, 1:] > 0)
        after[:, :-1] = torch.where(same, batch.ids[:, 1:], NOT_CHOSEN)
        task.hidden = {"words": after}
        return task

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        """``words``: mean -log probability of a token; ``right``: share of tokens that were the likeliest."""
        states = self.states(task.visible).flatten(0, 1)
        wanted = task.hidden["words"].flatten()
        at = (wanted != NOT_CHOSEN).nonzero().squeeze(1)
        loss, right = linear_cross_entropy(*self.encoder.prepared(states[at]), wanted[at])
        expected = task.visible["expected"][:, 0].double().mean() * len(task)
        return {"total": loss * (len(at) / expected), "words": loss.detach(), "right": right}

    def show_words(self, batch: TextBatch, rng: Rng) -> list[tuple[str, str]]:
        lines = []
        for row in range(len(batch)):
            ids = batch.ids[row][batch.example[row] == 1]
            half = max(1, len(ids) // 2)
            # a blank says nothing to a person: the first token from the middle on that can be seen
            at = next((at for at in range(half, len(ids)) if self.spelled(ids[at : at + 1]).strip()), half)
            lines.append((self.spelled(ids[:at]), self.spelled(ids[at : at + 1])))
        return lines

    def show(self, batch: TextBatch, rng: Rng) -> Exhibit:
        return Exhibit(
            "What GPT is shown",
            "From the tokens so far the network foretells the next one, at every place of the text at once.",
            table=[("so far", "foretold"), *self.show_words(batch, rng)],
        )
