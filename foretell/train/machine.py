"""What this machine can do at most: measured once for a machine and kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from foretell.errors import ForetellError, InputError
from foretell.run import write_aside


@dataclass(frozen=True)
class Limits:
    """Rates of the best of a few matrix products (flop/s, 2 n^3 a product) and of a copy (bytes read and written)."""

    float32_flops: float
    bfloat16_flops: float
    copy_bytes_per_s: float

    def flops(self, precision: str) -> float:
        """The limit for "float32" or "bfloat16"."""
        return self.bfloat16_flops if precision == "bfloat16" else self.float32_flops


def cache_folder() -> Path:
    """``$FORETELL_CACHE``, or ``~/.cache/foretell``."""
    given = os.environ.get("FORETELL_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "foretell"


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.lower().startswith(("model name", "hardware")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def default_device() -> torch.device:
    """This process's GPU where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return torch.device("cpu")


def named_device(name: str) -> torch.device:
    """The device of a setting: "auto", "cpu", "cuda" (this process's own) or "cuda:N".

    Raises InputError for others, and for a GPU that is not there.
    """
    if name == "auto":
        return default_device()
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"unknown device '{name}'; expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device '{name}': this machine has no such GPU that torch can use; give cpu or auto")
    return default_device() if device.type == "cuda" and device.index is None else device


def model_of(device: torch.device) -> str:
    """The name of the GPU, or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def synchronise(device: torch.device) -> None:
    """Wait for the work queued on ``device``."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def limits(device: torch.device | str = "cpu", *, refresh: bool = False) -> Limits:
    """This machine's limits on ``device`` at the present thread count: from the cache, else measured (about 1 s)."""
    device = torch.device(device)
    key = {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8).hexdigest()
    path = cache_folder() / f"machine-{digest}.json"
    if not refresh:
        try:
            return Limits(**json.loads(path.read_text())["limits"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
    measured = Limits(
        float32_flops=_product_rate(torch.float32, device),
        bfloat16_flops=_product_rate(torch.bfloat16, device),
        copy_bytes_per_s=_copy_rate(device),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, json.dumps({"limits": asdict(measured), **key}, indent=1) + "\n")
    except (OSError, ForetellError):
        pass  # without a cache folder the measurement is made again next time
    return measured


_checked: set[str] = set()


def checked_limits(device: torch.device | str = "cpu") -> Limits:
    """``limits``, measured anew when one matrix product now is over 1.1 times as fast (0.5 s, once a process).

    A measurement made on a busy machine would otherwise stay in the cache.
    """
    device = torch.device(device)
    known = limits(device)
    if str(device) in _checked:
        return known
    _checked.add(str(device))
    stale = _product_rate(torch.float32, device) > 1.1 * known.float32_flops
    return limits(device, refresh=True) if stale else known


def describe(device: torch.device | str = "cpu") -> dict[str, Any]:
    """The "machine" entry of a run's facts.json."""
    device = torch.device(device)
    return {
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        **asdict(limits(device)),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }


def _fastest(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Seconds of the fastest of several calls that take ``seconds`` altogether; the first call is not counted."""
    work()
    synchronise(device)
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until or best == float("inf"):
        begin = time.perf_counter()
        work()
        synchronise(device)
        best = min(best, time.perf_counter() - begin)
    return best


def _product_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Flop/s of the best size of square matrix product; small sizes first, as a slow type must not take minutes."""
    best = 0.0
    for side in (256, 512, 1024, 2048) if device.type == "cpu" else (2048, 4096, 8192):
        # random, since a GPU multiplies equal numbers faster than it can any real ones
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        work = 2.0 * side**3
        if best and work / best > 0.25:
            break
        best = max(best, work / _fastest(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device, 0.1))  # type: ignore[misc]
    return best


def _copy_rate(device: torch.device) -> float:
    """Bytes read plus written a second, of a copy too large for the caches."""
    size = 1 << (26 if device.type == "cpu" else 30)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2.0 * size / _fastest(lambda: target.copy_(source), device, 0.15)
