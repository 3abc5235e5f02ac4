"""Stores in the cache that were cut or edited: removed in words, built anew by the next call, never misread."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foretell.data import build
from foretell.data.store import open_images
from foretell.data.stores import FORGOTTEN, whole
from foretell.data.text.corpus import open_corpus
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import MASKED, TokenizerConfig, trained
from foretell.data.text.words import WordsConfig, open_words
from foretell.errors import ForetellError

Change = Callable[[Path], object]


def images(folder: Path) -> Any:
    source = folder / "images"
    if not source.exists():
        source.mkdir()
        for number in range(6):
            values = np.random.default_rng(number).integers(0, 256, (9, 7 + number, 3), dtype=np.uint8)
            Image.fromarray(values).save(source / f"{number}.png")
    return open_images(source, cache=folder / "cache", workers=1)


def corpus(folder: Path) -> Any:
    text = folder / "text.txt"
    if not text.exists():
        text.write_text("the cat sat on the mat. it was a cat.\n\nthe dog sat there. it was a dog.\n\n" * 9)
    return open_corpus(text)


def tokens(folder: Path) -> Any:
    text = corpus(folder)
    tokenizer = trained(text, TokenizerConfig(), MASKED, folder / "cache")
    return open_tokens(text, tokenizer, cache=folder / "cache")


def words(folder: Path) -> Any:
    return open_words(corpus(folder), WordsConfig(min_count=1), cache=folder / "cache")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def edited(**values: Any) -> Change:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


CASES: list[tuple[Callable[[Path], Any], str, Change]] = [
    (images, "meta.json", cut),
    (images, "meta.json", lambda path: path.write_text("[]")),
    (images, "meta.json", edited(channels=1)),
    (images, "meta.json", edited(dtype="uint16")),
    (images, "meta.json", edited(dtype="magic")),
    (images, "meta.json", edited(fingerprint="0")),
    (images, "sizes.npy", lambda path: path.write_bytes(b"")),
    (images, "hashes.npy", lambda path: np.save(path, np.zeros((6, 16), np.uint8))),
    (images, "rows.npy", lambda path: np.save(path, np.arange(6) + 3)),
    (images, "rows.npy", lambda path: np.save(path, np.arange(5))),
    (tokens, "ids.bin", cut),
    (tokens, "words.bin", Path.unlink),
    (tokens, "columns.bin", cut),
    (tokens, "documents.bin", lambda path: path.write_bytes(bytes(len(path.read_bytes())))),
    (tokens, "values.json", cut),
    (tokens, "meta.json", edited(tokens=3)),
    (tokens, "meta.json", edited(dtype="uint32")),
    (tokens, "meta.json", lambda path: path.write_text("{}")),
    (tokens, "tokenizer.json", cut),
    (words, "ids.bin", cut),
    (words, "counts.npy", Path.unlink),
    (words, "words.txt", cut),
    (words, "meta.json", cut),
    (words, "meta.json", lambda path: path.write_text("[1]")),
]


@pytest.mark.parametrize(("opened", "name", "change"), CASES)
def test_a_damaged_store_is_removed_in_words_and_built_anew(
    tmp_path: Path, opened: Callable[[Path], Any], name: str, change: Change
) -> None:
    before = opened(tmp_path).fingerprint
    (path,) = (tmp_path / "cache").rglob(name)
    change(path)
    with pytest.raises(ForetellError, match=r"were damaged \(.*\) and removed; run again") as raised:
        opened(tmp_path)
    assert str(raised.value).startswith(f"{path.parent}: ")
    assert opened(tmp_path).fingerprint == before


def test_a_damaged_tokenizer_in_the_cache_is_removed_in_words(tmp_path: Path) -> None:
    documents = len(tokens(tmp_path))
    (path,) = (tmp_path / "cache" / "tokenizers").glob("*.json")
    cut(path)
    with pytest.raises(ForetellError, match=r"the kept tokenizer was damaged .* and removed; run again"):
        tokens(tmp_path)
    assert len(tokens(tmp_path)) == documents  # the new one may break ties otherwise


@pytest.mark.parametrize("opened", [images, tokens, words])
def test_a_finished_store_is_read_from_a_cache_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[[Path], Any]
) -> None:
    before = opened(tmp_path).fingerprint
    for lock in (tmp_path / "cache").rglob("*.lock"):
        lock.unlink()
        lock.mkdir()  # nobody, root neither, can open it to write
    assert opened(tmp_path).fingerprint == before


@pytest.mark.parametrize("opened", [images, tokens, words])
def test_a_cache_below_a_file_is_told(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(ForetellError, match=r"the cache cannot be written .*set FORETELL_CACHE to another folder"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "content", ["[1]", "[[0.5], [0.1]]", '[["a", 1, 1], [1, 1, 1]]', "[[0, 0, 0], [0, 0, 0]]", "{"]
)
def test_statistics_that_cannot_be_are_measured_again(tmp_path: Path, content: str) -> None:
    before = images(tmp_path).statistics()
    (path,) = (tmp_path / "cache").rglob("statistics.json")
    path.write_text(content)
    assert images(tmp_path).statistics() == before


def test_a_half_built_store_of_damaged_parts_is_removed_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "_join", killed)
    with pytest.raises(KeyboardInterrupt):
        images(tmp_path)
    (work,) = (tmp_path / "cache" / "images").glob("*.building")
    part = next(path for path in work.iterdir() if path.suffix == ".npz")
    cut(part)
    with pytest.raises(ForetellError, match=r"the half built store was damaged .* and removed; run again"):
        images(tmp_path)
    assert not work.exists()
    monkeypatch.undo()
    assert len(images(tmp_path)) == 6


def test_a_state_that_says_more_than_is_there_begins_anew(tmp_path: Path) -> None:
    before = tokens(tmp_path)
    ids = np.array(before.ids)
    work = before.folder.with_suffix(".building")
    before.folder.rename(work)
    (work / "meta.json").unlink()
    state = {"documents": 3, "read": 3, "sentences": 6, "tokens": 10**6}
    (work / "state.json").write_text(json.dumps(state))
    assert np.array_equal(tokens(tmp_path).ids, ids)


def test_what_cannot_be_read_just_now_is_left_in_the_cache(tmp_path: Path) -> None:
    kept = tmp_path / "store"
    kept.mkdir()
    with pytest.raises(ForetellError, match=r"store: cannot be read \(Too many open files\)"), whole(kept, "it was"):
        raise OSError(errno.EMFILE, "Too many open files")
    assert kept.is_dir()
    with pytest.raises(ForetellError, match=r"it was damaged .* and removed; run again"), whole(kept, "it was"):
        raise ValueError("cut short")
    assert not kept.exists()


@pytest.mark.parametrize(("opened", "kind"), [(images, "images"), (tokens, "tokens"), (words, "")])
def test_what_was_left_half_built_long_ago_is_removed_unless_it_is_held(
    tmp_path: Path, opened: Callable[[Path], Any], kind: str
) -> None:
    folder = tmp_path / "cache" / kind
    for name, age in (("old", FORGOTTEN + 60), ("held", FORGOTTEN + 60), ("new", FORGOTTEN - 60)):
        work = folder / f"{name}.building"
        work.mkdir(parents=True)
        (work / "shard").touch()
        os.utime(work, (time.time() - age, time.time() - age))
    with open(folder / "held.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opened(tmp_path)
    assert {path.name for path in folder.glob("*.building")} == {"held.building", "new.building"}
