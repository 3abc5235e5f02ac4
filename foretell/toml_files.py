"""TOML that a person may have edited: a mark at its beginning is passed over, every fault of it is told in words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from foretell.errors import InputError


def parsed(text: str, where: str) -> dict[str, Any]:
    """The tables of ``text``. Raises InputError that names ``where`` it lies."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{where}: not TOML: nested too deeply; restore it from a copy") from None
    except ValueError as error:  # a number of thousands of digits too
        raise InputError(f"{where}: not TOML: {error}") from None


def text_of(path: Path, what: str) -> str:
    """The text of a TOML file, without the mark that some editors put first. Raises InputError, calling it ``what``."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"{path}: the {what} cannot be read ({reason})") from None
