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

from foretell.data.audit import audit, render
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
        csv.writer(stream).writerows([("path", "patient", "slice"), *rows])
    store = open_images(tmp_path / "table.csv", columns={"group": "patient", "order": "slice"}, frames=1)
    found = sequences(store)
    assert [store.names[row] for row in found["a"]] == [f"{i:03d}.png" for i in reversed(range(6))]
    assert (len(found["b/clip.gif"]), len(found["b/more.gif"])) == (3, 4)  # two clips of one patient stay apart
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
    assert summary(store) == "3 sequences of 1 to 3 frames, 1 of one frame alone"
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
