"""Where a run goes on from: its last checkpoint, on every process, and what must be as when that was written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from foretell import distributed
from foretell.errors import InputError
from foretell.objectives.base import Trainable
from foretell.run import Run
from foretell.train import checkpoint, measure
from foretell.train.config import TrainingConfig


class Start(NamedTuple):
    """``saved``: the checkpoint to go on from, None to start at the beginning; ``where``: the file that was read.

    ``measured``: what the run's facts hold, of these settings, where it was killed before its first checkpoint, on the first
    process alone.
    """

    saved: dict[str, Any] | None
    where: str
    measured: dict[str, Any] | None = None


def check_gone(place: Path) -> None:
    """Raise InputError where the run in ``place`` has lost its last checkpoints, but not the best one: beginning again
    would write over that.
    """
    folder = place / "checkpoints"
    best = folder / "best.pt"
    if checkpoint.latest(folder) is None and best.exists():
        step = checkpoint.load(best)["step"]
        raise InputError(
            f"{folder}: the last checkpoints are gone, and {best.name} is of step {step:,}; rename it to "
            f"{checkpoint.path_of(folder, step).name} to go on from there, or delete it to begin again from step 0"
        )


def recipe_of(trainable: Trainable, config: TrainingConfig) -> dict[str, Any]:
    """What must be the same on resuming."""
    recipe: dict[str, Any] = {"training": config.model_dump(mode="json")}
    own = getattr(trainable, "config", None)
    if isinstance(own, BaseModel):
        recipe["objective"] = own.model_dump(mode="json")
    fingerprint = getattr(getattr(trainable, "store", None), "fingerprint", None)
    if fingerprint is not None:
        recipe["data"] = {"fingerprint": str(fingerprint)}
    return recipe


def start_of(run: Run | None, resume: bool | str | Path, trainable: Trainable, config: TrainingConfig) -> Start:
    """Where ``run`` (None but on the first process) starts with the ``resume`` of ``fit``, the same on every process.

    Raises InputError without a run, and for a checkpoint that cannot be read or is of another recipe.
    """
    if resume is False:
        return Start(None, "")
    start = distributed.on_first(lambda: _found(run, resume, trainable, config)) or Start(None, "")
    if distributed.world() == 1:
        return start
    held = None if start.saved is None else Path(start.where).read_bytes()
    content, where = distributed.broadcast_object((held, start.where))
    return Start(None if content is None else checkpoint.load_bytes(BytesIO(content)), where, start.measured)


def _found(run: Run | None, resume: bool | str | Path, trainable: Trainable, config: TrainingConfig) -> Start:
    if run is None:
        raise InputError("resuming needs a run folder")
    path = checkpoint.latest(run.path / "checkpoints") if isinstance(resume, bool) else Path(resume)
    if path is None:
        check_gone(run.path)
        facts = run.read_json("facts.json") or {}
        return Start(None, str(run.path / "facts.json"), measure.still_measured(facts, config))
    payload = checkpoint.load(path)
    with checkpoint.restoring(path):
        checkpoint.check_same(payload["recipe"], recipe_of(trainable, config))
    return Start(payload, str(path))
