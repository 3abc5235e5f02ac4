"""The base of every part of a recipe."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

Several = TypeVar("Several", bound=Collection[str])


def each_once(values: Several) -> Several:
    """``values`` as they are. Raises ValueError for one that is there twice."""
    listed = list(values)
    twice = next((value for at, value in enumerate(listed) if value in listed[:at]), None)
    if twice is not None:
        raise ValueError(f"'{twice}' is named twice; expected each once")
    return values


Names = Annotated[list[str], AfterValidator(each_once)]


class Settings(BaseModel):
    """A part of the recipe. Unknown keys and numbers that are not finite are refused; every field documents its unit and
    range."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)
