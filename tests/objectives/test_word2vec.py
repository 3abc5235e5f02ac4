"""word2vec: its kernels beside a slow version, its tables, and the contract of every objective."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from word_reference import loss_of, predictions, step

from foretell.counters import Rng, Rows
from foretell.data.text.corpus import open_corpus
from foretell.data.text.words import END, WordsConfig, WordStore, open_words
from foretell.errors import InputError
from foretell.objectives.word2vec import Word2Vec
from foretell.objectives.word_tables import alias_table, huffman, keep_chance
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.train import fit
from foretell.train.config import TrainingConfig

ROOT = Path(__file__).parents[2]
MODELS = [("skip-gram", "negative"), ("cbow", "negative"), ("skip-gram", "tree"), ("cbow", "tree")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WordStore:
    corpus = open_corpus(ROOT / "docs", documents="blank", sentences="split")
    return open_words(corpus, WordsConfig(min_count=3), cache=tmp_path_factory.mktemp("words"))


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(store: WordStore, model: str = "skip-gram", loss: str = "negative", **settings: Any) -> Word2Vec:
    torch.manual_seed(0)
    given = {"dim": 20, "window": 3, "negatives": 4, "min_count": 3, **settings}
    return Word2Vec(Word2Vec.Config(model=model, loss=loss, **given), store)


def config(**settings: Any) -> TrainingConfig:
    given = {"batch": 500, "steps": 6, "rate": 0.05, "precision": "float32", "layout": "contiguous", "optimizer": "sgd"}
    return TrainingConfig(**{**given, "warmup": 0.0, "schedule": "linear", "threads": 1, **settings})


@pytest.mark.parametrize(("model", "loss"), MODELS)
def test_the_kernel_equals_the_slow_version(store: WordStore, model: str, loss: str) -> None:
    task = made(store, model, loss)
    torch.nn.init.normal_(task.encoder.weight[:, :20], std=0.3)
    torch.nn.init.normal_(task.outputs[:, :20], std=0.3)
    inputs, outputs = (t.detach().numpy().astype(np.float64) for t in (task.encoder.weight, task.outputs))
    ids = np.array(store.ids[:600])
    found = predictions(ids, task.tables, 3, 4, loss == "tree", 77)
    expected = step(inputs, outputs, found, 0.05, model == "cbow")
    sums = np.zeros(2)
    task._run(ids, 0, len(ids), 0.05, 77, sums)
    assert sums[1] == expected[1] > 100
    assert sums[0] == pytest.approx(expected[0], rel=1e-5)
    assert np.abs(task.encoder.weight.numpy() - inputs).max() < 2e-5
    assert np.abs(task.outputs.numpy() - outputs).max() < 2e-5
    assert not task.encoder.weight[:, 20:].any()


@pytest.mark.parametrize("loss", ["negative", "tree"])
def test_the_slow_version_follows_the_gradient(store: WordStore, loss: str) -> None:
    """Skip-gram and the outputs of CBOW, against differences of the loss; CBOW's inputs get the whole error."""
    task = made(store, "skip-gram", loss)
    around, rows = next(p for p in predictions(store.ids[:200], task.tables, 3, 4, loss == "tree", 5) if len(p[0]) == 4)
    random = np.random.default_rng(0)
    tables = [random.normal(size=(len(store.words), 6)) * 0.4 for _ in range(2)]
    for cbow in (False, True):
        moved = [table.copy() for table in tables]
        step(*moved, [(around, rows)], 1e-6, cbow)
        for which, used in ((0, sorted(set(around))), (1, sorted({row for row, _ in rows}))):
            for row in used:
                nudged = [table.copy() for table in tables]
                nudged[which][row, 2] += 1e-5
                slope = (loss_of(*nudged, around, rows, cbow) - loss_of(*tables, around, rows, cbow)) / 1e-5
                taken = (moved[which][row, 2] - tables[which][row, 2]) / 1e-6
                times = len(around) if cbow and which == 0 else 1
                assert taken == pytest.approx(-slope * times, abs=2e-4)


def test_the_noise_is_the_count_to_the_three_quarters(store: WordStore) -> None:
    from word_reference import Bits

    task, bits = made(store), Bits(3)
    drawn = np.bincount([bits.noise(task.tables) for _ in range(60_000)], minlength=len(store.words))
    wanted = store.counts**0.75 / (store.counts**0.75).sum() * 60_000
    assert chisquare(drawn, wanted).pvalue > 0.001
    flat = np.full(len(drawn), 60_000 / len(drawn))
    assert chisquare(drawn, flat).pvalue < 1e-6
    share, other = alias_table(np.array([1.0, 2.0, 5.0]))
    exact = np.array([sum(share[i] * (i == w) + (1 - share[i]) * (other[i] == w) for i in range(3)) for w in range(3)])
    assert exact / 3 == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_radius_is_uniform_and_frequent_words_leave(store: WordStore) -> None:
    ids = np.concatenate([np.arange(1000, dtype=np.int32) % 7, [-1]] * 20).astype(np.int32)
    task = made(store, window=5, sample=0.0)
    sizes = [len(around) for around, _ in predictions(ids, task.tables, 5, 1, False, 9) if len(around) % 2 == 0]
    counts = np.bincount(sizes, minlength=11)[[2, 4, 6, 8, 10]]
    assert chisquare(counts).pvalue > 0.001
    chance = keep_chance(np.array([900, 90, 10]), 1e-2)
    assert chance[0] == pytest.approx((np.sqrt(90) + 1) / 90)
    assert chance[2] == 1
    assert (keep_chance(np.array([9, 1]), 0.0) == 1).all()


def test_the_tree_is_huffmans() -> None:
    counts = np.array([50, 20, 12, 8, 6, 4])
    starts, nodes, bits = huffman(counts)
    lengths = np.diff(starts)
    assert lengths.tolist() == [1, 2, 3, 4, 5, 5]  # by hand: 4 + 6, 8 + 10, 12 + 18, 20 + 30, 50 + 50
    assert (0.5**lengths).sum() == 1
    codes = {tuple(bits[a:b]) for a, b in pairwise(starts)}
    assert len(codes) == 6
    assert set(nodes.tolist()) == set(range(5))


def test_a_vocabulary_with_fibonacci_counts_keeps_short_paths() -> None:
    counts = [1, 1]
    while len(counts) < 80:
        counts.append(counts[-1] + counts[-2])
    starts, _, _ = huffman(np.array(counts[::-1]))
    assert np.diff(starts).max() <= 40


def tossed(task: Word2Vec) -> float:
    """The loss of a coin's toss at every turn to a held-out word, weighted by the chance that sub-sampling leaves it.

    Words held out are on average rarer than those learnt from, and their paths through the tree longer.
    """
    held = np.array(task.store.held)
    held = held[held != END]
    left = task.tables.keep[held]
    return float(np.average(np.diff(task.tables.starts)[held], weights=left) * np.log(2))


@pytest.mark.parametrize(("model", "loss"), MODELS)
def test_the_loss_falls_and_all_that_is_hidden_is_of_seed_and_step(store: WordStore, model: str, loss: str) -> None:
    task, rows = made(store, model, loss), Rows.of_rank(500)
    first = task.hide(task.draw("words", 1, 3, rows), Rng(1, 3, rows))
    again = task.hide(task.draw("words", 1, 3, rows), Rng(1, 3, rows))
    other = task.hide(task.draw("words", 1, 4, rows), Rng(1, 4, rows))
    assert torch.equal(first.visible["ids"], again.visible["ids"])
    assert torch.equal(first.hidden["seed"], again.hidden["seed"])
    assert not torch.equal(first.hidden["seed"], other.hidden["seed"])
    before = task.held_out_loss()
    expected = tossed(task) if loss == "tree" else task.chance_loss()
    assert before == pytest.approx(expected, rel=0.1)
    # of so few words a tree learns the frequencies first and then the text by heart, so that its best is little and early
    fit(task, config(steps=None, epochs=8 if loss == "tree" else 20))
    assert task.held_out_loss() < (0.985 if loss == "tree" else 0.97) * before


def test_every_word_is_seen_once_an_epoch(store: WordStore) -> None:
    task, rows = made(store), Rows.of_rank(700)
    pieces = [task.draw("words", 2, step, rows).ids for step in range(task.steps_per_epoch(700))]
    seen = torch.cat(pieces)
    assert sorted(seen.tolist()) == sorted(store.ids.tolist())
    assert len({tuple(p.tolist()) for p in pieces}) == len(pieces) > 3


@pytest.mark.parametrize("batch", [900, 1000, 1001, 1400, 2100])
def test_a_text_that_is_little_more_than_a_batch_is_read_whole(store: WordStore, batch: int) -> None:
    few = replace(store, ids=store.ids[:1400])
    task, rows = made(few), Rows.of_rank(batch)
    seen = torch.cat([task.draw("words", 2, step, rows).ids for step in range(task.steps_per_epoch(batch))])
    assert sorted(seen.tolist()) == sorted(few.ids.tolist())


@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
def test_the_loss_of_a_fresh_tree_is_that_of_tosses_after_sub_sampling(store: WordStore, model: str) -> None:
    task = made(replace(store, held=store.ids), model, "tree")
    plain = float(np.average(np.diff(task.tables.starts), weights=store.counts) * np.log(2))
    assert task.held_out_loss() == pytest.approx(task.chance_loss(), rel=0.02)
    assert abs(plain / task.chance_loss() - 1) > 0.05


def test_resume_is_bit_equal_with_one_thread(store: WordStore, tmp_path: Path) -> None:
    straight = made(store)
    fit(straight, config(steps=8))

    class StopAt(Exception):
        pass

    class Bomb:
        name, every, higher_is_better = "bomb", 1, True

        def __call__(self, trainable: Any, step: int) -> float:
            if step == 5:
                raise StopAt
            return 0.0

    run = Run.create(tmp_path / "run")
    (tmp_path / "run" / "recipe.toml").write_text("")
    with pytest.raises(StopAt):
        fit(made(store), config(steps=8, checkpoint_every=3), run, monitors=[Bomb()])
    run.close()
    run = Run.resume(tmp_path / "run")
    resumed = made(store)
    torch.nn.init.constant_(resumed.outputs, 0.5)
    fit(resumed, config(steps=8, checkpoint_every=3), run, resume=True)
    run.close()
    assert torch.equal(straight.encoder.weight, resumed.encoder.weight)
    assert torch.equal(straight.outputs, resumed.outputs)


def test_threads_learn_the_same_thing(store: WordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foretell.objectives.word2vec.FEWEST", 100)
    losses = []
    for threads in (1, 2):
        task = made(store)
        fit(task, config(steps=None, epochs=10, threads=threads))
        losses.append(task.held_out_loss())
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def test_health_show_work_and_facts(store: WordStore) -> None:
    task = made(store)
    batch = task.draw("words", 0, 0, Rows.of_rank(200))
    assert task.health(batch).shape[1] == 20
    assert len(task.show(batch, Rng(0, 0, Rows.of_rank(200))).table) > 2
    assert 0 < task.work() < 6 * 20 * 4 * 5
    assert all(len(getattr(Word2Vec, fact)) > 3 for fact in ("paper", "hides", "foretells", "needs", "good_for"))
    assert all(field.description for field in Word2Vec.Config.model_fields.values())


def test_a_bad_setting_names_the_nearest_key() -> None:
    with pytest.raises(InputError, match=r"objective\.windw.*did you mean .*window"):
        Recipe.load(None, {"objective.name": "word2vec"}, ["objective.windw=1"])
