"""Our backward pass of attention beside torch's, worked out in float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from foretell.encoders import short_attention as short
from foretell.encoders.attention import Attention


def given(batch: int, length: int, other: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, 3, size, 16, generator=generator).bfloat16().requires_grad_()
        for size in (length, other, other)
    ]


def some(kind: str, batch: int, length: int, other: int) -> torch.Tensor | None:
    rows = {"none": 0, "causal": 0, "for all": 1, "for each": batch}[kind]
    if not rows:
        return None
    seen = torch.rand(rows, 1, length, other, generator=torch.Generator().manual_seed(1)) < 0.5
    seen[..., 0] = True  # no row is empty
    return seen


@pytest.mark.parametrize("at_a_time", [1, 1 << 20])
@pytest.mark.parametrize("kind", ["none", "causal", "for all", "for each"])
@pytest.mark.parametrize(("length", "other"), [(9, 9), (5, 12)])
def test_values_and_gradients_are_those_of_float64(
    monkeypatch: pytest.MonkeyPatch, kind: str, length: int, other: int, at_a_time: int
) -> None:
    monkeypatch.setattr(short, "_WEIGHTS", at_a_time)
    if kind == "causal":
        other = length
    ours, mask = given(4, length, other), some(kind, 4, length, other)
    exact = [x.detach().double().requires_grad_() for x in ours]
    found = short.short_attention(*ours, mask, kind == "causal")
    wanted = functional.scaled_dot_product_attention(*exact, attn_mask=mask, is_causal=kind == "causal")
    slope = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2)).bfloat16()
    grads = torch.autograd.grad(found, ours, slope)
    true = torch.autograd.grad(wanted, exact, slope.double())
    for mine, reference in zip((found, *grads), (wanted, *true), strict=True):
        assert float((mine.double() - reference).norm() / reference.norm()) < 1e-2


def test_it_is_taken_for_short_texts_in_bfloat16_on_a_cpu_alone() -> None:
    q = torch.zeros(1, 1, 8, 4, dtype=torch.bfloat16)
    long = torch.zeros(1, 1, short.LONGEST + 1, 4, dtype=torch.bfloat16)
    assert short.suits(q, q)
    assert not short.suits(q, long)
    assert not short.suits(q.float(), q.float())
    with torch.no_grad():
        assert not short.suits(q, q)


def test_a_layer_under_autocast_learns_as_in_float32() -> None:
    torch.manual_seed(0)
    layer, x = Attention(32, 2), torch.randn(3, 10, 32)
    grads = []
    for reduced in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            out = layer(x, None, True).float()
        grads.append(torch.autograd.grad(out.square().sum(), layer.qkv.weight)[0])
    assert float((grads[0] - grads[1]).norm() / grads[0].norm()) < 2e-2
