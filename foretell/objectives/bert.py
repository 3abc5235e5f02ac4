"""BERT: masked words, and whether one text follows another.

Paper: Devlin, Chang, Lee, Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers" (arXiv 1810.04805).
Hidden: 15% of the tokens (most of them shown as [MASK]), and whether the second of two texts followed the first.
Foretold: the tokens that were there, from what stands on both sides; and that answer, from the state of [CLS].
Use it for classification, tagging, pairs and answers in text. Next sentences are taken from other documents half of the
time, so that telling topics apart goes far: the report has a topic-only baseline beside it, and later work leaves it out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from foretell.counters import Rng, seed_of
from foretell.data.table import many
from foretell.data.text.pairs import next_sentences
from foretell.data.text.textrows import NO_PAIR, Examples, TextBatch, single_texts
from foretell.data.text.tokenizer import MASKED
from foretell.data.text.tokens import TokenStore
from foretell.encoders.language import LanguageModel, MaskedHead, PairHead, Shape
from foretell.errors import InputError
from foretell.objectives.base import Exhibit, Task
from foretell.objectives.text import TextConfig, TextObjective
from foretell.views.tokens import NOT_CHOSEN, TokenMaskConfig, choose, shown
from foretell.vocabulary_loss import linear_cross_entropy

MASKING = (
    "A part of the tokens is hidden, most behind [MASK], some behind another token, some left as they are; the network "
    "foretells what was there from both sides."
)
FOLLOWING = "Of two texts, the network foretells whether the second follows the first or is from elsewhere."


class Bert(TextObjective):
    name = "bert"
    paper = "Devlin et al. 2018, arXiv 1810.04805"
    hides = "15% of the words, and whether a second text follows the first"
    foretells = "the words, from both sides; and that answer"
    good_for = "classification, tagging, pairs and answers in text; filling gaps (foretell fill)"
    roles = MASKED

    class Config(TextConfig):
        """``tasks``: published are both."""

        tasks: Literal["words", "sentences", "both"] = Field(
            "words", description="what is foretold: masked words, whether a text follows another, or both"
        )
        masks: TokenMaskConfig = TokenMaskConfig()

    config: Bert.Config

    def __init__(self, config: Bert.Config, encoder: LanguageModel, store: TokenStore) -> None:
        super().__init__(config, encoder, store)
        self.hides, self.foretells = _told(config)
        if self.paired:
            _check_pairs(store)

    # the network -----------------------------------------------------------------------------------------------------

    @property
    def paired(self) -> bool:
        return self.config.tasks != "words"

    @classmethod
    def shape(cls, config: Bert.Config, vocabulary: int) -> Shape:
        return Shape.of(config.network, vocabulary, config.length, segments=2)

    @classmethod
    def model(cls, config: Bert.Config, vocabulary: int, specials: dict[str, int]) -> LanguageModel:
        shape = cls.shape(config, vocabulary)
        if shape.norm != "post":
            raise InputError("objective.network.norm = 'pre': the BERT layout is post-norm; leave it out")
        masked, pair = config.tasks != "sentences", config.tasks != "words"
        return LanguageModel(shape, "bert", masked=masked, pair=pair, specials=specials)

    @classmethod
    def check_start(cls, config: Bert.Config, layout: str, shape: Shape) -> None:
        if shape.causal:
            raise InputError(f"the checkpoint is a {layout} decoder, which bert cannot go on with; use gpt")
        if config.tasks != "words" and layout != "bert":
            raise InputError(f"objective.tasks = '{config.tasks}': a {layout} model tells no segments apart; use words")
        if config.tasks != "words" and shape.segments < 2:
            raise InputError(
                f"objective.tasks = '{config.tasks}': the checkpoint tells no segments apart (type_vocab_size = "
                f"{shape.segments}); use words"
            )

    @classmethod
    def continued(cls, config: Bert.Config, model: LanguageModel) -> LanguageModel:
        if model.head is None and config.tasks != "sentences":
            model.head = MaskedHead(model.shape, model.layout)
        if model.pair is None and config.tasks != "words":
            model.pair = PairHead(model.shape)
        if config.tasks == "sentences":
            model.head = None
        if config.tasks == "words":
            model.pair = None
        return model

    # the data --------------------------------------------------------------------------------------------------------

    @property
    def changing(self) -> bool:
        return self.paired

    def examples(self, seed: int, epoch: int) -> Examples:
        specials, length = self.store.specials, self.config.length
        if self.paired:
            drawn = seed_of("pairs", seed, epoch)
            return next_sentences(self.store, length, specials["cls"], specials["sep"], drawn)
        return single_texts(self.store, length, specials["cls"], specials["sep"])

    def foretold(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        share = np.rint(np.float32(self.config.masks.share) * lengths.astype(np.float32))
        found: NDArray[np.int64] = np.maximum(share.astype(np.int64), 1)
        return found

    @property
    def notes(self) -> list[str]:
        told = super().notes
        if self.paired:
            first, end = self.store.sentence_spans()
            lone = int((end - first == 1).sum())
            if lone:
                told.append(f"{many(lone, 'document')} of one sentence: the text after theirs is always a random one")
            told.append(f"of the pairs {self.rows_of(0, 0).examples.label.mean():.1%} are random: the base rate")
        return told

    # the task --------------------------------------------------------------------------------------------------------

    def hide(self, batch: TextBatch, rng: Rng) -> Task:
        where = Rng(rng.seed, rng.step, rng.rows, batch.ids.device)
        hidden: dict[str, Tensor] = {}
        ids = batch.ids
        if self.encoder.head is not None:
            masks = self.config.masks
            chosen = choose(batch.example, batch.special, batch.word, masks.share, masks.whole_words, where)
            mask, vocabulary = self.store.specials["mask"], self.store.vocabulary
            used = None if len(self.store.used) == vocabulary else torch.from_numpy(self.store.used)
            ids, hidden["words"] = shown(batch.ids, chosen, mask, vocabulary, masks, where, used)
        if self.paired:
            hidden["pairs"] = batch.pair
        task = self.task_of(batch, ids=ids)
        task.hidden = hidden
        return task

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        """``words`` and ``sentences``: mean -log probability; ``right`` and ``right_pairs``: share foretold rightly."""
        states = self.states(task.visible).flatten(0, 1)
        expected = task.visible["expected"].double().mean(0) * len(task)
        parts: dict[str, Tensor] = {}
        total = states.new_zeros(())
        if "words" in task.hidden:
            wanted = task.hidden["words"].flatten()
            at = (wanted != NOT_CHOSEN).nonzero().squeeze(1)
            if len(at):
                loss, right = linear_cross_entropy(*self.encoder.prepared(states[at]), wanted[at])
                total = total + loss * (len(at) / expected[0])
                parts |= {"words": loss.detach(), "right": right}
            else:
                total = total + states.sum() * 0
        if "pairs" in task.hidden:
            answer = task.hidden["pairs"].flatten()
            at = (answer != NO_PAIR).nonzero().squeeze(1)
            assert self.encoder.pair is not None
            logits = self.encoder.pair(states[at])
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            loss = functional.cross_entropy(logits, answer[at], reduction="sum") / expected[1]
            total = total + loss
            right = (logits.argmax(1) == answer[at]).float().mean()
            parts |= {"sentences": loss.detach(), "right_pairs": right}
        return {"total": total, **parts}

    # for a person ----------------------------------------------------------------------------------------------------

    def show_words(self, batch: TextBatch, rng: Rng) -> list[tuple[str, str]]:
        task = self.hide(batch, rng)
        lines = []
        for row in range(len(batch)):
            first = batch.example[row] == 1  # of a packed row the first text
            told = ""
            if "words" in task.hidden:
                words = task.hidden["words"][row]
                told = self.listed(words[(words != NOT_CHOSEN) & first])
            if "pairs" in task.hidden:
                follows = {0: "the second text follows", 1: "the second text is from elsewhere"}
                told = "; ".join(filter(None, [told, follows[int(batch.pair[row, 0])]]))
            lines.append((self.spelled(task.visible["ids"][row][first]), told))
        return lines

    def show(self, batch: TextBatch, rng: Rng) -> Exhibit:
        lines = self.show_words(batch, rng)
        caption = {"words": MASKING, "sentences": FOLLOWING, "both": f"{MASKING} {FOLLOWING}"}[self.config.tasks]
        return Exhibit("What BERT is shown", caption, table=[("shown", "foretold"), *lines])


def _told(config: Bert.Config) -> tuple[str, str]:
    """What is hidden and what is foretold, in words."""
    words = (f"{config.masks.share:.0%} of the words", "the words, from both sides")
    follows = "whether a second text follows the first"
    if config.tasks == "both":
        return f"{words[0]}, and {follows}", f"{words[1]}; and that answer"
    return words if config.tasks == "words" else (follows, "that answer")


def _check_pairs(store: TokenStore) -> None:
    """Raises InputError for text of which no text follows another, or none is from elsewhere."""
    if len(store) < 2:
        raise InputError(
            f"{store.source}: one document, but a random second text comes from another one; give several documents "
            "(a blank line between them), or set objective.tasks=words"
        )
    first, end = store.sentence_spans()
    if (end - first).max() < 2:
        raise InputError(
            f"{store.source}: each of its {len(store):,} documents is one sentence, so that no text follows another; give "
            "documents of several (plain text: a blank line between documents and data.documents=blank; a table: several "
            "sentences in a row), or set objective.tasks=words"
        )
