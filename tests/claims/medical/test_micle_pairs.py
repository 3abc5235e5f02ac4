"""The counts of the claim on MICLe's pairs find wrong ones, and the claim holds on small cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_micle_claims import small_units

from foretell import claims
from foretell.claims.base import overall
from foretell.claims.lab import Lab
from foretell.claims.medical import micle, micle_pairs
from foretell.counters import Rows
from foretell.data.bags import Pairs
from foretell.data.store import ImageStore
from foretell.objectives.micle import MICLe


def with_lone_frames(seed: int, *, single: bool = False) -> ImageStore:
    """Every ninth frame is a case of its own."""
    store = small_units(seed, single=single)
    groups = [f"lone/{row}" if row % 9 == 0 else group for row, group in enumerate(store.table.column("group"))]
    return store.with_table(store.table.with_column("group", groups))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(micle, "SETTINGS", {**micle.SETTINGS, "objective.views.side": 16, "training.batch": 8})
    monkeypatch.setattr(micle, "open_units", with_lone_frames)
    monkeypatch.setattr(micle_pairs, "BATCHES", 60)
    monkeypatch.setattr(micle_pairs, "COMPARED", 3)
    return Lab(tmp_path, device="cpu")


@pytest.fixture
def objective(lab: Lab) -> MICLe:
    return micle_pairs.built(lab, micle.recipe(lab, 0, "micle", 1))


def drawn(objective: MICLe) -> list[Pairs]:
    return [objective.draw("case", 0, step, Rows.of_rank(8)) for step in range(60)]


def test_the_claim_holds_on_small_cases(lab: Lab) -> None:
    claim = claims.get("micle-pairs")(seeds=(0, 1, 2))
    findings = claim.work(lab)
    assert overall(findings) == "holds"
    assert len(claim.notes) == 3


def test_wrong_pairs_are_counted(objective: MICLe) -> None:
    right = micle_pairs.counted(objective, drawn(objective))
    assert [right[name] for name in ("mixed", "twice", "otherwise", "again")] == [0, 0, 0, 0]
    assert 0 < right["fallback"] < 100
    batch = drawn(objective)[0]
    twice = micle_pairs.counted(objective, [*drawn(objective), Pairs(batch.first, batch.first)])
    alone = int((objective.bags.sizes[objective.bags.of_row[batch.first.index.numpy()]] == 1).sum())
    assert twice["twice"] == 8 - alone
    shifted = Pairs(batch.first, objective.store.read(np.roll(batch.second.index.numpy(), 1)))
    mixed = micle_pairs.counted(objective, [*drawn(objective), shifted])
    assert mixed["mixed"] == 8
    assert mixed["otherwise"] == alone
    double = objective.store.read(batch.first.index.numpy()[[0, *range(7)]])
    assert micle_pairs.counted(objective, [*drawn(objective), Pairs(double, double)])["again"] == 1


def test_a_choice_that_is_not_uniform_is_found_out(objective: MICLe) -> None:
    """Always the first image of a case as the first of its pair."""
    batches = drawn(objective)
    fair = micle_pairs.counted(objective, batches)
    assert fair["chi-square"] < fair["bound"]
    firsts = [objective.bags.members(bag) for bag in range(len(objective.bags)) if objective.bags.sizes[bag] > 1]
    rows = np.array([own[:2] for own in firsts] * 20)
    always = Pairs(objective.store.read(rows[:, 0]), objective.store.read(rows[:, 1]))
    found = micle_pairs.counted(objective, [always])
    assert found["chi-square"] > found["bound"]
