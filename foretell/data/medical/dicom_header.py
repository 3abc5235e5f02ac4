"""What DICOM headers say of the images of a set: whose they are, in which order, seen how. No name is ever read.

Identifiers are hashed with a salt, or kept where that is asked for. The salt is the hash of all the set's instance numbers
unless one is given: the same data gives the same pseudonyms on any machine, and who lacks the data can make none of them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foretell.data.medical import dicom
from foretell.data.medical.dicom_form import object_of, tags_of
from foretell.data.medical.dicom_values import narrow
from foretell.data.medical.nifti import PLANES
from foretell.data.pixels import Unreadable
from foretell.data.table import is_whole
from foretell.errors import ForetellError

FEW = 2000  # files: below this a process's start takes longer than it saves
PART = 4000  # files that a process is given at a time, at most
HERE = 256  # files that are read here between two reports
PLAIN_KINDS = ("CS", "LO", "SH", "UI")
PLAIN = re.compile(rb"[ -\[\]-}]*\0?")  # the letters that every character set shares, and no mark between two values
READ = (
    *("SOPClassUID", "SOPInstanceUID", "PatientID", "IssuerOfPatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("InstanceNumber", "Modality", "Manufacturer", "ViewPosition", "ImageLaterality", "Laterality"),
    *("BurnedInAnnotation", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("ImageOrientationPatient", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"),
    *("WindowWidth", "VOILUTFunction"),
)
BETWEEN = ("SpacingBetweenSlices", "SliceThickness")  # the first that is a number above or below 0
WIDE = re.compile(rb" *0*[1-9]")  # a width as it lies in the file: at least 1


@dataclass
class Header:
    """One file: ``frames`` 0 where it holds no image (``what`` says what it is, else ""), and its plain facts.

    ``patient``, ``study``, ``series`` and ``instance`` are the file's own identifiers: hash them before they are kept.
    ``issuer`` says whose number ``patient`` is. ``narrow``: its window has a width that the standard does not allow.
    """

    frames: int
    what: str
    patient: str | None = None
    issuer: str | None = None
    study: str | None = None
    series: str | None = None
    instance: str | None = None
    order: str | None = None
    facts: dict[str, str | None] | None = None
    narrow: bool = False

    @property
    def person(self) -> str | None:
        """The patient's identifier with its issuer, where there is one: two hospitals may give one number to two people."""
        return self.patient if self.patient is None or self.issuer is None else f"{self.patient} of {self.issuer}"


def read(path: Path) -> Header:
    """The header of a file. Raises Unreadable when there is none that can be read."""
    dataset = dicom.opened(path, pixels=False, names=READ)
    with dicom.quiet():
        if not dataset.get("Rows", None) or not dataset.get("Columns", None):
            return Header(0, object_of(dataset))
        narrow_window = _narrow(dataset)
        frames = dicom.checked(dataset, path).frames
        number = _text(dataset, "InstanceNumber")
        return Header(
            frames,
            "",
            _text(dataset, "PatientID"),
            _text(dataset, "IssuerOfPatientID"),
            _text(dataset, "StudyInstanceUID"),
            _text(dataset, "SeriesInstanceUID"),
            _text(dataset, "SOPInstanceUID"),
            number if number is not None and is_whole(number) else None,
            {
                "modality": _text(dataset, "Modality"),
                "vendor": _text(dataset, "Manufacturer"),
                "view": _view(dataset),
                "plane": _plane(dataset),
                "spacing": _spacing(dataset),
                "burned": (_text(dataset, "BurnedInAnnotation") or "").lower() or None,
            },
            narrow_window,
        )


def _narrow(dataset: Any) -> bool:
    """``narrow``; the width is taken out, since the images of a series differ in it and shall share a form all the same."""
    tag = tags_of(("WindowWidth",))[0]
    element = dataset.get_item(tag)
    if element is None:
        return False
    try:
        found = not (isinstance(element.value, bytes) and WIDE.match(element.value)) and narrow(dataset)
    except (TypeError, ValueError):  # no number: reported when its pixels are read, where they need it
        found = False
    del dataset[tag]
    return found


def _text(dataset: Any, name: str) -> str | None:
    """The value as a text without spaces around it, as it lies in the file where it is of plain letters (in less time) or
    cannot be what its kind says: no identifier is lost for that.
    """
    element = dataset.get_item(tags_of((name,))[0])
    if element is None:
        return None
    if element.VR in PLAIN_KINDS and isinstance(element.value, bytes) and PLAIN.fullmatch(element.value):
        return element.value.decode("ascii").rstrip("\0").strip() or None
    try:
        value = dataset.get(name, None)
    except Exception:  # as many kinds as there are kinds of values
        value = element.value.decode("latin-1").rstrip("\0") if isinstance(element.value, bytes) else element.value
    return (str(value).strip() or None) if value is not None else None


def _view(dataset: Any) -> str | None:
    parts = [_text(dataset, "ViewPosition"), _text(dataset, "ImageLaterality") or _text(dataset, "Laterality")]
    return " ".join(part for part in parts if part) or None


def _numbers(dataset: Any, name: str, count: int) -> list[float] | None:
    """The ``count`` finite numbers of an element; None where it has others, or anything else."""
    try:
        value = dataset.get(name, None)
        several = [] if value in (None, "") else [value] if isinstance(value, int | float) else value
        values = [float(one) for one in several]
    except Exception:  # a text, a list where one number belongs, too many digits
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _plane(dataset: Any) -> str | None:
    """axial, coronal or sagittal where an image lies within 20 degrees of that plane, else oblique; None unsaid."""
    directions = _numbers(dataset, "ImageOrientationPatient", 6)
    if directions is None:
        return None
    (a, b, c), (x, y, z) = directions[:3], directions[3:]
    normal = [abs(b * z - c * y), abs(c * x - a * z), abs(a * y - b * x)]
    largest = max(normal)
    return PLANES[normal.index(largest)] if largest >= math.cos(math.radians(20)) else "oblique"


def _spacing(dataset: Any) -> str | None:
    """Millimetres down, across and between slices, as "0.7 x 0.7 x 5"."""
    flat = _numbers(dataset, "PixelSpacing", 2) or _numbers(dataset, "ImagerPixelSpacing", 2)
    if flat is None:
        return None
    between = next((found for name in BETWEEN if any(found := _numbers(dataset, name, 1) or [])), [])
    return " x ".join(f"{value:g}" for value in [*flat, *between])


class Pseudonyms:
    """The names by which identifiers are known in tables: hashed with ``salt``, or as they are where it is None."""

    def __init__(self, salt: str | None) -> None:
        self.salt = salt

    def __call__(self, kind: str, value: str | None) -> str | None:
        """The name of an identifier of a ``kind`` (patient, study, series); None stays None."""
        if value is None or self.salt is None:
            return value
        key = hashlib.blake2b(self.salt.encode(), digest_size=32).digest()
        return f"{kind}-{hashlib.blake2b(f'{kind} {value}'.encode(), key=key, digest_size=6).hexdigest()}"


def salt_of(instances: Iterable[str]) -> str:
    """A salt that only the data itself tells."""
    return hashlib.blake2b("\0".join(sorted(instances)).encode(), digest_size=16).hexdigest()


def read_or_none(path: Path) -> Header | None:
    """The header; None for a file that cannot be read, which is reported when its pixels are."""
    try:
        return read(path)
    except (Unreadable, OSError, TypeError, ValueError):  # the last two: of sizes, without which no pixels can be read
        return None


def read_all(
    paths: Sequence[Path], workers: int, progress: Callable[[int, int], None] | None = None
) -> list[Header | None]:
    """``read_or_none`` of every path, in as many processes; what they say stays in memory."""
    found: list[Header | None] = []
    many = len(paths) > FEW and workers > 1
    size = min(PART, -(-len(paths) // workers)) if many else HERE
    parts = [paths[start : start + size] for start in range(0, len(paths), size)]
    with ThreadPoolExecutor(workers if many else 1) as crew:
        for part in crew.map(_elsewhere if many else _here, parts):
            found += part
            if progress:
                progress(len(found), len(paths))
    return found


def _here(paths: Sequence[Path]) -> list[Header | None]:
    return [read_or_none(path) for path in paths]


def _elsewhere(paths: Sequence[Path]) -> list[Header | None]:
    """A process of its own: headers are read by Python code, of which one process runs one line at a time."""
    package = str(Path(__file__).resolve().parents[3])
    places = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "foretell.data.medical.dicom_header"],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode:
        raise ForetellError(f"a process that read DICOM headers ended with status {done.returncode}; run again")
    return [None if facts is None else Header(**facts) for facts in json.loads(done.stdout)]


def main() -> None:
    """Paths as JSON in on stdin, their headers as JSON out on stdout."""
    headers = _here([Path(name) for name in json.load(sys.stdin)])
    json.dump([None if header is None else asdict(header) for header in headers], sys.stdout)


if __name__ == "__main__":
    main()
