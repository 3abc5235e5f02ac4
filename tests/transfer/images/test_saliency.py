"""Saliency of a score whose use of the pixels is known."""

from __future__ import annotations

from pathlib import Path

import torch

from foretell.encoders.base import Encoder
from foretell.report.findings import write_picture
from foretell.transfer.config import ClassifierConfig
from foretell.transfer.images.finetune import Classifier
from foretell.transfer.images.saliency import by_gradient, by_occlusion, exhibit, of_class
from foretell.views.config import ViewConfig


def corner(x: torch.Tensor) -> torch.Tensor:
    """A score that looks at the upper left corner only, and at its lower half twice as much."""
    return x[:, :, :4, :8].sum((1, 2, 3)) + 2 * x[:, :, 4:8, :8].sum((1, 2, 3))


def test_the_gradient_is_the_weight_of_each_pixel() -> None:
    found = by_gradient(corner, torch.rand(2, 3, 32, 32))
    assert torch.equal(found[:, :4, :8], torch.full((2, 4, 8), 0.5))
    assert torch.equal(found[:, 4:8, :8], torch.ones(2, 4, 8))
    assert found.sum() == 2 * (32 * 0.5 + 32)


def test_the_mean_over_noisy_copies_drops_what_changes_from_pixel_to_pixel() -> None:
    def rippled(x: torch.Tensor) -> torch.Tensor:
        return corner(x) + 0.02 * torch.sin(200 * x).sum((1, 2, 3))

    x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert by_gradient(rippled, x)[:, 8:].mean() > 0.3
    smooth = by_gradient(rippled, x, copies=200, noise=0.2)
    assert smooth[:, 8:].mean() < 0.15
    assert smooth[:, 4:8, :8].mean() > 0.7
    assert torch.equal(smooth, by_gradient(rippled, x, copies=200, noise=0.2))
    assert torch.allclose(by_gradient(corner, x, copies=3, noise=0.2), by_gradient(corner, x))


def test_covering_finds_the_corner_and_nothing_else() -> None:
    found = by_occlusion(corner, torch.ones(2, 1, 32, 32), patch=8, stride=4, chunk=5)
    assert found.amax() == 1
    assert bool((found[:, :8, :8] > 0).all())
    assert bool((found[:, 16:] == 0).all())
    assert bool((found[:, :, 16:] == 0).all())
    assert torch.equal(found[0], found[1])


def test_a_square_that_raises_the_score_counts_nothing() -> None:
    assert not by_occlusion(corner, -torch.ones(1, 1, 16, 16), patch=4, stride=4).any()


class Corners(Encoder):
    """Two features: the mean of the upper left quarter, and of the lower right one."""

    def __init__(self) -> None:
        super().__init__("corners", 2, 1, 12, "none")
        self.weight = torch.nn.Parameter(torch.ones(2))

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * torch.stack([x[:, :, :6, :6].mean((1, 2, 3)), x[:, :, 6:, 6:].mean((1, 2, 3))], dim=1)


def test_each_image_has_the_maps_of_its_own_class_with_a_frozen_encoder_too(tmp_path: Path) -> None:
    views = ViewConfig(side=12, mean=(0.5,), std=(0.25,))
    config = ClassifierConfig(head="zero", freeze_encoder=True)
    classifier = Classifier(config, Corners(), None, views, ["left", "right"]).eval()
    with torch.no_grad():
        classifier.head.weight.copy_(torch.eye(2))
    x = torch.ones(2, 1, 12, 12)
    shown = exhibit([of_class(classifier, 0), of_class(classifier, 1)], x, views)
    (_, image), (_, gradient), (_, covering) = shown.panels
    assert [tuple(panel.shape) for _, panel in shown.panels] == [(2, 1, 12, 12)] * 3
    assert torch.equal(image, torch.full_like(x, 0.75))
    expected = torch.zeros(2, 1, 12, 12)
    expected[0, :, :6, :6] = expected[1, :, 6:, 6:] = 1
    assert torch.allclose(gradient, expected)
    assert bool((covering[expected == 1] > 0).all())
    assert not covering[0, 0, 7:].any()
    assert not covering[1, 0, :5].any()
    write_picture(shown, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 200
