"""A store whose pixels were not on disk when the machine stopped is built again; one that is on disk loses its mark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import fill, picture

from foretell.data import build, settled
from foretell.data.store import open_images
from foretell.errors import ForetellError


def restart(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """As if the machine were started anew."""
    (folder / "run").write_text(f"another than {settled._run()}")
    monkeypatch.setattr(settled, "RUN", folder / "run")


@pytest.mark.parametrize("named", [True, False])
def test_the_mark_goes_with_the_pixels_on_disk(tmp_path: Path, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not named:
        monkeypatch.setattr(settled, "RUN", tmp_path / "no such file")
    (tmp_path / "pixels.bin").write_bytes(b"some")
    settled.settle(tmp_path)  # nothing to do
    settled.mark(tmp_path)
    assert not settled.torn(tmp_path)
    settled.settle(tmp_path)
    settled.wait()
    assert not (tmp_path / settled.MARK).exists()


def test_a_store_torn_by_a_stop_is_built_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "images"
    fill(source, 5)
    monkeypatch.setattr(settled, "_settle", lambda folder: None)  # the machine stops before
    open_images(source)
    (pixels,) = cache.rglob("pixels.bin")
    pixels.write_bytes(bytes(pixels.stat().st_size))  # as long as it was, but empty
    assert not open_images(source).image(3).any()
    monkeypatch.undo()
    monkeypatch.setenv("FORETELL_CACHE", str(cache))
    restart(monkeypatch, tmp_path)
    assert np.array_equal(open_images(source).image(3), picture(3))
    settled.wait()
    assert not list(cache.rglob(settled.MARK))


def test_shards_torn_by_a_stop_are_decoded_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "images"
    fill(source, 40)

    def stopped(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(source, workers=1, progress=stopped)
    for shard in cache.rglob("shard-*.bin"):
        shard.write_bytes(bytes(shard.stat().st_size))  # its facts had reached the disk, its pixels not
    restart(monkeypatch, tmp_path)
    store = open_images(source, workers=1)
    assert all(np.array_equal(store.image(at), picture(at)) for at in range(40))


def test_a_join_torn_by_a_stop_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "images"
    fill(source, 40)
    with monkeypatch.context() as patch:
        patch.setattr(build, "write_facts", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(ForetellError, match="No space left"):
            open_images(source, workers=1)
    restart(monkeypatch, tmp_path)
    seen: list[int] = []
    store = open_images(source, workers=1, progress=lambda done, _: seen.append(done))
    assert min(seen) == 0
    assert np.array_equal(store.image(39), picture(39))
