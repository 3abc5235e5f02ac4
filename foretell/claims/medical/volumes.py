"""CT and MR volumes as patients: a human brain, the ICBM 152 template, an averaged macaque, and a head in CT.

The two human brains share the parts of one atlas, so that a network learns from one and is tested on the other. Of the
macaque it is known where its brain is, of the head what is bone and what soft tissue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foretell.claims.fetch import Unavailable
from foretell.claims.medical import brains, cranium
from foretell.data.medical import nifti
from foretell.data.medical.nifti import PLANES, shown
from foretell.data.medical.window import parse, share
from foretell.data.pixels import Unreadable

LEARNT, TESTED, MACAQUE, HEAD = "human", "template", "macaque", "head"
SLAB = 8  # slices that lie together
Tones = NDArray[np.uint8]


@dataclass(frozen=True)
class Volume:
    """``tones`` and ``masks`` (X, Y, Z) uint8 along the axes of the body; ``classes`` name the masks' numbers.

    0 is outside. ``planes`` are those whose pixels are square; ``parts``: whether the classes are parts of the brain.
    """

    patient: str
    tones: Tones
    masks: Tones
    classes: tuple[str, ...]
    planes: tuple[str, ...] = PLANES
    parts: bool = False

    def length(self, plane: str) -> int:
        """How many slices there are in a plane."""
        return int(self.tones.shape[PLANES.index(plane)])

    def slice(self, plane: str, at: int) -> tuple[Tones, Tones]:
        """(tones, masks), both (H, W), of one slice, as it is shown."""
        return shown(self.tones, plane, at), shown(self.masks, plane, at)


def _tones(path: Path) -> Tones:
    """(X, Y, Z) uint8 between the outer percentiles."""
    values = nifti.tones(path, parse("percentile"))[:, :, :, 0, 0]
    return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)


def human() -> Volume:
    place = brains.folder()
    masks = brains.parts(nifti.voxels(place / "aal.nii.gz").astype(np.int64))
    return Volume(LEARNT, _tones(place / "ch2bet.nii.gz"), masks, brains.CLASSES, parts=True)


def template() -> Volume:
    """The template, with the parts of ``aal`` where they lie in the space that both share."""
    path, regions = brains.template_folder() / brains.ICBM, brains.folder() / "aal.nii.gz"
    tones = _tones(path)
    shift = np.subtract(nifti.origin(path), nifti.origin(regions)) / nifti.volume(regions).spacing
    masks = brains.moved(brains.parts(nifti.voxels(regions).astype(np.int64)), tones.shape, shift.tolist())
    return Volume(TESTED, tones, masks, brains.CLASSES, parts=True)


def macaque() -> Volume:
    place = brains.folder()
    inside = (nifti.voxels(place / "inia19-NeuroMaps.nii.gz") > 0).astype(np.uint8)
    return Volume(MACAQUE, _tones(place / "inia19-t1-brain.nii.gz"), inside, ("background", "brain"))


def head() -> Volume:
    """The head in CT, soft tissue between black and white; its voxels are square in the axial plane alone."""
    values, masks = cranium.volume()
    window = parse("40/400")
    tones = np.rint(share(values, window.low, window.high) * 255).astype(np.uint8)
    turned, classes = (volume.transpose(2, 1, 0)[::-1, ::-1] for volume in (tones, masks))
    return Volume(HEAD, turned, classes, cranium.CLASSES, planes=("axial",))


PATIENTS: tuple[Callable[[], Volume], ...] = (human, macaque, head, template)


def volumes() -> Iterator[Volume]:
    """Every patient, that which is tested on last.

    Raises Unavailable where a package, or what reads its files, cannot be had.
    """
    try:
        for read in PATIENTS:
            yield read()
    except Unreadable as reason:
        raise Unavailable(f"{brains.PACKAGE.title}: a volume of it {reason}") from None
