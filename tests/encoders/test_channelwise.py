"""The channel-wise fully connected layer: what reaches what, its parameters, a slow obvious version."""

from __future__ import annotations

import pytest
import torch

from foretell.encoders.channelwise import ChannelwiseBottleneck, ChannelwiseLinear


@pytest.mark.parametrize("grid", [(6, 6), (3, 5)])
def test_it_has_a_matrix_for_each_map(grid: tuple[int, int]) -> None:
    maps, positions = 7, grid[0] * grid[1]
    layer = ChannelwiseLinear(maps, grid)
    assert layer.weight.numel() == maps * positions**2
    assert sum(p.numel() for p in layer.parameters()) == maps * positions**2 + maps * positions


def test_the_published_size() -> None:
    """256 maps of 6 x 6: 331,776 numbers against 84.9 million of a full layer."""
    assert ChannelwiseLinear(256, (6, 6)).weight.numel() == 331_776


def test_one_pixel_reaches_all_of_its_own_map_and_nothing_else() -> None:
    torch.manual_seed(0)
    layer = ChannelwiseLinear(5, (4, 4)).double()
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64)
    before = layer(x)
    for row, column in ((0, 0), (3, 1)):
        changed = x.clone()
        changed[1, 2, row, column] += 1
        moved = (layer(changed) - before).abs() > 1e-6
        assert moved[1, 2].all()
        assert moved.sum() == 16


def test_it_equals_a_matrix_times_each_map() -> None:
    torch.manual_seed(0)
    layer = ChannelwiseLinear(3, (2, 4))
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(5, 3, 2, 4).to(memory_format=torch.channels_last)
    out = layer(x)
    assert out.shape == x.shape
    for sample in range(5):
        for each in range(3):
            slow = layer.weight[each] @ x[sample, each].reshape(8) + layer.bias[each]
            torch.testing.assert_close(out[sample, each].reshape(8), slow)


def test_the_bottleneck_mixes_maps_afterwards() -> None:
    torch.manual_seed(1)
    bottleneck = ChannelwiseBottleneck(6, (3, 3))
    x = torch.randn(1, 6, 3, 3, requires_grad=True)
    bottleneck(x)[0, 4, 2, 2].backward()
    assert x.grad is not None
    reached = x.grad[0].abs() > 0
    assert reached.flatten(1).any(1).sum() > 1
    assert reached[reached.flatten(1).any(1)].all()
