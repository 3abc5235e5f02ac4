"""What a comparison has already worked out, as JSON lines in the run, so that an interrupted one goes on where it
was.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foretell.errors import ForetellError


def fingerprint(value: Any) -> str:
    """A short name for a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:20]


def finite(value: Any) -> Any:
    """``value`` as JSON knows it: numbers that are not finite are None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


Entry = dict[str, Any]
"""{"key": the fingerprint of what it depends on, "answer": a JSON object, "seconds": what the work took}."""


class Missing(LookupError):
    """No answer is kept."""


class Cache:
    """Answers by key. With ``path`` they outlive the process; a last line cut short by a crash is passed over."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._answers: dict[str, Any] = {}
        self._took: dict[str, float] = {}
        self._given: set[str] = set()
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    self._answers[entry["key"]] = entry["answer"]
                    if "seconds" in entry:
                        self._took[entry["key"]] = float(entry["seconds"])
                except (json.JSONDecodeError, KeyError, TypeError):
                    continue
        self.reused = 0
        self._new: list[Entry] = []
        self._added: set[str] = set()
        self._sealed = False

    def copied(self) -> Cache:
        """The same answers in memory."""
        copy = Cache(None)
        copy._answers, copy._took = dict(self._answers), dict(self._took)
        return copy

    def sealed(self) -> Cache:
        """The same answers in memory; asked for another it raises ``Missing``."""
        copy = self.copied()
        copy._sealed = True
        return copy

    def news(self) -> list[Entry]:
        """What was worked out since this was last asked."""
        new, self._new = self._new, []
        return new

    def add(self, entries: Iterable[Entry]) -> None:
        """Take up what another process worked out for this one. Raises ForetellError when it cannot be written."""
        for entry in entries:
            if entry["key"] not in self._answers:
                self._store(entry)
                self._added.add(entry["key"])

    @property
    def seconds(self) -> float | None:
        """What the work behind the answers given so far took, whichever process did it; None where that was not kept."""
        return sum(self._took[name] for name in self._given) if self._given <= self._took.keys() else None

    @property
    def names(self) -> frozenset[str]:
        """The fingerprints of the keys that have an answer."""
        return frozenset(self._answers)

    @property
    def took(self) -> dict[str, float]:
        """The seconds behind each of the answers given so far, by the fingerprint of its key; of one that did not keep them, 0."""
        return {name: self._took.get(name, 0.0) for name in self._given}

    def get(self, key: Any, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The stored answer for ``key`` (any JSON value), or that of ``work()``, which is stored before it is
        returned.

        Not-finite numbers come back as None, stored or not. Raises ForetellError when the line cannot be written.
        """
        name = fingerprint(key)
        self._given.add(name)
        if name in self._answers:
            self.reused += name not in self._added
            self._added.discard(name)
            return dict(self._answers[name])
        if self._sealed:
            raise Missing(name)
        began = time.perf_counter()
        with self.kept():
            answer = finite(work())
        entry = {"key": name, "answer": answer, "seconds": time.perf_counter() - began}
        self._store(entry)
        self._new.append(entry)
        return dict(answer)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """An interruption meanwhile says what goes on from the answers that outlive the process."""
        try:
            yield
        except KeyboardInterrupt as error:
            note = f"what is finished is kept in {self._path}: the same command goes on from there"
            if self._path is not None and note not in getattr(error, "__notes__", []):
                error.add_note(note)
            raise

    def _store(self, entry: Entry) -> None:
        self._answers[entry["key"]], self._took[entry["key"]] = entry["answer"], entry["seconds"]
        if self._path is not None:
            try:
                self._path.parent.mkdir(exist_ok=True)
                whole = not self._path.is_file() or self._path.read_bytes()[-1:] in (b"", b"\n")
                with open(self._path, "a", encoding="utf-8") as file:
                    file.write(("" if whole else "\n") + json.dumps(entry) + "\n")
            except OSError as error:
                raise ForetellError(
                    f"{self._path}: could not be written ({error.strerror}); free some space and compare again: "
                    "what is finished is kept"
                ) from error
