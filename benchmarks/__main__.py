"""Run every benchmark and write RESULTS.md: ``python -m benchmarks [--device cuda] [--table]``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from benchmarks.harness import RESULTS, verdict

ALL = (
    *("training_step", "mae", "views", "reading", "knn", "views_quality", "colour_knn", "patch_pairs", "inpainting"),
    *("masked_words", "causal", "generation", "tokenising", "word2vec", "text_memory"),
    "dicom_reading",
    "finetune_search",
    "side_by_side",
)


def table() -> str:
    """RESULTS.md from the kept results."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks --table` from `results.json`, which the commands below fill. Ours and the peer",
        "run in turn in one process tree; a ratio is the peer's time over ours, the median of the paired rounds.",
    ]
    for name, one in sorted(kept.items()):
        lines += ["", f"## {name}: {verdict(one)}", "", f"Wanted: {one['wanted']}.", ""]
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
