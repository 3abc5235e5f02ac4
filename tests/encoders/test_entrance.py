"""What an export says of how an image enters it gives the pixels that Foretell makes of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from foretell.data.store import open_images
from foretell.encoders.entrance import Entrance, reading, resizing_told, values_told
from foretell.views import plain


def entry_of(channels: int = 1, interpolation: str = "bilinear", crop: Any = 1.0) -> Entrance:
    return Entrance(24, channels, (0.5,) * channels, (0.2,) * channels, interpolation, crop)


@pytest.mark.parametrize("scale", [None, 16])
@pytest.mark.parametrize(
    ("channels", "interpolation", "crop"),
    [(1, "bilinear", 1.0), (3, "bicubic", 0.875), (1, "bicubic", "squash")],
)
def test_the_lines_read_a_file_as_foretell_does(
    channels: int, interpolation: str, crop: Any, scale: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    shape = (40, 52, 3) if channels == 3 and scale is None else (40, 52)
    values = rng.integers(0, 256, shape).astype(np.uint8) if scale is None else rng.integers(0, 3072, shape)
    for place in ("image.png", "photos/image.png"):
        Image.fromarray(values if scale is None else values.astype(np.uint16)).save(place)
    store = open_images(tmp_path / "photos", channels=channels)
    assert store.scale == scale
    entry = entry_of(channels, interpolation, crop)
    given: dict[str, Any] = {}
    exec(reading(entry, scale), given)  # what a person would paste
    expected = plain(store.read(np.arange(1)), 24, crop=crop, interpolation=interpolation)
    torch.testing.assert_close(given["pixels"], expected, atol=2e-3, rtol=0)


def test_what_values_are_divided_by_is_said() -> None:
    assert values_told({}) == ["of 8 bits: over 255"]
    assert values_told({"scale": 1})[1] == "of 16 bits in PNG, TIFF and .npy: over 65535"
    told = values_told({"scale": 16, "window": "40/400"})
    assert "times 16 over 65535, so that 4095 is white" in told[1]
    assert told[2].endswith("the white of the window 40/400 (`data.medical.window`)")
    assert values_told({"scale": None, "window": "file"})[1].endswith("the white of the file's own window")


def test_the_way_to_a_square_is_said() -> None:
    assert resizing_told(entry_of(crop=0.75)).startswith("the shorter side becomes 32 px (bilinear, with antialiasing)")
    assert "the whole image becomes 24 x 24 px" in resizing_told(entry_of(crop="squash"))
    assert reading(entry_of(channels=5), None) == ""
