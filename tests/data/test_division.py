"""What is learnt from and what is tested: by a split column, or labelled rows at random."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.data.division import by_column, by_label
from foretell.data.splits import Parts
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.errors import InputError
from foretell.recipe import DataConfig
from foretell.transfer.config import TransferConfig
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


def test_a_part_that_the_column_names_is_kept_whatever_the_shares() -> None:
    table = Table({"label": labels(12), "split": ["train"] * 9 + ["test"] * 3})
    for shares in ({"train": 0.5, "validation": 0.5}, {"train": 0.1, "validation": 0.2, "test": 0.7}, {"train": 1.0}):
        assert rows(by_column(table, shares, 0, "image")) == (list(range(9)), [9, 10, 11])
    alone = by_column(table.subset(range(9)), {"train": 1.0}, 0, "image")
    assert (rows(alone), alone.how) == ((list(range(9)), []), "the split column of the data")


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
    assert parts.how == "the split column of the data; 1 image in no part (1 of a tested group)"
    with pytest.raises(InputError, match="group 'r' is in two splits"):
        by_column(Table({"split": ["train", "test"], "group": ["r", "r"]}), SHARES, 0, "image")


# labelled rows at random -------------------------------------------------------------------------------------


def test_each_share_is_that_of_the_labelled_rows() -> None:
    table = Table({"label": [*labels(40), *[None] * 10]})
    known = np.arange(40)
    few = by_label(table, {"train": 0.1, "test": 0.2}, 0, "image")
    assert (len(np.intersect1d(few.train, known)), len(few.test)) == (4, 8)
    assert set(range(40, 50)) <= set(few.train)
    assert few.how.endswith("held out at random by class (seed 0); 28 images in no part (28 beyond the shares)")
    three = by_label(table, {"train": 0.6, "validation": 0.2, "test": 0.2}, 0, "image")
    assert (len(np.intersect1d(three.train, known)), len(three.test)) == (24, 8)
    assert three.how.endswith("; 8 images in no part (8 validation)")
    for shares in ({"training": 0.75, "val": 0.25}, {"test": 0.25}):
        two = by_label(table, shares, 0, "image")
        assert (len(two.train), len(two.test)) == (40, 10)
        assert two.how == "10 labelled images held out at random by class (seed 0)"
    with pytest.raises(InputError, match=r"data\.split \{'test': 1\.0\}: leaves nothing for train; expected shares as"):
        by_label(table, {"test": 1.0}, 0, "image")


@pytest.mark.parametrize("seed", range(4))
def test_shares_that_sum_to_one_leave_no_group_over(seed: int) -> None:
    table = Table({"label": labels(90), "group": [f"g{row // 2}" for row in range(90)]})
    parts = by_label(table, {"train": 0.7, "validation": 0.1, "test": 0.2}, seed, "image")
    assert "beyond the shares" not in parts.how
    assert "at random by class, groups kept whole" in parts.how


def test_without_labels_rows_are_drawn_from_all() -> None:
    parts = by_label(Table({"group": [str(row // 2) for row in range(40)]}), SHARES, 0, "row")
    assert sorted([*parts.train, *parts.test]) == list(range(40))
    assert parts.how == "8 labelled rows held out at random, groups kept whole (seed 0)"


# images ------------------------------------------------------------------------------------------------------


def divided(**columns: Values) -> Parts:
    count = len(next(iter(columns.values())))
    return divide(ImageStore.of(np.zeros((count, 8, 8, 1), np.uint8), Table(columns)), DataConfig())


def found_in(count: int) -> dict[str, Values]:
    """Findings of ``count`` patients of two images: one in five has the rare one, one in two the other, one knows none."""
    rare: Values = [str(int(row // 2 % 5 == 0)) for row in range(2 * count)]
    usual: Values = [str(row // 2 % 2) for row in range(2 * count)]
    rare[-2:] = usual[-2:] = [None, None]
    return {"group": [f"p{row // 2}" for row in range(2 * count)], "rare": rare, "usual": usual}


def test_images_with_findings_are_cut_by_patient_and_by_the_rarest_of_them() -> None:
    columns = found_in(41)
    store = ImageStore.of(np.zeros((82, 8, 8, 1), np.uint8), Table(columns))
    parts = divide(store, DataConfig(), TransferConfig(findings=["rare", "usual"]))
    train, test = rows(parts)
    assert parts.how == "16 labelled images held out at random by the rarest finding, groups kept whole (seed 0)"
    assert sorted(train + test) == list(range(82))
    assert {80, 81} <= set(train)  # nothing is known of them
    assert not {columns["group"][row] for row in train} & {columns["group"][row] for row in test}
    for name, share in (("rare", 0.2), ("usual", 0.5)):
        there = np.mean([columns[name][row] == "1" for row in test])
        assert abs(there - share) <= 0.15
    assert divide(store, DataConfig()).how.startswith("no labels")
    elsewhere = divide(store, DataConfig(), TransferConfig(findings=["of other images"]))
    assert elsewhere.how.startswith("no labels")  # a first stage on images of one's own
    with pytest.raises(InputError, match="no finding is there in some"):
        divide(store.subset([0, 1]), DataConfig(), TransferConfig(findings=["rare"]))


def test_images_of_folders_train_and_val_are_learnt_from_and_tested() -> None:
    parts = divided(label=labels(48), split=["train"] * 32 + ["validation"] * 16)
    assert rows(parts) == (list(range(32)), list(range(32, 48)))


def test_images_that_a_table_of_labels_and_splits_does_not_name_are_learnt_from() -> None:
    label: Values = [*labels(12), *[None] * 28]
    parts = divided(label=label, split=["train"] * 8 + ["test"] * 4 + [None] * 28)
    assert rows(parts) == ([*range(8), *range(12, 40)], [8, 9, 10, 11])
