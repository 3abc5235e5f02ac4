"""The settings of medical sources."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from foretell.settings import Settings


class MedicalConfig(Settings):
    """How DICOM and NIfTI become images, and whose they are."""

    window: str = Field(
        "file",
        description="values between black and white: file (the header's window), range, percentile, two percentiles as "
        "1-99, or CENTRE/WIDTH as 40/400",
    )
    planes: tuple[Literal["axial", "coronal", "sagittal"], ...] = Field(
        ("axial",), min_length=1, description="in which a NIfTI volume is cut into slices"
    )
    every: int = Field(1, ge=1, description="every n-th slice of a volume and frame of a file is an image")
    identifiers: Literal["hashed", "kept"] = Field(
        "hashed",
        description="of patient, study and series, in headers and tables; a patient's name is not read from a header",
    )
    salt: str = Field(
        "", description="of the hash; default: made of the data, so that no other data has the same pseudonyms"
    )
