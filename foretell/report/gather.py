"""What a run folder holds, read once. Any part may be missing: the run goes on, failed or was never compared."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from foretell import toml_files
from foretell.json_files import read_object
from foretell.run import Run

Json = dict[str, Any]
SILENT = 300.0  # seconds without a heartbeat after which a process of another machine is taken for dead


def judged_of(test: Json, noun: str) -> str:
    """What is counted in the ``test`` part of a comparison: cases of several images, or what a sample is called."""
    return str(test.get("unit") or ("case" if test.get("images") else noun))


def _last_part(source: str) -> str:
    """A file or folder without what it lies in, an embedded set without its sign."""
    return source.lstrip("@").rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Gathered:
    """The files of one run, parsed. Missing files are empty; pictures are PNG bytes by file stem.

    ``held``: a process writes to it; ``exported``: it has what it learnt as an encoder, or as vectors of words.
    """

    path: Path
    recipe_text: str
    recipe: Json
    facts: Json = field(default_factory=dict)
    status: Json = field(default_factory=dict)
    steps: list[Json] = field(default_factory=list)
    health: list[Json] = field(default_factory=list)
    monitors: dict[str, list[Json]] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    samples: list[Json] = field(default_factory=list)
    results: dict[str, Json] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    encoder: Json = field(default_factory=dict)
    held: bool = False
    exported: bool = True

    def part(self, name: str) -> Json:
        """A part of facts.json ("data", "cost", ...), {} when it is missing."""
        value = self.facts.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def comparison(self) -> Json:
        return self.results.get("comparison", {})

    @property
    def state(self) -> str:
        """running, finished, failed, stopped, broken (what should be running is gone) or unknown."""
        state = str(self.status.get("state", "unknown"))
        return "broken" if state == "running" and self._gone else state

    @cached_property
    def _gone(self) -> bool:
        """Whether nobody goes on with a run: of one that another machine may hold, its silence tells."""
        here = self.status.get("host") == socket.gethostname()
        return not self.held and (here or time.time() - float(self.status.get("heartbeat") or "inf") > SILENT)

    @property
    def kind(self) -> str:
        """What was learnt from: "image", "text" or "words"."""
        usual = "text" if self.part("data").get("kind") == "text" else "image"
        return str(self.part("objective").get("kind") or usual)

    @property
    def noun(self) -> str:
        """What a sample is called."""
        return "image" if self.kind == "image" else "text"

    @property
    def judged(self) -> str:
        """What a score is of: a sample, or a case of several images."""
        return judged_of(self.comparison.get("test") or {}, self.noun)

    @property
    def classes(self) -> list[str]:
        named = self.comparison.get("classes") or self.part("data").get("classes") or []
        return [str(name) for name in named]

    @cached_property
    def data_name(self) -> str:
        """The last part of the source, without the sign of an embedded set."""
        source = str(self.part("data").get("source") or _find(self.recipe, "source", "data") or "")
        return _last_part(source) or self.path.resolve().name

    @cached_property
    def judged_on(self) -> str:
        """The last part of the source of labels, where that is said; else ``data_name``."""
        return _last_part(str(self.comparison.get("data") or "")) or self.data_name

    @cached_property
    def objective(self) -> str:
        """The name of the pretext task, or ""."""
        value = self.recipe.get("objective")
        value = value.get("name") if isinstance(value, dict) else value
        return str(value or self.part("objective").get("name") or "")


def _find(recipe: Json, *names: str) -> Any:
    """The first text under one of ``names``, at the top of the recipe or one table down."""
    for table in (recipe, *(value for value in recipe.values() if isinstance(value, dict))):
        for name in names:
            if isinstance(table.get(name), str):
                return table[name]
    return None


def gather(path: str | Path) -> Gathered:
    """Read the run folder ``path``. Raises InputError when it is no run, or a file in it is damaged."""
    run = Run.read(path)
    text = toml_files.text_of(run.path / "recipe.toml", "recipe")
    recipe = toml_files.parsed(text, str(run.path / "recipe.toml"))
    files: dict[str, Json] = {}
    for name in ("facts.json", "status.json", "encoder/config.json"):
        target = run.path / name
        files[name] = read_object(target) if target.exists() else {}
    kinds: dict[str, list[Json]] = {"step": [], "health": [], "monitor": [], "event": [], "sample": []}
    for line in run.metrics():
        kinds.setdefault(str(line.get("kind")), []).append(line)
    monitors: dict[str, list[Json]] = {}
    for line in kinds["monitor"]:
        monitors.setdefault(str(line.get("name", "monitor")), []).append(line)
    if files["status.json"].get("state") == "running":  # written every few seconds, the other with each step
        logged = [line["step"] for line in kinds["step"] if isinstance(line.get("step"), int)]
        told = files["status.json"].get("step")
        files["status.json"]["step"] = max([*logged[-1:], told if isinstance(told, int) else 0])
    return Gathered(
        path=run.path,
        recipe_text=text,
        recipe=recipe,
        facts=files["facts.json"],
        status=files["status.json"],
        steps=kinds["step"],
        health=kinds["health"],
        monitors=monitors,
        events=kinds["event"],
        samples=kinds["sample"],
        results={file.stem: read_object(file) for file in sorted((run.path / "results").glob("*.json"))},
        pictures={file.stem: file.read_bytes() for file in sorted((run.path / "exhibits").glob("*.png"))},
        encoder=files["encoder/config.json"],
        held=run.held(),
        exported=any((run.path / "encoder" / name).is_file() for name in ("config.json", "vectors.bin")),
    )
