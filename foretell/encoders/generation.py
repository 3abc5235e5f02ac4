"""Text written on from a prompt, one token at a time, with keys and values kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foretell.encoders.attention import Cache, FixedCache
from foretell.encoders.language import LanguageModel
from foretell.errors import InputError

COLDEST = 1e-6  # below this temperature all other tokens have no chance, and scores divided by it no finite value


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    ``temperature``: logits are divided by it, 0 takes the likeliest; ``top_k``: of the k likeliest, 0 of all; ``top_p``: of
    the fewest that have this probability together (Holtzman et al. 2020, arXiv 1904.09751), 1 of all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"temperature {self.temperature}: expected 0 (the likeliest token) or more")
        if self.top_k < 0:
            raise InputError(f"top-k {self.top_k}: expected 1 or more tokens, or 0 for all")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p {self.top_p}: expected a probability above 0, at most 1")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.temperature < COLDEST


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """(..., V) logits -> what tokens are drawn by: temperature, then top-k, then top-p."""
    logits = logits.float()
    if sampling.greedy:
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    logits = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        least = logits.topk(sampling.top_k).values[..., -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    share = logits.softmax(-1)
    if sampling.top_p < 1:
        ordered, order = share.sort(-1, descending=True)
        # those before which the rest is reached already are left out; the first one never is
        out = ordered.cumsum(-1) - ordered >= sampling.top_p
        share = share.masked_fill(torch.zeros_like(out).scatter_(-1, order, out), 0.0)
        share = share / share.sum(-1, keepdim=True)
    return share


class FixedStep:
    """The logits after one more token, batch 1, worked out in tensors that never change their size or place.

    On a GPU the many small kernels of a step take longer to start than to run; ``capture`` records them once, and every
    later step is one call.
    """

    def __init__(self, model: LanguageModel, before: Cache, device: torch.device) -> None:
        """``before`` holds the tokens so far, one or more; it is not to be used any more."""
        self.model = model
        self.id = torch.zeros(1, 1, dtype=torch.long, device=device)
        self.at = torch.full((1,), before.length, device=device)
        self.places = torch.arange(before.room, device=device)
        self.cache = FixedCache(before, self.at)
        self.logits = torch.empty(0)
        self.graph: torch.cuda.CUDAGraph | None = None

    def _work(self) -> None:
        mask = (self.places <= self.at)[None, None, None]
        states = self.model.net(self.id, position=self.at[None], mask=mask, cache=self.cache)
        self.logits = self.model.logits(states[:, -1])[0]

    def capture(self) -> None:
        """Record the step as a CUDA graph. What it writes meanwhile is written over by the next call."""
        with torch.cuda.device(self.id.device):  # streams are those of the present GPU, which may be another
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(2):  # libraries set themselves up when first used, which cannot be recorded
                    self._work()
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._work()
        self.graph = graph

    def __call__(self, token: int, place: int) -> Tensor:
        """(V,) logits of what follows ``token``, which stands at ``place``; they hold until the next call."""
        self.id.fill_(token)
        self.at.fill_(place)
        if self.graph is None:
            self._work()
        else:
            self.graph.replay()
        return self.logits


_WORTH_A_GRAPH = 32  # tokens still to write from which recording the step pays


def _drawn(logits: Tensor, sampling: Sampling, chance: torch.Generator) -> int:
    if sampling.greedy:
        return int(logits.argmax())
    return int(torch.multinomial(probabilities(logits, sampling), 1, generator=chance))


def check_prompt(model: LanguageModel, prompt: Sequence[int]) -> None:
    """Raises InputError for an encoder, an empty prompt, and one that leaves no position."""
    if not model.shape.causal:
        raise InputError("this model fills gaps and cannot write on; train one with --objective gpt")
    if not prompt:
        raise InputError("the prompt is empty; give at least one word")
    if len(prompt) >= model.shape.positions:
        raise InputError(
            f"the prompt has {len(prompt)} tokens, the model {model.shape.positions} positions; shorten it to leave room"
        )


@torch.inference_mode()  # while it runs, and not in between: who reads the tokens may train
def generate(
    model: LanguageModel,
    prompt: Sequence[int],
    most: int,
    sampling: Sampling = Sampling(),
    *,
    seed: int = 0,
    cached: bool = True,
    banned: Sequence[int] = (),
) -> Iterator[int]:
    """Up to ``most`` tokens that follow ``prompt``, each as soon as it is drawn; as many as the positions allow.

    ``cached`` false works the whole text out for every token, which gives the same tokens and is slower. Raises InputError
    as ``check_prompt`` does, when the first token is asked for.
    """
    check_prompt(model, prompt)
    device = next(model.parameters()).device
    chance = torch.Generator().manual_seed(seed)
    room = min(len(prompt) + most, model.shape.positions)
    cache = Cache(room) if cached else None
    step: FixedStep | None = None
    ids = list(prompt)
    never = torch.tensor(banned, dtype=torch.long)
    was = model.training
    model.eval()
    try:
        while len(ids) < room:
            if step is not None:
                logits = step(ids[-1], len(ids) - 1)
            else:
                fresh = ids[cache.length :] if cache is not None else ids
                states = model.net(torch.tensor([fresh], device=device), cache=cache)
                logits = model.logits(states[:, -1])[0]
                if cache is not None and device.type == "cuda" and room - len(ids) > _WORTH_A_GRAPH:
                    step = FixedStep(model, cache, device)
                    step.capture()
            logits = logits.cpu()
            logits[never] = float("-inf")
            token = _drawn(logits, sampling, chance)
            ids.append(token)
            yield token
    finally:
        model.train(was)
