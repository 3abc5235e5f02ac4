"""Patch localisation: where a patch lies from another patch of the same image.

Paper: Doersch, Gupta, Efros, "Unsupervised Visual Representation Learning by Context Prediction" (ICCV 2015,
arXiv 1505.05192).
Hidden: the place of each patch in its image. Foretold: which of eight places a patch has, seen from its neighbour.
Use it for pictures with parts that have an order (faces, animals, scenes, scans); not for textures, which have none, nor
where orientation is arbitrary. Shortcuts must be closed: the countermeasures are settings, each on by default.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from foretell.counters import Rng
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.encoders.base import Encoder
from foretell.objectives.base import Exhibit, Task
from foretell.objectives.image import ImageObjective
from foretell.views.patches import PatchConfig, large_enough, pairs, patches, placed_patches, settle, smallest_sides

LISTED = 3  # images passed over that are named in the note


class Layer(nn.Sequential):
    """Linear, batch norm without scale and shift, ReLU; Xavier weights.

    Without the norm, plain gradient descent lets fc6 and fc7 die out; a norm that cannot be scaled down forces them to
    vary over the samples (section 3.2).
    """

    def __init__(self, dim: int, out: int, norm: str) -> None:
        linear = _linear(dim, out, bias=norm == "none")  # batch norm takes a bias away
        super().__init__(linear, *_after(out, norm))


def _linear(dim: int, out: int, bias: bool = True) -> nn.Linear:
    linear = nn.Linear(dim, out, bias=bias)
    nn.init.xavier_uniform_(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


def _after(width: int, norm: str) -> list[nn.Module]:
    return [nn.BatchNorm1d(width, affine=False), nn.ReLU()] if norm == "batch" else [nn.ReLU()]


class Fusion(nn.Module):
    """fc7 to fc9 of late fusion: the only layers that see both patches. (B, K, dim) -> logits (B, M, 8).

    fc7 of the two halves of a concatenation is the sum of two products, so that each is computed once a patch.
    """

    def __init__(self, dim: int, width: int, norm: str) -> None:
        super().__init__()
        self.fc7 = _linear(2 * dim, width, bias=norm == "none")
        self.after7 = nn.Sequential(*_after(width, norm))
        self.fc8 = Layer(width, width, "none")
        self.fc9 = _linear(width, 8)

    def forward(self, embedded: Tensor, places: Tensor) -> Tensor:
        """``places`` (M, 2): the first and second patch of each pair, the same for every image."""
        first, second = self.fc7.weight.chunk(2, dim=1)
        own = F.linear(embedded, first, self.fc7.bias)
        other = F.linear(embedded, second)
        fused = own[:, places[:, 0]] + other[:, places[:, 1]]
        logits: Tensor = self.fc9(self.fc8(self.after7(fused.flatten(0, 1))))
        return logits.view(*fused.shape[:2], 8)


class PatchLocalization(ImageObjective):
    name = "patch_localization"
    paper = "Doersch, Gupta, Efros 2015, arXiv 1505.05192"
    hides = "the places of the patches of a small grid"
    foretells = "in which of eight directions one patch lies from another"
    shows_whole = False
    needs = "images of at least two patches and a gap a side (some 24 px)"
    good_for = "pictures whose parts have an order: animals, faces, scenes, scans. Not textures, nor any orientation"
    usual_training: ClassVar[dict[str, Any]] = {"optimizer": "adamw"}

    class Config(PatchConfig, ImageObjective.Config):
        """Published countermeasures; sizes follow the images. ``views`` says how whole images are seen for measuring."""

        fc6: int | None = Field(None, ge=2, description="width of fc6, the tower's last layer; default: the encoder's")
        width: int = Field(256, ge=8, description="width of fc7 and fc8, which see both patches (published: 4096)")
        reads: Literal["map", "pooled"] = Field(
            "map", description="what fc6 reads: the encoder's map, averaged to at most 3 x 3, or its pooled features"
        )
        norm: Literal["batch", "none"] = Field(
            "batch", description="batch norm without scale and shift on fc6 and fc7, against collapse; or none"
        )

    def __init__(self, config: PatchLocalization.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__(config, encoder, store)
        sizes = store.sizes
        self.settled = config.model_copy(update=settle(config, sizes))
        fits = large_enough(sizes, self.settled)
        self.passed_over = [store.names[int(row)] for row in np.flatnonzero(~fits)]
        if self.passed_over:
            self.store = store.subset(np.flatnonzero(fits))
        places, labels, weights = pairs(self.grid)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("labels", labels, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        assert self.settled.patch is not None
        self.seen_side, read = self._try_sides(self.settled.patch)
        dim = config.fc6 or encoder.dim
        self.fc6 = Layer(read, dim, config.norm)
        self.fusion = Fusion(dim, config.width, config.norm)

    places: Tensor
    labels: Tensor
    weights: Tensor

    @property
    def grid(self) -> int:
        assert self.settled.grid is not None
        return self.settled.grid

    @property
    def notes(self) -> list[str]:
        """What a person should know of how the data is taken, one line each."""
        chosen = self.settled
        lines = [
            f"patches of {chosen.patch} px, {chosen.gap} px apart, moved by up to {chosen.jitter} px, "
            f"{chosen.grid} x {chosen.grid} an image"
        ]
        if self.seen_side != chosen.patch:
            lines.append(
                f"{self.encoder.name} takes no images of {chosen.patch} px: patches are enlarged to {self.seen_side} px"
            )
        if self.passed_over:
            named = ", ".join(self.passed_over[:LISTED]) + (", ..." if len(self.passed_over) > LISTED else "")
            lines.append(
                f"{len(self.passed_over):,} of {len(self.passed_over) + len(self.store):,} images are smaller than the "
                f"grid of patches ({chosen.extent} px) and are passed over: {named}; a smaller objective.patch takes them in"
            )
        return lines

    def usable(self, store: ImageStore, rows: Any) -> NDArray[np.int64]:
        """Those of ``rows`` of ``store`` whose images are large enough for the grid."""
        rows = np.asarray(rows, dtype=np.int64)
        kept: NDArray[np.int64] = rows[smallest_sides(store.sizes[rows], self.settled) >= self.settled.extent]
        return kept

    def hide(self, batch: Images, rng: Rng) -> Task:
        seen = patches(batch, self.settled, rng, self.views.std or (1.0,))
        return Task({"patches": seen}, {"label": self.labels.expand(len(batch), -1)})

    @property
    def countermeasures(self) -> PatchConfig:
        return self.settled

    def placed(self, batch: Images, rng: Rng) -> tuple[Tensor, Tensor]:
        return placed_patches(batch, self.settled, rng, self.views.std or (1.0,))

    def _read(self, x: Tensor) -> Tensor:
        """(N, D) what fc6 reads of patches (N, C, side, side)."""
        if self.settled.reads == "pooled":
            return self.encoder.pooled(x)
        features = self.encoder.map(x)
        cells = (min(3, features.shape[2]), min(3, features.shape[3]))
        return F.adaptive_avg_pool2d(features, cells).flatten(1)

    def _try_sides(self, patch: int) -> tuple[int, int]:
        """(side the tower sees patches at, what fc6 reads of one).

        The patch's own side, or the encoder's where its network takes no other: a transformer of one size.
        """
        mode = self.encoder.training
        self.encoder.eval()  # batch norm would learn from the blank patch
        try:
            with torch.no_grad():
                try:
                    return patch, self._read(torch.zeros(1, self.encoder.channels, patch, patch)).shape[1]
                except (RuntimeError, AssertionError, ValueError, IndexError, TypeError):
                    side = self.encoder.side
                    return side, self._read(torch.zeros(1, self.encoder.channels, side, side)).shape[1]
        finally:
            self.encoder.train(mode)

    def tower(self, x: Tensor) -> Tensor:
        """(N, fc6) of patches (N, C, p, p) as ``hide`` makes them, after ReLU."""
        if x.shape[-1] != self.seen_side:
            x = F.interpolate(x, (self.seen_side, self.seen_side), mode="bilinear", align_corners=False)
        embedded: Tensor = self.fc6(self._read(x))
        return embedded

    def logits(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """(B, M, 8) for every pair of each image's patches (B, K, C, p, p), and fc6 (B, K, D)."""
        embedded = self.tower(seen.flatten(0, 1)).view(*seen.shape[:2], -1)
        return self.fusion(embedded, self.places), embedded

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        """Cross-entropy and accuracy, in which the eight directions count alike; ``fc6`` is its mean deviation."""
        logits, embedded = self.logits(task.visible["patches"])
        label = task.hidden["label"]
        each = F.cross_entropy(logits.float().flatten(0, 1), label.flatten(), reduction="none").view_as(label)
        right = (logits.detach().argmax(-1) == label).float()
        deviation = embedded.detach().float().flatten(0, 1).std(0).mean()
        return {"total": (each @ self.weights).mean(), "accuracy": (right @ self.weights).mean(), "fc6": deviation}

    def chance_loss(self, batch: int) -> float:
        """The loss of foretelling nothing: ln 8."""
        return math.log(8)

    def foretell(self, seen: Tensor) -> Tensor:
        """(B, M, 8) probabilities for patches (B, K, C, p, p) in evaluation mode, without gradient."""
        was_training = self.training
        self.eval()
        with torch.no_grad():
            found = self.logits(seen)[0].float().softmax(-1)
        self.train(was_training)
        return found

    def show(self, batch: Images, rng: Rng) -> Exhibit:
        from foretell.objectives.patch_exhibits import hidden_places

        return hidden_places(self, batch, rng)

    def findings(self, store: ImageStore, rows: Any, seed: int) -> list[Exhibit]:
        from foretell.objectives.patch_exhibits import findings

        return findings(self, store, rows, seed)
