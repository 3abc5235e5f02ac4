"""Heads on the states of summary tokens, and on those of every token."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SummaryHead(nn.Module):
    """States (S, width) of summary tokens -> (S, outputs), by one linear layer that starts at zero.

    ``dropout`` masks the input, one mask for all sequences of an example (``owner`` (S,)), so that the answers of a
    multiple choice are compared on the same values (the released code of Radford et al. 2018). ``bias``: whether the
    linear layer has one (GPT's public layouts have none).

    BERT's pooler, a dense layer and tanh before it, is left out: with few labels it kept networks from learning.
    """

    def __init__(self, width: int, outputs: int, dropout: float, *, bias: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.out = nn.utils.skip_init(nn.Linear, width, outputs, bias=bias)  # type: ignore[no-untyped-call]
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, states: Tensor, owner: Tensor) -> Tensor:
        if self.training and self.dropout:
            mask = functional.dropout(states.new_ones(int(owner[-1]) + 1, states.shape[1]), self.dropout)
            states = states * mask[owner]
        out: Tensor = self.out(states)
        return out


class TokenHead(nn.Module):
    """States (..., width) -> (..., outputs), by one linear layer that starts at zero; ``dropout`` of its input."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.out = nn.utils.skip_init(nn.Linear, width, outputs)  # type: ignore[no-untyped-call]
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.out(self.drop(states))
        return out
