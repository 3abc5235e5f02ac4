"""A small folder of real pictures, a run made of it, and the command line called in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_words import SMALL, Said
from PIL import Image

from foretell.cli import main
from foretell.data import embedded


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("FORETELL_PROGRESS", "plain")


@pytest.fixture
def foretell(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call the command line with words."""

    def call(*words: object) -> Said:
        capfd.readouterr()
        status = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Said(status, out, err)

    return call


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 of the embedded animals, of four classes, as PNG files in class folders."""
    images, table = embedded.load("animals")
    labels = np.array(table.column("label"))
    folder = tmp_path_factory.mktemp("pictures")
    for label in sorted(set(labels))[:4]:
        (folder / label).mkdir()
        for number, row in enumerate(np.flatnonzero(labels == label)[:50]):
            Image.fromarray(images[row].squeeze()).save(folder / label / f"{label}{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def flat(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures without class folders."""
    folder = tmp_path_factory.mktemp("flat")
    for path in pictures.glob("*/*.png"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="session")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three steps on ``pictures``."""
    patch = pytest.MonkeyPatch()
    patch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert main(["pretrain", str(pictures), "--out", str(folder), *SMALL]) == 0
    patch.undo()
    return folder


@pytest.fixture
def moved(run: Path, pictures: Path, tmp_path: Path) -> tuple[Path, Path]:
    """(a copy of ``run`` whose data is gone from tmp_path/"gone", where a copy of its data lies now)."""
    copy, place = tmp_path / "copy", tmp_path / "moved"
    shutil.copytree(run, copy)
    shutil.copytree(pictures, place)
    recipe = (copy / "recipe.toml").read_text()
    (copy / "recipe.toml").write_text(recipe.replace(str(pictures), str(tmp_path / "gone")))
    return copy, place
