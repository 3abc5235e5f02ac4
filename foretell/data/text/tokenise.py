"""A corpus tokenised into a store: streaming, on all cores, resumable, in bounded memory.

The ``tokenizers`` library encodes a batch on all cores while this thread reads the next one and writes the last. Files
only grow; ``state.json`` says up to where they are whole, so that a stopped build goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from foretell.data.store import cache_folder
from foretell.data.stores import alone, whole
from foretell.data.text.corpus import Corpus, Document
from foretell.data.text.tokenizer import continuation_prefix, id_space
from foretell.data.text.tokens import COLUMNS, TokenStore
from foretell.errors import InputError
from foretell.run import write_aside

VERSION = 1
AT_ONCE = 1 << 20  # characters a batch
SAVE_SECONDS = 5.0
Progress = Callable[[int, float], None]


@dataclass
class _State:
    """How much is written for good, and of which state of the files."""

    files: str = ""
    documents: int = 0
    read: int = 0  # documents of the source, those without a token among them
    sentences: int = 0
    tokens: int = 0
    rest: list[int] = field(default_factory=list)  # word bits that do not fill a byte yet
    values: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in COLUMNS})


def open_tokens(
    corpus: Corpus, tokenizer: Tokenizer, *, cache: Path | None = None, progress: Progress | None = None
) -> TokenStore:
    """The store of ``corpus`` under ``tokenizer``: built at the first call, found in the cache from then on.

    ``progress`` is called with (tokens so far, tokens a second of this call). Raises InputError for text that cannot be
    read or changes meanwhile, and a corpus without a token, ForetellError when the cache cannot be written.
    """
    text = tokenizer.to_str()
    key = f"{VERSION}\0{corpus.fingerprint}\0{text}" + ("\0words between spaces" if _unsplit(tokenizer) else "")
    key += "\0ids with gaps" if id_space(tokenizer) != tokenizer.get_vocab_size() else ""
    digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    root = (cache if cache is not None else cache_folder()) / "tokens"
    folder = root / digest
    if not (folder / "meta.json").exists():  # a finished one is read from a cache that may not be written, too
        with alone(root / f"{digest}.lock"):
            if not (folder / "meta.json").exists():
                work = root / f"{digest}.building"
                work.mkdir(exist_ok=True)
                _Builder(corpus, tokenizer, work, progress).build(digest)
                corpus.watch.check(made=work)
                shutil.rmtree(folder, ignore_errors=True)
                work.rename(folder)
    with whole(folder, "the stored tokens were"):
        store = TokenStore(folder)
        store.check()
    # of another name, the same content is the same store
    store.source, store.notes = corpus.name, [*corpus.notes, *store.meta.get("left_out", [])]
    store.text = corpus.fingerprint
    return store


class _Builder:
    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, work: Path, progress: Progress | None) -> None:
        self.corpus, self.tokenizer, self.work, self.progress = corpus, tokenizer, work, progress
        self.vocabulary = id_space(tokenizer)
        self.dtype = np.dtype("uint16" if self.vocabulary <= 1 << 16 else "uint32")
        prefix = continuation_prefix(tokenizer)
        self.begins: NDArray[np.bool_] | None = None
        self.encode = tokenizer.encode_batch  # the faster way does not know of what word a token is
        if prefix is not None:
            names = [tokenizer.id_to_token(number) or "" for number in range(self.vocabulary)]
            self.begins = np.array([not name.startswith(prefix) for name in names])
            self.encode = tokenizer.encode_batch_fast
        self.between_spaces = _unsplit(tokenizer)
        self.files = hashlib.blake2b(repr(corpus.watch.states()).encode(), digest_size=16).hexdigest()
        self.state = _State()
        self.codes: dict[str, dict[str, int]] = {}

    def build(self, digest: str) -> None:
        write_aside(self.work / "tokenizer.json", self.tokenizer.to_str())
        self._resume()
        begun, before, saved = time.monotonic(), self.state.tokens, time.monotonic()
        with ExitStack() as stack:
            files: dict[str, IO[bytes]] = {
                name: stack.enter_context(open(self.work / f"{name}.bin", "ab")) for name in _FILES
            }
            pool = stack.enter_context(ThreadPoolExecutor(1))
            for batch, encoded in self._encoded(pool):
                self._write(files, batch, encoded)
                if self.progress is not None:
                    done = self.state.tokens
                    self.progress(done, (done - before) / max(time.monotonic() - begun, 1e-9))
                if time.monotonic() - saved > SAVE_SECONDS:
                    self._save(files)
                    saved = time.monotonic()
            if self.state.rest:
                files["words"].write(np.packbits(np.array(self.state.rest, np.uint8)).tobytes())
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        state = self.state
        if not state.tokens:
            raise InputError(f"{self.corpus.name}: the tokenizer finds no token in it; give another text or tokenizer")
        write_aside(self.work / "values.json", json.dumps(state.values, ensure_ascii=False))
        meta = {
            "source": self.corpus.name,
            "fingerprint": digest,
            "dtype": self.dtype.name,
            "vocabulary": self.vocabulary,
            "tokens": state.tokens,
            "sentences": state.sentences,
            "documents": state.documents,
            "notes": list(self.corpus.notes),
            "left_out": self.corpus.left_out,
        }
        (self.work / "state.json").unlink(missing_ok=True)
        write_aside(self.work / "meta.json", json.dumps(meta, indent=1, ensure_ascii=False))

    def _encoded(self, pool: ThreadPoolExecutor) -> Iterator[tuple[list[Document], list[Encoding]]]:
        """Batches with their tokens; while one is used and the next is read, another is being encoded."""
        before: tuple[list[Document], list[Encoding]] | None = None
        batches = self._batches(self.state.read)
        batch = next(batches, None)
        while batch is not None:
            sentences = [sentence for document in batch for sentence in document.sentences]
            encoding = pool.submit(self.encode, sentences, add_special_tokens=False)
            if before is not None:
                yield before
            following = next(batches, None)
            before, batch = (batch, encoding.result()), following
        if before is not None:
            yield before

    def _batches(self, skipped: int) -> Iterator[list[Document]]:
        held: list[Document] = []
        size = 0
        for document in islice(self.corpus.documents(), skipped, None):
            held.append(document)
            size += sum(map(len, document.sentences))
            if size >= AT_ONCE:
                yield held
                held, size = [], 0
        if held:
            yield held

    def _write(self, files: dict[str, IO[bytes]], batch: list[Document], encoded: list[Encoding]) -> None:
        state = self.state
        lists = [encoding.ids for encoding in encoded]
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        total = int(lengths.sum())
        ids = np.fromiter(chain.from_iterable(lists), self.dtype, total)
        files["ids"].write(ids.tobytes())
        starts = self.begins[ids] if self.begins is not None else self._by_words(batch, encoded, lengths, total)
        bits = np.concatenate([np.array(state.rest, np.uint8), starts.astype(np.uint8)])
        whole = len(bits) // 8 * 8
        files["words"].write(np.packbits(bits[:whole]).tobytes())
        state.rest = bits[whole:].tolist()
        # sentences and documents without a token are left out
        spoken = lengths > 0
        ends = state.tokens + np.cumsum(lengths)
        files["sentences"].write(ends[spoken].tobytes())
        counts = np.fromiter((len(document.sentences) for document in batch), np.int64, len(batch))
        of = np.repeat(np.arange(len(batch)), counts)
        held = np.bincount(of[spoken], minlength=len(batch))
        kept = held > 0
        files["documents"].write((state.sentences + np.cumsum(held))[kept].tobytes())
        codes = [[self._code(name, getattr(document, name)) for name in COLUMNS] for document in batch]
        files["columns"].write(np.array(codes, np.int32).reshape(-1, len(COLUMNS))[kept].tobytes())
        state.tokens += total
        state.sentences += int(spoken.sum())
        state.documents += int(kept.sum())
        state.read += len(batch)

    def _by_words(
        self, batch: list[Document], encoded: list[Encoding], lengths: NDArray[np.int64], total: int
    ) -> NDArray[np.bool_]:
        """Where the number of the word that a token is of changes."""
        words: Any = chain.from_iterable(encoding.word_ids for encoding in encoded)
        if self.between_spaces:
            sentences = chain.from_iterable(document.sentences for document in batch)
            words = chain.from_iterable(map(_between_spaces, sentences, encoded))
        numbers = np.fromiter((-1 if word is None else word for word in words), np.int64, total)
        starts = np.ones(total, bool)
        starts[1:] = numbers[1:] != numbers[:-1]
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        return starts

    def _code(self, name: str, value: str | None) -> int:
        if value is None:
            return -1
        known = self.codes.setdefault(name, {v: i for i, v in enumerate(self.state.values[name])})
        if value not in known:
            known[value] = len(known)
            self.state.values[name].append(value)
        return known[value]

    def _save(self, files: dict[str, IO[bytes]]) -> None:
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
        write_aside(self.work / "state.json", json.dumps(vars(self.state)))

    def _resume(self) -> None:
        """Go on from what an earlier build wrote for good; the files are cut to it."""
        try:
            self.state = _State(**json.loads((self.work / "state.json").read_text()))
        except (OSError, ValueError, TypeError):
            self.state = _State()
        if self.state.files != self.files:  # they may have been others in between
            self.state = _State(self.files)
        sizes = {
            "ids": self.state.tokens * self.dtype.itemsize,
            "words": (self.state.tokens - len(self.state.rest)) // 8,
            "sentences": 8 * self.state.sentences,
            "documents": 8 * self.state.documents,
            "columns": 4 * len(COLUMNS) * self.state.documents,
        }
        if any((self.work / f"{name}.bin").stat().st_size < size for name, size in sizes.items() if size):
            # not what the state was written of: all anew
            self.state, sizes = _State(self.files), dict.fromkeys(sizes, 0)
        for name, size in sizes.items():
            with open(self.work / f"{name}.bin", "ab") as file:
                file.truncate(size)


_FILES = ("ids", "words", "sentences", "documents", "columns")


def _unsplit(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer takes words with a space between them as one, as those without a pre-tokenizer do."""
    if continuation_prefix(tokenizer) is not None:
        return False
    text = "a a" if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str("a a")
    return tokenizer.pre_tokenizer is None or len(tokenizer.pre_tokenizer.pre_tokenize_str(text)) < 2


def _between_spaces(sentence: str, encoding: Encoding) -> list[int]:
    """The number of the word that each token begins in, or before; a word is what stands between white space."""
    space = np.fromiter(map(str.isspace, sentence), bool, len(sentence))
    begins = ~space
    begins[1:] &= space[:-1]
    starts = np.fromiter((start for start, _ in encoding.offsets), np.int64, len(encoding))
    numbers: list[int] = (np.cumsum(begins) + space)[np.minimum(starts, len(sentence) - 1)].tolist()
    return numbers
