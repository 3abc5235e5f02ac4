"""The order of samples is a pure function of (seed, step)."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.counters import Rows
from foretell.data.sampler import Sampler
from foretell.errors import InputError


def whole(sampler: Sampler, step: int, batch: int) -> np.ndarray:
    return sampler.index(step, Rows(0, batch, batch))


def test_an_epoch_visits_every_sample_once() -> None:
    sampler = Sampler(103, seed=5)
    assert sampler.steps(10) == 10
    for epoch in range(3):
        seen = np.concatenate([whole(sampler, epoch * 10 + step, 10) for step in range(10)])
        assert len(np.unique(seen)) == 100
        assert seen.max() < 103
    assert set(whole(Sampler(8, 0), 3, 8).tolist()) == set(range(8))


def test_epochs_and_seeds_differ_and_repeats_agree() -> None:
    first = whole(Sampler(64, 1), 0, 64)
    assert np.array_equal(first, whole(Sampler(64, 1), 0, 64))
    assert not np.array_equal(first, whole(Sampler(64, 1), 1, 64))
    assert not np.array_equal(first, whole(Sampler(64, 2), 0, 64))


def test_any_step_at_once_and_any_number_of_processes() -> None:
    for step in (0, 7, 1234):
        one = whole(Sampler(50, 3), step, 12)
        for world in (2, 3, 4):
            parts = [Sampler(50, 3).index(step, Rows.of_rank(12, rank, world)) for rank in range(world)]
            assert np.array_equal(np.concatenate(parts), one)


def test_the_cached_order_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        whole(Sampler(9, 0), 0, 9)[0] = 1


def test_fewer_images_than_a_batch() -> None:
    with pytest.raises(InputError, match=r"20 images are fewer than a batch of 256; set training\.batch to 20 or less"):
        Sampler(20, 0).steps(256)
    with pytest.raises(InputError, match="a batch of 0"):
        Sampler(20, 0).steps(0)
