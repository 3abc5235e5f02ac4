"""Which tokens of a batch are hidden, and what is shown in their place: for all rows at once, on their device."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from foretell.counters import Rng
from foretell.settings import Settings

NOT_CHOSEN = -100


class TokenMaskConfig(Settings):
    """Masked words (Devlin et al. 2018, arXiv 1810.04805)."""

    share: float = Field(0.15, gt=0, lt=1, description="of a text's tokens that are foretold, special ones counted too")
    masked: float = Field(0.8, ge=0, le=1, description="of these, shown as [MASK]")
    kept: float = Field(0.1, ge=0, le=1, description="of these, shown as they are; the rest: a random token")
    whole_words: bool = Field(False, description="all pieces of a word are chosen together")


def choose(example: Tensor, special: Tensor, word: Tensor, share: float, whole_words: bool, rng: Rng) -> Tensor:
    """(B, T) bool: the tokens to foretell, never special ones.

    ``example`` (B, T) int64 numbers the texts packed in a row (0 is padding), ``special`` and ``word`` (B, T) bool as in
    ``data.textrows.TextBatch``. Of a text of n tokens max(1, round(share n)) are chosen at random; with ``whole_words``
    words in random order, those that would exceed that number passed over, so that they may be fewer.
    """
    size = example.shape[1]
    drawn = rng.integers("mask", 1 << 31, size)
    begins = word | special
    begins[:, 1:] |= example[:, 1:] != example[:, :-1]
    begins[:, 1:] |= special[:, :-1]  # a text may begin within a word
    begins[:, 0] = True
    place = torch.arange(size, device=example.device).expand_as(example)
    if whole_words:
        drawn = drawn.gather(1, torch.where(begins, place, 0).cummax(1).values)
    # texts in order, in each the special tokens last, the others at random
    order = ((2 * example + special) << 32 | drawn).sort(dim=1, stable=True).indices
    of = example.gather(1, order)
    first = torch.ones_like(of, dtype=torch.bool)
    first[:, 1:] = of[:, 1:] != of[:, :-1]
    start = torch.where(first, place, 0).cummax(1).values
    lengths = torch.zeros_like(example).scatter_add_(1, example, torch.ones_like(example))
    budget = (lengths.gather(1, of) * share).round().long().clamp(min=1)
    allowed = ~special.gather(1, order) & (of > 0)
    if whole_words:
        taken = _whole(begins.gather(1, order) & allowed, allowed, start, place, budget)
    else:
        taken = allowed & (place - start < budget)
    return torch.zeros_like(taken).scatter_(1, order, taken)


def _whole(begins: Tensor, allowed: Tensor, start: Tensor, place: Tensor, budget: Tensor) -> Tensor:
    """Words taken in order while they fit, in tokens sorted by text and word; all (B, T), ``start`` of each text."""
    size = begins.shape[1]
    number = begins.long().cumsum(1)
    count = torch.zeros(len(begins), size + 1, dtype=torch.long, device=begins.device)
    length = count.scatter_add(1, number, allowed.long()).gather(1, number)
    kept = allowed.clone()
    while True:
        # tokens taken before and with each word
        sums = (length * (begins & kept)).cumsum(1)
        before = torch.where(start > 0, sums.gather(1, (start - 1).clamp(min=0)), 0)
        with_it = sums - before
        over = kept & (with_it > budget)
        if not bool(over.any()):
            return kept
        # the first word that is too much leaves so much room; no later word larger than that can ever fit
        far = torch.where(over & begins, place, size).gather(1, place)
        first = torch.full_like(place, size).scatter_reduce(1, start, far, "amin").gather(1, start)
        at = first.clamp(max=size - 1)
        room = budget - (with_it - length).gather(1, at)
        kept = kept & ~((place >= first) & (length > room))


def shown(
    ids: Tensor,
    chosen: Tensor,
    mask: int,
    vocabulary: int,
    config: TokenMaskConfig,
    rng: Rng,
    used: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(ids as shown, ids to foretell), (B, T) int64; what is not ``chosen`` is -100 in the second.

    A chosen token is shown as ``mask``, as it is, or as any token of the vocabulary, special ones among them.
    ``used`` int64: the ids that tokens have, where these are not all below ``vocabulary``.
    """
    chance = rng.uniform("shown", ids.shape[1])
    other = rng.integers("other", vocabulary if used is None else len(used), ids.shape[1])
    if used is not None:
        other = used.to(other.device)[other]
    hidden = torch.where(chosen, ids, NOT_CHOSEN)
    seen = torch.where(chosen & (chance < config.masked), mask, ids)
    return torch.where(chosen & (chance >= config.masked + config.kept), other, seen), hidden
