"""Small networks with tokenizers of a few words, for tests of tasks."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from foretell.data.text.tokenizer import specials_of
from foretell.encoders.language import LanguageModel, NetworkConfig, Shape
from foretell.tasks.layout import Layout, extended

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sits",
    "runs",
    "here",
    "there",
    "and",
    "eats",
    "sleeps",
    "now",
    "big",
    "red",
    "blue",
]


def tokenizer_of(*specials: str) -> Tokenizer:
    names = [*specials, "[UNK]", *WORDS]
    made = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens([*specials, "[UNK]"])
    return made


def encoder_and_layout(length: int = 24, seed: int = 0) -> tuple[LanguageModel, Layout]:
    """A BERT of two layers of 32."""
    tokenizer = tokenizer_of("[PAD]", "[CLS]", "[SEP]", "[MASK]")
    torch.manual_seed(seed)
    config = NetworkConfig(layers=2, width=32, heads=2)
    model = LanguageModel(Shape.of(config, tokenizer.get_vocab_size(), 32, segments=2), "bert", masked=True)
    model.specials = specials_of(tokenizer)
    return model, Layout.of(model, tokenizer, length)


def decoder_and_layout(length: int = 24, seed: int = 0) -> tuple[LanguageModel, Layout]:
    """A GPT-2 of two layers of 32, with its special tokens."""
    tokenizer = tokenizer_of("<|endoftext|>")
    torch.manual_seed(seed)
    shape = Shape.of(
        NetworkConfig(layers=2, width=32, heads=2), tokenizer.get_vocab_size(), 32, causal=True, norm="pre",
        embedding_norm=False, activation="gelu_tanh", epsilon=1e-5,
    )  # fmt: skip
    model, grown = extended(LanguageModel(shape, "gpt2"), tokenizer)
    model.specials = specials_of(grown)
    return model, Layout.of(model, grown, length)


BOTH = {"encoder": encoder_and_layout, "decoder": decoder_and_layout}
