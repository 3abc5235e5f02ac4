"""Runs that were stopped, or whose data has moved, go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_words import SMALL, losses, refused

from foretell.recipe import Recipe
from foretell.run import Run
from foretell.train import loop
from foretell.verbs import image_pretraining

Call = Callable[..., Any]


def test_ctrl_c_says_how_to_go_on_and_resuming_finishes(
    foretell: Call, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.chdir(pictures.parent)

    def interrupt() -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            log = folder / "metrics.jsonl"
            if log.is_file() and '"kind": "step"' in log.read_text():
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.005)

    thread = threading.Thread(target=interrupt)
    thread.start()
    words = [word if word != "3 steps" else "30 steps" for word in SMALL]
    said = foretell("pretrain", pictures.name, "--out", folder, *words)
    thread.join()
    assert said.status == 130
    last = said.err.splitlines()[-1]
    assert last.startswith("interrupted; stopped at step ")
    assert last.endswith(f"go on with: foretell pretrain --resume {folder}")
    refused(
        foretell("embed", folder),
        f"no encoder yet (the run is stopped); go on with: foretell pretrain --resume {folder}",
    )
    held = Run.resume(folder)
    held.status("running")  # as a process leaves it that is killed
    refused(foretell("embed", folder), "no encoder yet, since it is still being trained; wait for it")
    held.close()
    refused(foretell("embed", folder), "no encoder yet (the run is cut off); go on with: foretell pretrain --resume")
    refused(foretell("pretrain", "--resume", folder, "--budget", "5m"), "leave out --budget")
    said = foretell("pretrain", "--resume", folder)
    assert said.status == 0, said.err
    assert len(losses(folder)) == 30
    config = json.loads((folder / "encoder" / "config.json").read_text())
    assert config["foretell"]["source"] == pictures.name  # as it was given, though the recipe says where that is
    assert (folder / "report.html").is_file()


def ended(run: Path) -> tuple[list[dict[str, Any]], bytes, set[str], set[str]]:
    """What a run logged, but for times and speeds, and its weights, exhibits and facts."""
    clock = {"time", "seconds", "samples_per_second", "share_of_peak"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [{key: line[key] for key in line.keys() - clock} for line in lines]
    weights = (run / "encoder" / "model.safetensors").read_bytes()
    shown = {path.name for path in (run / "exhibits").iterdir()}
    return logged, weights, shown, set(json.loads((run / "facts.json").read_text()))


def test_a_run_that_was_stopped_before_its_first_step_ends_as_a_whole_one(
    foretell: Call, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SMALL, "--budget", "4 steps", "--set", "training.patience=1"]
    whole = foretell("pretrain", pictures, "--out", tmp_path / "whole", *words)
    assert whole.status == 0, whole.err
    assert "training.patience = 1: 4 rounds of knn in 4 steps, every step" in whole.err

    def stop(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    places = ((image_pretraining, "show"), (image_pretraining.KnnMonitor, "accuracy"), (loop._Fit, "_watch"))
    for number, (where, name) in enumerate(places):
        folder = tmp_path / str(number)
        with monkeypatch.context() as patch:
            patch.setattr(where, name, stop)
            assert foretell("pretrain", pictures, "--out", folder, *words).status == 130
        said = foretell("pretrain", "--resume", folder)
        assert said.status == 0, said.err
        assert ended(folder) == ended(tmp_path / "whole")


def test_a_run_that_was_stopped_before_it_could_go_on_is_begun_by_the_same_command(
    foretell: Call, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    words = [*SMALL, "--budget", "4 steps", "--set", "training.patience=1"]
    with monkeypatch.context() as patch:
        patch.setattr(Recipe, "save", stop)
        assert foretell("pretrain", pictures, "--out", tmp_path / "run", *words).status == 130
    assert json.loads((tmp_path / "run" / "facts.json").read_text())["patience"] == {"rounds": 10}
    with monkeypatch.context() as patch:
        patch.setattr(image_pretraining, "keep_facts", stop)
        assert foretell("pretrain", pictures, "--out", tmp_path / "run", *SMALL).status == 130
    assert list(json.loads((tmp_path / "run" / "facts.json").read_text())) == ["begun"]


def test_a_run_without_its_last_checkpoints_does_not_begin_again_unsaid(
    foretell: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (last,) = (copy / "checkpoints").glob("0*.pt")
    best = last.rename(last.with_name("best.pt"))
    before = (copy / "metrics.jsonl").read_bytes()
    said = foretell("pretrain", "--resume", copy)
    refused(said, f"{best.parent}: the last checkpoints are gone, and best.pt is of step", f"rename it to {last.name}")
    assert (copy / "metrics.jsonl").read_bytes() == before
    best.unlink()

    def stop(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(image_pretraining, "keep_facts", stop)
    said = foretell("pretrain", "--resume", copy)
    steps = int(last.stem)
    assert f"no checkpoint is left of the {steps:,} steps that it has logged: it begins again from step 0" in said.out


def test_a_run_whose_data_has_moved_goes_on_at_its_new_place(
    foretell: Call, moved: tuple[Path, Path], pictures: Path, tmp_path: Path
) -> None:
    copy, place = moved
    command = f"foretell pretrain --resume {copy} --set data.source=PLACE"
    refused(foretell("pretrain", "--resume", copy), f"{tmp_path / 'gone'}: the data of {copy} is no longer", command)
    few = tmp_path / "few"
    shutil.copytree(next(path for path in pictures.iterdir() if path.is_dir()), few)
    for given, reason in (
        ("training.rate=1", "leave out --set"),
        (f"data.source={tmp_path / 'nowhere'}", f"{tmp_path / 'nowhere'}: the data of {copy} is no longer there"),
        (f"data.source={few}", "have changed since the run began"),
    ):
        refused(foretell("pretrain", "--resume", copy, "--set", given), reason)
    assert str(tmp_path / "gone") in (copy / "recipe.toml").read_text(), "what is refused changes nothing"
    said = foretell("pretrain", "--resume", copy, "--set", f"data.source={place}")
    assert said.status == 0, said.err
    assert Recipe.load(copy).data.source == str(place)
    assert json.loads((copy / "facts.json").read_text())["data"]["source"] == str(place)


def test_resuming_needs_a_run_and_the_same_images(foretell: Call, run: Path, flat: Path, tmp_path: Path) -> None:
    refused(foretell("pretrain", "--resume"), "--resume: which run?")
    refused(foretell("pretrain", "--resume", flat), f"{flat}: not a run folder")
    refused(foretell("pretrain", flat, "--out", run, "--resume"), "give its folder once")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("recipe.toml", "split.json"):
        (copy / name).write_text((run / name).read_text())
    parts = json.loads((copy / "split.json").read_text())
    (copy / "split.json").write_text(json.dumps({**parts, "fingerprint": "another"}))
    refused(foretell("pretrain", "--resume", copy), "have changed since the run began")
