"""The weight gradient as a matrix product equals torch's own, and steps aside where it does not fit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import foretell.encoders.convolution as convolution
from foretell.encoders import EncoderConfig, build_encoder, gemm_weight_gradients
from foretell.encoders.convolution import GemmConv2d, weight_gradient


@pytest.mark.parametrize("buffer", [1, 100_000, 4 * 2**20])  # one image at a time, a few, all of them
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [(3, 1, 1, (6, 6)), (3, 2, 1, (7, 8)), (1, 2, 0, (5, 6)), (1, 1, 0, (3, 4)), (5, 2, 2, (9, 7)), (2, 2, 0, (6, 6))],
)
def test_weight_gradient(
    monkeypatch: pytest.MonkeyPatch, buffer: int, kernel: int, stride: int, padding: int, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(convolution, "BUFFER", dict.fromkeys(convolution.BUFFER, buffer))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 6, *size, generator=generator).to(memory_format=torch.channels_last)
    weight = torch.randn(4, 6, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    out = F.conv2d(x.double(), weight, None, stride, padding)
    grad = torch.randn(out.shape, generator=generator).to(memory_format=torch.channels_last)
    (expected,) = torch.autograd.grad(out, weight, grad.double())
    found = weight_gradient(x, grad, (kernel, kernel), stride, padding)
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-5)


def test_weight_gradient_in_bfloat16_is_summed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(convolution.BUFFER, torch.bfloat16, 1)  # an image at a time: the most sums
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 32, 4, 4, generator=generator).bfloat16().to(memory_format=torch.channels_last)
    grad = (torch.randn(64, 8, 4, 4, generator=generator) + 1).bfloat16().to(memory_format=torch.channels_last)
    weight = torch.zeros(8, 32, 3, 3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(F.conv2d(x.double(), weight, padding=1), weight, grad.double())
    found = weight_gradient(x, grad, (3, 3), 1, 1)
    assert found.dtype == torch.float32
    error = (found.double() - expected).abs().max() / expected.abs().max()
    assert error < 4e-3  # one rounding to bfloat16; 64 of them, summed in bfloat16, would be far off


def test_under_autocast_small_maps_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def step_in_bfloat16(layer: nn.Module, images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = layer(images)
        assert out.dtype == torch.bfloat16
        out.float().square().mean().backward()
        return layer.weight.grad

    torch.manual_seed(0)
    plain = nn.Conv2d(32, 16, 3, padding=1).to(memory_format=torch.channels_last)
    fast = nn.Sequential(copy.deepcopy(plain))
    gemm_weight_gradients(fast)
    images = torch.randn(8, 32, 8, 8).to(memory_format=torch.channels_last)
    expected = step_in_bfloat16(plain, images)
    taken = []
    own = convolution.weight_gradient
    monkeypatch.setattr(convolution, "weight_gradient", lambda *a: taken.append(1) or own(*a))
    found = step_in_bfloat16(fast[0], images)
    assert taken
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=float(0.01 * expected.abs().max()), rtol=0)
    torch.testing.assert_close(
        fast[0].bias.grad, plain.bias.grad, atol=float(0.01 * plain.bias.grad.abs().max()), rtol=0
    )


def step(encoder: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    encoder(images).square().mean().backward()
    return {name: parameter.grad for name, parameter in encoder.named_parameters()}


def test_a_network_trains_as_before() -> None:
    torch.manual_seed(0)
    plain = build_encoder(EncoderConfig(name="resnet_tiny"), 3, 28).to(memory_format=torch.channels_last)
    fast = gemm_weight_gradients(copy.deepcopy(plain))
    converted = [module for module in fast.modules() if isinstance(module, GemmConv2d)]
    assert len(converted) == 7  # all but the first, which sees three channels
    assert fast.state_dict().keys() == plain.state_dict().keys()
    images = torch.randn(4, 3, 28, 28).to(memory_format=torch.channels_last)
    expected, found = step(plain, images), step(fast, images)
    for name, gradient in expected.items():
        scale = gradient.abs().max().clamp(min=1e-12)
        assert float((found[name] - gradient).abs().max() / scale) < 1e-5, name
    gemm_weight_gradients(fast, on=False)
    assert not any(isinstance(module, GemmConv2d) for module in fast.modules())


@pytest.mark.parametrize("case", ["contiguous", "bfloat16", "autocast", "frozen", "float64"])
def test_it_steps_aside(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    def never(*_: object) -> None:
        raise AssertionError("not for this input")

    monkeypatch.setattr(convolution._Convolve, "apply", never)
    layer = gemm_weight_gradients(nn.Sequential(nn.Conv2d(32, 4, 3)))
    size = 12 if case == "autocast" else 5  # of a large map
    images = torch.randn(2, 32, size, size)
    if case != "contiguous":
        images = images.to(memory_format=torch.channels_last)
    if case in ("bfloat16", "float64"):
        layer, images = layer.to(getattr(torch, case)), images.to(getattr(torch, case))
    if case == "frozen":
        layer.requires_grad_(False)
    with torch.autocast("cpu", enabled=case == "autocast"):
        assert layer(images).shape == (2, 4, size - 2, size - 2)


def test_what_does_not_fit_stays() -> None:
    layers = nn.Sequential(
        nn.Conv2d(32, 32, 3, groups=32),
        nn.Conv2d(32, 32, 3, dilation=2),
        nn.Conv2d(32, 32, 3, stride=(1, 2)),
        nn.Conv2d(32, 32, 3, padding="same"),
        nn.Conv2d(32, 32, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 32, 3),
    )
    assert not any(isinstance(module, GemmConv2d) for module in gemm_weight_gradients(layers))
