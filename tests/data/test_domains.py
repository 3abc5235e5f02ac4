"""Domains: rows by a value of a column, held out of every part of a split."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.data.domains import rows_of, rows_outside
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.errors import InputError
from foretell.recipe import DataConfig
from foretell.transfer.images.shift import apart
from foretell.verbs.common import divide


def store_of(**columns: list[str | None]) -> ImageStore:
    count = len(next(iter(columns.values())))
    return ImageStore.of(np.zeros((count, 8, 8, 1), np.uint8), Table(columns))


def test_a_domain_is_a_value_of_a_column() -> None:
    store = store_of(label=["a", "b", "a", "b"], domain=["A", "B", None, "B"])
    assert rows_of(store, "domain=B", "--shift").tolist() == [1, 3]
    assert rows_outside(store, ["domain=B", "label=b"], "data.held_out").tolist() == [0]
    assert rows_outside(store, [], "data.held_out").tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match="--shift B: expected COLUMN=VALUE, as domain=B"):
        rows_of(store, "B", "--shift")
    with pytest.raises(InputError, match=r"column of --shift 'domian'.*'domain'"):
        rows_of(store, "domian=B", "--shift")
    with pytest.raises(InputError, match="value of column 'domain' 'C'"):
        rows_of(store, "domain=C", "--shift")
    with pytest.raises(InputError, match="--shift domain=B: every row is of that domain"):
        rows_of(store_of(domain=["B", "B"]), "domain=B", "--shift")
    with pytest.raises(
        InputError, match=r"nothing is left to train on; 1 image without a value of 'domain'.*: give them one"
    ):
        rows_outside(store_of(domain=["B", None]), ["domain=B"], "data.held_out")
    with pytest.raises(InputError, match=r"data\.held_out domain=B,domain=A: every row is of one of these"):
        rows_outside(store_of(domain=["A", "B"]), ["domain=B", "domain=A"], "data.held_out")


def test_no_part_of_a_split_holds_a_domain_that_is_held_out() -> None:
    label: list[str | None] = [str(row % 2) for row in range(60)]
    domain: list[str | None] = ["AB"[row % 3 == 0] for row in range(60)]
    store = store_of(label=label, domain=domain)
    away = set(range(0, 60, 3))
    parts = divide(store, DataConfig(held_out=["domain=B"]))
    assert set(parts.train) | set(parts.test) == set(range(60)) - away
    assert (len(parts.train), len(parts.test)) == (32, 8)  # the shares are those of what is left
    assert parts.how.endswith("domain=B held out")
    unlabelled = divide(store_of(domain=domain), DataConfig(held_out=["domain=B"]))
    assert (set(unlabelled.train), len(unlabelled.test)) == (set(range(60)) - away, 0)
    split: list[str | None] = ["test" if row >= 40 else "train" for row in range(60)]
    given = divide(store_of(label=label, domain=domain, split=split), DataConfig(held_out=["domain=B"]))
    assert set(given.test) == set(range(40, 60)) - away


def test_rows_whose_domain_is_not_said_are_in_neither_place_and_told() -> None:
    label: list[str | None] = [str(row % 2) for row in range(60)]
    domain: list[str | None] = [["B", "A", None][row % 3] for row in range(60)]
    store = store_of(label=label, domain=domain)
    at_home = set(range(1, 60, 3))
    parts = divide(store, DataConfig(held_out=["domain=B"]))
    assert set(parts.train) | set(parts.test) == at_home
    told = "20 images without a value of 'domain', which may be of domain=B, left out (memory[2], memory[5], memory[8] and 17 more)"
    assert parts.how.endswith(f"domain=B held out; {told}")
    everything = np.arange(60)
    train, test, other, notes = apart(store, "domain=B", everything[:40], everything[40:])
    assert set(train) | set(test) == at_home
    assert set(other) == set(range(0, 60, 3))
    assert notes == [told]
