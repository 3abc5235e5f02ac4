"""What the tests of the command line share."""

from __future__ import annotations

from dataclasses import dataclass

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
