"""Denoising autoencoder: the clean image from a noisy copy of it.

Paper: Vincent, Larochelle, Bengio, Manzagol, "Extracting and Composing Robust Features with Denoising Autoencoders"
(ICML 2008). With ``noise`` 0 it is the plain autoencoder (Hinton and Salakhutdinov 2006), which a wide code turns into a
copying machine: it rebuilds the noise of the picture too.
Hidden: the pixels under the noise. Foretold: the clean picture, in least squares.
Use it as the baseline every other pretext task should beat.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from foretell.counters import Rng
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.encoders.base import Encoder
from foretell.losses import mean_squared
from foretell.objectives.base import Exhibit, Task
from foretell.objectives.image import ImageObjective
from foretell.views import augment, denormalise
from foretell.views.config import ViewConfig


class Decoder(nn.Module):
    """code (B, dim) -> image (B, channels, side, side): a linear map to a small grid, then doubling convolutions."""

    def __init__(self, dim: int, channels: int, side: int, width: int) -> None:
        super().__init__()
        doublings = 0
        while (side + (1 << doublings) - 1) >> doublings > 8:
            doublings += 1
        self.grid = (side + (1 << doublings) - 1) >> doublings
        self.side = side
        self.width = width
        self.start = nn.Linear(dim, width * self.grid**2)
        steps: list[nn.Module] = []
        for _ in range(doublings):
            after = max(width // 2, 16)
            steps += [nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, after, 3, padding=1)]
            width = after
        self.steps = nn.Sequential(*steps, nn.ReLU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, code: Tensor) -> Tensor:
        grid = self.start(code).view(len(code), self.width, self.grid, self.grid)
        image: Tensor = self.steps(grid)
        return image[:, :, : self.side, : self.side]


class Autoencoder(ImageObjective):
    name = "autoencoder"
    paper = "Vincent et al. 2008 (denoising); Hinton and Salakhutdinov 2006 (plain)"
    hides = "the pixels under added noise"
    foretells = "the clean image"
    needs = "images"
    good_for = "a baseline; cleaning pictures. Least squares spends the code on pixels, not on classes"

    class Config(ImageObjective.Config):
        views: ViewConfig = ViewConfig(scale=(0.5, 1.0), jitter=0, grey=0, blur=0)
        noise: float = Field(
            0.5, ge=0, description="Gaussian: deviation in units of the data's; others: share of pixels"
        )
        kind: Literal["gaussian", "salt-and-pepper", "masking"] = "gaussian"
        bottleneck: int | None = Field(None, ge=1, description="dimensions of the code; default: the encoder's")
        width: int = Field(128, ge=16, description="channels of the decoder's first grid")

    def __init__(self, config: Autoencoder.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__(config, encoder, store)
        self.settings = config
        code = config.bottleneck or encoder.dim
        self.code: nn.Module = nn.Linear(encoder.dim, code) if config.bottleneck else nn.Identity()
        self.decoder = Decoder(code, encoder.channels, self.side, config.width)

    def hide(self, batch: Images, rng: Rng) -> Task:
        clean = augment(batch, self.views, rng, "view")
        channels, height, width = clean.shape[1:]
        amount = self.settings.noise
        if self.settings.kind == "gaussian":
            noisy = clean + amount * rng.normal("noise", channels, height, width)
        else:
            hit = rng.chance("where", amount, 1, height, width)
            # the mean is 0 after normalisation; salt and pepper are the ends of a +-2 deviation range
            salt = torch.where(rng.chance("salt", 0.5, 1, height, width), 2.0, -2.0)
            noisy = torch.where(hit, salt if self.settings.kind == "salt-and-pepper" else torch.zeros(()), clean)
        return Task({"noisy": noisy}, {"clean": clean})

    def foretell(self, noisy: Tensor) -> Tensor:
        """(B, C, side, side) normalised: the clean image."""
        image: Tensor = self.decoder(self.code(self.encoder.pooled(noisy)))
        return image

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        return {"total": mean_squared(self.foretell(task.visible["noisy"]), task.hidden["clean"])}

    def show(self, batch: Images, rng: Rng) -> Exhibit:
        task = self.hide(batch, rng)
        was_training = self.training
        self.eval()
        with torch.no_grad():
            foretold = self.foretell(task.visible["noisy"])
        self.train(was_training)
        mean, std = self.views.mean, self.views.std
        panels = [("noisy", task.visible["noisy"]), ("foretold", foretold), ("clean", task.hidden["clean"])]
        return Exhibit(
            "What the autoencoder sees",
            "The encoder gets the noisy image; from its code alone the decoder must give back the clean one.",
            [(caption, denormalise(image, mean, std)) for caption, image in panels],
        )
