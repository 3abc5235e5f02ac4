"""Arrays: shapes, values, labels, and what a wrong one is told."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foretell.data import arrays
from foretell.data.store import open_images
from foretell.errors import InputError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (12, 9, 7, 3), dtype=np.uint8)


def store(path: Path, array: np.ndarray, **more: np.ndarray):  # type: ignore[no-untyped-def]
    if more:
        np.savez(path.with_suffix(".npz"), images=array, **more)
        return open_images(path.with_suffix(".npz"))
    np.save(path.with_suffix(".npy"), array)
    return open_images(path.with_suffix(".npy"))


@pytest.mark.parametrize("form", ["last", "first", "grey", "fortran"])
def test_shapes(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "PART", 1000)
    given = {
        "last": BYTES,
        "first": BYTES.transpose(0, 3, 1, 2),
        "grey": BYTES[..., 0],
        "fortran": np.asfortranarray(BYTES),
    }[form]
    opened = store(tmp_path / "x", np.ascontiguousarray(given) if form != "fortran" else given)
    expected = BYTES[..., :1] if form == "grey" else BYTES
    assert np.array_equal(np.stack([opened.image(i) for i in range(12)]), expected)


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    array = RNG.integers(0, 256, (5, 16, 16, channels), dtype=np.uint8)
    opened = store(tmp_path / "x", array)
    assert opened.channels == channels
    assert np.array_equal(opened.read([4, 0]).pixels.numpy(), array[[4, 0]].transpose(0, 3, 1, 2))


def test_values(tmp_path: Path) -> None:
    grey = BYTES[..., 0]
    cases: list[tuple[np.ndarray, np.ndarray]] = [
        (grey.astype(np.int64), grey),
        (grey / 255, grey),
        ((grey / 255).astype(np.float32), grey),
        (grey.astype(np.float32), grey),
        (grey > 99, (grey > 99) * np.uint8(255)),
        (grey.astype(np.uint16) * 257, grey.astype(np.uint16) * 257),
        (np.sqrt(grey / 255), np.rint(np.sqrt(grey / 255) * 65535).astype(np.uint16)),
        (grey.astype(">u2") * 100, grey.astype(np.uint16) * 100),
    ]
    for number, (given, expected) in enumerate(cases):
        opened = store(tmp_path / f"x{number}", given)
        assert opened.dtype == expected.dtype
        assert np.array_equal(np.stack([opened.image(i)[:, :, 0] for i in range(12)]), expected)


def test_labels_and_columns_of_an_npz(tmp_path: Path) -> None:
    opened = store(tmp_path / "x", BYTES, y=np.arange(12) % 3, groups=np.array(list("aabbccddeeff")))
    assert opened.table.column("label") == ["0", "1", "2"] * 4
    assert opened.table.column("group")[:3] == ["a", "a", "b"]
    assert opened.names[3] == "x.npz[3]"


def test_splits_of_an_npz(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "x.npz",
        train_images=BYTES[:8],
        train_labels=np.arange(8)[:, None] % 2,
        test_images=BYTES[8:],
        test_labels=np.arange(4)[:, None] % 2,
    )
    opened = open_images(tmp_path / "x.npz")
    assert opened.table.column("split") == ["train"] * 8 + ["test"] * 4
    assert opened.table.column("label") == ["0", "1"] * 6
    assert np.array_equal(opened.image(9), BYTES[9])


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (BYTES[:8], BYTES[8:] / 255, r"whole numbers up to 255 \(uint8\) .* floats in \[0, 1\] \(float64\)"),
        (BYTES[:8] / 255, BYTES[8:], r"floats in \[0, 1\] \(float64\) .* whole numbers up to 255 \(uint8\)"),
        (BYTES[:8] * 1.0, BYTES[8:] / 255, r"floats in \[0, 255\] \(float64\) .* floats in \[0, 1\] \(float64\)"),
        (BYTES[:8] > 99, BYTES[8:], r"true and false \(bool\) .* whole numbers up to 255 \(uint8\)"),
        (BYTES[:8], BYTES[8:] * np.uint16(257), r"up to 255 \(uint8\) .* up to 65535 \(uint16\)"),
    ],
)
def test_splits_whose_values_are_of_two_kinds(tmp_path: Path, train: np.ndarray, test: np.ndarray, words: str) -> None:
    np.savez(tmp_path / "x.npz", train_images=train, test_images=test)
    first, second = words.split(" .* ")
    said = rf"x\.npz \(train_images\) holds .*{first} and .*x\.npz \(test_images\) holds .*{second}; expected values of one"
    with pytest.raises(InputError, match=said):
        open_images(tmp_path / "x.npz")


def test_splits_of_two_types_whose_values_are_of_one_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", train_images=BYTES[:8], test_images=BYTES[8:].astype(np.int64))
    assert np.array_equal(open_images(tmp_path / "x.npz").image(9), BYTES[9])
    half = np.full((4, 9, 7), 0.5)  # no whole 255th: 16-bit for both
    np.savez(tmp_path / "y.npz", train_images=BYTES[:8, ..., 0] / np.float32(255), test_images=half)
    opened = open_images(tmp_path / "y.npz")
    assert np.array_equal(opened.image(3)[..., 0], BYTES[3, ..., 0].astype(np.uint16) * 257)
    assert np.unique(opened.image(9)).tolist() == [32768]


@pytest.mark.parametrize("stray", [1.02, 1.5, 9.0, 255.0])
def test_a_stray_value_above_1_is_refused_with_its_row(
    tmp_path: Path, stray: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "PART", 1000)
    array = RNG.random((60, 9, 7))
    array[41, 3, 3] = stray
    said = (
        rf"x\.npy: row 41 reaches {stray:g}, too much for floats in \[0, 1\], .*: clip the values to 1, or rescale them"
    )
    with pytest.raises(InputError, match=said):
        store(tmp_path / "x", array)


def test_dark_floats_up_to_255_are_no_stray_values(tmp_path: Path) -> None:
    array = np.zeros((4, 9, 9), np.float32)
    array[:, 4, 2:7] = [1, 3, 120, 4, 1]  # strokes on black
    assert np.array_equal(store(tmp_path / "x", array).image(2)[..., 0], array[2].astype(np.uint8))


def test_larger_images_are_shrunk(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", RNG.integers(0, 256, (3, 40, 20), dtype=np.uint8))
    assert open_images(tmp_path / "x.npy", side=10).sizes.tolist() == [[10, 5]] * 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_names_array_and_row(tmp_path: Path, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "PART", 1000)
    array = RNG.random((12, 9, 7))
    array[10, 3, 3] = value
    with pytest.raises(InputError, match=r"x\.npy: row 10 holds (NaN|an infinite value); expected finite numbers"):
        store(tmp_path / "x", array)
    with pytest.raises(InputError, match=r"x\.npz \(images\): row 10 holds"):
        store(tmp_path / "x", array, y=np.arange(12))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (RNG.random((4, 8, 8)) * 900, r"values run from .* expected floats in \[0, 1\] or \[0, 255\]"),
        (
            np.full((4, 8, 8), -3),
            "values run from -3 to -3; expected whole numbers in 0 to 65535: add one number to .*NIfTI",
        ),
        (np.full((4, 8, 8), 70000), "values run from 70000 to 70000; .*: divide those of all images by one number"),
        (np.zeros((4, 8)), r"has shape \(4, 8\); expected images \(N, H, W\)"),
        (np.zeros((0, 8, 8)), "holds no images"),
        (np.zeros((10**12, 8, 8, 0)), "holds no images"),
        (np.zeros((4, 1, 1)), "images are 1 x 1 pixels"),
        (np.array([{"a": 1}], dtype=object), "pickled Python objects, which are never loaded"),
        (np.full((4, 8, 8), "x"), "expected numbers"),
    ],
)
def test_wrong_arrays(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=words):
        open_images(tmp_path / "x.npy")


def test_wrong_files(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_text("nothing")
    with pytest.raises(InputError, match="not a NumPy array"):
        open_images(tmp_path / "x.npy")
    (tmp_path / "x.npz").write_text("nothing")
    with pytest.raises(InputError, match=r"not an \.npz file"):
        open_images(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", a=BYTES, b=BYTES)
    with pytest.raises(InputError, match="no array named images or x among a, b"):
        open_images(tmp_path / "y.npz")
    np.savez(tmp_path / "z.npz", x=BYTES, y=np.arange(11))
    with pytest.raises(InputError, match=r"has shape \(11,\); expected \(12,\), one value for each of 12 images"):
        open_images(tmp_path / "z.npz")


def test_cut_short(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BYTES)
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data[:-300])
    with pytest.raises(InputError, match="cut short at row 10 of 12"):
        open_images(tmp_path / "x.npy")


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    """What an .npy file begins with."""
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": descr, "fortran_order": False, "shape": shape})
    return written.getvalue()


@pytest.mark.parametrize(
    ("shape", "descr", "words"),
    [
        (
            (10**15, 32, 32),
            "|u1",
            "cut short at row 0 of 10{15} .*claims 1,024,0.* bytes of values, and there are 1,000",
        ),
        ((10**15,), "<U0", "cut short at row 1000 of 10{15}"),
        ((-5, 32, 32), "|u1", "cut short"),
        ((), "<f8", None),
    ],
)
def test_more_than_the_file_holds_is_refused_before_memory_is_taken(
    tmp_path: Path, shape: tuple[int, ...], descr: str, words: str | None
) -> None:
    (tmp_path / "x.npy").write_bytes(header(shape, descr) + bytes(1000))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "x.npy", "train_images.npy")
        archive.write(tmp_path / "x.npy", "test_images.npy")
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match=words or "expected images"):
            arrays.understand(tmp_path / name)


def test_a_size_that_a_zip_cannot_hold_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", header((10**9, 32, 32)) + bytes(1000))
        archive.infolist()[0].file_size = 10**9 * 32 * 32 + 128  # what its list of files says
    with pytest.raises(InputError, match="cut short"):
        arrays.understand(file)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_archive_is_named(tmp_path: Path, save: Callable[..., None]) -> None:
    file = tmp_path / "x.npz"
    save(file, images=np.random.default_rng(0).integers(0, 20, (20, 16, 16), dtype=np.uint8))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"x.npz \(images\): is damaged .*; save it again"):
        next(iter(arrays.members(file).values())).whole()
