"""Crops, flips and rotations: against torchvision where it does the same, and against the slow reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import view_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as peer

from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.views import Drawn, ViewConfig, draw, plain, render
from foretell.views.geometry import crop_boxes, margin_for

SIZES = [(40, 60), (33, 33), (60, 21), (7, 50), (1, 1), (1, 9), (20, 20), (55, 60)]
QUIET = {"jitter": 0.0, "grey": 0.0, "blur": 0.0}
KINDS = ["bilinear", "bicubic"]


def drawn_for(images: Images, boxes: list[list[int]], flips: list[bool], angle: float | None = None) -> Drawn:
    count = len(images)
    return Drawn(
        box=torch.tensor(boxes, dtype=torch.float64),
        flip=torch.tensor(flips),
        vertical_flip=torch.zeros(count, dtype=torch.bool),
        angle=None if angle is None else torch.full((count,), angle),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [4, 16, 37, 90])
def test_crop_resize_and_flip_equal_torchvision(kind: str, side: int) -> None:
    images = reference.tiles(*SIZES)
    config = ViewConfig(side=side, interpolation=kind, vertical_flip=0.5, **QUIET)
    drawn = draw(images.sizes, config, Rng(0, 3, Rows(0, len(images), len(images))), "view")
    views = render(images, drawn, config)
    assert drawn.flip.any()
    assert not drawn.flip.all()
    for index, view in enumerate(views):
        box = drawn.box[index].int().tolist()
        image = images.pixels[index].float() / 255
        expected = peer.resized_crop(image, *box, [side, side], InterpolationMode(kind), antialias=True)
        if drawn.flip[index]:
            expected = peer.horizontal_flip(expected)
        if drawn.vertical_flip[index]:
            expected = peer.vertical_flip(expected)
        torch.testing.assert_close(view, expected.clamp(0, 1), rtol=0, atol=1e-5)


@settings(max_examples=40)
@given(st.data())
def test_any_crop_of_any_size_equals_torchvision(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 48)), data.draw(st.integers(1, 48))
    tall, wide = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    box = [data.draw(st.integers(0, height - tall)), data.draw(st.integers(0, width - wide)), tall, wide]
    side, kind = data.draw(st.integers(4, 40)), data.draw(st.sampled_from(KINDS))
    images = reference.tiles((height, width))
    view = render(images, drawn_for(images, [box], [False]), ViewConfig(side=side, interpolation=kind))[0]
    image = images.pixels[0].float() / 255
    expected = peer.resized_crop(image, *box, [side, side], InterpolationMode(kind), antialias=True)
    torch.testing.assert_close(view, expected.clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_padding_of_a_ragged_batch_is_never_seen(rotation: float) -> None:
    images = reference.tiles(*SIZES)
    config = ViewConfig(side=24, rotation=rotation)
    rng = Rng(0, 0, Rows(0, len(images), len(images)))
    drawn = draw(images.sizes, config, rng, "view")
    views = render(images, drawn, config)
    for index, (height, width) in enumerate(SIZES):
        images.pixels[index, :, height:] = 255
        images.pixels[index, :, :, width:] = 255
    assert torch.equal(render(images, drawn, config), views)
    index = SIZES.index((20, 20))
    alone = Images(
        images.pixels[index : index + 1, :, :20, :20], images.sizes[index : index + 1], torch.zeros(1), torch.zeros(1)
    )
    torch.testing.assert_close(render(alone, drawn.part(index, index + 1), config)[0], views[index], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [1.0, 0.875, 0.5])
@pytest.mark.parametrize("side", [12, 32, 64])
def test_plain_equals_torchvision(kind: str, kept: float, side: int) -> None:
    sizes = [(40, 60), (33, 33), (60, 21), (12, 50), (100, 101), (1, 1)]
    images = reference.tiles(*sizes)
    views = plain(images, side, crop=kept, interpolation=kind)
    for index, (height, width) in enumerate(sizes):
        image = images.pixels[index, :, :height, :width].float() / 255
        resized = peer.resize(image, [int(side / kept)], InterpolationMode(kind), antialias=True)
        expected = peer.center_crop(resized, [side, side]).clamp(0, 1)
        torch.testing.assert_close(views[index], expected, rtol=0, atol=2e-5)


def test_a_squashed_image_is_seen_whole() -> None:
    sizes = [(40, 60), (33, 33), (60, 21), (12, 50)]
    images = reference.tiles(*sizes)
    views = plain(images, 24, crop="squash")
    for index, (height, width) in enumerate(sizes):
        image = images.pixels[index, :, :height, :width].float() / 255
        expected = peer.resize(image, [24, 24], antialias=True).clamp(0, 1)
        torch.testing.assert_close(views[index], expected, rtol=0, atol=2e-5)
    with pytest.raises(ValueError, match="squash"):
        plain(images, 10, crop="squeeze")  # type: ignore[arg-type]


def test_plain_normalises_and_refuses_a_crop_beyond_the_image() -> None:
    images = reference.tiles((20, 30))
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = peer.normalize(plain(images, 10), list(mean), list(std))
    torch.testing.assert_close(plain(images, 10, mean, std), expected)
    with pytest.raises(ValueError, match="crop"):
        plain(images, 10, crop=1.5)


def test_area_of_crops_is_uniform_and_their_aspect_log_uniform() -> None:
    count = 20_000
    sizes = torch.tensor([[1000, 1000]]).expand(count, 2)
    draws = torch.rand(count, 4, generator=torch.Generator().manual_seed(0))
    top, left, tall, wide = crop_boxes(sizes, (0.08, 0.5), (3 / 4, 4 / 3), draws).unbind(1)
    spread = np.linspace(0, 1, count)

    def departure(values: torch.Tensor) -> float:
        return float(np.abs(np.sort(values.numpy()) - spread).max())

    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is passed by chance once in a thousand times.
    limit = 1.95 / math.sqrt(count)
    assert departure((tall * wide / 1e6 - 0.08) / 0.42) < limit
    assert departure((torch.log(wide / tall) - math.log(3 / 4)) / math.log(16 / 9)) < limit
    assert departure((top + draws[:, 0].double()) / (1001 - tall)) < limit
    assert departure((left + draws[:, 0].double()) / (1001 - wide)) < limit


def test_area_stays_uniform_where_not_every_aspect_fits() -> None:
    count = 20_000
    sizes = torch.tensor([[1000, 1200]]).expand(count, 2)
    draws = torch.rand(count, 4, generator=torch.Generator().manual_seed(1))
    _, _, tall, wide = crop_boxes(sizes, (0.08, 1.0), (3 / 4, 4 / 3), draws).unbind(1)
    share = np.sort((tall * wide / 1.2e6).numpy())
    assert np.abs((share - 0.08) / 0.92 - np.linspace(0, 1, count)).max() < 1.95 / math.sqrt(count)
    assert (wide / tall).min() > 0.74
    assert (wide / tall).max() < 1.35


@settings(max_examples=200)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=4, max_size=4),
    st.sampled_from([(0.08, 1.0), (0.5, 0.5), (1.0, 1.0), (0.001, 0.01)]),
    st.sampled_from([(3 / 4, 4 / 3), (1.0, 1.0), (0.3, 3.3), (5.0, 6.0)]),
)
def test_boxes_lie_inside_the_image(
    height: int, width: int, draws: list[float], scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    box = crop_boxes(torch.tensor([[height, width]]), scale, ratio, torch.tensor([draws]))[0].tolist()
    top, left, tall, wide = (int(part) for part in box)
    assert box == [top, left, tall, wide]
    assert tall >= 1
    assert wide >= 1
    assert 0 <= top <= height - tall
    assert 0 <= left <= width - wide


def test_an_elongated_image_gets_the_largest_box_of_the_nearest_aspect() -> None:
    sizes = torch.tensor([[100, 1000], [1000, 100]])
    boxes = crop_boxes(sizes, (0.9, 1.0), (3 / 4, 4 / 3), torch.full((2, 4), 0.5))
    assert boxes[:, 2:].tolist() == [[100, 133], [133, 100]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degrees", [0.0, 20.0, 90.0, -133.0])
def test_rotation_equals_the_slow_reference(kind: str, degrees: float) -> None:
    sizes = [(40, 60), (9, 14), (1, 1), (30, 17)]
    images = reference.tiles(*sizes)
    boxes = [[3, 20, 36, 30], [0, 5, 9, 9], [0, 0, 1, 1], [10, 0, 12, 16]]
    flips = [True, False, False, True]
    side = 12
    config = ViewConfig(side=side, interpolation=kind, rotation=180.0)
    views = render(images, drawn_for(images, boxes, flips, math.radians(degrees)), config)
    for index, (height, width) in enumerate(sizes):
        image = images.pixels[index, :, :height, :width].double().numpy() / 255
        canvas = reference.crop(image, boxes[index], side, (False, flips[index]), kind, margin_for(side, 180.0))
        expected = reference.turned(canvas, math.radians(degrees), side).clip(0, 1)
        np.testing.assert_allclose(views[index].numpy(), expected, rtol=0, atol=2e-5)


def test_rotation_turns_as_torchvision_does() -> None:
    images = reference.tiles((50, 50))
    config = ViewConfig(side=30, rotation=90.0)
    box = [[10, 10, 30, 30]]
    still = render(images, drawn_for(images, box, [False], 0.0), config)
    quarter = render(images, drawn_for(images, box, [False], math.pi / 2), config)
    torch.testing.assert_close(quarter, torch.rot90(still, 1, (2, 3)), rtol=0, atol=1e-5)
    slight = render(images, drawn_for(images, box, [False], math.radians(10)), config)
    expected = peer.rotate(still, 10, InterpolationMode.BILINEAR)
    # torchvision leaves black corners; compare what its rotation did not have to fill.
    torch.testing.assert_close(slight[..., 5:-5, 5:-5], expected[..., 5:-5, 5:-5], rtol=0, atol=1e-3)


@pytest.mark.parametrize("rotation", [0.0, 25.0])
def test_shrinking_is_antialiased(rotation: float) -> None:
    stripes = torch.zeros(1, 1, 128, 128, dtype=torch.uint8)
    stripes[..., ::2] = 255
    images = Images(stripes, torch.tensor([[128, 128]]), torch.zeros(1), torch.zeros(1))
    angle = math.radians(rotation) if rotation else None
    config = ViewConfig(side=16, rotation=rotation)
    view = render(images, drawn_for(images, [[0, 0, 128, 128]], [False], angle), config)
    # Sampling single pixels would give 0 and 1.
    assert (view - 0.5).abs().max() < 0.03


@pytest.mark.parametrize("degrees", [1.0, 30.0, 45.0, 90.0, 180.0])
@pytest.mark.parametrize("side", [4, 32, 97])
def test_the_margin_covers_every_turn_and_no_more_than_needed(side: int, degrees: float) -> None:
    margin = margin_for(side, degrees)
    turns = np.radians(np.linspace(0, degrees, 500))
    reach = ((side - 1) / 2 * (np.abs(np.cos(turns)) + np.abs(np.sin(turns)))).max()
    assert reach <= side / 2 + margin - 0.5
    assert margin <= reach - side / 2 + 3
