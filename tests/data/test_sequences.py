"""Frames in order: where sequences come from, how windows are cut, and what is passed over."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import fill, picture, save
from PIL import Image

from foretell.data import ordering
from foretell.data.audit import audit, render
from foretell.data.decode import decode
from foretell.data.frames import count_frames, read_frame
from foretell.data.ordering import numbered
from foretell.data.pixels import Unreadable
from foretell.data.sequences import Windows, last_part, sequences, summary
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.errors import InputError


def animation(path: Path, count: int, first: int = 0, **options: object) -> Path:
    """``count`` different pictures as the frames of one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [Image.fromarray(picture(first + i)) for i in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


def store_of(groups: list[str | None], orders: list[str | None], **columns: list[str | None]) -> ImageStore:
    images = [picture(i) for i in range(len(groups))]
    return ImageStore.of(images, Table({"group": groups, "order": orders, **columns}, rows=len(groups)))


@pytest.mark.parametrize(
    ("name", "sequence", "number"),
    [
        ("walk/003.png", "walk", "3"),
        ("elves/archer-bow-attack12.png", "elves/archer-bow-attack", "12"),
        ("shot_0007.jpg", "shot", "7"),
        ("elves/archer.png", "elves/archer", None),
        ("17.png", ".", "17"),
    ],
)
def test_a_name_says_sequence_and_number(name: str, sequence: str, number: str | None) -> None:
    assert numbered(name) == (sequence, number)


def test_a_subfolder_is_a_sequence_and_no_class(tmp_path: Path) -> None:
    fill(tmp_path / "walk", 12)  # 9 comes before 10: by number, not by name
    for i in range(5):
        save(tmp_path / "run" / f"{i}.png", picture(50 + i))
    store = open_images(tmp_path, frames=1)
    assert "label" not in store.table
    found = sequences(store)
    assert {name: len(rows) for name, rows in found.items()} == {"walk": 12, "run": 5}
    assert [store.names[row] for row in found["walk"]] == [f"walk/{i:03d}.png" for i in range(12)]


def test_a_prefix_and_a_number_are_a_sequence(tmp_path: Path) -> None:
    for name in ("bow-1", "bow-2", "bow-10", "sword1", "sword2", "portrait"):
        save(tmp_path / f"{name}.png", picture(len(name)))
    store = open_images(tmp_path, frames=1)
    found = sequences(store)
    assert [store.names[row] for row in found["bow"]] == ["bow-1.png", "bow-2.png", "bow-10.png"]
    assert len(found["sword"]) == 2
    assert any("1 file without a number" in note for note in store.notes)


@pytest.mark.parametrize(("suffix", "lossless"), [("gif", False), ("png", True), ("webp", True)])
def test_an_animation_is_a_sequence_of_its_frames(tmp_path: Path, suffix: str, lossless: bool) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = animation(tmp_path / f"clip.{suffix}", 5, **options)
    store = open_images(path, frames=1)
    assert store.names == [f"clip.{suffix}[{i}]" for i in range(5)]
    assert store.table.column("order") == list("01234")
    for i in range(5):
        difference = np.abs(store.image(i).astype(int) - picture(i).astype(int))
        assert difference.max() <= (0 if lossless else 60)  # GIF has 256 colours
        assert difference.mean() < 8
    whole = open_images(tmp_path)  # without frames: the first one, as before
    assert len(whole) == 1
    assert np.array_equal(whole.image(0), store.image(0))


def test_every_other_frame(tmp_path: Path) -> None:
    store = open_images(animation(tmp_path / "clip.png", 7), frames=2)
    assert store.names == [f"clip.png[{i}]" for i in (0, 2, 4, 6)]
    assert np.array_equal(store.image(2), picture(4))
    assert len(Windows(store, 3)) == 2  # frames 2 apart are this film's usual step, and no gap


def test_the_pages_of_a_tiff_are_a_sequence(tmp_path: Path) -> None:
    """16 bits, grey beside colour, another size, another compression: each page is read as it is alone."""
    deep = np.random.default_rng(0).integers(0, 65536, (24, 32), np.uint16)
    pages = [Image.fromarray(deep), Image.fromarray(deep[::-1].copy()), Image.fromarray(deep[:12, :10].copy())]
    pages[0].save(tmp_path / "deep.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    store = open_images(tmp_path / "deep.tif", frames=1)
    assert store.names == ["deep.tif[0]", "deep.tif[1]", "deep.tif[2]"]
    assert store.table.column("group") == ["deep.tif"] * 3
    assert store.table.column("order") == ["0", "1", "2"]
    for row, page in enumerate(pages):
        assert np.array_equal(store.image(row)[:, :, 0], np.asarray(page))
    colours = [Image.fromarray(picture(0)), Image.fromarray(picture(1)).convert("L"), Image.fromarray(picture(2))]
    colours[0].save(tmp_path / "mixed.tiff", save_all=True, append_images=colours[1:])
    for number in (2, 0, 1, 1):
        expected = np.asarray(colours[number]).reshape(24, 32, -1)
        assert np.array_equal(decode(tmp_path / f"mixed.tiff[{number}]", 512), expected)
    with pytest.raises(Unreadable, match=r"has no frame 3 \(it ends after 3\)"):
        decode(tmp_path / "mixed.tiff[3]", 512)


def test_pages_that_are_no_frames_and_those_that_are_cut_off(tmp_path: Path) -> None:
    pages = [Image.fromarray(picture(i)) for i in range(4)]
    kinds = []
    for page, kind in zip(pages, (0, 1, 0, 4), strict=True):  # the second a smaller copy, the last a mask
        page.encoderinfo = {"tiffinfo": {254: kind}}
        kinds.append(page)
    kinds[0].save(tmp_path / "slide.tif", save_all=True, append_images=kinds[1:], tiffinfo={254: 0})
    assert count_frames(tmp_path / "slide.tif") == 2
    assert np.array_equal(decode(tmp_path / "slide.tif[1]", 512), picture(2))
    whole = animation(tmp_path / "whole" / "whole.tif", 4).read_bytes()
    (tmp_path / "cut").mkdir()
    fill(tmp_path / "cut", 5)
    (tmp_path / "cut" / "cut.tif").write_bytes(whole[: len(whole) * 5 // 8])
    store = open_images(tmp_path / "cut", frames=1)
    assert [name for name, reason in store.unreadable if "cut short" in reason] == ["cut.tif[2]", "cut.tif[3]"]
    assert [name for name in store.names if "cut" in name] == ["cut.tif[0]", "cut.tif[1]"]


def test_a_page_beyond_pillow_is_read_and_a_damaged_one_spoils_no_other(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (3, 8, 9, 3), np.uint16)
    path = tmp_path / "deep.tif"
    with path.open("wb") as stream:  # three directories of 16-bit RGB, each followed by its one strip
        stream.write(b"II" + np.array([42], "<u2").tobytes() + np.array([8], "<u4").tobytes())
        for number, page in enumerate(deep):
            at = stream.tell()
            strip = at + 2 + 10 * 12 + 4 + 6
            tags = [(256, 9), (257, 8), (258, strip - 6), (259, 1), (262, 2), (273, strip), (277, 3), (278, 8)]
            tags += [(279, page.nbytes if number != 1 else 7 << 20), (284, 1)]
            entries = b"".join(
                np.array([tag, 3 if tag == 258 else 4], "<u2").tobytes()
                + np.array([3 if tag == 258 else 1, value], "<u4").tobytes()
                for tag, value in tags
            )
            following = strip + page.nbytes if number < 2 else 0
            stream.write(np.array([10], "<u2").tobytes() + entries + np.array([following], "<u4").tobytes())
            stream.write(np.array([16, 16, 16], "<u2").tobytes() + page.tobytes())
    assert [np.array_equal(decode(f"{path}[{number}]", 512), deep[number]) for number in range(3)] == [True] * 3
    packed = animation(tmp_path / "packed.tif", 3, compression="tiff_adobe_deflate")
    held = bytearray(packed.read_bytes())
    with Image.open(packed) as image:
        image.seek(1)
        at = image.tag_v2[273][0]
    held[at : at + 40] = b"\xff" * 40
    packed.write_bytes(held)
    with pytest.raises(Unreadable):
        decode(tmp_path / "packed.tif[1]", 512)
    assert np.array_equal(decode(tmp_path / "packed.tif[2]", 512), picture(2))


def test_the_first_of_many_frames_is_told_where_it_alone_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, suffix in enumerate(("tif", "gif", "png", "webp")):
        animation(tmp_path / f"{suffix}.{suffix}", 3, first=10 * i)
    fill(tmp_path / "stills", 4)

    def told() -> list[str]:
        return [note for note in open_images(tmp_path, workers=0).notes if "first frame" in note]

    switch = "; only the first frame of each is used: --set data.frames=1 takes all"
    assert told() == [f"4 files hold 12 frames{switch}"]
    monkeypatch.setattr(ordering, "LOOKED_AT", 4)
    assert told() == [f"of 4 files looked at, 2 files hold 6 frames{switch}"]
    assert not any("first frame" in note for note in open_images(tmp_path / "stills").notes)
    with pytest.raises(InputError, match=r"give --set data\.frames=1 to take the frames of this file"):
        open_images(tmp_path / "tif.tif")
    with pytest.raises(InputError, match=r"or an array \(.npy, .npz\)$"):
        open_images(tmp_path / "stills" / "000.png")


@pytest.mark.parametrize(("every", "said"), [(2, "2nd"), (3, "3rd"), (11, "11th"), (21, "21st")])
def test_the_note_on_every_nth_frame(tmp_path: Path, every: int, said: str) -> None:
    store = open_images(animation(tmp_path / "clip.gif", 3), frames=every)
    assert any(note.endswith(f", every {said} of them") for note in store.notes)


def test_one_frame_of_a_file_is_a_source(tmp_path: Path) -> None:
    animation(tmp_path / "walk2.png", 4)
    for frames in (0, 1):
        store = open_images(f"{tmp_path}/walk2.png[3]", frames=frames)
        assert store.names == ["walk2.png[3]"]
        assert np.array_equal(store.image(0), picture(3))
    assert (store.table.column("group"), store.table.column("order")) == (["walk2.png"], ["3"])
    with pytest.raises(InputError, match="has no frame 9"):
        open_images(f"{tmp_path}/walk2.png[9]")
    with pytest.raises(InputError, match="does not exist"):
        open_images(f"{tmp_path}/run.png[3]")


def test_frames_can_be_read_in_any_order(tmp_path: Path) -> None:
    path = animation(tmp_path / "clip.png", 4)
    for i in (3, 1, 1, 2, 0):
        assert np.array_equal(read_frame(path, i, 64), picture(i))
    with pytest.raises(Unreadable, match=r"has no frame 4 \(it ends after 4\)"):
        read_frame(path, 4, 64)


def test_a_changed_clip_is_read_anew(tmp_path: Path) -> None:
    path = animation(tmp_path / "clip.png", 3)
    before = open_images(path, frames=1).fingerprint
    animation(path, 3, first=20)
    assert open_images(path, frames=1).fingerprint != before


def test_a_manifest_gives_group_and_order(tmp_path: Path) -> None:
    fill(tmp_path, 6)
    clip = animation(tmp_path / "clip.gif", 3)
    rows = [(f"{i:03d}.png", "a", 10 - i) for i in range(6)] + [
        (clip.name, "b", ""),
        (clip.name.replace("clip", "more"), "b", ""),
    ]
    animation(tmp_path / "more.gif", 4, first=30)
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "animal", "slice"), *rows])
    store = open_images(tmp_path / "table.csv", columns={"group": "animal", "order": "slice"}, frames=1)
    found = sequences(store)
    assert [store.names[row] for row in found["a"]] == [f"{i:03d}.png" for i in reversed(range(6))]
    assert (len(found["b/clip.gif"]), len(found["b/more.gif"])) == (3, 4)  # two clips of one animal stay apart
    assert set(store.table.column("group")) == {"a", "b"}


def test_a_label_of_a_clip_is_one_for_each_frame(tmp_path: Path) -> None:
    animation(tmp_path / "clips" / "one.png", 3)
    animation(tmp_path / "clips" / "two.png", 2, first=9)
    (tmp_path / "labels.csv").write_text("path,label\none.png,cat\ntwo,dog\n")
    store = open_images(tmp_path / "clips", labels=tmp_path / "labels.csv", frames=1)
    assert store.table.column("label") == ["cat"] * 3 + ["dog"] * 2


def test_the_file_that_is_open_is_closed_before_the_interpreter_ends(tmp_path: Path) -> None:
    """A decoder that is half done later says so on stderr, with a traceback."""
    animation(tmp_path / "one.gif", 3)
    program = (
        "import sys; from pathlib import Path; from foretell.data import frames\n"
        "def told(path):\n"
        "    try: yield from frames._animation(path)\n"
        "    finally: print('ending' if sys.is_finalizing() else 'in time')\n"
        "frames._reader = lambda path, window: told\n"
        "frames.read_frame(Path(sys.argv[1]), 1, 64)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "one.gif")], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("in time\n", "")


def test_windows_are_runs_in_order(tmp_path: Path) -> None:
    store = store_of(["a"] * 4 + ["b"] * 5, [str(i) for i in (3, 1, 2, 0, 0, 1, 2, 3, 4)])
    windows = Windows(store, 3)
    assert windows.rows.tolist() == [[3, 1, 2], [1, 2, 0], [4, 5, 6], [5, 6, 7], [6, 7, 8]]
    assert windows.sequence.tolist() == [0, 0, 1, 1, 1]
    assert Windows(store, 3, stride=2).rows.tolist() == [[4, 6, 8]]
    frames = windows.read(store, [4, 0])
    assert len(frames) == 2
    assert frames.images.index.tolist() == [6, 7, 8, 3, 1, 2]
    assert frames.rows(1, 2).images.index.tolist() == [3, 1, 2]
    assert frames.sizes.tolist() == [[24, 32], [24, 32]]


def test_no_window_crosses_a_gap_or_a_change_of_size() -> None:
    store = store_of(["a"] * 7, ["0", "1", "2", "5", "6", "7", "8"])
    assert [rows.tolist() for rows in Windows(store, 3).rows] == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]
    images = [picture(i, height=24 if i < 3 else 30) for i in range(6)]
    cut = ImageStore.of(images, Table({"group": ["a"] * 6, "order": list("012345")}))
    assert [rows.tolist() for rows in Windows(cut, 3).rows] == [[0, 1, 2], [3, 4, 5]]


def test_why_a_sequence_is_cut_is_told() -> None:
    turns = [picture(i, height=24 + i % 2) for i in range(6)]
    store = ImageStore.of(turns, Table({"group": ["a"] * 6, "order": list("012345")}))
    with pytest.raises(
        InputError,
        match=r"no sequence has 3 frames without a cut \(1 sequence, the longest of 6 frames, uncut at most 1\); frames "
        r"change size from 32 x 24 to 32 x 25 px at memory\[1\]: bring all to one size; give longer ones",
    ):
        Windows(store, 3)
    with pytest.raises(InputError, match=r"uncut at most 4\); frames are missing between memory\[3\] and memory\[4\];"):
        Windows(store_of(["a"] * 6, ["0", "1", "2", "3", "7", "8"]), 5)


def test_short_sequences_are_counted_listed_and_passed_over() -> None:
    store = store_of(["a", "b", "b", "b", "c", "c"], ["0", "0", "1", "2", "0", "1"])
    windows = Windows(store, 3)
    assert windows.names == ["b"]
    assert windows.passed_over == [("a", 1), ("c", 2)]
    assert windows.note == "2 of 3 sequences have fewer than 3 frames in a row and are passed over: a (1), c (2)"
    with pytest.raises(
        InputError, match=r"no sequence has 4 frames without a cut \(3 sequences, the longest of 3 frames\); give"
    ):
        Windows(store, 4)


def test_check_says_which_sequences_there_are() -> None:
    store = store_of(["a", "b", "b", "b", "c", "c"], ["0", "0", "1", "2", "0", "1"])
    assert summary(store) == "3 sequences of 1 to 3 frames, 1 of one frame alone: a (1), b (3), c (2)"
    assert summary(store_of(list("aabbccdd"), list("01010101"))) == "4 sequences of 2 frames: a, b, c and 1 more"
    assert f"understood: {summary(store)}" in render(audit(store))


def test_rows_outside_any_sequence_are_left_out() -> None:
    store = store_of(["a", "a", None, "a"], ["0", "1", "2", None])
    assert sequences(store)["a"].tolist() == [0, 1]


def test_bad_orders_name_the_files() -> None:
    with pytest.raises(InputError, match=r"memory\[1\] and memory\[2\] are both frame 1 of the sequence a"):
        sequences(store_of(["a"] * 3, ["0", "1", "1.0"]))
    with pytest.raises(InputError, match=r"order 'first' of memory\[0\] is no number"):
        sequences(store_of(["a"], ["first"]))
    with pytest.raises(InputError, match="no column group nor order"):
        Windows(ImageStore.of([picture(0)]), 2)


def test_an_array_is_one_sequence(tmp_path: Path) -> None:
    np.save(tmp_path / "film.npy", np.stack([picture(i) for i in range(5)]))
    store = open_images(tmp_path / "film.npy", frames=1)
    assert len(Windows(store, 3)) == 3
    assert any("one sequence" in note for note in store.notes)


def test_the_end_of_each_sequence() -> None:
    store = store_of(["a"] * 5 + ["b"] * 10, [str(9 - i) for i in range(5)] + [str(i) for i in range(10)])
    train, test = last_part(store, 0.2)
    assert test.tolist() == [0, 13, 14]  # the last in order of time
    assert len(train) == 12


def test_a_cut_clip_is_reported_frame_by_frame(tmp_path: Path) -> None:
    fill(tmp_path / "walk", 5)
    (tmp_path / "broken.gif").write_bytes(b"GIF89a nothing more")
    store = open_images(tmp_path, frames=1)
    assert [name for name, _ in store.unreadable] == ["broken.gif"]


@pytest.mark.parametrize(("suffix", "package", "extra"), [("mp4", "av", "video"), ("dcm", "pydicom", "medical")])
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / f"clip.{suffix}").write_bytes(b"\0" * 64)
    with pytest.raises(Unreadable, match=rf"pip install 'foretell\[{extra}\]'"):
        count_frames(tmp_path / f"clip.{suffix}")
    with pytest.raises(InputError, match=rf"clip\.{suffix}, is .*foretell\[{extra}\]"):
        open_images(tmp_path, frames=1)


def test_video(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        for i in range(6):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24").reformat(format="bgr0")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    store = open_images(tmp_path, frames=1)
    assert store.names == [f"clip.mkv[{i}]" for i in range(6)]
    for i in range(6):
        assert np.array_equal(store.image(i), picture(i))  # FFV1 loses nothing
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(b"\0" * 200)
    with pytest.raises(Unreadable, match="is damaged"):
        count_frames(cut)


def test_dicom(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    data = pytest.importorskip("pydicom.data")
    real = Path(data.get_testdata_file("SC_rgb_rle_2frame.dcm", download=False) or "")
    assert real.is_file()
    (tmp_path / "two.dcm").write_bytes(real.read_bytes())
    store = open_images(tmp_path / "two.dcm", frames=1)
    assert (len(store), store.channels, store.sizes[0].tolist()) == (2, 3, [100, 100])
    values = pydicom.dcmread(real).pixel_array
    assert np.array_equal(store.image(1), values[1])
    (tmp_path / "no.dcm").write_bytes(b"not DICOM" * 30)
    with pytest.raises(Unreadable, match="is not DICOM"):
        count_frames(tmp_path / "no.dcm")
