"""Noise on views: its size, its correlation, and that an image's own noise belongs to the image."""

from __future__ import annotations

import pytest
import torch

from foretell.counters import Rng, Rows
from foretell.views.noise import blind_spots, fresh, noisy, own

X = torch.zeros(64, 3, 24, 24)
INDEX = torch.arange(64)


def lag(field: torch.Tensor, pixels: int) -> float:
    """Correlation of a field with itself ``pixels`` to the right, around the edge."""
    return float((field * field.roll(pixels, 3)).mean() / field.square().mean())


def test_gaussian_noise_has_its_deviation_and_is_independent() -> None:
    added = noisy(X, "gaussian", 0.7, own(INDEX))
    assert float(added.mean()) == pytest.approx(0, abs=0.01)
    assert float(added.std()) == pytest.approx(0.7, rel=0.01)
    assert abs(lag(added, 1)) < 0.02


def test_grain_correlates_neighbours_and_keeps_the_deviation_at_every_pixel() -> None:
    added = noisy(X, "gaussian", 0.7, own(INDEX), grain=1.5)
    # the autocorrelation of a Gaussian filter of deviation g is a Gaussian of deviation g * sqrt(2)
    expected = [torch.exp(torch.tensor(-(pixels**2) / (4 * 1.5**2))).item() for pixels in (1, 3)]
    assert lag(added, 1) == pytest.approx(expected[0], abs=0.03)
    assert lag(added, 3) == pytest.approx(expected[1], abs=0.06)
    by_pixel = added.square().mean((0, 1)).sqrt()
    assert float(by_pixel.mean()) == pytest.approx(0.7, rel=0.02)
    assert float(by_pixel[0].mean()) == pytest.approx(0.7, rel=0.06)  # an edge is no exception


@pytest.mark.parametrize("kind", ["salt-and-pepper", "masking"])
def test_a_share_of_the_pixels_is_hit_in_every_channel(kind: str) -> None:
    ones = torch.ones(64, 3, 24, 24)
    changed = noisy(ones, kind, 0.3, own(INDEX))
    hit = changed != ones
    assert float(hit.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(hit.all(1), hit.any(1))
    assert set(changed[hit].unique().tolist()) == ({-2.0, 2.0} if kind == "salt-and-pepper" else {0.0})
    assert torch.equal(noisy(ones, kind, 0.0, own(INDEX)), ones)
    assert not torch.equal(noisy(ones, kind, 1.0, own(INDEX)), ones)
    assert bool((noisy(ones, kind, 1.0, own(INDEX)) != ones).all())


def test_own_noise_is_the_images_whatever_the_batch() -> None:
    whole = noisy(X, "gaussian", 1.0, own(INDEX))
    some = noisy(X[:3], "gaussian", 1.0, own(torch.tensor([5, 2, 40])))
    assert torch.equal(some, whole[[5, 2, 40]])
    other = noisy(X, "gaussian", 1.0, own(INDEX, copy=1))
    assert abs(float((whole * other).mean())) < 0.02


def test_fresh_noise_is_another_at_each_step() -> None:
    rows = Rows.of_rank(64)
    first, same, next_step = (noisy(X, "gaussian", 1.0, fresh(Rng(0, step, rows))) for step in (3, 3, 4))
    assert torch.equal(first, same)
    assert abs(float((first * next_step).mean())) < 0.02


def test_blind_spots_are_as_many_in_every_image_and_anywhere() -> None:
    spots = blind_spots(Rng(0, 0, Rows.of_rank(256)), "blind", 0.1, 12, 10)
    assert spots.shape == (256, 1, 12, 10)
    assert set(spots.sum((1, 2, 3)).tolist()) == {12}
    often = spots.float().mean((0, 1))
    assert float(often.min()) > 0.02
    assert float(often.max()) < 0.2
