"""The digits of scikit-learn as a labelled store, and an encoder that has seen labels of other digits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from digit_samples import Digits, new_encoder

from foretell.encoders.base import Encoder
from foretell.run import Run
from foretell.transfer.config import TransferConfig
from foretell.transfer.images.fit import Start, fine_tune
from foretell.transfer.images.labelled import labelled, resolved
from foretell.transfer.trials import Trial
from foretell.views.config import ViewConfig


@pytest.fixture(scope="session")
def views(digits: Digits) -> ViewConfig:
    config = ViewConfig(scale=(0.6, 1.0), flip=0, brightness=0.2, contrast=0.2, saturation=0, hue=0, grey=0, blur=0)
    return resolved(config, digits.store, 8)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run.create(tmp_path / "run")
    (made.path / "recipe.toml").write_text("")
    return made


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As each of several processes has: rounding depends on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder() -> Encoder:
    return new_encoder()


@pytest.fixture(scope="session")
def trained(digits: Digits, views: ViewConfig) -> Encoder:
    """An encoder that knows digits: trained with the labels of the spare part, which no test reads again."""
    data = labelled(digits.store, digits.spare)
    start = Start(new_encoder(), scratch=True)
    fitted = fine_tune(
        start,
        data,
        views=views,
        config=TransferConfig(device="cpu", precision="float32"),
        trial=Trial(3e-3, 120, 1e-4),
        seed=0,
    )
    return fitted.classifier.encoder
