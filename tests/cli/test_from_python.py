"""What a caller in Python meets: values held against the signature, one line for a wrong one, its random numbers left alone.

mypy reads this file with the package, as the types that a caller sees.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pytest
import torch
from full_disk import largest_file  # type: ignore[import-not-found]
from numpy.typing import NDArray

import foretell as package
from foretell.errors import ForetellError, InputError
from foretell.recipe import Recipe

PIXELS = np.zeros((20, 32, 32, 3), np.uint8)


@pytest.mark.parametrize(
    ("verb", "given", "named", "message"),
    [
        ("pretrain", [PIXELS], {}, "DATA: expected text or a path or None, not a value of type ndarray (a folder"),
        ("pretrain", ["photos"], {"budget": 20}, "--budget: expected text or None, not 20 (90s, 5m, 2h, '50 epochs'"),
        ("pretrain", ["photos"], {"objective": 3}, "--objective: expected text or None, not 3"),
        ("pretrain", ["photos"], {"out": 3}, "--out: expected text or a path or None, not 3"),
        (
            "pretrain",
            ["photos"],
            {"set": 3},
            "--set: expected text or a list of texts or a dictionary whose keys are texts, not 3",
        ),
        (
            "pretrain",
            ["photos"],
            {"set": [3]},
            "--set: expected text or a list of texts or a dictionary whose keys are texts, not [3]",
        ),
        (
            "pretrain",
            ["photos"],
            {"set": {1: 2}},
            "--set: expected text or a list of texts or a dictionary whose keys are texts, not {1: 2}",
        ),
        ("pretrain", ["photos"], {"batch": True}, "--batch: expected a whole number or None, not True"),
        ("pretrain", ["photos"], {"resume": "runs/a"}, "--resume: expected True or False, not 'runs/a'"),
        ("evaluate", [None], {}, "RUN: expected text or a path, not None"),
        ("evaluate", ["runs/a"], {"per_class": [1, 5]}, "--per-class: expected text, not [1, 5] (numbers of labels"),
        ("evaluate", ["runs/a"], {"arms": ["probe"]}, "--arms: expected text, not ['probe'] (arms of the comparison"),
        ("neighbours", ["runs/a"], {"k": 2.5}, "--k: expected a whole number, not 2.5 (how many neighbours)"),
        ("inpaint", ["runs/a", "a.png"], {"box": (1, 2, 3, 4)}, "--box: expected text or None, not (1, 2, 3, 4)"),
        ("export", ["runs/a", "b"], {"format": "torch"}, "--format: unknown value 'torch'. Known: timm, onnx"),
        ("objectives", [3], {}, "NAME: expected text or None, not 3 (one task: its settings too)"),
        ("reproduce", ["simclr-head"], {"seeds": [0, 1]}, "--seeds: expected a whole number or text, not [0, 1]"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_line(
    verb: str, given: list[Any], named: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        getattr(package, verb)(*given, **named)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_none_is_refused_as_python_does() -> None:
    with pytest.raises(TypeError, match=r"pretrain\(\) got an unexpected keyword argument 'bugdet'"):
        package.pretrain("photos", bugdet="5m")  # type: ignore[call-arg]
    with pytest.raises(AttributeError) as caught:
        package.pretrian  # type: ignore[attr-defined]  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("pretrian", package)  # what Python's "Did you mean" needs


def test_a_verb_is_one_function_with_the_signature_of_the_command_line() -> None:
    assert package.pretrain is package.pretrain
    assert inspect.unwrap(package.pretrain).__module__ == "foretell.verbs.pretrain"
    assert inspect.signature(package.pretrain) == inspect.signature(inspect.unwrap(package.pretrain))


def test_whole_numbers_of_numpy_are_whole_numbers(run: Path, pictures: Path, tmp_path: Path) -> None:
    made = package.pretrain(
        pictures,
        out=tmp_path / "python",
        encoder="resnet_tiny",
        batch=np.int64(32),  # type: ignore[arg-type]
        budget="1 steps",
        set={"training": {"precision": "float32", "layout": "contiguous", "clip": np.float32(0.5)}},
    )
    training = Recipe.load(made.run).training
    assert (training.batch, training.steps, training.clip) == (32, 1, 0.5)
    assert len(package.neighbours(run, "bird/bird00.png", k=np.int32(2))[0]["neighbours"]) == 2  # type: ignore[arg-type]


def test_what_is_given_back_has_the_types_of_the_signature(run: Path, tmp_path: Path) -> None:
    features = assert_type(package.embed(run, out=tmp_path / "features.npz"), NDArray[np.float32])
    assert features.dtype == np.float32
    assert assert_type(package.objectives("simclr"), list[dict[str, str]])[0]["name"] == "simclr"
    assert assert_type(package.report(run), Path).name == "report.html"
    assert assert_type(package.export(run, tmp_path / "exported", format="timm"), Path).is_dir()


def test_an_export_that_fails_leaves_nothing_begun(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "new", tmp_path / "empty"):
        with largest_file(20_000), pytest.raises(ForetellError, match="could not be written"):
            package.export(run, target)
        assert target.exists() == (target.name == "empty")
        assert package.export(run, target) == target


def test_the_random_numbers_of_the_caller_go_on_where_they_were(run: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    package.finetune(run, out=tmp_path / "tuned", compare=False, trials=1, set={"transfer.steps": 2})
    package.embed(run, out=tmp_path / "features.npz")
    assert torch.equal(torch.get_rng_state(), before)
