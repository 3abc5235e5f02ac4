"""What a text model foretells of whole passages, for the report: hidden words, the next token everywhere, pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from foretell.counters import seed_of
from foretell.data.text.letters import is_word
from foretell.data.text.tokenizer import continuation_prefix, unused_ids
from foretell.data.text.tokens import TokenStore
from foretell.encoders.language import LanguageModel
from foretell.objectives.text import TextObjective
from foretell.verbs.text_examples import beginnings, pieces

PASSAGES, TOKENS = 3, 56
HIDDEN = 0.15  # share of a passage's tokens
GUESSES = 4
PAIRS, SHOWN = 6, 40  # pairs, and tokens of each text that are kept

Piece = dict[str, Any]


def reading(model: LanguageModel, store: TokenStore, seed: int, over: TextObjective | None) -> dict[str, Any]:
    """{"masked": passages, "surprise": passages, "pairs": pairs} of ``store``, those that the model's heads can foretell.

    A passage is a list of pieces {"text"} that make up its text. A hidden one has "guesses" [(word, probability)],
    "share", the probability of what was hidden, and "right". With a decoder every piece has "share" and its one best
    guess. ``over``: the pretext task on the same documents, for pairs.
    """
    was = model.training
    model.eval()
    tokens = min(TOKENS, model.shape.positions - 2)  # with [CLS] and [SEP]
    passages = beginnings(store, tokens, PASSAGES, np.random.default_rng(seed_of("passages", seed)))
    found: dict[str, Any] = {}
    with torch.no_grad():
        if model.head is not None:
            found["masked"] = [_masked(model, store, ids, seed) for ids in passages]
        if model.shape.causal:
            found["surprise"] = [_surprise(model, store, ids) for ids in passages]
        if model.pair is not None and over is not None:
            found["pairs"] = _pairs(model, over)
    model.train(was)
    return found


def _device(model: LanguageModel) -> torch.device:
    return next(model.parameters()).device


def _masked(model: LanguageModel, store: TokenStore, ids: list[int], seed: int) -> list[Piece]:
    specials = store.specials
    texts = pieces(store.tokenizer, ids)
    hidden = _chosen(texts, seed)
    shown = [specials["mask"] if place in hidden else token for place, token in enumerate(ids)]
    given = torch.tensor([[specials["cls"], *shown, specials["sep"]]], device=_device(model))
    chances = _chances(model, store, model.net(given)[0, 1:-1])
    passage: list[Piece] = [{"text": text} for text in texts]
    for place in hidden:
        best = chances[place].topk(GUESSES)
        guesses = [
            (store.tokenizer.decode([token]).strip(), value)
            for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        share = float(chances[place, ids[place]])
        passage[place] |= {"guesses": guesses, "share": share, "right": int(best.indices[0]) == ids[place]}
    return passage


def _chosen(texts: list[str], seed: int) -> set[int]:
    """Places of whole words, no two beside each other."""
    beginnings = [place for place, text in enumerate(texts) if text.startswith(" ") or not place]
    after = [*texts[1:], " "]
    words = [place for place in beginnings if is_word(texts[place].strip()) and not after[place][:1].isalnum()]
    drawn = np.random.default_rng(seed_of("hidden", seed, len(texts))).permutation(words).tolist()
    chosen: set[int] = set()
    for place in drawn:
        if len(chosen) < max(1, round(HIDDEN * len(texts))) and not {place - 1, place + 1} & chosen:
            chosen.add(place)
    return chosen


def _chances(model: LanguageModel, store: TokenStore, states: torch.Tensor) -> torch.Tensor:
    """(T, vocabulary) probabilities, special tokens and ids without a token left out."""
    logits = model.logits(states).float()[:, : store.vocabulary]
    specials = [number for role, number in store.specials.items() if role != "end"]
    logits[:, [*specials, *unused_ids(store.tokenizer, store.vocabulary)]] = float("-inf")
    return logits.softmax(1).cpu()


def _surprise(model: LanguageModel, store: TokenStore, ids: list[int]) -> list[Piece]:
    given = torch.tensor([[store.specials["end"], *ids[:-1]]], device=_device(model))
    chances = _chances(model, store, model.net(given)[0])
    best = chances.max(1)
    return [
        {
            "text": text,
            "share": float(chances[place, ids[place]]),
            "guesses": [(store.tokenizer.decode([int(best.indices[place])]).strip(), float(best.values[place]))],
        }
        for place, text in enumerate(pieces(store.tokenizer, ids))
    ]


def _pairs(model: LanguageModel, over: TextObjective) -> list[dict[str, Any]]:
    """Pairs that follow and pairs drawn at random, in turns, with the probability that the second follows."""
    made, store = over.rows_of(0, 0).examples, over.store
    rng = np.random.default_rng(seed_of("pairs shown"))
    by_label = [rng.permutation(np.flatnonzero(made.label == label))[: PAIRS // 2] for label in (0, 1)]
    rows = [row for both in zip(*(part.tolist() for part in by_label), strict=False) for row in both]
    cls, sep = store.specials["cls"], store.specials["sep"]
    found = []
    for row in rows:
        first, second = (_tokens(store, span[row]) for span in (made.first, made.second))
        ids = torch.tensor([[cls, *first, sep, *second, sep]], device=_device(model))
        segment = torch.tensor([[0] * (len(first) + 2) + [1] * (len(second) + 1)], device=ids.device)
        assert model.pair is not None
        share = float(model.pair(model.net(ids, segment=segment)[0, :1]).float().softmax(1)[0, 0])
        texts = [_shortened(store.tokenizer, first, tail=True), _shortened(store.tokenizer, second)]
        found.append({"first": texts[0], "second": texts[1], "follows": int(made.label[row]) == 0, "share": share})
    return found


def _tokens(store: TokenStore, span: NDArray[np.int64]) -> list[int]:
    start, length = span.tolist()
    tokens: list[int] = store.ids[start : start + length].astype(int).tolist()
    return tokens


def _shortened(tokenizer: Tokenizer, ids: list[int], tail: bool = False) -> str:
    """The text where it meets the other one. What begins within a word has no mark that it goes on with one."""
    part = tokenizer.decode(ids[-SHOWN:] if tail else ids[:SHOWN]).strip()
    part = part.removeprefix(continuation_prefix(tokenizer) or "")
    if len(ids) <= SHOWN:
        return part
    return f"… {part}" if tail else f"{part} …"
