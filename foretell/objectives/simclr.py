"""SimCLR: agreement between two random views of one image against all other images of the batch.

Paper: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations"
(arXiv 2002.05709); version 2 (arXiv 2006.10029) for heads of three layers.
Hidden: which views come from the same image. Foretold: for each view, its partner among the batch's 2N - 1 others.
Use it for images whose class survives cropping and recolouring, with batches of some hundred and more.
"""

from __future__ import annotations

import itertools
import math
from types import MappingProxyType
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from foretell.counters import Rng
from foretell.data.store import ImageStore
from foretell.encoders.base import Encoder
from foretell.losses import nt_xent
from foretell.objectives.base import Contrastive, Exhibit, Task
from foretell.objectives.image import ImageObjective
from foretell.views import augment, denormalise, plain


class ProjectionHead(nn.Sequential):
    """h (B, dim) -> z (B, out). Every layer but the last is Linear, norm, ReLU; the last has a norm with no offset.

    Follows the authors' code: batch norm after every layer, linear layers without bias, weights N(0, 0.01). ``norm``
    "layer" takes layer norm in its place, for encoders without batch norm.
    """

    def __init__(self, dim: int, hidden: int, out: int, depth: int, norm: str) -> None:
        layers: list[nn.Module] = []
        widths = [dim] + [hidden] * (depth - 1) + [out]
        for number, (width, after) in enumerate(itertools.pairwise(widths), start=1):
            linear = nn.Linear(width, after, bias=False)
            nn.init.normal_(linear.weight, std=0.01)
            layers += [linear, nn.BatchNorm1d(after) if norm == "batch" else nn.LayerNorm(after)]
            if number < depth:
                layers.append(nn.ReLU())
        super().__init__(*layers)
        last = self[-1]
        assert isinstance(last, nn.BatchNorm1d | nn.LayerNorm)
        last.register_parameter("bias", None)


class SimCLR(ImageObjective, Contrastive):
    name = "simclr"
    paper = "Chen et al. 2020, arXiv 2002.05709"
    hides = "which two views show the same image"
    foretells = "the partner of each view among all views of the batch"
    needs = "images, in batches of some hundred and more"
    good_for = "classes that survive cropping and recolouring"
    drawn_as = MappingProxyType({"a": "a", "b": "b"})

    class Config(ImageObjective.Config):
        """SimCLR's published defaults for ImageNet; small images want a milder setting (see the recipes)."""

        temperature: float = Field(0.1, gt=0, description="tau of NT-Xent; best of {0.05, 0.1, 0.5, 1} at batch 4096")
        normalise: bool = Field(True, description="cosine similarity; false: the plain product of the embeddings")
        head_depth: int = Field(2, ge=0, le=4, description="layers of the projection head; 1 is linear, 0 is none")
        head_width: int | None = Field(None, ge=1, description="hidden width of the head; default: the encoder's")
        head_dim: int = Field(128, ge=2, description="dimensions of z")
        head_norm: Literal["auto", "batch", "layer"] = Field("auto", description="auto: batch if the encoder has it")

    config: SimCLR.Config

    def __init__(self, config: SimCLR.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__(config, encoder, store)
        batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in encoder.modules())
        norm = config.head_norm if config.head_norm != "auto" else ("batch" if batch_norm else "layer")
        self.head: nn.Module = (
            ProjectionHead(encoder.dim, config.head_width or encoder.dim, config.head_dim, config.head_depth, norm)
            if config.head_depth
            else nn.Identity()
        )

    def hide(self, batch: Any, rng: Rng) -> Task:
        return Task({name: augment(images, self.views, rng, name) for name, images in self.seen(batch).items()})

    def embed(self, task: Task) -> Tensor:
        """(B, 2, head_dim): z of both views, in one pass so that batch norm sees them together."""
        a, b = task.visible["a"], task.visible["b"]
        z: Tensor = self.head(self.encoder.pooled(torch.cat([a, b])))
        return torch.stack([z[: len(a)], z[len(a) :]], dim=1)

    def loss_from(self, embedded: Tensor, task: Task) -> dict[str, Tensor]:
        loss, accuracy = nt_xent(
            embedded[:, 0], embedded[:, 1], self.config.temperature, normalise=self.config.normalise
        )
        return {"total": loss, "accuracy": accuracy}

    def chance_loss(self, batch: int) -> float:
        """The loss of embeddings that are all the same: ln(2N - 1)."""
        return math.log(2 * batch - 1)

    def show(self, batch: Any, rng: Rng) -> Exhibit:
        task = self.hide(batch, rng)
        mean, std = self.views.mean, self.views.std
        return Exhibit(
            "What SimCLR sees",
            "Two random views of each image: the encoder must tell that they belong together.",
            [("image", plain(batch, self.side))]
            + [(f"view {name}", denormalise(view, mean, std)) for name, view in task.visible.items()],
        )
