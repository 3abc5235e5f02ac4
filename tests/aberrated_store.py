"""Pictures as a lens that magnifies one colour against the others would show them."""

from __future__ import annotations

import numpy as np

from foretell.data.store import ImageStore
from foretell.views.aberration import aberrate


def aberrated(store: ImageStore, k: float) -> ImageStore:
    """A store in memory of the images of ``store`` with green magnified by 1 + ``k`` (``aberrate``)."""
    seen = aberrate(store.read(np.arange(len(store))), k)
    pixels = seen.pixels.permute(0, 2, 3, 1).numpy()
    arrays = [image[:high, :wide] for image, (high, wide) in zip(pixels, seen.sizes.tolist(), strict=True)]
    return ImageStore.of(arrays, store.table, names=list(store.names), source=store.source, kind=store.kind)
