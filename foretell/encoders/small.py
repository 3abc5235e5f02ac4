"""Small networks for CPU and images of 28 to 96 px, and the small-image stem for ResNet-like networks.

The small networks are residual networks whose first stage is the three-convolution stem of ResNet-D (He et al., "Bag of
Tricks", arXiv 1812.01187) at half resolution (14x14 for 28 px), followed by basic blocks (He et al., arXiv 1512.03385)
at a quarter and an eighth. Nearly all work is dense 3x3 convolutions of at least 32 channels on maps that fit the
cache, which is what a processor does fastest. They are arguments of timm's own ResNet, so that plain timm loads what is
exported. The small transformers are arguments of timm's VisionTransformer likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from timm.models.resnet import ResNet
from timm.models.resnetv2 import ResNetV2
from torch import nn

from foretell.errors import InputError


@dataclass(frozen=True)
class Small:
    """A small network: ``stem`` channels at half resolution (then twice as many), then stages of basic blocks."""

    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    about: str

    def arguments(self) -> dict[str, Any]:
        """The arguments of ``timm.create_model("resnet18", ...)``; stages beyond the last are empty."""
        missing = 4 - len(self.depths)
        return {
            "stem_type": "deep",
            "stem_width": self.stem,
            "channels": [*self.widths, *[self.widths[-1]] * missing],
            "layers": [*self.depths, *[0] * missing],
        }


ARCHITECTURE = "resnet18"

SMALL: dict[str, Small] = {
    "resnet_tiny": Small(32, (64, 128), (1, 1), "0.3 M parameters, 26 MFLOP forward at 28 px, 128 features"),
    "resnet_small": Small(32, (96, 192), (1, 1), "0.7 M parameters, 42 MFLOP forward at 28 px, 192 features"),
    "resnet_small_2x": Small(
        64,
        (192, 384),
        (1, 1),
        "2.8 M parameters, 166 MFLOP forward at 28 px, 384 features; twice the width of resnet_small",
    ),
    "resnet_base": Small(64, (128, 256), (2, 2), "2.8 M parameters, 168 MFLOP forward at 28 px, 256 features"),
}


@dataclass(frozen=True)
class SmallTransformer:
    """A small vision transformer: averaged patch tokens, no class token, four-fold MLPs."""

    width: int
    depth: int
    heads: int
    about: str

    def arguments(self) -> dict[str, Any]:
        """The arguments of ``timm.create_model(TRANSFORMER, ...)``."""
        return {
            "embed_dim": self.width,
            "depth": self.depth,
            "num_heads": self.heads,
            "class_token": False,
            "global_pool": "avg",
            "fc_norm": False,
        }


TRANSFORMER = "vit_tiny_patch16_224"

TRANSFORMERS: dict[str, SmallTransformer] = {
    "vit_mini": SmallTransformer(128, 4, 4, "0.8 M parameters, 77 MFLOP forward at 28 px, 128 features"),
    "vit_midi": SmallTransformer(192, 6, 3, "2.7 M parameters, 260 MFLOP forward at 28 px, 192 features"),
}


def usual_patch(side: int) -> int:
    """Pixels a side of a small transformer's patch: about 8 to 12 patches along the image."""
    return 4 if side <= 48 else 8 if side <= 96 else 16


def stem_places(net: nn.Module) -> tuple[str, str, bool]:
    """Names in a ResNet-like ``net`` of its first convolution and its stem's pooling, and whether the stem is deep.

    Raises InputError for other networks.
    """
    if isinstance(net, ResNet):
        deep = isinstance(net.conv1, nn.Sequential)
        return "conv1.0" if deep else "conv1", "maxpool", deep
    if isinstance(net, ResNetV2):
        deep = not hasattr(net.stem, "conv")
        return "stem.conv1" if deep else "stem.conv", "stem.pool", deep
    raise InputError(
        f"{type(net).__name__} has no stem that the small one fits (it fits ResNet-like networks: resnet18, resnet50, "
        "seresnet50, resnext50_32x4d, resnetv2_50, ...); set encoder.stem=standard or choose one of those"
    )


def small_stem(net: nn.Module) -> nn.Module:
    """``net`` with a 3x3 stride-1 first convolution and no max-pool (SimCLR, arXiv 2002.05709, appendix B.9), in place.

    A deep stem keeps its three convolutions, the first with stride 1. Raises InputError for a network without such a
    stem.
    """
    name, pool, deep = stem_places(net)
    first: Any = net.get_submodule(name)
    if deep:
        first.stride = (1, 1)
    else:
        # type(): a weight-standardised convolution stays one
        new = type(first)(first.in_channels, first.out_channels, 3, stride=1, padding=1, bias=first.bias is not None)
        nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
        if new.bias is not None:
            nn.init.zeros_(new.bias)
        net.set_submodule(name, new)
    net.set_submodule(pool, nn.Identity())
    return net
