"""The one architecture Foretell adds to timm's registry: a ResNet-like network with the small-image stem.

With ``import foretell.encoders``, ``timm.create_model("local-dir:FOLDER", pretrained=True)`` loads an exported encoder
that has it. timm's own arguments cannot express a stride-1 stem, so without Foretell the lines in the folder's README
do it.
"""

from __future__ import annotations

from typing import Any

import timm
from timm.models import load_pretrained, register_model
from timm.models._builder import resolve_pretrained_cfg
from torch import nn

from foretell.encoders.small import small_stem

SMALL_STEM = "small_stem_network"


@register_model
def small_stem_network(
    pretrained: bool = False,
    pretrained_cfg: Any = None,
    pretrained_cfg_overlay: dict[str, Any] | None = None,
    base: str = "resnet18",
    **arguments: Any,
) -> nn.Module:
    """timm's network ``base`` with a 3x3 stride-1 first convolution and no max-pool."""
    for runtime in ("pretrained_model_args", "cache_dir"):
        arguments.pop(runtime, None)
    net: Any = small_stem(timm.create_model(base, pretrained=False, **arguments))
    if pretrained_cfg is not None:
        config: Any = resolve_pretrained_cfg(SMALL_STEM, pretrained_cfg, pretrained_cfg_overlay)
        net.pretrained_cfg = net.default_cfg = config.to_dict()
    if pretrained:
        channels = arguments.get("in_chans", 3)
        load_pretrained(net, pretrained_cfg=net.pretrained_cfg, num_classes=net.num_classes, in_chans=channels)
    return net  # type: ignore[no-any-return]
