"""The best span of each window from the logits of where an answer begins and ends (Devlin et al. 2018, sections 4.2, 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor


def best_spans(
    begin: Tensor, finish: Tensor, own: Tensor, inside: Tensor, longest: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(score, first, last), each (S,): the span of up to ``longest`` tokens with the largest ``begin[i] + finish[j]``.

    ``begin``, ``finish`` (S, L) float: logits of the tokens of S windows. A span begins where ``own`` and ends where
    ``inside`` (S, L) bool is true, i <= j < i + ``longest``; of equals the shortest, then the first. -inf, 0, 0 where a
    window has none. Memory is a few times that of the logits: lengths are tried one after another.
    """
    none = torch.tensor(float("-inf"), dtype=begin.dtype, device=begin.device)
    begin, finish = torch.where(own, begin, none), torch.where(inside, finish, none)
    best = begin.new_full((len(begin),), float("-inf"))
    first = torch.zeros_like(best, dtype=torch.int64)
    last = first.clone()
    for more in range(min(longest, begin.shape[1])):
        width = begin.shape[1] - more
        value, at = (begin[:, :width] + finish[:, more:]).max(1)
        better = value > best
        best = torch.where(better, value, best)
        first, last = torch.where(better, at, first), torch.where(better, at + more, last)
    return best, first, last
