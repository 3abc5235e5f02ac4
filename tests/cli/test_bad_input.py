"""What goes wrong with a person's data and disk, through the command line: one line, the right status, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_words import SMALL, Said, refused
from full_disk import largest_file
from PIL import Image

Call = Callable[..., Any]


def failed(said: Said, *parts: str) -> None:
    """Status 1 and one line of error, the last, that holds ``parts``."""
    assert said.status == 1, said
    *before, last = said.err.splitlines()
    assert last.startswith("error: ")
    assert not any(line.startswith(("error: ", "Traceback")) for line in before), said.err
    for part in parts:
        assert part in last


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["total"] for row in rows if row["kind"] == "step"]


def test_what_cannot_be_read_among_good_images_is_told_and_passed_over(
    foretell: Call, flat: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in flat.iterdir():
        Image.open(path).save(folder / f"{path.stem}.jpg")
    first, second, third, *_ = sorted(folder.iterdir())
    first.write_text("id,label\n17,cat\n")
    second.write_bytes(second.read_bytes()[:300])
    Image.new("L", (1, 1)).save(third)
    said = foretell("pretrain", folder, "--out", tmp_path / "run", *SMALL)
    assert said.status == 0, said.err
    assert f"3 unreadable, passed over: {first.name} (is text, not an image" in said.out
    assert " and 2 more; see 'foretell check'" in said.out
    checked = foretell("check", folder)
    assert checked.status == 0
    assert "is cut short" in checked.out
    assert "is 1 x 1 pixels; expected at least 4 x 4" in checked.out
    failed = foretell("check", folder, "--strict")
    assert (failed.status, failed.out) == (1, checked.out)
    assert "3 findings of leaks, of labels that disagree, of files that are unreadable" in failed.err
    assert foretell("check", flat, "--strict").status == 0
    strict = ["--set", "data.max_unreadable=0"]
    refused(foretell("pretrain", folder, *SMALL, *strict), "3 of 200 files cannot be read", "max_unreadable")


def test_what_embed_and_neighbours_cannot_read_is_told(foretell: Call, run: Path, flat: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(flat.iterdir())[:8]:
        shutil.copy(path, folder / path.name)
    first, *_, last = sorted(folder.iterdir())
    first.write_text("id,label\n17,cat\n")
    told = f"  1 unreadable, passed over: {first.name} (is text, not an image"
    rows = "its rows are those of the images that could be read"
    for suffix in ("npy", "npz"):
        said = foretell("embed", run, folder, "--out", tmp_path / f"f.{suffix}")
        assert said.status == 0, said.err
        assert told in said.out
        assert (rows in said.out) == (suffix == "npy")
    said = foretell("neighbours", run, last, "--data", folder, "--k", 2)
    assert said.status == 0, said.err
    assert told in said.out


def test_a_folder_of_other_files(foretell: Call, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_text("hello")
    refused(foretell("pretrain", tmp_path), "2 of 3 files cannot be read", "the first, 0.jpg, is text, not an image")


def test_images_of_different_channels(foretell: Call, flat: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in flat.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    np.save(folder / "five.npy", np.full((28, 28, 5), 9, np.uint8))
    said = foretell("pretrain", folder, *SMALL)
    count = len(list(flat.iterdir()))
    refused(
        said, f"five.npy has 5 channels beside {count} images of 1: remove it, or --set data.channels=1 to keep the"
    )


@pytest.mark.parametrize("value", ["NaN", "an infinite value"])
def test_an_array_that_is_not_finite(foretell: Call, tmp_path: Path, value: str) -> None:
    array = np.random.default_rng(0).random((40, 28, 28))
    array[31, 5, 7] = np.nan if value == "NaN" else np.inf
    np.save(tmp_path / "scans.npy", array)
    said = foretell("pretrain", tmp_path / "scans.npy", "--out", tmp_path / "run", *SMALL)
    refused(said, f"scans.npy: row 31 holds {value}; expected finite numbers")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words", [["finetune", "RUN", "--out", "PLACE"], ["export", "RUN", "PLACE"], ["embed", "RUN", "--out", "PLACE.npz"]]
)
def test_every_output_below_a_file_is_refused(foretell: Call, run: Path, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "file" / "out"
    said = foretell(*(word.replace("RUN", str(run)).replace("PLACE", str(place)) for word in words))
    assert said.status in (1, 2), said
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said.err
    assert errors[0].startswith(f"error: {place}")
    assert "unexpected" not in errors[0]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_fills_while_checkpointing_loses_nothing(
    foretell: Call, run: Path, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with largest_file(200_000):
        said = foretell("pretrain", pictures, "--out", folder, *SMALL)
    failed(said, "00000000.pt: the checkpoint could not be written (File too large)", "--resume")
    assert json.loads((folder / "status.json").read_text())["state"] == "failed"
    resumed = foretell("pretrain", "--resume", folder)
    assert resumed.status == 0, resumed.err
    assert losses(folder) == losses(run)


def odd_names(folder: Path, flat: Path) -> Path:
    """The pictures in two classes, under names with line ends and with bytes that are no UTF-8."""
    for number, path in enumerate(sorted(flat.iterdir())[:40]):
        place = os.fsencode(folder) + b"/" + (b"\xff", b"a\nb")[number % 2]
        os.makedirs(place, exist_ok=True)
        Path(os.fsdecode(place + b"/%d\xe4.png" % number)).write_bytes(path.read_bytes())
    return folder


def test_names_of_any_bytes_are_learnt_from_and_written(foretell: Call, flat: Path, tmp_path: Path) -> None:
    source, run = odd_names(tmp_path / "photos", flat), tmp_path / "run"
    said = foretell("pretrain", source, "--out", run, *SMALL, "--batch", "8")
    assert said.status == 0, said.err
    for words in (["report", run], ["check", source], ["embed", run, source, "--out", tmp_path / "f.parquet"]):
        said = foretell(*words)
        assert said.status == 0, said.err
    assert "Traceback" not in said.err
    refused(foretell("pretrain", source / os.fsdecode(b"\xff"), *SMALL), "data.source", "is not UTF-8", "rename it")


def test_a_run_in_the_folder_that_it_learns_from_goes_on(foretell: Call, pictures: Path, tmp_path: Path) -> None:
    source = shutil.copytree(pictures, tmp_path / "photos")
    run = source / "runs" / "first"
    assert foretell("pretrain", source, "--out", run, *SMALL).status == 0
    said = foretell("pretrain", "--resume", run)
    assert said.status == 0, said.err
    assert "200 images" in foretell("check", source).out


def test_places_that_are_none(foretell: Call, run: Path, flat: Path, tmp_path: Path) -> None:
    refused(foretell("pretrain", "a" * 5000), "the name is too long; expected a shorter path")
    refused(foretell("pretrain", flat, "--out", tmp_path / ("a" * 5000)), "the name is too long")
    (tmp_path / "f.npz").mkdir()
    refused(
        foretell("embed", run, "--out", tmp_path / "f.npz"), f"{tmp_path}/f.npz: is a folder; give --out a file in it"
    )
    refused(foretell("neighbours", run, "--out", tmp_path), "unknown suffix ''; expected .png")


def test_a_seed_that_no_generator_takes_is_refused(foretell: Call, tmp_path: Path) -> None:
    large = 10**23
    said = foretell("pretrain", "@animals", "--out", tmp_path / "run", "--seed", large)
    refused(said, "training.seed", str(large), str(2**63))
    assert not (tmp_path / "run").exists()
    for seed in (large, -1):
        refused(
            foretell("generate", tmp_path, "words", "--seed", seed), f"--seed {seed}: expected a whole number from 0"
        )
