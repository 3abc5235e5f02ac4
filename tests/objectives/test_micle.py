"""MICLe's pairs: distinct images of one case, uniformly, each case once a batch; and what it says of cases of one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contract_data import animals, cases

from foretell.counters import Rng, Rows
from foretell.data.bags import Bags
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError
from foretell.objectives.micle import MICLe
from foretell.objectives.simclr import SimCLR
from foretell.train import TrainingConfig, fit


def make(store: ImageStore, kind: type[SimCLR] = MICLe, **settings: object) -> SimCLR:
    torch.manual_seed(0)
    return kind(kind.Config(**settings), build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 28), store)


@pytest.fixture(scope="module")
def store() -> ImageStore:
    return animals(48)


def with_columns(store: ImageStore, **columns: list[str | None]) -> ImageStore:
    return store.with_table(Table({"path": store.table.column("path"), **columns}))


def test_two_distinct_images_of_a_case_and_each_case_once(store: ImageStore) -> None:
    task = make(cases(store, 3))  # 16 cases
    for step in range(12):
        pairs = task.draw("case", 4, step, Rows.of_rank(16))
        bags = task.bags.of_row[pairs.first.index.numpy()]
        assert np.array_equal(bags, task.bags.of_row[pairs.second.index.numpy()])
        assert len(set(bags.tolist())) == 16
        assert not pairs.fallback.any()


def test_every_ordered_pair_is_as_likely(store: ImageStore) -> None:
    bags = Bags(Table({"case": ["a"] * 4}), ["case"])
    chance = np.random.default_rng(0).random((24_000, 2))
    found = bags.pairs(np.zeros(len(chance), np.int64), chance)
    counts = np.zeros((4, 4))
    np.add.at(counts, (found[:, 0], found[:, 1]), 1)
    assert np.all(np.diag(counts) == 0)
    expected = len(chance) / 12
    statistic = float(((counts[~np.eye(4, dtype=bool)] - expected) ** 2 / expected).sum())
    assert statistic < 31.3  # chi-squared, 11 degrees of freedom, one in a thousand
    edge = bags.pairs(np.zeros(2, np.int64), np.array([[1 - 1e-16, 1 - 1e-16], [0.0, 0.0]]))
    assert edge.tolist() == [[3, 2], [0, 1]]


def test_a_case_of_one_image_is_paired_with_itself_in_two_views(store: ImageStore) -> None:
    mixed = [*(str(row // 3) for row in range(24)), *(None for _ in range(24))]
    task = make(with_columns(store, case=mixed))
    assert len(task.bags) == 8 + 24
    assert task.bags.single == 0.75
    assert task.notes == ["32 cases, 1.5 images each (at most 3); 75% have one image, which is paired with itself"]
    pairs = task.draw("case", 0, 0, Rows.of_rank(32))
    alone = task.bags.sizes[task.bags.of_row[pairs.first.index.numpy()]] == 1
    assert np.array_equal(pairs.fallback.numpy(), alone)
    seen = task.hide(pairs, Rng(0, 0, Rows.of_rank(32))).visible
    assert all(not torch.equal(one, other) for one, other in zip(seen["a"], seen["b"], strict=True))


def test_with_one_image_a_case_it_is_simclr(store: ImageStore) -> None:
    alone = with_columns(store, case=[str(row) for row in range(48)])
    micle, simclr = make(alone), make(alone, SimCLR)
    rows = Rows.of_rank(16)
    assert "this is SimCLR" in micle.notes[0]
    pairs = micle.draw("case", 2, 0, rows)
    images = alone.read(pairs.first.index.numpy())
    ours, theirs = (task.hide(batch, Rng(2, 0, rows)) for task, batch in ((micle, pairs), (simclr, images)))
    for name in ("a", "b"):
        assert torch.equal(ours.visible[name], theirs.visible[name])
    assert torch.equal(micle.loss(ours, "all")["total"], simclr.loss(theirs, "all")["total"])


def test_an_epoch_draws_from_cases(store: ImageStore) -> None:
    cases = with_columns(store, case=[str(row // 3) for row in range(48)])
    assert MICLe.samples(MICLe.Config(), cases) == (16, "cases")
    assert MICLe.samples(MICLe.Config(), with_columns(store)) == (48, "images")  # without the column it cannot be built
    assert SimCLR.samples(SimCLR.Config(), cases) == (48, "images")


def test_an_epoch_draws_as_many_pairs_as_there_are_images(store: ImageStore) -> None:
    cases = with_columns(store, case=[str(row // 3) for row in range(48)])
    training = TrainingConfig(epochs=2, batch=8, device="cpu", precision="float32", layout="contiguous", threads=1)
    steps = {kind: fit(make(cases, kind), training).steps for kind in (MICLe, SimCLR)}
    assert steps == {MICLe: 12, SimCLR: 12}


def test_whose_images_are_pairs(store: ImageStore) -> None:
    """A patient of two studies: pairs within a study, or across them."""
    columns = {
        "group": [f"patient {row // 6}" for row in range(48)],
        "study": [f"study {row // 3 % 2}" for row in range(48)],  # named anew for each patient
    }
    asked = with_columns(store, **columns)
    assert len(make(asked, bag="patient").bags) == 8
    assert len(make(asked, bag="study").bags) == 16
    assert len(make(asked).bags) == 8  # where there are no cases, the group is one
    with_cases = with_columns(store, **columns, case=[str(row // 2 % 3) for row in range(48)])
    assert len(make(with_cases).bags) == 24
    across = make(asked, bag="patient")
    study = np.arange(48) // 3
    drawn = [across.draw("case", 0, step, Rows.of_rank(8)) for step in range(40)]
    apart = np.concatenate([study[pairs.first.index] != study[pairs.second.index] for pairs in drawn])
    assert 0.5 < apart.mean() < 0.7  # 3 of the 5 others are of the other study


@pytest.mark.parametrize(
    ("bag", "columns", "told"),
    [
        ("case", {}, r"has no column case or group.*--set data\.columns\.group=NAME"),
        ("study", {"group": ["a"] * 48}, r"has no column study.*of one study"),
        ("patient", {"study": ["a"] * 48}, r"has no column group.*of one patient.*--objective simclr"),
        ("patient", {"group": ["a"] * 48}, r"all images to learn from are of one patient.*--objective simclr"),
    ],
)
def test_without_the_column_it_says_which_and_what_to_do(
    store: ImageStore, bag: str, columns: dict[str, list[str]], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        make(with_columns(store, **columns), bag=bag)


def test_the_place_of_both_views_is_known(store: ImageStore) -> None:
    task = make(cases(store))
    rows = Rows.of_rank(16)
    views, places = task.placed(task.draw("case", 0, 0, rows), Rng(0, 0, rows))
    assert len(views) == len(places) == 32
    assert 0 < float(places.min()) < float(places.max()) < 1
