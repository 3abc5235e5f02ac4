"""A folder of CT slices into the store, beside the decoding of the same files by pydicom alone.

python -m benchmarks.dicom_reading --json benchmarks/results.json

1,000 slices of 512 x 512 (one head's, each pixel four, shifted in value so that no two are equal) are written as uncompressed
DICOM with a window. The peer is a plain loop in one process: read the file, its pixels, pydicom's modality and VOI functions.
Ours is ``open_images`` into a fresh cache: headers, decoding, windowing to 16 bits, hashes and writing, in as many processes
as there are cores. The store is then whole and in use; the system writes it to the disk behind that (``data.settled``),
which is told apart. That is waited for, and the store of the round before removed, before anything is timed. What the
cores of this machine can do together is told by the peer's loop in as many processes, started before, each with its
part of the files: where two share a unit, that is less than twice one. Wanted: at least 0.8 of the peer's rate times the cores.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import cranium
from benchmarks.harness import Pairing, described, paired, parser, report, seconds
from foretell.data import settled
from foretell.data.store import open_images

SHARE = 0.8
SIDE = 512


def write(folder: Path, count: int) -> list[Path]:
    """``count`` files of one study."""
    import pydicom

    slices, _ = cranium.volume()
    uid, series = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    paths = []
    for number in range(count):
        values = np.kron(slices[number % len(slices)], np.ones((2, 2), np.int16)) + np.int16(number // len(slices))
        made = pydicom.dataset.Dataset()
        made.file_meta = pydicom.dataset.FileMetaDataset()
        made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = pydicom.uid.CTImageStorage, pydicom.uid.generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.InstanceNumber = uid, series, number
        made.PatientID, made.Modality = "one", "CT"
        made.Rows = made.Columns = SIDE
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 1
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
        made.RescaleSlope, made.RescaleIntercept, made.WindowCenter, made.WindowWidth = 1, 0, 40, 400
        made.PixelData = values.tobytes()
        paths.append(folder / f"{number:04d}.dcm")
        made.save_as(paths[-1], enforce_file_format=True)
    return paths


def peer(paths: list[Path]) -> int:
    """Decode every file as pydicom's documentation does."""
    import pydicom
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    total = 0
    for path in paths:
        dataset: Any = pydicom.dcmread(path)
        total += len(apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset))
    return total


def main() -> int:
    options = parser(__doc__ or "", rounds=7)
    options.add_argument("--slices", type=int, default=1000)
    args = options.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place) / "slices", Path(place) / "cache"
        folder.mkdir()
        paths = write(folder, args.slices)

        behind: list[float] = []

        def before() -> None:
            behind.append(seconds(settled.wait))
            shutil.rmtree(cache, ignore_errors=True)

        def ours() -> None:
            assert len(open_images(folder, cache=cache)) == len(paths)

        ours(), peer(paths[:50])
        pairing: Pairing = paired(ours, lambda: peer(paths), args.rounds, before=before)
        behind.append(seconds(settled.wait))
        with multiprocessing.get_context("spawn").Pool(cores) as pool:
            parts = [paths[part::cores] for part in range(cores)]
            pool.map(peer, [part[:50] for part in parts])
            together = statistics.median(seconds(lambda: pool.map(peer, parts)) for _ in range(args.rounds))
    rate = args.slices / statistics.median(pairing.peer)
    shares = [ratio / cores for ratio in pairing.ratios]
    figures = {
        "slices, pixels, cores": f"{args.slices}, {SIDE}, {cores}",
        **described(pairing),
        "ours, slices a second": f"{args.slices / statistics.median(pairing.ours):.0f}",
        "then until the disk has it, seconds": f"{max(behind):.2f}",
        "pydicom in one process, slices a second": f"{rate:.0f}",
        f"pydicom in {cores} processes at work, slices a second": f"{args.slices / together:.0f}",
        "that, of its rate in one times the cores": f"{args.slices / together / rate / cores:.2f}",
        "ours, of pydicom's rate in as many processes": f"{together / statistics.median(pairing.ours):.2f}",
        "share of pydicom's rate times the cores": f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})",
    }
    report(
        args, "dicom_reading", figures,
        f"at least {SHARE} of pydicom's decode rate times the cores", statistics.median(shares) >= SHARE,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
