from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foretell.losses import nt_xent
from foretell.objectives.simclr import ProjectionHead


def pairs(count: int = 6, width: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    first = torch.randn(count, width, generator=noise)
    return first, first + 0.7 * torch.randn(count, width, generator=noise)


def by_the_equation(first: Tensor, second: Tensor, temperature: float, *, normalise: bool = True) -> Tensor:
    """Equation 1 of the paper, anchor by anchor, in float64."""
    views = torch.cat([first, second]).double()
    if normalise:
        views = views / views.norm(dim=1, keepdim=True)
    count = len(first)
    losses = []
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        scores = torch.stack([views[i] @ views[k] / temperature for k in range(2 * count) if k != i])
        losses.append(torch.logsumexp(scores, 0) - views[i] @ views[partner] / temperature)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5, 1.0])
def test_the_loss_and_its_gradients_are_those_of_the_equation(temperature: float, normalise: bool) -> None:
    first, second = (view.requires_grad_() for view in pairs())
    loss, _ = nt_xent(first, second, temperature, normalise=normalise)
    wanted = by_the_equation(first, second, temperature, normalise=normalise)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5, abs=1e-6)
    ours, theirs = torch.autograd.grad(loss, (first, second)), torch.autograd.grad(wanted, (first, second))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b.float(), rtol=1e-4, atol=1e-6)


def test_a_loss_worked_out_by_hand() -> None:
    """Two pairs, the partners equal and the pairs at right angles: every anchor sees 1, 0 and 0 beside itself."""
    first = torch.tensor([[3.0, 0.0], [0.0, 0.5]])
    loss, accuracy = nt_xent(first, first, 0.5)
    assert float(loss) == pytest.approx(math.log(math.exp(2) + 2) - 2, abs=1e-6)
    assert float(accuracy) == 1.0


def test_views_that_are_all_the_same_cost_the_logarithm_of_the_others() -> None:
    same = torch.ones(8, 4)
    assert float(nt_xent(same, same, 0.1)[0]) == pytest.approx(math.log(15), abs=1e-5)


def test_the_loss_knows_neither_the_order_of_the_pair_nor_the_lengths_of_the_views() -> None:
    first, second = pairs()
    loss, accuracy = nt_xent(first, second, 0.2)
    assert torch.allclose(nt_xent(second, first, 0.2)[0], loss, rtol=1e-5)
    assert torch.allclose(nt_xent(first * 7, second * 0.1, 0.2)[0], loss, rtol=1e-5)
    assert not torch.allclose(nt_xent(first * 7, second * 0.1, 0.2, normalise=False)[0], loss, rtol=1e-2)
    assert 0 < float(accuracy) <= 1


def test_an_anchor_is_right_when_its_partner_is_the_nearest_of_all_other_views() -> None:
    first, second = pairs(4, 3)
    assert float(nt_xent(first, second.roll(1, 0), 0.1)[1]) < float(nt_xent(first, first, 0.1)[1]) == 1.0


def test_a_batch_of_one_has_no_negative() -> None:
    with pytest.raises(ValueError, match="no negatives"):
        nt_xent(torch.ones(1, 4), torch.ones(1, 4), 0.1)


def test_a_step_in_bfloat16_leaves_the_loss_in_float32() -> None:
    """Views that lie close together, as early in training: rounded cosines could not tell the partner from the rest."""
    noise = torch.Generator().manual_seed(1)
    common = torch.randn(64, generator=noise)
    own = 0.1 * torch.randn(256, 64, generator=noise)
    first = (common + own).requires_grad_()
    second = common + own + 0.02 * torch.randn(256, 64, generator=noise)
    loss, accuracy = nt_xent(first, second, 0.1)
    (wanted,) = torch.autograd.grad(loss, first)
    with torch.autocast("cpu", torch.bfloat16):
        under, right = nt_xent(first, second, 0.1)
    (found,) = torch.autograd.grad(under, first)
    assert under.dtype == torch.float32
    assert torch.equal(under, loss)
    assert torch.equal(right, accuracy)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_projection_head_is_linear_layers_without_bias_each_with_batch_norm(depth: int) -> None:
    head = ProjectionHead(12, 10, 4, depth, "batch")
    kinds = [type(part) for part in head]
    assert kinds == ([nn.Linear, nn.BatchNorm1d, nn.ReLU] * depth)[:-1]
    linear = [part for part in head if isinstance(part, nn.Linear)]
    assert [(part.in_features, part.out_features) for part in linear] == {
        1: [(12, 4)],
        2: [(12, 10), (10, 4)],
        3: [(12, 10), (10, 10), (10, 4)],
    }[depth]
    assert all(part.bias is None for part in linear)
    assert head[-1].bias is None, "the last normalisation has no shift"
    assert F.normalize(head(torch.randn(6, 12))).shape == (6, 4)
