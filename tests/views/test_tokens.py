"""Masking statistics, and the vectorised choice beside one written out in words."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import chisquare

from foretell.counters import Rng, Rows
from foretell.views.tokens import TokenMaskConfig, choose, shown


def rows_of_texts(lengths: list[list[int]], size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(example, special, word): each text is [CLS] ... [SEP]; words of 1, 2, 3, 1, 2, 3 ... tokens."""
    example = torch.zeros(len(lengths), size, dtype=torch.long)
    special = torch.ones(len(lengths), size, dtype=torch.bool)
    word = torch.ones(len(lengths), size, dtype=torch.bool)
    for row, texts in enumerate(lengths):
        at = 0
        for number, length in enumerate(texts, 1):
            example[row, at : at + length] = number
            special[row, at + 1 : at + length - 1] = False
            starts, place, step = set(), 1, 1
            while place < length - 1:
                starts.add(place)
                place, step = place + step, step % 3 + 1
            for inner in range(1, length - 1):
                word[row, at + inner] = inner in starts
            at += length
    return example, special, word


def test_the_number_chosen_and_never_a_special_token() -> None:
    lengths = [[40, 24], [64], [5, 20, 9], [3]]
    example, special, word = rows_of_texts(lengths, 64)
    for step in range(20):
        chosen = choose(example, special, word, 0.15, False, Rng(0, step, Rows.of_rank(4)))
        assert not (chosen & special).any()
        for row, texts in enumerate(lengths):
            for number, length in enumerate(texts, 1):
                wanted = min(max(1, round(0.15 * length)), length - 2)
                assert int((chosen & (example == number))[row].sum()) == wanted


def test_every_candidate_is_as_likely() -> None:
    example, special, word = rows_of_texts([[34]] * 500, 40)
    counts = torch.zeros(40)
    for step in range(10):
        counts += choose(example, special, word, 0.15, False, Rng(1, step, Rows.of_rank(500))).sum(0)
    assert chisquare(counts[1:33].numpy()).pvalue > 0.001


def greedy(example, special, word, drawn, share):
    """Whole words, one after the other."""
    chosen = np.zeros(example.shape, bool)
    for row in range(len(example)):
        for number in range(1, int(example[row].max()) + 1):
            places = np.flatnonzero((example[row] == number) & ~special[row])
            words: list[list[int]] = []
            for place in places:
                if word[row, place] or not words or special[row, place - 1]:
                    words.append([])
                words[-1].append(place)
            budget = max(1, round(share * int((example[row] == number).sum())))
            for one in sorted(words, key=lambda one: drawn[row, one[0]]):
                if chosen[row, places].sum() + len(one) <= budget:
                    chosen[row, one] = True
    return chosen


def test_whole_words_are_those_of_the_obvious_way() -> None:
    example, special, word = rows_of_texts([[40, 24], [64], [5, 20, 9], [3], [33, 31]], 64)
    word[0, 1] = False  # a text that begins within a word
    seen = 0
    for step in range(30):
        rng = Rng(2, step, Rows.of_rank(5))
        chosen = choose(example, special, word, 0.15, True, rng)
        drawn = rng.integers("mask", 1 << 31, 64).numpy()
        wanted = greedy(example.numpy(), special.numpy(), word.numpy(), drawn, 0.15)
        assert np.array_equal(chosen.numpy(), wanted)
        seen += int(chosen.sum())
    assert seen > 500


def test_eighty_ten_ten() -> None:
    ids = torch.randint(5, 1000, (400, 64), generator=torch.Generator().manual_seed(0))
    example, special, word = rows_of_texts([[64]] * 400, 64)
    rng = Rng(3, 0, Rows.of_rank(400))
    chosen = choose(example, special, word, 0.15, False, rng)
    seen, hidden = shown(ids, chosen, 4, 1000, TokenMaskConfig(), rng)
    assert torch.equal(hidden[chosen], ids[chosen])
    assert (hidden[~chosen] == -100).all()
    assert torch.equal(seen[~chosen], ids[~chosen])
    masked = int((seen[chosen] == 4).sum())
    kept = int((seen[chosen] == ids[chosen]).sum())
    total = int(chosen.sum())
    assert chisquare([masked, kept, total - masked - kept], [0.8 * total, 0.1 * total, 0.1 * total]).pvalue > 0.001
    assert int((seen[chosen] < 4).sum()) > 0  # random tokens are drawn from all, special ones too


def test_random_tokens_are_among_those_there_are() -> None:
    ids = torch.full((400, 64), 5)
    example, special, word = rows_of_texts([[64]] * 400, 64)
    rng = Rng(3, 0, Rows.of_rank(400))
    chosen = choose(example, special, word, 0.5, False, rng)
    config = TokenMaskConfig(masked=0.0, kept=0.0)
    used = torch.tensor([*range(20), *range(980, 1000)])
    seen, _ = shown(ids, chosen, 4, 1000, config, rng, used)
    assert set(seen[chosen].tolist()) == set(used.tolist())
    whole = shown(ids, chosen, 4, 1000, config, rng, torch.arange(1000))[0]
    assert torch.equal(whole, shown(ids, chosen, 4, 1000, config, rng)[0])


def test_other_draws_at_another_step() -> None:
    example, special, word = rows_of_texts([[64]], 64)
    one, two = (choose(example, special, word, 0.15, False, Rng(0, step, Rows.of_rank(1))) for step in (0, 1))
    assert not torch.equal(one, two)
