"""Samples and networks of the tests on scikit-learn's digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.data.store import ImageStore
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
