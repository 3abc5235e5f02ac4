"""The base of every part of a recipe."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A part of the recipe. Unknown keys and numbers that are not finite are refused; every field documents its unit and
    range."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)
