"""A search kept in an optuna study: what is finished lies in its storage at once, and any number of processes share it.

A study has as many slots as the search has trials. A process takes a slot, trains, and writes down what came of it; a slot
whose process died is given to the next one with the same settings, so that a search ends with exactly its trials, each done
once. What a slot draws depends on the seed, its number and the trials before it, never on the state of a process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError, StorageInternalError, UpdateFinishedTrialError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from foretell.counters import seed_of
from foretell.errors import ForetellError, InputError
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.trials import Judge, Keep, Pruned, Report, Space, Trial, answer_of, listed

BEAT = 5.0  # seconds between signs of life of a process that works on a slot
GRACE = 60.0  # seconds without one after which a slot is given to another
_POLL = 0.2  # seconds between looks while others finish
_PATIENCE = 120.0  # seconds to wait for a SQLite file that another process writes to


# the storage ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """The URL of a database, and of a SQLite file the lock that makes taking a slot of it one act."""

    url: str
    lock: Path | None = None

    def __str__(self) -> str:
        """Without a password."""
        return re.sub(r"//[^@/]*@", "//...@", self.url)

    @classmethod
    def of(cls, storage: str) -> _Place:
        """``storage`` is the path of a SQLite file or a URL."""
        if "://" in storage and not storage.startswith("sqlite:///"):
            return cls(storage)
        path = Path(storage.removeprefix("sqlite:///"))
        if set(str(path)) & set("?{}"):  # they mean something else in a URL
            raise InputError(f"transfer.search.storage: {path} has ?, {{ or }} in it; give a path without")
        return cls(f"sqlite:///{path}", path.with_name(f".{path.name}.lock"))


@contextlib.contextmanager
def _alone(lock: Path | None) -> Iterator[None]:
    """Hold ``lock`` against other processes; a database server (None) sees to this itself."""
    if lock is None:
        yield
        return
    with open(lock, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _reason(error: BaseException) -> str:
    return " ".join(str(error.__cause__ or error).split("\n")[0].split())


def _opened(place: _Place) -> optuna.storages.RDBStorage:
    """Raises InputError when there is no such database, or it cannot be used."""
    options = {} if place.lock is None else {"connect_args": {"timeout": _PATIENCE}}
    try:
        with _alone(place.lock):
            return optuna.storages.RDBStorage(place.url, engine_kwargs=options)
    except (ImportError, OSError, RuntimeError, SQLAlchemyError, OptunaError) as error:
        raise InputError(
            f"transfer.search.storage: {place} cannot be opened ({_reason(error)}); give the path of a SQLite file that no other "
            "program holds, or a URL as postgresql://host/name"
        ) from None


# drawing --------------------------------------------------------------------------------------------------------------


def _slot(trial: FrozenTrial | optuna.Trial) -> int:
    """The slot of a trial: its number, or that of the one it was taken over from."""
    return int(trial.user_attrs.get("slot", trial.number))


class _Counted(BaseSampler):
    """A sampler made anew for every slot from ``make(seed)``, with a seed that depends on ``seed`` and slot alone."""

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._own = make(0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._own = self._make(seed_of(self._seed, "search", _slot(trial)) % (1 << 32))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._own.sample_independent(study, trial, param_name, param_distribution)


def first_of(trials: int) -> int:
    """How many trials come before tpe learns from them and before one is given up: a third of all, from 3 to 10."""
    return min(10, max(3, trials // 3))


def _sampler(config: SearchConfig, trials: int, seed: int) -> BaseSampler:
    if config.method == "tpe":
        return _Counted(lambda own: TPESampler(n_startup_trials=first_of(trials), constant_liar=True, seed=own), seed)
    return _Counted(lambda own: RandomSampler(seed=own), seed)


def _pruner(config: SearchConfig, trials: int) -> optuna.pruners.BasePruner:
    if config.pruning == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=first_of(trials), n_warmup_steps=0)


def _drawn(trial: optuna.Trial, space: Space) -> Trial:
    """A rate (log-uniform), a quarter of the steps or more, and one of the published weight decays."""
    return Trial(
        rate=float(f"{trial.suggest_float('rate', *space.rates, log=True):.4g}"),
        steps=trial.suggest_int("steps", max(1, space.steps // 4), space.steps),
        weight_decay=float(trial.suggest_categorical("weight_decay", space.decays)),
    )


# a worker -------------------------------------------------------------------------------------------------------------


def _sign_of_life() -> dict[str, Any]:
    return {"host": socket.gethostname(), "process": os.getpid(), "time": time.time()}


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _dead(trial: FrozenTrial) -> bool:
    """Whether nobody works on a running trial any more; the clocks of several machines agree within ``GRACE``."""
    sign = trial.user_attrs.get("alive")
    if sign is None:  # taken a moment ago, unless its process died at once
        return trial.datetime_start is not None and time.time() - trial.datetime_start.timestamp() > GRACE
    if sign["host"] == socket.gethostname() and not _exists(sign["process"]):
        return True
    return bool(time.time() - sign["time"] > GRACE)


@contextlib.contextmanager
def _beating(trial: optuna.Trial) -> Iterator[None]:
    """Give signs of life of ``trial`` while the block runs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            try:
                trial.set_user_attr("alive", _sign_of_life())
            except UpdateFinishedTrialError:  # another process has taken the slot over
                return
            except StorageInternalError:  # a server that is away may be back for the next one
                continue

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Shared:
    """One search in its study; ``work`` takes slots until none is left."""

    def __init__(
        self, study: optuna.Study, lock: Path | None, space: Space, judge: Judge, config: SearchConfig, slots: int
    ) -> None:
        self.study, self.lock = study, lock
        self.space, self.judge, self.config, self.slots = space, judge, config, slots
        self.listed = listed(config, space, slots)
        with _alone(lock):
            for _ in range(slots - len(study.get_trials(deepcopy=False))):
                study.enqueue_trial({})

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        found = self.study.get_trials(deepcopy=False, states=states or None)
        return [trial for trial in found if _slot(trial) < self.slots]

    def work(self, tried: Callable[[], None]) -> list[FrozenTrial]:
        """Take part until every slot is answered or the budget is spent; the finished trials. ``tried``: once a slot."""
        told = 0
        while True:
            self._take_over()
            known = self.trials()  # looked at once: other processes go on between two looks
            states = {trial.state for trial in known}
            done = _answered(known)
            for _ in range(told, len(done)):
                tried()
            told = max(told, len(done))
            if TrialState.WAITING in states and not self._spent(done):
                self._one()
            elif TrialState.RUNNING in states:
                time.sleep(_POLL)
            else:
                break
        for _ in range(told, self.slots):
            tried()
        return done

    def _spent(self, done: list[FrozenTrial]) -> bool:
        budget = self.config.seconds
        return budget is not None and sum(trial.user_attrs["answer"]["seconds"] for trial in done) >= budget

    def _one(self) -> None:
        """Take a slot and answer it; where this is interrupted, the slot is free again."""
        with _alone(self.lock):
            trial = self.study.ask()
        if _slot(trial) >= self.slots:  # another process was quicker to the last slot
            self.study.tell(trial, state=TrialState.FAIL)
            return
        trial.set_user_attr("alive", _sign_of_life())
        try:
            with _beating(trial):
                settings = self.listed[_slot(trial)] if self.listed else _drawn(trial, self.space)
                trial.set_user_attr("settings", settings.record())
                answer = answer_of(self.judge, settings, self._report(trial))
            trial.set_user_attr("answer", answer)
            self._tell(trial.number, answer)
        except UpdateFinishedTrialError:  # silent for too long: the slot is another's, and so is its answer
            return
        except BaseException:
            with contextlib.suppress(OptunaError, SQLAlchemyError):
                self._free(self.study.trials[trial.number])
            raise

    def _report(self, trial: optuna.Trial) -> Report | None:
        if self.config.pruning == "none":
            return None

        def report(look: int, share: float, value: float) -> None:
            trial.report(value, look)
            if trial.should_prune():
                raise Pruned(share)

        return report

    def _tell(self, number: int, answer: dict[str, Any]) -> None:
        value = answer["validation"]
        try:
            if value is None:  # a rate that fails is one to keep away from, which a failed trial would not tell tpe
                self.study.tell(number, state=TrialState.PRUNED)
            else:
                self.study.tell(number, value)
        except (ValueError, UpdateFinishedTrialError):  # it was told of before
            return

    def _free(self, trial: FrozenTrial) -> None:
        """Give the slot of ``trial`` to the next process, with the same draws."""
        others = [other for other in self.trials() if _slot(other) == _slot(trial) and other.number != trial.number]
        if all(other.state == TrialState.FAIL for other in others):
            self.study.enqueue_trial(trial.params, user_attrs={"slot": _slot(trial)})
        with contextlib.suppress(ValueError, UpdateFinishedTrialError):  # it was told of before
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _take_over(self) -> None:
        """Free the slots of dead processes; what they had written down is kept."""
        for trial in self.trials(TrialState.RUNNING):
            if not _dead(trial):
                continue
            with _alone(self.lock):
                if "answer" in trial.user_attrs:
                    self._tell(trial.number, trial.user_attrs["answer"])
                else:
                    self._free(trial)


def _answered(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The finished one of each slot that has one, by slot."""
    found: dict[int, FrozenTrial] = {}
    for trial in trials:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            found.setdefault(_slot(trial), trial)
    return [found[slot] for slot in sorted(found)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without optuna's own lines on what it does."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _facts(config: SearchConfig, trials: int, done: list[FrozenTrial], records: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known of the whole search.

    What pruning saved is the time that the trials given up would have gone on for, at the pace they had.
    """
    workers = {(trial.user_attrs["alive"]["host"], trial.user_attrs["alive"]["process"]) for trial in done}
    facts: dict[str, Any] = {"workers": len(workers)}
    if config.pruning != "none":
        pruned = [record for record in records if record["state"] == "pruned"]
        facts["pruning"] = {
            "pruner": config.pruning,
            "spared": first_of(trials),
            "pruned": len(pruned),
            "seconds_saved": sum(record["seconds"] * (1 / record["share"] - 1) for record in pruned),
        }
    if config.budget is not None:
        facts["budget"] = config.budget
    return facts


def shared(
    space: Space,
    judge: Judge,
    *,
    config: SearchConfig,
    trials: int,
    seed: int,
    keep: Keep,
    tried: Callable[[], None],
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The record of each trial, and of them all: "workers" that took part, "pruning" and "budget" where there are some.

    Takes part in the study ``keep.name`` of ``keep.storage`` until it is over, and begins it where nobody has. Under
    "pruning": how many trials were never given up, how many were, and the seconds that saved. Raises InputError when the
    storage cannot be opened, ForetellError when it fails later.
    """
    place = None if keep.storage is None else _Place.of(keep.storage)
    storage = None if place is None else _opened(place)
    lock = None if place is None else place.lock
    try:
        with _quiet():
            with _alone(lock):
                study = optuna.create_study(
                    storage=storage,
                    study_name=keep.name,
                    direction="maximize",
                    load_if_exists=True,
                    sampler=_sampler(config, trials, seed),
                    pruner=_pruner(config, trials),
                )
            done = _Shared(study, lock, space, judge, config, trials).work(tried)
    except (OptunaError, SQLAlchemyError) as error:
        raise ForetellError(
            f"transfer.search.storage: {place or 'memory'} failed ({_reason(error)}); what is finished is kept: give the same command again"
        ) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()
    records = [{**trial.user_attrs["settings"], **trial.user_attrs["answer"]} for trial in done]
    return records, _facts(config, trials, done, records)
