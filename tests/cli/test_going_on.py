"""A run goes on where its start has gone or it was killed as it began; a lost file and an edited recipe are named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_words import SMALL, Said, refused

import foretell as package
from foretell.verbs.text_pretraining import Texts
from foretell.verbs.word_pretraining import Words

Call = Callable[..., Said]
TINY = [
    "objective.network.layers=1", "objective.network.width=16", "objective.network.heads=2", "objective.length=16",
    "training.precision=float32", "training.batch=4",
]  # fmt: skip
WORDS = ["objective.min_count=1", "training.threads=1"]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("notes") / "notes.txt"
    file.write_text("".join(f"The {who} walks to the {what}. It is noon.\n" for who in "abcdef" for what in "uvwxyz"))
    return file


def trained(notes: Path, out: Path, objective: str = "gpt", **more: object) -> Path:
    given = WORDS if objective == "word2vec" else TINY
    package.pretrain(notes, objective=objective, out=out, budget="2 steps", set=given, **more)  # type: ignore[arg-type]
    return out


@pytest.fixture(scope="module")
def started(notes: Path) -> Path:
    """A run of gpt that others are copies of."""
    return trained(notes, notes.parent / "gpt")


def edited(run: Path, old: str, new: str) -> None:
    text = (run / "recipe.toml").read_text()
    assert old in text
    (run / "recipe.toml").write_text(text.replace(old, new))


def test_text_goes_on_where_the_start_has_gone(notes: Path, started: Path, tmp_path: Path, foretell: Call) -> None:
    start = Path(shutil.copytree(started, tmp_path / "start"))
    for objective, tasks in (("gpt", []), ("bert", ["objective.tasks=both"])):
        if objective == "bert":
            start = trained(notes, tmp_path / "first", "bert")
        run = tmp_path / objective
        package.pretrain(notes, objective=objective, out=run, weights=start, budget="2 steps", set=[*TINY[3:], *tasks])
        before = (run / "encoder" / "model.safetensors").read_bytes()
        start.rename(tmp_path / f"{objective} moved")
        assert foretell("pretrain", "--resume", run).status == 0
        assert (run / "encoder" / "model.safetensors").read_bytes() == before


def test_images_go_on_where_the_start_has_gone(run: Path, pictures: Path, tmp_path: Path, foretell: Call) -> None:
    start = Path(shutil.copytree(run, tmp_path / "start"))
    assert foretell("pretrain", pictures, "--weights", start, "--out", tmp_path / "on", *SMALL[2:]).status == 0
    before = (tmp_path / "on" / "encoder" / "model.safetensors").read_bytes()
    start.rename(tmp_path / "moved")
    assert foretell("pretrain", "--resume", tmp_path / "on").status == 0
    assert (tmp_path / "on" / "encoder" / "model.safetensors").read_bytes() == before
    assert f'weights = "{start}"' in (tmp_path / "on" / "recipe.toml").read_text()


@pytest.mark.parametrize("name", ["tokenizer.json", "split.json"])
def test_a_file_that_was_lost_is_named(name: str, started: Path, tmp_path: Path, foretell: Call) -> None:
    run = Path(shutil.copytree(started, tmp_path / "run"))
    (run / name).unlink()
    refused(foretell("pretrain", "--resume", run), f"{run}: holds no {name}", "put back a copy")


def test_a_run_that_was_killed_as_it_began_is_begun_anew(
    notes: Path, tmp_path: Path, foretell: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for kind, objective in ((Texts, "gpt"), (Words, "word2vec")):
        run = tmp_path / objective
        with monkeypatch.context() as patched:
            patched.setattr(kind, "begin", killed)
            with pytest.raises(KeyboardInterrupt):
                trained(notes, run, objective)
        refused(foretell("pretrain", notes, "--out", run), "go on with it by --resume")
        assert foretell("pretrain", "--resume", run).status == 0
        whole = trained(notes, tmp_path / f"whole {objective}", objective)
        for path in (whole / "encoder").iterdir():
            assert (run / "encoder" / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_edited_setting_is_named_and_the_text_is_not_blamed(
    notes: Path, started: Path, tmp_path: Path, foretell: Call
) -> None:
    run = Path(shutil.copytree(started, tmp_path / "run"))
    edited(run, 'documents = "auto"', 'documents = "file"')
    was = f"{run / 'recipe.toml'}: data.documents was 'auto' when this run began and is 'file' now"
    refused(foretell("pretrain", "--resume", run), was)
    words = trained(notes, tmp_path / "words", "word2vec")
    edited(words, "min_count = 1", "min_count = 3")
    refused(foretell("pretrain", "--resume", words), "objective.min_count was 1 when this run began and is 3 now")


def test_a_refused_resume_leaves_the_run_as_it_is(notes: Path, started: Path, tmp_path: Path, foretell: Call) -> None:
    run = Path(shutil.copytree(started, tmp_path / "run"))
    edited(run, "batch = 4", "batch = 6")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    refused(foretell("pretrain", "--resume", run), "training.batch was 4 when this run began and is 6 now")
    assert {path: path.read_bytes() for path in before} == before


def test_another_objective_in_the_recipe_is_named(run: Path, started: Path, tmp_path: Path, foretell: Call) -> None:
    for place, own, other in ((started, "gpt", "bert"), (started, "gpt", "simclr"), (run, "simclr", "autoencoder")):
        copy = Path(shutil.copytree(place, tmp_path / f"{own} {other}"))
        edited(copy, f'name = "{own}"', f'name = "{other}"')
        was = f"{copy / 'recipe.toml'}: objective.name was '{own}' when this run began and is '{other}' now"
        refused(foretell("pretrain", "--resume", copy), was)
