"""Images are judged, embedded and foretold by the interpolation that the encoder was trained with, as its config says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_words import Said
from PIL import Image

from foretell.data.store import ImageStore, open_images
from foretell.encoders import load_encoder
from foretell.transfer.images.features import extract
from foretell.verbs import common
from foretell.views import plain

Call = Callable[..., Said]


@pytest.fixture
def bicubic(run: Path, tmp_path: Path) -> Path:
    """A copy of the run whose encoder was trained on bicubic views."""
    copy = shutil.copytree(run, tmp_path / "bicubic")
    recipe, config = copy / "recipe.toml", copy / "encoder" / "config.json"
    recipe.write_text(recipe.read_text().replace('interpolation = "bilinear"', 'interpolation = "bicubic"'))
    config.write_text(config.read_text().replace('"interpolation": "bilinear"', '"interpolation": "bicubic"'))
    return copy


@pytest.fixture
def larger(tmp_path: Path) -> ImageStore:
    """Pictures of another size than the encoder's views, which are therefore resized."""
    folder = tmp_path / "larger"
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (3, 40, 40), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return open_images(folder)


def expected(place: Path, store: ImageStore, interpolation: str) -> np.ndarray:
    encoder, facts = load_encoder(place)
    x = plain(
        store.read(np.arange(len(store))), facts["side"], facts["mean"], facts["std"], interpolation=interpolation
    )
    with torch.no_grad():
        return encoder.pooled(x).numpy()


def test_features_are_those_of_the_interpolation_that_the_config_says(
    foretell: Call, bicubic: Path, larger: ImageStore, tmp_path: Path
) -> None:
    for place in (bicubic, bicubic / "encoder"):
        out = tmp_path / "features.npy"
        assert foretell("embed", place, larger.source, "--out", out).status == 0
        found = np.load(out)
        np.testing.assert_allclose(found, expected(bicubic, larger, "bicubic"), rtol=1e-4, atol=1e-5)
        assert np.abs(found - expected(bicubic, larger, "bilinear")).max() > 1e-3
    views = common.read_run(bicubic).views
    rows = np.arange(len(larger))
    judged = extract(load_encoder(bicubic)[0], larger, rows, views)
    np.testing.assert_allclose(judged, found, rtol=1e-4, atol=1e-5)


def test_a_picture_is_its_own_nearest_neighbour_in_other_data(
    foretell: Call, bicubic: Path, larger: ImageStore, tmp_path: Path
) -> None:
    other = shutil.copy(Path(str(larger.source)) / "1.png", tmp_path / "asked.png")
    said = foretell("neighbours", bicubic, other, "--data", larger.source, "--k", "1", "--out", tmp_path / "n.png")
    assert said.status == 0, said.err
    assert "  1.000  1.png" in said.out


def test_a_run_keeps_the_interpolation_of_its_views(foretell: Call, pictures: Path, tmp_path: Path) -> None:
    said = foretell(
        "pretrain", pictures, "--out", tmp_path / "run", "--objective", "masked_autoencoder", "--budget", "1 step",
        "--batch", "8", "--set", "objective.decoder_depth=1", "--set", "training.precision=float32",
    )  # fmt: skip
    assert said.status == 0, said.err
    config = json.loads((tmp_path / "run" / "encoder" / "config.json").read_text())
    assert config["pretrained_cfg"]["interpolation"] == "bicubic"
    assert common.read_run(tmp_path / "run").views.interpolation == "bicubic"
