"""The hash of what an image shows: equal for equal images, another for any change."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from foretell.data.content import content_hash

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(8, 8, 1), (64, 64, 1), (37, 41, 3), (65, 64, 2), (128, 96, 3)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_any_change_is_seen(shape: tuple[int, int, int], depth: type) -> None:
    image = RNG.integers(0, np.iinfo(depth).max, shape).astype(depth)
    found = {content_hash(image)}
    assert found == {content_hash(image.copy()), content_hash(np.asfortranarray(image))}
    assert len(content_hash(image)) == 16
    top = depth(1) << depth(np.iinfo(depth).bits - 1)
    places = RNG.choice(image.size, 40, replace=False)
    for place in places:
        for bit in (depth(1), top):
            other = image.copy()
            other.flat[place] ^= bit
            found.add(content_hash(other))
    for first, second in itertools.pairwise(places):
        other = image.copy()
        other.flat[first] ^= top
        other.flat[second] ^= top
        found.add(content_hash(other))
    others = [image[::-1], image[:, ::-1], image.reshape(shape[1], shape[0], shape[2]), image.reshape(shape[0], -1, 1)]
    found.update(content_hash(other) for other in others)
    same = sum(other.shape == image.shape and np.array_equal(other, image) for other in others)
    assert len(found) == 1 + 80 + 39 + len(others) - same


def test_the_same_bytes_in_another_depth_are_another_image() -> None:
    image = np.zeros((64, 64, 1), np.uint8)
    assert content_hash(image) != content_hash(image.astype(np.uint16)[:, ::2])


def test_zeros_count() -> None:
    assert len({content_hash(np.zeros((64, side, 1), np.uint8)) for side in range(4, 200)}) == 196
