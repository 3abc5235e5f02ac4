"""Patches of a small grid in every image of a batch, and what hides their place, in batched tensor operations.

Doersch, Gupta, Efros, "Unsupervised Visual Representation Learning by Context Prediction" (arXiv 1505.05192), section 3,
and the authors' released code. Each countermeasure against a shortcut is a setting of its own: ``gap``, ``jitter``,
``resample``, ``colour`` and ``contrast``. A patch is cut out and worked on once, however many pairs it is in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from foretell.counters import Rng
from foretell.data.images import Images
from foretell.errors import InputError
from foretell.settings import Settings
from foretell.views.geometry import lines, resize_weights, separable

# (dx, dy) of the second patch from the first, by label: row by row, so that swapping the two turns l into 7 - l
DIRECTIONS = ((-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1))
NAMES = ("above left", "above", "above right", "left", "right", "below left", "below", "below right")

# the published sizes: 96 px patches 48 px apart, moved by up to 7 px, made as coarse as 10 x 10 px
PUBLISHED, COARSEST, JITTER = 96, 10 / 96, 7 / 96
# smallest patch, in px, for which three of them a side are taken where the sizes are automatic
THREE = 14
# share of the images that must be large enough for the grid where the sizes are automatic
FITTING = 0.9
# one level of 8-bit grey: flatter patches are not stretched to full contrast
FLAT = 1 / 255

_GREEN_MAGENTA = (-1.0, 2.0, -1.0)


class PatchConfig(Settings):
    """Where patches are cut, and the countermeasures against shortcuts, each on by default and each removable."""

    patch: int | None = Field(
        None,
        ge=4,
        description="pixels a side of a patch; default: as many as the grid has room for, 10 in images of 28 px, 15 of 64 px, 30 of "
        "128 px, at most 96",
    )
    grid: int | None = Field(
        None,
        ge=2,
        le=3,
        description="patches a side of the grid; default: 3 where they fit and are 14 px or more, else 2",
    )
    gap: int | None = Field(
        None, ge=0, description="pixels between patches, against lines and texture that go on; default: half a patch"
    )
    jitter: int | None = Field(
        None, ge=0, description="each patch moves by up to this many pixels on either axis; default: 7% of a patch"
    )
    area: tuple[int, int] | None = Field(
        None, description="resize each image to a number of pixels in this range first (published: 150000, 450000)"
    )
    resample: float = Field(0.33, ge=0, le=1, description="probability that a patch is made coarse and enlarged again")
    colour: Literal["drop", "projection", "keep"] = Field(
        "drop",
        description="against chromatic aberration: drop all channels but a random one, or project the axis from green "
        "to magenta out of the colours; keep: no countermeasure",
    )
    noise: Literal["gaussian", "uniform"] = Field(
        "gaussian",
        description="in the dropped channels: gaussian of 1/100 of the kept one's deviation (paper), or uniform of one "
        "grey level (released code)",
    )
    contrast: bool = Field(True, description="bring every patch to the same contrast")

    @field_validator("area")
    @classmethod
    def _ordered(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 16 <= value[0] <= value[1]:
            raise ValueError(f"area is (smallest, largest) with 16 <= smallest <= largest, not {tuple(value)}")
        return value

    @property
    def extent(self) -> int:
        """Pixels a side that the grid covers, once settled."""
        assert self.patch is not None
        assert self.gap is not None
        assert self.grid is not None
        return self.grid * self.patch + (self.grid - 1) * self.gap


def smallest_sides(sizes: NDArray[np.int64], config: PatchConfig) -> NDArray[np.float64]:
    """(N,) shorter side in pixels of images of ``sizes`` (N, 2), resized to the smallest ``config.area`` if there is one."""
    shorter: NDArray[np.float64] = sizes.min(axis=1).astype(np.float64)
    if config.area is not None:
        # rounding may take half a pixel off
        shorter = np.floor(shorter * np.sqrt(config.area[0] / sizes.prod(axis=1)))
    return shorter


def settle(config: PatchConfig, sizes: NDArray[np.int64]) -> dict[str, int]:
    """patch, gap, jitter and grid for images of ``sizes`` (N, 2: height, width), where ``config`` leaves them open.

    Half a patch of gap and a 3x3 grid that nine of ten images have room for, with some room to move; 2x2 where that
    would make patches under 14 px; patches of at most the published 96 px.
    """
    side = int(np.quantile(smallest_sides(sizes, config), 1 - FITTING, method="lower"))
    patch, grid = config.patch, config.grid
    if patch is None:
        gap_share = 0.5 if config.gap is None else 0.0
        fixed = config.gap or 0

        def largest(n: int) -> int:
            return int((side - (n - 1) * fixed) / (n + (n - 1) * gap_share + 0.25))

        grid = grid or (3 if largest(3) >= THREE else 2)
        patch = max(4, min(PUBLISHED, largest(grid)))
    gap = patch // 2 if config.gap is None else config.gap
    grid = grid or (3 if 3 * patch + 2 * gap <= side else 2)
    jitter = max(1, round(JITTER * patch)) if config.jitter is None else config.jitter
    return {"patch": patch, "gap": gap, "jitter": jitter, "grid": grid}


def large_enough(sizes: NDArray[np.int64], config: PatchConfig) -> NDArray[np.bool_]:
    """(N,): which images of ``sizes`` (N, 2) have room for the settled grid of ``config``.

    Raises InputError when none has.
    """
    shorter = smallest_sides(sizes, config)
    fits: NDArray[np.bool_] = shorter >= config.extent
    if not fits.any():
        raise InputError(
            f"objective.patch = {config.patch}: a grid of {config.grid} x {config.grid} patches with gaps of {config.gap} "
            f"covers {config.extent} px, and no image has as much (the largest shorter side is {int(shorter.max())} px); "
            "set a smaller objective.patch, or leave it out"
        )
    return fits


@lru_cache(maxsize=4)
def pairs(grid: int) -> tuple[Tensor, Tensor, Tensor]:
    """Every ordered pair of neighbouring patches of a ``grid`` x ``grid``, numbered row by row.

    (M, 2) int64 places of the first and the second, (M,) int64 labels, and (M,) float32 weights with which the eight
    labels count alike (a grid has fewer diagonal neighbours), sum 1.
    """
    found = [
        (y * grid + x, (y + dy) * grid + x + dx, label)
        for y in range(grid)
        for x in range(grid)
        for label, (dx, dy) in enumerate(DIRECTIONS)
        if 0 <= y + dy < grid and 0 <= x + dx < grid
    ]
    rows = torch.tensor(found)
    label = rows[:, 2]
    return rows[:, :2].contiguous(), label, 1.0 / (8 * torch.bincount(label, minlength=8)[label].float())


def projection(device: torch.device | None = None) -> Tensor:
    """(3, 3) B = I - a^T a / (a a^T) with a = [-1, 2, -1]: takes the axis from green to magenta out of RGB rows."""
    a = torch.tensor([_GREEN_MAGENTA], dtype=torch.float64)
    return (torch.eye(3, dtype=torch.float64) - a.T @ a / (a @ a.T)).to(device, torch.float32)


@lru_cache(maxsize=4)
def coarse_matrices(patch: int) -> Tensor:
    """(patch + 1, patch, patch): row r makes a line of ``patch`` pixels r long and as long as before again.

    Both ways bilinear, antialiased on the way down; row ``patch`` is the identity, and row 0 is not used.
    """
    table = torch.zeros(patch + 1, patch, patch)
    zero = torch.zeros(1, dtype=torch.float64)
    for r in range(1, patch):
        down, up = patch / r, r / patch
        scale = torch.tensor([down], dtype=torch.float64)
        smaller = (torch.arange(r, dtype=torch.float64)[None] + 0.5) * down
        larger = ((torch.arange(patch, dtype=torch.float64)[None] + 0.5) * up).clamp(0.5, r - 0.5)
        shrink = resize_weights(smaller, scale, zero, zero + patch, patch, "bilinear")
        enlarge = resize_weights(larger, 1 / scale, zero, zero + r, r, "bilinear")
        table[r] = enlarge[0] @ shrink[0]
    table[patch] = torch.eye(patch)
    return table


@dataclass
class DrawnPatches:
    """What is done to the K = grid^2 patches of each of B images, row by row.

    ``corners`` (B, K, 2) int64 top left (y, x); ``sizes`` (B, 2) int64 of the images they lie in; ``resized``: whether
    these are other sizes than the images' own; ``coarse`` (B, K) int64 the side a patch is reduced to (the patch's own:
    left as it is); ``keep`` (B, K) int64 the channel kept, or None; ``noise`` (B, K, C - 1, p, p) for the others, of
    deviation 1 or in grey levels, or None.
    """

    corners: Tensor
    sizes: Tensor
    resized: bool
    coarse: Tensor
    keep: Tensor | None = None
    noise: Tensor | None = None


def draw_patches(sizes: Tensor, channels: int, config: PatchConfig, rng: Rng, name: str = "patches") -> DrawnPatches:
    """Draw the patches of images of ``sizes`` (B, 2); ``config`` is settled. Every kind of draw has its own name.

    The grid's place is uniform over all at which it lies inside the image; each patch is then moved by itself and
    clamped into the image.
    """
    assert config.patch is not None
    assert config.gap is not None
    assert config.jitter is not None
    assert config.grid is not None
    patch, grid = config.patch, config.grid
    sizes = sizes.to(rng.device)
    if config.area is not None:
        low, high = config.area
        area = rng.uniform(f"{name}.area", low=low, high=high).double()
        factor = (area / sizes.prod(1)).sqrt()
        sizes = (sizes * factor[:, None]).round().long()
    free = sizes - config.extent
    start = torch.minimum((rng.uniform(f"{name}.start", 2).double() * (free + 1)).long(), free)
    node = torch.arange(grid, device=rng.device) * (patch + config.gap)
    places = torch.stack(torch.meshgrid(node, node, indexing="ij"), -1).view(-1, 2)
    corners = start[:, None] + places
    if config.jitter:
        corners = corners + rng.integers(f"{name}.jitter", 2 * config.jitter + 1, grid**2, 2) - config.jitter
    corners = torch.minimum(corners.clamp(min=0), (sizes - patch)[:, None])
    coarse = torch.full(corners.shape[:2], patch, device=rng.device)
    if config.resample:
        least, most = max(2, round(COARSEST * patch)), patch - 1
        share = rng.uniform(f"{name}.coarse", grid**2)
        side = (share * (most**2 - least**2) + least**2).sqrt().long()
        coarse = torch.where(rng.chance(f"{name}.resample", config.resample, grid**2), side, coarse)
    drawn = DrawnPatches(corners, sizes, config.area is not None, coarse)
    if config.colour == "drop" and channels > 1:
        drawn.keep = rng.integers(f"{name}.keep", channels, grid**2)
        shape = (grid**2, channels - 1, patch, patch)
        if config.noise == "gaussian":
            drawn.noise = rng.normal(f"{name}.noise", *shape)
        else:
            drawn.noise = rng.uniform(f"{name}.noise", *shape, low=-0.5, high=0.5)
    return drawn


def patches(images: Images, config: PatchConfig, rng: Rng, std: Sequence[float], name: str = "patches") -> Tensor:
    """The patches of a batch of images as the network sees them: (B, K, C, p, p) float32, K = grid^2; see ``render``."""
    if len(images) != len(rng.rows):
        raise ValueError(f"{len(images)} images for {len(rng.rows)} rows of the global batch")
    rng = replace(rng, device=images.pixels.device)
    return render(images, draw_patches(images.sizes, images.channels, config, rng, name), config, std)


def placed_patches(
    images: Images, config: PatchConfig, rng: Rng, std: Sequence[float], name: str = "patches"
) -> tuple[Tensor, Tensor]:
    """What ``patches`` shows, and where it lies: (K * B, C, p, p), all first patches first, and (K * B, 2).

    The places are those of the centres (y, x), in shares of the height and width of the image they are cut from.
    """
    assert config.patch is not None
    rng = replace(rng, device=images.pixels.device)
    drawn = draw_patches(images.sizes, images.channels, config, rng, name)
    centres = (drawn.corners + config.patch / 2) / drawn.sizes[:, None]
    seen = render(images, drawn, config, std)
    return seen.transpose(0, 1).flatten(0, 1), centres.transpose(0, 1).flatten(0, 1).float()


@torch.no_grad()
def render(images: Images, drawn: DrawnPatches, config: PatchConfig, std: Sequence[float]) -> Tensor:
    """(B, K, C, p, p) float32: the patches that ``drawn`` describes, each with its own mean taken off.

    With ``config.contrast`` the root mean square over all of a patch's values is 1 (but for flat patches); without, a
    value is in units of the data's mean deviation, the mean of ``std``. Projection needs three channels, dropping two
    or more: other images have no colours to hide, and keep them.
    """
    assert config.patch is not None
    patch = config.patch
    with torch.autocast(images.pixels.device.type, enabled=False):
        pixels = resized(images, drawn.sizes) if drawn.resized else images.pixels
        count = drawn.corners.shape[:2]
        flat = cut(pixels, drawn.corners, patch, drawn.keep).flatten(0, 1)
        flat = _coarsened(flat, drawn.coarse.flatten(), patch) if config.resample else flat
        flat = flat.sub_(flat.mean((2, 3), keepdim=True)).mul_(1 / images.peak)
        if drawn.keep is not None and drawn.noise is not None:
            flat = _among_noise(flat, drawn.keep.flatten(), drawn.noise.flatten(0, 1), config.noise)
        elif config.colour == "projection" and images.channels == 3:
            flat = (projection(flat.device).T @ flat.flatten(2)).view_as(flat)
        if config.contrast:
            norm = torch.linalg.vector_norm(flat.flatten(1), dim=1) / math.sqrt(flat[0].numel())
            flat.mul_(norm.clamp(min=FLAT).reciprocal_()[:, None, None, None])
        else:
            flat.mul_(len(std) / sum(std))
    return flat.view(*count, *flat.shape[1:])


def cut(pixels: Tensor, corners: Tensor, patch: int, channel: Tensor | None = None) -> Tensor:
    """Copy patches out of ``pixels`` (B, C, H, W) of any type, at ``corners`` (B, K, 2): (B, K, C, p, p) float32.

    ``channel`` (B, K): only that one of each patch, so that C is 1.
    """
    pixels = pixels.contiguous()
    whole = pixels.view(torch.int16) if pixels.dtype == torch.uint16 else pixels  # uint16 cannot be indexed
    batch, channels, height, width = whole.shape
    step = whole.stride()
    shape = (batch, channels, height - patch + 1, width - patch + 1, patch, patch)
    windows = whole.as_strided(shape, (*step, step[2], step[3]), whole.storage_offset())
    image = torch.arange(batch, device=pixels.device)[:, None]
    y, x = corners.unbind(-1)
    every: Any = slice(None)
    taken = windows[image, every if channel is None else channel, y, x]
    taken = taken.view(torch.uint16) if pixels.dtype == torch.uint16 else taken
    return taken.to(torch.float32) if channel is None else taken.to(torch.float32)[:, :, None]


def resized(images: Images, sizes: Tensor) -> Tensor:
    """``images`` at ``sizes`` (B, 2), bilinear and antialiased: (B, C, H, W) float32, arbitrary beyond each one's size."""
    weights = []
    for axis in (0, 1):
        own, new = images.sizes[:, axis].double(), sizes[:, axis].double()
        length = int(sizes[:, axis].max())
        scale = own / new
        centres = (torch.arange(length, device=sizes.device).double() + 0.5) * scale[:, None]
        centres = centres.minimum(own[:, None] - 0.5).clamp(min=0.5)
        zero = torch.zeros_like(own)
        weights.append(resize_weights(centres, scale, zero, own, images.pixels.shape[2 + axis], "bilinear"))
    return separable(lines(images.pixels), *weights)


def _coarsened(flat: Tensor, coarse: Tensor, patch: int) -> Tensor:
    """``flat`` (N, C, p, p) with patch i made ``coarse[i]`` pixels a side and enlarged again."""
    table = coarse_matrices(patch).to(flat.device)
    if flat.device.type != "cpu":
        matrix = table[coarse][:, None]
        return matrix @ flat @ matrix.transpose(-1, -2)
    # Where looking at the draws costs no wait, leave out the patches that stay as they are.
    chosen = (coarse < patch).nonzero()[:, 0]
    matrix = table[coarse[chosen]]
    n, channels = len(chosen), flat.shape[1]
    down = torch.bmm(matrix, flat[chosen].transpose(1, 2).reshape(n, patch, channels * patch))
    across = torch.bmm(down.view(n, patch * channels, patch), matrix.transpose(1, 2))
    return flat.index_copy_(0, chosen, across.view(n, patch, channels, patch).transpose(1, 2).contiguous())


def _among_noise(kept: Tensor, keep: Tensor, noise: Tensor, kind: str) -> Tensor:
    """(N, C, p, p) with ``kept`` (N, 1, p, p) at channel ``keep`` (N,) and ``noise`` (N, C - 1, p, p) in the others."""
    n, others, patch, _ = noise.shape
    channels = others + 1
    out = torch.empty(n, channels, patch, patch, device=kept.device)
    row = torch.arange(n, device=kept.device)
    if kind == "gaussian":
        deviation = torch.linalg.vector_norm(kept.flatten(1), dim=1) / patch
        noise = noise * (0.01 * deviation)[:, None, None, None]
    else:
        noise = noise * FLAT
    out[row, keep] = kept[:, 0]
    place = (keep[:, None] + torch.arange(1, channels, device=kept.device)) % channels
    out[row[:, None], place] = noise
    return out
