"""Colour and blur: against torchvision where nothing is clipped, and against the slow reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import view_reference as reference
from torchvision.transforms.v2 import functional as peer

from foretell.data.images import Images
from foretell.views import Drawn, ViewConfig, render
from foretell.views.blur import blur_radius

SIDE = 20


def whole(images: Images, colours: list[float] | None = None, sigma: float | None = None) -> Drawn:
    """The uncropped, unflipped view with the same colours and blur for every image."""
    count = len(images)
    off = torch.zeros(count, dtype=torch.bool)
    return Drawn(
        box=torch.cat([torch.zeros(count, 2), images.sizes], 1).double(),
        flip=off,
        vertical_flip=off,
        colours=None if colours is None else torch.tensor([colours]).expand(count, 4),
        sigma=None if sigma is None else torch.full((count,), sigma),
    )


def view(images: Images, **drawn: object) -> torch.Tensor:
    return render(images, whole(images, **drawn), ViewConfig(side=SIDE))


@pytest.fixture(scope="module")
def images() -> Images:
    return reference.tiles(*[(SIDE, SIDE)] * 6)


@pytest.fixture(scope="module")
def mild(images: Images) -> Images:
    return reference.muted(images)


def test_single_operations_equal_torchvision(mild: Images) -> None:
    original = mild.float()
    # torchvision's luma weights sum to 0.9999.
    near = {"rtol": 0, "atol": 2e-4}
    brighter = view(mild, colours=[1.4, 1, 1, 0])
    torch.testing.assert_close(brighter, peer.adjust_brightness(original, 1.4), rtol=0, atol=1e-6)
    for factor in (0.3, 1.7):
        torch.testing.assert_close(
            view(mild, colours=[1, factor, 1, 0]), peer.adjust_contrast(original, factor), **near
        )
        torch.testing.assert_close(
            view(mild, colours=[1, 1, factor, 0]), peer.adjust_saturation(original, factor), **near
        )
    torch.testing.assert_close(view(mild, colours=[1, 1, 0, 0]), peer.rgb_to_grayscale(original, 3), **near)


def test_brightness_clips_as_torchvision(images: Images) -> None:
    for factor in (0.2, 1.8):
        expected = peer.adjust_brightness(images.float(), factor)
        torch.testing.assert_close(view(images, colours=[factor, 1, 1, 0]), expected, rtol=0, atol=1e-6)


def test_the_fused_map_equals_torchvision_in_every_order(mild: Images) -> None:
    factors = {"brightness": 1.3, "contrast": 0.6, "saturation": 1.5}
    fused = view(mild, colours=[*factors.values(), 0.0])
    for order in itertools.permutations(factors):
        expected = mild.float()
        for name in order:
            expected = getattr(peer, f"adjust_{name}")(expected, factors[name])
        torch.testing.assert_close(fused, expected, rtol=0, atol=5e-4)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13])
def test_the_fused_map_equals_the_slow_reference_in_every_order(channels: int) -> None:
    mild = reference.muted(reference.tiles((SIDE, SIDE), (SIDE, SIDE), channels=channels))
    operations = [("brightness", 1.25), ("contrast", 0.7), ("saturation", 1.6), ("hue", 0.13)]
    fused = view(mild, colours=[amount for _, amount in operations]).numpy()
    for order in itertools.permutations(operations):
        for index, image in enumerate(mild.float().double().numpy()):
            np.testing.assert_allclose(fused[index], reference.coloured(image, list(order)), rtol=0, atol=2e-6)


@pytest.mark.parametrize("share", [-0.5, -0.2, 0.05, 0.2, 0.5])
def test_hue_equals_the_slow_reference_and_keeps_luma(mild: Images, share: float) -> None:
    turned = view(mild, colours=[1, 1, 1, share]).double().numpy()
    original = mild.float().double().numpy()
    for index, image in enumerate(original):
        np.testing.assert_allclose(turned[index], reference.hue_turned(image, share), rtol=0, atol=2e-6)
    luma = np.einsum("c,bchw->bhw", reference.LUMA, turned)
    np.testing.assert_allclose(luma, np.einsum("c,bchw->bhw", reference.LUMA, original), rtol=0, atol=1e-6)


def test_hue_leaves_grey_and_turns_the_way_torchvision_does() -> None:
    grey = Images(
        torch.full((1, 3, SIDE, SIDE), 120, dtype=torch.uint8),
        torch.tensor([[SIDE, SIDE]]),
        torch.zeros(1),
        torch.zeros(1),
    )
    torch.testing.assert_close(view(grey, colours=[1, 1, 1, 0.17]), grey.float(), rtol=0, atol=1e-6)
    for strong in range(3):
        pixels = torch.full((1, 3, SIDE, SIDE), 100, dtype=torch.uint8)
        pixels[:, strong] = 150
        coloured = Images(pixels, grey.sizes, grey.index, grey.content)
        for share in (0.1, -0.1):
            ours = view(coloured, colours=[1, 1, 1, share])[0, :, 0, 0]
            theirs = peer.adjust_hue(coloured.float(), share)[0, :, 0, 0]
            assert (ours - ours.mean()) @ (theirs - theirs.mean()) > 0
            assert ours[(strong + 1) % 3] > ours[(strong + 2) % 3] or share < 0
            assert ours[(strong + 1) % 3] < ours[(strong + 2) % 3] or share > 0


@pytest.mark.parametrize("side", [20, 33, 96])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_blur_equals_torchvision_with_the_same_kernel(side: int, sigma: float) -> None:
    images = reference.tiles((side, side), (side, side))
    width = 2 * blur_radius(side, 0.1) + 1
    blurred = render(images, whole(images, sigma=sigma), ViewConfig(side=side))
    expected = peer.gaussian_blur(images.float(), [width, width], [sigma, sigma])
    torch.testing.assert_close(blurred, expected, rtol=0, atol=1e-5)


def test_blur_equals_the_slow_reference_up_to_the_widest_kernel(images: Images) -> None:
    radius = blur_radius(SIDE, 1.0)
    blurred = render(images, whole(images, sigma=3.0), ViewConfig(side=SIDE, blur_kernel=1.0))
    for index, image in enumerate(images.float().double().numpy()):
        expected = reference.blurred(image, 3.0, radius)
        np.testing.assert_allclose(blurred[index].numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("side", "width"), [(4, 3), (28, 3), (32, 3), (96, 9), (224, 23)])
def test_kernel_width_is_simclr_s(side: int, width: int) -> None:
    assert 2 * blur_radius(side, 0.1) + 1 == width


def test_no_sigma_is_no_blur(images: Images) -> None:
    drawn = whole(images, sigma=2.0)
    assert drawn.sigma is not None
    drawn.sigma[1::2] = 0
    views = render(images, drawn, ViewConfig(side=SIDE))
    torch.testing.assert_close(views[1::2], images.float()[1::2], rtol=0, atol=1e-6)
    assert (views[::2] - images.float()[::2]).abs().amax((1, 2, 3)).min() > 0.05


def test_blur_and_colour_commute_where_nothing_is_clipped(mild: Images) -> None:
    colours = [1.2, 0.8, 1.3, 0.1]
    together = view(mild, colours=colours, sigma=1.5)
    expected = peer.gaussian_blur(view(mild, colours=colours), [3, 3], [1.5, 1.5])
    torch.testing.assert_close(together, expected, rtol=0, atol=1e-5)
