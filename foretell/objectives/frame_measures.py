"""How well frames are foretold: errors beside those of copying the nearest frame, over whole sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.data.sequences import Windows
from foretell.data.store import ImageStore
from foretell.data.table import many
from foretell.errors import InputError
from foretell.views import denormalise

if TYPE_CHECKING:
    from foretell.objectives.next_frame import NextFrame

MOST = 2000  # windows that are measured, evenly spaced, where there are more
BATCH = 32
DRAWS = 400
FEW = 5  # sequences below which stretches of them are drawn again in the interval, and not whole ones


@dataclass
class FrameErrors:
    """Mean squared error of each window, pixels in [0, 1], and the sequence it belongs to, in order of both.

    ``line``: going on in a straight line from the last two frames, NaN where one frame is seen. ``span``: frames from a
    window's first to its last, so that windows as many places apart have no frame in common.
    """

    foretold: NDArray[np.float64]
    copied: NDArray[np.float64]
    line: NDArray[np.float64]
    sequence: NDArray[np.int64]
    direction: str
    span: int

    def skill(self, other: NDArray[np.float64]) -> tuple[float, float, float]:
        """1 - error / error of ``other`` with its 95% interval: above 0 is better than that guess, 1 is perfect.

        A bootstrap over whole sequences, or where there are fewer than 5 over stretches of ``span`` windows or more: it
        says nothing then of other sequences. NaN where that leaves one stretch alone.
        """
        _, codes = np.unique(self._stretches() if self.few else self.sequence, return_inverse=True)
        own = np.bincount(codes, self.foretold)
        against = np.bincount(codes, other)
        if len(own) < 2:
            with np.errstate(divide="ignore", invalid="ignore"):
                return float(1 - own.sum() / against.sum()), math.nan, math.nan
        rng = np.random.default_rng(0)
        rows = rng.integers(0, len(own), (DRAWS, len(own)))
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = 1 - own[rows].sum(1) / against[rows].sum(1)
            low, high = (
                np.quantile(drawn[np.isfinite(drawn)], [0.025, 0.975]) if np.isfinite(drawn).any() else (math.nan,) * 2
            )
            return float(1 - own.sum() / against.sum()), float(low), float(high)

    @property
    def sequences(self) -> int:
        return len(np.unique(self.sequence))

    @property
    def few(self) -> bool:
        """Whether there are too few sequences to say anything of others."""
        return self.sequences < FEW

    def _stretches(self) -> NDArray[np.int64]:
        """(W,) the number of each window's stretch: ``span`` windows of one sequence, or more at its end."""
        numbers = np.empty(len(self.sequence), np.int64)
        taken = 0
        for sequence in np.unique(self.sequence):
            members = np.flatnonzero(self.sequence == sequence)
            stretches = max(1, len(members) // self.span)
            numbers[members] = taken + np.minimum(np.arange(len(members)) // self.span, stretches - 1)
            taken += stretches
        return numbers

    @property
    def sentence(self) -> str:
        where = f"{many(len(self.foretold), 'window')} of {many(self.sequences, 'sequence')}"
        if not self.copied.sum():
            return f"In {where} nothing moves: copying is exact."
        value, low, high = self.skill(self.copied)
        told = f"Its squared error is {1 - value:.1%} of that of copying"
        if math.isnan(low):
            return f"{told}, in {where}: too few for an interval."
        between = f"95% interval {1 - high:.1%} to {1 - low:.1%}"
        if self.few:
            told += f" ({between} over windows of {many(self.sequences, 'sequence')}; other sequences may differ)"
        else:
            told += f" ({between})"
        if low <= 0:
            return f"{told}, in {where}: no better than copying."
        return f"{told}, in {where}: too few sequences to call it better." if self.few else f"{told}, in {where}."

    @property
    def headline(self) -> str:
        """``sentence`` where nothing stands before it."""
        return f"It foretells the hidden frame. {self.sentence}"

    def table(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [
            (
                "Guess",
                "Root mean squared error",
                "PSNR",
                f"Squared error lower by (95% interval{' over windows' if self.few else ''})",
            )
        ]
        named = [
            ("Foretold", self.foretold),
            ("Nearest frame, copied", self.copied),
            ("Going on in a straight line", self.line),
        ]
        for name, errors in named:
            mean = float(errors.mean())
            if math.isnan(mean):
                continue
            psnr = f"{-10 * math.log10(mean):.1f} dB" if mean > 0 else "exact"
            gain = ""
            if errors is not self.foretold and mean > 0:
                value, low, high = self.skill(errors)
                between = "" if math.isnan(low) else f" ({low:.1%} to {high:.1%})"
                gain = f"{value:.1%}{between}".replace("-", "−")
            rows.append((name, f"{math.sqrt(mean):.4f}", psnr, gain))
        return rows

    def record(self) -> dict[str, Any]:
        value, low, high = self.skill(self.copied)
        return {
            "direction": self.direction,
            "windows": len(self.foretold),
            "sequences": self.sequences,
            "mse": float(self.foretold.mean()),
            "copy_mse": float(self.copied.mean()),
            "line_mse": float(self.line.mean()),
            "skill": {"mean": value, "low": low, "high": high},
        }


def measured(objective: NextFrame, store: ImageStore) -> tuple[Windows, FrameErrors] | None:
    """The windows of ``store`` and the errors at up to 2,000 of them; None when it has no whole window."""
    try:
        windows = objective.windows_of(store)
    except InputError:
        return None
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(MOST, len(windows))).round().astype(np.int64))
    mean, std = objective.views.mean, objective.views.std
    parts: list[list[NDArray[np.float64]]] = [[], [], []]
    for start in range(0, len(chosen), BATCH):
        task = objective.plain(windows.read(store, chosen[start : start + BATCH]))
        seen, hidden = task.visible["frames"], denormalise(task.hidden["frame"], mean, std)
        nearest = denormalise(seen[:, -1], mean, std)
        guesses = [denormalise(objective.evaluated(seen), mean, std), nearest]
        if seen.shape[1] > 1:
            guesses.append((2 * nearest - denormalise(seen[:, -2], mean, std)).clamp(0, 1))
        else:
            guesses.append(torch.full_like(hidden, math.nan))
        for part, guess in zip(parts, guesses, strict=True):
            part.append((guess - hidden).square().mean((1, 2, 3)).double().numpy())
    foretold, copied, line = (np.concatenate(part) for part in parts)
    sequence, direction = windows.sequence[chosen], objective.config.direction
    return windows, FrameErrors(foretold, copied, line, sequence, direction, windows.span)
