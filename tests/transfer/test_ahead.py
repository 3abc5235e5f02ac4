"""Trainings side by side: what comes out is what one process finds, and what stops them is told in a line."""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from what_lasts import lasting

from foretell import side_by_side
from foretell.data.store import ImageStore, open_images
from foretell.errors import ForetellError, ForetellWarning, InputError
from foretell.run import Run
from foretell.transfer import ahead, ahead_worker
from foretell.transfer.cache import Cache, Missing
from foretell.transfer.config import TransferConfig
from foretell.transfer.images.compare import compare
from foretell.transfer.images.engine import ImageEngine
from foretell.transfer.protocol import Protocol
from foretell.transfer.search_config import SearchConfig

QUICK = TransferConfig(device="cpu", steps=12, batch=16, curve_points=3, rates=(1e-3, 3e-3))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 2)
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)


def small(digits, views, encoder, **more):
    given = {
        "per_class": (1, 4),
        "seeds": (0, 1),
        "arms": ("pretrained", "scratch", "random"),
        "trials": 2,
        "training": QUICK,
        **more,
    }
    protocol = Protocol(**{field.name: given.pop(field.name) for field in fields(Protocol) if field.name in given})
    return compare(encoder, digits.store, train=digits.train, test=digits.test, views=views, protocol=protocol, **given)


def test_processes_find_what_one_finds(digits, views, trained, run: Run) -> None:
    told: list[tuple[int, int, str]] = []
    two = small(digits, views, trained, run=run, jobs=2, progress=lambda *what: told.append(what))
    one = small(digits, views, trained)
    for part in ("rows", "summary", "paired", "search", "knn", "linear_probe", "confusion", "crossing", "verdict"):
        assert lasting(two[part]) == lasting(one[part]), part
    assert "2 side by side, each on 1 core" in told[0][2]
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][0] == told[-1][1]
    assert {total for _, total, _ in told} == {told[0][1]}
    assert any("choosing settings" in what for _, _, what in told)
    assert two["cost"]["reused"] == 0
    assert two["cost"]["work"]["fine_tunings"] == one["cost"]["work"]["fine_tunings"]


def test_what_processes_found_is_kept_in_the_run(
    digits, views, trained, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = small(digits, views, trained, run=run, jobs=2)
    monkeypatch.setattr(ahead, "share_out", lambda *given: pytest.fail("everything is kept already"))
    monkeypatch.setattr(ImageEngine, "_fit", lambda *given: pytest.fail("everything is kept already"))
    again = small(digits, views, trained, run=run, jobs=2)
    assert again["rows"] == first["rows"]
    assert again["cost"]["reused"] > first["cost"]["reused"]


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_handed_over_is_removed_by_a_process_whose_parent_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    path = tmp_path / "foretell-abc" / "comparison.pkl"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr(ahead_worker, "taken_over", lambda path: (None, []))
    monkeypatch.setattr(ahead_worker, "serve", lambda work: gone)
    ahead_worker.main(path)
    assert path.exists() != gone
    assert path.parent.exists() != gone


def test_jobs_that_cannot_be_are_refused(digits, views, trained, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--jobs 0: expected how many processes train side by side"):
        small(digits, views, trained, jobs=0)
    shared = QUICK.model_copy(update={"search": SearchConfig(method="random")})
    with pytest.raises(InputError, match="--jobs 2: this search shares its trials by itself"):
        small(digits, views, trained, jobs=2, training=shared)


def test_a_network_of_the_script_is_not_handed_over(digits, views, trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(trained), "__module__", "__main__")
    name = type(trained).__name__
    with pytest.raises(InputError, match=rf"--jobs 2: {name} is defined in the script itself.*; give --jobs 1"):
        small(digits, views, trained, jobs=2)
    monkeypatch.setattr(ahead, "LEAST_WORK", 0.0)
    with pytest.warns(ForetellWarning, match="trained one after another"):
        found = small(digits, views, trained, jobs=None, per_class=(1,), arms=("pretrained",), trials=1)
    assert found["rows"]


def test_a_process_that_ends_is_told(digits, views, trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(
        ForetellError, match=r"worked at .* ended \(status 1\); what it finished is kept: .* fewer --jobs"
    ):
        small(digits, views, trained, jobs=2)


def paying(digits, views, trained, **changes):
    """The number of processes that pay, for a comparison with ``changes`` to its settings."""

    class Planned(Exception):
        pass

    def plan(work):
        raise Planned(real(work))

    with pytest.MonkeyPatch.context() as patch:
        real = ahead._Ahead.jobs
        patch.setattr(ahead._Ahead, "jobs", plan)
        with pytest.raises(Planned) as found:
            small(digits, views, trained, jobs=None, training=QUICK.model_copy(update=changes))
    return found.value.args[0]


def test_as_many_as_pay(digits, views, trained, monkeypatch: pytest.MonkeyPatch) -> None:
    assert paying(digits, views, trained) == 1, "little work"
    monkeypatch.setattr(ahead, "LEAST_WORK", 0.0)
    assert paying(digits, views, trained) == 2
    assert paying(digits, views, trained, search=SearchConfig(method="random")) == 1, "trials are shared in a study"
    monkeypatch.setattr(ahead, "_free_memory", lambda: 1.6e9)
    assert paying(digits, views, trained) == 1, "memory for one"
    monkeypatch.setattr(ahead, "_free_memory", lambda: None)
    assert paying(digits, views, trained) == 2
    monkeypatch.setattr(ahead, "SMALL_STEP", 1.0)
    assert paying(digits, views, trained) == 1, "a step that keeps all cores busy"


def test_free_memory_is_read() -> None:
    found = ahead._free_memory()
    assert found is None or 1e7 < found < 1e14


def test_a_store_in_a_folder_is_mapped_again_not_copied(tmp_path: Path) -> None:
    images = (load_digits().images[:200] * 15.9).astype(np.uint8)
    np.save(tmp_path / "digits.npy", images)
    store = open_images(tmp_path / "digits.npy", cache=tmp_path / "cache")
    part = store.subset(np.arange(50, 150))
    content = pickle.dumps([store, part])
    assert len(content) < images.nbytes + 40_000, "tables and sizes, no pixels twice"
    again, half = pickle.loads(content)
    rows = np.array([3, 99])
    for ours, theirs in ((store, again), (part, half)):
        assert torch.equal(ours.read(rows).pixels, theirs.read(rows).pixels)
        assert ours.fingerprint == theirs.fingerprint
        assert np.array_equal(ours.image(7), theirs.image(7))
    in_memory = pickle.loads(pickle.dumps(ImageStore.of(images[..., None])))
    assert torch.equal(in_memory.read(rows).pixels, store.read(rows).pixels)


def test_a_sealed_cache_works_nothing_out(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "answers.jsonl")
    cache.get("a", lambda: {"n": 1})
    sealed = cache.sealed()
    assert sealed.get("a", lambda: pytest.fail("it is kept")) == {"n": 1}
    with pytest.raises(Missing):
        sealed.get("b", lambda: {"n": 2})


def test_news_of_one_cache_are_taken_up_by_another(tmp_path: Path) -> None:
    worker = Cache(None)
    worker.get("a", lambda: {"n": 1})
    news = worker.news()
    assert [entry["answer"] for entry in news] == [{"n": 1}]
    assert worker.news() == []
    whole = Cache(tmp_path / "answers.jsonl")
    whole.add(news)
    whole.add(news)
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 1
    assert whole.get("a", lambda: pytest.fail("it is kept")) == {"n": 1}
    assert whole.reused == 0, "it was worked out for this comparison"
    whole.get("a", dict)
    assert whole.reused == 1
    assert json.loads((tmp_path / "answers.jsonl").read_text())["seconds"] >= 0
