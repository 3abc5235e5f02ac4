"""The chunked loss beside the obvious one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from foretell import vocabulary_loss
from foretell.vocabulary_loss import WALKS, linear_cross_entropy


def made(dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(37, 12), (50, 12), (50,)]
    return [torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.fixture(params=["cpu", "cuda"])
def walk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way of each device, on the CPU."""
    monkeypatch.setitem(WALKS, "cpu", WALKS[request.param])
    return str(request.param)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("fewest", [1, 7, 128])
@pytest.mark.parametrize("chunk", [1, 7 * 50, 1 << 20])
def test_it_equals_linear_then_cross_entropy(
    monkeypatch: pytest.MonkeyPatch, walk: str, chunk: int, fewest: int, bias: bool
) -> None:
    monkeypatch.setattr(vocabulary_loss, "CHUNK", {"cpu": chunk})
    monkeypatch.setattr(vocabulary_loss, "_FEWEST", fewest)
    target = torch.randint(50, (37,), generator=torch.Generator().manual_seed(1))
    states, weight, shift = made(torch.float64)
    other = [x.detach().clone().requires_grad_() for x in (states, weight, shift)]
    loss, right = linear_cross_entropy(states, weight, shift if bias else None, target)
    logits = F.linear(other[0], other[1], other[2] if bias else None)
    wanted = F.cross_entropy(logits, target)
    assert abs(float(loss - wanted)) < 1e-12
    assert float(right) == float((logits.argmax(1) == target).double().mean())
    assert (loss.requires_grad, right.requires_grad) == (True, False)
    (3 * loss).backward()
    (3 * wanted).backward()
    for ours, theirs in zip((states, weight, shift) if bias else (states, weight), other, strict=False):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)


def test_rows_that_are_unequal_parts_of_the_mean(monkeypatch: pytest.MonkeyPatch, walk: str) -> None:
    monkeypatch.setattr(vocabulary_loss, "CHUNK", {"cpu": 7 * 50})
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(50, (37,), generator=generator)
    shares = torch.rand(37, generator=generator, dtype=torch.float64)
    shares /= shares.sum()
    ours, theirs = made(torch.float64), made(torch.float64)
    loss, _ = linear_cross_entropy(*ours, target, shares)
    wanted = (F.cross_entropy(F.linear(*theirs), target, reduction="none") * shares).sum()
    assert abs(float(loss - wanted)) < 1e-12
    (3 * loss).backward()
    (3 * wanted).backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-12)


def test_without_a_gradient_the_loss_is_the_same(walk: str) -> None:
    states, weight, shift = made(torch.float64)
    target = torch.randint(50, (37,), generator=torch.Generator().manual_seed(1))
    wanted = linear_cross_entropy(states, weight, shift, target)
    with torch.no_grad():
        found = linear_cross_entropy(states, weight, shift, target)
    assert found[0].requires_grad is False
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-12, atol=1e-12)


def test_under_autocast_it_is_near_and_keeps_the_parameters_type(walk: str) -> None:
    target = torch.randint(50, (37,), generator=torch.Generator().manual_seed(1))
    states, weight, shift = made(torch.float32)
    exact, _ = linear_cross_entropy(states, weight, shift, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = linear_cross_entropy(states, weight, shift, target)
    loss.backward()
    assert abs(float(loss - exact)) < 0.05
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
