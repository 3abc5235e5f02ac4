"""kNN and a linear probe while training, where labels exist."""

from __future__ import annotations

from typing import Any

import numpy as np

from foretell.encoders.base import Encoder
from foretell.errors import InputError
from foretell.measures.knn import knn
from foretell.measures.probe import fit_probe
from foretell.objectives.base import Objective, Trainable
from foretell.transfer.fractions import holdout
from foretell.transfer.images.features import PlainViews, embed
from foretell.transfer.images.labelled import Labelled
from foretell.views.config import Crop, ViewConfig


class _FrozenMonitor:
    """Accuracy on labelled images that are set apart from ``data``, which must not hold test samples. ``labels``: how many
    images' labels it reads.

    About 30% of the images (whole groups) are asked about, the others are learnt from. The evaluation views are
    kept in memory up to 512 MiB. Raises InputError when a class is needed that cannot be set apart.
    """

    name = ""
    higher_is_better = True

    def __init__(self, data: Labelled, views: ViewConfig, every: int, *, seed: int = 0, crop: Crop = 1.0) -> None:
        self.every = every
        known, asked = holdout(data.codes, data.groups, 0.3, seed)
        self.known, self.asked = data.take(known), data.take(asked)
        self.labels = len(known) + len(asked)
        if not len(known) or not len(asked) or len(np.unique(self.known.codes)) < 2:
            raise InputError(
                f"the monitor '{self.name}' needs labels of two classes in two groups at least; {len(data)} labels give none"
            )
        self._views = [PlainViews(part.reader, part.index, views, crop=crop) for part in (self.known, self.asked)]

    def __call__(self, trainable: Trainable, step: int) -> float:
        assert isinstance(trainable, Objective)
        encoder = trainable.for_transfer()
        assert isinstance(encoder, Encoder)
        return self.accuracy(encoder)

    def accuracy(self, encoder: Encoder) -> float:
        """The share of the asked images whose class is found."""
        x, asked = (embed(encoder, views) for views in self._views)
        return float((self.foretell(x, asked).argmax(axis=1) == self.asked.codes).mean())

    def foretell(self, x: np.ndarray, asked: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class KnnMonitor(_FrozenMonitor):
    """Accuracy of the ``k`` nearest neighbours by cosine, softmax-weighted."""

    name = "knn"

    def __init__(self, data: Labelled, views: ViewConfig, every: int, *, k: int = 20, **setting: Any) -> None:
        super().__init__(data, views, every, **setting)
        self.k = k

    def foretell(self, x: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return knn(x, self.known.codes, asked, k=self.k, classes=len(self.known.classes)).cpu().numpy()


class ProbeMonitor(_FrozenMonitor):
    """Accuracy of logistic regression on the frozen features, with one fixed penalty."""

    name = "probe"

    strength = 1e-2

    def foretell(self, x: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return fit_probe(x, self.known.codes, len(self.known.classes), self.strength, iterations=100).logits(asked)
