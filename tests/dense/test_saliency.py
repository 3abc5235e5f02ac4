"""Saliency of a score whose use of the pixels is known."""

from __future__ import annotations

from pathlib import Path

import torch

from foretell.dense.saliency import by_gradient, by_occlusion, exhibit, likeness
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.report.exhibits import picture_grid
from foretell.views.config import ViewConfig


def corner(x: torch.Tensor) -> torch.Tensor:
    """A score that looks at the upper left corner only, and at its lower half twice as much."""
    return x[:, :, :4, :8].sum((1, 2, 3)) + 2 * x[:, :, 4:8, :8].sum((1, 2, 3))


def test_the_gradient_is_the_weight_of_each_pixel() -> None:
    found = by_gradient(corner, torch.rand(2, 3, 32, 32))
    assert torch.equal(found[:, :4, :8], torch.full((2, 4, 8), 0.5))
    assert torch.equal(found[:, 4:8, :8], torch.ones(2, 4, 8))
    assert found.sum() == 2 * (32 * 0.5 + 32)


def test_covering_finds_the_corner_and_nothing_else() -> None:
    found = by_occlusion(corner, torch.ones(2, 1, 32, 32), patch=8, stride=4, chunk=5)
    assert found.amax() == 1
    assert bool((found[:, :8, :8] > 0).all())
    assert bool((found[:, 16:] == 0).all())
    assert bool((found[:, :, 16:] == 0).all())
    assert torch.equal(found[0], found[1])


def test_a_square_that_raises_the_score_counts_nothing() -> None:
    assert not by_occlusion(corner, -torch.ones(1, 1, 16, 16), patch=4, stride=4).any()


def test_a_picture_of_an_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 32).eval()
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        goal = encoder.pooled(x)[0]
    shown = exhibit(likeness(encoder, goal), x, ViewConfig(side=32))
    assert [tuple(panel.shape) for _, panel in shown.panels] == [(2, 1, 32, 32)] * 3
    assert all(float(panel.min()) >= 0 and float(panel.max()) <= 1 for _, panel in shown.panels)
    picture_grid(shown.panels, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 500
