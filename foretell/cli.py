"""The command line: a verb's name, the function behind it, and what a person sees when it fails.

Nothing heavy is imported here: ``foretell --help`` reads the verbs' signatures, and a verb imports what it
needs when it runs.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from foretell import VERBS, __version__
from foretell.errors import ForetellError, InputError
from foretell.options import paragraphs, parser, read_arguments


def load(name: str) -> Callable[..., Any]:
    """The function of verb ``name``. Raises InputError with the nearest verb."""
    if name not in VERBS:
        near = difflib.get_close_matches(name, VERBS, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise InputError(f"unknown verb '{name}'{hint} Known: {', '.join(VERBS)}")
    module, function = VERBS[name].split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def overview() -> str:
    """What ``foretell --help`` prints."""
    lines = [
        "usage: foretell VERB ... [--debug]",
        "",
        "Learn from images and text nobody has labelled, and see what it was worth.",
        "",
    ]
    for name in VERBS:
        lines.append(f"  {name:<13} {paragraphs(load(name))[0]}")
    lines += [
        "",
        "Start with:  foretell demo",
        "On your own: foretell pretrain DATA --budget 5m",
        "Options of a verb: foretell VERB --help",
    ]
    return "\n".join(lines)


def run(arguments: Sequence[str]) -> int:
    """Run the command line ``arguments`` (without the program's name) and return its exit status; errors are raised."""
    words = list(arguments)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if not words or words[0] in ("--help", "-h"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"foretell {__version__}")
        return 0
    if words[0].startswith("-"):
        raise InputError(f"unknown option '{words[0]}'; a verb comes first, see 'foretell --help'")
    verb = load(words[0])
    if "--help" in words or "-h" in words:
        print(parser(words[0], verb).format_help(), end="")
        return 0
    verb(**read_arguments(words[0], verb, words[1:]))
    return 0


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [word for word in arguments[:end] if word != "--debug"]
    return [*kept, *arguments[end:]], len(kept) < end


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point. Returns the exit status: 2 for wrong usage or input, 1 for a failure, 130 if interrupted."""
    words, debug = _without_debug(list(sys.argv[1:] if arguments is None else arguments))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold bytes that are no UTF-8
    first = os.environ.get("RANK", "0") == "0"
    try:
        status = run(words)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # the reader of a pipe has gone (| head); python must not complain again when it closes standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt as error:
        notes = getattr(error, "__notes__", [])
        if first:
            _say("interrupted" + "".join(f"; {_one_line(note)}" for note in notes))
        return 128 + signal.SIGINT
    except InputError as error:
        if debug:
            traceback.print_exc()
        if first:  # every process of torchrun finds the same fault
            _say(f"error: {_one_line(error)}")
        return error.exit_status
    except ForetellError as error:
        if debug:
            traceback.print_exc()
        _say(f"error: {_one_line(error)}")
        return error.exit_status
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _say(f"error: {str(error.filename)[:60]}...: the name is too long; expected a shorter path")
            return InputError.exit_status
        if debug:
            traceback.print_exc()
            return 1
        _say(f"error: {type(error).__name__}: {_one_line(error)} (unexpected; --debug shows where)")
        return 1
