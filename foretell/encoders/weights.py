"""Weights from a run, an exported encoder, a safetensors or a torch file, fitted to an encoder or refused in words."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import is_model
from torch import Tensor, nn

from foretell.encoders.timm_encoder import TimmEncoder
from foretell.errors import InputError, reason
from foretell.json_files import read_object

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
AGAIN = "export the encoder again"
# arguments of timm.create_model by which it reads what is not in the folder
FOREIGN = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}


def locate(place: str | Path) -> Path:
    """The encoder folder or weights file of ``place``: a run folder (its encoder/), an exported folder, or a file."""
    path = Path(place)
    if path.is_file():
        return path
    if not path.exists():
        raise InputError(f"{path}: no such weights; give a run folder, an exported encoder or a .safetensors file")
    for folder in (path / "encoder", path):
        if (folder / WEIGHTS).is_file():
            return folder
    raise InputError(
        f"{path}: holds no encoder ({WEIGHTS}, or encoder/{WEIGHTS} of a run); give a finished run or an exported one"
    )


def read_config(folder: Path) -> dict[str, Any]:
    """The parsed config.json of an exported encoder.

    Raises InputError when it is missing or damaged, or names an architecture that is not one of timm's own, or one that timm
    would look for elsewhere.
    """
    file = folder / CONFIG
    if not file.exists():
        raise InputError(f"{file}: missing; an exported encoder has {WEIGHTS} and {CONFIG}")
    config = read_object(file, AGAIN)
    for name in ("foretell", "model_args", "pretrained_cfg"):
        if not isinstance(config.get(name, {}), dict):
            raise InputError(f"{file}: expected '{name}' as a table; {AGAIN}")
    arguments = config.get("model_args", {})
    for network in (config.get("architecture"), arguments.get("base", "resnet18")):
        if not isinstance(network, str) or not is_model(network.split(".")[0]) or ":" in network or "/" in network:
            raise InputError(f"{file}: names no architecture that timm has ({str(network)[:80]!r}); {AGAIN}")
    reading = sorted(FOREIGN & arguments.keys())
    if reading:
        raise InputError(f"{file}: model_args.{reading[0]} would have timm read other files; take it out")
    own = config.get("foretell", {})
    for name, wanted in (("name", str), ("stem", str), ("norm", str), ("patch", int)):
        if not isinstance(own.get(name), wanted | None):
            raise InputError(f"{file}: foretell.{name} is {own[name]!r}; {AGAIN}")
    return config


def described(place: str | Path) -> dict[str, Any] | None:
    """What the weights are of (name, stem, norm, patch), for a folder with a config.json; None for a bare file."""
    path = locate(place)
    if path.is_file():
        return None
    config = read_config(path)
    own = config.get("foretell", {})
    return {
        "name": own.get("name", config["architecture"]),
        "stem": own.get("stem", "standard"),
        "norm": own.get("norm", "batch"),
        "patch": own.get("patch"),
    }


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Names and tensors of a safetensors or torch file. Nothing is unpickled but tensors; else raises InputError."""
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except Exception as error:  # whatever a file that another program wrote leads the library to
            raise InputError(
                f"{file}: not a readable safetensors file ({reason(error, 120)}); copy or export it again"
            ) from error
    try:
        with file.open("rb") as stream:
            start = stream.read(2)
        if start != b"PK" and start[:1] != b"\x80":  # neither an archive of torch's nor a pickle
            raise InputError(
                f"{file}: holds no weights that can be read; give a run, an exported encoder, a safetensors file or one that "
                "torch.save wrote"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle's protocol, before the refusal that says all
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file}: refused, it holds pickled Python objects, which can run code when read; save the tensors alone, "
            "as safetensors or a plain state dict"
        ) from error
    except InputError:
        raise
    except Exception as error:  # whatever a file that another program wrote leads the library to
        raise InputError(f"{file}: not a readable torch file ({reason(error, 120)}); copy or save it again") from error
    for key in ("state_dict", "model", "model_state_dict", "encoder"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds no state dict (names and tensors); save model.state_dict()")
    tensors = {str(name): tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
    if not tensors:
        raise InputError(f"{file}: holds no tensors; save model.state_dict()")
    return tensors


def usable(value: Tensor, name: str, file: Path) -> Tensor:
    """``value``, the tensor ``name`` of ``file``, where it holds finite numbers as they are.

    Raises InputError for others: numbers of 8 bits or less mean something only with a scale that lies elsewhere.
    """
    if not value.is_floating_point() or value.element_size() < 2:
        kind = str(value.dtype).removeprefix("torch.")
        raise InputError(f"{file}: '{name}' holds {kind}, expected float16, bfloat16 or float32; give the full weights")
    if not bool(torch.isfinite(value).all()):
        raise InputError(f"{file}: '{name}' holds numbers that are not finite; copy or train the weights again")
    return value


def load_weights(encoder: TimmEncoder, place: str | Path) -> None:
    """Load ``place`` into ``encoder``.

    A classifier's weights are left out. A first convolution of other channels is fitted: to one channel by the sum over
    the input channels (a grey image gives the same response as it did as colour), to more by repeating them in turn,
    scaled by source/target channels. Position embeddings of another grid are resampled. Anything else that does not fit
    raises InputError, naming the first tensor that does not.
    """
    path = locate(place)
    if path.is_dir():
        kind = read_config(path)
        name = kind.get("foretell", {}).get("name", kind["architecture"])
        if name != encoder.name and kind["architecture"].split(".")[0] != encoder.architecture.split(".")[0]:
            raise InputError(f"{path}: holds a {name}, not a {encoder.name}; set encoder.name={name}, or leave it auto")
    file = path / WEIGHTS if path.is_dir() else path
    fit(encoder.net, read_tensors(file), file, encoder.name)


def fit(net: nn.Module, tensors: dict[str, Tensor], file: Path, name: str) -> None:
    """Load ``tensors`` (from ``file``) into ``net``, fitted as ``load_weights`` says."""
    wanted = net.state_dict()
    tensors = _strip(tensors, wanted)
    config = getattr(net, "pretrained_cfg", {}) or {}
    heads = _names(config.get("classifier")) or ("fc", "head", "classifier")
    extra = [key for key in tensors if key not in wanted and not key.startswith(tuple(f"{head}." for head in heads))]
    missing = [key for key in wanted if key not in tensors and not key.endswith("num_batches_tracked")]
    if missing or extra:
        example = f"'{missing[0]}' is missing" if missing else f"'{extra[0]}' has no place"
        count = len(missing) + len(extra)
        raise InputError(
            f"{file}: does not fit encoder '{name}' ({example}; {count} of {len(wanted)} names differ); give the "
            "weights of that architecture, or set encoder.name to the one they are of"
        )
    first = [f"{part}.weight" for part in first_convolutions(net)]
    fitted = {}
    for key, target in wanted.items():
        value = tensors.get(key, target)
        if target.is_floating_point():
            usable(value, key, file)
        if value.shape != target.shape and key in first:
            value = _fit_channels(value, target)
        if value.shape != target.shape and key == "pos_embed":
            value = _fit_positions(value, net)
        if value.shape != target.shape:
            hint = ""
            if key in first and value.ndim == 4 and value.shape[-1] != target.shape[-1]:
                hint = "; the stems differ: set encoder.stem as it was when the weights were trained"
            raise InputError(
                f"{file}: '{key}' is {tuple(value.shape)}, but encoder '{name}' has {tuple(target.shape)}"
                f"{hint or '; set the encoder as it was when the weights were trained'}"
            )
        fitted[key] = value
    net.load_state_dict(fitted)


def _names(value: Any) -> tuple[str, ...]:
    return () if not value else (value,) if isinstance(value, str) else tuple(value)


def first_convolutions(net: nn.Module) -> tuple[str, ...]:
    """Names of the convolutions that see the image: those timm names, else the first one."""
    named = _names((getattr(net, "pretrained_cfg", {}) or {}).get("first_conv"))
    modules = dict(net.named_modules())
    if named and all(isinstance(modules.get(name), nn.Conv2d) for name in named):
        return named
    return tuple(name for name, module in modules.items() if isinstance(module, nn.Conv2d))[:1]


def _strip(tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix a wrapper put before every name of the encoder, where there is one."""
    if any(key in wanted for key in tensors):
        return tensors
    for prefix in ("module.", "model.", "encoder.net.", "encoder.", "net.", "backbone.", "module.encoder."):
        inner = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        if any(key in wanted for key in inner):
            return inner
    return tensors


def _fit_channels(weight: Tensor, target: Tensor) -> Tensor:
    """(O, I, k, k) with the input channels of ``target``, where only they differ."""
    if weight.ndim != 4 or weight.shape[0] != target.shape[0] or weight.shape[2:] != target.shape[2:]:
        return weight
    source, channels = weight.shape[1], target.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight.repeat(1, -(-channels // source), 1, 1)[:, :channels] * (source / channels)


def _fit_positions(embedding: Tensor, net: nn.Module) -> Tensor:
    patches = getattr(net, "patch_embed", None)
    grid = getattr(patches, "grid_size", None)
    if grid is None or embedding.ndim != 3:
        return embedding
    prefix = 0 if getattr(net, "no_embed_class", False) else int(getattr(net, "num_prefix_tokens", 1))
    side = round((embedding.shape[1] - prefix) ** 0.5)
    if side * side != embedding.shape[1] - prefix:
        return embedding
    return resample_abs_pos_embed(embedding, list(grid), old_size=[side, side], num_prefix_tokens=prefix)  # type: ignore[no-any-return]
