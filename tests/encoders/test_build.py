"""Names, stems, normalisation and patches of encoders, and the three things an encoder answers."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from foretell.encoders import SMALL, EncoderConfig, build_encoder, resolve
from foretell.errors import InputError


def flops(run) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_small_networks(name: str, norm: str) -> None:
    encoder = build_encoder(EncoderConfig(name=name, norm=norm), 1, 28).eval()
    images = torch.rand(3, 1, 28, 28)
    features = encoder.map(images)
    assert features.shape == (3, encoder.dim, 4, 4)
    torch.testing.assert_close(encoder.pooled(images), features.mean((2, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder.tokens(images), features.flatten(2).transpose(1, 2))
    kinds = {type(module) for module in encoder.modules()}
    assert (nn.BatchNorm2d in kinds) == (norm == "batch")


def test_small_networks_cost_what_they_say() -> None:
    for name, small in SMALL.items():
        megaparameters, megaflops, side, features = re.findall(r"[0-9.]+", small.about)
        encoder = build_encoder(EncoderConfig(name=name), 1, 28).eval()
        parameters = sum(p.numel() for p in encoder.parameters())
        assert round(parameters / 1e6, 1) == float(megaparameters)
        assert round(flops(lambda e=encoder: e.pooled(torch.zeros(1, 1, 28, 28))) / 1e6) == int(megaflops)
        assert (encoder.dim, side) == (int(features), "28")


def test_group_norm_makes_an_embedding_independent_of_its_batch() -> None:
    encoder = build_encoder(EncoderConfig(name="resnet_tiny", norm="group"), 1, 28).train()
    images = torch.rand(6, 1, 28, 28)
    torch.testing.assert_close(encoder(images)[:2], encoder(images[:2]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("side", "device", "name", "stem"),
    [
        (28, "cpu", "resnet_small", "standard"),
        (96, "cpu", "resnet_small", "standard"),
        (224, "cpu", "resnet18", "standard"),
        (32, "cuda", "resnet18", "small"),
        (224, "cuda:0", "resnet50", "standard"),
    ],
)
def test_auto(side: int, device: str, name: str, stem: str) -> None:
    settled = resolve(EncoderConfig(), side, device)
    assert (settled.name, settled.stem) == (name, stem)
    assert resolve(settled, side, device) == settled


@pytest.mark.parametrize("name", ["resnet18", "resnet18d", "resnetv2_18", "resnet_tiny"])
def test_small_stem_keeps_resolution(name: str) -> None:
    """A stem that does not shrink: the map of a 32 px image is 4x4, not 1x1 (tiny has one stage less to shrink in)."""
    standard = build_encoder(EncoderConfig(name=name, stem="standard"), 3, 32).eval()
    small = build_encoder(EncoderConfig(name=name, stem="small"), 3, 32).eval()
    image = torch.rand(1, 3, 32, 32)
    assert small.map(image).shape[-1] == 4 * standard.map(image).shape[-1]


def test_auto_stem_follows_the_side() -> None:
    assert resolve(EncoderConfig(name="resnet50"), 32).stem == "small"
    assert resolve(EncoderConfig(name="resnet50"), 224).stem == "standard"
    assert resolve(EncoderConfig(name="convnext_atto"), 32).stem == "standard"


@pytest.mark.parametrize(
    ("name", "side", "patch", "grid"),
    [
        ("vit_tiny_patch16_224", 32, 4, 8),
        ("vit_tiny_patch16_224", 28, None, 2),
        ("vit_tiny_patch16_224", 30, 4, 8),
    ],
)
def test_vision_transformer_of_any_side(name: str, side: int, patch: int | None, grid: int) -> None:
    encoder = build_encoder(EncoderConfig(name=name, patch=patch), 1, side).eval()
    images = torch.rand(2, 1, side, side)
    assert encoder.map(images).shape == (2, 192, grid, grid)
    everything = encoder.tokens(images)
    order = torch.stack([torch.randperm(grid * grid) for _ in range(2)])
    kept = encoder.tokens(images, order)
    expected = torch.gather(everything, 1, order[:, :, None].expand_as(everything))
    torch.testing.assert_close(kept, expected, atol=1e-5, rtol=1e-4)


def test_kept_tokens_cost_only_themselves() -> None:
    encoder = build_encoder(EncoderConfig(name="vit_tiny_patch16_224", patch=4), 3, 32).eval()
    images = torch.rand(2, 3, 32, 32)
    keep = torch.stack([torch.randperm(64)[:16] for _ in range(2)])
    assert encoder.tokens(images, keep).shape == (2, 16, 192)
    assert flops(lambda: encoder.tokens(images, keep)) < 0.3 * flops(lambda: encoder.tokens(images))


def test_kept_tokens_do_not_see_the_others() -> None:
    encoder = build_encoder(EncoderConfig(name="vit_tiny_patch16_224", patch=4), 1, 16).eval()
    images = torch.rand(1, 1, 16, 16)
    changed = images.clone()
    changed[:, :, 8:] = 0.5  # the lower two rows of patches
    keep = torch.arange(8)[None]
    torch.testing.assert_close(encoder.tokens(images, keep), encoder.tokens(changed, keep))
    assert not torch.allclose(encoder.tokens(images)[:, :8], encoder.tokens(changed)[:, :8])


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "mobilenetv3_small_100", "regnetx_002"])
def test_other_timm_networks(name: str) -> None:
    encoder = build_encoder(EncoderConfig(name=name), 2, 64).eval()
    images = torch.rand(2, 2, 64, 64)
    features = encoder.map(images)
    assert encoder.pooled(images).shape == (2, encoder.dim)
    assert features.shape[:2] == (2, encoder.map_dim)
    assert encoder.tokens(images).shape == (2, features.shape[2] * features.shape[3], encoder.map_dim)


def test_the_seed_decides_the_weights() -> None:
    built = []
    for _ in range(2):
        torch.manual_seed(3)
        built.append(build_encoder(EncoderConfig(name="resnet18", norm="group"), 1, 28))
    for first, second in zip(built[0].parameters(), built[1].parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("config", "side", "words"),
    [
        ({"name": "resnet_tny"}, 28, "did you mean 'resnet_tiny'"),
        ({"name": "resnet81"}, 28, "did you mean 'resnet18'"),
        ({"name": "hf-hub:timm/resnet18"}, 28, "encoder.weights"),
        ({"name": "small_stem_network"}, 28, "unknown encoder"),
        ({"name": "convnext_atto", "stem": "small"}, 32, "set encoder.stem=standard"),
        ({"name": "regnetx_002", "norm": "group"}, 32, "set encoder.norm=batch"),
        ({"name": "resnet18", "patch": 4}, 32, "leave encoder.patch out"),
        ({"name": "convnext_atto"}, 8, "does not take images of 8 px"),
    ],
)
def test_what_does_not_fit_is_said(config: dict, side: int, words: str) -> None:
    with pytest.raises(InputError) as error:
        build_encoder(EncoderConfig(**config), 3, side)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_only_transformers_embed_a_part() -> None:
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 28)
    with pytest.raises(InputError, match="choose a vision transformer"):
        encoder.tokens(torch.zeros(1, 1, 28, 28), torch.zeros(1, 2, dtype=torch.int64))
