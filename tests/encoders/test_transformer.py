"""The light transformer's block and positions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from foretell.encoders.transformer import Block, sine_positions


def slow(block: Block, x: torch.Tensor) -> torch.Tensor:
    """The block with torch's own attention module."""
    width = x.shape[2]
    attention = nn.MultiheadAttention(width, block.heads, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(block.qkv.weight)
        attention.in_proj_bias.copy_(block.qkv.bias)
        attention.out_proj.weight.copy_(block.out.weight)
        attention.out_proj.bias.copy_(block.out.bias)
    normed = block.norm1(x)
    x = x + attention(normed, normed, normed)[0]
    return x + block.narrow(nn.GELU()(block.wide(block.norm2(x))))


def test_the_block_equals_torchs_attention() -> None:
    torch.manual_seed(0)
    block = Block(24, 3)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(4, 7, 24)
    torch.testing.assert_close(block(x), slow(block, x), rtol=1e-4, atol=1e-5)


def test_the_last_tokens_alone_are_as_in_the_whole() -> None:
    torch.manual_seed(0)
    block = Block(24, 3)
    x = torch.randn(4, 7, 24, requires_grad=True)
    torch.testing.assert_close(block(x, last=3), block(x)[:, -3:], rtol=1e-5, atol=1e-6)
    (whole,) = torch.autograd.grad(block(x)[:, -3:].square().sum(), x)
    (part,) = torch.autograd.grad(block(x, last=3).square().sum(), x)
    torch.testing.assert_close(part, whole, rtol=1e-4, atol=1e-5)


def test_positions_tell_row_and_column() -> None:
    places = sine_positions((5, 3), 32)
    assert places.shape == (15, 32)
    assert len({tuple(row) for row in places.tolist()}) == 15
    across, down = places.view(5, 3, 32).split(16, dim=2)
    assert torch.equal(across[0], across[4])
    assert torch.equal(down[:, 0], down[:, 2])
    torch.testing.assert_close(places.square().sum(1), torch.full((15,), 16.0))
    with pytest.raises(ValueError, match="multiple of 4"):
        sine_positions((2, 2), 6)
