"""Nearest images and cases, on embeddings small enough to see."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.errors import InputError
from foretell.transfer.images.nearby import belonging, called, kept_whole, nearest_cases, nearest_images


def store(**columns: list[str | None]) -> ImageStore:
    count = len(next(iter(columns.values())))
    return ImageStore.of(np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2), Table(dict(columns)))


def test_a_case_is_the_mean_of_embeddings_of_length_one() -> None:
    features = np.array([[100, 0], [0, 1], [3, 4], [-1, 0]], np.float32)
    of, everything = np.array([7, 7, 2, 5]), np.arange(4)
    near = nearest_cases(np.array([1, 0], np.float32), features, of, everything, 5)
    # with its lengths the first case would be at 1.0; its images are each of length 1, so that the mean lies at 45 degrees
    assert near.similarity == pytest.approx([2**-0.5, 0.6, -1], abs=1e-6)
    assert [rows.tolist() for rows in near.members] == [[0, 1], [2], [3]]
    assert near.rows.tolist() == [0, 2, 3], "the image nearest to the query stands for its case"
    other = nearest_cases(np.array([0, 2], np.float32), features, of, everything, 2)
    assert [rows.tolist() for rows in other.members] == [[2], [0, 1]]
    assert other.rows.tolist() == [2, 1]


def test_what_is_left_out_counts_in_no_case() -> None:
    features = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    near = nearest_cases(np.array([1, 0], np.float32), features, np.array([0, 0, 1]), np.array([1, 2]), 9)
    assert [rows.tolist() for rows in near.members] == [[2], [1]]
    assert nearest_images(np.array([1, 0], np.float32), features, np.array([1, 2]), 9).rows.tolist() == [2, 1]


def test_a_case_lies_within_its_group() -> None:
    made = store(group=["a", "a", "b", None], case=["1", "2", "1", None])
    assert belonging(made, "case", "--by").tolist() == [0, 1, 2, 3]
    groups = belonging(made, "group", "--by").tolist()
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert belonging(made, "image", "--by").tolist() == [0, 1, 2, 3]
    assert [called(made.table, "case", row) for row in range(4)] == ["a / 1", "a / 2", "b / 1", None]
    assert called(made.table, "group", 2) == "b"
    with pytest.raises(InputError, match="--by study: memory has no column study"):
        belonging(made, "study", "--by")


def test_one_group_for_all_tells_no_images_apart() -> None:
    assert kept_whole(store(group=["a", "a"])) is None
    assert kept_whole(store(label=["a", "b"])) is None
    whole = kept_whole(store(group=["a", None, "a", None], case=["1", "2", "3", "2"]))
    assert whole is not None
    assert whole.tolist() == [0, 1, 0, 1]
