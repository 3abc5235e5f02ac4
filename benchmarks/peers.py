"""The peers, as their own examples run them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from foretell.side_by_side import usable_cores

MOST_WORKERS = 8  # of lightly's examples


def workers() -> int:
    """Worker processes of a peer's loader: one on each core that this process may use, up to the 8 of lightly's examples."""
    return min(MOST_WORKERS, usable_cores())


def batches_a_round(device: str, asked: int | None) -> int:
    """``asked``, or 2 on a processor; on an accelerator, whose steps are short, 8 for each worker, so that the peer's wait
    for its first batches is a small part of a round.
    """
    return asked or (2 if device == "cpu" else 8 * workers())


def loader(images: np.ndarray, transform: Callable[[Image.Image], Any], batch: int) -> DataLoader[Any]:
    """The DataLoader of lightly's examples. Its workers start at the first pass and stay; between passes they hold nothing."""
    return DataLoader(
        PILImages(images, transform),
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers(),
        persistent_workers=True,
    )


class PILImages(Dataset[Any]):
    """Images in memory as PIL pictures, with lightly's transform: the fastest form of its input."""

    def __init__(self, images: np.ndarray, transform: Callable[[Image.Image], Any]) -> None:
        self.images = [Image.fromarray(image).convert("RGB") for image in images]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.images[index])


class LightlySimCLR(nn.Module):
    """lightly's SimCLR example (backbone, SimCLRProjectionHead, NTXentLoss, SGD 0.06, fp32), CPU or GPU."""

    def __init__(self, backbone: nn.Module, dim: int, device: str = "cpu") -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead

        super().__init__()
        self.backbone = backbone
        self.projection_head = SimCLRProjectionHead(dim, dim, 128)
        self.criterion = NTXentLoss()
        self.device = torch.device(device)
        self.to(self.device)
        self.optimizer = torch.optim.SGD(self.parameters(), lr=0.06)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.projection_head(self.backbone(x).flatten(start_dim=1))
        return z

    def step(self, views: list[Tensor]) -> float:
        z0, z1 = (self(view.to(self.device)) for view in views)
        loss = self.criterion(z0, z1)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())


def lightly_loader(images: np.ndarray, batch: int, side: int) -> DataLoader[Any]:
    """With lightly's SimCLRTransform, without blur (as its small-image example)."""
    from lightly.transforms import SimCLRTransform

    return loader(images, SimCLRTransform(input_size=side, gaussian_blur=0.0), batch)


def small_stem_resnet18() -> tuple[nn.Module, int]:
    """torchvision's ResNet-18 with SimCLR's stem for small images, without its classifier."""
    from torchvision.models import resnet18

    net = resnet18()
    net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    net.maxpool = nn.Identity()
    net.fc = nn.Identity()
    return net, 512


class LightlyMAE(nn.Module):
    """lightly's MAE example (MaskedVisionTransformerTIMM, its decoder, AdamW 1.5e-4, fp32) at any size, CPU or GPU."""

    def __init__(
        self, name: str, *, side: int, patch: int, width: int, depth: int, heads: int, device: str = "cpu"
    ) -> None:
        import timm
        from lightly.models.modules import MaskedVisionTransformerDecoderTIMM, MaskedVisionTransformerTIMM

        super().__init__()
        vit: Any = timm.create_model(name, img_size=side, patch_size=patch, num_classes=0)
        self.patch = patch
        self.backbone = MaskedVisionTransformerTIMM(vit=vit)
        self.length = self.backbone.sequence_length
        self.embed = nn.Linear(vit.embed_dim, width)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            num_patches=vit.patch_embed.num_patches, embed_dim=width, depth=depth, num_heads=heads
        )
        self.head = nn.Linear(width, patch**2 * 3)
        self.criterion = nn.MSELoss()
        self.device = torch.device(device)
        self.to(self.device)
        self.optimizer = torch.optim.AdamW(self.parameters(), lr=1.5e-4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What is foretold of the hidden patches, and the target, normalised patch by patch."""
        from lightly.models import utils

        keep, mask = utils.random_token_mask(size=(len(images), self.length), mask_ratio=0.75, device=images.device)
        encoded = self.backbone.encode(images=images, idx_keep=keep)
        tokens = utils.repeat_token(self.decoder.mask_token, (len(images), self.length))
        embedded = self.embed(encoded)
        tokens = utils.set_at_index(tokens, keep, embedded.type_as(tokens))
        decoded = self.decoder.decode(self.decoder.add_pos_embed(tokens))
        found: Tensor = self.head(utils.get_at_index(decoded, mask))
        patches = utils.patchify(images, self.patch)
        return found, utils.normalize_mean_var(utils.get_at_index(patches, mask - 1))

    def step(self, images: Tensor) -> float:
        loss = self.criterion(*self(images.to(self.device)))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())


def mae_loader(images: np.ndarray, batch: int, side: int) -> DataLoader[Any]:
    """With lightly's MAETransform."""
    from lightly.transforms import MAETransform

    return loader(images, MAETransform(input_size=side), batch)
