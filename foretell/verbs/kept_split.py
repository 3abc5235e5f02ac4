"""split.json and learnt.npy of a run: which samples are learnt from and which are held out, of which data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.division import BY_COLUMN, TESTED
from foretell.data.splits import Parts, canonical
from foretell.data.table import Table
from foretell.errors import InputError, first_line
from foretell.recipe import DataConfig, Recipe
from foretell.run import Run, write_aside

NAME = "split.json"
LEARNT = "learnt.npy"
RECIPE = "recipe.toml"

Hashes = NDArray[np.uint8]


@dataclass(frozen=True)
class KeptSplit:
    """``parts`` of the data whose store has ``fingerprint``; ``asked``: the settings of the division (``settings_of``),
    empty in a run of an earlier version.
    """

    place: Path
    fingerprint: str
    parts: Parts
    asked: dict[str, Any]

    def of(self, fingerprint: str, count: int) -> Parts | None:
        """The parts where the data is the same, of ``count`` samples; None for other data. Raises InputError for a sample
        that it does not have.
        """
        if fingerprint != self.fingerprint:
            return None
        for name in ("train", "test"):
            rows = getattr(self.parts, name)
            if len(rows) and rows.max() >= count:
                raise _damaged(self.place, f'"{name}" has row {rows.max()}, and the data {count:,} rows')
        return self.parts


def settings_of(data: DataConfig) -> dict[str, Any]:
    """The settings that a division depends on beside the data."""
    return {"split": data.split, "split_seed": data.split_seed, "held_out": data.held_out}


def write(run: Run, fingerprint: str, parts: Parts, data: DataConfig) -> None:
    """Write split.json."""
    kept = {"fingerprint": fingerprint, "how": parts.how, "asked": settings_of(data)}
    run.write_json(NAME, {**kept, "train": parts.train, "test": parts.test})


def write_learnt(run: Run, hashes: Hashes) -> None:
    """Keep the content ``hashes`` (N, 16) of the images that are learnt from."""
    content = BytesIO()
    np.save(content, hashes)
    write_aside(run.path / LEARNT, content.getvalue())


def learnt_of(place: Path, hashes: Hashes) -> int:
    """How many images of content ``hashes`` (N, 16) the run in ``place`` learnt from; 0 where an earlier version kept none.

    Raises InputError when what it kept is damaged.
    """
    return int(_learnt(place, hashes).sum())


def learnt_before(places: Iterable[Path], hashes: Hashes) -> int:
    """How many images of content ``hashes`` (N, 16) any of the runs in ``places`` learnt from, or a run that one of
    them started from; a place may be a run, its encoder, or weights of which nothing is known.

    Raises InputError when what a run kept is damaged.
    """
    seen = np.zeros(len(hashes), bool)
    left, known = list(places), set()
    while left:
        place = left.pop()
        run = place if (place / RECIPE).is_file() else place.parent
        if run in known or not (run / RECIPE).is_file():
            continue
        known.add(run)
        seen |= _learnt(run, hashes)
        before = Recipe.load(run / RECIPE).encoder.weights
        left += [Path(before)] if before else []
    return int(seen.sum())


def _learnt(place: Path, hashes: Hashes) -> NDArray[np.bool_]:
    file = place / LEARNT
    if not file.is_file():
        return np.zeros(len(hashes), bool)
    try:
        kept = np.load(file, allow_pickle=False)
        if kept.ndim != 2:
            raise ValueError(f"its shape is {kept.shape}")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{file}: damaged ({first_line(error)}); put back a copy of it, or train anew") from error
    known = {row.tobytes() for row in kept}
    return np.fromiter((row.tobytes() in known for row in hashes), bool, len(hashes))


def read(place: Path) -> KeptSplit | None:
    """The split.json of the run in ``place``, None where the run has none yet. Raises InputError when it is damaged."""
    kept = Run.read(place).read_json(NAME)
    if kept is None:
        return None
    fingerprint, how, asked = kept.get("fingerprint"), kept.get("how"), kept.get("asked", {})
    if not isinstance(fingerprint, str) or not isinstance(how, str):
        raise _damaged(place, 'expected the texts "fingerprint" and "how"')
    if not isinstance(asked, dict):
        raise _damaged(place, 'expected "asked" as a table')
    train, test = (_rows(place, name, kept.get(name)) for name in ("train", "test"))
    twice = np.intersect1d(train, test)
    if len(twice):
        raise _damaged(place, f'row {twice[0]} is in "train" and in "test"')
    return KeptSplit(place, fingerprint, Parts(train, test, how), asked)


def beside(kept: Parts, table: Table, *, apart: bool) -> Parts:
    """``kept`` of a run, its rule put otherwise where ``table``, of the same samples, has another split column, or none.

    ``apart``: the run has rows in neither part because of their domain, whatever the column says of them.
    """
    if "split" not in table:
        return Parts(kept.train, kept.test, kept.how.replace(BY_COLUMN, "the split that the run keeps", 1))
    named = [value and canonical(value) for value in table.column("split")]
    judged = next((part for part in TESTED if part in named), None)
    if judged is None and "at random" in kept.how:
        return kept
    tested = np.flatnonzero([value == judged for value in named]) if judged else kept.test[:0]
    if apart:
        tested = np.intersect1d(tested, np.concatenate([kept.train, kept.test]))
    if np.array_equal(tested, np.sort(kept.test)):
        return kept
    how = "the run's own, held out of its pretraining; the split column of the data now names another"
    return Parts(kept.train, kept.test, how)


def _rows(place: Path, name: str, given: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    whole = isinstance(given, list) and all(type(row) is int and 0 <= row < 2**62 for row in given)
    if not whole or len(set(given)) < len(given):
        raise _damaged(place, f'expected "{name}" as a list of row numbers, each once')
    return np.array(given, np.int64)


def _damaged(place: Path, reason: str) -> InputError:
    return InputError(
        f"{place / NAME}: damaged or edited ({reason}); put back a copy of it, or train anew with another --out"
    )
