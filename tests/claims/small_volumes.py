"""Volumes of a few slabs in the place of the four patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from foretell.claims.medical import brains, cranium
from foretell.claims.medical.volumes import HEAD, LEARNT, MACAQUE, TESTED, Volume

SHAPE = (48, 40, 16)


def small(
    patient: str, classes: tuple[str, ...], planes: tuple[str, ...], parts: bool, seed: int
) -> Callable[[], Volume]:
    """The left third is of class 1, the next of class 2, the last outside; brighter where the number is higher."""

    def read() -> Volume:
        masks = np.zeros(SHAPE, np.uint8)
        masks[:16], masks[16:32] = 1, min(2, len(classes) - 1)
        noise = np.random.default_rng(seed).integers(0, 60, SHAPE)
        return Volume(patient, (60 * masks + noise).astype(np.uint8), masks, classes, planes, parts)

    return read


PATIENTS = (
    small(LEARNT, brains.CLASSES, ("axial", "coronal"), True, 0),
    small(MACAQUE, ("background", "brain"), ("axial",), False, 1),
    small(HEAD, cranium.CLASSES, ("axial",), False, 2),
    small(TESTED, brains.CLASSES, ("axial", "coronal"), True, 3),
)
