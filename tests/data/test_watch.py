"""Files that change while they are read into the cache: told by name, and nothing is kept by what they were before."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foretell.data import archive
from foretell.data.medical import source as medical
from foretell.data.medical.config import MedicalConfig
from foretell.data.store import open_images
from foretell.data.text.corpus import Corpus, Document, open_corpus
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import MASKED, TokenizerConfig, trained
from foretell.data.text.words import WordsConfig, open_words
from foretell.data.watch import Watch
from foretell.errors import InputError

TEXT = "the cat sat on the mat. it was a cat.\n\nthe dog sat there. it was a dog.\n\n" * 9
CHANGED = "changed while it was read; run again"


def tokenizer(corpus: Corpus, cache: Path) -> Any:
    return trained(corpus, TokenizerConfig(), MASKED, cache)


def tokens(corpus: Corpus, cache: Path) -> Any:
    made = trained(open_corpus(corpus.name), TokenizerConfig(), MASKED, cache)  # before what is looked at
    return open_tokens(corpus, made, cache=cache)


def words(corpus: Corpus, cache: Path) -> Any:
    return open_words(corpus, WordsConfig(min_count=1), cache=cache / "words")


@pytest.mark.parametrize(("opened", "kind"), [(tokenizer, "tokenizers"), (tokens, "tokens"), (words, "words")])
def test_text_that_is_changed_and_put_back_while_it_is_read_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[[Corpus, Path], Any], kind: str
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    times = text.stat().st_atime_ns, text.stat().st_mtime_ns
    corpus, documents = open_corpus(text), Corpus.documents

    def changing(self: Corpus) -> Iterator[Document]:
        if self is corpus:
            text.write_text("a text of somebody else\n\n" * 9)
        yield from documents(self)
        if self is corpus:
            text.write_text(TEXT)
            os.utime(text, ns=times)

    monkeypatch.setattr(Corpus, "documents", changing)
    with pytest.raises(InputError, match=f"^{text}: {CHANGED}"):
        opened(corpus, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / kind).iterdir() if path.suffix != ".lock"] == []
    opened(open_corpus(text), tmp_path / "cache")


def test_a_half_tokenised_text_is_not_gone_on_with_once_it_was_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    made = trained(open_corpus(text), TokenizerConfig(), MASKED, tmp_path / "cache")
    monkeypatch.setattr("foretell.data.text.tokenise.SAVE_SECONDS", -1.0)

    def killed(self: Watch, made: Path | None = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "check", killed)
        with pytest.raises(KeyboardInterrupt):
            open_tokens(open_corpus(text), made, cache=tmp_path / "cache")
    (work,) = (tmp_path / "cache" / "tokens").glob("*.building")
    whole = (work / "ids.bin").read_bytes()
    state = '{"files": "others", "documents": 1, "read": 1, "sentences": 2, "tokens": 4}'
    (work / "state.json").write_text(state)
    (work / "ids.bin").write_bytes(bytes(len(whole)))
    open_tokens(open_corpus(text), made, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "tokens").rglob("ids.bin")
    assert kept.read_bytes() == whole


def an_image(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(path)


@pytest.mark.parametrize("kind", ["folder", "array"])
def test_images_that_change_while_they_are_decoded_are_not_kept(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if kind == "folder":
        for number in range(3):
            an_image(source / f"{number}.png")
        changed = source / "1.png"
    else:
        changed = source = source / "images.npy"
        np.save(source, np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match=f"^{changed}: {CHANGED}"):
        open_images(source, cache=tmp_path / "cache", workers=1, progress=lambda done, all: os.utime(changed, (1, 1)))
    assert [path.name for path in (tmp_path / "cache" / "images").iterdir() if path.suffix != ".lock"] == []
    assert len(open_images(source, cache=tmp_path / "cache", workers=1)) == 3


def test_a_zip_that_changes_while_it_is_unpacked_is_not_kept_nor_what_was_left_of_one_long_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_image(tmp_path / "a.png")
    packed, unpacked = tmp_path / "a.zip", archive._unpack
    with zipfile.ZipFile(packed, "w") as file:
        file.write(tmp_path / "a.png", "a.png")

    def changing(*given: Any) -> None:
        unpacked(*given)
        os.utime(packed, (1, 1))

    with monkeypatch.context() as patch:
        patch.setattr(archive, "_unpack", changing)
        with pytest.raises(InputError, match=f"^{packed}: {CHANGED}"):
            archive.unpack(packed, tmp_path / "cache")
    assert list((tmp_path / "cache" / "unpacked").iterdir()) == []
    left = tmp_path / "cache" / "unpacked" / ".unpacking-killed"
    (left / "files").mkdir(parents=True)
    os.utime(left, (1, 1))
    assert archive.unpack(packed, tmp_path / "cache").is_dir()
    assert not left.exists()


def test_headers_of_a_file_that_is_gone_when_they_are_read_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foretell.data.pool import Crew
    from foretell.data.source import scan

    for number in range(2):
        an_image(tmp_path / f"{number}.png")
    read = medical._read

    def removing(*given: Any) -> Any:
        (tmp_path / "1.png").unlink()
        return read(*given)

    monkeypatch.setattr(medical, "_read", removing)
    with Crew(1) as crew, pytest.raises(InputError, match=f"^{tmp_path / '1.png'}: {CHANGED}"):
        medical.describe(scan(tmp_path), MedicalConfig(salt="a salt"), cache=tmp_path / "cache", crew=crew)
    assert not (tmp_path / "cache").exists()
