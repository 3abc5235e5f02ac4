"""A verb as a caller in Python meets it: what is given is held against its signature, as the command line does with words.

Only the standard library is imported here, so that ``import foretell`` stays light.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import operator
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foretell.errors import InputError
from foretell.options import Parameter, members, parameters

# what may be given for a type of a signature, with its name in a message
_ACCEPTED: dict[Any, dict[type[Any], str]] = {
    str: {str: "text"},
    Path: {os.PathLike: "a path"},
    bool: {bool: "True or False"},
    int: {numbers.Integral: "a whole number"},
    float: {numbers.Real: "a number"},
    Sequence: {str: "text", list: "a list of texts", tuple: "a list of texts"},
    Mapping: {Mapping: "a dictionary whose keys are texts"},
    type(None): {type(None): "None"},
}
SHOWN = 60  # letters of a value in a message


def checked(verb: Callable[..., Any]) -> Callable[..., Any]:
    """``verb`` with its arguments held against its signature.

    A whole number of numpy reaches it as a plain one. Raises InputError, naming the argument as the command line does and
    saying what it is, for a value of another type, and for one that is none of a few known ones; TypeError, as any
    function, for an argument that it does not have.
    """
    signature = inspect.signature(verb)
    known = {parameter.name: parameter for parameter in parameters(verb)}

    @functools.wraps(verb)
    def call(*given: Any, **named: Any) -> Any:
        try:
            bound = signature.bind(*given, **named)
        except TypeError as error:
            raise TypeError(f"{verb.__name__}() {error}") from None
        for name, value in bound.arguments.items():
            if name in known:
                bound.arguments[name] = _taken(known[name], value)
        return verb(*bound.args, **bound.kwargs)

    return call


def _taken(parameter: Parameter, value: Any) -> Any:
    accepted: dict[type[Any], str] = {}
    for member in members(parameter.annotation):
        accepted |= _ACCEPTED.get(typing.get_origin(member) or member, _ACCEPTED[str])
    if not _fits(value, accepted):
        wanted = " or ".join(dict.fromkeys(accepted.values()))
        raise InputError(f"{parameter.shown}: expected {wanted}, not {_brief(value)} ({parameter.arg.help})")
    if parameter.kind == "choice" and isinstance(value, str):
        return parameter.read(value)
    return operator.index(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else value


def _fits(value: Any, accepted: Mapping[type[Any], str]) -> bool:
    if isinstance(value, bool):  # which Python counts among the whole numbers
        return bool in accepted
    if isinstance(value, list | tuple):
        return type(value) in accepted and all(isinstance(item, str) for item in value)
    if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
        return False
    return isinstance(value, tuple(accepted))


def _brief(value: Any) -> str:
    """``value`` in one short line: an array or a picture by its type alone."""
    text = repr(value)
    return text if len(text) <= SHOWN and "\n" not in text else f"a value of type {type(value).__name__}"
