"""Each sample beside another one at random, whatever order they lie in."""

from __future__ import annotations

import pytest
import torch

from foretell.counters import others


@pytest.mark.parametrize("count", [2, 3, 5, 64])
def test_each_gets_another_and_each_is_given_once(count: int) -> None:
    for seed in range(20):
        found = others(count, seed)
        assert (found != torch.arange(count)).all()
        assert sorted(found.tolist()) == list(range(count))


def test_the_other_one_is_no_neighbour_in_an_order_by_class() -> None:
    label = torch.arange(600) // 200
    same = torch.stack([(label[others(600, seed)] == label).float().mean() for seed in range(20)])
    assert float(same.mean()) == pytest.approx(199 / 599, abs=0.02)
    assert not torch.equal(others(600, 0), others(600, 1))
