"""Searches in an optuna study: shared by processes, killed, gone on with, pruned and within a budget."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from study_worker import SPACE, judged, lines, search

from foretell.errors import ForetellError, InputError
from foretell.transfer import study
from foretell.transfer.search import searched
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.trials import Judged, Keep, Trial, published

SPAWN = multiprocessing.get_context("spawn")


def until(condition: Callable[[], object], seconds: float = 900.0) -> None:
    """Long, since a busy machine may stop either process for minutes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never came"
        time.sleep(0.02)


def settings_of(record: dict) -> list[tuple]:
    return [(trial["rate"], trial["steps"], trial["weight_decay"]) for trial in record["trials"]]


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_search_has_its_trials_and_chooses_the_best(method: str, tmp_path: Path) -> None:
    chosen, record = search(None, tmp_path / "log", trials=12, method=method)
    assert [trial["state"] for trial in record["trials"]] == ["complete"] * 12
    assert record["workers"] == 1
    assert record["chosen"] == chosen.record()
    assert judged(chosen) == max(judged(Trial(*one)) for one in settings_of(record))
    for rate, steps, decay in settings_of(record):
        assert 1e-4 <= rate <= 1e-1
        assert 10 <= steps <= 40
        assert decay in SPACE.decays
    again = search(None, tmp_path / "log", trials=12, method=method)[1]
    other = search(None, tmp_path / "log", trials=12, method=method, seed=1)[1]
    assert settings_of(again) == settings_of(record) != settings_of(other)
    assert len(set(settings_of(record))) == 12


def test_tpe_learns_from_its_trials(tmp_path: Path) -> None:
    def late(method: str, seed: int) -> float:
        found = settings_of(search(None, tmp_path / "log", trials=30, method=method, seed=seed)[1])[15:]
        return sum(judged(Trial(*one)) for one in found) / len(found)

    assert all(late("tpe", seed) > late("random", seed) + 0.03 for seed in range(3))


def test_a_grid_is_shared_in_its_order(tmp_path: Path) -> None:
    _, record = search(tmp_path / "search.db", tmp_path / "log", trials=28, method="published")
    assert settings_of(record) == [(trial.rate, trial.steps, trial.weight_decay) for trial in published(SPACE)]
    _, record = search(tmp_path / "search.db", tmp_path / "log", trials=6, method="grid", name="other")
    assert len(settings_of(record)) == 6
    assert [trial["steps"] for trial in record["trials"]] == [40] * 3 + [20] * 3


def finished(storage: Path) -> list[str]:
    """Rate and steps of the trials that lie in the storage with their answers."""
    kept = optuna.load_study(study_name="toy", storage=f"sqlite:///{storage}").trials
    settings = [trial.user_attrs["settings"] for trial in kept if "answer" in trial.user_attrs]
    return [f"{one['rate']} {one['steps']}" for one in settings]


def test_killed_and_gone_on_with_it_does_nothing_twice(tmp_path: Path) -> None:
    storage, log = tmp_path / "search.db", tmp_path / "log"
    whole = search(None, tmp_path / "whole", trials=8)[1]
    lying: list[str] = []
    for _ in range(2):
        child = SPAWN.Process(target=search, args=(storage, log, 0.3, 8))
        child.start()
        until(lambda of=f"{child.pid} ": sum(line.startswith(of) for line in lines(log, "begun")) > 1)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert set(lying) < set(finished(storage)), "what is finished lies on the disk at once"
        lying = finished(storage)
    _, record = search(storage, log, trials=8)
    assert settings_of(record) == settings_of(whole), "a trial that was cut short is made again with its settings"
    assert [trial["state"] for trial in record["trials"]] == ["complete"] * 8
    made = [line.split(" ", 1)[1] for line in lines(log, "begun")]
    assert all(made.count(one) == 1 for one in lying), "no finished trial is made again"
    assert len(made) <= 8 + 2
    search(storage, log, trials=8)
    assert len(lines(log, "begun")) == len(made)


def test_two_processes_share_one_search(tmp_path: Path) -> None:
    storage, log = tmp_path / "search.db", tmp_path / "log"
    given = {"trials": 10, "seconds": 0.1, "together": 2}
    workers = [SPAWN.Process(target=search, args=(storage, log), kwargs=given) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    _, record = search(storage, log, trials=10)
    assert len(record["trials"]) == 10
    done = lines(log, "done")
    assert len(done) == len({line.split(" ", 1)[1] for line in done}) == 10, "each trial is made once"
    assert len({line.split(" ")[0] for line in done}) == record["workers"] == 2


def test_a_trial_that_another_process_ends_between_two_looks_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    made = optuna.create_study()
    shared = study._Shared(made, None, SPACE, lambda trial, report: Judged(0.5, 0.5, 0.0), SearchConfig(), 2)
    theirs, ours = made.ask(), made.ask()
    answer = {"validation": 0.5, "seconds": 0.0}
    theirs.set_user_attr("alive", study._sign_of_life())
    ours.set_user_attr("answer", answer)
    made.tell(ours, 0.5)
    look = made.get_trials

    def looked(**given: Any) -> list[optuna.trial.FrozenTrial]:
        found = look(**given)
        if look(deepcopy=False)[theirs.number].state == TrialState.RUNNING and not given["states"]:
            theirs.set_user_attr("answer", answer)
            made.tell(theirs, 0.7)
        return found

    monkeypatch.setattr(made, "get_trials", looked)
    monkeypatch.setattr(study, "_POLL", 0.0)
    assert [trial.value for trial in shared.work(lambda: None)] == [0.7, 0.5]


def test_the_slot_of_a_silent_process_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, log = tmp_path / "search.db", tmp_path / "log"
    child = SPAWN.Process(target=search, args=(storage, log, 60.0))
    child.start()
    until(lambda: lines(log, "begun"))
    os.kill(child.pid, signal.SIGSTOP)
    try:
        monkeypatch.setattr(study, "GRACE", 1.0)
        _, record = search(storage, log)
        assert len(record["trials"]) == len(lines(log, "done")) == 6
        assert record["workers"] == 1
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.join()


def test_an_interrupted_search_frees_its_slot(tmp_path: Path) -> None:
    keep = Keep(name="toy", storage=str(tmp_path / "search.db"))

    def interrupted(trial, report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(SPACE, interrupted, config=SearchConfig(method="tpe"), trials=4, seed=0, keep=keep)
    _, record = search(tmp_path / "search.db", tmp_path / "log", trials=4, method="tpe")
    assert [trial["state"] for trial in record["trials"]] == ["complete"] * 4


def test_poor_trials_are_given_up_and_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _, whole = search(None, log, 0.02, 12)
    chosen, record = search(tmp_path / "search.db", log, 0.02, 12, pruning="median")
    assert settings_of(record) == settings_of(whole)
    pruned = [trial for trial in record["trials"] if trial["state"] == "pruned"]
    assert record["pruning"]["pruned"] == len(pruned) > 0
    assert record["pruning"] | {"pruner": "median", "spared": 4} == record["pruning"]
    assert all(trial["state"] == "complete" for trial in record["trials"][:4]), "the first are never given up"
    assert record["pruning"]["seconds_saved"] == pytest.approx(
        sum(trial["seconds"] * (1 - trial["share"]) / trial["share"] for trial in pruned)
    )
    for trial, other in zip(record["trials"], whole["trials"], strict=True):
        assert trial["validation"] == (None if trial["state"] == "pruned" else other["validation"])
    assert chosen == search(None, log, 0.0, 12)[0]
    kept = optuna.load_study(study_name="toy", storage=f"sqlite:///{tmp_path / 'search.db'}")
    assert sum(trial.state == TrialState.PRUNED for trial in kept.trials) == len(pruned)


def test_a_budget_ends_a_search(tmp_path: Path) -> None:
    told = []
    _, record = searched(
        SPACE,
        lambda trial, report: time.sleep(0.2) or study_answer(trial),
        config=SearchConfig(method="random", budget="0.5s"),
        trials=50,
        seed=0,
        tried=lambda: told.append(1),
    )
    assert sum(trial["seconds"] for trial in record["trials"][:-1]) < 0.5
    assert sum(trial["seconds"] for trial in record["trials"]) >= 0.5
    assert record["budget"] == "0.5s"
    assert len(told) == 50


def study_answer(trial: Trial):
    from foretell.transfer.trials import Judged

    return Judged(judged(trial), 0.0, 0.0)


def test_a_failed_trial_is_an_answer(tmp_path: Path) -> None:
    def fails(trial, report):
        if trial.rate > 1e-2:
            raise ForetellError("loss is not finite")
        return study_answer(trial)

    chosen, record = searched(SPACE, fails, config=SearchConfig(method="tpe"), trials=10, seed=0)
    failed = [trial for trial in record["trials"] if trial["state"] == "failed"]
    assert 0 < len(failed) < 10
    assert {trial["failed"] for trial in failed} == {"loss is not finite"}
    assert chosen.rate <= 1e-2


def test_an_error_of_ours_ends_the_search_and_frees_the_slot(tmp_path: Path) -> None:
    keep = Keep(name="toy", storage=str(tmp_path / "search.db"))
    with contextlib.suppress(ZeroDivisionError):
        searched(SPACE, lambda trial, report: 1 / 0, config=SearchConfig(method="random"), trials=3, seed=0, keep=keep)
    _, record = search(tmp_path / "search.db", tmp_path / "log", trials=3)
    assert len(record["trials"]) == 3


def test_a_storage_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 200)
    for storage in (tmp_path / "text.db", tmp_path / "nowhere" / "search.db", "unheard://user:secret@host/name"):
        with pytest.raises(
            InputError, match=r"^transfer\.search\.storage: .* cannot be opened \(.*\); give the path"
        ) as told:
            search(storage, tmp_path / "log")
        assert "\n" not in str(told.value)
        assert "secret" not in str(told.value)


def test_a_storage_that_fails_on_the_way_is_one_line(tmp_path: Path) -> None:
    storage = tmp_path / "search.db"

    def spoil(trial: Trial, report):
        storage.write_bytes(b"no database" * 1000)
        return study_answer(trial)

    keep = Keep(name="toy", storage=str(storage))
    with pytest.raises(
        ForetellError, match=r"^transfer\.search\.storage: sqlite.* failed \(.*\); what is finished is kept"
    ):
        searched(SPACE, spoil, config=SearchConfig(method="random"), trials=3, seed=0, keep=keep)
    with pytest.raises(InputError, match=r"has \?, \{ or \} in it"):
        search(tmp_path / "what?.db", tmp_path / "log")
