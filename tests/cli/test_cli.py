"""What a person sees: help that answers at once, one line for a fault, the exit status."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import foretell as package
from foretell import VERBS, cli
from foretell.errors import ForetellError, InputError

HEAVY = ("torch", "pydantic", "numpy", "rich", "typer", "click", "timm", "PIL", "matplotlib", "sklearn")


def fresh(code: str) -> str:
    """What ``code`` prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["help", "check"], *([verb, "--help"] for verb in VERBS)])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys; from foretell.cli import main; main({words!r}); print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert fresh(code) == "[]"


def test_help_of_one_verb_imports_that_verb_alone() -> None:
    code = (
        "import sys; from foretell.cli import main; main(['pretrain', '--help']);"
        "print(sorted(m for m in sys.modules if m.startswith('foretell.verbs.')))"
    )
    assert fresh(code) == "['foretell.verbs.outcomes', 'foretell.verbs.pretrain']"


def test_importing_the_package_is_light() -> None:
    code = f"import sys, foretell; foretell.pretrain, foretell.check; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert fresh(code) == "[]"


def test_every_verb_is_a_function_of_the_package() -> None:
    code = (
        "import foretell, foretell.report, foretell.objectives.simclr;"
        "print(all(callable(getattr(foretell, verb.replace(chr(45), chr(95)))) for verb in foretell.VERBS), foretell.report.build.__name__)"
    )
    assert fresh(code) == "True build"
    assert {verb.replace("-", "_") for verb in VERBS} <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'pretrian'"):
        package.pretrian  # noqa: B018


def test_the_overview_names_every_verb_on_a_line(foretell: Callable[..., Any]) -> None:
    for words in ([], ["--help"], ["help"]):
        said = foretell(*words)
        assert said.status == 0
        assert all(f"\n  {verb} " in said.out for verb in VERBS)
        assert max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pretrian", "x"], "unknown verb 'pretrian'; did you mean 'pretrain'?"),
        (["--out", "x"], "unknown option '--out'; a verb comes first"),
        (["pretrain", "x", "--objetive", "y"], "unknown option '--objetive'; did you mean '--objective'?"),
        (["export", "x"], "foretell export: OUT is missing"),
        (["export", "x", "y", "--format", "onxn"], "--format: unknown value 'onxn'; did you mean 'onnx'?"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(foretell: Callable[..., Any], words: list[str], message: str) -> None:
    said = foretell(*words)
    assert said.status == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1


def failing(error: BaseException) -> Callable[[str], Callable[..., Any]]:
    def verb() -> None:
        raise error

    return lambda name: verb


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError("a.csv: row 3 is wrong"), 2, "error: a.csv: row 3 is wrong\n"),
        (ForetellError("disk full"), 1, "error: disk full\n"),
        (InputError("two\nlines"), 2, "error: two lines\n"),
        (ZeroDivisionError("by zero"), 1, "error: ZeroDivisionError: by zero (unexpected; --debug shows where)\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_exit_statuses(
    foretell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, message: str
) -> None:
    if isinstance(error, BrokenPipeError):
        monkeypatch.setattr(cli.os, "dup2", lambda *_: None)
    monkeypatch.setattr(cli, "load", failing(error))
    said = foretell("anything")
    assert (said.status, said.err) == (status, message)


@pytest.mark.parametrize("words", [["--debug", "anything"], ["anything", "--debug"]])
def test_debug_shows_the_traceback(
    foretell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    for error in (ZeroDivisionError("by zero"), InputError("wrong")):
        monkeypatch.setattr(cli, "load", failing(error))
        said = foretell(*words)
        assert "Traceback" in said.err
        assert "in verb" in said.err


def test_an_interrupt_says_how_to_go_on(foretell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    error = KeyboardInterrupt()
    error.add_note("go on with: foretell pretrain --resume runs/x")
    monkeypatch.setattr(cli, "load", failing(error))
    said = foretell("anything")
    assert (said.status, said.err) == (130, "interrupted; go on with: foretell pretrain --resume runs/x\n")


def test_a_reader_that_has_gone_is_no_fault(tmp_path: Path) -> None:
    command = f"{sys.executable} -m foretell --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 141)
    assert done.stderr == ""
