"""Patches: the numbering, the projection, where they are cut, and everything done to them beside a slow obvious version."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.data.store import ImageStore, open_images
from foretell.errors import InputError
from foretell.views.patches import (
    DIRECTIONS,
    NAMES,
    PatchConfig,
    coarse_matrices,
    draw_patches,
    large_enough,
    pairs,
    patches,
    projection,
    render,
    settle,
)

STD = (0.2, 0.25, 0.3)


@pytest.fixture(scope="module")
def store() -> ImageStore:
    """Real pictures of three sizes: emoji as they are and cut to two smaller shapes."""
    emoji = open_images("@emoji").subset(np.arange(0, 900, 90))
    shapes = [(64, 64), (52, 64), (64, 48)]
    images = [emoji.image(i)[: shapes[i % 3][0], : shapes[i % 3][1]] for i in range(len(emoji))]
    return ImageStore.of(images)


def settled(store: ImageStore, **given: object) -> PatchConfig:
    config = PatchConfig(**given)
    return config.model_copy(update=settle(config, store.sizes))


def everything(store: ImageStore) -> Images:
    return store.read(np.arange(len(store)))


def rng_for(images: Images, seed: int = 0) -> Rng:
    return Rng(seed, 0, Rows(0, len(images), len(images)))


# numbering and projection --------------------------------------------------------------------------------------------


def test_the_eight_labels_are_numbered_as_published_and_swapping_a_pair_turns_l_into_7_minus_l() -> None:
    published = {
        (-1, -1): 0, (0, -1): 1, (1, -1): 2, (-1, 0): 3, (1, 0): 4, (-1, 1): 5, (0, 1): 6, (1, 1): 7,
    }  # fmt: skip
    assert {offset: label for label, offset in enumerate(DIRECTIONS)} == published
    assert NAMES[published[0, -1]] == "above"
    assert NAMES[published[1, 1]] == "below right"
    for grid in (2, 3):
        places, labels, _ = pairs(grid)
        found = {(int(a), int(b)): int(label) for (a, b), label in zip(places, labels, strict=True)}
        assert len(found) == {2: 12, 3: 40}[grid]
        for (a, b), label in found.items():
            assert found[b, a] == 7 - label
            offset = (b % grid - a % grid, b // grid - a // grid)
            assert published[offset] == label


def test_the_weights_let_the_eight_directions_count_alike() -> None:
    for grid in (2, 3):
        _, labels, weights = pairs(grid)
        each = torch.zeros(8).index_add(0, labels, weights)
        torch.testing.assert_close(each, torch.full((8,), 1 / 8))


def test_the_projection_takes_one_axis_out_of_the_colours() -> None:
    b = projection()
    a = torch.tensor([[-1.0, 2.0, -1.0]])
    torch.testing.assert_close(b, torch.tensor([[5.0, 2, -1], [2, 2, 2], [-1, 2, 5]]) / 6)
    torch.testing.assert_close(b @ a.T, torch.zeros(3, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(b @ b, b)
    assert int(torch.linalg.matrix_rank(b)) == 2


def test_a_patch_is_made_coarse_as_torch_does_it() -> None:
    patch = 20
    x = torch.rand(1, 1, patch, patch, generator=torch.Generator().manual_seed(0))
    table = coarse_matrices(patch)
    resize = torch.nn.functional.interpolate
    for r in (2, 7, 13, 19):
        small = resize(x, (r, r), mode="bilinear", antialias=True, align_corners=False)
        expected = resize(small, (patch, patch), mode="bilinear", align_corners=False)
        torch.testing.assert_close(table[r] @ x @ table[r].T, expected, atol=1e-5, rtol=0)
    assert torch.equal(table[patch], torch.eye(patch))


# sizes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "grid"), [(28, 2), (32, 2), (64, 3), (96, 3), (128, 3), (224, 3), (512, 3)])
def test_automatic_sizes_fit_and_leave_room_to_move(side: int, grid: int) -> None:
    sizes = np.full((5, 2), side)
    config = PatchConfig()
    config = config.model_copy(update=settle(config, sizes))
    assert config.grid == grid
    assert config.gap == config.patch // 2
    assert config.patch <= 96
    assert config.jitter >= 1
    assert side - config.extent >= 2
    assert large_enough(sizes, config).all()


@pytest.mark.parametrize(("side", "patch"), [(28, 10), (64, 15), (128, 30), (1000, 96)])
def test_a_patch_has_the_size_that_its_help_names(side: int, patch: int) -> None:
    assert settle(PatchConfig(), np.full((5, 2), side))["patch"] == patch
    told = PatchConfig.model_fields["patch"].description
    assert told is not None
    assert re.search(rf"\b{patch}\b" + (rf" (in images )?of {side} px" if patch < 96 else ""), told)


def test_given_sizes_are_kept() -> None:
    sizes = np.full((5, 2), 128)
    assert settle(PatchConfig(patch=32, gap=0, jitter=0), sizes) == {"patch": 32, "gap": 0, "jitter": 0, "grid": 3}
    assert settle(PatchConfig(patch=48), sizes)["grid"] == 2
    with_gap = settle(PatchConfig(gap=20), sizes)
    assert with_gap["gap"] == 20
    assert 3 * with_gap["patch"] + 40 <= 128


def test_one_small_image_in_ten_does_not_decide_and_none_that_fits_is_an_error() -> None:
    sizes = np.array([[200, 300]] * 19 + [[20, 300]])
    config = PatchConfig()
    config = config.model_copy(update=settle(config, sizes))
    assert config.grid == 3
    assert large_enough(sizes, config).tolist() == [True] * 19 + [False]
    config = PatchConfig(patch=96)
    with pytest.raises(InputError, match=r"objective\.patch = 96.*covers 240 px.*is 100 px"):
        large_enough(np.array([[100, 400]]), config.model_copy(update=settle(config, np.array([[100, 400]]))))


def test_an_area_that_is_none() -> None:
    with pytest.raises(ValidationError, match="smallest <= largest"):
        PatchConfig(area=(100, 50))


# draws ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"grid": 2, "patch": 18, "gap": 4}, {"gap": 0}, {"area": (4096, 9000)}])
def test_corners_are_those_of_a_jittered_grid_inside_the_image(store: ImageStore, given: dict) -> None:
    images = everything(store)
    config = settled(store, **given)
    pitch = config.patch + config.gap
    seen = set()
    for seed in range(20):
        drawn = draw_patches(images.sizes, 3, config, rng_for(images, seed))
        still = draw_patches(images.sizes, 3, config.model_copy(update={"jitter": 0}), rng_for(images, seed))
        assert (drawn.corners >= 0).all()
        assert (drawn.corners <= (drawn.sizes - config.patch)[:, None]).all()
        step = still.corners.view(-1, config.grid, config.grid, 2)
        assert (step.diff(dim=1)[..., 0] == pitch).all()
        assert (step.diff(dim=2)[..., 1] == pitch).all()
        moved = drawn.corners - still.corners
        assert moved.abs().max() <= config.jitter
        assert moved.unique().numel() > 1
        seen |= {int(value) for value in still.corners[0, 0]}
    free = 64 - config.extent
    if config.area is None:
        assert seen == set(range(free + 1)) if free < 8 else len(seen) > 8


def test_the_area_is_uniform_and_the_aspect_stays(store: ImageStore) -> None:
    images = everything(store)
    config = settled(store, area=(4096, 9000))
    areas = []
    for seed in range(40):
        drawn = draw_patches(images.sizes, 3, config, rng_for(images, seed))
        areas += drawn.sizes.prod(1).tolist()
        assert (
            (drawn.sizes[:, 0] / drawn.sizes[:, 1]) / (images.sizes[:, 0] / images.sizes[:, 1]) - 1
        ).abs().max() < 0.03
    assert 3950 <= min(areas) < 4300
    assert 8800 < max(areas) <= 9150
    assert abs(np.mean(areas) - 6548) < 300


# everything done to a patch ------------------------------------------------------------------------------------------


def slow(images: Images, drawn: object, config: PatchConfig, row: int, place: int) -> np.ndarray:
    """One patch (C, p, p) float64, one operation after the other."""
    p = config.patch
    image = images.pixels[row].double() / images.peak
    high, wide = images.sizes[row].tolist()
    image = image[:, :high, :wide]
    if drawn.resized:
        size = drawn.sizes[row].tolist()
        image = torch.nn.functional.interpolate(
            image[None], size, mode="bilinear", antialias=True, align_corners=False
        )[0]
    y, x = drawn.corners[row, place].tolist()
    patch = image[:, y : y + p, x : x + p]
    r = int(drawn.coarse[row, place])
    if r < p:
        resize = torch.nn.functional.interpolate
        small = resize(patch[None], (r, r), mode="bilinear", antialias=True, align_corners=False)
        patch = resize(small, (p, p), mode="bilinear", align_corners=False)[0]
    patch = patch.numpy().copy()
    for channel in patch:
        channel -= channel.mean()
    if config.colour == "drop":
        keep = int(drawn.keep[row, place])
        deviation = patch[keep].std()
        others = [(keep + 1) % 3, (keep + 2) % 3]
        for number, channel in enumerate(others):
            noise = drawn.noise[row, place, number].double().numpy()
            patch[channel] = noise * (0.01 * deviation if config.noise == "gaussian" else 1 / 255)
    elif config.colour == "projection":
        b = np.array([[5.0, 2, -1], [2, 2, 2], [-1, 2, 5]]) / 6
        patch = np.einsum("cyx,cd->dyx", patch, b)
    if config.contrast:
        return patch / max(math.sqrt((patch**2).mean()), 1 / 255)
    return patch / np.mean(STD)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"noise": "uniform"},
        {"colour": "projection"},
        {"colour": "keep", "contrast": False},
        {"contrast": False, "resample": 0.0, "jitter": 0},
        {"area": (4096, 9000), "colour": "keep"},
    ],
    ids=str,
)
def test_the_batch_equals_the_slow_obvious_version(store: ImageStore, given: dict) -> None:
    images = everything(store)
    config = settled(store, **given)
    drawn = draw_patches(images.sizes, 3, config, rng_for(images))
    seen = render(images, drawn, config, STD)
    if config.resample:
        assert 0.15 < float((drawn.coarse < config.patch).float().mean()) < 0.5
    for row in range(len(images)):
        for place in range(config.grid**2):
            expected = slow(images, drawn, config, row, place)
            # resizing in float32 beside float64; noise is 1/100 of the rest
            np.testing.assert_allclose(seen[row, place].numpy(), expected, atol=2e-3, rtol=0)


def test_one_channel_and_sixteen_bits(store: ImageStore) -> None:
    eight = open_images("@animals").subset(np.arange(6))
    sixteen = ImageStore.of([eight.image(i).astype(np.uint16) * 257 for i in range(6)])
    config = settled(eight)
    views = [patches(everything(one), config, rng_for(everything(one)), (0.3,)) for one in (eight, sixteen)]
    assert views[0].shape == (6, 4, 1, 10, 10)
    torch.testing.assert_close(views[0], views[1], atol=1e-4, rtol=0)


def test_dropping_leaves_one_channel_and_contrast_hides_the_strength(store: ImageStore) -> None:
    images = everything(store)
    config = settled(store, resample=0.0)
    seen = patches(images, config, rng_for(images), STD).flatten(0, 1)
    busy = seen.flatten(1).std(1) > 0.9
    energy = seen.square().mean((2, 3))[busy]
    share = energy.amax(1) / energy.sum(1)
    assert (share > 0.999).all()
    assert set(energy.argmax(1).tolist()) == {0, 1, 2}
    torch.testing.assert_close(energy.mean(1), torch.ones(len(energy)), atol=1e-4, rtol=0)


def test_a_flat_patch_is_not_blown_up() -> None:
    blank = ImageStore.of([np.full((64, 64, 3), 255, np.uint8)] * 2)
    for noise in ("gaussian", "uniform"):
        config = settled(blank, noise=noise)
        seen = patches(everything(blank), config, rng_for(everything(blank)), STD)
        assert torch.isfinite(seen).all()
        assert seen.abs().max() < 1
