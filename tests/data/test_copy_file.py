"""Shards behind one another in a file, copied within the kernel or, where it cannot, by hand."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from foretell.data.build import copy_file


def not_at_once(source: int, out: int, count: int) -> int:
    return os.sendfile(out, source, None, min(count, 1000))


def breaks_off(numbers: list[int], code: int):  # type: ignore[no-untyped-def]
    def copy(source: int, out: int, count: int) -> int:
        if not numbers:
            raise OSError(code, os.strerror(code))
        return os.sendfile(out, source, None, numbers.pop())

    return copy


@pytest.mark.parametrize(
    "copy",
    [os.copy_file_range, not_at_once, breaks_off([], errno.EXDEV), breaks_off([700], errno.EINVAL), lambda *_: 0, None],
    ids=["kernel", "in parts", "not at all", "breaks off", "copies nothing", "no such call"],
)
def test_files_stand_behind_one_another(copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    if copy is None:
        monkeypatch.delattr(os, "copy_file_range")
    else:
        monkeypatch.setattr(os, "copy_file_range", copy)
    parts = [os.urandom(5000), b"", os.urandom(12_345)]
    with open(tmp_path / "whole", "w+b") as out:
        out.write(b"before")
        for part in parts:
            (tmp_path / "part").write_bytes(part)
            with open(tmp_path / "part", "rb") as source:
                copy_file(source, out)
            out.write(b"between")
    assert (tmp_path / "whole").read_bytes() == b"before" + b"".join(part + b"between" for part in parts)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "copy_file_range", breaks_off([], errno.ENOSPC))
    (tmp_path / "part").write_bytes(b"some")
    with (
        open(tmp_path / "part", "rb") as source,
        open(tmp_path / "whole", "w+b") as out,
        pytest.raises(OSError, match="space"),
    ):
        copy_file(source, out)
