"""Building, opening and reading a store; what bad files in a folder do to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import fill, picture, save
from PIL import Image

from foretell.data import build, pool
from foretell.data.store import ImageStore, cache_folder, open_images
from foretell.data.table import Table
from foretell.errors import ForetellError, InputError


def ragged(folder: Path, count: int = 12) -> list[np.ndarray]:
    images = [picture(i, 20 + i % 5, 30 - i % 7) for i in range(count)]
    for i, image in enumerate(images):
        save(folder / f"{i:03d}.png", image)
    return images


def test_one_size_is_read_as_one_gather(tmp_path: Path) -> None:
    fill(tmp_path, 9)
    store = open_images(tmp_path)
    batch = store.read(np.array([4, 0, 4]))
    assert (batch.pixels.shape, batch.pixels.dtype, batch.uniform) == ((3, 3, 24, 32), torch.uint8, True)
    for row, i in enumerate([4, 0, 4]):
        assert np.array_equal(batch.pixels[row].permute(1, 2, 0).numpy(), picture(i))
    assert batch.index.tolist() == [4, 0, 4]
    batch.pixels.zero_()  # a copy, not the store
    assert np.array_equal(store.image(4), picture(4))


def test_own_sizes_are_padded_with_zeros(tmp_path: Path) -> None:
    images = ragged(tmp_path)
    store = open_images(tmp_path)
    index = np.array([7, 2, 11])
    batch = store.read(index)
    assert batch.sizes.tolist() == [list(images[i].shape[:2]) for i in index]
    assert batch.pixels.shape[2:] == (max(images[i].shape[0] for i in index), max(images[i].shape[1] for i in index))
    for pixels, i in zip(batch.pixels.numpy(), index, strict=True):
        height, width = images[i].shape[:2]
        assert np.array_equal(pixels[:, :height, :width].transpose(1, 2, 0), images[i])
        assert not pixels[:, height:].any()
        assert not pixels[:, :, width:].any()
    assert store.usual_side == int(np.median([min(image.shape[:2]) for image in images]))


def test_the_longest_side_is_bounded(tmp_path: Path) -> None:
    save(tmp_path / "wide.png", picture(0, 50, 200))
    save(tmp_path / "small.png", picture(1, 20, 20))
    assert open_images(tmp_path, side=100).sizes.tolist() == [[20, 20], [25, 100]]


def test_subset_and_table(tmp_path: Path) -> None:
    fill(tmp_path / "a", 3)
    fill(tmp_path / "b", 3, start=3)
    store = open_images(tmp_path)
    part = store.subset(np.array([5, 1]))
    again = part.subset(np.array([1]))
    assert (len(part), part.names, part.table.column("label")) == (2, ["b/005.png", "a/001.png"], ["b", "a"])
    assert np.array_equal(part.image(0), picture(5))
    assert np.array_equal(again.read([0]).pixels[0].permute(1, 2, 0).numpy(), picture(1))
    assert len({store.fingerprint, part.fingerprint, again.fingerprint}) == 3
    assert part.fingerprint == store.subset([5, 1]).fingerprint
    with pytest.raises(InputError, match="with no images"):
        store.subset([])


def test_statistics_equal_those_of_all_pixels(tmp_path: Path) -> None:
    fill(tmp_path, 7)
    pixels = np.stack([picture(i) for i in range(7)]) / 255.0
    store = open_images(tmp_path)
    mean, std = store.statistics()
    assert np.allclose(mean, pixels.mean(axis=(0, 1, 2)), atol=1e-6)
    assert np.allclose(std, pixels.std(axis=(0, 1, 2)), atol=1e-6)
    assert open_images(tmp_path).statistics() == (mean, std)
    assert np.allclose(store.subset([3]).statistics()[0], pixels[3].mean(axis=(0, 1)), atol=1e-6)


def test_built_once_then_found(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, 5)
    seen: list[tuple[int, int]] = []
    first = open_images(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)
    seen.clear()
    second = open_images(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert not seen
    assert first.fingerprint == second.fingerprint
    assert not list(cache.rglob("*.building"))
    os.utime(tmp_path / "000.png", (1, 1))  # touched: read again, but it shows the same
    third = open_images(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert third.fingerprint == first.fingerprint
    save(tmp_path / "000.png", picture(99))
    assert open_images(tmp_path).fingerprint != first.fingerprint


def test_labels_change_without_a_rebuild(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    table = tmp_path / "labels.csv"
    for label in "xy":
        table.write_text(f"path,label\n000.png,{label}\n001.png,\n")
        assert open_images(table).table.column("label") == [label, None]
        store = open_images(tmp_path, labels=table)
        assert store.table.column("label") == [label, None, None]
    table.write_text("path,label\n000.png,x\ngone.png,y\n")
    notes = open_images(tmp_path, labels=table).notes
    assert any(note.endswith("labels.csv: 1 row names a file not among the images (gone.png)") for note in notes)


def test_processes_and_one_process_build_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "images"
    images = ragged(source, 40)
    (source / "010.png").write_text("not an image at all")
    alone = open_images(source, cache=tmp_path / "one", workers=1, max_unreadable=0.1)
    monkeypatch.setattr(pool, "IN_PROCESS", 0)
    seen: list[int] = []
    crew = open_images(
        source, cache=tmp_path / "two", workers=2, max_unreadable=0.1, progress=lambda done, _: seen.append(done)
    )
    assert crew.fingerprint == alone.fingerprint
    assert seen[-1] == 40
    assert (
        crew.unreadable == alone.unreadable == [("010.png", "is text, not an image (it begins 'not an image at all')")]
    )
    assert np.array_equal(crew.image(10), images[11])


def test_a_process_that_a_file_kills_is_started_again_past_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "images"
    fill(source, 40)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if '-m' in sys.orig_argv and 'foretell.data.worker' in sys.orig_argv:\n"
        "    import foretell.data.decode as d\n"
        "    whole = d.decode\n"
        "    def decode(path, side, window):\n"
        "        if str(path).endswith('017.png'):\n"
        "            os.kill(os.getpid(), 11)\n"
        "        return whole(path, side, window)\n"
        "    d.decode = decode\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(pool, "IN_PROCESS", 0)
    store = open_images(source, workers=2, max_unreadable=0.05)
    assert store.unreadable == [("017.png", "killed the decoding process (status -11)")]
    assert len(store) == 39


def test_a_process_that_fails_is_told_by_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "images"
    fill(source, 40)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if '-m' in sys.orig_argv and 'foretell.data.worker' in sys.orig_argv:\n"
        "    import foretell.data.decode as d\n"
        "    d.decode = lambda *_: sys.exit('first\\nout of luck')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(pool, "IN_PROCESS", 0)
    with pytest.raises(ForetellError, match="a decoding process failed: out of luck"):
        open_images(source, workers=2)


def test_a_killed_build_goes_on_where_it_was(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "images"
    fill(source, 160, height=100, width=100)
    code = (
        "import pathlib, sys, time\n"
        "from foretell.data import build, pool, source, worker\n"
        "whole = worker.decode\n"
        "def slow(path, side, window):\n"
        "    time.sleep(0.01)\n"
        "    return whole(path, side, window)\n"
        "worker.decode = slow\n"
        "found, images = source.scan(sys.argv[1]), pathlib.Path(sys.argv[2]) / 'images'\n"
        "key = build.key_of(found, 512)\n"
        "build.build_files(found, images / key, images / f'{key}.building', 512, 'file', pool.Crew(1), 0.01, None, None, None)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(source), str(cache)])
    try:
        deadline = time.time() + 120
        while len(list(cache.rglob("shard-*.npz"))) < 2 and time.time() < deadline:
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("shard-*.npz")}
    assert 2 <= len(kept) < 4
    seen: list[int] = []
    store = open_images(source, workers=1, progress=lambda done, _: seen.append(done))
    assert seen[0] == 40 * len(kept)
    assert store.fingerprint == open_images(source, cache=tmp_path / "fresh").fingerprint
    assert all(np.array_equal(store.image(i), picture(i, 100, 100)) for i in (0, 79, 159))


def test_a_join_that_was_cut_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "images"
    fill(source, 70)
    append = build._append

    def fail_late(out, path, *rest):  # type: ignore[no-untyped-def]
        append(out, path, *rest)
        if path.name == "shard-000002.bin":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "_append", fail_late)
    with pytest.raises(ForetellError, match=r"No space left on device.*what is done is kept"):
        open_images(source, workers=1)
    monkeypatch.setattr(build, "_append", append)
    monkeypatch.setattr(build, "decode_all", None)  # nothing is decoded again
    store = open_images(source, workers=1)
    assert all(np.array_equal(store.image(i), picture(i)) for i in (0, 35, 69))


def test_two_processes_open_one_source_at_once(tmp_path: Path) -> None:
    source = tmp_path / "images"
    fill(source, 60)
    code = "import sys; from foretell.data.store import open_images; print(open_images(sys.argv[1]).fingerprint)"
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(source)], stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    prints = {child.communicate()[0].strip() for child in children}
    assert prints == {open_images(source).fingerprint}


def test_a_truncated_jpeg_among_good_ones(tmp_path: Path) -> None:
    fill(tmp_path, 30, suffix="jpg", height=60, width=60)
    path = tmp_path / "011.jpg"
    path.write_bytes(path.read_bytes()[:500])
    (tmp_path / "012.jpg").write_text("hello, I am a text file")
    save(tmp_path / "013.jpg", picture(0)[:1, :1])
    store = open_images(tmp_path)
    assert len(store) == 27
    assert "011.jpg" not in store.names
    reasons = dict(store.unreadable)
    assert "is cut short" in reasons["011.jpg"]
    assert "is text, not an image" in reasons["012.jpg"]
    assert "is 1 x 1 pixels; expected at least 4 x 4" in reasons["013.jpg"]
    with pytest.raises(InputError, match=r"3 of 30 files cannot be read, more than the 0 that max_unreadable=0 allows"):
        open_images(tmp_path, max_unreadable=0)


def test_too_many_unreadable_stop_the_build_early(tmp_path: Path) -> None:
    fill(tmp_path, 60)
    for i in range(10):
        (tmp_path / f"{i:03d}.png").write_text("x")
    seen: list[int] = []
    with pytest.raises(InputError, match=r"4 of 60 files cannot be read.*the first, 000\.png, is text") as caught:
        open_images(tmp_path, progress=lambda done, _: seen.append(done))
    assert "raise max_unreadable" in str(caught.value)
    assert max(seen) < 10
    assert len(open_images(tmp_path, max_unreadable=0.2)) == 50


def test_no_file_can_be_read(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_text("x,y")
    with pytest.raises(InputError, match=r"none of its 3 files can be read as an image: the first, 0\.jpg, is text"):
        open_images(tmp_path, max_unreadable=0.9)


def test_rows_for_files_that_are_not_there(tmp_path: Path) -> None:
    fill(tmp_path, 8)
    rows = "".join(f"{i:03d}.png,x\n" for i in range(9))
    (tmp_path / "table.csv").write_text("path,label\n" + rows)
    store = open_images(tmp_path / "table.csv")
    assert store.unreadable == [("008.png", "does not exist")]
    assert len(store) == len(store.table) == 8


def test_images_that_have_the_channels_asked_for_are_decoded_once(tmp_path: Path) -> None:
    fill(tmp_path / "colour", 3)
    before = set((cache_folder() / "images").glob("*/meta.json"))
    whole = open_images(tmp_path / "colour")
    made = set((cache_folder() / "images").glob("*/meta.json")) - before
    assert np.array_equal(open_images(tmp_path / "colour", channels=3).image(1), whole.image(1))
    assert set((cache_folder() / "images").glob("*/meta.json")) - before == made
    open_images(tmp_path / "colour", channels=1)
    assert len(set((cache_folder() / "images").glob("*/meta.json")) - before) == len(made) + 1 == 2


def test_grey_beside_colour_becomes_colour(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    grey = picture(7, channels=1)
    save(tmp_path / "grey.png", grey)
    store = open_images(tmp_path)
    assert store.channels == 3
    assert np.array_equal(store.image(3), np.repeat(grey, 3, axis=2))
    assert "1 grey image beside 3 in colour: stored as RGB" in store.notes
    as_grey = open_images(tmp_path, channels=1)
    assert np.array_equal(as_grey.image(3), grey)
    luma = np.asarray(Image.fromarray(picture(0)).convert("L")).astype(int)
    assert np.abs(as_grey.image(0)[:, :, 0] - luma).max() <= 1


def test_other_mixtures_of_channels_name_the_rarest(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    np.save(tmp_path / "five.npy", np.full((10, 10, 5), 9, np.uint8))
    told = (
        "five.npy has 5 channels beside {} images of 3: remove it, or --set data.channels=3 to keep the first 3 of each"
    )
    with pytest.raises(InputError, match=told.format(3)):
        open_images(tmp_path)
    save(tmp_path / "grey.png", picture(7, channels=1))
    with pytest.raises(InputError, match=told.format(4)):  # grey and colour go together
        open_images(tmp_path)
    (tmp_path / "grey.png").unlink()
    store = open_images(tmp_path, channels=3)
    assert store.image(3).shape == (10, 10, 3)
    assert any("1 image of 5 channels: the first 3 kept" in note for note in store.notes)
    with pytest.raises(InputError, match=r"has 3 channels, fewer than channels=5"):
        open_images(tmp_path, channels=5)
    for name in ("six", "seven", "eight"):
        np.save(tmp_path / f"{name}.npy", np.full((10, 10, 5), 9, np.uint8))
    with pytest.raises(InputError, match=r"000\.png and 2 more have 3 channels beside 4 images of 5: remove them, or"):
        open_images(tmp_path)


def test_16_bit_is_kept_and_stretched_to_its_used_bits(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 4096, (20, 20), dtype=np.uint16)
    deep[0, 0] = 4095
    Image.fromarray(deep).save(tmp_path / "ct.png")
    save(tmp_path / "grey.png", picture(0, channels=1))
    store = open_images(tmp_path)
    assert store.dtype == np.uint16
    assert np.array_equal(store.image(0)[:, :, 0], deep << 4)
    assert np.array_equal(store.image(1), picture(0, channels=1).astype(np.uint16) * 257)
    assert any("shifted up by 4 bits" in note for note in store.notes)
    batch = store.read([0, 1])
    assert (batch.pixels.dtype, batch.peak) == (torch.uint16, 65535.0)
    assert float(batch.float().max()) <= 1


def test_a_damaged_store_is_removed_in_words(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, 3)
    open_images(tmp_path)
    (pixels,) = cache.rglob("pixels.bin")
    os.truncate(pixels, 100)
    with pytest.raises(ForetellError, match=r"were damaged .* and removed; run again"):
        open_images(tmp_path)
    assert len(open_images(tmp_path)) == 3


def test_a_cache_below_a_file(tmp_path: Path) -> None:
    fill(tmp_path / "in", 2)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ForetellError, match=r"the cache cannot be written .*set FORETELL_CACHE"):
        open_images(tmp_path / "in", cache=tmp_path / "file" / "cache")


def test_a_full_disk_while_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that may write no file over 50 kB: its workers inherit the limit."""
    fill(tmp_path / "in", 30, height=60, width=60)
    code = (
        "import resource, signal, sys\n"
        "from foretell.data import pool, store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "for limit in (0, 999):\n"
        "    pool.IN_PROCESS = limit\n"
        "    try:\n"
        "        store.open_images(sys.argv[1], workers=2)\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "in")], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stdout + done.stderr
    for line in lines:
        assert line.startswith("ForetellError")
        assert "the finished parts are kept" in line


def test_settings_out_of_range(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with pytest.raises(InputError, match="side=2: expected at least 4"):
        open_images(tmp_path, side=2)
    with pytest.raises(InputError, match=r"max_unreadable=3: expected a share"):
        open_images(tmp_path, max_unreadable=3)


def test_a_store_in_memory() -> None:
    images = np.stack([picture(i) for i in range(4)])
    store = ImageStore.of(images, Table({"label": list("abab")}))
    assert np.array_equal(store.image(2), images[2])
    assert store.fingerprint == ImageStore.of(list(images)).fingerprint
    mixed = ImageStore.of([picture(0, 10, 12), picture(1, 14, 8)])
    assert mixed.read([0, 1]).pixels.shape == (2, 3, 14, 12)


def test_an_epoch_takes_no_anonymous_memory(tmp_path: Path) -> None:
    """Reading 60 MB of pixels in batches: only the batch itself may be anonymous."""
    count, side = 5000, 64
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))
    open_images(tmp_path / "x.npy")
    code = (
        "import sys, numpy as np\n"
        "from foretell.data.store import open_images\n"
        "def anonymous():\n"
        "    return int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1]) / 1024\n"
        "store = open_images(sys.argv[1])\n"
        "store.read(np.arange(256))\n"
        "before, peak = anonymous(), 0\n"
        "for start in range(0, len(store), 256):\n"
        "    batch = store.read(np.random.permutation(len(store))[:256])\n"
        "    peak = max(peak, anonymous())\n"
        "print(peak - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.npy")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 20


def test_meta_says_what_the_store_is(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, 3)
    store = open_images(tmp_path)
    (path,) = cache.rglob("meta.json")
    meta = json.loads(path.read_text())
    assert meta["fingerprint"] == store.fingerprint
    assert (meta["count"], meta["channels"], meta["dtype"], meta["side"]) == (3, 3, "uint8", 512)


def test_embedded_sets() -> None:
    store = open_images("@animals")
    assert (store.kind, store.channels, store.usual_side) == ("embedded", 1, 28)
    assert len(store) == len(store.table) > 5000
    assert len(store.table.classes()) == 10
    assert store.read([3]).pixels.shape == (1, 1, 28, 28)
