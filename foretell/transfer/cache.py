"""What a comparison has already worked out, as JSON lines in the run, so that an interrupted one goes on where it
was.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
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

    @property
    def seconds(self) -> float | None:
        """What the work behind the answers given so far took, whichever process did it; None where that was not kept."""
        return sum(self._took[name] for name in self._given) if self._given <= self._took.keys() else None

    def get(self, key: Any, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The stored answer for ``key`` (any JSON value), or that of ``work()``, which is stored before it is
        returned.

        Not-finite numbers come back as None, stored or not. Raises ForetellError when the line cannot be written.
        """
        name = fingerprint(key)
        self._given.add(name)
        if name in self._answers:
            self.reused += 1
            return dict(self._answers[name])
        began = time.perf_counter()
        answer = finite(work())
        self._answers[name], self._took[name] = answer, time.perf_counter() - began
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                whole = not self._path.is_file() or self._path.read_bytes()[-1:] in (b"", b"\n")
                entry = {"key": name, "answer": answer, "seconds": self._took[name]}
                with open(self._path, "a", encoding="utf-8") as file:
                    file.write(("" if whole else "\n") + json.dumps(entry) + "\n")
            except OSError as error:
                raise ForetellError(
                    f"{self._path}: could not be written ({error.strerror}); free some space and compare again: "
                    "what is finished is kept"
                ) from error
        return dict(answer)
