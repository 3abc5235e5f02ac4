"""Batch norm over two processes equals batch norm of one process with the doubled batch."""

from __future__ import annotations

import copy
import os
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from foretell.distributed import average_
from foretell.encoders import (
    CrossProcessBatchNorm1d,
    CrossProcessBatchNorm2d,
    EncoderConfig,
    build_encoder,
    convert_batchnorm,
)


class Both(nn.Module):
    """Convolution, batch norms of both kinds, and a loss that is not linear in the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3, bias=False)
        self.norm = nn.BatchNorm2d(5, momentum=0.3)
        self.line = nn.Linear(5, 4, bias=False)
        self.plain = nn.BatchNorm1d(4, affine=False, momentum=None)
        self.unbiased = nn.BatchNorm1d(4)
        self.unbiased.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        line = self.line(self.norm(self.conv(x)).relu().mean((2, 3)))
        return self.plain(line) + self.unbiased(line.square())


def case(name: str) -> tuple[nn.Module, Tensor]:
    generator = torch.Generator().manual_seed(7)
    torch.manual_seed(1)
    if name == "both":
        # a mean far from zero: sums of squares would lose it to cancellation
        return Both(), torch.randn(12, 2, 6, 6, generator=generator) + 5
    encoder = build_encoder(EncoderConfig(name=name), 1, 28)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith("bn2.weight"):  # zero at the start, which would hide its branch
                parameter.fill_(0.7)
    return encoder, torch.rand(12, 1, 28, 28, generator=generator)


def two_steps(module: nn.Module, x: Tensor, share: slice) -> dict[str, Tensor]:
    """Outputs, gradients (of the mean of the loss over all rows) and running statistics after two training steps."""
    x = x.clone().requires_grad_()
    module.train()
    module(x[share].detach())
    out = module(x[share])
    target = torch.sin(torch.arange(x.shape[0]).float()).view(-1, *[1] * (out.ndim - 1))[share]
    loss = torch.tanh(out - target).square().mean()
    loss.backward()
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    average_(gradients)
    result = {f"gradient {name}": p.grad for name, p in module.named_parameters() if p.grad is not None}
    result |= dict(module.named_buffers())
    return result | {"out": out.detach(), "x": x.grad[share]}


def work(rank: int, folder: str, shares: list[slice], names: list[str]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    for name in names:
        module, x = case(name)
        torch.save(two_steps(convert_batchnorm(module), x, shares[rank]), f"{folder}/{name}{rank}.pt")
    dist.destroy_process_group()


NAMES = ["both", "resnet_tiny", "regnetx_002"]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    mp.spawn(work, (str(folder), [slice(0, 6), slice(6, 12)], NAMES), nprocs=2)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_equal_one(processes: Path, name: str) -> None:
    module, x = case(name)
    whole = two_steps(module, x, slice(0, 12))
    halves = [torch.load(processes / f"{name}{rank}.pt", weights_only=True) for rank in range(2)]
    assert whole.keys() == halves[0].keys()
    for key, expected in whole.items():
        if key == "out":
            found = torch.cat([half[key] for half in halves])
        elif key == "x":  # each process's loss is a mean over half the rows
            found = torch.cat([half[key] for half in halves]) / 2
        else:
            assert torch.equal(halves[0][key], halves[1][key]), key
            found = halves[0][key]
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(
            found / scale, expected / scale, atol=1e-5, rtol=0, msg=lambda m, key=key: f"{key}: {m}"
        )


def test_without_conversion_they_differ(processes: Path) -> None:
    """The test above can fail: plain batch norm of half the batch gives other outputs."""
    module, x = case("both")
    half = two_steps(module, x, slice(0, 6))
    found = torch.load(processes / "both0.pt", weights_only=True)
    assert (half["out"] - found["out"]).abs().max() > 1e-2


def test_one_process_is_torchs_own() -> None:
    module, x = case("both")
    converted = convert_batchnorm(copy.deepcopy(module))
    assert isinstance(converted.norm, CrossProcessBatchNorm2d)
    assert isinstance(converted.plain, CrossProcessBatchNorm1d)
    assert converted.state_dict().keys() == module.state_dict().keys()
    first, second = two_steps(module, x, slice(0, 12)), two_steps(converted, x, slice(0, 12))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(module.eval()(x), converted.eval()(x))


def test_an_unknown_kind_is_said() -> None:
    with pytest.raises(TypeError, match="BatchNorm3d"):
        convert_batchnorm(nn.Sequential(nn.BatchNorm3d(2)))
