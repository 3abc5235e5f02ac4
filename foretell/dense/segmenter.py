"""A light segmentation head on any encoder, trained by the one loop on images and their masks.

Each feature map is brought to ``width`` channels and to the finest map's resolution, they are added, and one 3 x 3 and one
1 x 1 convolution give the classes (the panoptic FPN's head without its cascade, Kirillov et al., 1901.02446). The loss is
cross-entropy plus soft Dice (Milletari et al., 1606.04797).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from foretell.counters import Rng, Rows, seed_of
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.dense.masks import IGNORED, Index, Masks
from foretell.dense.scores import Overlap
from foretell.dense.squares import squares
from foretell.dense.stages import Stages
from foretell.encoders.base import Encoder
from foretell.errors import InputError
from foretell.objectives.base import Exhibit, Player, Task, Trainable
from foretell.settings import Settings
from foretell.transfer.images.features import batch_for
from foretell.transfer.networks import device_of, evaluating
from foretell.transfer.turns import turns
from foretell.views import denormalise, draw, plain_view, render
from foretell.views.config import ViewConfig


class DenseConfig(Settings):
    """The head, and what is trained."""

    width: int = Field(32, ge=4, description="channels of the head")
    frozen: bool = Field(False, description="train the head only")
    dice: float = Field(1.0, ge=0, description="weight of the soft Dice loss beside cross-entropy")


@dataclass
class Masked:
    """Images of a store, by row, that have masks: row i of ``masks`` belongs to row i of ``store``."""

    store: ImageStore
    masks: Masks
    index: Index

    def __len__(self) -> int:
        return len(self.index)


class Segmenter(Trainable):
    """Logits (B, classes, side, side) of normalised images. The encoder is trained in place unless it is frozen.

    ``views`` must have side, mean and std settled; they are cut and flipped only as masks can be (no rotation, no erasing).
    """

    class Config(DenseConfig, Trainable.Config):
        """See ``DenseConfig``."""

    def __init__(
        self, config: DenseConfig, encoder: Encoder, data: Masked, views: ViewConfig, *, seed: int = 0
    ) -> None:
        super().__init__()
        if views.side is None:
            raise ValueError("the views' side must be settled; see labelled.resolved")
        self.config, self.data, self.encoder = config, data, encoder
        self.views = views.model_copy(update={"rotation": 0.0, "erase": 0.0})
        self.side: int = views.side
        self.classes = data.masks.classes
        self.stages = Stages(encoder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "segmentation head"))
            self.sides = nn.ModuleList(nn.Conv2d(channels, config.width, 1) for channels in self.stages.channels)
            self.mix = nn.Conv2d(config.width, config.width, 3, padding=1)
            self.out = nn.Conv2d(config.width, len(self.classes), 1)
        self.norm = nn.GroupNorm(1, config.width)
        for part in (self.sides, self.mix, self.out, self.norm):
            part.to(device_of(encoder))
        for parameter in encoder.parameters():
            parameter.requires_grad_(not config.frozen)

    # what the loop asks -----------------------------------------------------------------------------------------

    def streams(self) -> dict[str, float]:
        return {"masked": 1.0}

    def steps_per_epoch(self, batch: int) -> int:
        return max(1, -(-len(self.data) // batch))

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> Images:
        if not len(self.data):
            raise InputError("no images with masks to train on; give at least one")
        return self.data.store.read(self.data.index[turns(len(self.data), seed, step, rows)])

    def hide(self, batch: Images, rng: Rng) -> Task:
        drawn = draw(batch.sizes, self.views, rng, "segmentation")
        view = render(batch, drawn, self.views)
        masks = self.data.masks.augmented(batch.index.cpu().numpy(), drawn, batch.sizes.cpu(), self.side)
        return Task({"view": view}, {"mask": masks.to(view.device)})

    def players(self) -> dict[str, Player]:
        return {"all": Player([(name, p) for name, p in self.named_parameters() if p.requires_grad])}

    def train(self, mode: bool = True) -> Segmenter:
        super().train(mode)
        if mode and self.config.frozen:
            self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            maps = self.stages(x)
        size = maps[0].shape[-2:]
        sides = [side(features) for side, features in zip(self.sides, maps, strict=True)]
        whole = torch.stack(
            [
                F.interpolate(part, size, mode="bilinear", align_corners=False) if part.shape[-2:] != size else part
                for part in sides
            ]
        ).sum(0)
        mixed = F.gelu(self.norm(self.mix(F.gelu(whole))))
        logits: Tensor = self.out(mixed)
        return F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        logits, mask = self(task.visible["view"]).float(), task.hidden["mask"]
        entropy = (
            F.cross_entropy(logits, mask, ignore_index=IGNORED) if bool((mask != IGNORED).any()) else logits.sum() * 0
        )
        dice = soft_dice(logits, mask)
        return {"total": entropy + self.config.dice * dice, "cross-entropy": entropy, "Dice loss": dice}

    def health(self, batch: Images) -> Tensor:
        return self.encoder.pooled(plain_view(batch, self.views))

    def show(self, batch: Images, rng: Rng) -> Exhibit:
        task = self.hide(batch, rng)
        with evaluating(self):
            found = self(task.visible["view"]).argmax(1)
        top = max(1, len(self.classes) - 1)
        return Exhibit(
            "segmentation",
            "images, their masks, and the masks foretold; the lighter, the higher the class number",
            [
                ("image", denormalise(task.visible["view"], self.views.mean, self.views.std)),
                ("mask", (task.hidden["mask"].clamp(max=top)[:, None] / top).float()),
                ("foretold", (found[:, None] / top).float()),
            ],
        )

    # what it is worth -----------------------------------------------------------------------------------------

    def predicted(self, data: Masked) -> Iterator[tuple[Tensor, Tensor]]:
        """(class numbers, reference), both (B, side, side) int64 on the CPU, of squares whose side is an image's shorter one.

        Together they are the whole of every image; the reference is ``IGNORED`` where another square of it answers.
        """
        batch = batch_for(self.side)
        for start in range(0, len(data), batch):
            rows = data.index[start : start + batch]
            images = data.store.read(rows)
            cut = squares(images)
            reference = data.masks.answers(rows, cut, images.sizes, self.side)
            for at in range(0, len(reference), batch):
                yield self._classes(cut.images.rows(at, at + batch)), reference[at : at + batch]

    def _classes(self, images: Images) -> Tensor:
        """(B, side, side) int64 on the CPU: the likeliest class of each pixel."""
        with evaluating(self):
            x = plain_view(images, self.views)
            logits = self(x.to(device_of(self.encoder)).to(memory_format=torch.channels_last))
        found: Tensor = logits.argmax(1).cpu()
        return found

    def score(self, data: Masked) -> dict[str, Any]:
        """``Overlap.scores`` over all images of ``data``, whole. Raises InputError where its masks number other classes."""
        learnt = self.data.masks
        if any(ours != theirs for ours, theirs in zip(learnt.values, data.masks.values, strict=False)):
            raise InputError(
                f"the masks number the classes {', '.join(data.masks.classes[:6])}, and those that were learnt "
                f"{', '.join(learnt.classes[:6])}; give both the same classes, as a mapping of numbers to names"
            )
        overlap = Overlap(self.classes, learnt.absent & data.masks.absent)
        for found, reference in self.predicted(data):
            overlap.add(found, reference)
        return overlap.scores()


def soft_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """1 minus the mean over the classes that occur in ``mask`` (B, H, W) of 2 sum(p g) / (sum(p) + sum(g)), over the batch.

    ``logits`` (B, classes, H, W). ``IGNORED`` pixels count nowhere; 0 where no other are left.
    """
    kept = mask != IGNORED
    share = logits.softmax(1).movedim(1, -1)[kept]
    true = F.one_hot(mask[kept], logits.shape[1]).to(share.dtype)
    together = 2 * (share * true).sum(0)
    sizes = share.sum(0) + true.sum(0)
    occurs = true.sum(0) > 0
    if not bool(occurs.any()):
        return logits.sum() * 0
    return 1 - (together[occurs] / sizes[occurs]).mean()


def masked(store: ImageStore, masks: Masks, index: Index) -> Masked:
    """The rows ``index`` of a store with their masks. Raises InputError when there is not one mask an image."""
    if len(masks) != len(store):
        raise InputError(f"{store.source}: {len(masks)} masks for {len(store)} images; expected one each")
    return Masked(store, masks, np.asarray(index, np.int64))
