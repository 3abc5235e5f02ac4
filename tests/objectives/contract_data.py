"""The images the contract tests train on: real ones, with the columns that any task may need to know what belongs together."""

from __future__ import annotations

import numpy as np

from foretell.data.store import ImageStore, open_images
from foretell.objectives.base import Objective

RUN = 48  # images of a group: no film, but in a fixed order, which is all that the contract asks for


def animals(count: int) -> ImageStore:
    """The first images of @animals, in groups of 48 with an order."""
    store = open_images("@animals").subset(np.arange(count))
    table = store.table.with_column("group", [f"run {row // RUN}" for row in range(count)])
    return store.with_table(table.with_column("order", [str(row % RUN) for row in range(count)]))


LIGHTS = (1.0, 0.7, 0.45)  # of a case's images


def cases(store: ImageStore, images: int = 3) -> ImageStore:
    """As many images, in cases of up to three of one animal: as it is, and mirrored in dimmer light."""
    pixels = store.read(np.arange(len(store)) // images).pixels.numpy().transpose(0, 2, 3, 1)
    place = np.arange(len(store)) % images
    pixels = np.where((place > 0)[:, None, None, None], pixels[:, :, ::-1], pixels)
    dimmed = np.rint(pixels * np.array(LIGHTS)[place][:, None, None, None]).astype(np.uint8)
    table = store.table.with_column("case", [str(row // images) for row in range(len(store))])
    return ImageStore.of(dimmed).with_table(table)


def fitting(kind: type[Objective], store: ImageStore, images: int = 3) -> ImageStore:
    """``store``, or ``cases`` of it where an epoch of ``kind`` draws from cases."""
    return cases(store, images) if kind.samples(kind.Config(), store)[1] == "cases" else store
