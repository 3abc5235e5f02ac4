"""Pickles that came as data give arrays of numbers or nothing."""

from __future__ import annotations

import os
import pickle
import subprocess

import numpy as np
import pytest

from benchmarks.datasets import pickles
from foretell.claims.fetch import Unsafe


class Calls:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL))
@pytest.mark.parametrize("kind", ["u1", "<i8", ">f4", "?"])
def test_arrays_come_through(protocol, kind):
    expected = np.arange(12).reshape(3, 4).astype(kind)
    if protocol < 3:  # old protocols spell bytes as a call of a codec, which is no part of an array
        with pytest.raises(Unsafe):
            pickles.array(pickle.dumps(expected, protocol))
        return
    found = pickles.array(pickle.dumps(expected, protocol))
    assert found.dtype.kind == expected.dtype.kind  # the byte order may become the machine's
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_refused_and_not_made(tmp_path, protocol):
    mark = tmp_path / "ran"
    content = pickle.dumps(Calls(os.system, f"touch {mark}"), protocol)
    pickle.loads(content)  # the usual reader makes the call
    assert mark.exists()
    mark.unlink()
    with pytest.raises(Unsafe, match=r"'(posix|nt)\.system', which is no part of a numeric array"):
        pickles.array(content)
    assert not mark.exists()


@pytest.mark.parametrize("function", [eval, exec, getattr, __import__, open, subprocess.run, np.load, np.fromfile])
def test_other_functions_are_refused_too(function):
    with pytest.raises(Unsafe, match="no part of a numeric array"):
        pickles.array(pickle.dumps([np.zeros(2), Calls(function, "1")]))


def test_a_call_hidden_in_a_member_of_an_allowed_name_is_refused():
    # STACK_GLOBAL with a dotted name: the method of an array that writes a file
    content = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    with pytest.raises(Unsafe, match=r"'numpy\.ndarray\.tofile'"):
        pickles.array(content)


def test_a_call_hidden_in_an_array_of_objects_is_refused(tmp_path):
    mark = tmp_path / "ran"
    hidden = np.array([Calls(os.system, f"touch {mark}")], dtype=object)
    with pytest.raises(Unsafe, match="system"):
        pickles.array(pickle.dumps(hidden))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": 1}, "holds dict"),
        ("text", "holds str"),
        ([np.zeros(2)], "holds list"),
        (np.array(["a", None], dtype=object), "holds an array of object"),
        (np.array(["a"]), "holds an array of <U1"),
    ],
)
def test_anything_but_numbers_is_refused(value, said):
    with pytest.raises(Unsafe, match=said):
        pickles.array(pickle.dumps(value))


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(np.zeros(99))[:-40]])
def test_a_damaged_pickle_is_refused_in_words(content):
    with pytest.raises(Unsafe, match="cannot be read as an array"):
        pickles.array(content)
