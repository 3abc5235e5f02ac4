"""The settings of medical sources.

A salt is no part of them beyond the process that it was given to: they hold a hash of it, and so does all that is made of
them, as recipes, reports and keys. Who has these cannot undo pseudonyms by trying identifiers, of which there are few.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from foretell.errors import InputError
from foretell.settings import Settings, each_once

SALT = "FORETELL_SALT"  # the environment variable that holds the salt where nothing else tells it
KEPT = re.compile("salt-[0-9a-f]{32}")

_given: dict[str, str] = {}  # the salts that this process was given, by what is kept of them


@cache
def kept_of(salt: str) -> str:
    """What settings keep of a salt: a hash that takes long, so that few salts can be tried. "" and what is kept stay."""
    if not salt or KEPT.fullmatch(salt):
        return salt
    return f"salt-{hashlib.scrypt(salt.encode(), salt=b'foretell', n=1 << 14, r=8, p=1, dklen=16).hex()}"


def salt_of_kept(kept: str) -> str:
    """The salt of which settings hold ``kept``. Raises InputError where neither this process nor ``FORETELL_SALT`` knows it."""
    known = os.environ.get(SALT, "")
    if known and not KEPT.fullmatch(known) and kept_of(known) == kept:
        return known
    if kept not in _given:
        other = f"{SALT} holds another one; " if known else ""
        raise InputError(
            f"data.medical.salt: identifiers are to be hashed anew, and a run keeps no salt but a hash of it; {other}expected the "
            f"run's own: --set data.medical.salt=TEXT, or {SALT}=TEXT before the command"
        )
    return _given[kept]


class MedicalConfig(Settings):
    """How DICOM and NIfTI become images, and whose they are."""

    window: str = Field(
        "file",
        description="values between black and white: file (the header's window), range, percentile, two percentiles as "
        "1-99, or CENTRE/WIDTH as 40/400",
    )
    planes: Annotated[tuple[Literal["axial", "coronal", "sagittal"], ...], AfterValidator(each_once)] = Field(
        ("axial",), min_length=1, description="in which a NIfTI volume is cut into slices"
    )
    every: int = Field(1, ge=1, description="every n-th slice of a volume and frame of a file is an image")
    identifiers: Literal["hashed", "kept"] = Field(
        "hashed",
        description="of patient, study and series, in headers and tables; a patient's name is not read from a header",
    )
    salt: str = Field(
        "",
        description="of the hash, any text; a run keeps only a hash of it; default: made of the data, so that no other data has "
        "the same pseudonyms",
    )

    @field_validator("salt")
    @classmethod
    def _kept_salt(cls, salt: str) -> str:
        kept = kept_of(salt)
        if kept != salt:
            _given[kept] = salt
        return kept
