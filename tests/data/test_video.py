"""Video: which frames are told to be damaged, which ones are not, and how those that are read come out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import picture, save

from foretell.data import build, frames, video
from foretell.data.decode import decode
from foretell.data.frames import count_frames
from foretell.data.pixels import Pixels, Unreadable, over_white, turn
from foretell.data.sequences import Windows
from foretell.data.source import scan
from foretell.data.store import open_images
from foretell.errors import InputError

av: Any = pytest.importorskip("av")

RATE = 24


def film(
    path: Path,
    count: int,
    codec: str = "png",
    pixels: str = "rgb24",
    times: list[int] | None = None,
    reorder: int = 0,
    keep: Callable[[int], bool] = lambda packet: True,
    **options: str,
) -> Path:
    """``count`` pictures, every tenth a key frame, shown at ``times`` (in frames); of the packets those to ``keep``."""
    images = [av.VideoFrame.from_ndarray(picture(i), format="rgb24").reformat(format=pixels) for i in range(count)]
    return filmed(path, images, codec, times, reorder, keep, **options)


def filmed(
    path: Path,
    images: list[Any],
    codec: str,
    times: list[int] | None = None,
    reorder: int = 0,
    keep: Callable[[int], bool] = lambda packet: True,
    **options: str,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = images[0].width, images[0].height, images[0].format.name
        stream.codec_context.gop_size = 10
        stream.codec_context.max_b_frames = reorder
        packets = []
        for i, image in enumerate(images):
            image.pts, image.time_base = i if times is None else times[i], Fraction(1, RATE)
            packets += stream.encode(image)
        packets += stream.encode()
        for i, packet in enumerate(packets):
            if keep(i):
                container.mux(packet)
    return path


def read(path: Path) -> list[Pixels | str]:
    """Each frame by its name, or why it cannot be read."""
    found: list[Pixels | str] = []
    for i in range(count_frames(path)):
        try:
            found.append(decode(f"{path}[{i}]", 64))
        except Unreadable as reason:
            found.append(str(reason))
    return found


def same(one: Pixels | str, other: Pixels | str) -> bool:
    return not isinstance(one, str) and not isinstance(other, str) and np.array_equal(one, other)


def overwritten(path: Path, number: int, part: slice, value: int = 255) -> Path:
    """A copy of ``path`` with a part of the data of one packet overwritten."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        data = bytes(packet)
    held = bytearray(path.read_bytes())
    at = bytes(held).index(data)
    span = range(*part.indices(len(data)))
    held[at + span.start : at + span.stop] = bytes([value]) * len(span)
    copy = path.with_name(f"damaged-{path.name}")
    copy.write_bytes(held)
    return copy


def test_damage_reaches_to_the_next_key_frame_and_is_passed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = film(tmp_path / "film.mp4", 40, "mpeg4", "yuv420p", sc_threshold="1000000000")
    true = read(sound)
    assert all(same(frame, frame) for frame in true)
    opened = []
    reader = frames._reader
    monkeypatch.setattr(frames, "_reader", lambda *given: opened.append(given) or reader(*given))
    found = read(overwritten(sound, 14, slice(8, None)))
    assert [i for i in range(40) if not same(found[i], true[i])] == [14, 15, 16, 17, 18, 19]
    assert all("is damaged" in found[i] for i in range(14, 20))
    assert len(opened) == 1


def test_frames_that_are_shown_before_a_damaged_one_they_build_on(tmp_path: Path) -> None:
    sound = film(tmp_path / "film.mp4", 40, "mpeg4", "yuv420p", reorder=2, sc_threshold="1000000000")
    true = read(sound)
    with av.open(str(sound)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    times = sorted(packet.pts for packet in packets)
    packet = next(packet for packet in packets[13:] if times.index(packet.pts) > packets.index(packet))
    following = next(other for other in packets[packets.index(packet) :] if other.is_keyframe)
    found = read(overwritten(sound, packets.index(packet), slice(8, None)))
    wrong = [i for i in range(40) if not same(found[i], true[i])]
    assert wrong == list(range(wrong[0], times.index(following.pts)))
    assert wrong[0] < times.index(packet.pts)
    assert all("is damaged" in found[i] for i in wrong)


def test_an_animation_that_is_damaged_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.gif"
    path.write_bytes(b"GIF89a")
    opened = []

    def reader(*given: object) -> Callable[[Path], Any]:
        opened.append(given)
        return broken

    def broken(path: Path) -> Any:
        yield picture(0)
        raise OSError("image file is truncated")

    monkeypatch.setattr(frames, "_reader", reader)
    assert np.array_equal(decode(f"{path}[0]", 64), picture(0))
    for i in (1, 2, 3):
        with pytest.raises(Unreadable, match="is cut short"):
            decode(f"{path}[{i}]", 64)
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("codec", "pixels", "part", "reach"),
    [
        ("mjpeg", "yuvj420p", slice(-100, -50), 1),
        ("ffv1", "bgr0", slice(-60, -50), 6),  # on to the next key frame
    ],
)
def test_damage_that_ffmpeg_passes_over(tmp_path: Path, codec: str, pixels: str, part: slice, reach: int) -> None:
    sound = film(tmp_path / "film.mkv", 24, codec, pixels, **{"slicecrc": "1"} if codec == "ffv1" else {})
    true = read(sound)
    damaged = overwritten(sound, 14, part)
    level = av.logging.get_level()
    with av.open(str(damaged)) as container:
        passed = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(passed) == 24
    assert not same(passed[14], true[14])
    found = read(damaged)
    assert [i for i in range(24) if not same(found[i], true[i])] == list(range(14, 14 + reach))
    assert "is damaged" in found[14]
    assert av.logging.get_level() == level


def test_no_window_crosses_a_leap_in_a_constant_rate(tmp_path: Path) -> None:
    """In milliseconds, steps of 41 and 42, and one of 208: four frames are missing."""
    path = film(tmp_path / "film.mkv", 24, "mjpeg", "yuvj420p", keep=lambda packet: packet not in range(12, 16))
    store = open_images(path, frames=1)
    assert len(store) == 20
    assert store.names[12] == "film.mkv[12]"
    assert store.table.column("order") == [str(i) for i in range(24) if i not in range(12, 16)]
    assert len(Windows(store, 3)) == 10 + 6
    assert (
        "1 video of constant rate leaps in time, first from film.mkv[11] to [12]: frames are missing there, and no "
        "window crosses that" in store.notes
    )


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_variable_rate_is_no_damage(tmp_path: Path, suffix: str) -> None:
    times = np.cumsum(np.random.default_rng(0).integers(1, 9, 30)).tolist()
    path = film(tmp_path / f"film.{suffix}", 30, "mpeg4", "yuv420p", times, reorder=2)
    assert video.places(path) == list(range(30))
    assert all(same(frame, frame) for frame in read(path))


def test_frames_that_an_edit_list_leaves_out_are_none(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 30, "mpeg4", "yuv420p", times=list(range(-13, 17)))
    whole = read(film(tmp_path / "whole.mp4", 30, "mpeg4", "yuv420p"))
    found = read(path)
    assert len(found) == 17
    assert all(same(frame, true) for frame, true in zip(found, whole[13:], strict=True))


@pytest.mark.parametrize("suffix", ["avi", "mpg", "ts", "mov"])
def test_reordered_frames_come_as_they_are_shown(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg2video" if suffix in ("mpg", "ts") else "mpeg4"
    path = film(tmp_path / f"film.{suffix}", 30, codec, "yuv420p", reorder=2)
    with av.open(str(path)) as container:
        true = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    found = read(path)
    assert len(found) == 30
    assert all(same(frame, shown) for frame, shown in zip(found, true, strict=True))


def test_joined_streams_whose_time_starts_anew(tmp_path: Path) -> None:
    once = film(tmp_path / "once.ts", 20, "mpeg2video", "yuv420p", reorder=2)
    twice = tmp_path / "twice.ts"
    twice.write_bytes(once.read_bytes() * 2)
    assert all(same(frame, frame) for frame in read(twice))
    assert count_frames(twice) == 40


def test_a_file_that_cannot_be_followed_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "film.mov", 8)
    true = read(path)
    packets = video._packets

    def fewer(*given: Any) -> Any:
        yield from itertools.islice(packets(*given), 5)
        yield av.InvalidDataError(1094995529, "Invalid data found")

    monkeypatch.setattr(video, "_packets", fewer)
    frames._close_last()
    found = read(path)
    assert len(found) == 6
    assert all(same(frame, shown) for frame, shown in zip(found[:5], true, strict=False))
    assert found[5] == "is damaged (Invalid data found)"


def test_a_stream_that_is_cut_within_a_group_of_frames(tmp_path: Path) -> None:
    """What cannot be decoded at its beginning is named there, and no frame behind its end."""
    path = film(tmp_path / "film.ts", 40, "mpeg2video", "yuv420p", reorder=2, keep=lambda packet: packet >= 15)
    found = read(path)
    first = next(i for i, frame in enumerate(found) if not isinstance(frame, str))
    assert first > 0
    assert all("before the beginning of the file" in reason for reason in found[:first])
    assert not any(isinstance(frame, str) for frame in found[first:])


@pytest.mark.parametrize(
    ("matrix", "orientation"),
    [
        ((0, 1, -1, 0), 6),
        ((0, -1, 1, 0), 8),
        ((-1, 0, 0, -1), 3),
        ((-1, 0, 0, 1), 2),
        ((1, 0, 0, -1), 4),
        ((0, 1, 1, 0), 5),
        ((0, -1, -1, 0), 7),
    ],
)
def test_a_video_is_turned_upright(tmp_path: Path, matrix: tuple[int, ...], orientation: int) -> None:
    path = film(tmp_path / "film.mov", 2)
    held = bytearray(path.read_bytes())
    at = held.index(b"tkhd") + 44  # ISO/IEC 14496-12: two columns in 16.16, one in 2.30
    a, b, c, d = (value << 16 for value in matrix)
    held[at : at + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(held)
    store = open_images(path, frames=1)
    expected = turn(picture(0), orientation)
    assert store.sizes[0].tolist() == list(expected.shape[:2])
    assert np.array_equal(store.image(0), expected)


def test_a_file_without_a_video_stream_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    for name in (path, f"{path}[0]"):
        with pytest.raises(Unreadable, match="has no video stream"):
            decode(name, 64)
    with pytest.raises(InputError, match=r"sound\.mkv, has no video stream"):
        open_images(path, frames=1)


@pytest.mark.parametrize(("pixels", "bits"), [("gray16le", 16), ("gray10le", 10)])
def test_grey_of_more_than_8_bits_keeps_them(tmp_path: Path, pixels: str, bits: int) -> None:
    values = np.random.default_rng(0).integers(0, 1 << bits, (24, 32), np.uint16)
    frame = av.VideoFrame(32, 24, pixels)
    rows = np.zeros((24, frame.planes[0].line_size // 2), np.uint16)
    rows[:, :32] = values
    frame.planes[0].update(rows.tobytes())
    found = decode(filmed(tmp_path / "film.mkv", [frame], "ffv1"), 64)
    assert (found.dtype, found.shape) == (np.uint16, (24, 32, 1))
    assert np.array_equal(found[:, :, 0] >> (16 - bits), values)


def test_colour_of_16_bits_keeps_them_and_that_of_10_is_shown_in_8(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (24, 32, 3), np.uint16)
    deep = av.VideoFrame.from_ndarray(values, format="rgb48le")
    found = decode(filmed(tmp_path / "deep.mkv", [deep.reformat(format="gbrp16le")], "ffv1"), 64)
    assert np.array_equal(found, values)
    assert decode(filmed(tmp_path / "ten.mkv", [deep.reformat(format="yuv420p10le")], "ffv1"), 64).dtype == np.uint8


def test_alpha_is_composited_over_white(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    frame = av.VideoFrame.from_ndarray(values, format="rgba")
    assert np.array_equal(decode(filmed(tmp_path / "film.mov", [frame], "png"), 64), over_white(values))


def test_a_store_of_video_is_built_anew_when_more_can_be_read_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films").mkdir()
    film(tmp_path / "films" / "a.mp4", 3, "mpeg4", "yuv420p")
    save(tmp_path / "stills" / "a.png", picture(0))
    sources = [scan(tmp_path / folder, moving=True) for folder in ("films", "stills")]
    before = [build.key_of(source, 32) for source in sources]
    monkeypatch.setattr(build, "VIDEO_VERSION", build.VIDEO_VERSION + 1)
    after = [build.key_of(source, 32) for source in sources]
    assert before[0] != after[0]
    assert before[1] == after[1]
