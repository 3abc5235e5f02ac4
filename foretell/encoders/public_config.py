"""config.json of the public BERT, RoBERTa, GPT and GPT-2 layouts, from and to ``language.Shape``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from foretell.encoders.language import Shape
from foretell.encoders.public_names import LAYOUTS
from foretell.errors import InputError

ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}
FIRST_GPT = {"gelu": "gelu_tanh"}  # what it calls GELU is the one by tanh


def shape_from(config: Mapping[str, Any], file: Path) -> tuple[str, Shape]:
    """(layout, shape) of a config.json. Raises InputError for other models and settings that have no counterpart."""
    layout = str(config.get("model_type"))
    if layout not in LAYOUTS:
        raise InputError(f"{file}: model_type is '{layout}'; Foretell reads {', '.join(LAYOUTS)}")
    try:
        shape = (_bert if layout in ("bert", "roberta") else _gpt)(layout, config, file)
    except KeyError as error:
        raise InputError(f"{file}: lacks {error}, which a {layout} checkpoint has; save it again") from None
    except TypeError as error:
        raise InputError(f"{file}: holds a value of the wrong kind ({error}); save it again") from None
    except ValidationError as error:
        found = error.errors()[0]
        raise InputError(f"{file}: {'.'.join(map(str, found['loc']))}: {found['msg']}; save it again") from None
    for name in ("vocabulary", "layers", "width", "heads", "inner", "positions"):
        if getattr(shape, name) < 1:
            raise InputError(f"{file}: says that {name} = {getattr(shape, name)}; save it again")
    if shape.width % shape.heads:
        raise InputError(f"{file}: {shape.heads} heads do not divide the width {shape.width}; save it again")
    dropouts = (shape.dropout, shape.dropout_of_embeddings, shape.attention_dropout)
    if not (0 < shape.epsilon < 1 and all(0 <= share < 1 for share in dropouts)):
        raise InputError(f"{file}: dropout and the epsilon of layer norm are shares below 1; save it again")
    return layout, shape


def _activations(layout: str) -> dict[str, str]:
    """What the layout calls them -> what they are here."""
    return FIRST_GPT if layout == "openai-gpt" else ACTIVATIONS


def _activation(name: Any, layout: str, file: Path) -> str:
    known = _activations(layout)
    if not isinstance(name, str) or name not in known:
        raise InputError(f"{file}: activation '{name}'; Foretell has {', '.join(known)} in the {layout} layout")
    return known[name]


def _padding(config: Mapping[str, Any], file: Path) -> int:
    """The number of RoBERTa's padding token, from which its positions are counted."""
    number, tokens = config.get("pad_token_id", 1), config["vocab_size"]
    if not isinstance(number, int) or not 0 <= number < tokens:
        raise InputError(
            f"{file}: pad_token_id is {number}, from which roberta counts positions; expected 0 to {tokens - 1}, as the model "
            "was trained"
        )
    return number


def _bert(layout: str, config: Mapping[str, Any], file: Path) -> Shape:
    kind = config.get("position_embedding_type", "absolute")
    if kind != "absolute":
        raise InputError(f"{file}: position_embedding_type is '{kind}'; Foretell reads absolute (learned) positions")
    if config.get("is_decoder"):
        raise InputError(f"{file}: is_decoder is true; Foretell reads {layout} as an encoder")
    segments = config.get("type_vocab_size", 2)
    if segments < 1:
        raise InputError(f"{file}: type_vocab_size is {segments}; expected 1 or more, as the model was trained")
    first = _padding(config, file) + 1 if layout == "roberta" else 0
    return Shape(
        vocabulary=config["vocab_size"],
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        inner=config["intermediate_size"],
        positions=config["max_position_embeddings"] - first,
        first_position=first,
        segments=segments,
        activation=_activation(config.get("hidden_act", "gelu"), layout, file),
        epsilon=config.get("layer_norm_eps", 1e-12),
        dropout=config.get("hidden_dropout_prob", 0.1),
        attention_dropout=config.get("attention_probs_dropout_prob", 0.1),
    )


def _gpt(layout: str, config: Mapping[str, Any], file: Path) -> Shape:
    for name, usual in (("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False)):
        if config.get(name, usual) is not usual:
            raise InputError(f"{file}: {name} is {config[name]}; Foretell reads {usual}")
    first = layout == "openai-gpt"
    activation = config.get("afn", "gelu") if first else config.get("activation_function", "gelu_new")
    dropout, of_embeddings = config.get("resid_pdrop", 0.1), config.get("embd_pdrop", 0.1)
    return Shape(
        vocabulary=config["vocab_size"],
        layers=config["n_layer"],
        width=config["n_embd"],
        heads=config["n_head"],
        inner=config.get("n_inner") or 4 * config["n_embd"],
        positions=config["n_positions"],
        causal=True,
        norm="post" if first else "pre",
        embedding_norm=False,
        activation=_activation(activation, layout, file),
        epsilon=config.get("layer_norm_epsilon", 1e-5),
        dropout=dropout,
        embedding_dropout=None if of_embeddings == dropout else of_embeddings,
        attention_dropout=config.get("attn_pdrop", 0.1),
    )


def config_of(layout: str, shape: Shape, specials: Mapping[str, int], *, masked: bool, pair: bool) -> dict[str, Any]:
    """config.json for a network of ``shape``. Raises InputError when the layout has no place for it.

    The padding token of RoBERTa is the one that the positions of ``shape`` are counted from.
    """
    wanted = {"bert": "post", "roberta": "post", "gpt2": "pre", "openai-gpt": "post"}[layout]
    if shape.norm != wanted or shape.languages or shape.crossed or shape.causal != (layout in ("gpt2", "openai-gpt")):
        raise InputError(f"the {layout} layout has no place for this network ({shape.norm}-norm); keep the run folder")
    if (shape.first_position > 0) != (layout == "roberta"):
        raise InputError(
            f"the {layout} layout has no place for positions from row {shape.first_position} on; keep the run folder"
        )
    activation = next((name for name, kind in _activations(layout).items() if kind == shape.activation), None)
    if activation is None:
        raise InputError(f"the {layout} layout has no place for the activation {shape.activation}; keep the run folder")
    common: dict[str, Any] = {"model_type": layout, "vocab_size": shape.vocabulary, "dtype": "float32"}
    if layout in ("bert", "roberta"):
        title = {"bert": "Bert", "roberta": "Roberta"}[layout]
        kind = "ForPreTraining" if pair and masked else "ForMaskedLM" if masked else "Model"
        roles = {"bos_token_id": "cls", "eos_token_id": "sep"} if layout == "roberta" else {"pad_token_id": "pad"}
        return {
            "architectures": [title + kind],
            **common,
            **{key: specials[role] for key, role in roles.items() if role in specials},
            **({"pad_token_id": shape.first_position - 1} if layout == "roberta" else {}),
            "num_hidden_layers": shape.layers,
            "hidden_size": shape.width,
            "num_attention_heads": shape.heads,
            "intermediate_size": shape.inner,
            "max_position_embeddings": shape.positions + shape.first_position,
            "type_vocab_size": shape.segments,
            "hidden_act": activation,
            "layer_norm_eps": shape.epsilon,
            "hidden_dropout_prob": shape.dropout,
            "attention_probs_dropout_prob": shape.attention_dropout,
            "tie_word_embeddings": True,
        }
    first = layout == "openai-gpt"
    end = {key: specials["end"] for key in ("bos_token_id", "eos_token_id") if "end" in specials}
    if first and shape.inner != 4 * shape.width:
        raise InputError("the openai-gpt layout has no place for objective.network.inner; leave it out")
    return {
        "architectures": ["OpenAIGPTLMHeadModel" if first else "GPT2LMHeadModel"],
        **common,
        **end,
        "n_layer": shape.layers,
        "n_embd": shape.width,
        "n_head": shape.heads,
        **({"afn": activation} if first else {"n_inner": shape.inner, "activation_function": activation}),
        "n_positions": shape.positions,
        "layer_norm_epsilon": shape.epsilon,
        "resid_pdrop": shape.dropout,
        "embd_pdrop": shape.dropout_of_embeddings,
        "attn_pdrop": shape.attention_dropout,
        "tie_word_embeddings": True,
    }
