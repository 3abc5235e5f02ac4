"""kNN of 50,000 x 10,000 x 512 beside one float32 matrix product of that size plus top-k, in one process.

    python -m benchmarks.knn [--device cuda] [--json benchmarks/results.json]

Ours: ``foretell.measures.knn.nearest`` with both sides normalised inside the call. Peer: ``torch.mm(queries,
gallery.T)`` on features normalised beforehand, then ``torch.topk``. Each pair runs ours and the peer one after the
other, the order turning; the ratio is the median of the pairs' ratios (below 1.2 is the aim), the spread their
smallest and largest. Peak memory is measured in one more, separate call of each.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.harness import parser, report
from foretell.measures.knn import nearest


def features(count: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def peer(query: torch.Tensor, gallery: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    value, index = torch.mm(query, gallery.T).topk(k, dim=1)
    return index, value


def timed(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def grown(args: argparse.Namespace, who: str) -> int:
    """Bytes by which the peak memory of a fresh process grows during one call."""
    command = [sys.executable, "-m", "benchmarks.knn", "--memory-of", who, "--device", args.device, "--k", str(args.k)]
    command += ["--gallery", str(args.gallery), "--queries", str(args.queries), "--dim", str(args.dim)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1])


def memory_of(args: argparse.Namespace, query: torch.Tensor, gallery: torch.Tensor) -> int:
    if query.is_cuda:
        torch.cuda.reset_peak_memory_stats(query.device)
        before = torch.cuda.memory_allocated(query.device)
        (nearest if args.memory_of == "ours" else peer)(query, gallery, args.k)
        return torch.cuda.max_memory_allocated(query.device) - before
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again from what is resident now
    before = resident("VmRSS")
    (nearest if args.memory_of == "ours" else peer)(query, gallery, args.k)
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """A memory field of /proc/self/status, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--gallery", type=int, default=50_000)
    options.add_argument("--queries", type=int, default=10_000)
    options.add_argument("--dim", type=int, default=512)
    options.add_argument("--k", type=int, default=20)
    options.add_argument("--threads", type=int, default=None)
    options.add_argument("--memory-of", choices=("ours", "peer"), default=None, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    gallery = features(args.gallery, args.dim, 0).to(device)
    query = features(args.queries, args.dim, 1).to(device)
    if args.memory_of:
        print(memory_of(args, query, gallery))
        return
    unit_query, unit_gallery = F.normalize(query, dim=1), F.normalize(gallery, dim=1)
    calls = {
        "ours": lambda: nearest(query, gallery, args.k),
        "peer": lambda: peer(unit_query, unit_gallery, args.k),
    }
    (found, value), (expected, other) = calls["ours"](), calls["peer"]()
    agree = float((found == expected).float().mean())
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for pair in range(args.rounds):
        for name in ("ours", "peer") if pair % 2 == 0 else ("peer", "ours"):
            times[name].append(timed(calls[name], device))
    product = statistics.median(timed(lambda: torch.mm(unit_query, unit_gallery.T), device) for _ in range(3))
    ratios = [ours / theirs for ours, theirs in zip(times["ours"], times["peer"], strict=True)]
    ratio = statistics.median(ratios)
    figures = {
        "size": f"{args.gallery} x {args.queries} x {args.dim}, k {args.k}",
        "ours / (matrix product + top-k), median": f"{ratio:.3f}",
        "spread": f"{min(ratios):.3f} to {max(ratios):.3f} over {args.rounds} rounds",
        "ours, median seconds": f"{statistics.median(times['ours']):.3f}",
        "matrix product + top-k, median seconds": f"{statistics.median(times['peer']):.3f}",
        "matrix product alone, median seconds": f"{product:.3f}",
        "ours, extra memory": f"{grown(args, 'ours') / 2**20:,.0f} MiB",
        "matrix product + top-k, extra memory": f"{grown(args, 'peer') / 2**20:,.0f} MiB",
        "same neighbours": f"{agree:.5f}",
        "largest difference of a cosine": f"{float((value - other).abs().max()):.1e}",
    }
    wanted = "under 1.2 times one float32 matrix product of that size plus top-k"
    report(args, "kNN", figures, wanted, ratio < 1.2)


if __name__ == "__main__":
    main()
