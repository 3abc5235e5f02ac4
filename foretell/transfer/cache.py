"""What a comparison has already worked out, as JSON lines in the run, so that an interrupted one goes on where it
was.
"""

from __future__ import annotations

import hashlib
import json
import math
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
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    self._answers[entry["key"]] = entry["answer"]
                except (json.JSONDecodeError, KeyError, TypeError):
                    continue
        self.reused = 0

    def get(self, key: Any, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The stored answer for ``key`` (any JSON value), or that of ``work()``, which is stored before it is
        returned.

        Not-finite numbers come back as None, stored or not. Raises ForetellError when the line cannot be written.
        """
        name = fingerprint(key)
        if name in self._answers:
            self.reused += 1
            return dict(self._answers[name])
        answer = finite(work())
        self._answers[name] = answer
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                whole = not self._path.is_file() or self._path.read_bytes()[-1:] in (b"", b"\n")
                with open(self._path, "a", encoding="utf-8") as file:
                    file.write(("" if whole else "\n") + json.dumps({"key": name, "answer": answer}) + "\n")
            except OSError as error:
                raise ForetellError(
                    f"{self._path}: could not be written ({error.strerror}); free some space and compare again: "
                    "what is finished is kept"
                ) from error
        return dict(answer)
