"""An image classifier trained on ImageNet: a supervised start; read by ``claims.medical.imagenet``, as claims do.

INSIDE: 296 tensors, 4.65 million weights, 18.8 MB; the network that timm calls 'tf_efficientnet_lite0' (1,000 classes).
"""

from __future__ import annotations

from torch import Tensor

from foretell.claims.medical.imagenet import PACKAGE, state

NAME, VERSION, SHA256, LICENCE = PACKAGE.name, PACKAGE.version, PACKAGE.sha256, PACKAGE.licence


def load() -> dict[str, Tensor]:
    """The state of timm's 'tf_efficientnet_lite0'."""
    return state()
