"""The scale of 16-bit values: a set's own, the one asked for, what leaves 16 bits, and what a window has scaled already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import saved, small
from PIL import Image

from foretell.data.medical import dicom
from foretell.data.medical.window import parse
from foretell.data.outside import read_outside
from foretell.data.pixels import LONGEST
from foretell.data.store import open_images
from foretell.errors import InputError


def grey(peak: int, seed: int = 0) -> np.ndarray:
    """(20, 20) uint16 whose largest value is ``peak``."""
    values = np.random.default_rng(seed).integers(0, peak, (20, 20), dtype=np.uint16)
    values[0, 0] = peak
    return values


def folder_of(place: Path, suffix: str, *peaks: int) -> Path:
    place.mkdir()
    for at, peak in enumerate(peaks):
        if suffix == "npy":
            np.save(place / f"{at}.npy", grey(peak, at))
        else:
            Image.fromarray(grey(peak, at)).save(place / f"{at}.{suffix}")
    return place


@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_the_scale_of_one_set_is_applied_to_another(tmp_path: Path, suffix: str) -> None:
    first = open_images(folder_of(tmp_path / "a", suffix, 3999, 1000))
    assert first.scale == 16
    other = folder_of(tmp_path / "b", suffix, 1899, 1200)
    assert open_images(other).scale == 32
    store = open_images(other, scale=16)
    assert store.scale == 16
    assert np.array_equal(store.image(0)[:, :, 0], grey(1899, 0) * 16)
    assert any("multiplied by 16 (data.scale)" in note for note in store.notes)
    with pytest.raises(
        InputError, match=r"b: 0\.\w+: its values reach 1899, and data\.scale=40 keeps those up to 1638"
    ):
        open_images(other, scale=40)
    assert open_images(other).scale == 32  # what was refused has left nothing behind


def test_the_scale_of_a_set_itself_builds_no_second_store(tmp_path: Path, cache: Path) -> None:
    folder = folder_of(tmp_path / "a", "png", 3999, 1000)
    own = open_images(folder)
    made = sorted((cache / "images").glob("*/meta.json"))
    assert open_images(folder, scale=16).fingerprint == own.fingerprint
    assert sorted((cache / "images").glob("*/meta.json")) == made


def test_an_array_has_the_scale_that_is_asked_for(tmp_path: Path) -> None:
    values = np.stack([grey(3999, seed) for seed in range(3)]).astype(np.int16)
    np.save(tmp_path / "a.npy", values)
    assert open_images(tmp_path / "a.npy").scale == 1
    store = open_images(tmp_path / "a.npy", scale=16)
    assert (store.scale, store.dtype) == (16, np.uint16)
    assert np.array_equal(store.image(2)[:, :, 0], grey(3999, 2) * 16)
    with pytest.raises(InputError, match=r"a\.npy: its values reach 3999, and data\.scale=17 keeps those up to 3855"):
        open_images(tmp_path / "a.npy", scale=17)
    np.save(tmp_path / "b.npy", np.random.default_rng(0).random((3, 20, 20), np.float32))
    shares = open_images(tmp_path / "b.npy", scale=16)
    assert shares.scale is None
    assert np.array_equal(shares.image(0), open_images(tmp_path / "b.npy").image(0))


def test_what_a_window_has_scaled_and_bytes_stay(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    tags: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 1000}
    path = saved(tmp_path / "s", small(**tags))
    store = open_images(tmp_path / "s", scale=16)
    assert store.scale is None
    assert np.array_equal(store.image(0), next(iter(dicom.frames(path))))
    Image.fromarray(grey(2000)).save(tmp_path / "s" / "a.png")
    assert open_images(tmp_path / "s").scale == 1
    both = open_images(tmp_path / "s", scale=16)
    assert both.scale == 16
    assert np.array_equal(both.image(both.names.index("x.dcm")), store.image(0))
    assert np.array_equal(both.image(both.names.index("a.png"))[:, :, 0], grey(2000) * 16)
    (tmp_path / "t").mkdir()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "t" / "a.png")
    assert open_images(tmp_path / "t", scale=16).scale is None


def test_an_image_outside_a_store_is_read_as_there(tmp_path: Path) -> None:
    (path,) = folder_of(tmp_path / "a", "png", 3999).iterdir()
    for scale, found in ((None, 16), (4, 4)):
        pixels, factor = read_outside(path, LONGEST, "file", scale)
        assert np.array_equal(pixels[:, :, 0], grey(3999))
        assert factor == found
    with pytest.raises(InputError, match=r"0\.png: its values reach 3999, and data\.scale=32"):
        read_outside(path, LONGEST, "file", 32)
    pytest.importorskip("pydicom")
    film = saved(tmp_path, small())
    pixels, factor = read_outside(film, LONGEST, "1000/400", 16)
    assert factor == 1
    assert np.array_equal(pixels, next(iter(dicom.frames(film, parse("1000/400")))))
