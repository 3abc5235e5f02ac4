"""What every pretext task on text promises: the contract of ``test_contract``, on rows of tokens."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from contract_text import CASES, made, store_for

from foretell.counters import Rng, Rows
from foretell.data.text.textrows import TextBatch
from foretell.data.text.tokens import TokenStore
from foretell.errors import InputError
from foretell.objectives.base import Task
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.train import fit
from foretell.train.config import TrainingConfig

NAMES = sorted({name for name, _ in CASES.values()})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TokenStore]:
    cache = tmp_path_factory.mktemp("tokens")
    return {name: store_for(name, cache) for name in NAMES}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(case: str, stores: dict[str, TokenStore]) -> TokenStore:
    return stores[CASES[case][0]]


def config(**settings: object) -> TrainingConfig:
    given = {
        "batch": 16,
        "steps": 4,
        "rate": 1e-3,
        "precision": "float32",
        "layout": "contiguous",
        "optimizer": "adamw",
    }
    return TrainingConfig(**{**given, **settings})


def tensors(task: Task) -> dict[str, torch.Tensor]:
    return {
        **{f"visible {k}": v for k, v in task.visible.items()},
        **{f"hidden {k}": v for k, v in task.hidden.items()},
    }


def test_draw_and_hide_are_functions_of_seed_and_step(case: str, store: TokenStore) -> None:
    task, rows = made(case, store), Rows.of_rank(16)
    first = task.hide(task.draw("text", 1, 3, rows), Rng(1, 3, rows))
    torch.manual_seed(99)
    fresh = made(case, store)
    fresh.draw("text", 1, 40, rows)  # another epoch between
    again = fresh.hide(fresh.draw("text", 1, 3, rows), Rng(1, 3, rows))
    other = task.hide(task.draw("text", 1, 4, rows), Rng(1, 4, rows))
    for key, value in tensors(first).items():
        assert torch.equal(value, tensors(again)[key]), key
    assert not torch.equal(first.visible["ids"], other.visible["ids"])


def test_a_process_keeps_its_own_rows(case: str, store: TokenStore) -> None:
    task, all_rows = made(case, store), Rows.of_rank(16)
    whole = tensors(task.hide(task.draw("text", 1, 2, all_rows), Rng(1, 2, all_rows)))
    for rank in (0, 1):
        rows = Rows.of_rank(16, rank, 2)
        part = tensors(task.hide(task.draw("text", 1, 2, rows), Rng(1, 2, rows)))
        for key, value in part.items():
            assert torch.equal(value, whole[key][rows.start : rows.stop]), key


def test_hide_reads_no_label(case: str, store: TokenStore, tmp_path: Path) -> None:
    """The store's labels are in a file that is not even opened."""
    for file in store.folder.iterdir():
        if file.name not in ("columns.bin", "values.json"):
            (tmp_path / file.name).symlink_to(file)
    blind, rows = made(case, TokenStore(tmp_path)), Rows.of_rank(16)
    without = blind.hide(blind.draw("text", 0, 0, rows), Rng(0, 0, rows))
    task = made(case, store)
    for key, value in tensors(task.hide(task.draw("text", 0, 0, rows), Rng(0, 0, rows))).items():
        assert torch.equal(value, tensors(without)[key]), key


def test_the_loss_falls_on_a_tiny_real_batch(case: str, store: TokenStore) -> None:
    # 24 documents, read for some epochs
    task = made(case, store.subset(np.arange(24)))
    batch = min(8, task.steps_per_epoch(1))
    rows = Rows.of_rank(batch)
    held = [task.hide(task.draw("text", 7, step, rows), Rng(7, step, rows)) for step in range(3)]

    def loss() -> float:
        task.eval()
        with torch.no_grad():
            return float(np.mean([float(task.loss(fresh, "all")["total"]) for fresh in held]))

    before = loss()
    fit(task, config(batch=batch, steps=400, rate=3e-3))
    assert loss() < 0.9 * before


def test_every_parameter_learns(case: str, store: TokenStore) -> None:
    task = made(case, store)
    before = {name: p.detach().clone() for name, p in task.named_parameters()}
    fit(task, config(steps=3))
    same = [name for name, p in task.named_parameters() if torch.equal(p, before[name])]
    # of segments only those that occur
    assert not [name for name in same if "segments" not in name]


def test_resume_is_bit_equal(case: str, store: TokenStore, tmp_path: Path) -> None:
    straight = made(case, store)
    fit(straight, config(steps=6))

    class StopAt(Exception):
        pass

    class Bomb:
        name, every, higher_is_better = "bomb", 1, True

        def __call__(self, trainable, step):
            if step == 4:
                raise StopAt
            return 0.0

    run = Run.create(tmp_path / "run")
    (tmp_path / "run" / "recipe.toml").write_text("")
    with pytest.raises(StopAt):
        fit(made(case, store), config(steps=6, checkpoint_every=2), run, monitors=[Bomb()])
    run.close()
    run = Run.resume(tmp_path / "run")
    resumed = made(case, store)
    for parameter in resumed.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    fit(resumed, config(steps=6, checkpoint_every=2), run, resume=True)
    run.close()
    for (key, a), (_, b) in zip(straight.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(a, b), key


def test_chunks_give_the_gradient_of_the_whole_batch(case: str, store: TokenStore) -> None:
    found = []
    for chunk in (None, 5):
        task = made(case, store).double()
        rows = Rows.of_rank(16)
        hidden = task.hide(task.draw("text", 0, 0, rows), Rng(0, 0, rows))
        parts = [hidden] if chunk is None else [hidden.rows(i, min(i + chunk, 16)) for i in range(0, 16, chunk)]
        for part in parts:
            (task.loss(part, "all")["total"] * len(part) / 16).backward()
        found.append(torch.cat([p.grad.flatten() for p in task.parameters() if p.grad is not None]))
    assert (found[0] - found[1]).norm() < 1e-6 * found[0].norm()


def test_texts_packed_in_a_row_do_not_see_each_other(case: str, store: TokenStore) -> None:
    task = made(case, store, packed=True).double().eval()
    batch = task.rows_of(0, 0).read(np.arange(len(task.rows_of(0, 0))))
    row = int((batch.example == 2).any(1).nonzero()[0])
    batch = batch.rows(row, row + 1)
    other = TextBatch(**{f.name: getattr(batch, f.name).clone() for f in fields(batch)})
    there = (other.example == 2) & ~other.special
    other.ids[there] += torch.where(other.ids[there] == store.vocabulary - 1, -1, 1)
    first = batch.example[0] == 1
    with torch.no_grad():
        one, two = (task.states(task.task_of(x).visible)[0] for x in (batch, other))
        assert torch.equal(one[first], two[first])
        assert not torch.equal(one[~first], two[~first])
        # and are as if they were alone
        alone = task.encoder.net(batch.ids[:, first], segment=batch.segment[:, first])[0]
    assert (alone - one[first]).abs().max() < 1e-6


def test_health_and_show(case: str, store: TokenStore) -> None:
    task, rows = made(case, store), Rows.of_rank(4)
    batch = task.draw("text", 0, 0, rows)
    assert task.health(batch).shape == (4, 32)
    lines = task.show_words(batch, Rng(0, 0, rows))
    assert len(lines) == 4
    assert all(shown and foretold for shown, foretold in lines)
    assert len(task.show(batch, Rng(0, 0, rows)).table) == 5
    assert len(task.notes) >= 2


def test_fewer_rows_than_a_batch(case: str, store: TokenStore) -> None:
    with pytest.raises(InputError, match=r"\d+ rows of text are fewer than a batch of 4096"):
        fit(made(case, store), config(batch=4096))


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_setting_names_the_nearest_key(name: str) -> None:
    with pytest.raises(InputError, match=r"objective\.netwrk.*did you mean .*network"):
        Recipe.load(None, {"objective.name": name}, ["objective.netwrk.layers=1"])
