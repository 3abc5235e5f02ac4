"""Folders of labelled rows and of unlabelled text, written once into the user's cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from foretell.claims.fetch import Package, folder
from foretell.run import write_aside

Row = Mapping[str, Any]


def made_once(package: Package, name: str, files: Mapping[str, Callable[[], Iterable[Row | str]]]) -> Path:
    """The folder ``name`` of ``package`` with ``files``: rows become lines of JSON, texts lines.

    ``name`` ends in a number that changes with what is written. A folder whose files are all there is not made again.
    """
    place = folder() / f"{package.stem}.{name}"
    for file, make in files.items():
        if not (place / file).is_file():
            place.mkdir(parents=True, exist_ok=True)
            lines = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in make())
            write_aside(place / file, "".join(f"{line}\n" for line in lines))
    return place


def one_line(text: str) -> str:
    """``text`` with single spaces."""
    return " ".join(text.split())
