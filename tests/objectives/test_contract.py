"""What every registered pretext task promises (and every later one will be held to)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contract_data import animals, fitting

from foretell import objectives
from foretell.counters import Rng, Rows
from foretell.data.store import ImageStore
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError
from foretell.objectives.base import Exhibit, Objective
from foretell.recipe import Recipe
from foretell.recipe_values import keys
from foretell.train import fit
from foretell.train.config import TrainingConfig

NAMES = [name for name in objectives.names() if objectives.get(name).kind == "image"]


@pytest.fixture(scope="module")
def store() -> ImageStore:
    return animals(96)


def make(name: str, store: ImageStore, norm: str = "batch", **settings: object) -> Objective:
    torch.manual_seed(0)
    kind = objectives.get(name)
    store = fitting(kind, store)
    network = "vit_mini" if kind.transformer else "resnet_tiny"
    encoder = build_encoder(EncoderConfig(name=network, norm=norm), store.channels, 28)
    return kind(kind.Config(**settings), encoder, store)


def config(**settings: object) -> TrainingConfig:
    given = {"batch": 32, "steps": 4, "rate": 0.05, "precision": "float32", "layout": "contiguous", "optimizer": "sgd"}
    return TrainingConfig(**{**given, **settings})


@pytest.mark.parametrize("name", objectives.names())
def test_it_says_what_it_is(name: str) -> None:
    kind = objectives.get(name)
    assert kind.name == name
    for fact in (kind.paper, kind.hides, kind.foretells, kind.needs, kind.good_for):
        assert len(fact) > 3
    for key, field in keys(kind.Config, {}):
        assert field.description, key


@pytest.mark.parametrize("name", NAMES)
def test_hide_is_a_function_of_seed_and_step(name: str, store: ImageStore) -> None:
    task = make(name, store)
    rows = Rows.of_rank(32)
    batch = task.draw("image", 1, 5, rows)
    first = task.hide(batch, Rng(1, 5, rows))
    torch.manual_seed(99)
    again = task.hide(task.draw("image", 1, 5, rows), Rng(1, 5, rows))
    other = task.hide(batch, Rng(1, 6, rows))
    for key, value in {**first.visible, **first.hidden}.items():
        same = {**again.visible, **again.hidden}[key]
        assert torch.equal(value, same)
        assert not value.requires_grad
    assert any(not torch.equal(first.visible[key], other.visible[key]) for key in first.visible)


@pytest.mark.parametrize("name", NAMES)
def test_a_process_keeps_its_own_rows(name: str, store: ImageStore) -> None:
    task = make(name, store)
    whole_rows = Rows.of_rank(32)
    whole = task.hide(task.draw("image", 1, 2, whole_rows), Rng(1, 2, whole_rows))
    for rank in (0, 1):
        rows = Rows.of_rank(32, rank, 2)
        part = task.hide(task.draw("image", 1, 2, rows), Rng(1, 2, rows))
        for key, value in {**part.visible, **part.hidden}.items():
            expected = {**whole.visible, **whole.hidden}[key][rows.start : rows.stop]
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_hide_reads_no_label(name: str, store: ImageStore) -> None:
    """The same pixels with every column of the table replaced give the same task."""
    task = make(name, store)
    rows = Rows.of_rank(16)
    with_labels = task.hide(task.draw("image", 0, 0, rows), Rng(0, 0, rows))
    blind = store.subset(np.arange(len(store)))
    for column in set(blind.table.columns) - set(task.columns):  # what belongs together is no label
        blind.table.columns[column] = [None] * len(blind)
    without = make(name, blind)
    task_without = without.hide(without.draw("image", 0, 0, rows), Rng(0, 0, rows))
    for key, value in {**with_labels.visible, **with_labels.hidden}.items():
        assert torch.equal(value, {**task_without.visible, **task_without.hidden}[key])


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_on_a_tiny_real_batch(name: str, store: ImageStore) -> None:
    task = make(name, store.subset(np.arange(32)))
    batch = min(32, task.steps_per_epoch(1))
    rows = Rows.of_rank(batch)
    held = [task.hide(task.draw("image", 7, step, rows), Rng(7, step, rows)) for step in range(3)]
    player = list(task.players())[-1]  # the encoder's: an adversary's loss rises as it learns

    def loss() -> float:
        task.train()
        with torch.no_grad():
            return float(np.mean([float(task.loss(fresh, player)["total"]) for fresh in held]))

    before = loss()
    fit(task, config(batch=batch, steps=1100 // batch, optimizer="adamw", rate=2e-3))
    assert loss() < 0.9 * before


@pytest.mark.parametrize("name", NAMES)
def test_every_player_has_its_own_parameters_and_all_learn(name: str, store: ImageStore) -> None:
    task = make(name, store)
    owners = [id(p) for player in task.players().values() for _, p in player.parameters]
    assert len(owners) == len(set(owners))
    before = {n: p.detach().clone() for n, p in task.encoder.named_parameters()}
    fit(task, config(steps=3))
    changed = [n for n, p in task.encoder.named_parameters() if not torch.equal(p, before[n])]
    assert len(changed) > 0.9 * len(before)


@pytest.mark.parametrize("name", NAMES)
def test_health_and_show(name: str, store: ImageStore) -> None:
    task = make(name, store)
    rows = Rows.of_rank(8)
    batch = task.draw("image", 0, 0, rows)
    assert task.health(batch).shape == (8, task.encoder.dim)
    exhibit = task.show(batch, Rng(0, 0, rows))
    assert isinstance(exhibit, Exhibit)
    assert len(exhibit.panels) >= 2
    assert not {"foretold", "filled"} & {caption for caption, _ in exhibit.panels}, "it is not trained yet"
    for caption, images in exhibit.panels:
        assert caption
        assert images.shape[0] == 8
        assert 0 <= images.min() <= images.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_resume_is_bit_equal(name: str, store: ImageStore, tmp_path) -> None:
    from foretell.run import Run

    straight = make(name, store)
    fit(straight, config(steps=6))

    def run_in(path):
        run = Run.create(path)
        (path / "recipe.toml").write_text("")
        return run

    class StopAt(Exception):
        pass

    class Bomb:
        name, every, higher_is_better = "bomb", 1, True

        def __call__(self, trainable, step):
            if step == 4:
                raise StopAt
            return 0.0

    run = run_in(tmp_path / "run")
    with pytest.raises(StopAt):
        fit(make(name, store), config(steps=6, checkpoint_every=2), run, monitors=[Bomb()])
    run.close()
    run = Run.resume(tmp_path / "run")
    resumed = make(name, store)
    for parameter in resumed.parameters():  # whatever a new process starts from is overwritten
        torch.nn.init.constant_(parameter, 0.5)
    fit(resumed, config(steps=6, checkpoint_every=2), run, resume=True)
    run.close()
    for (key, a), (_, b) in zip(straight.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_setting_names_the_nearest_key(name: str) -> None:
    with pytest.raises(InputError, match=r"objective\.viws.*did you mean .*views"):
        Recipe.load(None, {"objective.name": name}, ["objective.viws=1"])


@pytest.mark.parametrize("name", NAMES)
def test_fewer_images_than_a_batch(name: str, store: ImageStore) -> None:
    with pytest.raises(InputError, match=r"\d+ (images|cases|windows of frames) are fewer than a batch of 128"):
        fit(make(name, store), config(batch=128))


def test_an_unknown_objective_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'simclr'"):
        objectives.get("simclar")
