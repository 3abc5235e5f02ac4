"""The settings of the search within fine-tuning ([transfer.search] in a recipe)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from foretell.errors import InputError
from foretell.settings import Settings
from foretell.train.budget import seconds_of


class SearchConfig(Settings):
    """How the settings of a fine-tuning are searched, the same for every arm."""

    method: Literal["grid", "published", "random", "tpe"] = Field(
        "grid",
        description="grid: learning rates log-spaced over transfer.rates, from 6 trials on at two lengths of schedule; "
        "published: the 28 settings of Azizi et al. (2021), whatever --trials; random, tpe: rates, lengths and weight decays "
        "drawn, with tpe by what came of earlier trials (extra: search)",
    )
    storage: str | None = Field(
        None,
        description="SQLite file or database URL in which several processes share the trials (extra: search); default: "
        "search.db in the run for random, tpe and with pruning, else one process keeps its own",
    )
    pruning: Literal["none", "median"] = Field(
        "none",
        description="median: give a trial up where all its validation so far is below the median of the others at that "
        "point (extra: search)",
    )
    budget: str | None = Field(
        None,
        description="of random and tpe: begin no more trials once those of a search have taken so long together, as 90s, 5m "
        "or 2h; the same for every arm; default: as many as --trials",
    )

    @property
    def in_study(self) -> bool:
        """Whether trials are kept in a study that several processes open."""
        return self.method in ("random", "tpe") or self.pruning != "none" or self.storage is not None

    @property
    def seconds(self) -> float | None:
        """``budget`` in seconds."""
        return None if self.budget is None else seconds_of(self.budget)

    @model_validator(mode="after")
    def _a_budget(self) -> SearchConfig:
        if self.budget is None:
            return self
        try:
            seconds_of(self.budget)
        except InputError as error:
            raise ValueError(f"budget: {error}") from None
        if self.method not in ("random", "tpe"):
            raise ValueError(f"budget: the grid of method = '{self.method}' is tried as a whole; choose random or tpe")
        return self
