"""Generated pictures: what is tested with them is how files are read, not what is learnt from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    """A smooth random picture, so that lossy formats and shrinking keep it recognisable: (H, W, C) uint8."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 5, channels), dtype=np.uint8)
    planes = [
        np.asarray(Image.fromarray(small[:, :, c]).resize((width, height), Image.Resampling.BICUBIC))
        for c in range(channels)
    ]
    return np.stack(planes, axis=2)


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(path, **options)
    return path


def fill(folder: Path, count: int, *, start: int = 0, suffix: str = "png", **shape: int) -> list[Path]:
    return [save(folder / f"{i:03d}.{suffix}", picture(i, **shape)) for i in range(start, start + count)]
