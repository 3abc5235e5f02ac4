"""The few collective operations the rest needs; each is the identity in a single process."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from foretell.errors import ForetellError

T = TypeVar("T")

# what gloo, NCCL and the store of addresses say when the other side is gone
_GONE = re.compile(r"\bpeer\b|broken pipe|remote process|connection (closed|refused|reset)|failed to recv", re.I)


class ProcessLost(ForetellError):
    """Another process has ended in the middle of the work."""


def is_lost(error: BaseException) -> bool:
    """Whether ``error`` is a collective operation's own of several processes, one of which has ended."""
    return world() > 1 and isinstance(error, RuntimeError) and bool(_GONE.search(str(error)))


def start() -> None:
    """Join the processes that torchrun started, if it did and they are not joined yet (gloo for tensors on a CPU, NCCL for
    those on a GPU). Returns when all are joined: one that refuses its work and ends at once takes the store of addresses
    with it, and the others would tell of a lost connection in place of the mistake."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and dist.is_available() and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        dist.all_reduce(torch.zeros(1))


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(world())]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        grad = grad.contiguous().clone()
        dist.all_reduce(grad)
        share = grad.shape[0] // world()
        return grad[rank() * share : (rank() + 1) * share]


def gather(own: Tensor) -> Tensor:
    """(B, ...) of every process, concatenated by rank: (world * B, ...). The gradient of all processes flows back.

    With each process's loss a mean over its own rows, averaging parameter gradients over processes gives the gradient
    of the mean over the global batch.
    """
    return own if world() == 1 else _Gather.apply(own)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def summed(own: Tensor) -> Tensor:
    """The sum over processes, with gradient (batch statistics)."""
    return own if world() == 1 else _Sum.apply(own)


def average_(tensors: Sequence[Tensor]) -> None:
    """Average ``tensors`` over processes in place, as one flat all-reduce for each dtype."""
    if world() == 1 or not tensors:
        return
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):  # in the same order on every process
        same = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.reshape(-1) for tensor in same])
        dist.all_reduce(flat)
        flat /= world()
        offset = 0
        for tensor in same:
            tensor.copy_(flat[offset : offset + tensor.numel()].view_as(tensor))
            offset += tensor.numel()


def barrier() -> None:
    if world() > 1:
        dist.barrier()


def broadcast_(tensors: Sequence[Tensor]) -> None:
    """Rank 0's values into ``tensors``, in place."""
    if world() > 1:
        for tensor in tensors:
            # a tensor that is not contiguous cannot be sent
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, src=0)
            if sent.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(sent)


def broadcast_object(value: Any) -> Any:
    """Rank 0's ``value`` on every process."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def on_first(work: Callable[[], T]) -> T | None:
    """``work`` on the first process alone while the others wait: what it returns there, None elsewhere.

    A ForetellError that it raises is raised on every process, so that none goes on without the first.
    """
    made: T | None = None
    refused: ForetellError | None = None
    if rank() == 0:
        try:
            made = work()
        except ForetellError as error:
            refused = error
    refused = broadcast_object(refused)
    if refused is not None:
        raise refused
    return made
