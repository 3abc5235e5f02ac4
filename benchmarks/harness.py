"""How a speed is measured here: ours and the peer in turn, in one process tree, medians and spread of the ratio."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foretell.run import write_aside

RESULTS = Path(__file__).parent / "results.json"
PLACES = ("--json", "--run", "--out")  # options that say where things are kept


@dataclass
class Pairing:
    """Seconds of each round, ours and the peer's, measured one after the other with the order alternating."""

    ours: list[float]
    peer: list[float]

    @property
    def ratios(self) -> list[float]:
        """Peer's seconds over ours, a round each: above 1 is faster than the peer."""
        return [peer / ours for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.ratios), max(self.ratios)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def paired(
    ours: Callable[[], object],
    peer: Callable[[], object],
    rounds: int = 5,
    before: Callable[[], object] = lambda: None,
) -> Pairing:
    """Time both in turn ``rounds`` times (at least 1), ours first in even rounds. The caller warms both up.

    ``before`` is called, untimed, before each.
    """
    pairing = Pairing([], [])
    for number in range(rounds):
        for mine in (True, False) if number % 2 == 0 else (False, True):
            before()
            (pairing.ours if mine else pairing.peer).append(seconds(ours if mine else peer))
    return pairing


def parser(description: str, rounds: int = 5) -> argparse.ArgumentParser:
    """The options every benchmark has."""
    made = argparse.ArgumentParser(description=description, allow_abbrev=False)
    made.add_argument("--rounds", type=int, default=rounds, help="paired rounds")
    made.add_argument("--device", default="cpu", help="cpu or cuda")
    made.add_argument(
        "--json", type=Path, default=None, help=f"add the result to this file (kept ones: {RESULTS.name})"
    )
    return made


def command() -> str:
    """What this process was called with: ``python -m benchmarks.NAME`` and every option but where things are kept."""
    places = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for place in PLACES:
        places.add_argument(place)
    _, options = places.parse_known_args(sys.argv[1:])
    return shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *options])


def anonymous() -> float:
    """MB of anonymous memory of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1000


def machine(device: str = "cpu") -> str:
    """A short name of the processor or accelerator."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Processes that write to ``folder`` take turns."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def keep(path: Path, name: str, row: dict[str, Any]) -> None:
    """Put ``row`` under ``name`` in the JSON file ``path``; benchmarks that run at once lose none of each other's."""
    with alone(path.parent):
        kept = json.loads(path.read_text()) if path.is_file() else {}
        write_aside(path, json.dumps({**kept, name: row}, indent=1, sort_keys=True) + "\n")


def verdict(row: dict[str, Any]) -> str:
    """Whether what was wanted was met, and how where that needs saying."""
    return ("met" if row["met"] else "not met") + row.get("how", "")


def report(
    args: argparse.Namespace,
    name: str,
    figures: dict[str, Any],
    wanted: str,
    met: bool,
    *,
    how: str = "",
    called: str | None = None,
) -> None:
    """Print one benchmark's figures and, with --json, keep them under ``name``.

    ``how`` follows "met" or "not met", as in " on average"; ``called`` is what makes the row again (default: ``command()``).
    """
    row = {
        "command": called or command(),
        "machine": machine(args.device),
        "date": time.strftime("%Y-%m-%d"),
        "figures": figures,
        "wanted": wanted,
        "met": met,
        **({"how": how} if how else {}),
    }
    print(f"\n{name}  [{row['machine']}]")
    for key, value in figures.items():
        print(f"  {key:<40} {value}")
    print(f"  wanted: {wanted}: {verdict(row)}")
    if args.json:
        keep(args.json, f"{name} ({args.device})", row)


def described(pairing: Pairing) -> dict[str, str]:
    """The figures of a pairing, as text."""
    low, high = pairing.spread
    return {
        "ratio (peer's time / ours), median": f"{pairing.ratio:.2f}",
        "spread of the ratio": f"{low:.2f} to {high:.2f} over {len(pairing.ours)} rounds",
        "ours, median seconds": f"{statistics.median(pairing.ours):.4g}",
        "peer, median seconds": f"{statistics.median(pairing.peer):.4g}",
    }
