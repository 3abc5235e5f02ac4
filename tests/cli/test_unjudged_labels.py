"""Labels only measure: those that cannot be judged are told, before and after a pretraining that goes its whole way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_words import SMALL, Said, refused

from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.recipe import DataConfig
from foretell.verbs.common import tell_data

Call = Callable[..., Said]
COUNT, TRAINED = 40, 28
FEW = (*SMALL, "--batch", "8")


def _only_tested(at: int) -> str:
    return "ab"[at % 2] if at >= TRAINED else ""


def _only_learnt(at: int) -> str:
    return "ab"[at % 2] if at < TRAINED else ""


def _apart(at: int) -> str:
    return ("ab" if at < TRAINED else "cd")[at % 2]


CASES = {
    ("in the training part: ", "none of 28 samples has a label; label some of them"): _only_tested,
    ("in the test part: ", "none of 12 samples has a label; label some of them"): _only_learnt,
    ("no training label names c, d, the labels of all test samples; give both parts the same labels",): _apart,
}


def _manifest(place: Path, flat: Path, label: Callable[[int], str]) -> Path:
    files = sorted(flat.iterdir())[:COUNT]
    rows = [f"{file},{label(at)},{'train' if at < TRAINED else 'test'}\n" for at, file in enumerate(files)]
    table = place / "manifest.csv"
    table.write_text("path,label,split\n" + "".join(rows))
    return table


def _told_twice(said: Said, reason: tuple[str, ...], run: Path) -> None:
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    parts = ("the labels do not measure this run: ", *reason)
    told = [at for at, line in enumerate(lines) if all(part in line for part in parts)]
    trained = next(at for at, line in enumerate(lines) if line.startswith("encoder: "))
    assert len(told) == 2, said.out
    assert told[0] < trained < told[1]
    command = f"foretell finetune {run} --labels labels.csv"
    assert lines[-1] == f"next: {command}"
    assert command in (run / "report.html").read_text()
    assert not (run / "results" / "evaluation.json").exists()


@pytest.mark.parametrize("reason", CASES, ids=lambda reason: reason[-1])
def test_pretraining_goes_on_without_labels_that_cannot_be_judged(
    foretell: Call, flat: Path, tmp_path: Path, reason: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    _told_twice(foretell("pretrain", _manifest(tmp_path, flat, CASES[reason]), "--out", run, *FEW), reason, run)
    refused(foretell("evaluate", run, "--trials", 1), *reason)
    again = foretell("pretrain", "--resume", run)
    assert again.status == 0, again.err
    assert all(part in again.out for part in reason)


@pytest.mark.parametrize("given", ["table", "manifest"])
def test_labels_of_one_class(foretell: Call, flat: Path, tmp_path: Path, given: str) -> None:
    files, run = sorted(flat.iterdir())[:COUNT], tmp_path / "run"
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{file},animal\n" for file in files))
    data = (flat, "--labels", table) if given == "table" else (table,)
    said = foretell("pretrain", *data, "--out", run, *FEW)
    _told_twice(said, f"{table if given == 'table' else 'labels'}", run)
    assert "one class only ('animal')" in said.out
    assert "; pretraining needs none" in said.out


def test_rare_labels_that_all_fall_into_the_training_part(foretell: Call, flat: Path, tmp_path: Path) -> None:
    names = [file.name for file in sorted(flat.iterdir())[:COUNT]]
    table = tmp_path / "labels.csv"
    rows = [f"{name},{'normal' if at < COUNT - 2 else 'defect'}\n" for at, name in enumerate(names)]
    table.write_text("path,label\n" + "".join(rows))
    run = tmp_path / "run"
    said = foretell("pretrain", flat, "--labels", table, "--out", run, *FEW)
    _told_twice(said, "one class only ('normal', 8 samples)", run)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([None, "a", "b"], "  1 image has no label (0.png): pretraining uses it all the same"),
        ([None, None, "b"], "  2 images have no label (0.png, 1.png): pretraining uses them all the same"),
    ],
)
def test_images_without_a_label_are_counted(
    labels: list[str | None], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ImageStore.of(np.zeros((3, 8, 8), np.uint8), Table({"label": labels}))
    store.names = [f"{row}.png" for row in range(3)]
    tell_data(store, DataConfig(source="photos", labels="labels.csv"))
    assert told in capsys.readouterr().out.splitlines()
