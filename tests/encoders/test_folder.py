"""What is exported loads in timm, without Foretell, and gives the same numbers."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from foretell.encoders import EncoderConfig, TimmEncoder, build_encoder, load_encoder, save_encoder
from foretell.errors import ForetellError, InputError

CASES: dict[str, tuple[EncoderConfig, int, int]] = {
    "tiny": (EncoderConfig(name="resnet_tiny"), 1, 28),
    "group": (EncoderConfig(name="resnet_small", norm="group"), 3, 32),
    "vit": (EncoderConfig(name="vit_tiny_patch16_224", patch=4), 3, 30),
    "mobile": (EncoderConfig(name="mobilenetv3_small_050"), 2, 64),
    "small18": (EncoderConfig(name="resnet18"), 3, 32),
    "small18d": (EncoderConfig(name="resnet18d"), 3, 32),
    "small_v2": (EncoderConfig(name="resnetv2_18"), 1, 32),
    "small_v2d": (EncoderConfig(name="resnetv2_18d"), 1, 32),
}
MEAN, STD = (0.25, 0.5, 0.375), (0.2, 0.3, 0.1)

# each README's last block, run for the folder {name}, then compared
COMPARE = """
facts = torch.load("{name}.pt", weights_only=True)
with torch.no_grad():
    worst = float((net(facts["images"]) - facts["expected"]).abs().max())
assert worst < 1e-5, worst
found = [data[key] for key in ("mean", "std", "input_size", "interpolation", "crop_pct")]
assert [list(value) if isinstance(value, tuple) else value for value in found] == {data}, found
"""
PLAIN = """net = timm.create_model("local-dir:{name}", pretrained=True).eval()
data = timm.data.resolve_model_data_config(net)
"""


def busy(encoder: TimmEncoder) -> TimmEncoder:
    """Statistics and gains away from their start, so that nothing can be equal by chance."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in encoder.net.state_dict().items():
            if name.endswith(("running_mean", "running_var", "weight", "bias")) and value.ndim == 1:
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return encoder.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    for name, (config, channels, side) in CASES.items():
        torch.manual_seed(0)
        encoder = busy(build_encoder(config, channels, side))
        save_encoder(
            encoder, folder / name, mean=MEAN[:channels], std=STD[:channels], extra={"objective": "simclr"}, crop=0.9
        )
        images = torch.randn(2, channels, side, side)
        with torch.no_grad():
            torch.save({"images": images, "expected": encoder(images)}, folder / f"{name}.pt")
    return folder


def fresh(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def program(names: list[str], blocks: dict[str, str]) -> str:
    parts = ["import sys, timm, torch"]
    for name in names:
        _, channels, side = CASES[name]
        data = [list(MEAN[:channels]), list(STD[:channels]), [channels, side, side], "bilinear", 0.9]
        parts += [blocks[name], COMPARE.format(name=name, data=data)]
    return "\n".join([*parts, "print('foretell' in sys.modules)"])


def test_timm_alone_loads_it_as_the_readme_says(exported: Path) -> None:
    blocks = {}
    for name in CASES:
        readme = (exported / name / "README.md").read_text()
        blocks[name] = re.findall(r"```python\n(.*?)```", readme, flags=re.S)[-1]
        assert (PLAIN.splitlines()[0].format(name=name) in readme) == (not name.startswith("small"))
        assert '", pretrained=True).eval()' in readme, "the small stem names the call in a sentence"
    assert fresh(program(list(CASES), blocks), exported) == "False"


def test_timm_with_foretell_loads_a_small_stem(exported: Path) -> None:
    names = [name for name in CASES if name.startswith("small")]
    code = "import foretell.encoders\n" + program(names, {name: PLAIN.format(name=name) for name in names})
    assert fresh(code, exported) == "True"


@pytest.mark.parametrize("name", list(CASES))
def test_load_encoder(exported: Path, name: str) -> None:
    config, channels, side = CASES[name]
    before = torch.random.get_rng_state()
    encoder, facts = load_encoder(exported / name)
    assert torch.equal(before, torch.random.get_rng_state())
    kept = torch.load(exported / f"{name}.pt", weights_only=True)
    with torch.no_grad():
        torch.testing.assert_close(encoder(kept["images"]), kept["expected"], atol=1e-5, rtol=1e-5)
    assert not encoder.training
    assert (encoder.name, encoder.norm, encoder.patch) == (config.name, config.norm, config.patch)
    assert encoder.stem == ("small" if name.startswith("small") else "standard")
    assert facts == {
        "side": side,
        "channels": channels,
        "mean": MEAN[:channels],
        "std": STD[:channels],
        "interpolation": "bilinear",
        "crop": 0.9,
        "objective": "simclr",
    }


def test_saving_again_is_the_same(exported: Path, tmp_path: Path) -> None:
    encoder, facts = load_encoder(exported / "small18")
    save_encoder(
        encoder,
        tmp_path / "small18",  # which the README names
        mean=facts["mean"],
        std=facts["std"],
        extra={"objective": "simclr"},
        crop=facts["crop"],
    )
    for file in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "small18" / file).read_bytes() == (exported / "small18" / file).read_bytes()


def test_the_config_says_what_it_is(exported: Path) -> None:
    config = json.loads((exported / "tiny" / "config.json").read_text())
    assert config["num_features"] == 128
    assert config["foretell"] == {
        "objective": "simclr",
        "name": "resnet_tiny",
        "stem": "standard",
        "norm": "batch",
        "patch": None,
    }


def test_a_wrong_folder_is_said(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such weights"):
        load_encoder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no encoder"):
        load_encoder(tmp_path)
    with pytest.raises(InputError, match="give the folder"):
        load_encoder(exported / "tiny" / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match=r"config\.json: missing"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_bytes((exported / "tiny" / "config.json").read_bytes())
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_encoder(tmp_path)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 28)
    (tmp_path / "file").write_text("")
    with pytest.raises(ForetellError, match="cannot make the folder"):
        save_encoder(encoder, tmp_path / "file" / "encoder", mean=[0.5], std=[0.5])
    with pytest.raises(InputError, match="each of the 1 channels"):
        save_encoder(encoder, tmp_path / "encoder", mean=[0.5] * 3, std=[0.5] * 3)


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        (
            "",
            {"architecture": "hf-hub:somebody/model"},
            r"names no architecture that timm has \('hf-hub:somebody/model'\)",
        ),
        ("", {"architecture": "local-dir:/tmp"}, "names no architecture that timm has"),
        ("", {"architecture": 7}, "names no architecture that timm has"),
        ("", {"model_args": [1]}, "expected 'model_args' as a table"),
        ("", {"pretrained_cfg": None}, "expected 'pretrained_cfg' as a table"),
        ("model_args", {"base": "hf-hub:somebody/model"}, "names no architecture that timm has"),
        (
            "model_args",
            {"checkpoint_path": "/tmp/evil.pt"},
            "model_args.checkpoint_path would have timm read other files",
        ),
        ("model_args", {"in_chans": 3}, "input_size and model_args.in_chans differ in channels"),
        ("model_args", {"features_only": True}, "does not take images of 28 px"),
        ("foretell", {"name": 3}, "foretell.name is 3; export the encoder again"),
        ("pretrained_cfg", {"input_size": [1, 0, 0]}, r"input_size is \[1, 0, 0\], expected \[channels, side, side\]"),
        ("pretrained_cfg", {"input_size": [1, 10**6, 10**6]}, "a side of 4 to 16384"),
        ("pretrained_cfg", {"mean": [0.5, 0.5, 0.5]}, "expected a number for each of the 1 channels"),
        ("pretrained_cfg", {"mean": [128]}, r"expected those of pixels in \[0, 1\]"),
        ("pretrained_cfg", {"std": [0]}, "std is .*, expected numbers above 0"),
        ("pretrained_cfg", {"std": [math.nan]}, "expected a number for each"),
        ("pretrained_cfg", {"interpolation": "magic"}, "interpolation is magic, expected bilinear or bicubic"),
        ("pretrained_cfg", {"crop_pct": -3}, "crop_pct is -3, expected a share"),
    ],
)
def test_an_edited_config_is_refused_before_anything_is_fetched_or_built(
    exported: Path, tmp_path: Path, part: str, values: dict[str, object], message: str
) -> None:
    folder = shutil.copytree(exported / "tiny", tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    (config[part] if part else config).update(values)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        load_encoder(folder)


def test_what_is_beside_the_config_does_not_take_the_place_of_it(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported / "tiny", tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    config["foretell"] |= {"side": "x", "mean": 3}
    (folder / "config.json").write_text(json.dumps(config))
    assert load_encoder(folder)[1]["side"] == config["pretrained_cfg"]["input_size"][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.fill_(math.nan), "holds numbers that are not finite"),
        (lambda value: (value * 100).to(torch.int8), "holds int8, expected float16, bfloat16 or float32"),
        (lambda value: value.to(torch.float8_e4m3fn), "holds float8_e4m3fn, expected float16"),
    ],
)
def test_weights_that_are_no_plain_numbers_are_refused(
    exported: Path, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    folder = shutil.copytree(exported / "tiny", tmp_path / "encoder")
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name, value in tensors.items() if value.is_floating_point())
    save_file({**tensors, name: change(tensors[name])}, folder / "model.safetensors")
    with pytest.raises(InputError, match=f"model.safetensors: '{name}' {message}"):
        load_encoder(folder)


@pytest.mark.parametrize("header", [(2**62).to_bytes(8, "little"), (200_000_000).to_bytes(8, "little"), bytes(8)])
def test_a_header_that_is_none_is_refused(exported: Path, tmp_path: Path, header: bytes) -> None:
    folder = shutil.copytree(exported / "tiny", tmp_path / "encoder")
    (folder / "model.safetensors").write_bytes(header + b"{}")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_encoder(folder)


def test_an_encoder_of_whole_images_says_so_to_timm(tmp_path):
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), channels=3, side=32)
    assert isinstance(encoder, TimmEncoder)
    save_encoder(encoder, tmp_path, mean=MEAN, std=STD, crop="squash")
    told = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    assert (told["crop_pct"], told["crop_mode"]) == (1.0, "squash")
    assert load_encoder(tmp_path)[1]["crop"] == "squash"
