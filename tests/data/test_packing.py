"""Rows are filled, hold every piece once, and none is too long."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.data.text.packing import pack


def obvious(lengths: list[int], room: int) -> int:
    """Rows that best-fit decreasing needs, one piece after another."""
    free: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [(space, row) for row, space in enumerate(free) if space >= length]
        if fitting:
            space, row = min(fitting)
            free[row] = space - length
        else:
            free.append(room - length)
    return len(free)


@pytest.mark.parametrize("room", [8, 128])
@pytest.mark.parametrize("skew", [0.5, 2.0])
def test_every_piece_is_in_one_row_that_has_room(room: int, skew: float) -> None:
    rng = np.random.default_rng(0)
    lengths = np.maximum(1, (room * rng.random(1500) ** skew).astype(np.int64))
    order, ends = pack(lengths, room, 0)
    assert np.array_equal(np.sort(order), np.arange(1500))
    sums = np.add.reduceat(lengths[order], np.concatenate([[0], ends[:-1]]))
    assert sums.max() <= room
    assert len(ends) == obvious(lengths.tolist(), room)


def test_it_is_a_function_of_the_seed() -> None:
    lengths = np.array([3, 3, 3, 5, 5, 2] * 20)
    one, two, other = (pack(lengths, 8, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_no_pieces() -> None:
    order, ends = pack(np.empty(0, np.int64), 8, 0)
    assert len(order) == len(ends) == 0
