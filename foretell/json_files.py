"""JSON that may be cut, edited or foreign: every fault of it in words, none as another kind of exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foretell.errors import InputError

AGAIN = "delete it and run the verb that wrote it again"


def parsed(text: str) -> Any:
    """``json.loads``, whose every fault is a ValueError: nesting too deep and numbers too long are as well."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parsed_line(line: str, place: str) -> Any:
    """The value in one line of a person's file. Raises InputError that names ``place``, for half of a character too."""
    try:
        value = parsed(line)
        if "\\ud" in line or "\\uD" in line:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise InputError(f"{place}: {half} is half of a character, and its other half is missing; mend it") from None
    except ValueError as error:
        raise InputError(f"{place}: not valid JSON ({getattr(error, 'msg', error)})") from None
    return value


def read_object(path: Path, do: str = AGAIN) -> dict[str, Any]:
    """The JSON object in ``path``. Raises InputError that names it and says what to ``do`` when it holds none."""
    try:
        value = parsed(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {do}") from None
    except ValueError as error:  # a byte that is no UTF-8 too
        raise InputError(f"{path}: not valid JSON ({error}); {do}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: a JSON object was expected; {do}")
    return value
