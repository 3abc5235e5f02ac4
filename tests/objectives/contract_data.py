"""The images the contract tests train on: real ones, with the columns that any task may need to know what belongs together."""

from __future__ import annotations

import numpy as np

from foretell.data.store import ImageStore, open_images

RUN = 48  # images of a group: no film, but in a fixed order, which is all that the contract asks for


def animals(count: int) -> ImageStore:
    """The first images of @animals, in groups of 48 with an order."""
    store = open_images("@animals").subset(np.arange(count))
    table = store.table.with_column("group", [f"run {row // RUN}" for row in range(count)])
    return store.with_table(table.with_column("order", [str(row % RUN) for row in range(count)]))
