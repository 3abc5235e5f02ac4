"""What the tests of the command line share."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL = (
    "--encoder", "resnet_tiny", "--batch", "32", "--budget", "3 steps",
    "--set", "training.precision=float32", "--set", "training.layout=contiguous", "--set", "training.warmup=0",
)  # fmt: skip


@dataclass
class Said:
    status: int
    out: str
    err: str


def refused(said: Said, *parts: str) -> None:
    """Status 2 and one line of error that holds ``parts``."""
    assert said.status == 2, said
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    for part in parts:
        assert part in lines[0]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one a line."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def losses(run: Path) -> list[float]:
    """That of every step."""
    return [row["total"] for row in rows_of(run / "metrics.jsonl") if row["kind"] == "step"]


def write_labels(path: Path, rows: list[tuple[str, str]]) -> Path:
    """A table with the columns path and label."""
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return path
