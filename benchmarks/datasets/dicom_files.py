"""Every kind of DICOM file: what a DICOM library tests itself with.

INSIDE: two packages of test files, about 250: CT, MR, CR, ultrasound and secondary captures; grey, colour and palette; 1 to 32
bits, plain and in a dozen compressions, one frame and many; besides plans, reports, directories and files damaged on purpose.

python -m benchmarks.datasets.dicom_files  prints how many are read, how many hold no pixels, and which are refused, and why.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from foretell.claims.fetch import Package, unpack
from foretell.data.medical import dicom
from foretell.data.pixels import Unreadable

NAME = "pydicom"
VERSION = "3.0.2"
SHA256 = "abf971a5440f84dbaf42c4b6758e30e62480902584f8b270b9a5d146e278a07b"
LICENCE = "MIT"
PACKAGE = Package("pypi", NAME, VERSION, SHA256, LICENCE)
MORE = Package(
    "pypi", "pydicom-data", "1.0.0", "622ac97265f1d91f76b5120b5bd6eb0f57737c392ef863b72c71779c91e33637", LICENCE
)
NOT_DICOM = (".py", ".txt", ".json", ".gz", ".icc", ".dump", ".md", ".pyc")


def _rename(name: str) -> str | None:
    for start in ("pydicom/data/test_files/", "data_store/data/"):
        if name.startswith(start) and not name.endswith(NOT_DICOM) and not name.endswith("/README"):
            return name.removeprefix(start)
    return None


def folders() -> list[Path]:
    """The folders of both packages' files."""
    return [unpack(PACKAGE, _rename), unpack(MORE, _rename)]


def files() -> list[Path]:
    return sorted(path for folder in folders() for path in folder.rglob("*") if path.is_file())


def counts() -> tuple[Counter[str], list[tuple[str, str]]]:
    """(how many are read, hold no pixels, lack a plugin, are refused; name and reason of those refused)."""
    found: Counter[str] = Counter()
    refused = []
    for path in files():
        try:
            frames = sum(1 for _ in dicom.frames(path))
            found["read"] += 1
            found["frames"] += frames
        except Unreadable as reason:
            text = str(reason)
            kind = "no pixels" if "without pixels" in text or "PDF" in text else "refused"
            kind = "lacks a plugin" if "needs a plugin" in text else kind
            found[kind] += 1
            if kind != "no pixels":
                refused.append((path.name, text))
    return found, refused


def main() -> int:
    found, refused = counts()
    for kind in ("read", "frames", "no pixels", "lacks a plugin", "refused"):
        print(f"{kind:<16} {found[kind]}")
    for name, reason in refused:
        print(f"  {name} {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
