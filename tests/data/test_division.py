"""What is learnt from and what is tested, by a split column."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.data.division import by_column
from foretell.data.splits import Parts
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.errors import InputError
from foretell.recipe import DataConfig
from foretell.verbs.common import divide

SHARES = {"train": 0.8, "test": 0.2}
Values = list[str | None]


def labels(count: int) -> Values:
    return ["ab"[row % 2] for row in range(count)]


def rows(parts: Parts) -> tuple[list[int], list[int]]:
    return parts.train.tolist(), parts.test.tolist()


# a split column ----------------------------------------------------------------------------------------------


def test_a_validation_part_is_tested_where_there_is_no_test_part() -> None:
    split: Values = ["train"] * 32 + ["val"] * 16
    for shares in (SHARES, {"train": 0.6, "validation": 0.2, "test": 0.2}, {"train": 0.8, "val": 0.2}):
        parts = by_column(Table({"label": labels(48), "split": split}), shares, 0, "image")
        assert rows(parts) == (list(range(32)), list(range(32, 48)))
        assert parts.how == "the split column of the data, with its validation part as the test"


def test_a_test_part_that_is_cut_out_of_train_is_told() -> None:
    parts = by_column(Table({"label": labels(50), "split": ["train"] * 50}), SHARES, 3, "image")
    assert (len(parts.train), len(parts.test)) == (40, 10)
    assert not set(parts.train) & set(parts.test)
    assert parts.how == (
        "the split column of the data, with 10 images of its train part held out at random, as it names no test (seed 3)"
    )


def test_a_validation_part_beside_a_test_part_is_told_to_be_in_neither() -> None:
    split: Values = ["train"] * 6 + ["valid"] * 3 + ["test"] * 3
    parts = by_column(Table({"label": labels(12), "split": split}), SHARES, 0, "image")
    assert rows(parts) == (list(range(6)), [9, 10, 11])
    assert parts.how == "the split column of the data; 3 images in no part (3 validation)"


def test_rows_of_no_part_are_learnt_from_where_they_have_no_label() -> None:
    label: Values = [*labels(12), None, None, "a", None]
    split: Values = ["train"] * 8 + ["test"] * 4 + [None, "unlabeled", None, "extra"]
    table = Table({"label": label, "split": split})
    parts = by_column(table, SHARES, 0, "image")
    assert rows(parts) == ([*range(8), 12, 13, 15], [8, 9, 10, 11])
    assert parts.how == "the split column of the data; 1 image in no part (1 without a split)"
    assert rows(by_column(table, SHARES, 0, "row", pretrain=False))[0] == list(range(8))
    unnamed = by_column(
        Table({"label": label, "split": [None] * 8 + split[8:]}).subset(range(8, 16)), SHARES, 0, "image"
    )
    assert rows(unnamed) == ([4, 5, 7], [0, 1, 2, 3])
    with pytest.raises(
        InputError, match="column 'split' names extra, unlabeled and no train; expected train rows to cut"
    ):
        by_column(table.subset([12, 13, 15]), SHARES, 0, "image")


def test_rows_that_belong_to_what_is_tested_are_in_no_part() -> None:
    split: Values = ["train", "train", "test", "test", "unlabeled", "unlabeled", None]
    group: Values = ["p", "q", "r", "s", "r", "p", None]
    label: Values = ["a", "b", "a", "b", None, None, None]
    parts = by_column(Table({"label": label, "split": split, "group": group}), SHARES, 0, "image")
    assert rows(parts) == ([0, 1, 5, 6], [2, 3])
    assert parts.how == "the split column of the data; 1 image in no part (1 of what is tested)"
    with pytest.raises(InputError, match="group 'r' is in two splits"):
        by_column(Table({"split": ["train", "test"], "group": ["r", "r"]}), SHARES, 0, "image")


# images ------------------------------------------------------------------------------------------------------


def divided(**columns: Values) -> Parts:
    count = len(next(iter(columns.values())))
    return divide(ImageStore.of(np.zeros((count, 8, 8, 1), np.uint8), Table(columns)), DataConfig())


def test_images_of_folders_train_and_val_are_learnt_from_and_tested() -> None:
    parts = divided(label=labels(48), split=["train"] * 32 + ["validation"] * 16)
    assert rows(parts) == (list(range(32)), list(range(32, 48)))


def test_images_that_a_table_of_labels_and_splits_does_not_name_are_learnt_from() -> None:
    label: Values = [*labels(12), *[None] * 28]
    parts = divided(label=label, split=["train"] * 8 + ["test"] * 4 + [None] * 28)
    assert rows(parts) == ([*range(8), *range(12, 40)], [8, 9, 10, 11])
