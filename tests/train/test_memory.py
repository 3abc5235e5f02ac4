"""Freed memory is kept while training, and given back after it."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
BIG = 40_000_000  # bytes: above glibc's own largest threshold for mapping


ROUNDS = """
import resource, torch
from foretell.train import cost, memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BIG // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print("usual", faults())
with memory.kept():
    with memory.kept():
        for _ in range(4):  # something small may come to lie in what the first one freed, and the next not fit
            faults()
        print("kept", faults())
    print("still", faults())
    held = cost._in_use()
print("given", held - cost._in_use())
print("after", faults())
"""


def test_a_buffer_is_taken_from_what_the_last_ones_freed() -> None:
    """In a process of its own: one whose heap could not grow once has another, which does not keep what is freed."""
    told = subprocess.run(
        [sys.executable, "-c", ROUNDS.replace("BIG", str(BIG))], capture_output=True, text=True, check=True
    ).stdout
    found = {name: int(value) for name, value in (line.split() for line in told.splitlines())}
    pages = BIG // resource.getpagesize()
    if found["usual"] < pages / 2:
        pytest.skip("huge pages are handed out here")
    assert found["kept"] < pages / 20
    assert found["still"] < pages / 20  # the inner block's end changed nothing
    assert found["given"] > 0.8 * BIG
    assert found["after"] > pages / 2
