"""Frames foretold in sequences that were not learnt from: beside copies, from one frame or several, either way in time.

What one frame is worth beside several is told by one network: it is given the nearest frame in the place of each before it,
so that weights, windows, steps and compute are the same.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor

from foretell.claims.base import Claim, Finding
from foretell.claims.frames import frame_filter
from foretell.claims.frames.frame_sequences import ANIMATIONS, RESPLIT, SLICES, Sequences
from foretell.claims.lab import Lab
from foretell.claims.medical.micle import mean
from foretell.objectives.base import Task
from foretell.objectives.next_frame import NextFrame
from foretell.recipe import Recipe

Arm = Literal["future", "past", "one frame"]

ARMS: tuple[Arm, ...] = ("future", "past", "one frame")
APART = 5.0  # points that past and future may differ by and still be as hard
SETTINGS: dict[str, Any] = {  # beside those of the recipe ``next_frame``
    "objective.width": 64,
    "training.batch": 32,
    "training.steps": 300,  # chosen on sequences that no seed tests on
    "training.precision": "float32",
    "training.layout": "channels_last",
    "training.checkpoint_every": 1000,
    "training.health_every": 1000,
    "transfer.unit": "case",
}
PAPER = "Mathieu, Couprie, LeCun 2016 (arXiv 1511.05440)"


class NearestAlone(NextFrame):
    """The nearest frame is given in the place of each one before it."""

    def divided(self, frames: Tensor) -> Task:
        task = super().divided(frames)
        seen = task.visible["frames"]
        return Task({"frames": seen[:, -1:].expand_as(seen)}, task.hidden)


def recipe(lab: Lab, sequences: Sequences, seed: int, arm: Arm = "future") -> Recipe:
    """The packaged recipe ``next_frame`` on ``sequences``."""
    changes = {
        **SETTINGS,
        "data.source": sequences.source(lab, seed),
        "objective.direction": "past" if arm == "past" else "future",
        "objective.views.side": sequences.side,
        "training.seed": seed,
    }
    return Recipe.load("next_frame", changes)


def trained(lab: Lab, made: Recipe, arm: Arm = "future") -> NextFrame:
    objective = lab.trained(made, NearestAlone if arm == "one frame" else None)
    assert isinstance(objective, NextFrame)
    return objective


def measured(lab: Lab, sequences: Sequences, seed: int, arm: Arm) -> dict[str, float]:
    """On sequences that were not learnt from: "copy" and "line", percent of the squared error of copying the nearest frame,
    and of going on in a straight line, that is gone; "mse", "mse copy" of pixels in [0, 1]; "windows", "sequences".
    """
    made = recipe(lab, sequences, seed, arm)

    def work() -> dict[str, float]:
        source = str(made.data.source)
        found = trained(lab, made, arm).skill(lab.store(source), lab.split(source, "test")[0])
        return {
            "copy": 100 * (1 - found["mse"] / found["copy_mse"]),
            "line": 100 * (1 - found["mse"] / found["line_mse"]),
            "mse": found["mse"],
            "mse copy": found["copy_mse"],
            "windows": found["windows"],
            "sequences": found["sequences"],
        }

    return lab.result("next-frame", {"recipe": lab.key(made), "arm": arm}, work)


def filter_error(lab: Lab, sequences: Sequences, seed: int) -> float:
    """The squared error, on sequences that were not learnt from, of the best linear filter of the nearest frame."""
    made = recipe(lab, sequences, seed)

    def work() -> dict[str, float]:
        objective = lab.build(made)
        assert isinstance(objective, NextFrame)
        source = str(made.data.source)
        learnt, held = (lab.store(source).subset(rows) for rows in lab.split(source))
        return {"mse": frame_filter.error(objective, learnt, held)}

    key = {"recipe": lab.key(made), "width": frame_filter.WIDTH}
    return float(lab.result("next-frame-filter", key, work)["mse"])


class FramesForetold(Claim):
    """What both claims measure, on their ``sequences``."""

    sequences: ClassVar[Sequences]

    def work(self, lab: Lab) -> list[Finding]:
        rows = {arm: [measured(lab, self.sequences, seed, arm) for seed in self.seeds] for arm in ARMS}

        def gone(arm: Arm, guess: str = "copy") -> list[float]:
            return [row[guess] for row in rows[arm]]

        filters = [filter_error(lab, self.sequences, seed) for seed in self.seeds]
        beyond = [100 * (1 - row["mse"] / other) for row, other in zip(rows["future"], filters, strict=True)]
        for arm in ARMS:
            off, copied = (mean([row[name] for row in rows[arm]]) for name in ("mse", "mse copy"))
            self.notes.append(
                f"{arm}: {mean(gone(arm)):.1f}% of the squared error of copying is gone (mean squared error {off:.4f}, of "
                f"copying {copied:.4f}; pixels from 0 to 1)"
            )
        windows, held = (mean([row[name] for row in rows["future"]]) for name in ("windows", "sequences"))
        self.notes += [
            f"{self.sequences.told}: {windows:.0f} windows of {held:.0f} sequences",
            "one frame: the same network, given the nearest frame in the place of each one before it",
            f"the linear filter of {frame_filter.WIDTH} x {frame_filter.WIDTH} pixels and a constant that is best on what is "
            f"learnt from, which fades and blurs the nearest frame: mean squared error {mean(filters):.4f}",
        ]
        between = [abs(one - other) for one, other in zip(gone("past"), gone("future"), strict=True)]
        over = {
            "copying's squared error, the frame after": gone("future"),
            "copying's squared error, the frame before": gone("past"),
            "a straight line's squared error, the frame after": gone("future", "line"),
            "the filter's squared error, the frame after": beyond,
        }
        return [
            *(
                Finding(f"share that is gone of {guess}", "not published", values, [0.0] * len(values))
                for guess, values in over.items()
            ),
            Finding(
                "share that is gone of copying's squared error, several frames over one",
                "not published",
                gone("future"),
                gone("one frame"),
            ),
            Finding(
                f"share that is gone of copying's squared error, past and future less than {APART:g} points apart",
                "not published",
                [APART] * len(self.seeds),
                between,
            ),
        ]


class NextFrameAnimations(FramesForetold):
    name = "next-frame-animations"
    statement = (
        "In animations that were not learnt from, the foretold frame is nearer to the true one than a copy of the nearest, "
        "than that copy filtered, and than a straight line; several frames foretell it better than one; and the past is "
        "foretold as well as the future."
    )
    source = f"{PAPER}: the next frame from the last ones; the past is the same task read backwards"
    data = ANIMATIONS.where
    minutes = 20.0
    resplit = RESPLIT
    sequences = ANIMATIONS


class NextFrameSlices(FramesForetold):
    name = "next-frame-slices"
    statement = (
        "In slices of a patient who was not learnt from, the foretold slice is nearer to the true one than a copy of the "
        "nearest, than that copy filtered, and than a straight line; several slices foretell it better than one; and either "
        "end of a sequence is foretold as well as the other."
    )
    source = f"{PAPER}, which has films; the frames here are slices of volumes, in order"
    data = SLICES.where
    minutes = 8.0
    sequences = SLICES
