"""How well holes are filled, on images whose truth is known: defined exactly, and beside what costs nothing.

Pictures are (N, C, H, W) in [0, 1]; masks (N, 1, H, W) are 1 in the hole. Every measure looks at the hole alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.counters import Rng, Rows, others, seed_of
from foretell.data.store import ImageStore
from foretell.measures.intervals import t_interval
from foretell.objectives.base import Exhibit
from foretell.objectives.image import counted, learnt_from
from foretell.views import plain
from foretell.views.geometry import Interpolation
from foretell.views.masks import draw_masks

if TYPE_CHECKING:
    from foretell.objectives.context_encoder import ContextEncoder

IMAGES = 512  # images that are filled, where there are more
CANDIDATES = 2048  # training images that the nearest neighbour is looked for in, where there are more
AT_ONCE = 64
SHOWN = 8  # pictures in the exhibit
ARMS = {
    "context_encoder": "context encoder",
    "shuffled": "the same, surroundings of other images",
    "neighbour": "nearest neighbour, copied",
    "mean": "mean fill",
}


def _over(values: Tensor, where: Tensor) -> Tensor:
    """(N,): mean of ``values`` (N, C, H, W) where ``where`` (N, 1, H, W) is 1; nan where it is nowhere."""
    return (values * where).sum((1, 2, 3)) / (values.shape[1] * where.sum((1, 2, 3)))


def absolute_error(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """L1 (N,): mean over the hole's pixels and channels of |filled - truth|."""
    return _over((filled - truth).abs(), mask)


def squared_error(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """L2 (N,): mean over the hole's pixels and channels of (filled - truth)^2."""
    return _over((filled - truth).square(), mask)


def psnr(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """(N,) dB: 10 log10(1 / L2) of each image. (A mean over images is a mean of decibels.)

    An L2 below that of one level of 255 counts as that, which is 48.13 dB: the same white as the truth's is no miracle.
    """
    return -10 * squared_error(filled, truth, mask).clamp(min=255.0**-2).log10()


def _differences(picture: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For neighbours down and across: their differences, and where both are in the hole and where one is."""
    found = []
    for axis in (2, 3):
        length = picture.shape[axis]
        first, second = (mask.narrow(axis, start, length - 1) for start in (0, 1))
        found.append((picture.diff(dim=axis), first * second, (first - second).abs()))
    return found


def _of_pairs(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    total = torch.stack([(values * where).sum((1, 2, 3)) for values, where in parts]).sum(0)
    pairs = torch.stack([where.sum((1, 2, 3)) for _, where in parts]).sum(0)
    return total / (parts[0][0].shape[1] * pairs)


def gradient_energy(picture: Tensor, mask: Tensor) -> Tensor:
    """(N,): mean squared difference of neighbouring pixels (down and across) that are both in the hole."""
    return _of_pairs([(change.square(), inside) for change, inside, _ in _differences(picture, mask)])


def seam(picture: Tensor, mask: Tensor) -> Tensor:
    """(N,): mean absolute difference of neighbouring pixels of which one is in the hole and one is not."""
    return _of_pairs([(change.abs(), across) for change, _, across in _differences(picture, mask)])


def nearest_fill(truth: Tensor, mask: Tensor, candidates: Tensor, allowed: Tensor | None = None) -> Tensor:
    """(N, C, H, W): each image's hole filled from the candidate (T, C, H, W) whose surroundings are nearest.

    Nearest is the least squared difference over the pixels that are seen. ``allowed`` (N, T) bool: which candidates an
    image may take.
    """
    seen = (1 - mask).expand_as(truth).flatten(1)
    visible, flat = truth.flatten(1) * seen, candidates.flatten(1)
    # |x - t|^2 over the seen pixels, but for the part that is the same for every candidate
    distance = seen @ flat.square().T - 2 * visible @ flat.T
    if allowed is not None:
        distance = distance.masked_fill(~allowed, math.inf)
    return truth * (1 - mask) + candidates[distance.argmin(1)] * mask


def figures(filled: Tensor, truth: Tensor, mask: Tensor) -> dict[str, float]:
    """The measures of one way to fill. ``gradient`` and ``seam`` are ratios to the truth's own: 1 is right."""
    energy, true_energy = gradient_energy(filled, mask).nansum(), gradient_energy(truth, mask).nansum()
    jump, true_jump = seam(filled, mask).nansum(), seam(truth, mask).nansum()
    return {
        "psnr": float(psnr(filled, truth, mask).mean()),
        "l1": float(absolute_error(filled, truth, mask).mean()),
        "l2": float(squared_error(filled, truth, mask).mean()),
        "gradient": float(energy / true_energy.clamp(min=1e-12)),
        "seam": float(jump / true_jump.clamp(min=1e-12)),
    }


def fill_with(objective: ContextEncoder, truth: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
    """(N, C, H, W) in [0, 1]: ``truth`` with its holes filled, in evaluation mode.

    ``context`` are the pictures whose surroundings are seen (default: the same).
    """
    was_training = objective.training
    objective.eval()
    mean, std = objective.filler.mean, objective.filler.std
    parts = []
    with torch.no_grad():
        for start in range(0, len(truth), AT_ONCE):
            hole = mask[start : start + AT_ONCE].to(mean.device)
            shown = (truth if context is None else context)[start : start + AT_ONCE].to(mean.device)
            foretold = objective.foretell((shown - mean) / std * (1 - hole))
            parts.append((foretold * std + mean).clamp(0, 1).cpu())
    objective.train(was_training)
    return truth * (1 - mask) + torch.cat(parts) * mask


def pictures(
    store: ImageStore, rows: NDArray[np.int64], side: int, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """(N, C, side, side) in [0, 1]: the middle of each image."""
    parts = np.array_split(rows, max(1, len(rows) // 256))
    return torch.cat([plain(store.read(part), side, interpolation=interpolation) for part in parts])


def some(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """``most`` of ``rows`` at random, in order; all of them where there are fewer."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def holes(objective: ContextEncoder, count: int, seed: int) -> Tensor:
    """(count, 1, side, side): masks of the objective's own kind, apart from those of training."""
    rng = Rng(seed_of(seed, "inpainting"), 0, Rows(0, count, count))
    return draw_masks(objective.config.mask, rng, "mask", objective.side)


def filled_by_all(
    objective: ContextEncoder, store: ImageStore, rows: NDArray[np.int64], seed: int
) -> tuple[Tensor, Tensor, dict[str, Tensor], int]:
    """(truth, masks, arm -> filled pictures, how many of the images were learnt from) for ``IMAGES`` of ``rows``.

    The nearest neighbour comes from the images the objective learns from, never the image itself.
    """
    rows = some(rows, IMAGES, seed_of(seed, "filled"))
    learnt = some(np.arange(len(objective.store)), CANDIDATES, seed_of(seed, "candidates"))
    sees = (objective.side, objective.views.interpolation)
    truth, candidates = pictures(store, rows, *sees), pictures(objective.store, learnt, *sees)
    seen = learnt_from(store, rows, objective.store)
    same = (store.hashes[rows][:, None] == objective.store.hashes[learnt][None]).all(2)
    mask = holes(objective, len(truth), seed)
    mean = objective.filler.mean.cpu().expand_as(truth)
    fills: dict[str, Callable[[], Tensor]] = {
        "context_encoder": lambda: fill_with(objective, truth, mask),
        "shuffled": lambda: fill_with(objective, truth, mask, truth[others(len(truth), seed)]),
        "neighbour": lambda: nearest_fill(truth, mask, candidates, torch.from_numpy(~same)),
        "mean": lambda: truth * (1 - mask) + mean * mask,
    }
    return truth, mask, {arm: fill() for arm, fill in fills.items()}, seen


def measure(truth: Tensor, mask: Tensor, filled: Mapping[str, Tensor]) -> dict[str, Any]:
    """{"images", "share", "arms": {arm: figures}, "margin": {arm: {"psnr", "low", "high"}}}.

    ``margin``: how many dB the first arm is above each other, image by image, with its 95% interval (Student's t) over the
    images.
    """
    first, *others = filled
    own = psnr(filled[first], truth, mask)
    margin = {}
    for arm in others:
        ahead = own - psnr(filled[arm], truth, mask)
        interval = t_interval(ahead.tolist())
        margin[arm] = {"psnr": interval.mean, "low": interval.low, "high": interval.high}
    return {
        "images": len(truth),
        "share": float(mask.mean()),
        "arms": {arm: figures(picture, truth, mask) for arm, picture in filled.items()},
        "margin": margin,
    }


def table(measured: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """``measure``'s figures in words, the head first."""
    head = ("in the hole", "PSNR, dB", "L1, %", "L2, %", "gradient energy, true = 1", "seam, true = 1")
    rows = [
        (
            ARMS.get(arm, arm),
            f"{of['psnr']:.2f}",
            f"{100 * of['l1']:.2f}",
            f"{100 * of['l2']:.2f}",
            f"{of['gradient']:.2f}",
            f"{of['seam']:.2f}",
        )
        for arm, of in measured["arms"].items()
    ]
    return [head, *rows]


def exhibit(objective: ContextEncoder, store: ImageStore, rows: NDArray[np.int64], seed: int) -> Exhibit:
    """Holes of ``rows`` of ``store`` filled, beside the truth and the nearest neighbour, and the figures of every arm."""
    truth, mask, filled, learnt = filled_by_all(objective, store, rows, seed)
    measured = measure(truth, mask, filled)
    panels = [("what is seen", filled["mean"]), ("filled", filled["context_encoder"])]
    panels += [("nearest neighbour", filled["neighbour"]), ("image", truth)]
    caption = (
        f"The holes of {counted(measured['images'], learnt)}; on average {measured['share']:.0%} of the picture. PSNR, L1 "
        "and L2 are means over images of what each has inside its hole, with pixels in [0, 1]; gradient energy and seam "
        "are ratios to those of the true content."
    )
    chosen = np.unique(
        np.linspace(0, len(truth) - 1, SHOWN).round().astype(np.int64)
    )  # rows lie in the order of classes
    shown = [(name, pictures[chosen]) for name, pictures in panels]
    told = headline(measured)
    return Exhibit("Holes filled", caption, shown, name="inpainting", table=table(measured), headline=told)


def headline(measured: Mapping[str, Any]) -> str:
    """How far what it fills holes with is above, or below, the mean colour and a copied neighbour, by ``measure``."""
    own = measured["arms"]["context_encoder"]["psnr"]
    others = {"mean": "the mean colour", "neighbour": "the nearest image, copied"}
    beside = [
        f"{measured['arms'][arm]['psnr']:.1f} dB of {name}"
        + ("" if measured["margin"][arm]["psnr"] > 0 else " (no better than that)")
        for arm, name in others.items()
        if arm in measured["arms"]
    ]
    return f"In the holes it fills, the PSNR is {own:.1f} dB, against {' and '.join(beside)}."
