"""Our side of the text benchmarks: the tokens of real text, an objective, and its measured settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.datasets import sotu
from benchmarks.settle import settled
from foretell import objectives
from foretell.data.text.corpus import open_corpus
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import TokenizerConfig, trained
from foretell.data.text.tokens import TokenStore
from foretell.objectives.text import TextObjective
from foretell.train.config import TrainingConfig
from foretell.train.machine import limits


def tokens(objective: str, vocabulary: int) -> TokenStore:
    """The addresses of the presidents under a tokenizer of ``vocabulary`` entries trained on them."""
    corpus = open_corpus(sotu.load())
    kind = objectives.get(objective)
    assert issubclass(kind, TextObjective)
    return open_tokens(corpus, trained(corpus, TokenizerConfig(kind="wordpiece", vocabulary=vocabulary), kind.roles))


def made(name: str, store: TokenStore, **settings: Any) -> TextObjective:
    kind = objectives.get(name)
    assert issubclass(kind, TextObjective)
    config = kind.Config(**settings)
    torch.manual_seed(0)
    return kind(config, kind.model(config, store.vocabulary, store.specials), store)


def text_settled(objective: TextObjective, batch: int, device: str) -> tuple[TrainingConfig, float]:
    """(the settings of the text benchmarks with the precision measured here, operations a row)."""
    return settled(
        objective, TrainingConfig(batch=batch, steps=1, optimizer="adamw", rate=1e-4, clip=1.0, device=device)
    )


def shares(work: float, rows: int, seconds: list[float], device: str) -> dict[str, str]:
    """Of what the machine can do at most."""
    machine = limits(device)
    rate = work * rows / float(np.median(seconds))
    return {
        "matrix products, ours": f"{rate / 1e9:.0f} GFLOP/s",
        "matrix product at most, float32": f"{machine.float32_flops / 1e9:.0f} GFLOP/s",
        "matrix product at most, bfloat16": f"{machine.bfloat16_flops / 1e9:.0f} GFLOP/s",
        "share of the bfloat16 peak, ours": f"{rate / machine.bfloat16_flops:.2f}",
    }


def bf16_share(work: float, rows: int, seconds: list[float], device: str) -> float:
    return work * rows / float(np.median(seconds)) / limits(device).bfloat16_flops
