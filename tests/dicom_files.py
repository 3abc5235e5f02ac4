"""DICOM files made for tests: a few grey pixels under a header with a name in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

NAME = "Nachname^Vorname"


def small(**tags: Any) -> Any:
    """A made-up grey data set of 8 x 8: 16 bits of which 12 are used, values 0 to 63 times 64, with ``tags`` set."""
    import pydicom

    made = pydicom.dataset.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = pydicom.uid.CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = pydicom.uid.generate_uid()
    made.PatientName, made.PatientID = NAME, "4711"
    made.Rows = made.Columns = 8
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.PixelData = (np.arange(64, dtype=np.uint16) * 64).tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def saved(folder: Path, dataset: Any, name: str = "x.dcm") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(folder / name, enforce_file_format=True)
    return folder / name


def study(folder: Path, patients: int = 3, images: int = 2, side: int = 16) -> Path:
    """A folder of ``patients`` with ``images`` of noise each, in one study and series a patient."""
    rng = np.random.default_rng(0)
    for patient in range(patients):
        for image in range(images):
            pixels = rng.integers(0, 4096, (side, side), dtype=np.uint16)
            made = small(
                PatientID=f"ID-{patient}", StudyInstanceUID=f"1.2.{patient}", SeriesInstanceUID=f"1.2.{patient}.1",
                SOPInstanceUID=f"1.2.{patient}.1.{image}", InstanceNumber=image + 1, Modality="CT", Manufacturer="Maker",
                Rows=side, Columns=side, PixelSpacing=[0.5, 0.5], SliceThickness=3,
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelData=pixels.tobytes(),
            )  # fmt: skip
            made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
            saved(folder, made, f"{patient}/IM{image:04d}")
    return folder
