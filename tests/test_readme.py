"""Every block of README.md and docs/python.md is run as written, with small budgets; every packaged recipe trains."""

from __future__ import annotations

import csv
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foretell import cli, objectives
from foretell.data.embedded import load
from foretell.recipe import Recipe

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
README = (ROOT / "README.md").read_text()
PYTHON = (ROOT / "docs/python.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README + PYTHON, re.S)
SHORT = {"5m": "3 steps"}
FEWER = {"finetune": ["--per-class", "2", "--seeds", "2", "--trials", "2", "--set", "transfer.steps=3"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/ (96 real pictures), labels.csv for them, manifest.csv with a patient's two images, notes.txt (our own pages) and
    posts.csv (their paragraphs)."""
    path = tmp_path_factory.mktemp("readme")
    (path / "notes.txt").write_text("\n\n".join(page.read_text() for page in DOCS))
    told = [(part, page.stem) for page in DOCS[:4] for part in page.read_text().split("\n\n") if len(part) > 60]
    with open(path / "posts.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((" ".join(part.split()), page) for part, page in told)])
    images, table = load("emoji")
    codes, classes = table.codes("label")
    order = np.concatenate([np.flatnonzero(codes == code)[:32] for code in np.argsort(-np.bincount(codes))[:3]])
    (path / "photos").mkdir()
    rows = []
    for number, row in enumerate(order):
        name = "example.png" if number == 0 else f"{number:03d}.png"
        Image.fromarray(images[row]).resize((32, 32)).save(path / "photos" / name)
        rows.append((name, classes[codes[row]], f"patient {number // 2}"))
    with open(path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((name, label) for name, label, _ in rows)])
    with open(path / "manifest.csv", "w", newline="") as file:
        header = ("path", "diagnosis", "patient")
        csv.writer(file).writerows([header, *((f"photos/{name}", label, who) for name, label, who in rows)])
    return path


def test_the_blocks_run_as_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one folder, since later blocks use what earlier ones made; those in Python name what earlier ones named."""
    monkeypatch.chdir(folder)
    assert len(BLOCKS) >= 4
    names: dict[str, Any] = {}
    for language, block in BLOCKS:
        if language == "python":
            exec(compile(block.replace("20 steps", "2 steps"), "a page", "exec"), names)
            continue
        for line in block.strip().splitlines():
            program, verb, *words = shlex.split(line)
            assert program == "foretell"
            words = [SHORT.get(word, word) for word in words] + FEWER.get(verb, [])
            assert cli.main([verb, *words]) == 0, line
    assert (folder / "runs/photos/report.html").is_file()
    assert (folder / "runs/photos/classifier/model.safetensors").is_file()
    told = re.findall(r"```python\n(.*?)```", (folder / "runs/photos/classifier/README.md").read_text(), re.S)[-1]
    exec(
        compile(told.replace('"classifier"', '"runs/photos/classifier"'), "the classifier's README", "exec"), own := {}
    )
    assert own["shares"].shape == (96, 3)
    assert np.load(folder / "features.npz")
    assert (folder / "exported/config.json").is_file()
    assert len(names["losses"]) == 3
    assert len(names["by_name"]) == len(names["shares"]) == 96
    assert {row["arm"] for row in names["rows"]} == {"pretrained", "probe", "scratch", "random"}
    assert names["encoder"].dim == names["kept"]["features"].shape[1]
    np.testing.assert_allclose(names["shares"].sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in DOCS)])
def test_links_and_pictures_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("name", objectives.names())
def test_every_objective_has_its_row(name: str) -> None:
    kind = objectives.get(name)
    told = " | ".join((kind.hides, kind.foretells, kind.needs, kind.good_for, kind.paper))
    rows = (ROOT / "docs/objectives.md").read_text().replace("`", "").splitlines()
    assert f"| [{name}](objectives/{name}.md) | {told} |" in rows
    assert f"`{name}`" in next(line for line in README.splitlines() if line.startswith("| objectives |"))


@pytest.mark.parametrize("path", sorted((ROOT / "foretell/recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_a_packaged_recipe_trains(path: Path, folder: Path, tmp_path: Path) -> None:
    recipe, out = Recipe.load(path.stem), tmp_path / "run"
    words = ["--recipe", path.stem, "--out", str(out), "--budget", "2 steps", "--batch", "32"]
    own, kind = [], objectives.get(recipe.objective.name).kind
    if not recipe.data.source:  # settings for one's own data
        text = kind != "image"
        own = [str(ROOT / "docs") if text else str(folder / "manifest.csv")]
        if not text:
            words += ["--set", "data.columns.label=diagnosis", "--set", "data.columns.group=patient"]
    assert cli.main(["pretrain", *own, *words]) == 0
    assert Recipe.load(out).training.steps == 2
    assert (out / "encoder" / ("vectors.bin" if kind == "words" else "model.safetensors")).is_file()


def test_the_extras_are_those_that_are_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].keys()
    code = [path for part in ("foretell", "benchmarks") for path in (ROOT / part).rglob("*.py")]
    texts = [README, *(path.read_text() for path in (*DOCS, *code))]
    named = {extra for text in texts for extra in re.findall(r"'foretell\[(\w+)\]'", text)}
    assert named == extras - {"dev"}
