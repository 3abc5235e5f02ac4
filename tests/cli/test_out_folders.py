"""``foretell finetune --out``: what was stopped goes on by the same command, and what is another's is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_words import refused, rows_of

from foretell.verbs import image_transfer, kept_out, kept_split

Call = Callable[..., Any]
QUICK = ("--trials", 2, "-s", "transfer.steps=2", "-s", "transfer.curve_points=0", "--no-saliency")
COMPARED = ("--per-class", "2", "--seeds", 1)


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def stopped(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(image_transfer, name, stop)


def test_a_classifier_that_was_stopped_while_compared_goes_on(
    own: Path, foretell: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("finetune", own, "--out", tmp_path / "x", *COMPARED, *QUICK)
    stopped(monkeypatch, "_compare")
    assert foretell(*words).status == 130
    assert (tmp_path / "x" / "head.safetensors").is_file()
    monkeypatch.setattr(image_transfer, "_compare", lambda *arguments, **options: {})
    said = foretell(*words)
    assert said.status == 0, said.err
    assert f"{tmp_path / 'x'}: begun by this run with these labels; going on there" in said.out
    other = Path(shutil.copytree(own, tmp_path / "other"))
    refused(foretell("finetune", other, "--out", tmp_path / "x", *QUICK), f"{tmp_path / 'x'}: not empty")
    refused(foretell("finetune", own, "--out", own / "encoder", *QUICK), f"{own / 'encoder'}: not empty")


def test_trials_and_fits_on_other_data_are_kept_beside_the_classifier(
    own: Path, flat: Path, foretell: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{path},{path.name[:3]}" for path in sorted(flat.glob("*.png"))[:-4]]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,label", *rows]) + "\n")
    words = ("finetune", own, "--data", table, "--out", tmp_path / "x", *COMPARED, *QUICK)
    stopped(monkeypatch, "save_classifier")
    assert foretell(*words).status == 130
    kept = rows_of(tmp_path / "x" / "results" / "finetune.jsonl")
    assert len(kept) == 2
    monkeypatch.undo()
    said = foretell(*words)
    assert said.status == 0, said.err
    assert f"results: kept in {tmp_path / 'x'}; those of the run stay as they are" in said.out
    assert rows_of(tmp_path / "x" / "results" / "finetune.jsonl") == kept
    fits = rows_of(tmp_path / "x" / "results" / "comparison.jsonl")
    assert fits
    for name in ("finetune", "comparison"):
        assert "labels_fingerprint" in json.loads((tmp_path / "x" / f"{name}.json").read_text())
    assert foretell(*words).status == 0
    assert rows_of(tmp_path / "x" / "results" / "comparison.jsonl") == fits
    assert not (own / "results" / "finetune.jsonl").exists()
    table.write_text("\n".join(["path,label", *rows[1:]]) + "\n")
    refused(foretell(*words), f"{tmp_path / 'x'}: not empty; choose another --out")


def test_a_folder_with_nothing_but_a_mark_is_free(tmp_path: Path) -> None:
    for labels in ("one", "two"):
        kept_out.check(tmp_path / "x", tmp_path / "run", labels)
        kept_out.begin(tmp_path / "x", tmp_path / "run", labels)


def test_what_a_run_and_those_before_it_learnt_from_is_known(run: Path, tmp_path: Path) -> None:
    import numpy as np

    learnt = np.load(run / kept_split.LEARNT)
    unseen = np.zeros((2, 16), np.uint8)
    hashes = np.concatenate([learnt[:3], unseen])
    (tmp_path / "after").mkdir()
    recipe = (run / "recipe.toml").read_text()
    (tmp_path / "after" / "recipe.toml").write_text(
        recipe.replace("[encoder]", f'[encoder]\nweights = "{run / "encoder"}"')
    )
    np.save(tmp_path / "after" / kept_split.LEARNT, unseen[:1] + 1)
    assert kept_split.learnt_before([tmp_path / "after"], hashes) == 3
    assert kept_split.learnt_before([tmp_path / "weights.safetensors"], hashes) == 0
