"""What differs from image to image of a case and says nothing of it: another background and another light for every frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.counters import seed_of
from foretell.data.pixels import Pixels
from foretell.data.store import ImageStore

CELLS = 3  # cells a side of a background, whose colours run into each other
GAIN = 0.35  # spread of the light's gains, as a natural logarithm
Floats = NDArray[np.float64]


def background(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """(H, W, 3) in [0, 255]: random colours on a coarse grid, linear in between."""
    colours = rng.uniform(0, 255, (CELLS, CELLS, 3))
    ways = [np.linspace(0, CELLS - 1, length) for length in shape]
    for axis, way in enumerate(ways):
        low = np.minimum(way.astype(int), CELLS - 2)
        part = (way - low).reshape(-1, *[1] * (2 - axis))
        colours = np.take(colours, low, axis) * (1 - part) + np.take(colours, low + 1, axis) * part
    return colours


def disturbed(image: Pixels, rng: np.random.Generator) -> Pixels:
    """(H, W, 3) with what is pure white replaced by a background, under a light of its own."""
    free = (image == 255).all(axis=-1, keepdims=True)
    made = np.where(free, background(image.shape[:2], rng), image)
    lit: Pixels = np.rint(np.clip(made * np.exp(rng.normal(0, GAIN, 3)), 0, 255)).astype(np.uint8)
    return lit


def with_nuisance(store: ImageStore, seed: int = 0) -> ImageStore:
    """Every image of ``store`` disturbed in its own way, by its name and ``seed`` alone."""
    images = [
        disturbed(store.image(row), np.random.default_rng(seed_of("nuisance", seed, name)))
        for row, name in enumerate(store.names)
    ]
    return ImageStore.of(images, store.table)
