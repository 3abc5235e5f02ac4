"""The folder that ``foretell finetune --out`` writes to: free, or begun by the same run with the same labels, which goes on there."""

from __future__ import annotations

from pathlib import Path

from foretell.json_files import parsed
from foretell.run import json_text, write_aside
from foretell.verbs import common
from foretell.verbs.progress import say

MARK = Path("results") / "begun.json"


def check(target: Path, run: Path, labels: str) -> None:
    """Raise InputError unless ``target`` is free, or holds nothing but what a classifier of ``run`` and of the
    ``labels`` (their fingerprint) left there.
    """
    if target.is_dir() and _of(target) == _mark(run, labels):
        say(f"{target}: begun by this run with these labels; going on there")
    elif not _empty(target):
        common.check_free(target)


def begin(target: Path, run: Path, labels: str) -> None:
    """Say in ``target``, which ``check`` let pass, whose it is."""
    common.make_place(target / MARK)
    write_aside(target / MARK, json_text(_mark(run, labels)))


def _mark(run: Path, labels: str) -> dict[str, str]:
    return {"pretrained_in": str(run.resolve()), "labels": labels}


def _of(target: Path) -> object:
    try:
        return parsed((target / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _empty(target: Path) -> bool:
    """Whether there is nothing in ``target`` beside a mark."""
    kept = [path for path in target.rglob("*") if path.is_file()] if target.is_dir() else []
    return kept == [target / MARK]
