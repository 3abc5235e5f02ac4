"""A run reads the greys of other images as it read its own: scale and window, in every verb that opens some."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cli_words import SMALL, Said, refused
from dicom_files import saved, study
from PIL import Image

import foretell as package
from foretell.cli import main
from foretell.data import embedded
from foretell.encoders import load_encoder
from foretell.recipe import Recipe
from foretell.verbs import common

Call = Callable[..., Said]
SET = ["training.precision=float32", "training.layout=contiguous", "training.warmup=0"]
FEW = {"encoder": "resnet_tiny", "batch": 4, "budget": "2 steps"}
DARK, BRIGHT = 1899, 3999  # largest values of most images, and of one


def deep(folder: Path, *peaks: int) -> Path:
    """Animals in 16 bits whose values reach ``peaks``."""
    images, _ = embedded.load("animals")
    folder.mkdir()
    for at, peak in enumerate(peaks):
        share = images[at].squeeze() / images[at].max()
        Image.fromarray(np.rint(share * peak).astype(np.uint16)).save(folder / f"{at:02}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on images one of which is twice as bright as all others."""
    place = tmp_path_factory.mktemp("deep")
    patch = pytest.MonkeyPatch()
    patch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    assert (
        main(
            [
                "pretrain",
                str(deep(place / "a", *[DARK] * 9, BRIGHT)),
                "--out",
                str(place / "run"),
                *SMALL,
                "--batch",
                "4",
            ]
        )
        == 0
    )
    patch.undo()
    return place / "run"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The same images without the bright one."""
    return deep(tmp_path / "b", *[DARK] * 9)


def test_a_run_keeps_its_scale(run: Path) -> None:
    assert Recipe.load(run / "recipe.toml").data.scale == 16
    assert json.loads((run / "facts.json").read_text())["data"]["scale"] == 16
    own = json.loads((run / "encoder" / "config.json").read_text())["foretell"]
    assert (own["scale"], own["window"]) == (16, "file")


@pytest.mark.parametrize("place", ["", "encoder"])
def test_other_images_are_as_bright_as_the_run_saw_them(run: Path, other: Path, tmp_path: Path, place: str) -> None:
    expected = package.embed(run, out=tmp_path / "own.npy")[:9]
    found = package.embed(run / place, other, out=tmp_path / "other.npy")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    (near,) = package.neighbours(run / place, other / "04.png", k=1, data=run.parent / "a", out=tmp_path / "n.png")
    assert near["neighbours"][0]["name"] == "04.png"
    assert near["neighbours"][0]["similarity"] == pytest.approx(1, abs=1e-5)


def test_the_readme_says_how_pixels_of_16_bits_enter_timm(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = package.embed(run, out=tmp_path / "own.npy")[0]
    capfd.readouterr()
    package.export(run, tmp_path / "exported")
    assert "of 16 bits in PNG, TIFF and .npy: times 16 over 65535, so that 4095 is white" in capfd.readouterr().out
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image.png").write_bytes((run.parent / "a" / "00.png").read_bytes())
    readme = (tmp_path / "exported" / "README.md").read_text()
    made: dict[str, Any] = {}
    exec(next(block for block in re.findall(r"```python\n(.*?)```", readme, flags=re.S) if "image.png" in block), made)
    encoder, facts = load_encoder(tmp_path / "exported")
    mean, std = (torch.tensor(facts[name])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        found = encoder.pooled((made["pixels"] - mean) / std)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_image_too_bright_for_the_scale_is_named(foretell: Call, run: Path, tmp_path: Path) -> None:
    bright = deep(tmp_path / "c", DARK, 5000)
    words = "01.png: its values reach 5000, and data.scale=16 keeps those up to 4095; leave it out, or train with --set data.sc"
    refused(foretell("embed", run, bright, "--out", tmp_path / "f.npy"), words)
    refused(foretell("neighbours", run, bright / "01.png", "--out", tmp_path / "n.png"), words)


def test_an_image_outside_the_data_is_seen_by_the_window_of_the_run(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    films = study(tmp_path / "s", patients=5)
    package.pretrain(films, out=tmp_path / "run", set=[*SET, "data.medical.window=2000/3000"], **FEW)
    path = saved(tmp_path, pydicom.dcmread(films / "3" / "IM0001"), "copy.dcm")
    (near,) = package.neighbours(tmp_path / "run", path, k=1)
    assert near["neighbours"][0]["name"] == "3/IM0001"
    assert near["neighbours"][0]["similarity"] == pytest.approx(1, abs=1e-5)


def test_a_setting_given_for_other_data_leaves_the_window_of_the_run(tmp_path: Path) -> None:
    set = ["data.medical.salt=a text", "data.side=64"]
    Recipe.load(None, {}, ["data.medical.window=2000/3000"]).save(tmp_path / "recipe.toml")
    recipe = Recipe.load(tmp_path / "recipe.toml", {}, set)
    read: Any = SimpleNamespace(recipe=recipe, run=SimpleNamespace(path=tmp_path), encoder=SimpleNamespace(channels=1))
    found = common.data_for(read, tmp_path, overrides=set)
    assert (found.medical.window, found.side) == ("2000/3000", 64)
    assert found.medical.salt == Recipe.load(None, {}, set).data.medical.salt
