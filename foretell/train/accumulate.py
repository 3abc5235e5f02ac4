"""Gradients of one step, of the whole batch at once or in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeAlias

import torch
from torch import Tensor, nn

from foretell import distributed
from foretell.errors import InputError
from foretell.objectives.base import Contrastive, Task, Trainable

Autocast: TypeAlias = Callable[[], AbstractContextManager[object]]
Reseed: TypeAlias = Callable[[int], None]


def has_live_batch_norm(trainable: nn.Module) -> bool:
    """Whether a batch norm computes statistics of the batch (frozen ones are in evaluation mode and do not)."""
    return any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training for module in trainable.modules()
    )


def check_shared(batch: int, *, resumed: bool = False) -> None:
    """Raise InputError for a global batch of so many samples that the processes cannot share out evenly.

    A run that is ``resumed`` keeps its batch, so that only the processes can be others.
    """
    world = distributed.world()
    if batch % world == 0:
        return
    fitting = max(count for count in range(1, world) if batch % count == 0)
    do = f"a run keeps its batch: resume it with {fitting} process{'es' if fitting > 1 else ''}"
    raise InputError(
        f"training.batch = {batch} is not a multiple of the {world} processes; {do if resumed else 'change one of them'}"
    )


def check_batch(trainable: Trainable, batch: int, rows: int, chunk: int | None) -> None:
    """Refuse sizes that cannot give the promised gradient. ``trainable`` is in training mode.

    ``batch``: samples in the global batch; ``rows``: of these, in this process; ``chunk``: samples at a time.
    Raises InputError: a batch of one where samples are compared or averaged; chunks with batch norm, or for a loss that
    cannot be computed in chunks.
    """
    name = str(getattr(trainable, "name", type(trainable).__name__))
    norm = has_live_batch_norm(trainable)
    if batch < 2 and isinstance(trainable, Contrastive):
        raise InputError(
            f"training.batch = {batch}: {name} compares the samples of a batch, and one has nothing to compare; "
            "set training.batch to 2 or more"
        )
    if batch < 2 and norm:
        raise InputError(
            f"training.batch = {batch}: batch norm needs at least two samples; set training.batch to 2 or more, or "
            "choose an encoder without batch norm"
        )
    if chunk is None or chunk >= rows:
        return
    if norm:
        raise InputError(
            f"training.chunk = {chunk}: batch norm sees only the {chunk} samples of a chunk, so the result would not "
            f"be that of a batch of {rows}; leave training.chunk out, or choose an encoder without batch norm"
        )
    if trainable.accumulation == "none":
        raise InputError(
            f"training.chunk = {chunk}: the loss of {name} cannot be computed in chunks; leave training.chunk out"
        )


def _spans(rows: int, chunk: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + chunk, rows)) for start in range(0, rows, chunk))


def cut(task: Task, chunk: int | None) -> list[Task]:
    """``task`` in chunks of at most ``chunk`` rows; the task itself when it is small enough."""
    rows = len(task)
    if chunk is None or chunk >= rows:
        return [task]
    return [task.rows(start, stop) for start, stop in _spans(rows, chunk)]


def gradients(
    trainable: Trainable,
    player: str,
    parameters: list[nn.Parameter],
    task: Task,
    chunks: list[Task],
    autocast: Autocast,
    reseed: Reseed,
    keep_graph: bool = False,
) -> dict[str, Tensor]:
    """Add the gradient of ``player``'s loss to ``parameters``; returns the loss parts, detached.

    ``chunks`` is ``cut(task, chunk)``; ``reseed(number)`` seeds torch's generators for a chunk. With several chunks:

    * accumulation "mean": the mean of the chunks' losses weighted by their rows;
    * "cached": cached gradients (Gao et al. 2021, arXiv 2101.06983): embed without gradient, take the gradient of the
      whole batch's loss at the embeddings, then embed again with the same random numbers and send it on.
    """
    if len(chunks) == 1:
        reseed(0)
        with autocast():
            losses = trainable.loss(chunks[0], player)
        _backward(losses["total"], parameters, keep_graph)
        return _detached(losses)
    if trainable.accumulation == "cached":
        return _cached(trainable, parameters, task, chunks, autocast, reseed)
    sums: dict[str, Tensor] = {}
    for number, part in enumerate(chunks):
        reseed(number)
        weight = len(part) / len(task)
        with autocast():
            losses = trainable.loss(part, player)
        _backward(losses["total"] * weight, parameters, keep_graph)
        for name, value in _detached(losses).items():
            sums[name] = sums[name] + value * weight if name in sums else value * weight
    return sums


def _cached(
    trainable: Trainable,
    parameters: list[nn.Parameter],
    task: Task,
    chunks: list[Task],
    autocast: Autocast,
    reseed: Reseed,
) -> dict[str, Tensor]:
    assert isinstance(trainable, Contrastive)
    pieces = []
    with torch.no_grad(), autocast():
        for number, part in enumerate(chunks):
            reseed(number)
            pieces.append(trainable.embed(part))
    embedded = torch.cat(pieces).requires_grad_()
    with autocast():
        losses = trainable.loss_from(embedded, task)
    # parameters of the loss itself (a learnt temperature) get their gradient here
    torch.autograd.backward(losses["total"], inputs=[embedded, *parameters])
    assert embedded.grad is not None
    grads = torch.split(embedded.grad, [len(part) for part in chunks])
    for number, (part, grad) in enumerate(zip(chunks, grads, strict=True)):
        reseed(number)
        with autocast():
            again = trainable.embed(part)
        torch.autograd.backward(again, grad, inputs=parameters)
    return _detached(losses)


def _backward(total: Tensor, parameters: list[nn.Parameter], keep_graph: bool) -> None:
    # only into this player's parameters: another player's gradient is not this one's business
    torch.autograd.backward(total, inputs=parameters, retain_graph=keep_graph)


def _detached(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    device = losses["total"].device
    return {name: torch.as_tensor(value, device=device).detach().float() for name, value in losses.items()}
