"""An encoder as a folder that timm loads: model.safetensors, config.json and a README that says how."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from foretell.data.table import many
from foretell.encoders.build import create
from foretell.encoders.entrance import Entrance, entrance_of, reading, resizing_told, values_told
from foretell.encoders.registered import SMALL_STEM
from foretell.encoders.small import stem_places
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.encoders.weights import AGAIN, CONFIG, WEIGHTS, first_convolutions, fit, locate, read_config, read_tensors
from foretell.errors import InputError, of
from foretell.run import write_together
from foretell.views.config import SQUASH, Crop

README = "README.md"


def save_encoder(
    encoder: TimmEncoder,
    folder: str | Path,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    extra: Mapping[str, Any] | None = None,
    interpolation: str = "bilinear",
    crop: Crop = 1.0,
) -> Path:
    """Write ``encoder`` to ``folder`` in timm's own format; returns the folder.

    ``mean`` and ``std`` are one number a channel in [0, 1]; ``crop`` is the share of the shorter side that evaluation
    keeps, or "squash"; ``extra`` joins the config's ``foretell`` section. The files are written as ``write_together`` does,
    the weights last, so that a folder with weights is whole. Raises InputError for a wrong number of means, ForetellError
    when the folder cannot be written.
    """
    folder = Path(folder)
    files = encoder_files(encoder, folder, mean=mean, std=std, extra=extra, interpolation=interpolation, crop=crop)
    write_together(folder, files)
    return folder


def encoder_files(
    encoder: TimmEncoder,
    folder: Path,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    extra: Mapping[str, Any] | None = None,
    interpolation: str = "bilinear",
    crop: Crop = 1.0,
) -> dict[str, str | bytes]:
    """The files of ``save_encoder``: name -> content, the weights last."""
    if len(mean) != encoder.channels or len(std) != encoder.channels:
        raise InputError(f"{folder}: give one mean and one deviation for each of the {encoder.channels} channels")
    entry = Entrance(encoder.side, encoder.channels, tuple(mean), tuple(std), interpolation, crop)
    config = _config(encoder, entry, dict(extra or {}))
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in encoder.net.state_dict().items()}
    return {
        README: _readme(encoder, entry, dict(extra or {}), folder.resolve().name),
        CONFIG: json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        WEIGHTS: save(tensors, metadata={"format": "pt"}),
    }


def load_encoder(folder: str | Path) -> tuple[TimmEncoder, dict[str, Any]]:
    """The encoder of a folder written by ``save_encoder`` (or of a run), in evaluation mode, and how images enter it.

    The second value has ``side``, ``channels``, ``mean``, ``std``, ``interpolation``, ``crop`` and what ``extra`` held.
    A folder that timm wrote loads as well. Raises InputError when there is none or it does not fit together.
    """
    path = locate(folder)
    if path.is_file():
        raise InputError(f"{path}: give the folder of the encoder ({WEIGHTS} and {CONFIG}), not a file in it")
    config = read_config(path)
    own = dict(config.get("foretell", {}))
    with of(path / CONFIG):
        entry = entrance_of(config.get("pretrained_cfg", config))
    channels, side = entry.channels, entry.side
    arguments = {"in_chans": channels, **config.get("model_args", {}), "num_classes": 0}
    if arguments["in_chans"] != channels:
        raise InputError(f"{path / CONFIG}: input_size and model_args.in_chans differ in channels; {AGAIN}")
    name = own.pop("name", config["architecture"])
    state = torch.random.get_rng_state()
    net = create(config["architecture"], arguments, name)
    torch.random.set_rng_state(state)
    encoder = TimmEncoder(
        net,
        name=name,
        channels=channels,
        side=side,
        stem=own.pop("stem", "standard"),
        architecture=config["architecture"],
        arguments=arguments,
        norm=own.pop("norm", "batch"),
        patch=own.pop("patch", None),
    )
    fit(encoder.net, read_tensors(path / WEIGHTS), path / WEIGHTS, name)
    encoder.untrained = False
    return encoder.eval(), {**own, **asdict(entry)}


def _config(encoder: TimmEncoder, entry: Entrance, extra: dict[str, Any]) -> dict[str, Any]:
    """config.json as timm writes it, with a ``foretell`` section that timm passes over."""
    known = dict(getattr(encoder.net, "pretrained_cfg", {}) or {})
    first = first_convolutions(encoder.net)
    return {
        "architecture": encoder.architecture,
        "num_classes": 0,
        "num_features": encoder.dim,
        "global_pool": known.get("global_pool") or getattr(encoder.net, "global_pool_type", None) or "avg",
        "model_args": dict(sorted(encoder.arguments.items())),
        "pretrained_cfg": {
            "tag": "foretell",
            "custom_load": False,
            "input_size": [encoder.channels, encoder.side, encoder.side],
            "fixed_input_size": "img_size" in encoder.arguments,
            "interpolation": entry.interpolation,
            "crop_pct": 1.0 if entry.crop == SQUASH else entry.crop,
            "crop_mode": SQUASH if entry.crop == SQUASH else "center",
            "mean": list(entry.mean),
            "std": list(entry.std),
            "num_classes": 0,
            "pool_size": None,
            "first_conv": first[0] if len(first) == 1 else list(first),
            "classifier": known.get("classifier"),
        },
        "foretell": {
            **extra,
            "name": encoder.name,
            "stem": encoder.stem,
            "norm": encoder.norm,
            "patch": encoder.patch,
        },
    }


def _readme(encoder: TimmEncoder, entry: Entrance, facts: dict[str, Any], folder: str) -> str:
    folder = json.dumps(folder, ensure_ascii=False)[1:-1]  # as it is written between quotes
    values = "\n".join(f"   - {line}" for line in values_told(facts))
    head = f"""# {encoder.name}

An image encoder trained with Foretell: {encoder.dim} features an image of {encoder.side} px and
{many(encoder.channels, "channel")}. How one enters:

1. Its values become pixels in [0, 1]:
{values}
2. {resizing_told(entry)}
3. less the mean {list(entry.mean)}, over the deviation {list(entry.std)} of each channel

{_DEEP.format(code=reading(entry, facts["scale"])) if facts.get("scale") is not None else ""}With Foretell, in the folder above this one:

```python
from foretell.encoders import load_encoder

encoder, facts = load_encoder("{folder}")  # the name of this folder
```

"""
    if encoder.architecture != SMALL_STEM:
        return head + _PLAIN.format(folder=folder)
    convolution, pool, deep = stem_places(encoder.net)
    lines = "first.stride = (1, 1)"
    if not deep:
        bias = encoder.net.get_submodule(convolution).bias is not None
        lines = f"first = type(first)(first.in_channels, first.out_channels, 3, stride=1, padding=1, bias={bias})\n"
        lines += f'net.set_submodule("{convolution}", first)'
    return head + _SMALL_STEM.format(folder=folder, convolution=convolution, lines=lines, pool=pool)


_DEEP = """The first two steps for a file of 16 bits, which timm's own transform does not take:

```python
{code}```

"""

_PLAIN = """With timm alone:

```python
import timm

net = timm.create_model("local-dir:{folder}", pretrained=True).eval()  # net(images): one vector an image
data = timm.data.resolve_model_data_config(net)
```
"""

_SMALL_STEM = """Its stem is a 3x3 stride-1 convolution with no max-pool, which timm's arguments cannot express.
After `import foretell.encoders`, `timm.create_model("local-dir:{folder}", pretrained=True).eval()` works; with timm alone:

```python
import json

import timm
from safetensors.torch import load_file
from torch import nn

config = json.load(open("{folder}/config.json"))
arguments = dict(config["model_args"])
net = timm.create_model(arguments.pop("base"), **arguments)
first = net.get_submodule("{convolution}")
{lines}
net.set_submodule("{pool}", nn.Identity())
net.load_state_dict(load_file("{folder}/model.safetensors"))
net.eval()  # net(images): one vector an image
data = timm.data.resolve_data_config(pretrained_cfg=config["pretrained_cfg"])
```
"""
