"""Texts of three topics whose words never overlap across labelled and unlabelled parts, and a network that knows them."""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from foretell.data.text.tokenizer import specials_of
from foretell.encoders.language import LanguageModel, NetworkConfig, Shape
from foretell.tasks.choice import Choice
from foretell.tasks.classification import Classification, Similarity
from foretell.tasks.layout import Layout, extended
from foretell.transfer.config import TransferConfig
from foretell.transfer.text_config import TextTuning

TOPICS = ("sea", "sky", "soil")
COMMON = ["the", "is", "of", "and", "here"]
_LETTERS = np.random.default_rng(7).integers(0, 26, (3, 40, 6))
# words of letters drawn at random, so that those of a topic have nothing in common but the topic
WORDS = [["".join(chr(97 + letter) for letter in word) for word in topic] for topic in _LETTERS]
QUICK = TransferConfig(
    steps=30, curve_points=2, device="cpu", text=TextTuning(precision="float32", batch=16, inner_dropout=0.0)
)


def tokenizer_of(*specials: str) -> Tokenizer:
    names = [*specials, "[UNK]", *COMMON, *(word for topic in WORDS for word in topic)]
    made = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens([*specials, "[UNK]"])
    return made


def told(topic: int, rng: np.random.Generator) -> str:
    """Five words of a topic among common ones."""
    words = [WORDS[topic][number] for number in rng.integers(0, 40, 5)]
    return " ".join(word for own in words for word in (own, COMMON[int(rng.integers(5))]))


def knowing_encoder() -> tuple[LanguageModel, Layout]:
    """A BERT whose embeddings of a topic's words point the same way, as pretraining makes them."""
    tokenizer = tokenizer_of("[PAD]", "[CLS]", "[SEP]", "[MASK]")
    torch.manual_seed(0)
    config = NetworkConfig(layers=1, width=32, heads=2)
    model = LanguageModel(Shape.of(config, tokenizer.get_vocab_size(), 48, segments=2), "bert", masked=True)
    model.specials = specials_of(tokenizer)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for topic in range(3):
            towards = torch.randn(32, generator=generator) * 0.1
            for word in WORDS[topic]:
                model.net.tokens.weight[tokenizer.token_to_id(word)] += towards
    return model.eval(), Layout.of(model, tokenizer, 32)


def small_decoder() -> tuple[LanguageModel, Layout]:
    tokenizer = tokenizer_of("<|endoftext|>")
    torch.manual_seed(0)
    shape = Shape.of(
        NetworkConfig(layers=1, width=32, heads=2), tokenizer.get_vocab_size(), 48, causal=True, norm="pre",
        embedding_norm=False, activation="gelu_tanh", epsilon=1e-5,
    )  # fmt: skip
    model, grown = extended(LanguageModel(shape, "gpt2"), tokenizer)
    model.specials = specials_of(grown)
    return model.eval(), Layout.of(model, grown, 32)


def topics(layout: Layout, count: int, seed: int) -> Classification:
    rng = np.random.default_rng(seed)
    codes = np.arange(count) % 3
    rows = np.arange(count) + 10_000 * seed
    return Classification.of(layout, [(told(code, rng),) for code in codes], codes, list(TOPICS), index=rows)


def same_topic(layout: Layout, count: int, seed: int) -> Similarity:
    rng = np.random.default_rng(seed)
    codes = np.arange(count) % 2
    pairs = []
    for code in codes:
        first = int(rng.integers(3))
        other = first if code else (first + 1 + int(rng.integers(2))) % 3
        pairs.append((told(first, rng), told(other, rng)))
    rows = np.arange(count) + 10_000 * seed
    return Similarity.of(layout, pairs, codes, ["other", "same"], index=rows)


def goes_on(layout: Layout, count: int, seed: int) -> Choice:
    """Which of two or three texts is of the context's topic."""
    rng = np.random.default_rng(seed)
    texts, right = [], []
    for number in range(count):
        order = rng.permutation(3)[: 2 + number % 2]
        answer = int(rng.integers(len(order)))
        texts.append((told(int(order[answer]), rng), *(told(int(topic), rng) for topic in order)))
        right.append(answer)
    return Choice.of(layout, texts, np.array(right), index=np.arange(count) + 10_000 * seed)
