"""Whole random views: the draws, all operations together, and every kind of image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import view_reference as reference
from pydantic import ValidationError
from torchvision.transforms.v2 import functional as peer

from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.views import Drawn, ViewConfig, augment, denormalise, draw, render
from foretell.views.blur import blur_radius
from foretell.views.finish import chunks
from foretell.views.geometry import margin_for

EVERYTHING = {
    "side": 16,
    "vertical_flip": 0.3,
    "rotation": 20.0,
    "solarise": 0.4,
    "erase": 0.6,
    "mean": (0.4, 0.5, 0.6),
    "std": (0.2, 0.3, 0.25),
}


def rng_for(images: Images, seed: int = 0, step: int = 0) -> Rng:
    return Rng(seed, step, Rows(0, len(images), len(images)))


def slow(image: np.ndarray, drawn: Drawn, index: int, config: ViewConfig) -> np.ndarray:
    """The view of (C, H, W) float64 in [0, 1], one operation after the other."""
    side, angle = config.side, drawn.angle
    margin = 0 if angle is None else margin_for(side, config.rotation)
    box = [int(part) for part in drawn.box[index]]
    flips = bool(drawn.vertical_flip[index]), bool(drawn.flip[index])
    view = reference.crop(image, box, side, flips, config.interpolation, margin)
    if angle is not None:
        view = reference.turned(view, float(angle[index]), side)
    if drawn.colours is not None:
        names = ("brightness", "contrast", "saturation", "hue")
        view = reference.coloured(view, list(zip(names, drawn.colours[index].tolist(), strict=True)))
    if drawn.sigma is not None:
        view = reference.blurred(view, float(drawn.sigma[index]), blur_radius(side, config.blur_kernel))
    view = view.clip(0, 1)
    if drawn.solarise is not None and drawn.solarise[index]:
        view = np.where(view > 0.5, 1 - view, view)
    if config.mean is not None:
        view = (view - np.array(config.mean)[:, None, None]) / np.array(config.std)[:, None, None]
    if drawn.erase is not None:
        top, left, tall, wide = (int(part) for part in drawn.erase[index])
        middle = view.mean((1, 2), keepdims=True) if config.mean is None else 0.0
        view[:, top : top + tall, left : left + wide] = middle
    return view


@pytest.mark.parametrize("rotation", [0.0, 20.0])
@pytest.mark.parametrize("channels", [1, 3, 4, 13])
@pytest.mark.parametrize("normalised", [True, False])
def test_all_operations_equal_the_slow_reference(channels: int, normalised: bool, rotation: float) -> None:
    sizes = [(40, 60), (16, 16), (60, 21), (7, 30), (1, 1), (20, 20), (5, 5), (30, 60)]
    images = reference.tiles(*sizes, channels=channels)
    colours = {"mean": (0.4,) * channels, "std": (0.25,) * channels} if normalised else {"mean": None, "std": None}
    config = ViewConfig(**(EVERYTHING | colours | {"rotation": rotation}))
    drawn = draw(images.sizes, config, rng_for(images), "view")
    views = render(images, drawn, config)
    assert views.shape == (len(images), channels, 16, 16)
    assert views.dtype == torch.float32
    assert views.is_contiguous()
    assert not views.requires_grad
    for index, (height, width) in enumerate(sizes):
        image = images.pixels[index, :, :height, :width].double().numpy() / 255
        np.testing.assert_allclose(views[index].numpy(), slow(image, drawn, index, config), rtol=0, atol=2e-4)


def test_sixteen_bits_equal_eight() -> None:
    images = reference.tiles((30, 40), (20, 25))
    wide = Images((images.pixels.int() * 257).to(torch.uint16), images.sizes, images.index, images.content)
    config = ViewConfig(**EVERYTHING)
    rng = rng_for(images)
    torch.testing.assert_close(augment(wide, config, rng, "a"), augment(images, config, rng, "a"), rtol=0, atol=1e-4)


def test_the_same_counters_give_the_same_views_and_others_do_not() -> None:
    images = reference.tiles(*[(32, 32)] * 4)
    config = ViewConfig(side=16)
    first = augment(images, config, rng_for(images), "first")
    assert torch.equal(augment(images, config, rng_for(images), "first"), first)
    for other in (
        augment(images, config, rng_for(images), "second"),
        augment(images, config, rng_for(images, step=1), "first"),
        augment(images, config, rng_for(images, seed=1), "first"),
    ):
        assert (other - first).abs().amax((1, 2, 3)).min() > 0.05


def test_every_sample_is_drawn_for_itself() -> None:
    one = reference.tiles((32, 32))
    images = Images(
        one.pixels.expand(12, -1, -1, -1), one.sizes.expand(12, -1), torch.arange(12), one.content.expand(12)
    )
    views = augment(images, ViewConfig(side=16), rng_for(images), "view")
    different = (views[:, None] - views[None]).abs().amax((2, 3, 4)) > 0.01
    assert different.sum() == 12 * 11


@pytest.mark.parametrize("processes", [2, 4])
def test_the_rows_of_several_processes_are_those_of_one(processes: int) -> None:
    images = reference.tiles(*[(24, 30), (30, 24), (20, 20), (9, 9)] * 2)
    config = ViewConfig(**EVERYTHING)
    whole = augment(images, config, rng_for(images), "view")
    for rank in range(processes):
        rows = Rows.of_rank(8, rank, processes)
        part = augment(images.rows(rows.start, rows.stop), config, Rng(0, 0, rows), "view")
        torch.testing.assert_close(part, whole[rows.start : rows.stop], rtol=0, atol=1e-5)


def test_parts_of_a_large_batch_join_without_a_seam() -> None:
    images = reference.tiles(*[(96, 96)] * 70)
    assert len(list(chunks(images))) > 1
    config = ViewConfig(side=24)
    rng = rng_for(images)
    drawn = draw(images.sizes, config, rng, "view")
    whole = augment(images, config, rng, "view")
    for index in (0, 26, 27, 28, 69):
        alone = render(images.rows(index, index + 1), drawn.part(index, index + 1), config)
        torch.testing.assert_close(whole[index : index + 1], alone, rtol=0, atol=1e-6)


def test_switching_one_operation_off_leaves_the_other_draws() -> None:
    sizes = torch.tensor([[30, 40]] * 50)
    rng = Rng(0, 0, Rows(0, 50, 50))
    full = draw(sizes, ViewConfig(**EVERYTHING), rng, "view")
    bare = draw(sizes, ViewConfig(**(EVERYTHING | {"rotation": 0.0, "jitter": 0.0, "flip": 0.0})), rng, "view")
    assert torch.equal(bare.box, full.box)
    assert torch.equal(bare.vertical_flip, full.vertical_flip)
    assert torch.equal(bare.sigma, full.sigma)
    assert torch.equal(bare.erase, full.erase)
    assert torch.equal(bare.colours[:, 2] == 0, full.colours[:, 2] == 0)
    assert not bare.flip.any()
    assert bare.angle is None


def test_how_often_and_how_much_is_as_configured() -> None:
    count = 20_000
    config = ViewConfig(**(EVERYTHING | {"brightness": 0.4, "contrast": 0.3, "saturation": 0.2, "hue": 0.1}))
    drawn = draw(torch.tensor([[40, 40]]).expand(count, 2), config, Rng(0, 0, Rows(0, count, count)), "view")
    jittered = drawn.colours[:, 0] != 1
    coloured = drawn.colours[:, 2] != 0
    blurred = drawn.sigma > 0
    for happened, chance in (
        (drawn.flip, 0.5),
        (drawn.vertical_flip, 0.3),
        (jittered, 0.8),
        (~coloured, 0.2),
        (blurred, 0.5),
        (drawn.solarise, 0.4),
        (drawn.erase[:, 2] > 0, 0.6),
        (jittered & ~coloured & blurred & drawn.flip, 0.8 * 0.2 * 0.5 * 0.5),
    ):
        # Four standard deviations of a binomial share.
        assert abs(happened.double().mean() - chance) < 4 * math.sqrt(chance * (1 - chance) / count)
    for values, low, high in (
        (drawn.colours[jittered, 0], 0.6, 1.4),
        (drawn.colours[jittered, 1], 0.7, 1.3),
        (drawn.colours[jittered & coloured, 2], 0.8, 1.2),
        (drawn.colours[jittered, 3], -0.1, 0.1),
        (drawn.sigma[blurred], 0.1, 2.0),
        (drawn.angle, -math.radians(20), math.radians(20)),
    ):
        place = np.sort(((values - low) / (high - low)).numpy())
        assert np.abs(place - np.linspace(0, 1, len(place))).max() < 1.95 / math.sqrt(len(place))
    erased = drawn.erase[drawn.erase[:, 2] > 0]
    assert (erased[:, 0] + erased[:, 2]).max() <= 16
    assert (erased[:, 1] + erased[:, 3]).max() <= 16


def test_solarise_equals_torchvision() -> None:
    images = reference.tiles(*[(16, 16)] * 4)
    config = ViewConfig(side=16, scale=(1, 1), ratio=(1, 1), flip=0, jitter=0, grey=0, blur=0, solarise=1)
    views = augment(images, config, rng_for(images), "view")
    torch.testing.assert_close(views, peer.solarize(images.float(), 0.5), rtol=0, atol=1e-6)


def test_erased_rectangles_hold_the_mean() -> None:
    images = reference.tiles(*[(32, 32)] * 40)
    plain_config = ViewConfig(side=32, mean=(0.3, 0.4, 0.5), std=(0.2, 0.2, 0.2))
    config = plain_config.model_copy(update={"erase": 0.5})
    rng = rng_for(images)
    before, after = augment(images, plain_config, rng, "view"), augment(images, config, rng, "view")
    boxes = draw(images.sizes, config, rng, "view").erase.int().tolist()
    assert 5 < sum(tall > 0 for _, _, tall, _ in boxes) < 35
    for index, (top, left, tall, wide) in enumerate(boxes):
        expected = before[index].clone()
        expected[:, top : top + tall, left : left + wide] = 0
        assert torch.equal(after[index], expected)
    shown = denormalise(after, config.mean, config.std)
    index = next(index for index, box in enumerate(boxes) if box[2])
    top, left = boxes[index][:2]
    torch.testing.assert_close(shown[index, :, top, left], torch.tensor([0.3, 0.4, 0.5]))


def test_denormalise_undoes_the_normalisation() -> None:
    images = reference.tiles((20, 20), (20, 30))
    without = augment(images, ViewConfig(side=12), rng_for(images), "view")
    config = ViewConfig(side=12, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    normalised = augment(images, config, rng_for(images), "view")
    torch.testing.assert_close(denormalise(normalised, config.mean, config.std), without, rtol=0, atol=1e-6)
    assert denormalise(normalised * 100, config.mean, config.std).min() == 0
    assert torch.equal(denormalise(without, None, None), without)


def test_autocast_does_not_reach_the_views() -> None:
    images = reference.tiles((20, 20))
    config = ViewConfig(side=12)
    expected = augment(images, config, rng_for(images), "view")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augment(images, config, rng_for(images), "view"), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
def test_an_accelerator_gives_the_same_views() -> None:
    images = reference.tiles((24, 30), (30, 24), (20, 20), (1, 1))
    config = ViewConfig(**EVERYTHING)
    expected = augment(images, config, rng_for(images), "view")
    device = torch.device("cuda")
    rng = Rng(0, 0, Rows(0, 4, 4), device)
    views = augment(images.to(device), config, rng, "view")
    assert views.device.type == "cuda"
    torch.testing.assert_close(views.cpu(), expected, rtol=0, atol=1e-4)


def test_wrong_use_is_refused() -> None:
    images = reference.tiles((20, 20), (20, 20))
    with pytest.raises(ValueError, match="side"):
        augment(images, ViewConfig(), rng_for(images), "view")
    with pytest.raises(ValueError, match="2 images for 3 rows"):
        augment(images, ViewConfig(side=8), Rng(0, 0, Rows(0, 3, 6)), "view")
    with pytest.raises(ValueError, match="1 values of mean for images with 3 channels"):
        augment(images, ViewConfig(side=8, mean=(0.5,)), rng_for(images), "view")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scale", (0.0, 1.0)),
        ("scale", (0.5, 0.2)),
        ("scale", (0.5, 1.5)),
        ("ratio", (-1.0, 1.0)),
        ("ratio", (2.0, 1.0)),
        ("blur_sigma", (-0.1, 2.0)),
        ("blur_sigma", (2.0, 1.0)),
        ("erase_scale", (0.1, 1.1)),
        ("std", (0.1, 0.0)),
        ("side", 2),
        ("flip", 1.5),
    ],
)
def test_settings_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        ViewConfig(**{key: value})
