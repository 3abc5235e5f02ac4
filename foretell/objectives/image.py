"""What every pretext task on single images shares: the store, the sampler and the views' settings."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import field_validator
from torch import Tensor

from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.data.sampler import Sampler
from foretell.data.store import ImageStore
from foretell.data.table import many
from foretell.encoders.base import Encoder
from foretell.encoders.norm import calibrate
from foretell.objectives.base import Objective
from foretell.settings import Settings
from foretell.views import draw, plain_view
from foretell.views.config import ViewConfig
from foretell.views.patches import PatchConfig

CALIBRATING, AT_ONCE = 512, 64  # images whose views batch norm is measured on again, in all and in a batch


def settle_views(views: ViewConfig, encoder: Encoder, store: ImageStore) -> ViewConfig:
    """``views`` with the side of ``encoder``, and the mean and deviation of ``store``, where they are not given."""
    mean, std = (views.mean, views.std) if views.mean and views.std else store.statistics()
    return views.model_copy(update={"side": views.side or encoder.side, "mean": mean, "std": std})


def centres(box: Tensor, sizes: Tensor) -> Tensor:
    """(B, 2) float32 centres (y, x) of ``box`` (B, 4: top, left, height, width) in shares of ``sizes`` (B, 2)."""
    return ((box[:, :2] + box[:, 2:] / 2) / sizes).float()


def learnt_from(store: ImageStore, rows: NDArray[np.int64], own: ImageStore) -> int:
    """How many of ``rows`` of ``store`` are images of ``own``, the store that is learnt from, by their content."""
    known = {content.tobytes() for content in own.hashes}
    return sum(store.hashes[row].tobytes() in known for row in rows)


def counted(images: int, learnt: int) -> str:
    """How many images there are and how many of them were learnt from, in words.

    >>> counted(20, 0), counted(20, 20), counted(1, 1)
    ('20 images, none of them learnt from', '20 images, all of them learnt from', '1 image, learnt from')
    """
    if images == 1:
        return f"1 image, {'' if learnt else 'not '}learnt from"
    told = "all" if learnt == images else f"{learnt:,}" if learnt else "none"
    return f"{many(images, 'image')}, {told} of them learnt from"


class ImageObjective(Objective):
    """A pretext task whose sample is one image of a store; ``config.views`` says how it is looked at.

    ``drawn_as``: the visible tensors of a task that are views of ``config.views``, and the name each was drawn under.
    ``shows_whole``: whether the encoder learns on views like those of transfer; on patches without colour it does not.
    """

    drawn_as: ClassVar[Mapping[str, str]] = {}
    shows_whole: ClassVar[bool] = True

    class Config(Settings):
        views: ViewConfig = ViewConfig()

        @field_validator("views")
        @classmethod
        def _beside_own_defaults(cls, given: ViewConfig) -> ViewConfig:
            """What is not given is the objective's own default, not that of views in general."""
            own: ViewConfig = cls.model_fields["views"].default
            return own.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})

    def __init__(self, config: ImageObjective.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__()
        self.config = config
        self.encoder: Encoder = encoder
        self.store = store
        self.views = settle_views(config.views, encoder, store)

    @property
    def side(self) -> int:
        assert self.views.side is not None
        return self.views.side

    def steps_per_epoch(self, batch: int) -> int:
        return Sampler(len(self.store), 0).steps(batch)

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> Any:
        return self.store.read(Sampler(len(self.store), seed).index(step, rows))

    def seen(self, batch: Any) -> dict[str, Images]:
        """The images of a batch that each name of ``drawn_as`` is a view of: of one image all of them."""
        return dict.fromkeys(self.drawn_as, batch)

    def for_transfer(self) -> Encoder:
        """The encoder as transfer takes it: itself, or ``calibrated`` where ``shows_whole`` is False."""
        return self.encoder if self.shows_whole else self.calibrated()

    def calibrated(self) -> Encoder:
        """A copy of the encoder in evaluation mode with batch norm's mean and variance of whole views of up to 512 images
        that are learnt from, without labels.

        Those of other views or other data than the task shows are far off. (Doersch et al. rescale by data before they
        fine-tune, too.)
        """
        twin = copy.deepcopy(self.encoder)
        device = next(twin.parameters()).device
        some = np.random.default_rng(0).permutation(len(self.store))[:CALIBRATING]
        parts = np.array_split(some, -(-len(some) // AT_ONCE))
        images = (self.store.read(rows) for rows in parts if len(rows) > 1)
        views = (plain_view(each, self.views).to(device) for each in images)
        calibrate(twin, twin.pooled, views)
        return twin.eval()

    def health(self, batch: Any) -> Tensor:
        """(B, dim) pooled features of the undistorted images."""
        with torch.no_grad():
            return self.encoder.pooled(plain_view(batch, self.views)).float()

    @property
    def countermeasures(self) -> PatchConfig | None:
        """The settings with which ``placed`` cuts patches out of the images; None for views of ``config.views``."""
        return None

    def placed(self, batch: Any, rng: Rng) -> tuple[Tensor, Tensor] | None:
        """What the encoder is shown of a batch, and where it lies: the position probe asks whether the one tells the other.

        (n * B, C, h, w) n views of each image, all first ones first, and (n * B, 2) the centres (y, x) in shares of the
        image's height and width. None where a task's views have no place.
        """
        if not self.drawn_as:
            return None
        task = self.hide(batch, rng)
        places = []
        for key, images in self.seen(batch).items():
            box = draw(images.sizes, self.views, replace(rng, device=images.pixels.device), self.drawn_as[key]).box
            places.append(centres(box, images.sizes))
        return torch.cat([task.visible[name] for name in self.drawn_as]), torch.cat(places)
