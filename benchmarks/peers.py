"""The peers, as their own examples run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


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


def lightly_loader(images: np.ndarray, batch: int, side: int, workers: int = 2) -> DataLoader[Any]:
    """lightly's example DataLoader: its SimCLRTransform without blur (as its small-image example), dropped last batch."""
    from lightly.transforms import SimCLRTransform

    transform = SimCLRTransform(input_size=side, gaussian_blur=0.0)
    return DataLoader(PILImages(images, transform), batch, shuffle=True, drop_last=True, num_workers=workers)


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def small_stem_resnet18() -> tuple[nn.Module, int]:
    """torchvision's ResNet-18 with SimCLR's stem for small images, without its classifier."""
    from torchvision.models import resnet18

    net = resnet18()
    net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    net.maxpool = nn.Identity()
    net.fc = nn.Identity()
    return net, 512
