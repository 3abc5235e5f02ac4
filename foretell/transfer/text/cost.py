"""Floating-point operations of a transformer on text, counted from its shape: no counter sees into fused attention."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.encoders.language import Shape


def forward_flops(shape: Shape, lengths: NDArray[np.int64], *, words: bool = False) -> float:
    """Operations of reading sequences of ``lengths`` (S,) once; with ``words`` also the logits of every next token.

    A multiplication and an addition count as two. Padding, norms and activations are not counted; causal attention
    counts half, since a token sees on average half of the others.
    """
    tokens, squares = float(lengths.sum()), float((lengths.astype(np.float64) ** 2).sum())
    linear = 2 * (4 * shape.width**2 + 2 * shape.width * shape.inner) * tokens
    attention = (2 if shape.causal else 4) * shape.width * squares
    logits = 2 * shape.width * shape.vocabulary * tokens if words else 0.0
    return shape.layers * (linear + attention) + logits


def training_flops(shape: Shape, lengths: NDArray[np.int64], *, words: bool = False) -> float:
    """Those of training on the sequences once: the backward pass takes twice the forward one."""
    return 3 * forward_flops(shape, lengths, words=words)
