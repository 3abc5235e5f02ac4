"""A pretrained run that a benchmark makes once: gone on with where it was stopped, and used again where it is finished."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import foretell
from foretell.run import Run


def pretrained(run: Path, source: Callable[[Path], Path], **options: Any) -> Path:
    """``run``, finished. ``source(path)`` writes what a new one learns from to a .txt file beside it and names what was
    written; ``options`` are those of ``foretell.pretrain`` for a new one.
    """
    if not (run / "recipe.toml").is_file():
        run.parent.mkdir(parents=True, exist_ok=True)
        foretell.pretrain(source(run.with_name(f"{run.name}.txt")), out=run, **options)
    elif (Run.read(run).read_json("status.json") or {}).get("state") != "finished":
        foretell.pretrain(run, resume=True)
    return run
