"""Can a patch's place in its image be told from the patch alone, and which cue gives it away?

A small network regresses the (x, y) of patches of images it has not seen, beside the best constant (Doersch, Gupta,
Efros, arXiv 1505.05192, section 3). Where it does better, the place leaks, and a pretext task that asks for places can
be solved without looking at what is shown. Each cue is then closed on its own by the switch that stands for it:

    colours apart (lens aberration)      projection, or dropping all channels but one
    brightness, vignetting               contrast normalisation
    sharpness, resampling                down- and up-sampling
    a frame, or padding at the border    keeping patches off the border

What is left when all of them are closed is the layout of the scenes (sky above, ground below), which a pretext task is
meant to learn, or a cue that has no switch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.errors import InputError
from foretell.transfer.images.labelled import group_codes
from foretell.transfer.images.place_leak import SWITCHES, Score, Shortcuts, Switch
from foretell.transfer.images.position_probe import VISITS, Looks, score
from foretell.views.patches import PatchConfig, cut, draw_patches, placed_patches, projection, render

if TYPE_CHECKING:
    from foretell.objectives.image import ImageObjective

Index = NDArray[np.int64]
Placed = Callable[[Images, Rng], tuple[Tensor, Tensor] | None]

SEEDS = (0, 1, 2)
IMAGES = 400  # images that are looked at, at most
FEWEST = 24  # images below which nothing can be said of unseen ones
PER_IMAGE = 32  # patches of each image
LARGEST = 48  # pixels a side of what the network sees: of larger views the middle


def closed_by(patches: Images, switch: Switch, seed: int) -> Tensor:
    """(N, C, p, p) float32: ``patches`` with the settings of one switch and nothing else done to them.

    ``render`` takes off each patch's mean, which belongs to contrast normalisation: for the others it is put back.
    """
    patch = patches.pixels.shape[-1]
    plain: dict[str, Any] = {"patch": patch, "grid": 1, "gap": 0, "jitter": 0, "resample": 0, "colour": "keep"}
    config = PatchConfig().model_copy(update={**plain, "contrast": False, **switch.settings})
    count = len(patches)
    drawn = draw_patches(patches.sizes, patches.channels, config, Rng(seed, 0, Rows(0, count, count)))
    seen = render(patches, drawn, config, (1.0,))[:, 0]
    if config.contrast:
        return seen
    level = patches.float().mean((2, 3))
    if drawn.keep is not None:
        level = level * F.one_hot(drawn.keep[:, 0], patches.channels)
    elif config.colour == "projection" and patches.channels == 3:
        level = level @ projection()
    return seen + level[:, :, None, None]


def usual_patch(store: ImageStore) -> int:
    """A quarter of the images' usual side, 8 to 32 px."""
    return max(8, min(32, store.usual_side // 4))


def _groups(store: ImageStore, rows: Index) -> Index:
    codes = group_codes(store, rows)
    return np.arange(len(rows)) if codes is None else codes


def probe_images(
    store: ImageStore,
    rows: Index | None = None,
    *,
    patch: int | None = None,
    seeds: Sequence[int] = SEEDS,
    most: int = IMAGES,
    per_image: int = PER_IMAGE,
    visits: int = VISITS,
    switches: Sequence[str] = tuple(SWITCHES),
    progress: Callable[[int, int], None] | None = None,
) -> Shortcuts:
    """Probe patches as they lie in the images of ``store`` (``rows``, default all; up to ``most``), before any view.

    ``patch`` pixels a side (default: a quarter of the usual side, at most 32), ``per_image`` at random places of each
    image. Images of fewer than three patches a side are left out. The ``switches`` are tried only where the place leaks;
    those of colour only on images with three channels. Raises InputError when fewer than 24 images are left.
    """
    patch = patch or usual_patch(store)
    rows = np.arange(len(store), dtype=np.int64) if rows is None else rows
    large = rows[store.sizes[rows].min(axis=1) >= 3 * patch]
    if len(large) < FEWEST:
        raise InputError(
            f"{store.source}: {len(large)} images are at least {3 * patch} px a side, three patches of {patch} px; "
            f"the shortcut probe needs {FEWEST}: give more or larger images, or a smaller patch"
        )
    large = np.sort(np.random.default_rng(0).permutation(large)[:most])
    names = [name for name in switches if not SWITCHES[name].colour or store.channels == 3]
    groups = torch.from_numpy(_groups(store, large)).repeat_interleave(per_image)
    cuts: dict[bool, tuple[Images, Tensor]] = {}

    def measured(switch: Switch | None) -> Score:
        inset = switch is not None and switch.inset
        if inset not in cuts:
            cuts[inset] = _cut(store, large, patch, per_image, patch // 2 if inset else 0)
        images, place = cuts[inset]
        seen = images.float() if switch is None or not switch.settings else closed_by(images, switch, 0)
        return score(Looks(seen, place, images.index), groups, seeds, visits)

    total = 1 + len(names)
    found = Shortcuts(f"patches of {patch} px", len(large), patch, measured(None))
    if progress is not None:
        progress(1 if found.leaks else total, total)
    for done, name in enumerate(names if found.leaks else [], 2):
        found.closed[name] = measured(SWITCHES[name])
        if progress is not None:
            progress(done, total)
    return found


def _cut(store: ImageStore, rows: Index, patch: int, count: int, inset: int) -> tuple[Images, Tensor]:
    """``count`` patches at random places of each image as a batch of images, and the places of their centres."""
    pixels, places, content = [], [], []
    for start in range(0, len(rows), 32):
        images = store.read(rows[start : start + 32])
        rng = Rng(0, start, Rows(0, len(images), len(images)))
        free = (images.sizes - patch - 2 * inset)[:, None]
        corners = inset + torch.minimum((rng.uniform("place", count, 2) * (free + 1)).long(), free)
        pixels.append(cut(images.pixels, corners, patch).flatten(0, 1).to(torch.int32).to(images.pixels.dtype))
        content.append(images.content.repeat_interleave(count))
        places.append(((corners + patch / 2) / images.sizes[:, None]).flatten(0, 1).float())
    index = torch.from_numpy(rows).repeat_interleave(count)
    sizes = torch.full((len(index), 2), patch)
    return Images(torch.cat(pixels), sizes, index, torch.cat(content)), torch.cat(places)


def probe_objective(
    objective: ImageObjective,
    *,
    seeds: Sequence[int] = SEEDS,
    most: int = IMAGES,
    per_image: int = PER_IMAGE,
    visits: int = VISITS,
    switches: Sequence[str] = tuple(SWITCHES),
) -> Shortcuts | None:
    """Probe what an objective shows its encoder: its views, as ``hide`` makes them of up to ``most`` images of its store.

    A switch works on the views; patches that the objective cuts itself are cut again from the images, with its own settings
    and the switch's. Switches that are on already are not tried.
    None when the objective has no views with a place (``ImageObjective.placed``), when each of them shows its whole
    image, or when there are fewer than 24 images.
    """
    store = objective.store
    rows = np.sort(np.random.default_rng(0).permutation(len(store))[:most])
    if len(rows) < FEWEST:
        return None
    whole = _looks(store, rows, per_image, objective.placed)
    if whole is None or float(whole.place.std(0).max()) < 0.01:
        return None
    codes = np.zeros(int(rows.max()) + 1, np.int64)
    codes[rows] = _groups(store, rows)
    groups = torch.from_numpy(codes)[whole.image]
    own = objective.countermeasures
    what = f"the {'views' if own is None else 'patches'} of {objective.name}"
    found = Shortcuts(what, len(rows), whole.seen.shape[-1], score(whole, groups, seeds, visits))
    if not found.leaks:
        return found
    images = _as_images(whole, objective) if own is None else None

    def closed(switch: Switch) -> Looks:
        if images is not None:
            return Looks(closed_by(images, switch, 0), whole.place, whole.image)
        again = _looks(store, rows, per_image, _patches_with(objective, switch))
        assert again is not None
        return again

    for name in switches:
        if _can_be_tried(SWITCHES[name], store.channels, own):
            found.closed[name] = score(closed(SWITCHES[name]), groups, seeds, visits)
    return found


def _can_be_tried(switch: Switch, channels: int, own: PatchConfig | None) -> bool:
    """Whether there is something to close, that ``own`` has not closed: one countermeasure of colours replaces another."""
    if not switch.settings or (switch.colour and channels != 3):
        return False
    if own is None:
        return True
    if switch.colour and own.colour != "keep":
        return False
    return any(getattr(own, name) != value for name, value in switch.settings.items())


def _patches_with(objective: ImageObjective, switch: Switch) -> Placed:
    """What ``objective.placed`` is with one more countermeasure: the same patches, from the images' own pixels."""
    own = objective.countermeasures
    assert own is not None
    config = own.model_copy(update=dict(switch.settings))
    return lambda batch, rng: placed_patches(batch, config, rng, objective.views.std or (1.0,))


def _looks(store: ImageStore, rows: Index, per_image: int, placed: Placed) -> Looks | None:
    """``per_image`` views of each of ``rows`` or a few more, and their places; None where they have none."""
    looks: list[Looks] = []
    seen, step = 0, 0
    while seen < per_image * len(rows):
        for start in range(0, len(rows), 64):
            batch = store.read(rows[start : start + 64])
            found = placed(batch, Rng(0, step, Rows(0, len(batch), len(batch))))
            if found is None:
                return None
            views, place = found
            looks.append(Looks(_middle(views).cpu(), place.cpu(), batch.index.repeat(len(views) // len(batch))))
            seen, step = seen + len(views), step + 1
    return Looks(*(torch.cat([getattr(one, name) for one in looks]) for name in ("seen", "place", "image")))


def _middle(views: Tensor) -> Tensor:
    top, left = ((length - LARGEST) // 2 if length > LARGEST else 0 for length in views.shape[2:])
    return views[:, :, top : top + LARGEST, left : left + LARGEST].contiguous()  # the rest is not kept in memory


def _as_images(looks: Looks, objective: ImageObjective) -> Images:
    from foretell.views import denormalise

    pictures = denormalise(looks.seen, objective.views.mean, objective.views.std)
    deep = (pictures * 65535).round_().to(torch.int32).to(torch.uint16)
    sizes = torch.tensor(deep.shape[2:]).expand(len(deep), 2)
    return Images(deep, sizes, looks.image, looks.image)
