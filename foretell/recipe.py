"""The recipe: one typed model of everything that can be set. TOML in and out; unknown key or value: the nearest one.

A recipe is read in layers, the later one winning: published defaults, a recipe file, a verb's own options, ``--set``.
Types are never guessed from a value: ``languages=no`` is the text "no" where the field is text, and an error where it
is a truth value.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import tomli_w
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, create_model
from pydantic.fields import FieldInfo

import foretell.objectives as objectives
from foretell import toml_files
from foretell.data.medical.config import MedicalConfig
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError, unknown
from foretell.recipe_values import choices_of, interpret, keys, members, nearest_key, quoted, shown, table_of, words_for
from foretell.run import write_aside
from foretell.settings import Names, Settings
from foretell.train.budget import parse_budget
from foretell.train.config import TrainingConfig
from foretell.transfer.config import TransferConfig

BUDGETS = ("training.epochs", "training.steps", "training.time")


class DataConfig(Settings):
    """What is read and how it is split."""

    source: str | None = Field(
        None, description="a folder, manifest (CSV, JSONL, Parquet), .npy or .npz file, @animals or @emoji"
    )
    labels: str | None = Field(None, description="a CSV file with the columns path and label, joined by path")
    columns: dict[str, str] = Field(
        {}, description="the manifest's own column for each of ours, as columns.label=diagnosis"
    )
    side: int = Field(512, ge=4, description="pixels of the longest side kept in the store")
    channels: int | None = Field(None, ge=1, description="channels to convert to; default: what the images have")
    scale: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="of 16-bit PNG, TIFF and .npy: what values are multiplied by; default: the power of two that the largest "
        "one allows, which a run keeps for other data",
    )
    frames: int = Field(
        0,
        ge=0,
        description="above 0: sequences; every n-th frame of animations, TIFF, DICOM and video is an image, and group and order "
        "are taken from the names where no table says them; 0: of an animation and a TIFF the first frame",
    )
    documents: Literal["auto", "blank", "line", "file", "words"] = Field(
        "auto",
        description="of plain text: separated by blank lines, one a line, one a file, or cut every 1,000 words; auto: by "
        "the first lines",
    )
    sentences: Literal["auto", "line", "split", "whole"] = Field(
        "auto", description="one a line, found by punctuation, or not looked for; auto: by the first lines"
    )
    encoding: str = Field("utf-8", description="of text")
    max_unreadable: float = Field(0.01, ge=0, le=1, description="share of unreadable files that is passed over")
    workers: int | None = Field(None, ge=0, description="decoding processes; default: one a core")
    split: dict[str, float] = Field(
        {"train": 0.8, "test": 0.2},
        description="shares of the labelled rows in the split made when there is no split column, what they leave over being in "
        "no part; groups stay whole, and unlabelled rows are learnt from",
    )
    split_seed: int = Field(0, ge=0, lt=2**63, description="seed of the split, apart from the training seed")
    held_out: Names = Field(
        [],
        description="of images: domains that no training and no test part sees, as domain=B (a column of the table and its "
        "value), for judging there later",
    )
    medical: MedicalConfig = MedicalConfig()

    def reading(self) -> dict[str, Any]:
        """How images are read, as ``foretell.data.store.open_images`` takes it, but for what may be unreadable."""
        names = ("columns", "labels", "side", "channels", "scale", "frames", "medical", "workers")
        return {name: getattr(self, name) for name in names}


class ObjectiveSettings(Settings):
    """The pretext task: its name and the fields of its own Config."""

    name: str = "simclr"


_classes: dict[str, type[ObjectiveSettings]] = {}


def objective_settings(name: str) -> type[ObjectiveSettings]:
    """The settings class of the objective ``name``. Raises InputError when there is none."""
    if name not in _classes:
        config = objectives.get(name).Config
        make: Any = create_model  # its types do not foresee two bases
        made = make(config.__qualname__.replace(".", ""), __base__=(config, ObjectiveSettings), name=(str, name))
        made.__doc__ = config.__doc__
        _classes[name] = made
    return _classes[name]


def _choose_objective(value: Any) -> Any:
    if isinstance(value, ObjectiveSettings):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        return value  # pydantic says what it expected
    chosen = objective_settings(str(value.get("name", "simclr")))
    return chosen.model_validate_json(json.dumps(value, default=str), strict=True)


class Expected(Settings):
    """The figure this recipe reaches."""

    metric: str
    value: float
    seconds: float | None = None


class Recipe(Settings):
    """Everything that can be set, for one run."""

    expected: Expected | None = Field(None, description="the figure this recipe reaches")
    data: DataConfig = DataConfig()
    objective: Annotated[SerializeAsAny[ObjectiveSettings], BeforeValidator(_choose_objective)] = Field(
        default_factory=lambda: objective_settings("simclr")()
    )
    encoder: EncoderConfig = EncoderConfig()
    training: TrainingConfig = TrainingConfig()
    transfer: TransferConfig = TransferConfig()

    # reading and writing --------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        file: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
        overrides: Sequence[str] | Mapping[str, Any] = (),
    ) -> Recipe:
        """A recipe from ``file`` (a path, or the name of a packaged recipe), ``options`` and ``overrides``.

        ``options`` are dotted keys with values of the right type (None: not given). ``overrides`` are "key=value"
        texts, read by the type of the field, or a mapping of dotted keys to values. Raises InputError naming the file
        or option and the key.
        """
        tree: dict[str, Any] = {}
        where = "recipe"
        if file is not None:
            where, tree = read_toml(file)
        origins = _apply(tree, {key: value for key, value in (options or {}).items() if value is not None})
        origins |= _apply(tree, overrides)
        return _validated(tree, where, origins)

    def to_toml(self) -> str:
        """The recipe as TOML; what is None is left out, or written "" where the default is something else."""
        text = tomli_w.dumps(_plain(self))
        return re.sub(r"\[\n((?:    [^\n]+,\n)+)\]", _one_line, text)  # a list of numbers reads better on one line

    def save(self, path: str | Path) -> None:
        """Write ``to_toml`` aside and rename, with the command that runs it again on top."""
        path = Path(path)
        write_aside(path, f"# Run it again: foretell pretrain --recipe {path.name}\n\n{self.to_toml()}")

    def changed(self, overrides: Mapping[str, Any]) -> Recipe:
        """A copy with dotted keys set to values."""
        tree = _plain(self)
        origins = _apply(tree, overrides)
        return _validated(tree, "recipe", origins)

    # what is derived from the fields ---------------------------------------------------------------------------------

    @classmethod
    def settings_table(cls, objective: str = "simclr") -> list[tuple[str, str, str, str]]:
        """(dotted key, type in words, default, description) of every setting, with those of one objective."""
        rows: list[tuple[str, str, str, str]] = []
        recipe = cls.load(None, {"objective.name": objective})  # a table's defaults may differ from its fields'
        for key, field in keys(cls, {"objective": objective_settings(objective)}):
            default: Any = recipe
            for name in key.split("."):
                default = getattr(default, name, None)
            rows.append((key, words_for(field), "" if default is None else shown(default), field.description or ""))
        return rows


def read_toml(file: str | Path, kind: Literal["recipe", "pipeline"] = "recipe") -> tuple[str, dict[str, Any]]:
    """(what to call it, its tables) of a packaged recipe or pipeline by its name, or of a file or run. Raises InputError.

    A bare name is the packaged one's even where a run is called so, too: that one is ``./name``.
    """
    path = Path(file)
    folder = resources.files("foretell") / f"{kind}s"
    packaged = {item.name.removesuffix(".toml"): item for item in folder.iterdir() if item.name.endswith(".toml")}
    bare = not path.suffix and isinstance(file, str) and path.name == file
    if bare and (str(file) in packaged or not (path.is_file() or (path / "recipe.toml").is_file())):
        if str(file) not in packaged:
            raise unknown(kind, str(file), packaged)
        text, where = packaged[str(file)].read_text(), f"{kind} {file}"
    else:
        path = path / "recipe.toml" if path.is_dir() else path
        text, where = toml_files.text_of(path, kind), str(path)
    return where, toml_files.parsed(text, where)


def budget_settings(text: str) -> dict[str, Any]:
    """``training`` settings for a budget as ``parse_budget`` reads it. Raises InputError for anything else.

    >>> budget_settings("50epochs")
    {'training.epochs': 50.0}
    """
    try:
        return {f"training.{key}": value for key, value in parse_budget(text).items()}
    except InputError as error:
        raise InputError(f"--budget: {error}") from None


def _one_line(array: re.Match[str]) -> str:
    return "[" + ", ".join(line.strip().rstrip(",") for line in array[1].splitlines()) + "]"


# layers --------------------------------------------------------------------------------


class _Text(str):
    """A value as typed on the command line, still to be read by the type of its field."""


def _plain(model: Settings) -> dict[str, Any]:
    """TOML values of a model without None; "" stands for None where the default is something else."""
    tree: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, Settings):
            tree[name] = _plain(value)
        elif value is not None:
            tree[name] = list(value) if isinstance(value, tuple | list) else value
        elif not field.is_required() and field.get_default(call_default_factory=True) is not None:
            tree[name] = ""
    return tree


def _nones(tree: dict[str, Any], table: type[Any]) -> dict[str, Any]:
    """``tree`` with None where "" stands for it."""
    read = dict(tree)
    for name, value in tree.items():
        field = table.model_fields.get(name)
        inner = field and table_of(field.annotation)
        if inner and isinstance(value, dict):
            read[name] = _nones(value, inner)
        elif field and value == "" and type(None) in members(field.annotation):
            read[name] = None
    return read


def _objective_of(tree: Mapping[str, Any]) -> type[ObjectiveSettings]:
    chosen = tree.get("objective", {})
    return objective_settings(str(chosen.get("name", "simclr") if isinstance(chosen, Mapping) else chosen))


def _field(tree: Mapping[str, Any], key: str) -> FieldInfo | None:
    """The field at the dotted ``key`` (for a key inside a table of free names: a field for its value), or None."""
    table: Any = Recipe
    field: FieldInfo | None = None
    parts = key.split(".")
    for number, part in enumerate(parts):
        if table is None:  # not a table of settings: a dict's own key is the last part, or there is no such key
            kinds = [kind for kind in members(field.annotation) if get_origin(kind) is dict] if field else []
            return FieldInfo(annotation=get_args(kinds[0])[1]) if kinds and number == len(parts) - 1 else None
        field = table.model_fields.get(part)
        if field is None:
            return None
        table = _objective_of(tree) if key.startswith("objective") and number == 0 else table_of(field.annotation)
    return field


def _apply(tree: dict[str, Any], overrides: str | Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """Put ``overrides`` into ``tree``; returns key -> how it was given, for messages."""
    pairs: list[tuple[str, Any, str]] = []
    if isinstance(overrides, Mapping):
        pairs = [(key, value, key) for key, value in _flat_keys(tree, overrides)]
    else:
        for text in [overrides] if isinstance(overrides, str) else overrides:
            key, separator, value = text.partition("=")
            if not separator or not key:
                raise InputError(f"--set {text}: expected key=value, as training.epochs=50")
            pairs.append((key.strip(), _Text(value), f"--set {text}"))
    pairs.sort(key=lambda pair: pair[0] not in ("objective", "objective.name"))  # it decides what the others mean
    given = {key for key, _, _ in pairs}
    for key, value, origin in pairs:
        _check_letters(value, origin)
        if key in ("objective", "objective.name") and isinstance(value, str):
            try:
                chosen = objective_settings(str(value))
            except InputError as error:
                raise InputError(f"{origin}: {error}" if origin.startswith("--set") else str(error)) from None
            if _objective_of(tree) is not chosen:
                # settings of another pretext task mean nothing here, but for views, where it has them too
                views = tree.get("objective", {}).get("views") if "views" in chosen.model_fields else None
                tree["objective"] = {} if views is None else {"views": views}
            _put(tree, "objective.name", str(value))
            continue
        field = _field(tree, key)
        if field is None:
            raise _unknown_key(origin, key, tree)
        if isinstance(value, _Text):
            try:
                value = interpret(str(value), field.annotation)
            except ValueError:
                raise _wrong_value(origin, key, field, str(value)) from None
        for other in BUDGETS if key in BUDGETS else ():
            if other not in given:  # a budget takes the place of the one in the layer below
                tree.get("training", {}).pop(other.partition(".")[2], None)
        for name in ("data.split", "data.columns"):  # one name of a table keeps the others
            if key.startswith(f"{name}."):
                inner = tree.setdefault("data", {})
                inner.setdefault(name.partition(".")[2], dict(getattr(DataConfig(), name.partition(".")[2])))
        _put(tree, key, _simple(value))
    return {key: origin for key, _, origin in pairs}


def _flat_keys(tree: Mapping[str, Any], values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value): a table within ``values`` stands for its settings, and leaves the others as they are."""
    for name, value in values.items():
        key = f"{before}{name}"
        field = _field(tree, key)
        if isinstance(value, Mapping) and (key == "objective" or (field and table_of(field.annotation))):
            yield from _flat_keys(tree, value, f"{key}.")
        else:
            yield key, value


def _check_letters(value: Any, origin: str) -> None:
    """Raises InputError for the name of a file whose bytes are no UTF-8: TOML has no way to write it."""
    if isinstance(value, str | Path) and not str(value).isascii():
        try:
            str(value).encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{origin}: {str(value)!a} is not UTF-8, so that no recipe can hold it; rename it"
            ) from None


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for name in tables:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            raise InputError(f"{key}: '{name}' is not a table here; write it as [{name}]")
        tree = inner
    tree[last] = value


def _simple(value: Any) -> Any:
    """``value`` as TOML has it: a path as text, numbers of numpy as plain ones."""
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _validated(tree: dict[str, Any], where: str, origins: Mapping[str, str]) -> Recipe:
    chosen = tree.get("objective")
    try:
        _objective_of(tree)
    except InputError as error:
        raise InputError(f"{where}: objective.name: {error}") from None
    tree = _nones(tree, Recipe)
    if isinstance(chosen, dict):
        tree["objective"] = _nones(chosen, _objective_of(tree))
    try:
        # strict JSON has TOML's idea of types: no text becomes a number or a truth value, and lists become tuples
        return Recipe.model_validate_json(json.dumps(tree, default=str), strict=True)
    except ValidationError as error:
        raise _message(error, tree, where, origins) from None


# messages --------------------------------------------------------------------------------


def _flat(error: ValidationError, before: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for found in error.errors():
        inner = found.get("ctx", {}).get("error")
        if isinstance(inner, ValidationError):  # the objective's own settings
            yield from _flat(inner, (*before, *found["loc"]))
        else:
            yield (*before, *found["loc"]), found


def _message(error: ValidationError, tree: dict[str, Any], where: str, origins: Mapping[str, str]) -> InputError:
    loc, found = next(_flat(error))
    parts: list[str] = []
    for part in loc:  # up to the field: what follows names the member of a union or the place in a list
        if _field(tree, ".".join([*parts, str(part)])) is None and found["type"] != "extra_forbidden":
            break
        parts.append(str(part))
    key, given = _given_as(".".join(parts), found, tree, origins)
    origin = given or where
    if found["type"] == "extra_forbidden":
        return _unknown_key(origin, key, tree)
    field = _field(tree, key)
    if found["type"] == "missing" and field is not None:
        return InputError(f"{origin}: {key}: expected {words_for(field)}, but it is not given")
    if found["type"] == "value_error" or field is None:
        told = found["msg"].removeprefix("Value error, ").removeprefix(f"{key.rpartition('.')[2]}: ")
        return InputError(f"{origin}:{_named(origin, key)} {told}")
    value: Any = tree
    for name in parts:
        value = value.get(name) if isinstance(value, dict) else None
    return _wrong_value(origin, key, field, value)


def _given_as(key: str, found: Any, tree: Mapping[str, Any], origins: Mapping[str, str]) -> tuple[str, str | None]:
    """(key, how it was given) of what the fault ``found`` at ``key`` comes from, None where it was not given apart.

    A fault of a whole table is that of the setting in it that its message names; one that is missing, that of what was given
    beside it.
    """
    given = [origin for name, origin in origins.items() if key == name or key.startswith(f"{name}.")]
    if given:
        return key, given[0]
    if found["type"] == "value_error":
        places = {  # where the message names a setting of the table: the first is the one that it begins with
            name: re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", found["msg"].removeprefix("Value error, "))
            for name in origins
            if name.startswith(f"{key}.")
        }
        named = min(((place.start(), name) for name, place in places.items() if place), default=None)
        if named is not None:
            return named[1], origins[named[1]]
    table = key.rpartition(".")[0]
    if found["type"] == "missing" and table:
        beside = [origins.get(f"{table}.{name}") for name in _table_at(tree, table)]
        return key, beside[0] if beside and None not in beside else None
    return key, None


def _table_at(tree: Any, key: str) -> dict[str, Any]:
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def _named(origin: str, key: str) -> str:
    """The key, where ``origin`` does not name it already."""
    return "" if origin == key or origin.startswith(f"--set {key}=") else f" {key}:"


def _wrong_value(origin: str, key: str, field: FieldInfo, value: Any) -> InputError:
    choices = choices_of(field.annotation)
    near = difflib.get_close_matches(value, choices, n=1, cutoff=0.4) if isinstance(value, str) else []
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return InputError(f"{origin}:{_named(origin, key)} expected {words_for(field)}, not {quoted(value)}{hint}")


def _unknown_key(origin: str, key: str, tree: Mapping[str, Any]) -> InputError:
    known = [name for name, _ in keys(Recipe, {"objective": _objective_of(tree)})]
    near = nearest_key(key, known)
    table = key.rpartition(".")[0]
    siblings = list(dict.fromkeys(name.removeprefix(f"{table}.") for name in known if name.startswith(f"{table}.")))
    if not siblings:
        table, siblings = "", list(Recipe.model_fields)
    chosen = _objective_of(tree).model_fields["name"].default
    others = [name for name in objectives.names() if name != chosen and _has(name, key)]
    if others:
        hint = f": a setting of {', '.join(others)}, and the objective is {chosen}."
    else:
        hint = f"; did you mean '{near}'?" if near else "."
    return InputError(
        f"{origin}: unknown key '{key}'{hint} Known{f' in {table}' if table else ''}: {', '.join(siblings)}"
    )


def _has(objective: str, key: str) -> bool:
    """Whether ``key`` is a setting of the pretext task."""
    return any(name == key for name, _ in keys(Recipe, {"objective": objective_settings(objective)}))
