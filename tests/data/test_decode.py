"""Every format, depth and oddity of one file."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import picture, save
from PIL import Image, ImageOps

from foretell.data import decode as module
from foretell.data import pixels, png, tiff
from foretell.data.decode import decode
from foretell.data.pixels import Unreadable


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_formats_give_the_pixels(tmp_path: Path, suffix: str) -> None:
    image = picture(0)
    options = {"lossless": True} if suffix == "webp" else {}
    assert np.array_equal(decode(save(tmp_path / f"x.{suffix}", image, **options), 512), image)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "gif"])
def test_lossy_formats_are_close(tmp_path: Path, suffix: str) -> None:
    image = picture(1)
    read = decode(save(tmp_path / f"x.{suffix}", image, quality=95), 512)
    assert read.shape == image.shape
    assert np.abs(read.astype(float) - image).mean() < 6


def test_the_suffix_may_lie(tmp_path: Path) -> None:
    Image.fromarray(picture(2)).save(tmp_path / "x.jpg", format="PNG")
    assert np.array_equal(decode(tmp_path / "x.jpg", 512), picture(2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    image = Image.fromarray(picture(3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    image.save(path, exif=exif, quality=100, subsampling=0)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(decode(path, 512), expected)


def test_16_bit_grey_keeps_its_depth(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30), dtype=np.uint16)
    for suffix in ("png", "tif"):
        Image.fromarray(deep).save(tmp_path / f"x.{suffix}")
        assert np.array_equal(decode(tmp_path / f"x.{suffix}", 512), deep[:, :, None])


def test_shrinking_16_bit_stays_16_bit(tmp_path: Path) -> None:
    deep = (picture(4, 80, 120, 1)[:, :, 0].astype(np.uint16) << 8) + 7
    Image.fromarray(deep).save(tmp_path / "x.png")
    read = decode(tmp_path / "x.png", 60)
    assert (read.shape, read.dtype) == ((40, 60, 1), np.uint16)
    mean = deep.reshape(40, 2, 60, 2).mean(axis=(1, 3))
    assert np.abs(read[:, :, 0] - mean).mean() < 0.01 * 65535


def test_palettes(tmp_path: Path) -> None:
    colour = Image.fromarray(picture(5)).quantize(16)
    colour.save(tmp_path / "colour.png")
    assert np.array_equal(decode(tmp_path / "colour.png", 512), np.asarray(colour.convert("RGB")))
    grey = Image.fromarray(picture(5, channels=1)[:, :, 0])
    grey.convert("P").save(tmp_path / "grey.png")
    assert decode(tmp_path / "grey.png", 512).shape == (24, 32, 1)
    clear = Image.new("P", (8, 8), 1)
    clear.putpalette([255, 0, 0, 0, 0, 255])
    clear.paste(0, (0, 0, 4, 8))
    clear.save(tmp_path / "clear.png", transparency=0)
    read = decode(tmp_path / "clear.png", 512)
    assert read[0, 0].tolist() == [255, 255, 255]
    assert read[0, 7].tolist() == [0, 0, 255]


def test_one_bit(tmp_path: Path) -> None:
    image = Image.new("1", (9, 5), 0)
    image.putpixel((3, 2), 1)
    image.save(tmp_path / "x.png")
    read = decode(tmp_path / "x.png", 512)
    assert read.shape == (5, 9, 1)
    assert (read[2, 3, 0], int(read.sum())) == (255, 255)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_composited_over_white(tmp_path: Path, mode: str) -> None:
    rng = np.random.default_rng(6)
    array = rng.integers(0, 256, (9, 11, len(mode)), dtype=np.uint8)
    Image.fromarray(array, mode).save(tmp_path / "x.png")
    alpha = array[:, :, -1:] / 255
    expected = array[:, :, :-1] * alpha + 255 * (1 - alpha)
    read = decode(tmp_path / "x.png", 512)
    assert read.shape == expected.shape
    assert np.abs(read - expected).max() <= 1


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(picture(7)).convert("CMYK")
    image.save(tmp_path / "x.jpg", quality=95)
    assert decode(tmp_path / "x.jpg", 512).shape == (24, 32, 3)


def test_shrinks_antialiased_and_keeps_the_aspect(tmp_path: Path) -> None:
    board = (np.indices((400, 600)).sum(axis=0) % 2 * 255).astype(np.uint8)
    path = save(tmp_path / "x.png", np.repeat(board[:, :, None], 3, axis=2))
    read = decode(path, 60)
    assert read.shape == (40, 60, 3)
    assert np.abs(read.astype(int) - 127).max() <= 2  # aliasing would leave blacks and whites


def write_png(path: Path, rows: np.ndarray, depth: int, colour: int, *, filters: bool = True) -> None:
    """A PNG written by hand, with all five filters in turn: Pillow writes no 16-bit colour."""
    data = np.ascontiguousarray(rows.astype(">u2") if depth == 16 else rows)
    lines = data.view(np.uint8).reshape(rows.shape[0], -1).astype(int)
    unit = lines.shape[1] // rows.shape[1]
    out = bytearray()
    before = np.zeros(lines.shape[1], int)
    for y, line in enumerate(lines):
        kind = y % 5 if filters else 0
        left = np.concatenate([np.zeros(unit, int), line[:-unit]])
        corner = np.concatenate([np.zeros(unit, int), before[:-unit]])
        guess = left + before - corner
        far = np.abs(guess - left), np.abs(guess - before), np.abs(guess - corner)
        paeth = np.where((far[0] <= far[1]) & (far[0] <= far[2]), left, np.where(far[1] <= far[2], before, corner))
        taken = [0 * line, left, before, (left + before) // 2, paeth][kind]
        out += bytes([kind]) + ((line - taken) % 256).astype(np.uint8).tobytes()
        before = line
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], depth, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(out))),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(png.SIGNATURE + body)


def test_16_bit_colour_png(tmp_path: Path) -> None:
    deep = np.random.default_rng(8).integers(0, 65536, (23, 17, 3), dtype=np.uint16)
    write_png(tmp_path / "x.png", deep, 16, 2)
    assert np.array_equal(decode(tmp_path / "x.png", 512), deep)
    alpha = np.concatenate([deep, np.full((23, 17, 1), 65535, np.uint16)], axis=2)
    write_png(tmp_path / "a.png", alpha, 16, 6)
    assert np.array_equal(decode(tmp_path / "a.png", 512), deep)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_in_bands_equals_pillow(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rgba = np.concatenate([picture(9, 60, 90), picture(10, 60, 90, 1)], axis=2)
    image = Image.fromarray(rgba, "RGBA")
    if mode == "P":
        image = image.convert("RGB").quantize(11)
    elif mode == "I;16":
        image = Image.fromarray(picture(9, 60, 90, 1)[:, :, 0].astype(np.uint16) * 250)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "x.png")
    whole = decode(tmp_path / "x.png", 512)
    monkeypatch.setattr(module, "MEMORY", 100)
    monkeypatch.setattr(png, "BAND", 700)
    banded = decode(tmp_path / "x.png", 512)
    assert banded.dtype == whole.dtype
    assert np.abs(banded.astype(int) - whole).max() <= 1
    small = decode(tmp_path / "x.png", 15)
    assert small.shape == (10, 15, whole.shape[2])
    expected = whole.reshape(10, 6, 15, 6, -1).mean(axis=(1, 3))
    assert np.abs(small - expected).mean() < 0.03 * np.iinfo(whole.dtype).max


def test_interlaced_16_bit_colour(tmp_path: Path) -> None:
    deep = np.random.default_rng(11).integers(0, 65536, (13, 10, 3), dtype=np.uint16)
    out = bytearray()
    for top, left, down, across in png.ADAM7:
        for row in deep[top::down, left::across]:
            if row.size:
                out += b"\0" + row.astype(">u2").tobytes()
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 10, 13, 16, 2, 0, 0, 1)),
        (b"IDAT", zlib.compress(bytes(out))),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    (tmp_path / "x.png").write_bytes(png.SIGNATURE + body)
    assert np.array_equal(decode(tmp_path / "x.png", 512), deep)


def write_tiff(path: Path, array: np.ndarray, *, strip: int = 7, tags: dict[int, int] | None = None) -> None:
    """An uncompressed TIFF in strips, chunky, of any number of channels and any type."""
    height, width, samples = array.shape
    kind = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    strips = [array[top : top + strip].tobytes() for top in range(0, height, strip)]
    values: dict[int, list[int]] = {
        256: [width], 257: [height], 258: [array.itemsize * 8] * samples, 259: [1], 262: [1], 277: [samples],
        278: [strip], 339: [kind] * samples,
    }  # fmt: skip
    values |= {tag: [value] for tag, value in (tags or {}).items()}
    body = bytearray(b"\0" * 8)
    offsets = []
    for data in strips:
        offsets.append(len(body))
        body += data + b"\0" * (len(data) % 2)
    values[273], values[279] = offsets, [len(data) for data in strips]
    entries = b""
    for tag in sorted(values):
        data = struct.pack(f"<{len(values[tag])}I", *values[tag])
        if len(data) > 4:
            where = len(body)
            body += data
            data = struct.pack("<I", where)
        entries += struct.pack("<HHI", tag, 4, len(values[tag])) + data
    body[:8] = struct.pack("<2sHI", b"II", 42, len(body))
    path.write_bytes(bytes(body) + struct.pack("<H", len(values)) + entries + struct.pack("<I", 0))


@pytest.mark.parametrize("channels", [2, 3, 5, 13])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_of_any_number_of_channels(tmp_path: Path, channels: int, dtype: str) -> None:
    rng = np.random.default_rng(12)
    array = rng.random((20, 15, channels)) if dtype == "float32" else rng.integers(0, 256, (20, 15, channels))
    array = array.astype(dtype)
    write_tiff(tmp_path / "x.tif", array)
    expected = np.rint(array * np.float32(65535)).astype(np.uint16) if dtype == "float32" else array
    assert np.array_equal(decode(tmp_path / "x.tif", 512), expected)


def test_tiff_alpha_of_16_bit_colour(tmp_path: Path) -> None:
    array = np.random.default_rng(13).integers(0, 65536, (9, 8, 4), dtype=np.uint16)
    write_tiff(tmp_path / "x.tif", array, tags={262: 2, 338: 2})
    alpha = array[:, :, 3:] / 65535
    expected = array[:, :, :3] * alpha + 65535 * (1 - alpha)
    assert np.abs(decode(tmp_path / "x.tif", 512) - expected).max() <= 1


@pytest.mark.parametrize(
    ("compression", "predictor"),
    [(name, 1) for name in ("raw", "packbits")]
    + [(name, predictor) for name in ("tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma") for predictor in (1, 2)],
)
def test_tiff_in_bands_equals_pillow(
    tmp_path: Path, compression: str, predictor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(14, 120, 90)
    info = {317: predictor, 278: 16} if predictor == 2 else {278: 16}
    Image.fromarray(image).save(tmp_path / "x.tif", compression=compression, tiffinfo=info)
    assert np.array_equal(decode(tmp_path / "x.tif", 512), image)
    monkeypatch.setattr(tiff, "MEMORY", 100)
    monkeypatch.setattr(tiff, "BAND", 1000)
    monkeypatch.setattr(pixels, "MEMORY", 1 << 20)
    opened = tiff.opened(tmp_path / "x.tif")
    assert opened is not None
    assert np.array_equal(opened.read(512, 1 << 20), image)
    assert opened.read(10, 1 << 20).shape == (20, 15, 3)


def test_npy_image_in_a_folder(tmp_path: Path) -> None:
    array = np.random.default_rng(15).integers(0, 256, (12, 10, 7), dtype=np.uint8)
    np.save(tmp_path / "x.npy", array)
    assert np.array_equal(decode(tmp_path / "x.npy", 512), array)


def refuse(path: Path, *words: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(path, 512)
    for word in words:
        assert word in str(caught.value)


def test_text_named_jpg(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("id,label\n17,cat\n")
    refuse(tmp_path / "x.jpg", "is text, not an image")


def test_empty_missing_folder_and_noise(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"")
    refuse(tmp_path / "x.jpg", "empty")
    refuse(tmp_path / "none.jpg", "does not exist")
    (tmp_path / "folder.jpg").mkdir()
    refuse(tmp_path / "folder.jpg", "is a folder")
    (tmp_path / "noise.jpg").write_bytes(b"\x80\x81" * 500)
    refuse(tmp_path / "noise.jpg", "not an image of a known format")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp", "gif"])
def test_truncated(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"x.{suffix}", picture(16, 200, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unreadable, match=r"is cut short|is damaged|not an image"):
        decode(path, 512)


def test_damage_inside_never_escapes(tmp_path: Path) -> None:
    rng = np.random.default_rng(17)
    for suffix in ("jpg", "png", "tif", "webp", "gif"):
        whole = save(tmp_path / f"whole.{suffix}", picture(18, 40, 40)).read_bytes()
        for _ in range(30):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 6):
                data[place] = int(rng.integers(256))
            (tmp_path / f"x.{suffix}").write_bytes(data)
            with contextlib.suppress(Unreadable):  # and nothing else
                assert decode(tmp_path / f"x.{suffix}", 512).ndim == 3


def test_one_pixel(tmp_path: Path) -> None:
    save(tmp_path / "x.png", np.zeros((1, 1, 3), np.uint8))
    refuse(tmp_path / "x.png", "is 1 x 1 pixels", "at least 4 x 4")


def test_float_and_signed_values_out_of_range(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 2.5, np.float32)).save(tmp_path / "x.tif")
    refuse(tmp_path / "x.tif", "floats from 2.5 to 2.5")
    Image.fromarray(np.full((8, 8), -1000, np.int32)).save(tmp_path / "y.tif")
    refuse(
        tmp_path / "y.tif", "values from -1000", "add one number to those of all images, as 1024 to Hounsfield", "NIfTI"
    )
    np.save(tmp_path / "y.npy", np.full((8, 8), 70000))
    refuse(tmp_path / "y.npy", "values from 70000", "divide those of all images by one number")
    np.save(tmp_path / "z.npy", np.full((8, 8), np.nan))
    refuse(tmp_path / "z.npy", "not finite")


def giant_png(path: Path, width: int, height: int) -> None:
    """An 8-bit grey ramp of any size, written in bands."""
    with path.open("wb") as out:

        def chunk(kind: bytes, data: bytes) -> None:
            out.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))

        out.write(png.SIGNATURE)
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        pack = zlib.compressobj(1)
        row = np.linspace(0, 255, width).astype(np.uint8).tobytes()
        for _ in range(height // 100):
            data = pack.compress((b"\0" + row) * 100)
            if data:
                chunk(b"IDAT", data)
        chunk(b"IDAT", pack.flush())
        chunk(b"IEND", b"")


def test_a_giant_image_is_bounded(tmp_path: Path) -> None:
    """200 megapixels, 200 MB as pixels, are read by a process that may not grow by 120 MB."""
    giant_png(tmp_path / "giant.png", 20_000, 10_000)
    code = (
        "import resource, sys\n"
        "from foretell.data import decode as module, unfilter\n"
        "module.MEMORY = 50 << 20\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "image = module.decode(sys.argv[1], 256)\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(image.shape, int(image[:, 0].mean()), int(image[:, -1].mean()), grown // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "giant.png")], capture_output=True, text=True, check=True
    )
    shape, grown = done.stdout.rsplit(" ", 1)
    assert shape == "(128, 256, 1) 0 254"
    assert int(grown) < 120


def test_a_giant_that_cannot_be_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "x.webp", picture(19, 100, 100))
    save(tmp_path / "x.jpg", picture(19, 100, 100), progressive=True)
    monkeypatch.setattr(module, "MEMORY", 1000)
    refuse(tmp_path / "x.webp", "megapixels", "cannot be read in parts", "shrink it")
    refuse(tmp_path / "x.jpg", "progressive JPEG", "shrink it")


def test_a_giant_jpeg_is_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(20, 640, 960)
    save(tmp_path / "x.jpg", image, quality=95)
    monkeypatch.setattr(module, "MEMORY", 120 * 80 * 4)
    read = decode(tmp_path / "x.jpg", 60)
    expected = np.asarray(Image.fromarray(image).resize((60, 40), Image.Resampling.BOX))
    assert np.abs(read.astype(int) - expected).mean() < 3


def test_a_header_beyond_belief(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 2_000_000, 5, 8, 0, 0, 0, 0)
    out = io.BytesIO()
    out.write(png.SIGNATURE + struct.pack(">I", 13) + b"IHDR" + head)
    out.write(struct.pack(">I", zlib.crc32(b"IHDR" + head)) + struct.pack(">I", 0) + b"IDAT")
    (tmp_path / "x.png").write_bytes(out.getvalue() + b"\0" * 20)
    refuse(tmp_path / "x.png", "claims 2000000 x 5 pixels")
