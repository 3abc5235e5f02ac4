"""The claims on next frames: which sequences are tested on, what one frame alone is given, and each claim at a tiny size."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from working import works_out

from foretell import claims
from foretell.claims.base import overall
from foretell.claims.frames import frame_filter, frame_sequences, next_frame, next_frame_features
from foretell.claims.frames.frame_sequences import ANIMATIONS, CHOSEN_ON, SLICES
from foretell.claims.lab import Lab
from foretell.claims.medical.volumes import TESTED
from foretell.counters import Rng, Rows
from foretell.data.sequences import sequences
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.objectives.next_frame import NextFrame

NAMES = [name for name in claims.names() if name.startswith("next-frame")]
UNITS, LENGTH, SIDE = 16, 5, 24


@cache
def pictures() -> list[NDArray[np.uint8]]:
    """The first emoji."""
    emoji = open_images("@emoji")
    return [emoji.image(row) for row in range(UNITS)]


def small_units(seed: int) -> ImageStore:
    """Two actions of every unit, a picture that is looked at from the left to the right; half of the units is tested."""
    images, paths, cases = [], [], []
    for unit, whole in enumerate(pictures()):
        for action in ("walk", "run"):
            for frame in range(LENGTH):
                left = frame * (2 if action == "run" else 1)
                images.append(np.ascontiguousarray(whole[:SIDE, left : left + SIDE]))
                paths.append(f"elves/{unit}-{action}-{frame + 1}.png")
                cases.append(f"elves/{unit}")
        images.append(np.ascontiguousarray(whole[:SIDE, :SIDE]))
        paths.append(f"elves/unit-of-{unit}th.png")
        cases.append(f"elves/{unit}")
    tested = {f"elves/{unit}" for unit in range(UNITS) if (unit - seed) % 4 in (0, 1)}
    columns: dict[str, list[str | None]] = {
        "path": list(paths),
        "label": [None] * len(paths),
        "group": list(cases),
        "split": ["test" if case in tested else "train" for case in cases],
    }
    return ImageStore.of(images, Table(columns))


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patients: None) -> tuple[Lab, list[str]]:
    settings = {"training.batch": 4, "training.steps": 1, "objective.width": 16}
    monkeypatch.setattr(next_frame, "SETTINGS", {**next_frame.SETTINGS, **settings})
    monkeypatch.setattr(next_frame_features, "LABELLED", {2: "2 cases a class", None: "all cases"})
    monkeypatch.setattr(frame_sequences, "open_units", small_units)
    said: list[str] = []
    return Lab(tmp_path, device="cpu", say=said.append), said


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_worked_out_from_beginning_to_end(name: str, tiny: tuple[Lab, list[str]]) -> None:
    works_out(name, tiny[0], minutes=20, seeds=(0,))


def test_the_features_are_those_of_the_slices_that_were_foretold(tiny: tuple[Lab, list[str]]) -> None:
    lab, said = tiny
    claims.get("next-frame-slices")(seeds=(0,)).work(lab)
    assert len([text for text in said if text.startswith("training")]) == len(next_frame.ARMS)
    claims.get("next-frame-features")(seeds=(0,)).work(lab)
    assert len([text for text in said if text.startswith("training")]) == len(next_frame.ARMS)


def figures(turned: bool) -> Any:
    """What ``measured`` would find if the claim were right, or its opposite; seeds a little apart."""
    right = {"future": 30.0, "past": 29.0, "one frame": 20.0}
    wrong = {"future": -30.0, "past": -10.0, "one frame": -20.0}

    def measured(lab: Any, sequences: Any, seed: int, arm: str) -> dict[str, float]:
        value = (wrong if turned else right)[arm] + 0.1 * seed * (1 + (arm == "past"))
        return {
            "copy": value,
            "line": value,
            "mse": (0.3 if turned else 0.1) + seed / 100,
            "mse copy": 0.2,
            "windows": 9,
            "sequences": 3,
        }

    return measured


@pytest.mark.parametrize("name", ["next-frame-animations", "next-frame-slices"])
def test_figures_as_claimed_hold_and_their_opposite_does_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_frame, "filter_error", lambda *of: 0.2)
    monkeypatch.setattr(next_frame, "measured", figures(turned=False))
    findings = claims.get(name)(seeds=(0, 1, 2)).work(None)  # type: ignore[arg-type]
    assert overall(findings) == "holds"
    monkeypatch.setattr(next_frame, "measured", figures(turned=True))
    opposite = claims.get(name)(seeds=(0, 1, 2)).work(None)  # type: ignore[arg-type]
    assert {finding.outcome for finding in opposite} == {"does not hold"}


def test_the_filter_that_made_frames_is_found() -> None:
    frames = torch.rand(6, 2, 9, 8, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(frames, (1,) * 4, mode="replicate"), 3, 1)
    faded = 0.2 + 0.5 * blurred
    weights = frame_filter.fitted([(frames[:4], faded[:4])])
    kernel = torch.zeros(5, 5, dtype=torch.float64)
    kernel[1:4, 1:4] = 0.5 / 9
    torch.testing.assert_close(weights, torch.cat([kernel.flatten(), torch.tensor([0.2])]), rtol=0, atol=1e-5)
    torch.testing.assert_close(frame_filter.filtered(weights, frames[4:]), faded[4:].double(), rtol=0, atol=1e-5)


def test_a_filter_errs_less_than_a_copy_where_things_move(tiny: tuple[Lab, list[str]]) -> None:
    lab, _ = tiny
    made = next_frame.recipe(lab, ANIMATIONS, 0)
    objective = lab.build(made)
    assert isinstance(objective, NextFrame)
    store = lab.store(str(made.data.source))
    copied = torch.cat(
        [
            (given - hidden).square().mean((1, 2, 3))
            for given, hidden in frame_filter.nearest_and_hidden(objective, store)
        ]
    )
    assert float(copied.mean()) == pytest.approx(objective.skill(store)["copy_mse"], rel=1e-5)
    assert 0 < frame_filter.error(objective, store, store) < float(copied.mean())


@pytest.mark.parametrize("direction", ["future", "past"])
def test_one_frame_is_the_nearest_in_every_place(direction: str, tiny: tuple[Lab, list[str]]) -> None:
    lab, _ = tiny
    made = next_frame.recipe(lab, ANIMATIONS, 0).changed({"objective.direction": direction})
    several, one = lab.build(made), lab.build(made, next_frame.NearestAlone)
    assert isinstance(several, NextFrame)
    assert isinstance(one, NextFrame)
    rows = Rows.of_rank(4)
    tasks = [task.hide(task.draw("frames", 0, 0, rows), Rng(0, 0, rows)) for task in (several, one)]
    seen, alone = (task.visible["frames"] for task in tasks)
    assert torch.equal(tasks[0].hidden["frame"], tasks[1].hidden["frame"])
    assert not torch.equal(seen[:, 0], seen[:, -1])
    assert all(torch.equal(alone[:, place], seen[:, -1]) for place in range(seen.shape[1]))
    weights = one.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in several.state_dict().items())


def test_no_seed_tests_on_units_that_settings_were_chosen_on(tiny: tuple[Lab, list[str]]) -> None:
    chosen = small_units(CHOSEN_ON).table
    reserved = {
        group for group, part in zip(chosen.column("group"), chosen.column("split"), strict=True) if part == "test"
    }
    assert reserved
    tested = []
    for seed in range(3):
        table = frame_sequences.open_animations(seed).table
        parts = {
            part: {
                group for group, own in zip(table.column("group"), table.column("split"), strict=True) if own == part
            }
            for part in ("train", "test")
        }
        assert parts["test"]
        assert not parts["test"] & (parts["train"] | reserved)
        assert reserved <= parts["train"]
        tested.append(frozenset(parts["test"]))
    assert len(set(tested)) == 3


def test_an_action_of_a_unit_is_a_sequence_in_the_order_of_its_numbers(tiny: tuple[Lab, list[str]]) -> None:
    store = frame_sequences.open_animations(0)
    found = sequences(store)
    assert len(found) == 2 * UNITS  # the frame without a number is in none
    paths = store.table.column("path")
    assert [paths[row] for row in found["elves/3/elves/3-run"]] == [f"elves/3-run-{at + 1}.png" for at in range(LENGTH)]


def test_slices_of_a_place_are_a_sequence_and_the_template_is_tested_on(tiny: tuple[Lab, list[str]]) -> None:
    store = SLICES.open(0)
    found = sequences(store)
    assert all(len(rows) == 4 and (np.diff(rows) == 1).all() for rows in found.values())
    assert sum(len(rows) for rows in found.values()) == len(store)
    table = store.table
    for patient, part in zip(table.column("domain"), table.column("split"), strict=True):
        assert (patient == TESTED) == (part == "test")
