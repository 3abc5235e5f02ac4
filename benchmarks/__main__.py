"""Run every benchmark and write RESULTS.md: ``python -m benchmarks [--device cuda] [--table]``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from benchmarks.harness import RESULTS, verdict
from foretell.claims.reproduce import place_of

ALL = (
    *("training_step", "mae", "views", "reading", "knn", "views_quality", "colour_knn", "patch_pairs", "inpainting"),
    *("masked_words", "causal", "generation", "tokenising", "word2vec", "text_memory"),
    "dicom_reading",
    "finetune_search",
    "side_by_side",
)


# what README's table shows, in its order
FIRST = (
    "SimCLR training step (cpu)", "SimCLR training step in float32 (cpu)", "views at 32 px (cpu)", "views at 96 px (cpu)",
    "Masked-word pretraining, vocabulary 30,000 (cpu)", "Causal pretraining (cpu)", "word2vec skip-gram (cpu)",
    "word2vec cbow (cpu)",
)  # fmt: skip
RATIO = "ratio (peer's time / ours), median"


def _heading(name: str, one: dict[str, Any]) -> str:
    return f"{name}: {verdict(one)}"


def ratio(figures: dict[str, Any]) -> str:
    """How many times as fast as the peer: in tokens where that was measured, and of each part where there are several; "" without."""
    of_tokens = [value for key, value in figures.items() if key.startswith("ratio in tokens")]
    parts = [
        f"{key.removesuffix(RATIO).rstrip(': ')} {value}".strip()
        for key, value in figures.items()
        if key.endswith(RATIO)
    ]
    return str(of_tokens[0]) if of_tokens else ", ".join(parts)


def contents(kept: dict[str, Any]) -> list[str]:
    """A table of what was measured, README's first: its ratio where it has one, what was wanted and whether that was met."""
    first = [name for name in FIRST if name in kept]
    lines = ["| measured | times as fast | wanted | met |", "| --- | ---: | --- | --- |"]
    for name in [*first, *sorted(set(kept) - set(first))]:
        one = kept[name]
        place = place_of(_heading(name, one))
        lines.append(f"| [{name}](#{place}) | {ratio(one['figures'])} | {one['wanted']} | {verdict(one)} |")
    return lines


def table() -> str:
    """RESULTS.md from the kept results."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks --table` from `results.json`, which the commands below fill. Ours and the peer",
        "run in turn in one process tree; a ratio is the peer's time over ours, the median of the paired rounds.",
        "",
        *contents(kept),
    ]
    for name, one in sorted(kept.items()):
        lines += ["", f"## {_heading(name, one)}", "", f"Wanted: {one['wanted']}.", ""]
        lines += ["| figure | value |", "| --- | --- |"]
        lines += [f"| {key} | {value} |" for key, value in one["figures"].items()]
        lines += ["", f"`{one['command']}`, {one['machine']}, {one['date']}."]
    return "\n".join(lines) + "\n"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*", default=ALL, help=f"which ones: {', '.join(ALL)}")
    options.add_argument("--device", default="cpu")
    options.add_argument("--table", action="store_true", help="only write RESULTS.md from what was measured before")
    args = options.parse_args()
    failed = []
    for name in () if args.table else args.names:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--device", args.device, "--json", str(RESULTS)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    RESULTS.with_name("RESULTS.md").write_text(table())
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
