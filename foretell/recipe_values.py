"""Values of settings: a text read by the type of its field, a type in words, and the keys of a model."""

from __future__ import annotations

import difflib
import math
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def members(annotation: Any) -> list[Any]:
    """The members of a union, flat and without ``Annotated``."""
    if typing.get_origin(annotation) is typing.Annotated:
        return members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [inner for member in typing.get_args(annotation) for inner in members(member)]
    return [annotation]


def table_of(annotation: Any) -> type[BaseModel] | None:
    """The model a field holds, None when the field is no table of settings."""
    for member in members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
    return None


def choices_of(annotation: Any) -> list[str]:
    """The literal values of a field as texts."""
    found = [m for m in members(annotation) if typing.get_origin(m) is Literal]
    return [shown(value) for member in found for value in typing.get_args(member)]


def keys(model: type[BaseModel], special: Mapping[str, type[BaseModel]]) -> Iterator[tuple[str, FieldInfo]]:
    """(dotted key, field) of every setting; ``special`` names the model to use for a field of the top level."""
    for name, field in model.model_fields.items():
        table = special.get(name) or table_of(field.annotation)
        if table is None:
            yield name, field
        else:
            yield from ((f"{name}.{inner}", found) for inner, found in keys(table, {}))


def nearest_key(wrong: str, known: typing.Sequence[str]) -> str | None:
    """The key meant by ``wrong``: one with the same last part, or a similar one."""
    last = wrong.rpartition(".")[2]
    same = [key for key in known if key.rpartition(".")[2] == last]
    # "views.blur" means that of the objective, which stands before the one of the transfer
    ending = [key for key in same if key.endswith(f".{wrong}")]
    if len(same) == 1 or ending:
        return (ending or same)[0]
    table = wrong.rpartition(".")[0]
    inside = [key for key in known if table and key.startswith(f"{table}.")]
    if same or not inside:
        near = difflib.get_close_matches(wrong, same or known, n=1, cutoff=0.6)
        if near:
            return near[0]
    # In one table its own parts are compared: whole keys are alike already by its name.
    tables = {key.removeprefix(f"{table}.").partition(".")[0]: key for key in reversed(inside)}
    beside = tables | {key.rpartition(".")[2]: key for key in inside}
    everywhere = {key.rpartition(".")[2]: key for key in known}
    for lasts, cutoff in ((beside, 0.6), (everywhere, 0.75)):
        near = difflib.get_close_matches(last, lasts, n=1, cutoff=cutoff)
        if near:
            return lasts[near[0]]
    return None


# a text by the type of its field --------------------------------------------------------------------------------


def interpret(text: str, annotation: Any) -> Any:
    """``text`` as a value of ``annotation``: by the type, never by what the text looks like.

    An empty text is None where None is allowed. Truth values are ``true`` and ``false`` only. Lists are
    comma-separated or TOML, tables are ``key=value`` pairs or TOML. Raises ValueError when the text is none of the
    members of the type.
    """
    wanted = members(annotation)
    if text == "" and type(None) in wanted:
        return None
    wanted = [member for member in wanted if member is not type(None)]
    for member in sorted(wanted, key=_last_is_text):  # text takes anything, so it is tried last
        try:
            return _as(text, member)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not {words(annotation)}")


def _last_is_text(member: Any) -> int:
    return 2 if member is str else 0 if typing.get_origin(member) is Literal else 1


def _as(text: str, member: Any) -> Any:
    origin, inner = typing.get_origin(member), typing.get_args(member)
    if origin is Literal:
        found = [value for value in inner if shown(value) == text]
        if not found:
            raise ValueError(text)
        return found[0]
    if member is bool:
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if member is int:
        return int(text)
    if member is float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    if origin in (list, tuple, set):
        return _list(text, inner)
    if origin is dict:
        return _table(text, inner[1])
    if member is str or member is Any:
        return text
    return _toml(text)  # a whole table of settings


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError) as error:  # no TOML, or a number of thousands of digits, or nested too deeply
        raise ValueError(text) from error


def _list(text: str, inner: tuple[Any, ...]) -> list[Any]:
    if text.startswith("["):
        try:
            value = _toml(text)
        except ValueError:
            if not text.endswith("]"):
                raise
            text = text[1:-1]  # [no, fi]: words without quotes
        else:
            assert isinstance(value, list)
            return value
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    kinds = list(inner) if inner and inner[-1] is not Ellipsis and len(inner) > 1 else [inner[0]] * len(parts)
    if len(kinds) != len(parts):
        raise ValueError(text)
    return [interpret(part, kind) for part, kind in zip(parts, kinds, strict=True)]


def _table(text: str, kind: Any) -> dict[str, Any]:
    if text.startswith("{"):
        value = _toml(text)
        if not isinstance(value, dict):
            raise ValueError(text)
        return value
    pairs = [part.partition("=") for part in text.split(",")] if text.strip() else []
    if not all(separator for _, separator, _ in pairs):
        raise ValueError(text)
    return {name.strip(): interpret(value.strip(), kind) for name, _, value in pairs}


# a type in words --------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A value as TOML would write it, texts without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def quoted(value: Any) -> str:
    """A value for a message: texts in quotes."""
    return f"'{value}'" if isinstance(value, str) else shown(value)


def words(annotation: Any) -> str:
    """A type in words: "a whole number", "'cosine' or 'constant'", "a list of numbers"."""
    texts = [_word(member) for member in members(annotation) if member is not type(None)]
    return " or ".join(dict.fromkeys(texts))


def _word(member: Any) -> str:
    origin, inner = typing.get_origin(member), typing.get_args(member)
    if origin is Literal:
        quoted = [f"'{shown(value)}'" for value in inner]
        return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    if origin in (list, tuple, set):
        kind = {int: "whole numbers", float: "numbers", str: "texts", bool: "truth values"}.get(inner[0], "values")
        many = origin is not tuple or inner[-1] is Ellipsis
        return f"a list of {kind}" if many else f"{len(inner)} {kind}"
    if origin is dict or (isinstance(member, type) and issubclass(member, BaseModel)):
        return "a table"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(member, "a value")


def words_for(field: FieldInfo) -> str:
    """The type of a field in words, with its range."""
    limits = []
    for rule in field.metadata:
        if isinstance(rule, annotated_types.Ge):
            limits.append(f"of at least {shown(rule.ge)}")
        elif isinstance(rule, annotated_types.Gt):
            limits.append(f"above {shown(rule.gt)}")
        elif isinstance(rule, annotated_types.Le):
            limits.append(f"at most {shown(rule.le)}")
        elif isinstance(rule, annotated_types.Lt):
            limits.append(f"below {shown(rule.lt)}")
    return " ".join([words(field.annotation), " and ".join(limits)]).strip()
