"""A run folder that was cut, edited or mixed with another: one line that names the file, and nothing is lost or misread."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_words import Said, refused

from foretell.recipe import Recipe

Call = Callable[..., Said]


@pytest.fixture
def mine(run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return shutil.copytree(run, tmp_path / "run")


def rewrite(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (dict.clear, 'expected the texts "fingerprint" and "how"'),
        (lambda kept: kept.update(train="abc"), 'expected "train" as a list of row numbers, each once'),
        (lambda kept: kept["train"].append(kept["train"][0]), 'expected "train" as a list of row numbers, each once'),
        (lambda kept: kept["test"].append(-1), 'expected "test" as a list of row numbers, each once'),
        (lambda kept: kept["test"].append(True), 'expected "test" as a list of row numbers, each once'),
        (lambda kept: kept["test"].append(10**40), 'expected "test" as a list of row numbers, each once'),
        (lambda kept: kept["test"].append(200), '"test" has row 200, and the data 200 rows'),
        (lambda kept: kept["test"].append(kept["train"][0]), 'in "train" and in "test"'),
    ],
)
def test_an_edited_split_is_refused_by_all_who_read_it(
    foretell: Call, mine: Path, change: Callable[[Any], object], reason: str
) -> None:
    rewrite(mine / "split.json", change)
    refused(foretell("pretrain", "--resume", mine), f"{mine}/split.json: damaged or edited", reason, "put back a copy")
    refused(foretell("evaluate", mine), f"{mine}/split.json: damaged or edited", reason)


def test_a_probe_of_a_run_whose_images_have_changed_is_refused(foretell: Call, mine: Path) -> None:
    rewrite(mine / "split.json", lambda kept: kept.update(fingerprint="another"))
    refused(foretell("check", mine, "--shortcuts"), "have changed since the run was trained", "put them back")


def test_a_damaged_heartbeat_stops_nobody(foretell: Call, mine: Path) -> None:
    shutil.rmtree(mine / "encoder")
    (mine / "status.json").write_text('{"state": "fin')
    refused(foretell("evaluate", mine), "no encoder yet (the run is unfinished)", f"--resume {mine}")
    assert foretell("pretrain", "--resume", mine).status == 0
    assert json.loads((mine / "status.json").read_text())["state"] == "finished"


def test_a_recipe_of_another_network_is_refused(foretell: Call, mine: Path) -> None:
    recipe = mine / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"resnet_tiny"', '"resnet_small"'))
    refused(foretell("pretrain", "--resume", mine), f"{mine}/checkpoints/00000003.pt: is of another network")


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"data.split": {"train": 0.5, "test": 0.5}}, "data.split.test was 0.2 when this run began and is 0.5 now"),
        ({"data.split_seed": 7}, "data.split_seed was 0 when this run began and is 7 now"),
    ],
)
def test_a_recipe_of_another_division_is_refused(foretell: Call, mine: Path, other: dict[str, Any], told: str) -> None:
    Recipe.load(mine).changed(other).save(mine / "recipe.toml")
    before = (mine / "status.json").read_bytes()
    refused(foretell("pretrain", "--resume", mine), told, "resume with the run's own recipe")
    assert (mine / "status.json").read_bytes() == before
    rewrite(mine / "split.json", lambda kept: kept.pop("asked"))  # as of an earlier version, which did not keep it
    assert foretell("pretrain", "--resume", mine).status == 0


def test_a_recipe_as_other_editors_save_it_is_read(foretell: Call, mine: Path) -> None:
    recipe = mine / "recipe.toml"
    recipe.write_bytes(b"\xef\xbb\xbf" + recipe.read_bytes().replace(b"\n", b"\r\n"))
    assert foretell("report", mine).status == 0
    assert foretell("pretrain", "--resume", mine).status == 0
    for content in (b"a = " + b"9" * 5000, b"a = " + b"[" * 100_000):
        recipe.write_bytes(content)
        refused(foretell("report", mine), f"{recipe}: not TOML")
        refused(foretell("pretrain", "--resume", mine), f"{recipe}: not TOML")
