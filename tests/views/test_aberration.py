"""The simulated lens: green is magnified about each image's own centre, everything else stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foretell.data.images import Images
from foretell.data.store import ImageStore, open_images
from foretell.views.aberration import aberrate


@pytest.fixture(scope="module")
def emoji() -> ImageStore:
    return open_images("@emoji").subset(np.arange(6))


def ragged() -> Images:
    """A bright dot 20 px right of and 10 px above each image's centre, in images of two sizes."""
    pixels = torch.zeros(2, 3, 81, 101, dtype=torch.uint8)
    sizes = torch.tensor([[81, 101], [61, 71]])
    for row, (high, wide) in enumerate(sizes.tolist()):
        pixels[row, :, high // 2 - 10, wide // 2 + 20] = 200
    return Images(pixels, sizes, torch.arange(2), torch.arange(2))


def centroid(channel: torch.Tensor, size: torch.Tensor) -> tuple[float, float]:
    weight = channel.double() / channel.double().sum()
    y = (weight.sum(1) * (torch.arange(channel.shape[0]) + 0.5)).sum() - size[0] / 2
    x = (weight.sum(0) * (torch.arange(channel.shape[1]) + 0.5)).sum() - size[1] / 2
    return float(y), float(x)


@pytest.mark.parametrize("k", [0.1, -0.1])
def test_a_point_of_the_green_moves_along_its_radius(k: float) -> None:
    images = ragged()
    seen = aberrate(images, k)
    for row in range(2):
        y, x = centroid(seen.pixels[row, 1], images.sizes[row])
        assert y == pytest.approx(-10 * (1 + k), abs=0.1)
        assert x == pytest.approx(20 * (1 + k), abs=0.1)


def test_other_channels_and_what_lies_beyond_an_image_stay(emoji: ImageStore) -> None:
    images = ragged()
    images.pixels[:, :, :61, :71] |= 16
    seen = aberrate(images, torch.tensor([-0.05, 0.05]))
    assert torch.equal(seen.pixels[:, [0, 2]], images.pixels[:, [0, 2]])
    assert not seen.pixels[1, :, 61:].any()
    assert not seen.pixels[1, :, :, 71:].any()
    colour = emoji.read(np.arange(6))
    assert torch.equal(aberrate(colour, 0.0).pixels, colour.pixels)
    assert not torch.equal(aberrate(colour, 0.03).pixels[:, 1], colour.pixels[:, 1])


def test_no_lens_is_like_that(emoji: ImageStore) -> None:
    with pytest.raises(ValueError, match="no lens"):
        aberrate(emoji.read([0]), 0.5)
    with pytest.raises(ValueError, match="channel 3"):
        aberrate(emoji.read([0]), 0.01, channel=3)
