"""Imports of the package point one way: subjects side by side, below them what they share, below that the measures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import foretell

PACKAGE = Path(foretell.__file__).parent
BELOW = ("data", "encoders", "objectives", "tasks", "train", "views")


def imported(file: Path, *, types: bool = True) -> Iterator[str]:
    """Every name that ``file`` imports, anywhere in it, with the module it comes from; those for types alone if ``types``."""
    tree = ast.parse(file.read_text())
    if not types:
        tree.body = [
            part for part in tree.body if not (isinstance(part, ast.If) and "TYPE_CHECKING" in ast.dump(part.test))
        ]
    for node in ast.walk(tree):
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


def test_no_modules_import_each_other_in_a_circle() -> None:
    files = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}

    def module(name: str) -> str:
        return name if name in files else name.rpartition(".")[0]

    graph = {name: {module(used) for used in imported(file, types=False)} - {name} for name, file in files.items()}
    order = list(TopologicalSorter(graph).static_order())
    assert set(files) <= set(order)
