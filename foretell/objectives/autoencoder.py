"""Autoencoders: a picture from its code, from a noisy copy, or from the pixels around a blind spot.

Papers: Vincent, Larochelle, Bengio, Manzagol, "Extracting and Composing Robust Features with Denoising Autoencoders"
(ICML 2008); Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks" (Science 2006), plain;
Lehtinen et al., "Noise2Noise" (arXiv 1803.04189); Krull, Buchholz, Jug, "Noise2Void" (arXiv 1811.10980) and Batson, Royer,
"Noise2Self" (arXiv 1901.11365), blind spots.
Hidden: the pixels under the noise, or at the blind spots. Foretold: by ``target``, in least squares.
Use it as the baseline every other pretext task should beat, and to clean pictures. A plain autoencoder with a wide code is
a copying machine: it rebuilds the noise of the picture too, and its own loss praises it for that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from foretell.counters import Rng
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.encoders.base import Encoder
from foretell.losses import hole_error, mean_squared
from foretell.objectives.autoencoder_measures import exhibit
from foretell.objectives.base import Exhibit, Task
from foretell.objectives.image import ImageObjective
from foretell.views import augment, denormalise, plain_view
from foretell.views.config import ViewConfig
from foretell.views.noise import Draw, Kind, blind_spots, fresh, noisy, own


class Decoder(nn.Module):
    """code (B, dim) -> image (B, channels, side, side): a linear map to a small grid, then convolutions that double it.

    Each doubling is a rearrangement of channels (Shi et al., arXiv 1609.05158), so that all convolutions run at half the
    image's side or below, and single pixels can be drawn.
    """

    def __init__(self, dim: int, channels: int, side: int, width: int) -> None:
        super().__init__()
        doublings = max(1, math.ceil(math.log2(side / 8)))
        self.grid = math.ceil(side / 2**doublings)
        self.side = side
        self.width = width
        self.start = nn.Linear(dim, width * self.grid**2)
        steps: list[nn.Module] = []
        for number in range(1, doublings + 1):
            after = channels if number == doublings else max(width // 2, 16)
            steps += [nn.ReLU(), nn.Conv2d(width, 4 * after, 3, padding=1), nn.PixelShuffle(2)]
            width = after
        self.steps = nn.Sequential(*steps)

    def forward(self, code: Tensor) -> Tensor:
        grid = self.start(code).view(len(code), self.width, self.grid, self.grid)
        image: Tensor = self.steps(grid)
        return image[:, :, : self.side, : self.side]


@dataclass
class Restored:
    """What an autoencoder makes of noisy pictures; all (B, C, side, side) normalised."""

    clean: Tensor
    noisy: Tensor
    foretold: Tensor


class Autoencoder(ImageObjective):
    name = "autoencoder"
    paper = "Vincent et al. 2008 (denoising); Hinton and Salakhutdinov 2006 (plain); Lehtinen et al. 2018; Krull et al. 2019"
    hides = "the pixels under added noise, or at blind spots"
    foretells = "the clean image, the image as it is, another noisy copy of it, or its blind spots (target)"
    needs = "images"
    good_for = "a baseline; cleaning pictures. Least squares spends the code on pixels, not on classes"
    usual_training: ClassVar[dict[str, Any]] = {"optimizer": "adamw"}
    drawn_as: ClassVar[Mapping[str, str]] = {"image": "view"}

    class Config(ImageObjective.Config):
        views: ViewConfig = ViewConfig(scale=(0.5, 1.0), jitter=0, grey=0, blur=0)
        target: Literal["clean", "input", "copy", "hidden"] = Field(
            "clean",
            description="clean: the image without the noise (denoising); input: what goes in, with its noise (plain); copy: "
            "the image with other noise (noise-to-noise); hidden: what goes in, at pixels put out of sight (blind spots)",
        )
        noise: float = Field(
            0.5,
            ge=0,
            allow_inf_nan=False,
            description="Gaussian: deviation in units of the data's; others: share of pixels. Drawn at each step for target "
            "clean; else each image's own, told by what it shows and fixed to the pixels of its view",
        )
        kind: Kind = Field(
            "gaussian",
            description="the noise: gaussian; salt-and-pepper: pixels two deviations up or down; masking: pixels at the mean",
        )
        grain: float = Field(
            0.0, ge=0, allow_inf_nan=False, description="Gaussian: pixels over which the noise is correlated; 0: none"
        )
        blind: float = Field(0.1, gt=0, le=0.9, description="target hidden: share of the pixels put out of sight")
        bottleneck: int | None = Field(
            None, ge=1, description="dimensions of the code, read from the encoder's map; default: its pooled features"
        )
        width: int = Field(128, ge=16, description="channels of the decoder's first grid")

        @model_validator(mode="after")
        def _possible(self) -> Autoencoder.Config:
            if self.kind != "gaussian" and self.noise > 1:
                raise ValueError(f"noise = {self.noise:g} of kind {self.kind} is a share of pixels; expected at most 1")
            if self.kind != "gaussian" and self.grain:
                raise ValueError(f"grain = {self.grain:g} is for Gaussian noise; leave it out with kind {self.kind}")
            if self.target == "copy" and not self.noise:
                raise ValueError("noise = 0 with target copy: the copies would be the same image; set a noise above 0")
            return self

    config: Autoencoder.Config

    def __init__(self, config: Autoencoder.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__(config, encoder, store)
        self.code: nn.Module | None = None
        if config.bottleneck:
            with torch.no_grad():
                values = encoder.map(torch.zeros(1, encoder.channels, self.side, self.side)).numel()
            self.code = nn.Linear(values, config.bottleneck)
        self.decoder = Decoder(config.bottleneck or encoder.dim, encoder.channels, self.side, config.width)

    def _noisy(self, clean: Tensor, draw: Draw) -> Tensor:
        chosen = self.config
        return noisy(clean, chosen.kind, chosen.noise, draw, grain=chosen.grain)

    def hide(self, batch: Images, rng: Rng) -> Task:
        clean = augment(batch, self.views, rng, "view")
        if self.config.target == "clean":
            return Task({"image": self._noisy(clean, fresh(rng))}, {"target": clean})
        taken = self._noisy(clean, own(batch.content))
        if self.config.target == "input":
            return Task({"image": taken}, {"target": taken})
        if self.config.target == "copy":
            return Task({"image": taken}, {"target": self._noisy(clean, own(batch.content, copy=1))})
        blind = blind_spots(rng, "blind", self.config.blind, *clean.shape[2:])
        # the mean of the data is 0 after normalisation
        return Task({"image": taken.masked_fill(blind, 0.0)}, {"target": taken, "blind": blind})

    def encode(self, image: Tensor) -> Tensor:
        """(B, bottleneck) the code of normalised images."""
        if self.code is None:
            return self.encoder.pooled(image)
        code: Tensor = self.code(self.encoder.map(image).flatten(1))
        return code

    def foretell(self, image: Tensor) -> Tensor:
        """(B, C, side, side) normalised."""
        picture: Tensor = self.decoder(self.encode(image))
        return picture

    def error(self, foretold: Tensor, task: Task) -> Tensor:
        """Mean squared error of ``foretold``, where the target is hidden."""
        target = task.hidden["target"]
        if "blind" not in task.hidden:
            return mean_squared(foretold, target)
        # every image has as many blind spots, so that the loss of a batch is the mean over its parts
        return hole_error(foretold, target, task.hidden["blind"].float())

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        return {"total": self.error(self.foretell(task.visible["image"]), task)}

    def undistorted(self, batch: Images) -> Tensor:
        """(B, C, side, side) normalised: the images as they are, without random views and noise."""
        return plain_view(batch, self.views)

    def taken(self, batch: Images) -> Tensor:
        """(B, C, side, side): undistorted images with each image's own noise."""
        return self._noisy(self.undistorted(batch), own(batch.content))

    @torch.no_grad()
    def restore(self, batch: Images) -> Restored:
        """Undistorted images with each image's own noise, and what is foretold from them, in evaluation mode as it is.

        With blind spots every pixel is foretold while it is out of sight, about 1 / ``blind`` passes in all.
        """
        clean = self.undistorted(batch)
        taken = self._noisy(clean, own(batch.content))
        if self.config.target != "hidden":
            return Restored(clean, taken, self.foretell(taken).float())
        passes = max(2, round(1 / self.config.blind))
        turn = (passes * torch.special.ndtr(own(batch.content)("turn", (1, *clean.shape[2:])))).long()
        foretold = torch.zeros_like(clean)
        for number in range(passes):
            blind = turn == number
            foretold = torch.where(blind, self.foretell(taken.masked_fill(blind, 0.0)).float(), foretold)
        return Restored(clean, taken, foretold)

    def findings(self, store: ImageStore, rows: NDArray[np.int64], seed: int) -> list[Exhibit]:
        """Images of ``rows`` restored, and how much of the picture, the detail and the noise is rebuilt."""
        return [exhibit(self, store, rows, seed)]

    def show(self, batch: Images, rng: Rng) -> Exhibit:
        mean, std = self.views.mean, self.views.std
        task = self.hide(batch, rng)
        target = task.hidden["target"]
        if "blind" in task.hidden:
            target = target.masked_fill(~task.hidden["blind"], 0.0)
        panels = [("what is seen", task.visible["image"]), ("to be foretold", target)]
        told = {
            "clean": "from its code alone the decoder must give back the clean image",
            "input": "from its code alone the decoder must give back the same",
            "copy": "from its code alone the decoder must foretell another noisy copy",
            "hidden": "some pixels are out of sight, and these alone are foretold from a code of the others",
        }
        return Exhibit(
            "What the autoencoder sees",
            f"The encoder gets the image{' with noise' if self.config.noise else ''}; {told[self.config.target]}.",
            [(caption, denormalise(image, mean, std)) for caption, image in panels],
        )
