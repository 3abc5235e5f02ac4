"""The transformer of the text tasks: encoder (BERT), decoder (GPT) or both, from one layer of about 30 lines.

Sources: Vaswani et al. 2017 (arXiv 1706.03762); Devlin et al. 2018 (arXiv 1810.04805) for the post-norm encoder with
segments; Radford et al. 2018 and 2019 for the decoders, post-norm and pre-norm; Lample and Conneau 2019 (arXiv
1901.07291) for language embeddings.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn
from torch.nn import functional

from foretell.encoders.attention import Attention, Cache
from foretell.errors import InputError
from foretell.settings import Settings

# layers and width of the published sizes; a head has 64 values, the feed-forward layer is four times as wide
SIZES = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}


class NetworkConfig(Settings):
    """The transformer. What is not given comes from ``size`` and from the objective."""

    size: Literal["tiny", "mini", "small", "medium", "base", "large"] = Field(
        "mini",
        description="layers x width: tiny 2x128, mini 4x256, small 4x512, medium 8x512, base 12x768, large 24x1024",
    )
    layers: int | None = Field(None, ge=1, le=200, description="default: by size")
    width: int | None = Field(None, ge=8, description="values a token; default: by size")
    heads: int | None = Field(None, ge=1, description="attention heads; default: width / 64")
    inner: int | None = Field(None, ge=1, description="width of the feed-forward layer; default: four times the width")
    positions: int | None = Field(None, ge=2, description="longest text in tokens; default: the objective's length")
    norm: Literal["post", "pre"] | None = Field(
        None, description="layer norm after each part (BERT, GPT-1) or before it (GPT-2); default: by objective"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="after embeddings and each part (published: 0.1)")
    attention_dropout: float = Field(
        0.0, ge=0, lt=1, description="of attention weights (published: 0.1); above 0 there is no fused kernel on a CPU"
    )


class Shape(Settings):
    """A network with nothing left open; what config.json of an exported folder says.

    ``ordered``: positions have embeddings; otherwise ``positions`` is only the longest text. ``first_position``: the row of
    the public table of positions that the first one is in; RoBERTa's is the number of its padding token plus one.
    ``embedding_dropout``: after the embeddings, where it is another than ``dropout``.
    """

    vocabulary: int
    layers: int
    width: int
    heads: int
    inner: int
    positions: int
    ordered: bool = True
    first_position: int = 0
    segments: int = 0
    languages: int = 0
    causal: bool = False
    crossed: bool = False
    norm: Literal["post", "pre"] = "post"
    embedding_norm: bool = True
    activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu"
    epsilon: float = 1e-12
    dropout: float = 0.0
    embedding_dropout: float | None = None
    attention_dropout: float = 0.0

    @model_serializer(mode="wrap")
    def _without_unset(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Kept answers have shapes in their keys: one without a dropout of its own for embeddings says nothing of it."""
        values: dict[str, Any] = plain(self)
        if self.embedding_dropout is None:
            values.pop("embedding_dropout", None)
        return values

    @property
    def dropout_of_embeddings(self) -> float:
        return self.dropout if self.embedding_dropout is None else self.embedding_dropout

    @classmethod
    def of(cls, config: NetworkConfig, vocabulary: int, length: int, **rest: Any) -> Shape:
        """``config`` settled for texts of ``length`` tokens. Raises InputError when the heads do not divide the width."""
        layers, width = SIZES[config.size]
        layers, width = config.layers or layers, config.width or width
        heads = config.heads or max(1, width // 64)
        if width % heads:
            raise InputError(
                f"objective.network.heads = {heads} does not divide the width {width}; set one of them to fit"
            )
        positions = config.positions or length
        if positions < length:
            raise InputError(
                f"objective.network.positions = {positions} is shorter than objective.length = {length}; "
                "raise the one or lower the other"
            )
        return cls(
            vocabulary=vocabulary,
            layers=layers,
            width=width,
            heads=heads,
            inner=config.inner or 4 * width,
            positions=positions,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            **({"norm": config.norm} if config.norm else {}),
            **{name: value for name, value in rest.items() if not (name == "norm" and config.norm)},
        )


def activate(x: Tensor, kind: str) -> Tensor:
    """GELU, exact or by tanh (Hendrycks and Gimpel 2016, arXiv 1606.08415), or ReLU."""
    if kind == "relu":
        return functional.relu(x)
    return functional.gelu(x, approximate="tanh" if kind == "gelu_tanh" else "none")


class Layer(nn.Module):
    """Attention, where ``crossed`` attention to another sequence, and a feed-forward layer, each added to its input.

    Post-norm normalises each sum, pre-norm what goes into each part.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.post = shape.norm == "post"
        self.activation = shape.activation
        self.attention = Attention(shape.width, shape.heads, shape.attention_dropout)
        self.norm1 = nn.LayerNorm(shape.width, eps=shape.epsilon)
        if shape.crossed:
            self.cross = Attention(shape.width, shape.heads, shape.attention_dropout, crossed=True)
            self.norm_cross = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.wide = nn.Linear(shape.width, shape.inner)
        self.narrow = nn.Linear(shape.inner, shape.width)
        self.norm2 = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.drop = nn.Dropout(shape.dropout)

    def _added(self, x: Tensor, norm: nn.Module, part: Any) -> Tensor:
        if self.post:
            after: Tensor = norm(x + self.drop(part(x)))
            return after
        before: Tensor = x + self.drop(part(norm(x)))
        return before

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        causal: bool,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        cache: Cache | None = None,
        layer: int = 0,
    ) -> Tensor:
        x = self._added(x, self.norm1, lambda y: self.attention(y, mask, causal, cache=cache, layer=layer))
        if memory is not None:
            x = self._added(x, self.norm_cross, lambda y: self.cross(y, memory_mask, memory=memory))
        return self._added(x, self.norm2, lambda y: self.narrow(activate(self.wide(y), self.activation)))


class Transformer(nn.Module):
    """Token ids (B, T) -> states (B, T, width). Weights start as N(0, 0.02), biases at 0, as BERT's and GPT's do."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width) if shape.ordered else None
        self.segments = nn.Embedding(shape.segments, shape.width) if shape.segments else None
        self.languages = nn.Embedding(shape.languages, shape.width) if shape.languages else None
        self.embedding_norm = nn.LayerNorm(shape.width, eps=shape.epsilon) if shape.embedding_norm else None
        self.drop = nn.Dropout(shape.dropout_of_embeddings)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, eps=shape.epsilon) if shape.norm == "pre" else None
        self.apply(start_weights)

    def embed(
        self, ids: Tensor, position: Tensor | None = None, segment: Tensor | None = None, language: Tensor | None = None
    ) -> Tensor:
        """(B, T, width): the sum of the embeddings. Positions count from 0 where ``position`` (B, T) is not given.

        Raises InputError for a text longer than the positions.
        """
        if position is None:
            if ids.shape[1] > self.shape.positions:
                raise InputError(
                    f"a text of {ids.shape[1]} tokens is longer than the {self.shape.positions} positions of the "
                    "encoder; shorten it, or train with a larger objective.network.positions"
                )
            position = torch.arange(ids.shape[1], device=ids.device)
        x: Tensor = self.tokens(ids)
        if self.positions is not None:
            x = x + self.positions(position)
        if self.segments is not None:
            x = x + (self.segments(segment) if segment is not None else self.segments.weight[0])
        if self.languages is not None and language is not None:
            x = x + self.languages(language)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        dropped: Tensor = self.drop(x)
        return dropped

    def forward(
        self,
        ids: Tensor,
        *,
        position: Tensor | None = None,
        segment: Tensor | None = None,
        language: Tensor | None = None,
        mask: Tensor | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """States of every token.

        ``position``, ``segment``, ``language`` (B, T) int64; ``mask`` (B, 1, T, T) bool as ``attention.packed_mask`` makes
        it (with it ``causal`` is the mask's affair); ``memory`` (B, S, width) is attended to by a crossed network;
        ``cache`` holds the tokens before ``ids``, whose positions go on from there.
        """
        if cache is not None and position is None:
            position = torch.arange(cache.length, cache.length + ids.shape[1], device=ids.device)
        x = self.embed(ids, position, segment, language)
        for number, layer in enumerate(self.layers):
            x = layer(x, mask, self.shape.causal and mask is None, memory, memory_mask, cache, number)
        if cache is not None:
            cache.length += ids.shape[1]
        if self.norm is not None:
            x = self.norm(x)
        return x


def start_weights(module: nn.Module) -> None:
    """N(0, 0.02) for matrices and embeddings, 0 for biases."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class MaskedHead(nn.Module):
    """States (N, width) -> what the token table is multiplied with: dense, activation, norm; and a bias a token.

    Logits are ``head(states) @ tokens.T + head.bias`` (Devlin et al. 2018); the table is the transformer's own. In the public
    RoBERTa ``layout`` the activation is the exact GELU, whatever that of the layers is.
    """

    def __init__(self, shape: Shape, layout: str) -> None:
        super().__init__()
        self.activation = "gelu" if layout == "roberta" else shape.activation
        self.dense = nn.Linear(shape.width, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        self.apply(start_weights)

    def forward(self, states: Tensor) -> Tensor:
        made: Tensor = self.norm(activate(self.dense(states), self.activation))
        return made


class PairHead(nn.Module):
    """States of [CLS] (N, width) -> logits (N, 2): 0 the second text follows the first, 1 it does not."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.pooler = nn.Linear(shape.width, shape.width)
        self.answer = nn.Linear(shape.width, 2)
        self.apply(start_weights)

    def forward(self, states: Tensor) -> Tensor:
        logits: Tensor = self.answer(torch.tanh(self.pooler(states)))
        return logits


class LanguageModel(nn.Module):
    """A transformer with the heads it was trained with. ``layout``: the public layout it is exported in.

    ``head`` is None for a decoder, whose logits are ``states @ tokens.T``.
    """

    def __init__(
        self,
        shape: Shape,
        layout: str,
        *,
        masked: bool = False,
        pair: bool = False,
        specials: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.specials = dict(specials or {})
        self.net = Transformer(shape)
        self.head = MaskedHead(shape, layout) if masked else None
        self.pair = PairHead(shape) if pair else None

    @property
    def shape(self) -> Shape:
        return self.net.shape

    @property
    def dim(self) -> int:
        return self.net.shape.width

    def prepared(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """(N, width) states -> what the linear layer over the vocabulary takes: input, weight (V, width), bias (V,)."""
        if self.head is None:
            return states, self.net.tokens.weight, None
        return self.head(states), self.net.tokens.weight, self.head.bias

    def logits(self, states: Tensor) -> Tensor:
        """(..., width) -> (..., V)."""
        made, weight, bias = self.prepared(states)
        return functional.linear(made, weight, bias)
