"""Windows cover every place, and one of them answers for it."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.errors import InputError
from foretell.tasks.windows import owners, windows


@pytest.mark.parametrize("room", [1, 2, 5, 16])
@pytest.mark.parametrize("length", [1, 2, 5, 15, 16, 17, 40, 101])
def test_each_place_is_in_a_window_and_has_one_owner(length: int, room: int) -> None:
    for stride in range(1, room + 1):
        cut = windows(length, room, stride)
        covered = np.zeros(length, int)
        for start, end in cut:
            assert end - start == min(room, length)
            covered[start:end] += 1
        assert (covered > 0).all()
        assert len(cut) == 1 + max(0, -(-(length - room) // stride))
        owner = owners(cut, length)
        assert (np.diff(owner) >= 0).all()
        context = [min(i - cut[w, 0], cut[w, 1] - 1 - i) for i, w in enumerate(owner)]
        most = [max(min(i - s, e - 1 - i) for s, e in cut if s <= i < e) for i in range(length)]
        assert context == most


def test_worked_by_hand() -> None:
    assert windows(10, 6, 3).tolist() == [[0, 6], [3, 9], [4, 10]]
    assert owners(windows(10, 6, 4), 10).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_no_places_and_bad_strides() -> None:
    assert windows(0, 4, 2).tolist() == [[0, 0]]
    assert len(owners(windows(0, 4, 2), 0)) == 0
    for stride in (0, 5):
        with pytest.raises(InputError, match=rf"stride = {stride}: expected 1 to 4, the length of a window"):
            windows(9, 4, stride)
