"""Dice and intersection over union by class, from sums that grow batch by batch."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from foretell.dense.masks import IGNORED


class Overlap:
    """Counts of pixels: ``confusion`` (K, K) int64, reference by row and prediction by column.

    Dice of a class is 2 TP / (2 TP + FP + FN), its IoU TP / (TP + FP + FN), over all pixels together; NaN where the class
    is in neither. ``IGNORED`` pixels of the reference count nowhere. Classes that are ``absent``, in no mask of the
    data, are in no mean: a pixel foretold as one of them is a miss of its own class alone.
    """

    def __init__(self, classes: Sequence[str], absent: Container[str] = ()) -> None:
        self.classes, self.absent = list(classes), absent
        self.confusion = np.zeros((len(self.classes), len(self.classes)), np.int64)

    def add(self, predicted: Tensor, reference: Tensor) -> None:
        """Both (B, H, W) class numbers."""
        kept = reference != IGNORED
        size = len(self.classes)
        pairs = (reference[kept] * size + predicted[kept]).cpu().numpy()
        self.confusion += np.bincount(pairs, minlength=size * size).reshape(size, size)

    def dice(self) -> dict[str, float]:
        return self._by_class(2)

    def iou(self) -> dict[str, float]:
        return self._by_class(1)

    def _by_class(self, weight: int) -> dict[str, float]:
        hit = np.diag(self.confusion).astype(np.float64)
        wrong = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - 2 * hit
        with np.errstate(invalid="ignore"):
            values = weight * hit / (weight * hit + wrong)
        return {name: float(value) for name, value in zip(self.classes, values, strict=True)}

    def scores(self) -> dict[str, Any]:
        """``dice``: the mean over all classes but the first (the background) that occur; ``miou``: over all that occur.

        A class of the data occurs where it is foretold, too: where the reference has none of it, it counts as 0.
        """
        dice, iou = self.dice(), self.iou()
        counted = [name for name in self.classes if name not in self.absent]
        fore = [dice[name] for name in counted if name != self.classes[0] and dice[name] == dice[name]]
        every = [iou[name] for name in counted if iou[name] == iou[name]]
        return {
            "dice": float(np.mean(fore)) if fore else float("nan"),
            "miou": float(np.mean(every)) if every else float("nan"),
            "dice_by_class": dice,
            "iou_by_class": iou,
        }
