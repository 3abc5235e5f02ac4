"""The tests hold on a CPU, where results are bit-equal; ``FORETELL_TEST_CUDA=1`` lets them see a GPU (test_cuda.py)."""

import os

from hypothesis import HealthCheck, settings

if os.environ.get("FORETELL_TEST_CUDA") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

# Time is not what is tested: a busy machine would fail any limit
settings.register_profile("foretell", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("foretell")
