"""From a name to an encoder: Foretell's small networks, any timm name, and what 'auto' means."""

from __future__ import annotations

import difflib
from functools import cache
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, is_model
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from foretell.encoders.base import EncoderConfig
from foretell.encoders.registered import SMALL_STEM
from foretell.encoders.small import ARCHITECTURE, SMALL, TRANSFORMER, TRANSFORMERS, small_stem, usual_patch
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.encoders.weights import described, load_weights
from foretell.errors import InputError, reason, unknown

SMALL_SIDE = 96
"""Up to this side (px) stem 'auto' is the small one."""


def resolve(config: EncoderConfig, side: int, device: str = "cpu", *, transformer: bool = False) -> EncoderConfig:
    """``config`` with name and stem settled.

    Name 'auto': what the weights are of, where weights are given as a folder; otherwise by device and side. On a CPU
    resnet_small up to 96 px and resnet18 above; on a GPU resnet18 up to 96 px and resnet50 above. Stem 'auto': small up
    to 96 px for ResNet-like timm networks, whose standard stem would leave a 32 px image a map of 1x1; else standard.
    ``transformer``: 'auto' is a vision transformer; on a CPU vit_mini up to 96 px and vit_tiny_patch16_224 above, on a GPU
    vit_midi and vit_base_patch16_224. Raises InputError for an unknown name.
    """
    settled = config.model_copy()
    if config.weights is not None and config.name == "auto":
        found = described(config.weights)
        if found is not None:
            settled.name, settled.stem, settled.norm = found["name"], found["stem"], found["norm"]
            settled.patch = config.patch or found["patch"]
    if settled.name == "auto":
        large = side > SMALL_SIDE
        on_cpu = device.startswith("cpu")
        if transformer:
            small, usual = ("vit_mini", "vit_tiny_patch16_224") if on_cpu else ("vit_midi", "vit_base_patch16_224")
        else:
            small, usual = ("resnet_small", "resnet18") if on_cpu else ("resnet18", "resnet50")
        settled.name = usual if large else small
    check_name(settled.name)
    if settled.stem == "auto":
        fits = settled.name not in SMALL and settled.name.split(".")[0] in _resnet_names()
        settled.stem = "small" if fits and side <= SMALL_SIDE else "standard"
    return settled


def check_name(name: str) -> None:
    """Raises InputError, with the nearest names, unless ``name`` is a small network of Foretell or a timm name."""
    if name in SMALL or name in TRANSFORMERS:
        return
    if ":" in name or "/" in name:
        raise InputError(
            f"encoder '{name}' is a place, not a name; give the architecture as encoder.name and the file or folder as "
            "encoder.weights"
        )
    if not is_model(name.split(".")[0]) or name.split(".")[0] == SMALL_STEM:
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.6)
        error = unknown("encoder", name, ["auto", *SMALL, *TRANSFORMERS, *near])
        raise InputError(f"{error}, and every name of timm.list_models()")


@cache
def _resnet_names() -> frozenset[str]:
    modules = ("resnet", "resnetv2", "resnest", "res2net", "sknet")
    return frozenset(name for module in modules for name in timm.list_models(module=module))


def build_encoder(config: EncoderConfig, channels: int, side: int) -> TimmEncoder:
    """The encoder of ``config`` for images of (channels, side, side), with fresh or given weights.

    Fresh weights come from torch's global generator (He initialisation, the last normalisation of a residual branch
    zero where timm's network does so). Raises InputError for an unknown name, a stem or a normalisation that does not
    fit the network, a side it does not take, and weights that do not fit.
    """
    config = resolve(config, side)
    architecture, arguments = _recipe(config, channels, side)
    net = create(architecture, arguments, config.name)
    encoder = TimmEncoder(
        net,
        name=config.name,
        channels=channels,
        side=side,
        stem=config.stem,
        architecture=architecture,
        arguments=arguments,
        norm=config.norm,
        patch=config.patch,
    )
    if config.weights is not None:
        load_weights(encoder, config.weights)
        encoder.untrained = False
    return encoder


def renewed(like: TimmEncoder) -> TimmEncoder:
    """The network of ``like`` to the last layer (its stem, normalisation and patch too), its weights drawn anew from
    torch's global generator.
    """
    return TimmEncoder(
        create(like.architecture, like.arguments, like.name),
        name=like.name,
        channels=like.channels,
        side=like.side,
        stem=like.stem,
        architecture=like.architecture,
        arguments=like.arguments,
        norm=like.norm,
        patch=like.patch,
    )


def create(architecture: str, arguments: dict[str, Any], name: str) -> nn.Module:
    """The timm network, its failures in words."""
    try:
        return timm.create_model(architecture, pretrained=False, **arguments)
    except InputError:
        raise
    except (TypeError, RuntimeError, AssertionError, ValueError, KeyError) as error:
        options = ", ".join(f"{key}={value}" for key, value in arguments.items() if key not in ("num_classes",))
        raise InputError(
            f"encoder '{name}' cannot be built with {options} ({reason(error)}); choose another encoder or side"
        ) from error


def _recipe(config: EncoderConfig, channels: int, side: int) -> tuple[str, dict[str, Any]]:
    """Architecture and arguments for ``timm.create_model``; every value is plain JSON."""
    arguments: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    if config.name in SMALL:
        architecture = ARCHITECTURE
        arguments |= SMALL[config.name].arguments()
    elif config.name in TRANSFORMERS:
        architecture = TRANSFORMER
        arguments |= TRANSFORMERS[config.name].arguments() | {"patch_size": usual_patch(side)}
    else:
        architecture = config.name.split(".")[0]
    known = get_pretrained_cfg(architecture)
    sized = known is not None and known.fixed_input_size
    if config.patch is not None:
        if not architecture.startswith(("vit_", "deit", "beit")):
            raise InputError(
                f"encoder '{config.name}' takes no patch size; leave encoder.patch out or choose a vit_ name"
            )
        arguments["patch_size"] = config.patch
    if sized:
        patch = _patch(architecture, arguments) if architecture.startswith(("vit_", "deit")) else 1
        arguments["img_size"] = -(-side // patch) * patch
        if side % patch:
            arguments |= {"dynamic_img_size": True, "dynamic_img_pad": True}
    if config.norm == "group" and _has_batchnorm(architecture, arguments, config.name):
        arguments["norm_layer"] = "groupnorm"
        try:
            left = _has_batchnorm(architecture, arguments, config.name)
        except InputError:
            left = True
        if left:
            raise InputError(
                f"encoder '{config.name}' cannot take group norm in place of batch norm; set encoder.norm=batch or "
                f"choose another ({', '.join(SMALL)}, resnet18, resnet50, ...)"
            )
    if config.stem == "small":
        with torch.device("meta"):
            small_stem(create(architecture, arguments, config.name))
        arguments = {"base": architecture, **arguments}
        architecture = SMALL_STEM
    return architecture, arguments


def _patch(architecture: str, arguments: dict[str, Any]) -> int:
    if "patch_size" in arguments:
        return int(arguments["patch_size"])
    with torch.device("meta"):
        net = timm.create_model(architecture, pretrained=False, num_classes=0)
    size: Any = net.patch_embed
    return int(size.patch_size[0])


def _has_batchnorm(architecture: str, arguments: dict[str, Any], name: str) -> bool:
    with torch.device("meta"):
        net = create(architecture, arguments, name)
    return any(isinstance(module, _BatchNorm) for module in net.modules())
