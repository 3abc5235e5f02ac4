"""What every pretext task on text shares: the tokens, the packed rows, and the transformer's settings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from foretell.counters import Rng, Rows
from foretell.data.sampler import Sampler
from foretell.data.table import many
from foretell.data.text.textrows import Examples, TextBatch, spread
from foretell.data.text.textrows import Rows as TextRows
from foretell.data.text.tokenizer import TokenizerConfig
from foretell.data.text.tokens import TokenStore
from foretell.encoders.attention import packed_mask
from foretell.encoders.language import LanguageModel, NetworkConfig, Shape
from foretell.objectives.base import Objective, Task
from foretell.settings import Settings

AT_ONCE = 1024  # documents or rows that are counted at a time


class TextConfig(Settings):
    """What the text tasks have in common."""

    length: int = Field(
        128, ge=8, description="tokens in a row, special ones too; longer documents are cut into pieces"
    )
    packed: bool = Field(True, description="several short texts in a row, none of which sees another")
    tokenizer: TokenizerConfig = TokenizerConfig()
    network: NetworkConfig = NetworkConfig()


class TextObjective(Objective):
    """A pretext task whose sample is a row of tokens of a ``TokenStore``.

    ``roles``: the special tokens it needs; ``layout``: the public layout its encoder is exported in.
    """

    kind = "text"
    needs = "text: a file, a folder, JSONL, CSV or Parquet"
    roles: ClassVar[tuple[str, ...]] = ()
    usual_training: ClassVar[dict[str, Any]] = {
        "optimizer": "adamw",
        "rate": 1e-3,
        "weight_decay": 0.01,
        "warmup": 0.1,
        "batch": 64,
        "clip": 1.0,
    }

    encoder: LanguageModel

    class Config(TextConfig):
        pass

    def __init__(self, config: TextConfig, encoder: LanguageModel, store: TokenStore) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.store = store
        self.rows_of = lru_cache(maxsize=2)(self._rows_of)

    # the network -----------------------------------------------------------------------------------------------------

    @classmethod
    def shape(cls, config: Any, vocabulary: int) -> Shape:
        """The network of ``config``."""
        raise NotImplementedError

    @classmethod
    def model(cls, config: Any, vocabulary: int, specials: dict[str, int]) -> LanguageModel:
        """A fresh network with its heads. Raises InputError for sizes that do not fit."""
        raise NotImplementedError

    @classmethod
    def check_start(cls, config: Any, layout: str, shape: Shape) -> None:
        """Raises InputError for a checkpoint of this layout and shape that the task cannot go on with."""
        raise NotImplementedError

    @classmethod
    def continued(cls, config: Any, model: LanguageModel) -> LanguageModel:
        """``model``, read from a folder and checked (``check_start``), with the heads that the task needs."""
        raise NotImplementedError

    def states(self, visible: dict[str, Tensor]) -> Tensor:
        """(B, T, width) of a task's rows; texts packed in one row do not see each other."""
        mask = packed_mask(visible["example"], self.encoder.shape.causal)
        states: Tensor = self.encoder.net(
            visible["ids"], position=visible["position"], segment=visible.get("segment"), mask=mask
        )
        return states

    # the data --------------------------------------------------------------------------------------------------------

    def examples(self, seed: int, epoch: int) -> Examples:
        """The texts or pairs of an epoch."""
        raise NotImplementedError

    def _rows_of(self, seed: int, epoch: int) -> TextRows:
        pad = self.store.specials.get("pad", 0)
        return TextRows(self.store, self.examples(seed, epoch), self.config.length, pad, packed=self.config.packed)

    @property
    def changing(self) -> bool:
        """Whether every epoch has its own texts."""
        return False

    def plan(self, seed: int, epoch: int) -> TextRows:
        return self.rows_of(seed, epoch) if self.changing else self.rows_of(0, 0)

    def foretold(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many tokens of texts of ``lengths`` are to be foretold."""
        raise NotImplementedError

    def asked(self, most: int) -> Iterator[NDArray[np.int64]]:
        """The tokens that may be foretold, in parts: of every document, or of evenly spaced ones where ``most`` are fewer."""
        first, end = self.store.token_spans()
        many = max(1, len(first) // most)
        first, end = first[::many], end[::many]
        for at in range(0, len(first), AT_ONCE):
            part = spread(first[at : at + AT_ONCE], (end - first)[at : at + AT_ONCE])
            yield self.store.ids[part].astype(np.int64)

    @property
    def notes(self) -> list[str]:
        plan = self.rows_of(0, 0)
        store, made = self.store, plan.examples
        paired = int((made.second[:, 1] > 0).sum())
        what = many(len(made), "pair") if paired else f"{many(len(made), 'piece')} of text"
        return [
            f"{many(len(store), 'document')}, {many(store.count(), 'token')} of a vocabulary of {store.vocabulary:,}",
            f"{what} in {many(len(plan), 'row')} of {self.config.length} tokens, {plan.filled:.0%} of which hold text",
        ]

    def streams(self) -> dict[str, float]:
        return {"text": 1.0}

    def steps_per_epoch(self, batch: int) -> int:
        return Sampler(len(self.rows_of(0, 0)), 0, "rows of text").steps(batch)

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> TextBatch:
        """An epoch is as many rows as the first one's plan has: where a later plan has more, some are left out."""
        sampler = Sampler(len(self.rows_of(0, 0)), seed, "rows of text")
        plan = self.plan(seed, step // sampler.steps(rows.total))
        batch = plan.read(sampler.index(step, rows) % len(plan))
        whole = plan.examples_of(sampler.index(step, Rows(0, rows.total, rows.total)) % len(plan))
        pairs = int((plan.examples.label[whole] >= 0).sum())
        tokens = int(self.foretold(plan.lengths[whole]).sum())
        batch.expected[:] = torch.tensor([max(tokens, 1), max(pairs, 1)]) / rows.total
        return batch

    def health(self, batch: TextBatch) -> Tensor:
        """(B, width): the state of the middle token of each row, special ones and padding not counted.

        The mean over all tokens would differ too little between long texts to judge by.
        """
        with torch.no_grad():
            visible = {"ids": batch.ids, "example": batch.example, "position": batch.position, "segment": batch.segment}
            states = self.states(visible).float()
            number = (~batch.special).long().cumsum(1)
            middle = (number == (number[:, -1:] + 1) // 2).long().argmax(1)
            return states[torch.arange(len(middle), device=states.device), middle]

    def show_words(self, batch: TextBatch, rng: Rng) -> list[tuple[str, str]]:
        """(what is shown, what is foretold) of each row, as text for a person."""
        raise NotImplementedError

    def spelled(self, ids: Tensor) -> str:
        """The text of tokens that follow each other, special ones by their names, without padding."""
        pad = self.store.specials.get("pad")
        text: str = self.store.tokenizer.decode([i for i in ids.tolist() if i != pad], skip_special_tokens=False)
        return text.strip()

    def listed(self, ids: Tensor) -> str:
        """Tokens from several places, each by itself."""
        return ", ".join(self.spelled(ids[at : at + 1]) for at in range(len(ids)))

    def task_of(self, batch: TextBatch, **more: Tensor) -> Task:
        """The parts of a task that every text task has; ``ids`` may be given anew."""
        visible = {
            "ids": batch.ids,
            "example": batch.example,
            "position": batch.position,
            "segment": batch.segment,
            "expected": batch.expected,
        }
        return Task({**visible, **{name: value for name, value in more.items() if name in visible}})
