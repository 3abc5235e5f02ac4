"""Parts are stratified, seeded, and never cut a group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell.data.splits import split
from foretell.data.table import Table
from foretell.errors import InputError

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def test_every_label_is_cut_at_the_shares() -> None:
    labels = ["a"] * 100 + ["b"] * 50 + ["c"] * 20
    parts = split(Table({"label": labels}), SHARES, 0)
    counts = {
        name: [int((index < 100).sum()), int(((index >= 100) & (index < 150)).sum())] for name, index in parts.items()
    }
    assert counts == {"train": [70, 35], "validation": [10, 5], "test": [20, 10]}


@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=40, max_size=120),
    st.integers(0, 5),
    st.booleans(),
)
@settings(max_examples=40)
def test_parts_are_disjoint_complete_and_of_their_size(labels: list[str | None], seed: int, stratify: bool) -> None:
    parts = split(Table({"label": labels}), SHARES, seed, stratify=stratify)
    together = np.concatenate(list(parts.values()))
    assert sorted(together.tolist()) == list(range(len(labels)))
    for name, share in SHARES.items():
        assert abs(len(parts[name]) - share * len(labels)) <= 3
        assert np.array_equal(parts[name], np.sort(parts[name]))


@given(st.lists(st.integers(0, 14), min_size=60, max_size=150), st.integers(0, 5))
@settings(max_examples=40)
def test_a_group_is_never_split(groups: list[int], seed: int) -> None:
    labels = [str(group % 3) for group in groups]
    if len(set(groups)) < 6:
        return
    parts = split(Table({"label": labels, "group": [f"g{group}" for group in groups]}), SHARES, seed)
    owners: dict[int, str] = {}
    for name, index in parts.items():
        for row in index:
            assert owners.setdefault(groups[row], name) == name
    assert sum(len(index) for index in parts.values()) == len(groups)


def test_many_groups_come_close_to_the_shares_in_every_label() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 300, 5000)
    labels = [str(group % 4) for group in groups]
    parts = split(Table({"label": labels, "group": [str(group) for group in groups]}), SHARES, 1)
    for label in "0123":
        rows = np.array([value == label for value in labels])
        for name, share in SHARES.items():
            assert abs(rows[parts[name]].sum() / rows.sum() - share) < 0.02


def test_a_seed_gives_one_split_and_another_another() -> None:
    table = Table({"label": [str(i % 2) for i in range(50)]})
    first, again, other = split(table, SHARES, 0), split(table, SHARES, 0), split(table, SHARES, 1)
    assert np.array_equal(first["test"], again["test"])
    assert not np.array_equal(first["test"], other["test"])


def test_what_shares_leave_over_is_in_no_part() -> None:
    parts = split(Table({"label": ["a", "b"] * 20}), {"few": 0.25}, 0)
    assert len(parts["few"]) == 10


def test_a_split_column_is_honoured() -> None:
    table = Table({"split": ["train"] * 6 + ["test"] * 3 + [None]})
    parts = split(table, {"train": 0.5, "test": 0.5}, 0)
    assert parts["train"].tolist() == [0, 1, 2, 3, 4, 5]
    assert parts["test"].tolist() == [6, 7, 8]
    cut = split(table, {"train": 0.5, "validation": 0.25, "test": 0.25}, 0)
    assert cut["test"].tolist() == [6, 7, 8]
    assert sorted([*cut["train"], *cut["validation"]]) == [0, 1, 2, 3, 4, 5]
    assert len(cut["validation"]) == 2
    assert split(Table({"split": ["training", "dev"]}), {"train": 0.5, "validation": 0.5}, 0)[
        "validation"
    ].tolist() == [1]


def test_a_group_in_two_splits() -> None:
    table = Table({"group": ["p1", "p2", "p1"], "split": ["train", "train", "test"]})
    with pytest.raises(
        InputError, match=r"^group 'p1' is in two splits: row 1 is train, row 3 is test; put all rows of"
    ):
        split(table, {"train": 0.5, "test": 0.5}, 0)
    table = table.with_column("path", ["a/1", "b/1", "a/2"])
    with pytest.raises(InputError, match="group 'p1' is in two splits: a/1 is train, a/2 is test; put all"):
        split(table, {"train": 0.5, "test": 0.5}, 0)
    names = [f"p{number}" for number in range(8)]
    many = Table({"group": names * 2, "split": ["train"] * 8 + ["test"] * 8})
    with pytest.raises(InputError, match=r"row 9 is test \(and 7 more: p1, p2, p3, p4, p5, \.\.\.\); put all rows"):
        split(many, {"train": 0.5, "test": 0.5}, 0)


CASES: dict[str, list[str | None]] = {
    "label": [str(row // 4 % 3) for row in range(96)],
    "case": [f"c{row // 4}" for row in range(96)],
}


def test_a_case_stands_for_the_group_of_rows_that_have_none() -> None:
    of_case = split(Table(CASES), SHARES, 0)
    of_group = split(Table({"label": CASES["label"], "group": CASES["case"]}), SHARES, 0)
    assert {name: rows.tolist() for name, rows in of_case.items()} == {
        name: rows.tolist() for name, rows in of_group.items()
    }
    some: list[str | None] = ["p"] * 8 + [None] * 88  # two cases of one patient, and cases whose patient is not known
    for rows in split(Table({**CASES, "group": some}), SHARES, 0).values():
        assert all(
            np.isin(whole, rows).all() or not np.isin(whole, rows).any() for whole in np.split(np.arange(8, 96), 22)
        )
        assert np.isin(np.arange(8), rows).sum() in (0, 8)


def test_a_case_in_two_splits_is_refused_unless_its_patients_are_two() -> None:
    table = Table({"case": ["c1", "c2", "c1"], "split": ["train", "train", "test"]})
    with pytest.raises(
        InputError, match=r"^case 'c1' is in two splits: row 1 is train, row 3 is test; put all rows of a case in one"
    ):
        split(table, {"train": 0.5, "test": 0.5}, 0)
    of_two = table.with_column("group", ["p", "p", "q"])
    assert split(of_two, {"train": 0.5, "test": 0.5}, 0)["test"].tolist() == [2]
    unknown = table.with_column("group", ["c1", "p", None])  # a group is not the case of the same name
    assert split(unknown, {"train": 0.5, "test": 0.5}, 0)["test"].tolist() == [2]
    with pytest.raises(InputError, match="part 'test' of the data would be empty: 1 cases"):
        split(Table({"case": ["a"] * 9}), {"train": 0.5, "test": 0.5}, 0)


def test_few_groups_still_fill_every_part() -> None:
    parts = split(Table({"group": ["a"] * 20 + ["b"] * 10 + ["c"] * 5}), SHARES, 0)
    assert all(len(index) for index in parts.values())


@pytest.mark.parametrize(
    ("table", "shares", "words"),
    [
        (Table({"group": ["a"] * 9}), {"train": 0.5, "test": 0.5}, "part 'test' of the data would be empty: 1 groups"),
        (Table({"label": ["a"] * 9}), {"train": 0.9, "test": 0.5}, "sum to at most 1"),
        (Table({"label": ["a"] * 9}), {}, "sum to at most 1"),
        (Table({"split": ["test"] * 9}), {"test": 0.5, "validation": 0.5}, "column 'split' names test and no train"),
    ],
)
def test_wrong_shares(table: Table, shares: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        split(table, shares, 0)
