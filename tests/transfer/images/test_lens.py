"""The shift between colours that was put in is the one that is found, on real photographs."""

from __future__ import annotations

import numpy as np
import pytest
from aberrated_store import aberrated
from sklearn.datasets import load_sample_images

from foretell.data.store import ImageStore
from foretell.errors import InputError
from foretell.transfer.images.lens import colour_shift, shift_of
from foretell.views.aberration import aberrate


@pytest.fixture(scope="module")
def photos() -> ImageStore:
    """Two photographs of 640 x 427 pixels, cut into quarters: eight pictures."""
    parts = []
    for photo in load_sample_images().images:
        for top in (0, 213):
            parts += [np.ascontiguousarray(photo[top : top + 213, left : left + 320]) for left in (0, 320)]
    return ImageStore.of(parts)


@pytest.mark.parametrize("k", [0.01, -0.02])
def test_a_known_shift_is_found_in_each_photograph(photos: ImageStore, k: float) -> None:
    """Lens and camera have moved the colours already: the shift found grows by what is added."""
    for row in (0, 2):
        batch = photos.read([row])
        before, after = shift_of(batch), shift_of(aberrate(batch, k))
        for (old, _), (new, error) in zip(before, after, strict=True):
            assert (1 + new) / (1 + old) - 1 == pytest.approx(k, abs=0.001)
            assert 0 < error < 0.001


def test_grey_photographs_have_none() -> None:
    photo = load_sample_images().images[0]
    grey = np.repeat(photo.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    for k, error in shift_of(ImageStore.of([grey]).read([0])):
        assert k == pytest.approx(0, abs=1e-4)
        assert error < 0.001
    moved = aberrate(ImageStore.of([grey]).read([0]), 0.005)
    for k, _ in shift_of(moved):
        assert k == pytest.approx(0.005, abs=0.0005)


def test_the_median_over_photographs_with_its_interval(photos: ImageStore) -> None:
    before = colour_shift(photos)
    after = colour_shift(aberrated(photos, 0.02))
    for old, new in zip(before, after, strict=True):
        assert new.channel == old.channel
        assert new.found
        assert new.k.low <= new.k.mean <= new.k.high
        assert new.k.mean - old.k.mean == pytest.approx(0.02, abs=0.002)
        assert new.record()["k_percent"]["mean"] == pytest.approx(100 * new.k.mean)
    assert [one.channel for one in after] == ["red", "blue"]


def test_what_cannot_be_measured_is_said(photos: ImageStore) -> None:
    with pytest.raises(InputError, match=r"images with 1 channels; .* needs RGB images"):
        colour_shift(ImageStore.of([np.zeros((64, 64), np.uint8)]))
    flat = ImageStore.of([np.full((64, 64, 3), 128, np.uint8)] * 9)
    with pytest.raises(InputError, match=r"0 of 9 images have texture enough .* expected at least 8"):
        colour_shift(flat)
    with pytest.raises(InputError, match="expected at least 8"):
        colour_shift(photos.subset(np.arange(4)))
