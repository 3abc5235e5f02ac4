"""Which files are DICOM or NIfTI: by their suffix, or by their first bytes where it says nothing (``IM000012``, ``1.2.840.5``)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

DICOM = frozenset((".dcm", ".dicom", ".ima"))
NIFTI = (".nii", ".nii.gz")

Kind = Literal["dicom", "nifti"]


def kind_of(path: Path) -> Kind | None:
    """What a file is; None for anything else, and for DICOMDIR, which lists a disk's files and holds no image."""
    name = path.name.lower()
    if name.endswith(NIFTI):
        return "nifti"
    suffix = path.suffix.lower()
    if suffix in DICOM:
        return "dicom"
    silent = suffix == "" or suffix[1:].isdecimal()
    return "dicom" if silent and name != "dicomdir" and _begins_as_dicom(path) else None


def _begins_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False
