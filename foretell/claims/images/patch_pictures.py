"""Real pictures whose content does not depend on the place: pieces of photographed textures, with or without a lens.

Every piece is cut at a place of its own, mirrored and turned by quarters at random, so that nothing in it says where in
the piece one looks, unless a lens does. Pieces of the left part of a photograph are for training, of the right part for
testing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from foretell.counters import seed_of
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.views.aberration import aberrate

FOLDER = Path(__file__).parent / "data"
SIDE = 96
TRAIN, TEST = 400, 160  # pieces of all textures together
PART = 0.6  # share of a photograph's width that training pieces come from


def textures(names: Sequence[str], k: float, seed: int = 0) -> ImageStore:
    """Pieces of the photographs ``names`` (grass, gravel, brick) in RGB, 96 px, with green magnified by 1 + ``k``.

    The lens works on pieces of twice the size that are then halved: otherwise the blur of its interpolation, which
    changes with the place, would tell the place in the green channel alone. Columns: label (the texture), split.
    """
    pieces, labels, parts = [], [], []
    for part, count in (("train", TRAIN), ("test", TEST)):
        for name in names:
            photograph = np.asarray(Image.open(FOLDER / f"{name}.png").convert("L"))
            edge = int(PART * photograph.shape[1])
            region = photograph[:, :edge] if part == "train" else photograph[:, edge:]
            rng = np.random.default_rng(seed_of(seed, "textures", name, part))
            number = count // len(names)
            pieces.append(_pieces(region, number, rng))
            labels += [name] * number
            parts += [part] * number
    seen = _through_lens(np.concatenate(pieces), k)
    table = Table({"label": list(labels), "split": list(parts)})
    return ImageStore.of(seen, table, source=f"textures {' '.join(names)}, k = {k:g}")


def _pieces(region: NDArray[np.uint8], count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(count, 2 SIDE, 2 SIDE) at random places of ``region`` (H, W), mirrored and turned by quarters at random."""
    side = 2 * SIDE
    out = np.empty((count, side, side), np.uint8)
    for piece in out:
        top, left = (rng.integers(length - side + 1) for length in region.shape)
        cut = region[top : top + side, left : left + side]
        cut = np.rot90(cut, int(rng.integers(4)))
        piece[:] = cut[:, ::-1] if rng.integers(2) else cut
    return out


def _through_lens(pieces: NDArray[np.uint8], k: float, batch: int = 32) -> NDArray[np.uint8]:
    """(N, 2 SIDE, 2 SIDE) grey -> (N, SIDE, SIDE, 3)."""
    out = np.empty((len(pieces), SIDE, SIDE, 3), np.uint8)
    for start in range(0, len(pieces), batch):
        grey = torch.from_numpy(pieces[start : start + batch])
        pixels = grey[:, None].expand(-1, 3, -1, -1).contiguous()
        sizes = torch.tensor([[2 * SIDE, 2 * SIDE]]).expand(len(grey), -1)
        rows = torch.arange(len(grey))
        seen = aberrate(Images(pixels, sizes, rows, rows), k)
        halved = torch.nn.functional.avg_pool2d(seen.pixels.float(), 2).round_()
        out[start : start + batch] = halved.to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return out
