"""The trainings of a comparison worked out side by side, before it is gathered.

A training of a small network keeps one core busy, and several badly: steps of a few milliseconds are cut into pieces that
wait for each other. So each process takes one training at a time, with its part of the cores, and the answers go into the
cache of the comparison, which then finds everything there. What depends on what stays as it is: a fit waits for the search
of its settings, and draws depend on seed and step alone. Only rounding differs, as it does with the number of threads.
"""

from __future__ import annotations

import heapq
import pickle
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from foretell.errors import ForetellWarning, InputError
from foretell.side_by_side import Process, share_out, spoken, threads_for, usable_cores
from foretell.transfer.cache import Cache, Entry, Missing
from foretell.transfer.engine import FROZEN, Engine
from foretell.transfer.fractions import Fraction
from foretell.transfer.search_config import SearchConfig

SMALL_STEP = 2e10
"""Operations of a step below which a training keeps several cores badly busy."""
LEAST_WORK = 2e12
"""Operations below which starting processes takes longer than they save."""
MEMORY = 1.5e9
"""Bytes that a process with a small network needs."""


@dataclass(frozen=True)
class Piece:
    """Trial ``number`` of the search of ``arm`` at a fraction, its fit with seed ``number``, or what is measured with
    all labels.

    ``samples``: how much work that is.
    """

    kind: Literal["trial", "fit", "all"]
    arm: str
    fraction: int
    number: int
    samples: int
    title: str


def check_jobs(jobs: int | None, search: SearchConfig) -> None:
    """Raise InputError for a number of processes below 1, and for several with a search that shares its trials in a study."""
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: expected how many processes train side by side, 1 or more")
    if jobs is not None and jobs > 1 and search.in_study:
        raise InputError(
            f"--jobs {jobs}: this search shares its trials by itself (transfer.search): give the same command in a second "
            "process, or search a grid"
        )


def work_ahead(engine: Engine[Any], arms: tuple[str, ...], fractions: list[Fraction], jobs: int | None) -> None:
    """Have the trainings of ``engine.run(arms, fractions)`` worked out by ``jobs`` processes, into its cache.

    None: as many as pay (``_Ahead.jobs``), and this process alone where the comparison cannot be handed to another. Raises
    InputError for a number below 1, for a search that shares its trials in a study, and for an encoder that cannot be
    handed over.
    """
    check_jobs(jobs, engine.config.search)
    work = _Ahead(engine, arms, fractions)
    count = min(work.jobs() if jobs is None else jobs, work.most)
    if count < 2 or _finished(engine, arms, fractions):
        return
    with tempfile.TemporaryDirectory(prefix="foretell-") as folder:
        path = Path(folder) / "comparison.pkl"
        try:
            _hand_over(engine, fractions, path)
        except Exception as error:  # whatever a network of the user's own raises when it is pickled
            if jobs is None:
                warnings.warn(f"trained one after another: {error}", ForetellWarning, stacklevel=2)
                return
            raise InputError(f"--jobs {jobs}: {error}; give --jobs 1") from None
        engine.total = engine.work_of(arms, fractions)
        work.told_of(f"{len(list(work.everything()))} trials and fits, {spoken(count)}")
        module = "foretell.transfer.ahead_worker"
        with engine.cache.kept():
            share_out(work, [Process(module, str(path), threads=threads_for(count)) for _ in range(count)])


def _finished(engine: Engine[Any], arms: tuple[str, ...], fractions: list[Fraction]) -> bool:
    """Whether every answer is kept already."""
    look = copy(engine)
    look.cache, look.progress, look.fits = engine.cache.sealed(), None, dict(engine.fits)
    try:
        look.run(arms, fractions)
    except Missing:
        return False
    return True


def _free_memory() -> float | None:
    """Bytes that new processes could have; None where the system does not say."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return None


# what is handed to other processes ------------------------------------------------------------------------------------


def _hand_over(engine: Engine[Any], fractions: list[Fraction], path: Path) -> None:
    """Raises InputError for a class that another process cannot import."""
    own = sorted({type(part).__name__ for part in engine.networks() if type(part).__module__ == "__main__"})
    if own:
        raise InputError(
            f"{own[0]} is defined in the script itself, where other processes cannot find it; move it to a module"
        )
    engine.settle()
    before = engine.cache, engine.progress
    engine.cache, engine.progress = engine.cache.copied(), None
    try:
        with path.open("wb") as file:
            pickle.dump(sys.path, file)
            pickle.dump((engine, fractions), file)
    finally:
        engine.cache, engine.progress = before


def taken_over(path: Path) -> tuple[Engine[Any], list[Fraction]]:
    """What ``work_ahead`` wrote, in a process of its own."""
    with path.open("rb") as file:
        sys.path.extend(place for place in pickle.load(file) if place not in sys.path)
        engine, fractions = pickle.load(file)
    return engine, fractions


def worked_out(engine: Engine[Any], fractions: list[Fraction], piece: Piece, entries: list[Entry]) -> list[Entry]:
    """The answers behind ``piece``; ``entries``: those of other processes since the last one."""
    cache: Cache = engine.cache
    cache.add(entries)
    if piece.kind == "all":
        engine.with_all_labels()
    else:
        fraction = fractions[piece.fraction]
        if piece.kind == "trial":
            start, data = engine.start(piece.arm, fraction), engine.labelled_at(fraction, engine.seeds[0])
            keep = replace(engine.keep(piece.arm, start, data), only=piece.number)
            engine.search(piece.arm, start, data, keep, lambda count: None)
        else:
            start, trial, _ = engine.searched_tuned(piece.arm, fraction)
            engine.fitted(piece.arm, start, trial, fraction, piece.number)
    return cache.news()


# what is to be done ---------------------------------------------------------------------------------------------------


class _Ahead:
    """The trials of every search, and the fits once a search is through; the largest first, so that all end together."""

    def __init__(self, engine: Engine[Any], arms: tuple[str, ...], fractions: list[Fraction]) -> None:
        self.engine, self.fractions = engine, fractions
        self.arms = [arm for arm in arms if arm in engine.tuned_arms]
        self.entries: list[Entry] = []
        self.sent: dict[Process, int] = {}
        self.open = {(arm, at): engine.trials for arm in self.arms for at in range(len(fractions))}
        self.ready: list[tuple[int, int, Piece]] = []
        self.count = 0
        self.most = len(self.open) * max(len(engine.seeds), engine.trials if engine.trials > 1 else 0)
        if engine.looks:
            self._add(Piece("all", "", 0, 0, engine.looks * FROZEN, "with all labels"))
        for arm, at in self.open:
            for piece in self._trials(arm, at) or self._fits(arm, at):
                self._add(piece)

    def _trials(self, arm: str, at: int) -> list[Piece]:
        engine = self.engine
        if engine.trials == 1:
            return []
        data = engine.labelled_at(self.fractions[at], engine.seeds[0])
        each = engine.fits_of_search(data) // engine.trials * engine.samples_for(len(data))
        title = f"{self._title(arm, at)}: choosing settings"
        return [Piece("trial", arm, at, number, each, title) for number in range(engine.trials)]

    def _fits(self, arm: str, at: int) -> list[Piece]:
        engine = self.engine
        each = engine.samples_for(len(engine.labelled_at(self.fractions[at], engine.seeds[0])))
        title = self._title(arm, at)
        return [Piece("fit", arm, at, seed, each, f"{title}, seed {seed}") for seed in engine.seeds]

    def _title(self, arm: str, at: int) -> str:
        data = self.engine.labelled_at(self.fractions[at], self.engine.seeds[0])
        return f"{self.engine.arms[arm]['title']}, {self.engine.labels_in(data)} labels"

    def _add(self, piece: Piece) -> None:
        self.count += 1
        heapq.heappush(self.ready, (-piece.samples, self.count, piece))

    def everything(self) -> Iterator[Piece]:
        for arm, at in self.open:
            yield from (*self._trials(arm, at), *self._fits(arm, at))

    def jobs(self) -> int:
        """How many processes pay: one where a step is large enough for all cores, where the work is little, where trials
        are shared in a study, and on a GPU; else one a core, as far as the free memory goes.
        """
        engine = self.engine
        if engine.config.search.in_study or not engine.on_cpu or not self.open:
            return 1
        labels = max(len(engine.labelled_at(fraction, engine.seeds[0])) for fraction in self.fractions)
        sample = engine.flops_of(labels)
        step = sample * engine.samples_for(labels) / engine.config.steps_for(labels)
        if step > SMALL_STEP or sample * sum(piece.samples for piece in self.everything()) < LEAST_WORK:
            return 1
        free = _free_memory()
        cores = usable_cores()
        return cores if free is None else min(cores, max(1, int(free // MEMORY)))

    def told_of(self, what: str) -> None:
        engine = self.engine
        if engine.progress is not None:
            engine.progress(min(engine.ahead, engine.total), engine.total, what)

    # Work -------------------------------------------------------------------------------------------------------------

    def take(self) -> Piece | None:
        return heapq.heappop(self.ready)[2] if self.ready else None

    def ask(self, process: Process, piece: Piece) -> Iterator[list[Entry]]:
        first, self.sent[process] = self.sent.get(process, 0), len(self.entries)
        new = self.entries[first : self.sent[process]]
        for answer in process.ask({"piece": asdict(piece), "entries": new}, piece.title):
            yield answer["entries"]

    def told(self, piece: Piece, answer: list[Entry]) -> None:
        self.engine.cache.add(answer)
        self.entries.extend(answer)

    def ended(self, piece: Piece) -> None:
        self.engine.ahead += piece.samples
        self.told_of(piece.title)
        if piece.kind == "trial":
            self.open[piece.arm, piece.fraction] -= 1
            if not self.open[piece.arm, piece.fraction]:
                for fit in self._fits(piece.arm, piece.fraction):
                    self._add(fit)
