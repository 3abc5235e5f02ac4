"""Samples and networks of the tests on scikit-learn's digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.encoders import build_encoder
from foretell.encoders.base import Encoder, EncoderConfig


@dataclass
class Digits:
    store: ImageStore
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    spare: NDArray[np.int64]
    codes: NDArray[np.int64]
    flat: NDArray[np.float32]


def new_encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return build_encoder(EncoderConfig(name="resnet_tiny"), 1, 8)


def read() -> Digits:
    """1,797 digits of 8 x 8; 400 train, 300 test, the rest spare."""
    found = load_digits()
    images = (found.images * 15.9).astype(np.uint8)[..., None]
    store = ImageStore.of(images, Table({"label": [str(code) for code in found.target]}))
    order = np.random.default_rng(0).permutation(len(images))
    return Digits(
        store,
        np.sort(order[:400]),
        np.sort(order[400:700]),
        np.sort(order[700:]),
        found.target.astype(np.int64),
        (found.data / 16).astype(np.float32),
    )
