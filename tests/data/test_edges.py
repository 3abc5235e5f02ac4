"""What of oblong images evaluation does not see."""

from __future__ import annotations

import numpy as np

from foretell.data.audit import audit, render
from foretell.data.edges import outside
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.transfer.config import TransferConfig
from foretell.transfer.images.compare import _cut_off
from foretell.transfer.images.labelled import labelled


def test_what_lies_outside_the_central_square_is_told_where_it_is_much() -> None:
    sizes = np.array([[40, 60], [60, 40], [50, 50], [20, 40]])
    assert outside(sizes) == "3 of 4 images are not square, with 39% of their pixels outside the central square"
    assert outside(np.array([[100, 101], [100, 100]])) is None
    assert outside(sizes[:0]) is None


def oblong() -> ImageStore:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20, 40, 1), dtype=np.uint8) for _ in range(4)]
    return ImageStore.of(images, Table({"label": ["a", "b", "a", "b"]}))


def test_a_check_and_a_comparison_say_that_oblong_images_are_judged_in_part() -> None:
    store = oblong()
    told = "4 of 4 images are not square, with 50% of their pixels outside the central square, which"
    assert f"  {told} alone is judged unless transfer.crop is squash" in render(audit(store)).splitlines()
    held = labelled(store, np.arange(4))
    (note,) = _cut_off(held, store, TransferConfig())
    assert note.startswith(f"of the test part {told} is all that is judged")
    assert _cut_off(held, store, TransferConfig(crop="squash")) == []
