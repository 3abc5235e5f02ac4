"""Context encoder: the content of a hole from what surrounds it.

Paper: Pathak, Kraehenbuehl, Donahue, Darrell, Efros, "Context Encoders: Feature Learning by Inpainting" (CVPR 2016,
arXiv 1604.07379); sizes, rates and initialisation from the authors' code.
Hidden: a square, a few blocks or a region of each image. Foretold: its pixels, by least squares, which alone answers
with the mean of what may be there, together with a discriminator that sees content without its surroundings.
Use it to fill holes (both losses) and, with ``adversarial`` 0 and region masks, to learn features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.encoders.base import Encoder
from foretell.errors import InputError
from foretell.losses import hole_error
from foretell.objectives.base import Exhibit, Player, Task
from foretell.objectives.context_measures import exhibit
from foretell.objectives.context_networks import Discriminator, Filler, Won, judgement
from foretell.objectives.image import ImageObjective
from foretell.views import augment, denormalise
from foretell.views.config import ViewConfig
from foretell.views.masks import MaskConfig, draw_masks, error_weights, widened

BETAS = (0.5, 0.999)


class ContextEncoder(ImageObjective):
    name = "context_encoder"
    paper = "Pathak et al. 2016, arXiv 1604.07379"
    hides = "the pixels of a square, blocks or a region of each image"
    foretells = "what is in the hole, from its surroundings"
    needs = "images"
    good_for = (
        "filling holes (foretell inpaint); features of scenes and textures, with region masks and adversarial = 0"
    )

    usual_training: ClassVar[dict[str, Any]] = {
        "optimizer": "adamw",
        "rate": 2e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
    }  # Adam
    drawn_as: ClassVar[Mapping[str, str]] = {"context": "view"}

    class Config(ImageObjective.Config):
        views: ViewConfig = ViewConfig(scale=(0.5, 1.0), ratio=(1.0, 1.0), jitter=0, grey=0, blur=0)
        mask: MaskConfig = MaskConfig()
        reconstruction: float = Field(0.999, ge=0, description="weight of the squared error, pixels in [-1, 1]")
        adversarial: float = Field(0.001, ge=0, description="weight of the adversarial loss; 0: no discriminator")
        conditioned: bool = Field(
            False, description="the discriminator sees the surroundings too, and with them the seam (for comparison)"
        )
        discriminator_rate: float = Field(0.1, gt=0, description="its learning rate as a share of the generator's")
        discriminator_width: int = Field(64, ge=4, description="channels of its first convolution")
        channelwise: bool = Field(True, description="the channel-wise fully connected layer; false: local context only")
        width: int = Field(64, ge=4, description="channels of the decoder's last stage")
        norm: Literal["auto", "batch", "group"] = Field("auto", description="auto: batch if the encoder has it")

        @model_validator(mode="after")
        def _some_loss(self) -> ContextEncoder.Config:
            if not self.reconstruction and not self.adversarial:
                raise ValueError("reconstruction and adversarial are both 0: nothing would be learnt")
            return self

    config: ContextEncoder.Config

    def __init__(self, config: ContextEncoder.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__(config, encoder, store)
        self.overlap = config.mask.overlap_for(self.side)
        try:
            draw_masks(config.mask, Rng(0, 0, Rows(0, 1, 1)), "mask", self.side)
        except ValueError as error:
            raise InputError(f"objective.mask: {error}; change it or use a larger objective.views.side") from None
        mean, std = self.views.mean, self.views.std
        assert mean is not None
        assert std is not None
        self.filler = filler_of(config, encoder, self.side, mean, std)
        self.cropped = config.mask.kind == "centre" and not config.conditioned
        judged = self.side // 2 if self.cropped else self.side
        self.discriminator = (
            Discriminator(encoder.channels, judged, width=config.discriminator_width, norm=norm_of(config, encoder))
            if config.adversarial
            else None
        )
        self.won = Won()

    def hide(self, batch: Images, rng: Rng) -> Task:
        clean = augment(batch, self.views, rng, "view")
        mask = draw_masks(self.config.mask, rng, "mask", self.side)
        # the mean of the data is 0 after normalisation; what is foretold is the hole with its overlap
        return Task(
            {"context": clean * (1 - mask)}, {"clean": clean, "mask": mask, "target": widened(mask, self.overlap)}
        )

    def foretell(self, context: Tensor) -> Tensor:
        """(B, C, side, side) normalised: the whole picture, of which only the hole and its overlap are trained."""
        picture: Tensor = self.filler(self.encoder.map(context))
        return picture

    def players(self) -> dict[str, Player]:
        """The discriminator first, if there is one; the generator's rate is that of the schedule."""
        own = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        judge = [(name, p) for name, p in own if name.startswith("discriminator.")]
        rest = [(name, p) for name, p in own if not name.startswith("discriminator.")]
        players = {"generator": Player(rest, betas=BETAS)}
        if judge:
            judging = Player(judge, rate=self.config.discriminator_rate, betas=BETAS)
            players = {"discriminator": judging, **players}
        return players

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        if player == "discriminator":
            return self._judge(task)
        foretold = self._foretold(task, keep=False)
        clean, mask = self._scaled(task.hidden["clean"]), task.hidden["mask"]
        weights = error_weights(mask, task.hidden["target"], self.config.mask.border_weight)
        error = hole_error(self._scaled(foretold), clean, weights)
        with torch.no_grad():
            parts = {"l2": hole_error(self._scaled(foretold), clean, mask)}
        total = self.config.reconstruction * error
        if self.discriminator is not None:
            fooled = judgement(self.discriminator(self.judged(foretold, task)), real=True)
            total = total + self.config.adversarial * fooled
            parts["adversarial"] = fooled
        return {"total": total, **parts}

    def _judge(self, task: Task) -> dict[str, Tensor]:
        assert self.discriminator is not None
        foretold = self._foretold(task, keep=True).detach()
        # one pass each, so that batch norm does not mix the statistics of real and filled content
        real = self.discriminator(self.judged(task.hidden["clean"], task))
        filled = self.discriminator(self.judged(foretold, task))
        accuracy = 0.5 * ((real > 0).float().mean() + (filled <= 0).float().mean())
        return {"total": judgement(real, real=True) + judgement(filled, real=False), "accuracy": accuracy}

    def _foretold(self, task: Task, *, keep: bool) -> Tensor:
        """The generator's picture, computed once for both players of a step."""
        kept = task.cache.pop("foretold", None)
        if kept is None or (torch.is_grad_enabled() and not kept.requires_grad):
            kept = self.foretell(task.visible["context"])
        if keep:
            task.cache["foretold"] = kept
        return kept

    def judged(self, picture: Tensor, task: Task) -> Tensor:
        """What the discriminator sees of ``picture``: the hole with its overlap alone, 0 around it.

        For a centre mask that is cut out; with ``conditioned`` the surroundings are the true ones.
        """
        shown = task.hidden["target"]
        content = self._scaled(picture) * shown
        if self.config.conditioned:
            return content + self._scaled(task.hidden["clean"]) * (1 - shown)
        if not self.cropped:
            return content
        half = self.side // 2
        start = (self.side - half) // 2
        return content[..., start : start + half, start : start + half]

    def _scaled(self, normalised: Tensor) -> Tensor:
        """Differences as between pixels in [-1, 1], the scale the two losses are balanced on; the mean is 0."""
        return normalised.float() * (2 * self.filler.std)

    def notice(self, parts: dict[str, float]) -> str | None:
        """What a person should know of a step's loss parts, said once."""
        loss = parts.get("discriminator.total")
        return None if loss is None else self.won.notice(loss, self.config.discriminator_rate)

    def findings(self, store: ImageStore, rows: NDArray[np.int64], seed: int) -> list[Exhibit]:
        """Holes of ``rows`` filled, beside the truth, the nearest neighbour and the mean fill, and how near they come."""
        return [exhibit(self, store, rows, seed)]

    def show(self, batch: Images, rng: Rng) -> Exhibit:
        task = self.hide(batch, rng)
        panels = [("what is seen", task.visible["context"]), ("image", task.hidden["clean"])]
        mean, std = self.views.mean, self.views.std
        return Exhibit(
            "What the context encoder sees",
            "The hole is filled with the mean of the data; from what is around it the network must tell what is inside.",
            [(caption, denormalise(picture, mean, std)) for caption, picture in panels],
        )


def norm_of(config: ContextEncoder.Config, encoder: Encoder) -> str:
    """The kind of norm of the filler and the discriminator."""
    batch_norm = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in encoder.modules())
    return config.norm if config.norm != "auto" else ("batch" if batch_norm else "group")


def filler_of(
    config: ContextEncoder.Config, encoder: Encoder, side: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Filler:
    """An untrained filler for ``encoder``, for pictures of ``side`` with these channel means and deviations."""
    norm = norm_of(config, encoder)
    return Filler(encoder, side, channelwise=config.channelwise, width=config.width, norm=norm, mean=mean, std=std)
