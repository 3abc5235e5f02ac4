"""Which tensor of the public BERT, RoBERTa, GPT and GPT-2 layouts is which of ours.

A rule is (our name, public names, how): "same", behind ``before`` rows that are never used; "transposed" (the GPT layouts
keep linear layers as (in, out)); "joined" (queries, keys and values are three tensors there and one here).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from foretell.encoders.language import Shape

LAYOUTS = ("bert", "roberta", "gpt2", "openai-gpt")


class Rule(NamedTuple):
    """One tensor of ours, and where it is in the public layout."""

    ours: str
    public: tuple[str, ...]
    how: Literal["same", "transposed", "joined"] = "same"
    before: int = 0


def _both(ours: str, public: str) -> list[Rule]:
    return [Rule(f"{ours}.{kind}", (f"{public}.{kind}",)) for kind in ("weight", "bias")]


def _turned(ours: str, public: str) -> list[Rule]:
    return [Rule(f"{ours}.weight", (f"{public}.weight",), "transposed"), Rule(f"{ours}.bias", (f"{public}.bias",))]


def encoder_rules(layout: str, shape: Shape) -> list[Rule]:
    """The transformer's own tensors, public names as in the bare model (without "bert." and the like)."""
    return _bert(shape) if layout in ("bert", "roberta") else _gpt(layout, shape)


def _bert(shape: Shape) -> list[Rule]:
    rules = [
        Rule("tokens.weight", ("embeddings.word_embeddings.weight",)),
        Rule("positions.weight", ("embeddings.position_embeddings.weight",), before=shape.first_position),
        Rule("segments.weight", ("embeddings.token_type_embeddings.weight",)),
        *_both("embedding_norm", "embeddings.LayerNorm"),
    ]
    for number in range(shape.layers):
        ours, theirs = f"layers.{number}", f"encoder.layer.{number}"
        for kind in ("weight", "bias"):
            three = tuple(f"{theirs}.attention.self.{part}.{kind}" for part in ("query", "key", "value"))
            rules.append(Rule(f"{ours}.attention.qkv.{kind}", three, "joined"))
        rules += _both(f"{ours}.attention.out", f"{theirs}.attention.output.dense")
        rules += _both(f"{ours}.norm1", f"{theirs}.attention.output.LayerNorm")
        rules += _both(f"{ours}.wide", f"{theirs}.intermediate.dense")
        rules += _both(f"{ours}.narrow", f"{theirs}.output.dense")
        rules += _both(f"{ours}.norm2", f"{theirs}.output.LayerNorm")
    return rules


def _gpt(layout: str, shape: Shape) -> list[Rule]:
    second = layout == "gpt2"
    rules = [
        Rule("tokens.weight", ("wte.weight" if second else "tokens_embed.weight",)),
        Rule("positions.weight", ("wpe.weight" if second else "positions_embed.weight",)),
    ]
    for number in range(shape.layers):
        ours, theirs = f"layers.{number}", f"h.{number}"
        rules += _turned(f"{ours}.attention.qkv", f"{theirs}.attn.c_attn")
        rules += _turned(f"{ours}.attention.out", f"{theirs}.attn.c_proj")
        rules += _both(f"{ours}.norm1", f"{theirs}.ln_1")
        rules += _turned(f"{ours}.wide", f"{theirs}.mlp.c_fc")
        rules += _turned(f"{ours}.narrow", f"{theirs}.mlp.c_proj")
        rules += _both(f"{ours}.norm2", f"{theirs}.ln_2")
    if second:
        rules += _both("norm", "ln_f")
    return rules


def masked_rules(layout: str) -> list[Rule]:
    """The head over the vocabulary, public names in full."""
    if layout == "bert":
        dense, norm, bias = (
            "cls.predictions.transform.dense",
            "cls.predictions.transform.LayerNorm",
            "cls.predictions.bias",
        )
    else:
        dense, norm, bias = "lm_head.dense", "lm_head.layer_norm", "lm_head.bias"
    return [*_both("dense", dense), *_both("norm", norm), Rule("bias", (bias,))]


PAIR_RULES = [*_both("pooler", "bert.pooler.dense"), *_both("answer", "cls.seq_relationship")]
PREFIX = {"bert": "bert.", "roberta": "roberta.", "gpt2": "transformer.", "openai-gpt": "transformer."}
# what the output layer shares, by the names under which some versions write it again
TIED = {
    "bert": {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    "roberta": {
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    "gpt2": {"lm_head.weight": "transformer.wte.weight"},
    "openai-gpt": {"lm_head.weight": "transformer.tokens_embed.weight"},
}
