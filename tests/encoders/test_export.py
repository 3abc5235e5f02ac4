"""ONNX gives the numbers torch gives; a missing extra is named."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from foretell.encoders import EncoderConfig, build_encoder
from foretell.encoders.entrance import Entrance
from foretell.encoders.export import onnx_metadata, onnx_readme, to_onnx
from foretell.errors import ForetellError, InputError


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        ({"name": "resnet_tiny"}, 1),
        ({"name": "vit_tiny_patch16_224", "patch": 7}, 1),
        ({"name": "resnet_tiny", "norm": "group"}, 3),
    ],
)
def test_onnx_equals_torch(config: dict, channels: int, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    encoder = build_encoder(EncoderConfig(**config), channels, 28).train()
    mean, std = (0.4,) * channels, (0.2,) * channels
    assert to_onnx(encoder, tmp_path / "encoder.onnx", mean=mean, std=std) < 1e-4
    assert encoder.training
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    pixels = torch.rand(5, channels, 28, 28)
    (found,) = session.run(None, {"images": pixels.numpy()})
    with torch.no_grad():
        expected = encoder.eval()((pixels - 0.4) / 0.2)
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=1e-4)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 28)
    with pytest.raises(InputError, match=r"needs the package onnxruntime.*foretell\[export\]"):
        to_onnx(encoder, tmp_path / "encoder.onnx")


def test_an_inexact_graph_is_not_written(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 28)
    with pytest.raises(ForetellError, match="differs from torch"):
        to_onnx(encoder, tmp_path / "encoder.onnx", tolerance=-1.0)
    assert not list(tmp_path.iterdir())


def test_a_file_says_how_images_enter_it(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 28)
    entry = Entrance(28, 1, (0.4,), (0.2,), "bicubic", "squash")
    facts = {"scale": 16, "window": "40/400", "classes": ["a"]}
    path = tmp_path / "small.onnx"
    to_onnx(
        encoder, path, mean=entry.mean, std=entry.std, metadata=onnx_metadata(entry, facts),
        readme=onnx_readme(encoder, entry, facts, path.name),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path)
    assert session.get_modelmeta().custom_metadata_map == {
        "side": "28", "channels": "1", "crop": "squash", "interpolation": "bicubic", "mean": "[0.4]", "std": "[0.2]",
        "scale": "16", "window": "40/400",
    }  # fmt: skip
    told = (tmp_path / "small.md").read_text()
    assert "times 16 over 65535" in told
    assert "the whole image becomes 28 x 28 px" in told
    assert 'onnxruntime.InferenceSession("small.onnx")' in told
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small.md", "small.onnx"]
