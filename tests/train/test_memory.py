"""Freed memory is kept while training, and given back after it."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from foretell.train import cost, memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
BIG = 40_000_000  # bytes: above glibc's own largest threshold for mapping


def faults_of_a_round() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BIG // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_buffer_is_taken_from_what_the_last_one_freed() -> None:
    faults_of_a_round()
    pages = BIG // resource.getpagesize()
    if faults_of_a_round() < pages / 2:
        pytest.skip("huge pages are handed out here")
    with memory.kept():
        with memory.kept():
            faults_of_a_round()
            assert faults_of_a_round() < pages / 20
        assert faults_of_a_round() < pages / 20  # the inner block's end changed nothing
        held = cost._in_use()
    assert held - cost._in_use() > 0.8 * BIG
    assert faults_of_a_round() > pages / 2
