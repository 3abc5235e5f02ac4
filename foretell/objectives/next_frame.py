"""Next frame: the frame that comes after the last k frames of a sequence, or the one before them.

Papers: Mathieu, Couprie, LeCun, "Deep multi-scale video prediction beyond mean square error" (arXiv 1511.05440), for the
losses; Liu, Yeh, Tang, Liu, Agarwala, "Video Frame Synthesis using Deep Voxel Flow" (arXiv 1702.02463), for moving the
pixels of a frame that is known instead of painting new ones.
Hidden: one frame of a sequence. Foretold: its pixels, from the k frames beside it. The encoder sees one frame at a time; a
head over time joins the k maps.
Use it for film, animation and scans in time, where what things are shows in how they move. Copying the nearest frame is the
guess to beat: where nothing moves it is nearly right, so that errors are told beside its own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.data.sampler import Sampler
from foretell.data.sequences import Frames, Windows
from foretell.data.store import ImageStore
from foretell.data.table import many
from foretell.encoders.base import Encoder
from foretell.objectives.base import Exhibit, Task
from foretell.objectives.frame_measures import measured
from foretell.objectives.image import ImageObjective, centres
from foretell.views import denormalise, draw, plain_view, render
from foretell.views.config import ViewConfig

WINDOWS = "windows of frames"  # what an epoch draws from


class Moved(nn.Module):
    """The k frames' maps (B, k, maps, h, w) and pooled features (B, k, dim), and the nearest frame -> the frame foretold.

    The features of all k are joined at each place of the map. From these the nearest frame is moved ("warp": a shift for
    every pixel, in pixels, and a change of its colours), only recoloured ("change"), or not used ("paint"). The last layer
    begins near 0, so that the first two begin close to copies.
    """

    def __init__(self, encoder: Encoder, side: int, frames: int, width: int, carry: str) -> None:
        super().__init__()
        self.side, self.carry, self.channels = side, carry, encoder.channels
        self.fuse = nn.Conv2d(frames * encoder.map_dim, width, 3, padding=1)
        self.whole = nn.Linear(frames * encoder.dim, width)
        self.mix = nn.Sequential(*_normed(width), nn.Conv2d(width, width, 3, padding=1), *_normed(width))
        # to half the side: what is left is one bilinear step, since shifts are smooth and paint comes in 2x2 squares
        self.doublings = max(0, math.ceil(math.log2(side / 2 / _map_side(encoder))))
        steps: list[nn.Module] = []
        for _ in range(self.doublings):
            after = max(width // 2, 16)
            steps += [nn.Conv2d(width, 4 * after, 3, padding=1), nn.PixelShuffle(2), *_normed(after)]
            width = after
        self.steps = nn.Sequential(*steps)
        out = encoder.channels + (2 if carry == "warp" else 0)
        self.last = nn.Sequential(nn.Conv2d(width, 4 * out, 3, padding=1), nn.PixelShuffle(2))
        assert isinstance(self.last[0], nn.Conv2d)
        nn.init.normal_(self.last[0].weight, std=1e-3)
        if self.last[0].bias is not None:
            nn.init.zeros_(self.last[0].bias)

    def forward(self, maps: Tensor, pooled: Tensor, nearest: Tensor) -> Tensor:
        joined = self.fuse(maps.flatten(1, 2)) + self.whole(pooled.flatten(1))[:, :, None, None]
        found: Tensor = self.last(self.steps(self.mix(joined)))
        if found.shape[-1] != self.side:
            found = F.interpolate(found, (self.side, self.side), mode="bilinear", align_corners=False)
        if self.carry == "paint":
            return found
        if self.carry == "change":
            return nearest + found
        return shifted(nearest, found[:, :2]) + found[:, 2:]


def _normed(width: int) -> list[nn.Module]:
    """Each sample normalised by itself, so that what is foretold does not depend on the batch."""
    return [nn.GroupNorm(math.gcd(8, width), width), nn.ReLU()]


def shifted(image: Tensor, shift: Tensor) -> Tensor:
    """(B, C, H, W) looked up ``shift`` (B, 2: x, y; H, W) pixels away from each place, bilinear; borders go on."""
    height, width = image.shape[2:]
    x = torch.arange(width, device=image.device) + 0.5
    y = torch.arange(height, device=image.device)[:, None] + 0.5
    grid = torch.stack([(x + shift[:, 0]) * (2 / width) - 1, (y + shift[:, 1]) * (2 / height) - 1], dim=-1)
    return F.grid_sample(image, grid.to(image.dtype), "bilinear", "border", align_corners=False)


def _map_side(encoder: Encoder) -> int:
    modes = [(part, part.training) for part in encoder.modules()]
    encoder.eval()
    with torch.no_grad():
        side = min(encoder.map(torch.zeros(1, encoder.channels, encoder.side, encoder.side)).shape[2:])
    for part, mode in modes:
        part.training = mode
    return side


class NextFrame(ImageObjective):
    name = "next_frame"
    paper = "Mathieu et al. 2016, arXiv 1511.05440; Liu et al. 2017, arXiv 1702.02463"
    hides = "one frame of a sequence, after or before the others"
    foretells = "its pixels, from the frames beside it"
    needs = "sequences: numbered frames, animations, video, multi-frame DICOM, or a manifest with group and order"
    good_for = "film, animation and scans in time: things that move as one. Not for frames that hardly change"
    columns = ("group", "case", "order")
    # under LARS the last layer, of nearly nothing at the start, would hardly move
    usual_training: ClassVar[dict[str, Any]] = {"optimizer": "adamw"}

    class Config(ImageObjective.Config):
        """``views``: one view is drawn for a window, the same for each of its frames."""

        views: ViewConfig = ViewConfig(scale=(0.5, 1.0), jitter=0, grey=0, blur=0)
        frames: int = Field(3, ge=1, le=32, description="how many frames are seen (k)")
        direction: Literal["future", "past"] = Field(
            "future", description="future: the frame after those seen; past: the one before them"
        )
        stride: int = Field(1, ge=1, description="frames from one frame of a window to the next; above 1 for slow film")
        carry: Literal["warp", "change", "paint"] = Field(
            "warp",
            description="what the nearest frame gives: its pixels, moved and recoloured (warp) or recoloured only "
            "(change), or nothing: every pixel is made from features (paint)",
        )
        error: Literal["squared", "absolute"] = Field(
            "squared", description="absolute differences blur less than squared ones (arXiv 1511.05440)"
        )
        gradients: float = Field(
            0.0, ge=0, description="weight of the difference of the images' gradients, against blur (arXiv 1511.05440)"
        )
        width: int = Field(128, ge=16, description="channels in which the frames are joined")

    config: NextFrame.Config

    def __init__(self, config: NextFrame.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__(config, encoder, store)
        self.windows = self.windows_of(store)
        self.head = Moved(encoder, self.side, config.frames, config.width, config.carry)

    def windows_of(self, store: ImageStore) -> Windows:
        """The windows of a store: the frames seen and the one hidden. Raises InputError when there is none."""
        return Windows(store, self.config.frames + 1, self.config.stride)

    @classmethod
    def samples(cls, config: NextFrame.Config, store: ImageStore) -> tuple[int, str]:
        return len(Windows(store, config.frames + 1, config.stride)), WINDOWS

    @property
    def notes(self) -> list[str]:
        told = f"{many(len(self.windows.names), 'sequence')}, {many(len(self.windows), 'window')} of {self.windows.length} frames"
        return [line for line in (told, self.windows.note) if line]

    def streams(self) -> dict[str, float]:
        return {"frames": 1.0}

    def steps_per_epoch(self, batch: int) -> int:
        return Sampler(len(self.windows), 0, WINDOWS).steps(batch)

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> Frames:
        return self.windows.read(self.store, Sampler(len(self.windows), seed, WINDOWS).index(step, rows))

    def divided(self, frames: Tensor) -> Task:
        """Windows (B, k + 1, C, side, side) in order of time -> what is seen, the nearest last, and what is hidden."""
        if self.config.direction == "past":
            frames = frames.flip(1)
        return Task({"frames": frames[:, :-1]}, {"frame": frames[:, -1]})

    def hide(self, batch: Frames, rng: Rng) -> Task:
        where = Rng(rng.seed, rng.step, rng.rows, batch.images.pixels.device)
        drawn = draw(batch.sizes, self.views, where, "view").repeated(batch.length)
        return self.divided(_windowed(render(batch.images, drawn, self.views), batch.length))

    def placed(self, batch: Images, rng: Rng) -> tuple[Tensor, Tensor]:
        """Of frames by themselves, as the encoder sees them: the view of a window is that of each of its frames."""
        drawn = draw(batch.sizes, self.views, replace(rng, device=batch.pixels.device), "view")
        return render(batch, drawn, self.views), centres(drawn.box, batch.sizes)

    def plain(self, batch: Frames) -> Task:
        """The task of the undistorted windows, for measuring."""
        seen = plain_view(batch.images, self.views)
        return self.divided(_windowed(seen, batch.length))

    def foretell(self, frames: Tensor) -> Tensor:
        """(B, C, side, side) normalised: the frame that follows ``frames`` (B, k, C, side, side), the nearest last."""
        maps, pooled = self.encoder.both(frames.flatten(0, 1))
        count = frames.shape[1]
        found: Tensor = self.head(_windowed(maps, count), _windowed(pooled, count), frames[:, -1])
        return found

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        """``error`` and ``copy``: mean squared error of what is foretold, and of copying the nearest frame."""
        seen, hidden = task.visible["frames"], task.hidden["frame"]
        found = self.foretell(seen).float()
        squared = self.config.error == "squared"
        total = _mean(found - hidden, squared)
        if self.config.gradients:
            for dim in (2, 3):
                total = total + self.config.gradients / 2 * _mean(found.diff(dim=dim) - hidden.diff(dim=dim), squared)
        with torch.no_grad():
            error, copy = _mean(found - hidden, True), _mean(seen[:, -1] - hidden, True)
        return {"total": total, "error": error, "copy": copy}

    def health(self, batch: Frames) -> Tensor:
        """(B, dim) pooled features of the last frame seen of each window, undistorted."""
        with torch.no_grad():
            return self.encoder.pooled(self.plain(batch).visible["frames"][:, -1]).float()

    def evaluated(self, seen: Tensor) -> Tensor:
        """``foretell`` in evaluation mode, without gradient, on the device of ``seen``."""
        was_training = self.training
        self.eval()
        device = next(self.head.parameters()).device
        with torch.no_grad():
            found = self.foretell(seen.to(device)).float().to(seen.device)
        self.train(was_training)
        return found

    def show(self, batch: Frames, rng: Rng) -> Exhibit:
        task = self.hide(batch, rng)
        return self._exhibit("What next-frame prediction sees", task)

    def _exhibit(self, title: str, task: Task, *, foretold: bool = False) -> Exhibit:
        """The frames of ``task``; ``foretold``: with the one that the network, once trained, foretells."""
        seen, hidden = task.visible["frames"], task.hidden["frame"]
        sign, word = ("-", "after") if self.config.direction == "future" else ("+", "before")
        count = seen.shape[1]
        panels = [(f"frame {sign}{count - place}", seen[:, place]) for place in range(count)]
        if foretold:
            panels.append(("foretold", self.evaluated(seen)))
        panels += [("true", hidden), ("nearest, copied", seen[:, -1])]
        mean, std = self.views.mean, self.views.std
        return Exhibit(
            title,
            f"Each of the {count} frames is embedded by itself; from what they have in common and what changes, the frame "
            f"{word} them is foretold. Copying the nearest frame is the guess to beat.",
            [(caption, denormalise(picture, mean, std)) for caption, picture in panels],
        )

    def findings(self, store: ImageStore, rows: Any, seed: int) -> list[Exhibit]:
        """Frames foretold in ``rows`` of ``store``, and the error beside copying the nearest frame."""
        rows = np.asarray(rows, np.int64)
        part = store.subset(rows) if len(rows) else store
        found = measured(self, part)
        if found is None:
            return []
        windows, result = found
        chosen = np.unique(np.linspace(0, len(windows) - 1, min(8, len(windows))).round().astype(np.int64))
        exhibit = self._exhibit("Frames it has foretold", self.plain(windows.read(part, chosen)), foretold=True)
        exhibit.name = "foretold"
        learnt = set(self.store.names) & set(part.names)
        exhibit.caption += f" {result.sentence}" + (" They were learnt from." if learnt else " None was learnt from.")
        exhibit.table, exhibit.headline = result.table(), result.headline
        return [exhibit]

    def skill(self, store: ImageStore, rows: NDArray[np.int64] | None = None) -> dict[str, Any]:
        """The figures of ``findings`` for a program; {} when ``rows`` hold no whole window."""
        found = measured(self, store if rows is None else store.subset(rows))
        return {} if found is None else found[1].record()


def _windowed(x: Tensor, length: int) -> Tensor:
    """(B * length, ...) -> (B, length, ...)."""
    return x.reshape(-1, length, *x.shape[1:])


def _mean(difference: Tensor, squared: bool) -> Tensor:
    return difference.square().mean() if squared else difference.abs().mean()
