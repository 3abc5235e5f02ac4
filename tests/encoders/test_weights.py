"""Weights from folders and files: fitted where there is a rule, refused in words elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from foretell.encoders import EncoderConfig, build_encoder, resolve, save_encoder
from foretell.errors import InputError


def tiny(channels: int = 1, **settings: object) -> torch.nn.Module:
    return build_encoder(EncoderConfig(name="resnet_tiny", **settings), channels, 28).eval()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    run = tmp_path_factory.mktemp("run")
    save_encoder(tiny(), run / "encoder", mean=[0.5], std=[0.25])
    return run


def test_a_run_a_folder_a_file_and_a_torch_file_give_the_same(run_folder: Path, tmp_path: Path) -> None:
    folder = run_folder / "encoder"
    images = torch.rand(2, 1, 28, 28)
    first = tiny(weights=str(run_folder))
    expected = first(images)
    wrapped = {f"module.{name}": tensor for name, tensor in first.net.state_dict().items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "wrapped.pth")
    torch.save(first.net.state_dict(), tmp_path / "plain.pth")
    for place in (folder, folder / "model.safetensors", tmp_path / "wrapped.pth", tmp_path / "plain.pth"):
        torch.testing.assert_close(tiny(weights=str(place))(images), expected, rtol=0, atol=0)
    assert not torch.equal(tiny()(images), expected)


def test_auto_is_what_the_weights_are_of(run_folder: Path) -> None:
    assert resolve(EncoderConfig(weights=str(run_folder)), 28).name == "resnet_tiny"


def test_another_architecture_is_said(run_folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds a resnet_tiny, not a resnet50; set encoder\.name=resnet_tiny"):
        build_encoder(EncoderConfig(name="resnet50", weights=str(run_folder)), 1, 28)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"conv1": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(InputError, match="pickled Python objects") as error:
        tiny(weights=str(tmp_path / "trap.pth"))
    assert not (tmp_path / "ran").exists()
    assert "\n" not in str(error.value)


def test_a_classifier_is_left_out(tmp_path: Path) -> None:
    donor = timm.create_model("resnet18", num_classes=10, in_chans=3).eval()
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    encoder = build_encoder(
        EncoderConfig(name="resnet18", stem="standard", weights=str(tmp_path / "donor.pth")), 3, 64
    ).eval()
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(donor.fc(encoder(images)), donor(images))


def test_other_channels_are_fitted(tmp_path: Path) -> None:
    """To one channel: the response to a grey image. From one to three: the same. To four: repeated and scaled."""
    colour = tiny(3)
    save_file(colour.net.state_dict(), tmp_path / "colour.safetensors")
    grey = tiny(1, weights=str(tmp_path / "colour.safetensors"))
    images = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)
    save_file(grey.net.state_dict(), tmp_path / "grey.safetensors")
    back = tiny(3, weights=str(tmp_path / "grey.safetensors"))
    torch.testing.assert_close(back(images.expand(-1, 3, -1, -1)), grey(images), atol=1e-5, rtol=1e-4)
    four = tiny(4, weights=str(tmp_path / "colour.safetensors"))
    old, new = colour.net.conv1[0].weight, four.net.conv1[0].weight
    torch.testing.assert_close(new, torch.cat([old, old[:, :1]], 1) * 0.75)


def test_positions_of_another_grid_are_resampled(tmp_path: Path) -> None:
    config = {"name": "vit_tiny_patch16_224", "patch": 4}
    large = build_encoder(EncoderConfig(**config), 1, 32)
    save_file(large.net.state_dict(), tmp_path / "large.safetensors")
    small = build_encoder(EncoderConfig(**config, weights=str(tmp_path / "large.safetensors")), 1, 16)
    assert small.net.pos_embed.shape == (1, 17, 192)
    torch.testing.assert_close(small.net.pos_embed[:, 0], large.net.pos_embed[:, 0])
    torch.testing.assert_close(small.net.pos_embed.std(), large.net.pos_embed.std(), rtol=0.6, atol=0)


def spoil(path: Path, how: str) -> Path:
    tensors = tiny().net.state_dict()
    if how == "text":
        path.write_text("not weights")
        return path
    if how == "missing":
        del tensors["layer1.0.conv1.weight"]
    elif how == "extra":
        tensors["layer9.weight"] = torch.zeros(3)
    elif how == "shape":
        tensors["layer1.0.conv1.weight"] = torch.zeros(64, 32, 3, 3)
    elif how == "empty":
        tensors = {}
    torch.save(tensors, path)
    return path


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("text", "holds no weights that can be read; give a run"),
        ("missing", r"'layer1\.0\.conv1\.weight' is missing"),
        ("extra", r"'layer9\.weight' has no place"),
        ("shape", r"is \(64, 32, 3, 3\), but encoder 'resnet_tiny' has \(64, 64, 3, 3\)"),
        ("empty", "holds no tensors"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, how: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        tiny(weights=str(spoil(tmp_path / "weights.pth", how)))
    assert "weights.pth" in str(error.value)
    assert "\n" not in str(error.value)


def test_another_stem_is_said(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet18", num_classes=0).state_dict(), tmp_path / "seven.pth")
    with pytest.raises(InputError, match=r"the stems differ: set encoder\.stem"):
        build_encoder(EncoderConfig(name="resnet18", stem="small", weights=str(tmp_path / "seven.pth")), 3, 32)
