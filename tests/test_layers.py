"""Imports of the package point one way: subjects side by side, below them what they share, below that the measures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import foretell

PACKAGE = Path(foretell.__file__).parent
BELOW = ("data", "encoders", "objectives", "tasks", "train", "views")


def imported(file: Path) -> Iterator[str]:
    """Every name that ``file`` imports, anywhere in it, with the module it comes from."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(
    ("folder", "above"),
    [
        ("transfer/images", r"foretell\.transfer\.text\b"),
        ("transfer/text", r"foretell\.transfer\.images\b"),
        ("transfer", r"foretell\.transfer\.(images|text)\b"),
        ("transfer/measures", r"foretell\.(?!errors\b|transfer\.measures\b)"),
        *((folder, r"foretell\.transfer\b(?!\.measures\b)") for folder in BELOW),
        ("claims", r"foretell\.claims\.(frames|images|medical|text|words)\b"),
        ("claims/images", r"foretell\.claims\.(frames|medical|text|words)\b"),
        ("claims/medical", r"foretell\.claims\.(frames|images|text|words)\b"),
        ("claims/text", r"foretell\.claims\.(frames|images|medical|words)\b"),
        ("claims/frames", r"foretell\.claims\.(images|text|words)\b"),  # above medical
        ("claims/words", r"foretell\.claims\.(frames|images|medical)\b"),  # above text
    ],
)
def test_nothing_above_is_imported(folder: str, above: str) -> None:
    files = sorted((PACKAGE / folder).glob("*.py"))
    names = {file: list(imported(file)) for file in files}
    assert any(names.values())
    assert [(file.name, name) for file in files for name in names[file] if re.match(above, name)] == []
