"""Folders in the public BERT, RoBERTa, GPT and GPT-2 layouts: model.safetensors, config.json, tokenizer.json.

What is written here loads in transformers (``AutoModel.from_pretrained(folder)``) and gives the same states and logits;
a folder that transformers wrote is read back and can be trained on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import Tensor, nn

from foretell.data.text.tokenizer import ROLES, id_space, missing_role, read_tokenizer, specials_of, tokenizer_text
from foretell.encoders.language import LanguageModel, Shape
from foretell.encoders.public_config import config_of, shape_from
from foretell.encoders.public_names import (
    PAIR_RULES,
    PREFIX,
    TIED,
    Rule,
    encoder_rules,
    masked_rules,
)
from foretell.encoders.weights import read_tensors, usable
from foretell.errors import InputError
from foretell.json_files import read_object
from foretell.run import write_together

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
FILES = ("model.safetensors", "pytorch_model.bin")
INDEX = ".index.json"  # behind the name of a file that is kept in shards


def save_public(
    model: LanguageModel,
    folder: str | Path,
    tokenizer: str,
    *,
    readme: str = "",
    config: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write ``model`` and its ``tokenizer`` (the text of a tokenizer.json) to ``folder``; returns it.

    ``config`` and ``tensors`` join what is written to config.json and to the weights, such as a head of one's own. The files
    are written as ``write_together`` does, the weights last, so that a folder with weights is whole. Raises InputError when
    the layout has no place for the network, ForetellError when the folder cannot be written.
    """
    folder, layout = Path(folder), model.layout
    masked, pair = model.head is not None, model.pair is not None
    described = {**config_of(layout, model.shape, model.specials, masked=masked, pair=pair), **(config or {})}
    named = {**public_tensors(model), **(tensors or {})}
    write_together(
        folder,
        {
            **({"README.md": readme} if readme else {}),
            TOKENIZER: tokenizer,
            "tokenizer_config.json": json.dumps(_tokenizer_config(model, tokenizer), indent=2) + "\n",
            CONFIG: json.dumps(described, indent=2) + "\n",
            FILES[0]: save(named, metadata={"format": "pt"}),
        },
    )
    return folder


def public_tensors(model: LanguageModel) -> dict[str, Tensor]:
    """The tensors of ``model`` under their public names."""
    found = {}
    for part, prefix, rules in _parts(model):
        state = part.state_dict()
        for rule in rules:
            for name, value in zip(rule.public, _given(rule, state[rule.ours]), strict=True):
                found[prefix + name] = value.detach().cpu().float().contiguous().clone()
    return found


def _parts(model: LanguageModel) -> list[tuple[nn.Module, str, Sequence[Rule]]]:
    layout = model.layout
    parts: list[tuple[nn.Module, str, Sequence[Rule]]] = [
        (model.net, PREFIX[layout], encoder_rules(layout, model.shape))
    ]
    if model.head is not None:
        parts.append((model.head, "", masked_rules(layout)))
    if model.pair is not None:
        parts.append((model.pair, "", PAIR_RULES))
    return parts


def _given(rule: Rule, value: Tensor) -> Sequence[Tensor]:
    if rule.how == "transposed":
        return [value.T]
    if rule.how == "joined":
        return value.chunk(3)
    return [torch.cat([value.new_zeros(rule.before, *value.shape[1:]), value])]


def _taken(rule: Rule, values: Sequence[Tensor]) -> Tensor:
    if rule.how == "transposed":
        return values[0].T
    if rule.how == "joined":
        return torch.cat(list(values))
    return values[0][rule.before :]


def load_public(folder: str | Path) -> tuple[LanguageModel, str]:
    """(model in evaluation mode, text of its tokenizer.json) of a folder in one of the public layouts.

    Heads that the checkpoint lacks are None. Raises InputError, naming file and tensor: no such folder, another kind of
    model, a missing tensor or one of another shape, an output layer of its own (not tied to the token table), a pickle that
    holds more than tensors.
    """
    folder = Path(folder)
    config = read_config(folder)
    layout, shape = shape_from(config, folder / CONFIG)
    file = weights_file(folder)
    if not (folder / TOKENIZER).is_file():
        raise InputError(
            f"{folder}: holds no {TOKENIZER}; write it with AutoTokenizer.from_pretrained(...).save_pretrained"
        )
    tokenizer = tokenizer_text(folder / TOKENIZER)
    check_vocabulary(read_tokenizer(tokenizer, str(folder / TOKENIZER)), shape, folder)
    tensors = _bare(read_weights(file), layout)
    _check_layers(tensors, layout, shape, file)
    masked = layout in ("bert", "roberta") and all(rule.public[0] in tensors for rule in masked_rules(layout))
    pair = layout == "bert" and all(rule.public[0] in tensors for rule in PAIR_RULES)
    with torch.device("meta"):  # what config.json says takes no memory before the weights agree with it
        described = LanguageModel(shape, layout, masked=masked, pair=pair)
    states = [_state(part, prefix, rules, tensors, file, layout) for part, prefix, rules in _parts(described)]
    _check_tied(tensors, layout, file)
    with torch.random.fork_rng(devices=[]):  # its first weights are replaced: no draw of the caller's is used up
        model = LanguageModel(shape, layout, masked=masked, pair=pair)
    for (part, _, _), state in zip(_parts(model), states, strict=True):
        part.load_state_dict(state)
    return model.eval(), tokenizer


def weights_file(folder: Path) -> Path:
    """The file of the weights, or the index of those in shards. Raises InputError where there is neither."""
    names = (*FILES, *(name + INDEX for name in FILES))
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        raise InputError(f"{folder}: holds no {' and no '.join(FILES)}; give the folder of a whole checkpoint")
    return file


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of ``weights_file``. Raises InputError where one cannot be read, or a shard is missing."""
    if not file.name.endswith(INDEX):
        return read_tensors(file)
    places = read_object(file, "save the checkpoint again").get("weight_map")
    if not isinstance(places, dict) or not places or not all(_is_name(shard) for shard in places.values()):
        raise InputError(f"{file}: expected a weight_map from tensors to files beside it; save the checkpoint again")
    found: dict[str, Tensor] = {}
    shards = sorted(set(places.values()))
    for shard in shards:
        if not (file.parent / shard).is_file():
            raise InputError(
                f"{file.parent / shard}: is missing, one of {len(shards)} shards that {file.name} names; give the folder of a "
                "whole checkpoint"
            )
        found |= read_tensors(file.parent / shard)
    return found


def _is_name(shard: object) -> bool:
    """Whether it is the name of a file, and not the way to one elsewhere."""
    return isinstance(shard, str) and shard not in ("", "..") and Path(shard).name == shard


def check_output_layer(folder: Path) -> None:
    """Raises InputError for a decoder whose words cannot be told before it is trained on: its own output layer is missing."""
    config, (name,) = read_config(folder), TIED["gpt2"]
    if config.get("tie_word_embeddings", True) is False and name not in read_weights(weights_file(folder)):
        raise InputError(
            f"{folder}: its output layer is missing ('{name}'; {CONFIG} says that it is not the token table); train it on "
            "first: foretell pretrain DATA --objective gpt --weights FOLDER, or foretell finetune"
        )


def check_roles(tokenizer: Tokenizer, roles: Sequence[str], folder: Path) -> None:
    """Raises InputError where the ``tokenizer`` of the checkpoint in ``folder`` has no token for one of ``roles`` by a
    name that Foretell knows; the token that has the role there is named.
    """
    role = missing_role(specials_of(tokenizer), roles)
    if role is None:
        return
    own = _own_token(role, tokenizer, folder)
    lacks = f"{folder / TOKENIZER}: the tokenizer lacks {ROLES[role][0]}"
    if own is None:
        raise InputError(f"{lacks}; give the one that the checkpoint was trained with")
    raise InputError(
        f"{lacks}, and Foretell knows the role '{role}' by the names {', '.join(ROLES[role])} alone: give '{own}', which the "
        f"checkpoint has for it, one of these names wherever {TOKENIZER} names it"
    )


def _own_token(role: str, tokenizer: Tokenizer, folder: Path) -> str | None:
    """The token of ``tokenizer`` that has ``role`` by the files beside it; None where they do not say."""
    name = "eos" if role == "end" else role
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        given = read_object(folder / file, "save the tokenizer again") if (folder / file).is_file() else {}
        token = given.get(f"{name}_token")
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            return token if tokenizer.token_to_id(token) is not None else None
    number = read_config(folder).get(f"{name}_token_id")
    return tokenizer.id_to_token(number) if type(number) is int and number >= 0 else None


def check_vocabulary(tokenizer: Tokenizer, shape: Shape, folder: Path) -> None:
    """Raises InputError where ``tokenizer`` has tokens that a network of ``shape`` has not."""
    needed = id_space(tokenizer)
    if needed > shape.vocabulary:
        raise InputError(
            f"{folder}: the tokenizer has {needed:,} tokens, the network {shape.vocabulary:,}; give the tokenizer.json "
            "that the checkpoint was trained with"
        )


def _check_layers(tensors: Mapping[str, Tensor], layout: str, shape: Shape, file: Path) -> None:
    place = re.compile(rf"{re.escape(PREFIX[layout])}(?:encoder\.layer|h)\.(\d+)\.")
    layers = {found[1] for found in map(place.match, tensors) if found}
    if len(layers) != shape.layers:
        raise InputError(
            f"{file}: holds {len(layers)} layers, but {CONFIG} says {shape.layers:,}; the two are of different models"
        )


def _state(
    part: nn.Module, prefix: str, rules: Sequence[Rule], tensors: Mapping[str, Tensor], file: Path, layout: str
) -> dict[str, Tensor]:
    """The tensors of ``part`` under our names. Raises InputError for one that is missing or of another shape."""
    state = {}
    for rule in rules:
        names = [prefix + name for name in rule.public]
        for name in names:
            if name not in tensors:
                raise InputError(f"{file}: lacks the tensor '{name}' of a {layout} model; save it again")
        value = _taken(rule, [usable(tensors[name], name, file).float() for name in names])
        wanted = part.get_parameter(rule.ours).shape
        if value.shape != wanted:
            raise InputError(
                f"{file}: '{names[0]}' gives {tuple(value.shape)}, but {CONFIG} says {tuple(wanted)}; the two are of "
                "different models"
            )
        state[rule.ours] = value
    return state


def _check_tied(tensors: Mapping[str, Tensor], layout: str, file: Path) -> None:
    """Raises InputError for an output layer that is another one than the token table and the bias of the head."""
    for name, shared in TIED[layout].items():
        if name not in tensors or shared not in tensors or _equal(tensors[name], tensors[shared]):
            continue
        raise InputError(
            f"{file}: '{name}' differs from '{shared}', but Foretell has one for both; to go on without the output layer, save "
            f"the network alone: model.{PREFIX[layout]}save_pretrained(FOLDER)"
        )


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of ``folder``. Raises InputError."""
    if not (folder / CONFIG).exists():
        fault = f"holds no {CONFIG}" if folder.exists() else "does not exist"
        raise InputError(f"{folder}: {fault}; give the folder of a checkpoint, or of a run")
    return read_object(folder / CONFIG, "save the checkpoint again")


def _bare(tensors: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """With the prefix of the bare model, which a checkpoint of that model alone lacks."""
    prefix, heads = PREFIX[layout], ("cls.", "lm_head.", "classifier.", "score.")
    bare = not any(name.startswith(prefix) for name in tensors)
    found = {}
    for name, value in tensors.items():
        # names of the first releases
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        found[prefix + name if bare and not name.startswith(heads) else name] = value
    return found


def _tokenizer_config(model: LanguageModel, tokenizer: str) -> dict[str, Any]:
    """What transformers asks for beside tokenizer.json: which token plays which part."""
    added = {token["id"]: token["content"] for token in json.loads(tokenizer).get("added_tokens", [])}
    parts = [
        ("pad_token", "pad"),
        ("unk_token", "unk"),
        ("cls_token", "cls"),
        ("sep_token", "sep"),
        ("mask_token", "mask"),
    ]
    if model.shape.causal:
        parts += [("bos_token", "end"), ("eos_token", "end")]
    elif model.layout == "roberta":
        parts += [("bos_token", "cls"), ("eos_token", "sep")]
    numbers = ((name, model.specials.get(role)) for name, role in parts)
    named = {name: added[number] for name, number in numbers if number in added}
    inputs = ["input_ids", "attention_mask"]
    if model.shape.segments > 1:
        inputs.insert(1, "token_type_ids")  # a decoder would add the embedding of token 0 for them
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.shape.positions,
        "model_input_names": inputs,
        **named,
    }


def readme_of(model: LanguageModel, objective: str) -> str:
    """The README of an exported folder: what it is, and how transformers loads it."""
    shape = model.shape
    kind = "AutoModelForCausalLM" if shape.causal else "AutoModelForMaskedLM" if model.head is not None else "AutoModel"
    use = _WRITING if shape.causal else ""
    return f"""# A text encoder trained with Foretell ({objective})

{shape.layers} layers of {shape.width}, {shape.heads} heads, {shape.vocabulary:,} tokens, up to {shape.positions} tokens a text.

```python
from transformers import {kind}, AutoTokenizer

model = {kind}.from_pretrained("encoder")  # the name of this folder
tokenizer = AutoTokenizer.from_pretrained("encoder")
```
{use}"""


_WRITING = """
A text begins with the token that stands between documents, as those that it learnt from did: the tokenizer puts it there, and
ids made in another way need it. To write on:

```python
made = model.generate(**tokenizer("Once upon a time", return_tensors="pt"), max_new_tokens=20, do_sample=False)
print(tokenizer.decode(made[0], skip_special_tokens=True))
```
"""

__all__ = ["LanguageModel", "Shape", "load_public", "public_tensors", "readme_of", "save_public"]
