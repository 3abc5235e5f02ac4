"""Masked autoencoder: most patches of an image from the few that are left.

Paper: He, Chen, Xie, Li, Dollar, Girshick, "Masked Autoencoders Are Scalable Vision Learners" (arXiv 2111.06377).
Hidden: three quarters of the patches, at random. Foretold: their pixels, each patch normalised by its own mean and
deviation; the loss is on hidden patches only.
Use it with vision transformers. The encoder embeds the visible patches alone, so that a step costs half of one that
embeds all, or less; features want fine-tuning, or many epochs, more than those of contrastive tasks do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from foretell.counters import Rng
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.encoders.base import Encoder
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.encoders.transformer import Block, sine_positions
from foretell.errors import InputError
from foretell.losses import mean_squared
from foretell.objectives.base import Exhibit, Task
from foretell.objectives.image import ImageObjective
from foretell.objectives.masked_measures import exhibit
from foretell.views import augment, denormalise, plain_view
from foretell.views.config import ViewConfig
from foretell.views.patchify import patchify, unpatchify

EPSILON = 1e-6  # added to a patch's variance, as in the authors' code


class PatchDecoder(nn.Module):
    """Embedded visible tokens -> the pixels of the hidden patches (B, H, values).

    A narrow transformer over all positions: the visible tokens, and one learnt token at each hidden position. A
    transformer does not mind the order of its tokens once their positions are added, so that nothing is put back into
    the order of the image; and its last block works out the hidden positions alone, since nothing else is read from it.
    """

    positions: Tensor

    def __init__(self, dim: int, width: int, depth: int, heads: int, grid: tuple[int, int], values: int) -> None:
        super().__init__()
        self.embed = nn.Linear(dim, width)
        self.mask = nn.Parameter(torch.empty(width).normal_(std=0.02))
        self.register_buffer("positions", sine_positions(grid, width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.pixels = nn.Linear(width, values)
        for linear in (self.embed, self.pixels):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: Tensor, keep: Tensor, drop: Tensor) -> Tensor:
        """``tokens`` (B, P + K, dim): P class and register tokens, then those at ``keep`` (B, K); ``drop`` (B, H)."""
        seen = self.embed(tokens)
        prefix = seen.shape[1] - keep.shape[1]
        asked = self.mask + self.positions[drop]
        parts = [seen[:, prefix:] + self.positions[keep], asked.to(seen.dtype)]
        x = torch.cat([seen[:, :prefix], *parts] if prefix else parts, dim=1)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, last=drop.shape[1] if number == len(self.blocks) else None)
        found: Tensor = self.pixels(self.norm(x))
        return found


class MaskedAutoencoder(ImageObjective):
    name = "masked_autoencoder"
    paper = "He et al. 2021, arXiv 2111.06377"
    hides = "three quarters of the patches"
    foretells = "the pixels of the hidden patches, from the visible ones alone"
    needs = "images of 16 patches or more, and a vision transformer as the encoder"
    good_for = (
        "pretraining transformers cheaply, to be fine-tuned; no views to design. Weaker than contrastive when frozen"
    )
    transformer = True
    usual_training: ClassVar[dict[str, Any]] = {"optimizer": "adamw", "betas": (0.9, 0.95), "weight_decay": 0.05}
    drawn_as: ClassVar[Mapping[str, str]] = {"image": "view"}

    encoder: TimmEncoder

    class Config(ImageObjective.Config):
        """Published defaults, but for the decoder, which is two thirds of the encoder's width as ViT-B's is."""

        views: ViewConfig = ViewConfig(scale=(0.2, 1.0), interpolation="bicubic", jitter=0, grey=0, blur=0)
        ratio: float = Field(0.75, gt=0, lt=1, description="share of the patches that is hidden")
        normalise: bool = Field(True, description="foretell each patch normalised by its own mean and deviation")
        decoder_width: int | None = Field(
            None, ge=8, description="default: two thirds of the encoder's, at most 512 (published: 512 for 768)"
        )
        decoder_depth: int = Field(
            4, ge=1, description="blocks of the decoder (published: 8, for 12 to 32 in the encoder)"
        )
        decoder_heads: int | None = Field(None, ge=1, description="default: one for 32 dimensions, as published")

    config: MaskedAutoencoder.Config

    def __init__(self, config: MaskedAutoencoder.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__(config, encoder, store)
        if not isinstance(encoder, TimmEncoder):
            raise InputError(
                f"encoder '{encoder.name}' cannot embed a part of the positions; choose a vision transformer"
            )
        net = encoder.positions()
        self.patch: int = int(net.patch_embed.patch_size[0])
        rows = -(-self.side // self.patch)
        self.grid = (rows, rows)
        self.hidden = self._count(config.ratio, rows * rows)
        if encoder.untrained:
            _published_start(encoder, self.grid)
        heads_of = config.decoder_heads
        width = config.decoder_width or min(512, max(32, round(encoder.map_dim * 2 / 3 / 32) * 32))
        heads = heads_of or max(1, width // 32)
        if width % heads or width % 4:
            raise InputError(
                f"objective.decoder_width = {width} is not a multiple of 4 and of the {heads} heads; change it or "
                "objective.decoder_heads"
            )
        values = self.patch**2 * encoder.channels
        self.decoder = PatchDecoder(encoder.map_dim, width, config.decoder_depth, heads, self.grid, values)

    def _count(self, ratio: float, positions: int) -> int:
        """How many of the patches are hidden. Raises InputError when none is, or all are."""
        hidden = round(ratio * positions)
        if not 0 < hidden < positions:
            what = "no patch" if hidden <= 0 else "every patch"
            raise InputError(
                f"objective.ratio = {ratio:g} hides {what} of the {positions} of {self.patch} px in a view of {self.side} "
                "px; expected a ratio that leaves some of both: change it, encoder.patch or objective.views.side"
            )
        return hidden

    def hide(self, batch: Images, rng: Rng) -> Task:
        return self._masked(augment(batch, self.views, rng, "view"), rng)

    def undistorted(self, batch: Images, rng: Rng) -> Task:
        """``hide`` without random views, for measuring: the patches alone are drawn."""
        return self._masked(plain_view(batch, self.views), rng)

    def _masked(self, view: Tensor, rng: Rng) -> Task:
        order = rng.uniform("mask", self.grid[0] * self.grid[1]).argsort(dim=1)
        keep, drop = order[:, self.hidden :], order[:, : self.hidden]
        patches = patchify(view, self.patch)
        target = patches.gather(1, drop[:, :, None].expand(-1, -1, patches.shape[2]))
        if self.config.normalise:
            target = (target - target.mean(2, keepdim=True)) / _deviation(target)
        return Task({"image": view, "keep": keep}, {"patches": target, "drop": drop})

    def foretell(self, task: Task) -> Tensor:
        """(B, H, patch * patch * C): the hidden patches, in the order of ``task.hidden["drop"]``."""
        keep = task.visible["keep"]
        found: Tensor = self.decoder(
            self.encoder.tokens(task.visible["image"], keep, prefix=True), keep, task.hidden["drop"]
        )
        return found

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        return {"total": mean_squared(self.foretell(task), task.hidden["patches"])}

    def evaluated(self, task: Task) -> Tensor:
        """``foretell`` in evaluation mode, without gradient, float32."""
        was_training = self.training
        self.eval()
        with torch.no_grad():
            found = self.foretell(task).float()
        self.train(was_training)
        return found

    def panels(self, task: Task, found: Tensor | None = None) -> list[tuple[str, Tensor]]:
        """What is seen of a task's views, the hidden patches as ``found`` has them (where it is given), and the views."""
        view = task.visible["image"]
        patches = patchify(view, self.patch)
        where = task.hidden["drop"][:, :, None].expand(-1, -1, patches.shape[2])
        true = patches.gather(1, where)
        filled = [("visible", torch.zeros_like(true))]
        if found is not None:
            given = self.config.normalise
            filled.append(("foretold", found * _deviation(true) + true.mean(2, keepdim=True) if given else found))
        shown = [
            (caption, unpatchify(patches.scatter(1, where, part), self.grid, self.patch)) for caption, part in filled
        ]
        mean, std = self.views.mean, self.views.std
        return [
            (caption, denormalise(image[..., : self.side, : self.side], mean, std))
            for caption, image in [*shown, ("image", view)]
        ]

    @property
    def given(self) -> str:
        """What a person should know of the target, with a space before it; "" where it is the pixels as they are."""
        if not self.config.normalise:
            return ""
        return " The mean and contrast of each hidden patch are given, since it learns the rest."

    def findings(self, store: ImageStore, rows: NDArray[np.int64], seed: int) -> list[Exhibit]:
        """Images of ``rows`` of which most patches are foretold, and the loss beside that of flat patches."""
        return [exhibit(self, store, rows, seed)] if len(rows) else []

    def show(self, batch: Images, rng: Rng) -> Exhibit:
        return Exhibit(
            "What the masked autoencoder sees",
            "The encoder sees the visible patches alone; a light decoder must tell the pixels of the others."
            + self.given,
            self.panels(self.hide(batch, rng)),
        )


def _deviation(patches: Tensor) -> Tensor:
    return (patches.var(2, keepdim=True) + EPSILON).sqrt()


@torch.no_grad()
def _published_start(encoder: TimmEncoder, grid: tuple[int, int]) -> None:
    """Positions by sines and the patch embedding drawn like a linear layer's, as the authors start an encoder."""
    net = encoder.positions()
    weight = net.patch_embed.proj.weight
    nn.init.xavier_uniform_(weight.view(weight.shape[0], -1))
    assert net.pos_embed is not None
    places = net.pos_embed[0] if net.no_embed_class else net.pos_embed[0, net.num_prefix_tokens :]
    places.copy_(sine_positions(grid, places.shape[1]))
