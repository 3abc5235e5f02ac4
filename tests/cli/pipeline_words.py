"""A pipeline of five steps and studies for it, which the tests of pipelines share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_files import saved, small

PLAN = """
[shared]
"encoder.name" = "resnet_tiny"
"training.batch" = 8
"training.warmup" = 0.0
"training.precision" = "float32"
"training.layout" = "contiguous"
"transfer.steps" = 2
"transfer.curve_points" = 0

[[step]]
name = "start"
kind = "start"

[[step]]
name = "domain"
kind = "pretrain"
after = "start"
recipe = "xray"
[step.set]
"training.steps" = 3

[[step]]
name = "cases"
title = "SimCLR + MICLe"
kind = "pretrain"
after = "domain"
recipe = "xray"
[step.set]
"objective.name" = "micle"
"training.steps" = 2

[[step]]
name = "comparison"
kind = "compare"
of = ["start", "domain", "cases"]
per_class = "40%,all"
seeds = 2
trials = 1

[[step]]
name = "classifier"
kind = "finetune"
after = "cases"
trials = 1
"""


def made_studies(folder: Path) -> Path:
    """30 patients of two images each, half of them with a bright square, in ``folder``; beside it labels.csv by patient,
    the last six of hospital B.
    """
    rng = np.random.default_rng(0)
    for patient in range(30):
        for image in range(2):
            pixels = rng.integers(0, 1000, (24, 24), dtype=np.uint16)
            if patient % 2:
                pixels[6:14, 6:14] += 2000
            made = small(
                PatientID=f"ID-{patient}", StudyInstanceUID=f"1.2.{patient}", SeriesInstanceUID=f"1.2.{patient}.1",
                SOPInstanceUID=f"1.2.{patient}.1.{image}", Rows=24, Columns=24, PixelData=pixels.tobytes(),
            )  # fmt: skip
            made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
            saved(folder, made, f"{patient:02d}-{image}.dcm")
    rows = [
        f"ID-{patient},{'square' if patient % 2 else 'plain'},{'B' if patient >= 24 else 'A'}" for patient in range(30)
    ]
    (folder.parent / "labels.csv").write_text("\n".join(["PatientID,label,domain", *rows]) + "\n")
    return folder


def again(done: Path, studies: Path) -> list[str]:
    """The words that do the pipeline of ``done``, or do it again."""
    words = ["pipeline", str(done / "plan.toml"), str(studies), "--labels", str(studies.parent / "labels.csv")]
    return [*words, "--shift", "domain=B", "--out", str(done / "run")]
