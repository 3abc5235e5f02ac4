"""What the steps of a pipeline depend on: the keys that name their folders, and why one is done anew.

A pretraining depends on its data, the step before it and the settings that change its weights: not on where its files lie or
its device is, nor on how it is judged. steps.json of a pipeline holds, for every folder of a step, its key and what that was
made of.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foretell import __version__
from foretell.data.store import ImageStore
from foretell.json_files import read_object
from foretell.recipe import Recipe
from foretell.run import Run, json_text, write_aside
from foretell.train import checkpoint
from foretell.transfer.config import TransferConfig
from foretell.verbs import common
from foretell.verbs.progress import say

STEPS = "steps.json"
KEY = re.compile("[0-9a-f]{12}")
LISTED = 3  # changes that a line names
ELSEWHERE = {"source", "labels", "workers", "max_unreadable"}  # of data: what they lead to is in its own key
MOVED = ("source", "labels")
FREE = checkpoint.FREE | {"threads"}  # of training
JUDGED_AT = {"device"}  # of transfer
OWN_TRANSFER = ("unit", "uncertain")  # of transfer, where findings are split by
WATCHED = ("neighbours", "crop")  # of transfer, where training.patience stops by the neighbours of labelled images
OF = "of "  # begins the name of a step that a comparison is of
HASHED = {"data": "data changed", "after": "the step before it changed", "weights": "other weights to start from"}

Parts = dict[str, Any]


def key_of(*parts: Any) -> str:
    """A short hash of plain values."""
    text = json.dumps([__version__, *parts], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def data_key(store: ImageStore) -> str:
    """A hash of the images and of their table."""
    return key_of(store.fingerprint, store.names, store.table.columns)


def dotted(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of nested tables."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def pretraining_parts(recipe: Recipe) -> Parts:
    """The settings of ``recipe`` that change the weights of its pretraining, but for those it starts from, dotted."""
    stops = recipe.training.patience is not None
    training = FREE - {"health_every"} if stops else FREE
    judged: tuple[str, ...] = ("findings",)
    if recipe.transfer.findings:
        judged += OWN_TRANSFER
    elif stops:
        judged += WATCHED
    found = {
        "data": recipe.data.model_dump(mode="json", exclude=ELSEWHERE),
        "objective": recipe.objective.model_dump(mode="json"),
        "encoder": recipe.encoder.model_dump(mode="json", exclude={"weights"}),
        "training": recipe.training.model_dump(mode="json", exclude=set(training)),
        "transfer": recipe.transfer.model_dump(mode="json", include=set(judged)),
    }
    return dict(dotted(found))


def transfer_parts(config: TransferConfig) -> Parts:
    """The settings that change what a fine-tuning comes to, dotted."""
    return dict(dotted({"transfer": config.model_dump(mode="json", exclude=JUDGED_AT)}))


def judging_parts(configs: Mapping[str, TransferConfig]) -> Parts:
    """The settings that change what a comparison of several runs comes to: of ``configs`` by the names of the runs'
    steps, those that differ from the first's under the name of their step, too.
    """
    found: Parts = {}
    for name, config in configs.items():
        for key, value in transfer_parts(config).items():
            found[key if found.get(key, value) == value else f"{key} of {name}"] = value
    return found


def brought(place: Path, asked: Recipe, *, finished: bool) -> None:
    """Have the run in ``place``, which is used again or gone on with, find its data where ``asked`` has it; of one that is not
    ``finished`` also train and be judged as ``asked``, in what changes no weights.
    """
    run = Recipe.load(place / "recipe.toml")
    data = {name: getattr(asked.data, name) for name in (MOVED if finished else ELSEWHERE)}
    data |= {name: common.absolute(data[name]) for name in MOVED if data[name] is not None}
    changed: dict[str, Any] = {"data": run.data.model_copy(update=data)}
    if not finished:
        free = {name: getattr(asked.training, name) for name in checkpoint.FREE}
        changed |= {"training": run.training.model_copy(update=free), "transfer": asked.transfer}
    now = run.model_copy(update=changed)
    if now.to_toml() == run.to_toml():
        return
    held = Run.resume(place)
    try:
        now.save(place / "recipe.toml")
    finally:
        held.close()


# folders -------------------------------------------------------------------------------------------------------------


class Folders:
    """The folders of a pipeline's steps, each ``NAME-KEY``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / STEPS
        do = "delete it: the same command writes it again"
        self._known: dict[str, Any] = read_object(file, do) if file.is_file() else {}

    def of(self, step: str, parts: Parts, former: str) -> tuple[Path, str]:
        """(the folder, the key) of the step named ``step`` that depends on ``parts``.

        Says why it is done anew where the step was done with others. ``former`` is the key by which earlier versions called it.
        """
        parts = json.loads(json.dumps({"foretell": __version__, **parts}, default=str))
        key = key_of(step, parts)
        for name, known in self._of_step(step).items():
            if known["key"] == key:
                return self.folder / name, key
        place = next((one for one in (key, former) if (self.folder / f"{step}-{one}").is_dir()), None)
        if place is None and (why := self._why(step, parts)):
            say(f"  done anew: {why}")
        name = f"{step}-{place or key}"
        self._known[name] = {"step": step, "key": key, "of": parts}
        write_aside(self.folder / STEPS, json_text(self._known))
        return self.folder / name, key

    def _of_step(self, step: str) -> dict[str, Any]:
        """What is known of the folders of a step that are there."""
        return {
            name: known
            for name, known in self._known.items()
            if isinstance(known, dict) and known.get("step") == step and isinstance(known.get("of"), dict)
            if (self.folder / name).is_dir()
        }

    def _why(self, step: str, parts: Parts) -> str | None:
        """What differs from the folder of the step that is most alike; None where there is none."""
        found = [_changes(known["of"], parts) for known in self._of_step(step).values()]
        if found:
            changes = min(reversed(found), key=len)
            more = f" and {len(changes) - LISTED} more" if len(changes) > LISTED else ""
            return ", ".join(changes[:LISTED]) + more
        former = [one for one in self.folder.glob(f"{step}-*") if KEY.fullmatch(one.name.removeprefix(f"{step}-"))]
        return f"{former[0]} does not say what it was made of" if former else None


def _changes(before: Parts, now: Parts) -> list[str]:
    names = [name for name in dict.fromkeys([*now, *before]) if before.get(name) != now.get(name)]
    return [_told(name, before.get(name), now.get(name)) for name in names]


def _told(name: str, before: Any, now: Any) -> str:
    """A change in words; hashes tell nothing."""
    if name in HASHED:
        return HASHED[name]
    if name.startswith(OF):
        return f"step {name.removeprefix(OF)} changed"
    return f"{name} {_shown(before)} → {_shown(now)}"


def _shown(value: Any) -> str:
    if value is None or value in ("", []):
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else f"{value}"
