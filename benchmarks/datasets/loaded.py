"""What a reader gives: images in memory or a folder of files, and their table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from foretell.data.table import Table


@dataclass
class Loaded:
    """``table`` has N rows. Either ``images`` (N, H, W, C) uint8, or ``folder`` that column ``path`` is relative to."""

    table: Table
    images: NDArray[Any] | None = None
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.table)

    def paths(self) -> list[Path]:
        """The files of a set that is a folder."""
        assert self.folder is not None, "this set is an array"
        return [self.folder / str(name) for name in self.table.column("path")]

    def write_manifest(self, path: Path) -> Path:
        """A CSV with absolute paths and every column: a source for ``foretell``."""
        columns = {**self.table.columns, "path": [str(name) for name in self.paths()]}
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return path


@dataclass
class Segmented(Loaded):
    """``masks`` (N, H, W) uint8 hold the number of each pixel's class in ``classes``; 0 is the background."""

    masks: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        """The grey images and their masks as PNG files, and table.csv with every column and ``mask``: a source for ``foretell``."""
        assert self.images is not None
        assert self.masks is not None
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        names = [f"{i:04d}.png" for i in range(len(self))]
        for name, image, mask in zip(names, self.images[..., 0], self.masks, strict=True):
            Image.fromarray(image).save(folder / "images" / name)
            Image.fromarray(mask).save(folder / "masks" / name)
        columns = {
            **self.table.columns,
            "path": [f"images/{name}" for name in names],
            "mask": [f"masks/{name}" for name in names],
        }
        with (folder / "table.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return folder / "table.csv"
