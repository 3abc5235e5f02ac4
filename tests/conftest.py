"""The tests hold on a CPU, where results are bit-equal; ``FORETELL_TEST_CUDA=1`` lets them see a GPU (test_cuda.py)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from digit_samples import Digits

if os.environ.get("FORETELL_TEST_CUDA") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

# Time is not what is tested: a busy machine would fail any limit
settings.register_profile("foretell", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("foretell")


@pytest.fixture(scope="session")
def digits() -> Digits:
    """scikit-learn's digits as a labelled store, for tests of transfer and of measures."""
    import digit_samples  # imports torch, which must not see a GPU before the environment says so

    return digit_samples.read()
