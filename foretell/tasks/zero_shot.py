"""What a decoder foretells of tasks that it was never trained on, from how likely it finds texts.

The heuristics of Radford et al. 2018, section 5: of several candidates that one is chosen whose tokens have the highest mean
log-probability after the context; a sentence is taken for acceptable when the mean log-probability of its tokens is above a
threshold, chosen on sentences that are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, tee

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from foretell.data.text.tokenizer import specials_of
from foretell.encoders.language import LanguageModel
from foretell.errors import InputError
from foretell.tasks.inputs import Index, Sequences, lay
from foretell.tasks.pieces import AT_ONCE, pieces_of

LOGITS = 1 << 22  # worked out at a time


@dataclass(frozen=True, slots=True)
class Likelihood:
    """``total``: summed log-probability, in nats, of the ``tokens`` that were scored; ``cut``: tokens at the beginning of the
    context that the model's positions had no room for.
    """

    total: float
    tokens: int
    cut: int

    @property
    def mean(self) -> float:
        """Log-probability a token."""
        return self.total / self.tokens


def log_probabilities(states: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
    """(N,) float32: log softmax(states @ weight.T + bias) at ``target`` (N,), a few rows at a time."""
    step = max(1, LOGITS // len(weight))
    made = []
    for start in range(0, len(states), step):
        logits = functional.linear(states[start : start + step], weight, bias).float()
        picked = logits.gather(1, target[start : start + step, None]).squeeze(1)
        made.append(picked - logits.logsumexp(1))
    return torch.cat(made)


def likelihoods(
    model: LanguageModel, tokenizer: Tokenizer, pairs: Iterable[tuple[str, str]], *, joint: str = " ", batch: int = 8192
) -> Iterator[Likelihood]:
    """How likely each text is after its context, for ``pairs`` of (context, text), in their order.

    ``joint`` stands between a context and its text; a context may be empty. Both begin a document, so that the first token
    is scored too where the tokenizer has an end of documents. A thousand pairs are read at a time, those of like length are
    worked out together, about ``batch`` tokens at once.

    Raises InputError for an encoder, and naming the pair for a text of which there is nothing to score or that is longer
    than the model's positions.
    """
    if not model.shape.causal:
        raise InputError("this model fills gaps and cannot tell how likely a text is; train one with --objective gpt")
    end = specials_of(tokenizer).get("end")
    lead = [] if end is None else [end]
    waiting = iter(pairs)
    number = 0
    while part := list(islice(waiting, AT_ONCE)):
        begun = [f"{context}{joint}" if context else "" for context, _ in part]
        whole = [before + text for before, (_, text) in zip(begun, part, strict=True)]
        tokens: list[list[int]] = []
        scored: list[int] = []
        cut: list[int] = []
        for before, pieces in zip(begun, pieces_of(tokenizer, whole), strict=True):
            number += 1
            ids = [*lead, *pieces.ids]
            first = len(lead) + int(np.searchsorted(pieces.end, len(before), side="right"))
            first = max(first, 1)  # nothing foretells the very first token
            count = len(ids) - first
            if count < 1:
                raise InputError(f"text {number}: no token of it can be scored; expected at least one word")
            if count >= model.shape.positions:
                raise InputError(
                    f"text {number}: {count} tokens are longer than the {model.shape.positions} positions of the model, one "
                    "of which stands before it; shorten it"
                )
            over = max(0, len(ids) - model.shape.positions)
            tokens.append(ids[over:])
            scored.append(count)
            cut.append(over)
        totals = _totals(model, tokens, np.array(scored, np.int64), batch)
        for total, count, over in zip(totals, scored, cut, strict=True):
            yield Likelihood(float(total), count, over)


def _totals(model: LanguageModel, tokens: list[list[int]], scored: Index, batch: int) -> NDArray[np.float64]:
    """Summed log-probability of the last ``scored`` tokens of each sequence."""
    length = [len(one) for one in tokens]
    sequences = Sequences.of(tokens, length, [0] * len(tokens))
    order = np.argsort(sequences.length, kind="stable")
    turn = (np.cumsum(sequences.length[order]) - 1) // batch
    device = next(model.parameters()).device
    totals = np.empty(len(tokens), np.float64)
    was = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for which in np.split(order, np.flatnonzero(np.diff(turn)) + 1):
                inputs = lay(sequences.take(which), np.arange(len(which)), 0).to(device)
                count = torch.from_numpy(scored[which]).to(device)
                owner = torch.repeat_interleave(count)
                # the last tokens of each sequence, and before each the state that foretells it
                step = torch.arange(len(owner), device=device) - (count.cumsum(0) - count)[owner]
                place = (inputs.start + inputs.length - count)[owner] + step
                states = inputs.states(model).flatten(0, 1)[place - 1]
                found = log_probabilities(*model.prepared(states), inputs.ids.flatten()[place])
                summed = torch.zeros(len(which), dtype=torch.float64, device=device)
                totals[which] = summed.index_add_(0, owner, found.double()).cpu().numpy()
    finally:
        model.train(was)
    return totals


def choice_scores(
    model: LanguageModel, tokenizer: Tokenizer, examples: Iterable[tuple[str, Sequence[str]]], *, joint: str = " "
) -> Iterator[NDArray[np.float64]]:
    """The mean log-probability of each candidate after its context; the largest is the answer.

    ``examples``: (context, candidates), streamed. Raises InputError as ``likelihoods``.
    """
    examples, counted = tee(examples)
    pairs = chain.from_iterable(((context, text) for text in texts) for context, texts in examples)
    found = likelihoods(model, tokenizer, pairs, joint=joint)
    for _, texts in counted:
        yield np.array([one.mean for one in islice(found, len(texts))])


def acceptability(model: LanguageModel, tokenizer: Tokenizer, sentences: Iterable[str]) -> Iterator[float]:
    """The mean log-probability of the tokens of each sentence. Raises InputError as ``likelihoods``."""
    return (one.mean for one in likelihoods(model, tokenizer, (("", sentence) for sentence in sentences)))


def matthews(accepted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Matthews' correlation in [-1, 1], the measure of CoLA (Warstadt, Singh and Bowman 2019, arXiv 1805.12471); 0 where all
    answers or all truths are the same.
    """
    hits, misses = int((accepted & truth).sum()), int((~accepted & truth).sum())
    alarms, rest = int((accepted & ~truth).sum()), int((~accepted & ~truth).sum())
    under = (hits + misses) * (hits + alarms) * (rest + misses) * (rest + alarms)
    return (hits * rest - misses * alarms) / float(under) ** 0.5 if under else 0.0


def acceptability_threshold(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """The threshold above which a sentence is taken for acceptable with the highest ``matthews``, the middle between two
    scores; of equally good ones the lowest. For sentences that are not the ones to be judged.

    Raises ValueError for fewer than two different scores.
    """
    values, right = np.asarray(scores, np.float64), np.asarray(truth, np.bool_)
    ordered = np.unique(values)
    if len(ordered) < 2:
        raise ValueError("a threshold needs at least two different scores")
    middles = (ordered[1:] + ordered[:-1]) / 2
    return float(middles[int(np.argmax([matthews(values > middle, right) for middle in middles]))])
