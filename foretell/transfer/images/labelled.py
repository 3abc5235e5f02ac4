"""Labelled images: rows of a store with class codes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from foretell.data.images import Images
from foretell.errors import InputError
from foretell.views.config import ViewConfig

if TYPE_CHECKING:
    from foretell.data.store import ImageStore

Index = NDArray[np.int64]


class TooAlike(InputError):
    """Labels that all say the same: what was ``found``, and what is needed."""

    def __init__(self, found: str, needed: str) -> None:
        super().__init__(f"{found}; {needed}")
        self.found = found


class Reader(Protocol):
    """Whatever gives stored images by row; ``fingerprint`` names what is stored."""

    fingerprint: str

    def read(self, index: Any, /) -> Images: ...


@dataclass
class Labelled:
    """Samples with a class: ``index`` (N,) rows of the store, ``codes`` (N,) int64 in [0, len(classes)), ``groups``
    (N,) or None; ``cases`` (N,) numbers the case of each sample where a case is what has a label.

    With several findings in place of a class ``targets`` (N, L) float32 are 1, 0 or NaN (not known), ``classes`` their names
    and ``codes`` what balances fractions and folds (``findings.strata``).
    """

    reader: Reader
    index: Index
    codes: Index
    classes: list[str]
    groups: Index | None = None
    cases: Index | None = None
    targets: NDArray[np.float32] | None = None
    unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.index)

    @property
    def truth(self) -> NDArray[Any]:
        """What is foretold: codes (N,) or targets (N, L)."""
        return self.codes if self.targets is None else self.targets

    def content(self) -> str:
        """A hash of which samples these are, what is foretold of them, and which belong together."""
        digest = hashlib.blake2b(digest_size=16)
        for values in (self.index, self.truth, self.groups, self.cases):
            digest.update(b"none" if values is None else np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def images(self, positions: Index) -> Images:
        return self.reader.read(self.index[positions])

    def take(self, positions: Index) -> Labelled:
        """The samples at ``positions``."""
        groups = None if self.groups is None else self.groups[positions]
        cases = None if self.cases is None else self.cases[positions]
        targets = None if self.targets is None else self.targets[positions]
        return replace(
            self,
            index=self.index[positions],
            codes=self.codes[positions],
            groups=groups,
            cases=cases,
            targets=targets,
        )


def group_codes(store: ImageStore, rows: Index) -> Index | None:
    """(N,) int64 group numbers of ``rows``: a case stands for the group of rows that have none, and a row with neither has
    its own. A group has the same number in every part of the store. None when the table has no groups and no cases.
    """
    identities = store.table.identities()
    if identities is None:
        return None
    numbers: dict[Any, int] = {}
    whole = [numbers.setdefault(own or row, len(numbers)) for row, own in enumerate(identities)]
    return np.asarray(whole, dtype=np.int64)[rows]


def labelled(store: ImageStore, index: Sequence[int] | Index | None, column: str = "label") -> Labelled:
    """The rows of ``index`` (default: all) that have a label in ``column``; the others are counted in ``unlabelled``.

    Raises InputError when there are no labels at all, or when all labels name the same class.
    """
    rows = np.arange(len(store), dtype=np.int64) if index is None else np.asarray(index, dtype=np.int64)
    if column not in store.table.columns:
        raise InputError(
            f"{store.source}: no '{column}' column, so there is nothing to learn a classifier from; "
            "give class folders, a manifest with labels, or --labels FILE"
        )
    codes, classes = store.table.codes(column)
    codes = np.asarray(codes, dtype=np.int64)
    known = rows[codes[rows] >= 0]
    if len(known) == 0:
        raise InputError(f"{store.source}: none of {len(rows)} samples has a {column}; label some of them")
    found = np.unique(codes[known])
    if len(found) < 2:
        raise TooAlike(
            f"{store.source}: one class only ('{classes[int(found[0])]}', {len(known)} samples)",
            "a classifier needs labels of at least two",
        )
    return Labelled(
        store, known, codes[known], list(classes), group_codes(store, known), unlabelled=len(rows) - len(known)
    )


def views_key(views: ViewConfig) -> dict[str, Any]:
    """What a key of kept answers says of ``views``: all of them, and what images are judged by where that is not bilinear.

    Answers without the second part are of images that were judged bilinearly whatever ``views`` said.
    """
    own = {} if views.interpolation == "bilinear" else {"plain": views.interpolation}
    return {"views": views.model_dump(mode="json"), **own}


def resolved(views: ViewConfig, store: ImageStore, side: int) -> ViewConfig:
    """``views`` with side, mean and deviation settled: ``side`` is the encoder's, the rest is the store's."""
    update: dict[str, Any] = {}
    if views.side is None:
        update["side"] = side
    if views.mean is None or views.std is None:
        mean, std = store.statistics()
        update.update(mean=tuple(mean), std=tuple(std))
    return views.model_copy(update=update)
