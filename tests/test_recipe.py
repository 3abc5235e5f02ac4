"""The recipe: values by the type of their field, layers, messages, and TOML that runs again."""

from __future__ import annotations

import json
import math
import re
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from foretell import objectives
from foretell.errors import InputError
from foretell.recipe import Recipe, budget_settings, objective_settings
from foretell.recipe_values import interpret, keys, shown, words, words_for
from foretell.settings import Settings
from foretell.verbs.kinds import usual_training

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


def load(*overrides: str, file: str | Path | None = None, **options: object) -> Recipe:
    return Recipe.load(file, {key.replace("__", "."): value for key, value in options.items()}, overrides)


def message(*overrides: str, file: str | Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load(*overrides, file=file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# a text by its type ----------------------------------------------------------------------------------------


def test_no_is_norwegian_where_the_field_is_text_and_an_error_where_it_is_a_truth_value() -> None:
    assert interpret("no", str) == "no"
    assert interpret("no,fi", list[str]) == ["no", "fi"]
    assert interpret("[no, fi]", list[str]) == ["no", "fi"]
    assert load("data.labels=no").data.labels == "no"
    assert load("data.columns.lang=no").data.columns == {"lang": "no"}
    for wrong in ("no", "yes", "1", "True", "on"):
        assert "expected true or false" in message(f"training.nesterov={wrong}")


@given(TEXT)
def test_a_text_field_keeps_every_text_as_it_is(text: str) -> None:
    assert interpret(text, str) == text


@given(st.integers())
def test_whole_numbers(number: int) -> None:
    assert interpret(str(number), int) == number
    assert interpret(str(number), int | None) == number
    value = interpret(str(number), float)
    assert isinstance(value, float)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers(number: float) -> None:
    assert interpret(repr(number), float) == number


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400"])
def test_a_number_that_is_not_finite_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        interpret(text, float)


@given(
    st.floats().filter(lambda number: math.isnan(number) or number != int(number) if math.isfinite(number) else True)
)
def test_a_number_that_is_not_whole_is_no_whole_number(number: float) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        interpret(repr(number), int)


@given(TEXT.filter(lambda text: text not in ("true", "false")))
def test_only_true_and_false_are_truth_values(text: str) -> None:
    with pytest.raises(ValueError, match="is not true or false"):
        interpret(text, bool)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_lists_as_words_and_as_toml_are_the_same(numbers: list[float]) -> None:
    plain = ",".join(map(repr, numbers))
    assert interpret(plain, list[float]) == numbers
    assert interpret(json.dumps(numbers), tuple[float, ...]) == numbers


@given(st.dictionaries(st.sampled_from(["label", "group", "case"]), st.sampled_from(["no", "yes", "diagnosis", "1"])))
def test_tables_as_pairs_and_as_toml_are_the_same(pairs: dict[str, str]) -> None:
    plain = ",".join(f"{key}={value}" for key, value in pairs.items())
    toml = "{" + ", ".join(f'{key} = "{value}"' for key, value in pairs.items()) + "}"
    assert interpret(plain, dict[str, str]) == interpret(toml, dict[str, str]) == pairs


def test_a_number_or_a_word() -> None:
    assert load("training.rate=auto").training.rate == "auto"
    assert load("training.rate=0.5").training.rate == 0.5
    assert load("training.rate=1").training.rate == 1.0


def test_an_empty_value_is_none_where_none_is_allowed() -> None:
    assert load("training.clip=").training.clip is None
    assert "expected a whole number of at least 1, not ''" in message("training.batch=")


# keys and messages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("training.epoch=5", "training.epochs"),
        ("epochs=5", "training.epochs"),
        ("objective.temprature=1", "objective.temperature"),
        ("views.blur=0", "objective.views.blur"),
        ("encoder.nmae=x", "encoder.name"),
        ("data.colums.label=x", "data.columns"),
    ],
)
def test_an_unknown_key_gets_the_nearest(given: str, near: str) -> None:
    text = message(given)
    assert text.startswith(f"--set {given}: unknown key '{given.partition('=')[0]}'; did you mean '{near}'?")


def test_a_key_unlike_all_others_gets_none_by_the_name_of_its_table() -> None:
    assert "unknown key 'objective.hole'. Known in objective: " in message("objective.hole=3")
    assert "unknown key 'training.nonsense'. Known" in message("training.nonsense=1")


def test_a_setting_of_another_objective_is_told_as_such() -> None:
    said = message("objective=context_encoder", "objective.temperature=0.2")
    assert (
        "unknown key 'objective.temperature': a setting of simclr, micle, and the objective is context_encoder." in said
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("training.schedule=cosin", "expected 'cosine', 'linear' or 'constant', not 'cosin'; did you mean 'cosine'?"),
        ("encoder.stem=smal", "expected 'auto', 'standard' or 'small', not 'smal'; did you mean 'small'?"),
        ("training.batch=0", "expected a whole number of at least 1, not 0"),
        ("training.batch=2.5", "expected a whole number of at least 1, not '2.5'"),
        ("training.momentum=1", "expected a number of at least 0 and below 1, not 1"),
        ("objective.temperature=0", "expected a number above 0, not 0"),
        ("objective.views.scale=1", "expected 2 numbers, not '1'"),
        ("training=3", "expected a table, not 3"),
        ("training.rate=fast", "expected a number or 'auto', not 'fast'; did you mean 'auto'?"),
        ("training.epochs=inf", "expected a number above 0, not 'inf'"),
        ("training.epochs=1e400", "expected a number above 0, not '1e400'"),
        ("transfer.rates=1e-3,1e-4", "give a lowest and a highest value above 0, not (0.001, 0.0001)"),
        ("transfer.search.budget=5 steps", "'5 steps' is not a time; write it as 90s, 5m or 2h"),
        ("expected.value=3", "expected.metric: expected text, but it is not given"),
    ],
)
def test_a_wrong_value_says_what_was_expected(given: str, expected: str) -> None:
    assert message(given) == f"--set {given}: {expected}"


def test_a_fault_in_a_table_is_that_of_the_setting_it_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[transfer]\nrates = [1e-3, 1e-4]\n")
    assert message("transfer.holdout=0.2", file=path).startswith(f"{path}: transfer: rates: give a lowest")
    with pytest.raises(InputError, match=r"^transfer.rates: give a lowest"):
        Recipe.load(None, {}, {"transfer": {"holdout": 0.2, "rates": [1e-3, 1e-4]}})


@pytest.mark.parametrize(
    ("key", "twice", "named"),
    [
        ("data.medical.planes", "axial,coronal,axial", "axial"),
        ("data.held_out", "domain=B,domain=B", "domain=B"),
        ("transfer.findings", "mass,mass", "mass"),
    ],
)
def test_a_value_that_is_twice_in_a_list_is_refused(key: str, twice: str, named: str) -> None:
    with pytest.raises(InputError, match=rf"^--set {key}={twice}: '{named}' is named twice; expected each once$"):
        Recipe.load(overrides=[f"{key}={twice}"])


def test_an_override_without_a_value() -> None:
    assert message("training.epochs") == "--set training.epochs: expected key=value, as training.epochs=50"


def test_an_unknown_objective_gets_the_nearest() -> None:
    assert "unknown objective 'simclar'; did you mean 'simclr'?" in message("objective=simclar")
    with pytest.raises(InputError, match="did you mean 'simclr'"):
        load(objective__name="simclar")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[training]\nepocs = 5\n", "unknown key 'training.epocs'; did you mean 'training.epochs'?"),
        ("[training]\nnesterov = 'no'\n", "training.nesterov: expected true or false, not 'no'"),
        ("[training]\nbatch = '64'\n", "training.batch: expected a whole number of at least 1, not '64'"),
        ("[objective]\nname = 'simclar'\n", "objective.name: unknown objective 'simclar'; did you mean 'simclr'?"),
        ("[objective]\ntemperatur = 1\n", "unknown key 'objective.temperatur'; did you mean 'objective.temperature'?"),
        ("[objective.views]\nblurr = 1\n", "unknown key 'objective.views.blurr'; did you mean 'objective.views.blur'?"),
        ("[training]\nepochs = 5\nsteps = 5\n", "training: give one budget, not epochs and steps"),
        ("training = 5\n", "training: expected a table, not 5"),
        ("[training]\nepochs = inf\n", "training.epochs: expected a number above 0, not inf"),
        ("[transfer]\nrates = [1e-3, 1e-4]\n", "transfer: rates: give a lowest and a highest value above 0"),
        ("[expected]\nvalue = 3\n", "expected.metric: expected text, but it is not given"),
        ("[training\n", "not TOML"),
    ],
)
def test_a_fault_in_a_file_names_the_file_and_the_key(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    found = message(file=path)
    assert found.startswith(f"{path}: ")
    assert expected in found


def test_a_missing_file_and_an_unknown_packaged_recipe(tmp_path: Path) -> None:
    assert message(file=tmp_path / "none.toml").startswith(f"{tmp_path / 'none.toml'}: the recipe cannot be read")
    assert "unknown recipe 'claimz'; did you mean 'claims'?" in message(file="claimz")


# layers ----------------------------------------------------------------------------------------------------


def test_later_layers_win(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nbatch = 64\nseed = 1\nweight_decay = 0.5\n")
    made = load("training.batch=16", file=path, training__batch=32, training__seed=2, training__rate=None)
    assert (made.training.batch, made.training.seed, made.training.weight_decay) == (16, 2, 0.5)


def test_a_table_within_a_mapping_sets_what_it_names_and_leaves_the_rest() -> None:
    given = {"training": {"batch": np.int64(8), "clip": np.float32(0.5)}, "objective": {"views": {"flip": 0.0}}}
    made = Recipe.load(None, {"training.steps": 3, "objective.views.side": 24}, given)
    assert (made.training.steps, made.training.batch, made.training.clip) == (3, 8, 0.5)
    views = made.objective.views
    assert (views.side, views.flip) == (24, 0.0)
    named = Recipe.load(
        None, {}, {"objective": {"name": "autoencoder", "noise": 0.3}, "data": {"columns": {"label": "x"}}}
    )
    assert (named.objective.name, named.objective.noise, named.data.columns) == ("autoencoder", 0.3, {"label": "x"})
    with pytest.raises(InputError, match=r"training.bach: unknown key 'training.bach'; did you mean 'training.batch'"):
        Recipe.load(None, {}, {"training": {"bach": 8}})


def test_a_budget_takes_the_place_of_the_one_below(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nepochs = 50\n")
    assert load("training.steps=3", file=path).training.epochs is None
    made = Recipe.load(path, budget_settings("5m"))
    assert (made.training.epochs, made.training.time) == (None, "5m")
    assert load("training.steps=3", training__time="5m").training.steps == 3
    assert "give one budget" in message("training.steps=3", "training.epochs=5")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5m", {"training.time": "5m"}),
        ("1.5h", {"training.time": "1.5h"}),
        ("50 epochs", {"training.epochs": 50.0}),
        ("1 epoch", {"training.epochs": 1.0}),
        ("3000steps", {"training.steps": 3000}),
        ("1 step", {"training.steps": 1}),
        ("1h30m", {"training.time": "1h30m"}),
    ],
)
def test_budgets(text: str, expected: dict[str, object]) -> None:
    assert budget_settings(text) == expected
    Recipe.load(options=budget_settings(text))


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "m",
        "5 minutes",
        "x steps",
        "2.5 steps",
        "",
        "-5m",
        "0s",
        "0 epochs",
        "0 steps",
        f"{10**400} steps",
        f"{10**400}h",
    ],
)
def test_wrong_budgets(text: str) -> None:
    with pytest.raises(InputError, match=f"--budget: '{text}' is not a budget; write it as 5m"):
        budget_settings(text)


def test_another_objective_starts_from_its_own_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[objective]\nname = 'simclr'\ntemperature = 0.7\n")
    assert load(file=path, objective__name="simclr").objective.model_dump()["temperature"] == 0.7
    other = load(file=path, objective__name="autoencoder")
    assert other.objective == objective_settings("autoencoder")()


def test_one_share_of_the_split_keeps_the_other() -> None:
    assert load("data.split.test=0.1").data.split == {"train": 0.8, "test": 0.1}


# TOML, schema and table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", objectives.names())
@given(
    batch=st.integers(1, 10**6),
    rate=st.one_of(st.just("auto"), st.floats(1e-9, 1e3)),
    clip=st.one_of(st.none(), st.floats(1e-3, 10)),
    probe_samples=st.one_of(st.none(), st.integers(1, 10**6)),
    columns=st.dictionaries(st.sampled_from(["label", "group"]), TEXT),
    mean=st.one_of(st.none(), st.lists(st.floats(0, 1), min_size=1, max_size=5)),
)
def test_a_recipe_written_and_read_is_the_same(name: str, **values: object) -> None:
    of_images = {"objective.views.mean": values["mean"]} if objectives.get(name).kind == "image" else {}
    made = Recipe.load(
        options={"objective.name": name},
        overrides={
            "training.batch": values["batch"],
            "training.rate": values["rate"],
            "training.clip": values["clip"],
            "transfer.probe_samples": values["probe_samples"],
            "data.columns": values["columns"],
            **of_images,
        },
    )
    text = made.to_toml()
    assert tomllib.loads(text)["training"]["batch"] == values["batch"]
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        assert Recipe.load(file.name) == made


def test_a_saved_recipe_loads_from_its_folder(tmp_path: Path) -> None:
    made = load("training.steps=7", "objective.views.side=28", "transfer.probe_samples=")
    made.save(tmp_path / "recipe.toml")
    assert Recipe.load(tmp_path / "recipe.toml") == made == Recipe.load(tmp_path)
    assert made.transfer.probe_samples is None
    assert "scale = [0.08, 1.0]" in (tmp_path / "recipe.toml").read_text()


RECIPES = sorted((Path(objectives.__file__).parents[1] / "recipes").glob("*.toml"))
UNMEASURED = {"dermatology", "xray"}  # views for data that cannot be shipped


def test_packaged_recipes_are_valid() -> None:
    assert RECIPES
    for path in RECIPES:
        Recipe.load(path.stem)


@pytest.mark.parametrize("name", objectives.names())
def test_an_objective_alone_has_the_optimiser_of_its_recipe(name: str) -> None:
    alone = Recipe.load(None, {"objective.name": name})
    alone = alone.changed(usual_training(alone))
    for path in RECIPES:
        if path.stem == name:
            told = Recipe.load(name).training
            assert (alone.training.optimizer, alone.training.betas) == (told.optimizer, told.betas)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_packaged_recipe_names_the_figure_it_reached_at_its_top(path: Path) -> None:
    text = path.read_text()
    top = " ".join(line.removeprefix("#").strip() for line in text[: text.index("\n\n")].splitlines())
    assert all(line.startswith("#") for line in text[: text.index("\n\n")].splitlines())
    if path.stem in UNMEASURED:
        assert "Not measured:" in top
        return
    reached = top[top.index("Reached") :]
    assert re.search(r"\d", reached)
    assert re.search(r"foretell (pretrain|demo)\b", top)


def test_a_run_of_the_same_name_does_not_take_a_packaged_recipe_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "recipe.toml").write_text("[training]\nsteps = 7\n")
    monkeypatch.chdir(tmp_path)
    assert Recipe.load("demo").training.steps == 300
    assert Recipe.load("./demo").training.steps == Recipe.load(Path("demo")).training.steps == 7


def test_the_table_names_every_setting() -> None:
    rows = {key: (kind, default, text) for key, kind, default, text in Recipe.settings_table("simclr")}
    assert rows["objective.temperature"][:2] == ("a number above 0", "0.1")
    assert rows["training.batch"][0] == "a whole number of at least 1"
    assert rows["data.split"][1] == "{train = 0.8, test = 0.2}"
    for key, (_, default, _) in rows.items():
        if key == "objective.name" or default == "" or key.startswith("expected."):
            continue
        load(f"{key}={default}")  # what the table shows can be typed


@pytest.mark.parametrize("objective", objectives.names())
def test_the_table_shows_the_defaults_of_a_run(objective: str) -> None:
    told = {key: default for key, _, default, _ in Recipe.settings_table(objective)}
    recipe = Recipe.load(None, {"objective.name": objective})
    views = getattr(recipe.objective, "views", None)
    for name in ("scale", "ratio", "interpolation", "jitter", "grey", "blur") if views is not None else ():
        assert told[f"objective.views.{name}"] == shown(getattr(views, name))
    assert told["training.batch"] == shown(recipe.training.batch)


def test_types_in_words() -> None:
    class Example(Settings):
        languages: list[str] = Field([])
        size: tuple[float, float] | None = None
        share: float = Field(0.5, ge=0, le=1)

    told = {key: words_for(field) for key, field in keys(Example, {})}
    assert told == {
        "languages": "a list of texts",
        "size": "2 numbers",
        "share": "a number of at least 0 and at most 1",
    }
    assert words(bool) == "true or false"
    assert shown([True, 0.5, "no"]) == "[true, 0.5, no]"


def test_a_setting_of_the_views_leaves_the_others_as_the_objective_has_them() -> None:
    for options in ({"objective.name": "autoencoder", "objective.views.side": 16}, {"objective.name": "autoencoder"}):
        views = Recipe.load(None, options).objective.views
        assert (views.side, views.jitter, views.scale) == (options.get("objective.views.side"), 0, (0.5, 1.0))
    again = Recipe.load(None, options, ["objective.views.jitter=0.3"]).objective.views
    assert (again.jitter, again.grey) == (0.3, 0)


def test_the_views_of_a_recipe_hold_for_another_pretext_task() -> None:
    recipe = Recipe.load("xray", {"objective.name": "micle"})
    assert recipe.objective.name == "micle"
    assert recipe.objective.views == Recipe.load("xray").objective.views  # type: ignore[attr-defined]
    assert Recipe.load("xray", {"objective.name": "bert"}).objective.name == "bert"  # which has none
