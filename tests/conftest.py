"""The tests hold on a CPU, where results are bit-equal; ``FORETELL_TEST_CUDA=1`` lets them see a GPU (test_cuda.py)."""

import os

if os.environ.get("FORETELL_TEST_CUDA") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
