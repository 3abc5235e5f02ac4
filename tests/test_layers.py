"""Imports of the package point one way: each part imports those below it alone, and subjects lie side by side."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import foretell

PACKAGE = Path(foretell.__file__).parent
# the parts of the package, from the bottom up; those of one line do not import each other
ORDER = (
    ("errors",),
    ("distributed", "json_files", "options", "side_by_side", "toml_files"),
    ("counters", "run", "settings"),
    ("losses", "measures", "vocabulary_loss"),
    ("data",),
    ("views",),
    ("encoders",),
    ("objectives", "tasks"),
    ("train",),
    ("transfer",),
    ("dense",),
    ("recipe_values",),
    ("recipe",),
    ("report",),
    ("claims",),
    ("verbs",),
    ("calling",),
    ("cli",),
)


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
        ("measures", r"foretell\.(?!errors\b|measures\b)"),
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


def modules() -> dict[str, Path]:
    """The file of each module of the package, by its dotted name."""
    return {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
    }


def graph() -> dict[str, set[str]]:
    """The modules that each module imports when it runs."""
    files = modules()

    def module(name: str) -> str:
        while name not in files and "." in name:
            name = name.rpartition(".")[0]
        return name

    return {
        name: {found for used in imported(file, types=False) if (found := module(used)) in files} - {name}
        for name, file in files.items()
    }


def test_each_part_imports_those_below_it_alone() -> None:
    level = {part: number for number, parts in enumerate(ORDER) for part in parts}
    inside = {name: name.split(".")[1] for name in modules() if name not in ("foretell", "foretell.__main__")}
    assert set(inside.values()) == set(level)
    wrong = [
        (name, used)
        for name, all_used in graph().items()
        for used in all_used
        if name in inside and used in inside and inside[name] != inside[used]
        and level[inside[used]] >= level[inside[name]]
    ]  # fmt: skip
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert set(TopologicalSorter(graph()).static_order()) == set(modules())
