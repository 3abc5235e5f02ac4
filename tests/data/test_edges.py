"""What of oblong images evaluation does not see."""

from __future__ import annotations

import numpy as np

from foretell.data.edges import outside


def test_what_lies_outside_the_central_square_is_told_where_it_is_much() -> None:
    sizes = np.array([[40, 60], [60, 40], [50, 50], [20, 40]])
    assert outside(sizes) == "3 of 4 images are not square, with 39% of their pixels outside the central square"
    assert outside(np.array([[100, 101], [100, 100]])) is None
    assert outside(sizes[:0]) is None
