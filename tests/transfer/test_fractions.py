from __future__ import annotations

import numpy as np
import pytest

from foretell.errors import InputError
from foretell.transfer.fractions import amounts, folds, holdout, in_words, subset, validation_splits


def test_amounts_are_numbers_a_class_or_shares() -> None:
    assert amounts("1, 5,all", "x") == [1, 5, None]
    assert amounts("10%,12.5%,100%", "x") == [0.1, 0.125, None]
    assert [in_words(amount) for amount in (5, 1000, 0.125, 0.3, None)] == [
        "5 a class",
        "1,000 a class",
        "12.5%",
        "30%",
        "all",
    ]
    for text, wrong in (
        ("1,x", "x"),
        ("0", "0"),
        ("0%", "0%"),
        ("101%", "101%"),
        ("%", "%"),
        ("1.5", "1.5"),
        ("-3", "-3"),
        ("", ""),
    ):
        with pytest.raises(
            InputError, match=f"--per-class {text}: expected numbers .* or shares, as .*; not '{wrong}'$"
        ):
            amounts(text, "--per-class")
    with pytest.raises(InputError, match="numbers a class or shares, not both"):
        amounts("5,10%", "--per-class")


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("unit", ["image", "group"])
def test_smaller_is_contained_in_larger(digits, seed: int, unit: str) -> None:
    groups = np.arange(len(digits.codes)) // 4
    before: set[int] = set()
    for per_class in (1, 2, 5, 10, 50):
        found = set(subset(digits.codes, groups, per_class=per_class, seed=seed, unit=unit).tolist())
        assert before < found
        before = found
    before = set()
    for share in (0.01, 0.1, 0.5, 1.0):
        found = set(subset(digits.codes, groups, share=share, seed=seed, unit=unit).tolist())
        assert before < found
        before = found
    assert len(before) == len(digits.codes)


def test_classes_are_balanced_and_seeds_differ(digits) -> None:
    found = subset(digits.codes, per_class=7, seed=0)
    assert np.bincount(digits.codes[found]).tolist() == [7] * 10
    assert (np.diff(found) > 0).all()
    assert not np.array_equal(found, subset(digits.codes, per_class=7, seed=1))
    assert np.array_equal(found, subset(digits.codes, per_class=7, seed=0))


def test_shares_keep_the_share_of_each_class() -> None:
    codes = np.repeat([0, 1], [1000, 100])
    assert np.bincount(codes[subset(codes, share=0.1, seed=0)]).tolist() == [100, 10]
    assert np.bincount(codes[subset(codes, share=0.001, seed=0)]).tolist() == [1, 1]


def test_a_small_class_gives_what_it_has_and_unlabelled_rows_none() -> None:
    codes = np.array([0] * 20 + [1] * 3 + [-1] * 10)
    found = subset(codes, per_class=5, seed=0)
    assert np.bincount(codes[found]).tolist() == [5, 3]


def test_images_visit_every_group_before_one_again() -> None:
    codes = np.zeros(40, dtype=np.int64)
    groups = np.arange(40) // 10
    for seed in range(5):
        assert len(set(groups[subset(codes, groups, per_class=4, seed=seed)])) == 4
        assert np.bincount(groups[subset(codes, groups, per_class=8, seed=seed)]).tolist() == [2, 2, 2, 2]


def test_whole_groups_stay_whole() -> None:
    codes = np.repeat([0, 1], 20)
    groups = [f"p{row // 5}" for row in range(40)]
    found = subset(codes, groups, per_class=2, seed=0, unit="group")
    assert len(found) == 20
    assert {groups[row] for row in found}.isdisjoint({groups[row] for row in set(range(40)) - set(found.tolist())})


def test_rows_without_a_group_are_their_own() -> None:
    codes = np.zeros(6, dtype=np.int64)
    assert len(subset(codes, [None, "", None, "a", "a", None], per_class=5, seed=0, unit="group")) == 6


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="1 or more, not 0"):
        subset(np.zeros(3, dtype=np.int64), per_class=0)
    with pytest.raises(InputError, match=r"in \(0, 1\], not 1.5"):
        subset(np.zeros(3, dtype=np.int64), share=1.5)
    with pytest.raises(ValueError, match="only one"):
        subset(np.zeros(3, dtype=np.int64), share=0.5, per_class=1)


def test_folds_spread_classes_and_keep_groups(digits) -> None:
    codes = digits.codes[:600]
    fold = folds(codes, None, 3, seed=0)
    counts = np.stack([np.bincount(codes[fold == f], minlength=10) for f in range(3)])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    groups = np.arange(600) // 7
    fold = folds(codes, groups, 3, seed=0)
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups.tolist()))
    assert np.bincount(fold).min() > 150


def test_validation_comes_out_of_the_labels(digits) -> None:
    for per_class, k, how in ((20, 1, "hold-out of 50 of 200"), (5, 2, "2-fold cross-validation on 50")):
        rows = subset(digits.codes, per_class=per_class, seed=0)
        pairs, words = validation_splits(digits.codes[rows], None, k=2, share=0.25, seed=0)
        assert how in words
        assert len(pairs) == k
        for train, valid in pairs:
            assert not set(train) & set(valid)
            assert len(set(digits.codes[rows][train])) == len(set(digits.codes[rows][valid])) == 10
            assert len(train) + len(valid) == len(rows)
    train, valid = holdout(digits.codes[rows], None, 0.5, 0)
    assert len(train) == len(valid)


def test_one_label_a_class_leaves_nothing_to_hold_out() -> None:
    pairs, words = validation_splits(np.arange(10), None, k=2, share=0.25, seed=0)
    assert pairs == []
    assert "fresh views" in words
    # A class whose labels are all of one group cannot be both learnt and asked.
    pairs, words = validation_splits(np.repeat([0, 1], 4), np.repeat([0, 1], 4), k=2, share=0.25, seed=0)
    assert pairs == []
    assert "one group" in words
