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

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foretell.counters import Rng, Rows, seed_of
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.errors import InputError
from foretell.transfer.images.labelled import group_codes
from foretell.transfer.measures.intervals import Interval, paired, t_interval
from foretell.views.patches import PatchConfig, cut, draw_patches, projection, render

if TYPE_CHECKING:
    from foretell.objectives.image import ImageObjective

Index = NDArray[np.int64]

SEEDS = (0, 1, 2)
IMAGES = 400  # images that are looked at, at most
FEWEST = 24  # images below which nothing can be said of unseen ones
HELD = 1 / 3  # share of the images (of the groups, where there are any) that is held out
PER_IMAGE = 32  # patches of each image
VISITS = 24_000  # patches that one network is trained on, repetitions counted
BATCH = 128
LARGEST = 48  # pixels a side of what the network sees: of larger views the middle
BEST = 0.1
LEAST = 0.01  # gain below which a leak is too small to learn from
SHARE = 0.3  # of the gain that closing a cue must take away for the cue to be named


@dataclass(frozen=True)
class Switch:
    """A countermeasure: the ``cue`` it closes, its ``settings`` in ``PatchConfig`` and how a person turns it on.

    ``names``: whether a difference it makes says that this cue is there. Dropping colours takes away two thirds of all
    that a patch shows, and so weakens every other cue too.
    """

    cue: str
    words: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inset: bool = False
    colour: bool = False
    names: bool = True


SWITCHES = {
    "projection": Switch("lens aberration", "colour projection", {"colour": "projection"}, colour=True),
    "dropping": Switch("lens aberration", "colour dropping", {"colour": "drop"}, colour=True, names=False),
    "contrast": Switch("brightness or vignetting", "contrast normalisation", {"contrast": True}),
    "resample": Switch("sharpness or resampling", "down- and up-sampling of every patch", {"resample": 1.0}),
    "border": Switch("a frame or padding at the border", "keeping half a patch off the border", inset=True),
    "all": Switch("", "all of these", {"colour": "drop", "contrast": True, "resample": 1.0}, inset=True, names=False),
}


@dataclass
class Looks:
    """What the network sees: ``seen`` (N, C, p, p) float32, ``place`` (N, 2) of the centres as shares of the image's
    height and width, ``image`` (N,) int64 the rows they come from.
    """

    seen: Tensor
    place: Tensor
    image: Tensor

    def part(self, chosen: Tensor) -> Looks:
        return Looks(self.seen[chosen], self.place[chosen], self.image[chosen])


@dataclass
class Score:
    """Root mean squared distances, in shares of an image's side, one a seed, on images not trained on.

    ``best`` and ``best_constant``: on the tenth of the images whose places are foretold best. That tenth is chosen on one
    half of each image's patches and measured on the other: chosen and measured on the same ones, pure chance would look
    like foresight.
    """

    rmse: list[float] = field(default_factory=list)
    constant: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    best_constant: list[float] = field(default_factory=list)

    @property
    def gains(self) -> list[float]:
        """1 - rmse / constant of each seed: 0 tells nothing of the place, 1 all."""
        return [1 - own / other for own, other in zip(self.rmse, self.constant, strict=True)]

    @property
    def gain(self) -> Interval:
        return t_interval(self.gains)

    @property
    def leaks(self) -> bool:
        """Whether the 95% interval of the gain over seeds lies above 0, and the gain is no trifle (1% or more)."""
        return self.gain.low > 0 and self.gain.mean >= LEAST

    def record(self) -> dict[str, Any]:
        return {
            "rmse": t_interval(self.rmse).record(),
            "constant": t_interval(self.constant).record(),
            "best": t_interval(self.best).record(),
            "best_constant": t_interval(self.best_constant).record(),
            "gain": self.gain.record(),
            "leaks": self.leaks,
        }


@dataclass
class Shortcuts:
    """The probe's findings: ``open`` with nothing closed, and ``closed`` with each switch, where the place leaks."""

    what: str
    images: int
    patch: int
    open: Score
    closed: dict[str, Score] = field(default_factory=dict)

    @property
    def leaks(self) -> bool:
        return self.open.leaks

    def effect(self, name: str) -> Interval:
        """How much of the gain a switch takes away, paired over seeds."""
        return paired(self.open.gains, self.closed[name].gains)

    def judged(self, name: str) -> str:
        """ "closes it", "narrows it" or "no difference": what a switch does to the leak."""
        if not self.effect(name).low > 0:
            return "no difference"
        return "narrows it" if self.closed[name].leaks else "closes it"

    @property
    def cues(self) -> list[str]:
        """The cues whose switch takes away a good part of the gain, the largest first."""
        felt = [
            name
            for name in self.closed
            if SWITCHES[name].cue
            and SWITCHES[name].names
            and self.judged(name) != "no difference"
            and self.effect(name).mean >= SHARE * self.open.gain.mean
        ]
        felt.sort(key=lambda name: -self.effect(name).mean)
        return list(dict.fromkeys(SWITCHES[name].cue for name in felt))

    @property
    def verdict(self) -> str:
        """One or two sentences for a person."""
        gain = self.open.gain
        if not self.leaks:
            return (
                f"The place of {self.what} does not show: a network foretells it no better than a constant "
                f"(gain {gain.mean:.1%}, {gain.low:.1%} to {gain.high:.1%})."
            )
        text = (
            f"The place of {self.what} shows: a network foretells it {gain.mean:.1%} better than a constant "
            f"({gain.low:.1%} to {gain.high:.1%})."
        )
        if not self.closed:
            return text
        cues = self.cues
        if not cues:
            return f"{text} No single switch takes away much of it: it is the layout of the pictures, several cues at once, or one without a switch."
        closing = [n for n in self.closed if self.judged(n) == "closes it" and SWITCHES[n].cue in cues]
        by = " or ".join(SWITCHES[n].words for n in closing)
        text += f" It shows through {', '.join(cues)}" + (
            f"; {by} closes it." if by else ", which no single switch closes."
        )
        if "all" in self.closed and self.closed["all"].leaks:
            text += (
                f" With everything closed {self.closed['all'].gain.mean:.1%} remain: the layout of the pictures, or a cue "
                "without a switch."
            )
        return text

    def record(self) -> dict[str, Any]:
        closed = {
            name: {
                "switch": SWITCHES[name].words,
                "cue": SWITCHES[name].cue,
                "effect": self.effect(name).record(),
                "judged": self.judged(name),
                **score.record(),
            }
            for name, score in self.closed.items()
        }
        return {
            "what": self.what,
            "images": self.images,
            "patch": self.patch,
            "leaks": self.leaks,
            "verdict": self.verdict,
            "cues": self.cues,
            "open": self.open.record(),
            "closed": closed,
        }


def position_net(channels: int, width: int = 16) -> nn.Module:
    """(N, channels, p, p) -> (N, 2)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, 64),
        nn.ReLU(),
        nn.Linear(64, 2),
    )


def _whitening(seen: Tensor) -> tuple[Tensor, Tensor]:
    """(mean (C,), matrix (C, C)) that make the channels uncorrelated and of deviation 1.

    A shift between colours lies in their differences, which are small beside what they share.
    """
    flat = seen.transpose(0, 1).flatten(1)
    mean = flat.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat).double().view(len(flat), -1))
    scale = values.clamp(min=1e-3 * float(values.max()), max=math.inf).clamp(min=1e-12).rsqrt()
    return mean, (vectors * scale @ vectors.T).float()


def foretell_places(train: Looks, test: Looks, seed: int, visits: int = VISITS) -> Tensor:
    """(N, 2) the places of ``test`` as a network trained on ``train`` foretells them."""
    mean, white = _whitening(train.seen[:: max(1, len(train.seen) // 2000)])
    centre, spread = train.place.mean(0), train.place.std(0).clamp(min=1e-6)

    def ready(seen: Tensor) -> Tensor:
        """Each patch twice: as it is, and at the same mean and contrast, where faint patches tell as much as strong ones."""
        flat = white @ (seen - mean[:, None, None]).flatten(2)
        even = flat - flat.mean(2, keepdim=True)
        even = even / even.square().mean((1, 2), keepdim=True).sqrt().clamp(min=0.01)
        return torch.cat([flat, even], 1).view(len(seen), -1, *seen.shape[2:])

    kept, judge = _apart(train, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "position"))
        net = position_net(2 * train.seen.shape[1])
    order = torch.Generator().manual_seed(seed_of(seed, "order"))
    steps = max(50, visits // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    target = (train.place - centre) / spread
    whitened = ready(train.seen)
    for _ in range(steps):
        chosen = kept[torch.randint(len(kept), (BATCH,), generator=order)]
        loss = F.mse_loss(net(whitened[chosen]), target[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    net.eval()

    def told(seen: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([net(part) for part in torch.split(seen, 512)])

    # What it learnt by heart is noise on other images: shrink its answers towards the mean as far as images that it was
    # not trained on ask for, so that a network that has learnt nothing does as well as the constant.
    answers = told(whitened[judge])
    slope = (answers * target[judge]).sum(0) / answers.square().sum(0).clamp(min=1e-12)
    return told(ready(test.seen)) * slope.clamp(0, 1) * spread + centre


def _apart(train: Looks, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to train on, and those of a sixth of the images to judge by."""
    names = torch.unique(train.image)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed_of(seed, "judge")))
    judge = torch.isin(train.image, names[order[: max(1, len(names) // 6)]])
    return torch.nonzero(~judge)[:, 0], torch.nonzero(judge)[:, 0]


def _distance(error: Tensor) -> float:
    return float(error.square().sum(1).mean().sqrt())


def _best(errors: Tensor, constant: Tensor, image: Tensor) -> tuple[float, float]:
    """Both errors on the best tenth of the images, chosen on one half of the patches and measured on the other."""
    half = torch.zeros(len(image), dtype=torch.bool)
    half[::2] = True
    names, code = torch.unique(image, return_inverse=True)
    most = max(1, round(BEST * len(names)))
    own, other = [], []
    for chosen in (half, ~half):
        total = torch.zeros(len(names)).index_add_(0, code[chosen], errors[chosen].square().sum(1))
        count = torch.zeros(len(names)).index_add_(0, code[chosen], torch.ones(int(chosen.sum())))
        best = torch.zeros(len(names), dtype=torch.bool)
        best[(total / count.clamp(min=1)).argsort()[:most]] = True
        measured = best[code] & ~chosen
        own.append(errors[measured])
        other.append(constant[measured])
    return _distance(torch.cat(own)), _distance(torch.cat(other))


def score(looks: Looks, groups: Tensor, seeds: Sequence[int], visits: int = VISITS) -> Score:
    """Train and measure once a seed, each with its own held-out images; ``groups`` (N,) are never cut in two."""
    found = Score()
    names = torch.unique(groups)
    for seed in seeds:
        order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed_of(seed, "held out")))
        held = torch.isin(groups, names[order[: max(1, round(HELD * len(names)))]])
        train, test = looks.part(~held), looks.part(held)
        errors = foretell_places(train, test, seed, visits) - test.place
        constant = train.place.mean(0) - test.place
        own, other = _best(errors, constant, test.image)
        found.rmse.append(_distance(errors))
        found.constant.append(_distance(constant))
        found.best.append(own)
        found.best_constant.append(other)
    return found


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
    pixels, places = [], []
    for start in range(0, len(rows), 32):
        images = store.read(rows[start : start + 32])
        rng = Rng(0, start, Rows(0, len(images), len(images)))
        free = (images.sizes - patch - 2 * inset)[:, None]
        corners = inset + torch.minimum((rng.uniform("place", count, 2) * (free + 1)).long(), free)
        pixels.append(cut(images.pixels, corners, patch).flatten(0, 1).to(torch.int32).to(images.pixels.dtype))
        places.append(((corners + patch / 2) / images.sizes[:, None]).flatten(0, 1).float())
    index = torch.from_numpy(rows).repeat_interleave(count)
    return Images(torch.cat(pixels), torch.full((len(index), 2), patch), index), torch.cat(places)


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

    None when the objective has no views with a place (``ImageObjective.placed``), when each of them shows its whole
    image, or when there are fewer than 24 images.
    """
    store = objective.store
    rows = np.sort(np.random.default_rng(0).permutation(len(store))[:most])
    if len(rows) < FEWEST:
        return None
    looks: list[Looks] = []
    seen, step = 0, 0
    while seen < per_image * len(rows):
        for start in range(0, len(rows), 64):
            batch = store.read(rows[start : start + 64])
            placed = objective.placed(batch, Rng(0, step, Rows(0, len(batch), len(batch))))
            if placed is None:
                return None
            views, place = placed
            times = len(views) // len(batch)
            looks.append(Looks(_middle(views).cpu(), place.cpu().float(), batch.index.repeat_interleave(times)))
            seen, step = seen + len(views), step + 1
    whole = Looks(*(torch.cat([getattr(one, name) for one in looks]) for name in ("seen", "place", "image")))
    if float(whole.place.std(0).max()) < 0.01:
        return None
    codes = np.zeros(int(rows.max()) + 1, np.int64)
    codes[rows] = _groups(store, rows)
    groups = torch.from_numpy(codes)[whole.image]
    what = f"the views of {objective.name}"
    found = Shortcuts(what, len(rows), whole.seen.shape[-1], score(whole, groups, seeds, visits))
    if found.leaks:
        images = _as_images(whole, objective)
        for name in switches:
            switch = SWITCHES[name]
            if switch.settings and (not switch.colour or images.channels == 3):
                closed = Looks(closed_by(images, switch, 0), whole.place, whole.image)
                found.closed[name] = score(closed, groups, seeds, visits)
    return found


def _middle(views: Tensor) -> Tensor:
    top, left = ((length - LARGEST) // 2 if length > LARGEST else 0 for length in views.shape[2:])
    return views[:, :, top : top + LARGEST, left : left + LARGEST]


def _as_images(looks: Looks, objective: ImageObjective) -> Images:
    from foretell.views import denormalise

    pictures = denormalise(looks.seen, objective.views.mean, objective.views.std)
    deep = (pictures * 65535).round_().to(torch.int32).to(torch.uint16)
    sizes = torch.tensor(deep.shape[2:]).expand(len(deep), 2)
    return Images(deep, sizes, looks.image)
