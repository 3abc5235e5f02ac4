"""The command line of a function is its signature: one declaration for the shell, for Python and for the docs.

Parameters before ``*`` are positional arguments, keyword-only ones are options; ``Annotated[type, Arg("help")]``
carries the help text, and the first paragraphs of the docstring say what the verb does. Only the standard library
is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import shutil
import textwrap
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from foretell.errors import InputError

Where = str | Path
Overrides = Sequence[str] | Mapping[str, Any]


@dataclass(frozen=True)
class Arg:
    """What the help says of a parameter; ``metavar`` stands for its value, ``short`` is a one-letter option."""

    help: str
    metavar: str | None = None
    short: str | None = None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a verb as the command line sees it.

    ``kind``: "text", "whole" (int), "number" (float), "flag" (bool), "choice" (Literal) or "many" (repeatable text), from
    its ``annotation``.
    """

    name: str
    arg: Arg
    kind: Literal["text", "whole", "number", "flag", "choice", "many"]
    choices: tuple[str, ...]
    positional: bool
    required: bool
    default: Any
    annotation: Any = str

    @property
    def shown(self) -> str:
        """How a message names it."""
        return self.metavar if self.positional else self.option

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def metavar(self) -> str:
        words = {"whole": "N", "number": "X", "choice": "|".join(self.choices)}
        return self.arg.metavar or (self.name.upper() if self.positional else words.get(self.kind, "TEXT"))

    @property
    def described(self) -> str:
        """The help with the default, unless the default is empty or off."""
        if self.default in (None, False, "", inspect.Parameter.empty) or self.kind == "many":
            return self.arg.help
        return f"{self.arg.help} (default: {'yes' if self.default is True else self.default})"

    def read(self, text: str) -> Any:
        """``text`` as the type of the parameter. Raises InputError naming the option."""
        if self.kind == "choice" and text not in self.choices:
            near = difflib.get_close_matches(text, self.choices, n=1, cutoff=0.4)
            hint = f"; did you mean '{near[0]}'?" if near else "."
            raise InputError(f"{self.shown}: unknown value '{text}'{hint} Known: {', '.join(self.choices)}")
        try:
            return {"whole": int, "number": float}.get(self.kind, str)(text)
        except ValueError:
            wanted = "a whole number" if self.kind == "whole" else "a number"
            raise InputError(f"{self.shown}: expected {wanted}, not '{text}'") from None


_BELOW_0 = re.compile(r"-\.?\d")


def members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def _kind(annotation: Any) -> tuple[Any, tuple[str, ...]]:
    named = [member for member in members(annotation) if member is not type(None)]
    for member in named:
        if typing.get_origin(member) is Literal:
            return "choice", tuple(str(value) for value in typing.get_args(member))
        if typing.get_origin(member) in (Sequence, list):
            return "many", ()
    for type_, kind in ((bool, "flag"), (int, "whole"), (float, "number")):
        if named == [type_]:
            return kind, ()
    return "text", ()


def parameters(verb: Callable[..., Any]) -> list[Parameter]:
    """The parameters of ``verb`` in order."""
    signature = inspect.signature(verb)
    # the return annotation may name what only a type checker imports
    own = types.SimpleNamespace(__annotations__={name: p.annotation for name, p in signature.parameters.items()})
    hints = typing.get_type_hints(own, globalns=verb.__globals__, include_extras=True)
    found = []
    for name, parameter in signature.parameters.items():
        hint = hints[name]
        if typing.get_origin(hint) is not typing.Annotated:
            continue  # for Python callers only
        annotation, arg = typing.get_args(hint)[:2]
        kind, choices = _kind(annotation)
        required = parameter.default is inspect.Parameter.empty
        positional = parameter.kind is not inspect.Parameter.KEYWORD_ONLY
        found.append(Parameter(name, arg, kind, choices, positional, required, parameter.default, annotation))
    return found


def paragraphs(verb: Callable[..., Any]) -> list[str]:
    """The docstring's paragraphs up to the first that is for programmers only ("Returns ...", "Raises ...")."""
    text: list[str] = []
    for block in inspect.cleandoc(verb.__doc__ or "").split("\n\n"):
        if block.startswith(("Returns", "Raises", ">>>")):
            break
        text.append(block)
    return text


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see '{self.prog} --help'")


def parser(name: str, verb: Callable[..., Any]) -> argparse.ArgumentParser:
    """The argument parser of a verb. Values stay text; ``read_arguments`` gives them their types."""
    width = min(shutil.get_terminal_size().columns, 110)
    built = _Parser(
        prog=f"foretell {name}",
        description="\n\n".join(textwrap.fill(" ".join(text.split()), width) for text in paragraphs(verb)),
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=width),
        allow_abbrev=False,
    )
    for parameter in parameters(verb):
        described = parameter.described.replace("%", "%%")
        if parameter.positional:
            shape: Any = "*" if parameter.kind == "many" else "?"
            built.add_argument(
                parameter.name, nargs=shape, default=argparse.SUPPRESS, metavar=parameter.metavar, help=described
            )
            continue
        names = [parameter.arg.short, parameter.option] if parameter.arg.short else [parameter.option]
        common: dict[str, Any] = {
            "dest": parameter.name,
            "default": argparse.SUPPRESS,
            "help": described,
        }
        if parameter.kind == "flag" and parameter.default is True:
            built.add_argument(*names, action=argparse.BooleanOptionalAction, **common)
        elif parameter.kind == "flag":
            built.add_argument(*names, action="store_true", **common)
        else:
            action = "append" if parameter.kind == "many" else "store"
            built.add_argument(*names, action=action, metavar=parameter.metavar, **common)
    built.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error")
    _shorten_usage(built, parameters(verb))
    return built


def _shorten_usage(built: argparse.ArgumentParser, known: Sequence[Parameter]) -> None:
    positional = [p.metavar if p.required else f"[{p.metavar}]" for p in known if p.positional]
    built.usage = " ".join(["%(prog)s", *positional, "[options]"])


def read_arguments(name: str, verb: Callable[..., Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments for ``verb`` from the words after its name.

    Raises InputError for an unknown option (with the nearest), a value of the wrong type and a missing argument.
    """
    known = {parameter.name: parameter for parameter in parameters(verb)}
    values, rest = parser(name, verb).parse_known_intermixed_args(_with_numbers(arguments, known.values()))
    for word in rest:
        if word.startswith("-") and word != "-":
            raise _unknown_option(name, word.partition("=")[0], known.values())
    if rest:
        option = known.get("data")
        hint = f"; did you mean '--data {rest[0]}'?" if option is not None and not option.positional else "."
        raise InputError(f"foretell {name}: one argument too many: '{rest[0]}'{hint} See 'foretell {name} --help'")
    read: dict[str, Any] = {}
    for key, value in vars(values).items():
        parameter = known[key]
        if parameter.positional and value in (None, []):
            continue
        if parameter.kind == "many":
            read[key] = list(value)
        else:
            read[key] = value if isinstance(value, bool) else parameter.read(value)
    for parameter in known.values():
        if parameter.required and parameter.name not in read:
            shown = parameter.metavar if parameter.positional else parameter.option
            raise InputError(f"foretell {name}: {shown} is missing: {parameter.arg.help}")
    return read


def _with_numbers(arguments: Sequence[str], known: typing.Collection[Parameter]) -> list[str]:
    """The words, with a value that begins as a number below 0 joined to its option: argparse takes "-1,8" for one itself."""
    takers = {
        name for one in known if not one.positional and one.kind != "flag" for name in (one.option, one.arg.short)
    }
    joined: list[str] = []
    for word in arguments:
        before = joined[-1] if joined else ""
        if before in takers and _BELOW_0.match(word) and "--" not in joined:
            joined[-1] = f"{before}={word}" if before.startswith("--") else before + word
        else:
            joined.append(word)
    return joined


def _unknown_option(name: str, word: str, known: typing.Collection[Parameter]) -> InputError:
    for parameter in known:
        if parameter.positional and word == parameter.option:
            return InputError(f"foretell {name}: {parameter.metavar} stands by itself, without '{word}'")
    options = [parameter.option for parameter in known if not parameter.positional] + ["--help", "--debug"]
    near = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return InputError(f"foretell {name}: unknown option '{word}'{hint} See 'foretell {name} --help'")
