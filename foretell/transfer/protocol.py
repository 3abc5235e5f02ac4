"""What a comparison does alike for every arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foretell.errors import InputError
from foretell.transfer.fractions import Amount


@dataclass(frozen=True)
class Protocol:
    """``per_class``: amounts of labels; ``seeds``: each draws labels and trains anew; ``arms``: what is compared (None:
    the usual ones); ``trials``: settings searched for each arm and amount; ``jobs``: processes that train side by side
    (``ahead.work_ahead``; None: as many as pay).

    Raises InputError where there is no seed or no amount of labels.
    """

    per_class: Sequence[Amount] = (1, 5, 10, 50)
    seeds: Sequence[int] = (0, 1, 2)
    arms: Sequence[str] | None = None
    trials: int = 8
    jobs: int | None = 1

    def __post_init__(self) -> None:
        if not self.seeds or not self.per_class:
            raise InputError("a comparison needs at least one seed and one number of labels a class")
