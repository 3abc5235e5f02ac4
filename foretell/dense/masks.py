"""Masks of class numbers that go with the images of a store, seen through the same crops as they are."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from foretell.data.frames import split_name
from foretell.data.store import ImageStore
from foretell.data.table import many, some
from foretell.dense.squares import Squares
from foretell.errors import ForetellWarning, InputError
from foretell.views.draw import Drawn

IGNORED = 255  # pixels of this value count nowhere
APART = 16  # numbers of classes that all lie so far apart are taken for shades of grey
WAY_OUT = "where white is a class, save it under a number of its own, as mask[mask == 255] = 1"

Mask = NDArray[np.uint8]
Index = NDArray[np.int64]


class Masks:
    """One (H, W) uint8 mask an image: class numbers from 0, ``IGNORED`` for pixels without a class.

    ``classes`` name the numbers from 0, or as a mapping those that there are, as {0: "ground", 3: "liver"}; by default they are
    0 (the background) and those that occur. ``values`` are the numbers as given, one a class; ``masks`` has their places in
    it, which are the same where no number is passed over. ``absent``: the classes that no mask has. ``notes`` say which
    masks have pixels without a class; where the numbers look like shades of grey (0, 128, 255) this is a warning, too.
    A mask may have another resolution than its image, not another shape: the image may have been shrunk on its way into
    the store.
    """

    def __init__(
        self,
        masks: Sequence[Mask],
        classes: Sequence[str] | Mapping[int, str] | None = None,
        *,
        names: Sequence[str] = (),
    ) -> None:
        self.masks = list(masks)
        found = [frozenset(np.unique(mask).tolist()) for mask in self.masks]
        without = [i for i, values in enumerate(found) if IGNORED in values]
        seen = set[int]().union(*found) - {IGNORED}
        called = _called(classes, seen)
        self.values, self.classes = list(called), list(called.values())
        if not seen <= called.keys():
            raise self._unknown(seen - called.keys(), names, mapped=isinstance(classes, Mapping))
        self.notes = self._told(without, names)
        if len(self.classes) < 2:
            at = f"{self._name(without[0], names)}: " if without else ""
            white = f", since {IGNORED} means no class: {WAY_OUT}" if without else ""
            raise InputError(
                f"{at}the masks hold one class only; a segmentation needs at least two (0 is the background){white}"
            )
        if without and classes is None and min(np.diff(self.values)) >= APART:
            warnings.warn(f"{self.notes[0]}; {WAY_OUT}", ForetellWarning, stacklevel=2)
        self.absent = frozenset(name for value, name in called.items() if value not in seen)
        if self.values != list(range(len(self.values))):
            self.masks = [_places_of(self.values)[mask] for mask in self.masks]

    def _unknown(self, values: set[int], names: Sequence[str], *, mapped: bool) -> InputError:
        """The error of ``values`` that name no class, with the first mask that holds one."""
        which = next(i for i, mask in enumerate(self.masks) if np.isin(mask, list(values)).any())
        name = self._name(which, names)
        expected = ", ".join(map(str, self.values)) if mapped else "numbers below that"
        return InputError(
            f"{name}: holds class {max(values)}, and there are {len(self.classes)} ({', '.join(self.classes[:6])}); expected "
            f"{expected}, or {IGNORED} for pixels without a class"
        )

    def _name(self, which: int, names: Sequence[str]) -> str:
        return names[which] if names else f"mask {which}"

    def _told(self, without: Sequence[int], names: Sequence[str]) -> list[str]:
        """The note on the masks ``without`` a class for every pixel; none where there are none."""
        if not without:
            return []
        share = sum(int((mask == IGNORED).sum()) for mask in self.masks) / sum(mask.size for mask in self.masks)
        masks = f"{many(len(without), 'mask')} ({some([self._name(i, names) for i in without], 3)})"
        hold = "holds" if len(without) == 1 else "hold"
        return [
            f"{masks} of {len(self):,} {hold} {IGNORED}, pixels without a class, which count nowhere: {share:.1%} of all pixels"
        ]

    def __len__(self) -> int:
        return len(self.masks)

    @classmethod
    def of(
        cls,
        store: ImageStore,
        folder: str | Path | None = None,
        classes: Sequence[str] | Mapping[int, str] | None = None,
    ) -> Masks:
        """The masks of a store's images: files that its column ``mask`` names, or of the same name in ``folder``.

        In ``folder`` a mask has the image's path below its source, ending in .png, .tif or .npy. The values of a palette
        are its numbers. Raises InputError naming the first image without a mask, or whose mask has another shape.
        """
        paths = _in_folder(store, Path(folder)) if folder is not None else _named(store)
        masks = [read_mask(path) for path in paths]
        for name, path, mask, (height, width) in zip(store.names, paths, masks, store.sizes.tolist(), strict=True):
            scale = max(mask.shape) / max(height, width)
            if abs(mask.shape[0] - height * scale) > scale or abs(mask.shape[1] - width * scale) > scale:
                raise InputError(
                    f"{path}: is {mask.shape[1]} x {mask.shape[0]} pixels, not of the shape of {name} ({width} x {height}); "
                    "expected one mask pixel for each of its pixels"
                )
        return cls(masks, classes, names=[str(path) for path in paths])

    def subset(self, index: Index) -> Masks:
        """The masks ``index``, with the classes of all."""
        part = copy.copy(self)
        part.masks = [self.masks[int(row)] for row in index]
        return part

    def views(
        self, index: Index, boxes: Tensor, sizes: Tensor, flip: Tensor, vertical_flip: Tensor, side: int
    ) -> Tensor:
        """(B, side, side) int64: what ``boxes`` (B, 4) (top, left, height, width) cut out of the masks ``index``, nearest.

        Boxes are in pixels of the images of ``sizes`` (B, 2), as ``views.draw`` makes them.
        """
        out = torch.empty(len(index), side, side, dtype=torch.int64)
        for at, row in enumerate(index):
            mask = self.masks[int(row)]
            top, left, tall, wide = boxes[at].tolist()
            height, width = sizes[at].tolist()
            rows = _places(top, tall, mask.shape[0] / height, side, mask.shape[0], bool(vertical_flip[at]))
            columns = _places(left, wide, mask.shape[1] / width, side, mask.shape[1], bool(flip[at]))
            out[at] = torch.from_numpy(mask[np.ix_(rows, columns)].astype(np.int64))
        return out

    def augmented(self, index: Index, drawn: Drawn, sizes: Tensor, side: int) -> Tensor:
        """The masks through the random views that the images got. Raises ValueError where these are turned."""
        if drawn.angle is not None:
            raise ValueError("masks are cut and flipped, not turned: set rotation=0 for dense views")
        return self.views(index, drawn.box, sizes, drawn.flip, drawn.vertical_flip, side)

    def answers(self, index: Index, cut: Squares, sizes: Tensor, side: int) -> Tensor:
        """(N, side, side) int64: the masks of ``squares.squares`` of the images ``index`` (B,) of ``sizes`` (B, 2);
        ``IGNORED`` where another square answers.
        """
        still = torch.zeros(len(cut.of), dtype=torch.bool)
        found = self.views(index[cut.of], cut.boxes, sizes[cut.of], still, still, side)
        return torch.where(cut.own(side), found, IGNORED)


def _called(classes: Sequence[str] | Mapping[int, str] | None, seen: set[int]) -> dict[int, str]:
    """The name of each number of a mask that is a class, the lowest first. Raises InputError for numbers out of range."""
    if classes is None:
        return {value: str(value) for value in sorted(seen | {0})}
    called = dict(sorted(classes.items())) if isinstance(classes, Mapping) else dict(enumerate(classes))
    wrong = [value for value in called if not 0 <= value < IGNORED]
    if wrong:
        raise InputError(f"classes: {wrong[0]} is no number of a class; expected 0 to {IGNORED - 1}")
    return called


def _places_of(values: Sequence[int]) -> Mask:
    """(256,) uint8: the place of each number of a mask in ``values``, ``IGNORED`` for those that are not in it."""
    table = np.full(IGNORED + 1, IGNORED, np.uint8)
    table[list(values)] = np.arange(len(values))
    return table


def _places(start: float, length: float, scale: float, side: int, limit: int, reverse: bool) -> Index:
    """Where the centres of ``side`` pixels lie, as whole numbers of mask pixels."""
    centres = (start + (np.arange(side) + 0.5) * length / side) * scale
    places = np.clip(np.floor(centres), 0, limit - 1).astype(np.int64)
    return places[::-1] if reverse else places


def _named(store: ImageStore) -> list[Path]:
    if "mask" not in store.table:
        raise InputError(f"{store.source}: no column mask; give a manifest with one, or a folder of masks")
    root = store.found.root if store.found is not None else Path()
    found = []
    for name, value in zip(store.names, store.table.column("mask"), strict=True):
        if value is None:
            raise InputError(f"{store.source}: {name} has no mask; expected one for every image, or leave its row out")
        found.append(root / value)
    return found


def _in_folder(store: ImageStore, folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; expected one of masks named as the images")
    found = []
    for name in store.names:
        file, frame = split_name(name)
        base, end = os.path.splitext(file)
        whole = end[1:].isdecimal()  # an identifier, as 1.2.840.5, and no suffix
        stem = (file if whole else base) + ("" if frame is None else f"-{frame}")
        path = next((folder / f"{stem}{suffix}" for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()), None)
        if path is None:
            raise InputError(f"{folder}: no mask for {name}; expected {stem}.png in it")
        found.append(path)
    return found


SUFFIXES = (".png", ".tif", ".tiff", ".npy")


def read_mask(path: Path) -> Mask:
    """(H, W) uint8 class numbers of a grey or palette image, or an array. Raises InputError naming the file."""
    try:
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            with Image.open(path) as image:
                if image.mode not in ("1", "L", "P", "I", "I;16"):
                    raise InputError(
                        f"{path}: is a picture in {image.mode}; expected a mask of class numbers, one channel"
                    )
                values = np.asarray(image)
    except (OSError, ValueError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be read as a mask"
        raise InputError(f"{path}: {reason}; expected a PNG or .npy of class numbers") from None
    if values.ndim != 2 or values.dtype.kind not in "uib":
        raise InputError(
            f"{path}: has shape {values.shape} of {values.dtype}; expected (height, width) of whole numbers"
        )
    if int(values.min()) < 0 or int(values.max()) > IGNORED:
        raise InputError(
            f"{path}: holds numbers from {values.min()} to {values.max()}; expected classes in 0 to {IGNORED}"
        )
    return np.asarray(values, np.uint8)
