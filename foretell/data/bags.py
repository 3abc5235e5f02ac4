"""Cases of several images: the columns that say which images belong together, and pairs of distinct ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.data.images import Images
from foretell.data.table import Table

Index = NDArray[np.int64]


class Bags:
    """The rows of a table that agree in each of ``columns``; a row that has none of them is a bag of its own.

    ``sizes`` (B,) int64: images a bag, bags in the order in which they first appear. Raises ValueError when the table has
    none of the columns.
    """

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        known = [name for name in columns if name in table]
        if not known:
            raise ValueError(f"no column of {', '.join(columns)}")
        parts = [table.column(name) for name in known]
        numbers: dict[object, int] = {}
        of_row = np.empty(len(table), np.int64)
        for row, key in enumerate(zip(*parts, strict=True)):
            own = key if any(value is not None for value in key) else row
            of_row[row] = numbers.setdefault(own, len(numbers))
        self.of_row = of_row
        self.sizes: Index = np.bincount(of_row, minlength=len(numbers)).astype(np.int64)
        self._rows: Index = np.argsort(of_row, kind="stable").astype(np.int64)
        self._starts: Index = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def single(self) -> float:
        """The share of bags of one image, in [0, 1]."""
        return float((self.sizes == 1).mean())

    def members(self, bag: int) -> Index:
        """The rows of one bag, ascending."""
        first: np.int64 = self._starts[bag]
        return self._rows[first : first + self.sizes[bag]]

    def pairs(self, bags: Index, chance: NDArray[np.float64]) -> Index:
        """(n, 2) rows of the table: two distinct ones of each of ``bags`` (n,), or the one row of a bag of one, twice.

        ``chance`` (n, 2) in [0, 1) decides which: for uniform numbers every ordered pair is as likely as any other.
        """
        sizes = self.sizes[bags]
        one = np.minimum((chance[:, 0] * sizes).astype(np.int64), sizes - 1)
        other = np.minimum((chance[:, 1] * (sizes - 1)).astype(np.int64), np.maximum(sizes - 2, 0))
        other += (other >= one) & (sizes > 1)
        found: Index = self._rows[self._starts[bags, None] + np.stack([one, other], axis=1)]
        return found


@dataclass
class Pairs:
    """Two images of each of B bags: row i of ``first`` and row i of ``second`` belong together."""

    first: Images
    second: Images

    def __len__(self) -> int:
        return len(self.first)

    @property
    def images(self) -> tuple[Images, Images]:
        return self.first, self.second

    @property
    def fallback(self) -> Tensor:
        """(B,) bool: whether both are one image."""
        return torch.eq(self.first.index, self.second.index)

    def to(self, device: torch.device) -> Pairs:
        return Pairs(self.first.to(device), self.second.to(device))

    def rows(self, start: int, stop: int) -> Pairs:
        return Pairs(self.first.rows(start, stop), self.second.rows(start, stop))
