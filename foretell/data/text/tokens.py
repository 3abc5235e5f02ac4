"""Text tokenised once into memory-mapped arrays: ids, where words begin, sentences and documents.

A store is a folder: ``ids.bin`` (uint16, or uint32 for large vocabularies), ``words.bin`` (a bit a token, the first one
the highest of its byte: 1 where a word begins), ``sentences.bin`` (int64, the token after each sentence),
``documents.bin`` (int64, the sentence after each document), ``columns.bin`` (int32 (documents, 4): codes of label, group,
split and language, -1 where there is none), ``values.json`` (what the codes mean), ``tokenizer.json`` and ``meta.json``.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from foretell.data.text.tokenizer import id_space, read_tokenizer, specials_of, used_ids
from foretell.errors import InputError

COLUMNS = ("label", "group", "split", "lang")
Index = NDArray[np.int64]


class TokenStore:
    """Documents as token ids, read from ``folder``. ``rows``: the documents of this part, None for all of them.

    ``source`` and ``notes`` are the corpus' that it was built from, until ``open_tokens`` gives it those of the corpus at
    hand, whose content is the same, and that corpus' fingerprint as ``text``.
    """

    def __init__(self, folder: str | Path, rows: Index | None = None) -> None:
        self.folder = Path(folder)
        self.meta: dict[str, Any] = json.loads((self.folder / "meta.json").read_text(encoding="utf-8"))
        self._rows = rows
        self.ids: NDArray[Any] = self._map("ids.bin", self.meta["dtype"])
        self._words: NDArray[np.uint8] = self._map("words.bin", "uint8")
        self.sentence_ends: Index = self._map("sentences.bin", "int64")
        self._document_ends: Index = self._map("documents.bin", "int64")
        self.source: str = self.meta["source"]
        self.notes: list[str] = list(self.meta["notes"])
        self.text: str | None = None

    def _map(self, name: str, dtype: str) -> NDArray[Any]:
        return np.memmap(self.folder / name, dtype, mode="r")

    def check(self) -> None:
        """Raises ValueError where the files are not of the lengths that meta.json says, or cannot be read."""
        tokens, sentences, documents = (self.meta[name] for name in ("tokens", "sentences", "documents"))
        found = {
            "ids.bin": (len(self.ids), tokens),
            "words.bin": (len(self._words), -(-tokens // 8)),
            "sentences.bin": (len(self.sentence_ends), sentences),
            "documents.bin": (len(self._document_ends), documents),
            "columns.bin": (len(self._map("columns.bin", "int32")), documents * len(COLUMNS)),
        }
        for name, (have, wanted) in found.items():
            if have != wanted:
                raise ValueError(f"{name} has {have:,} entries of {wanted:,}")
        if int(self.sentence_ends[-1]) != tokens or int(self._document_ends[-1]) != sentences:
            raise ValueError("its parts do not belong together")
        for name in COLUMNS:
            self.column(name)
        if id_space(self.tokenizer) != self.vocabulary:
            raise ValueError("tokenizer.json is another")

    def __len__(self) -> int:
        """Documents."""
        return len(self._document_ends) if self._rows is None else len(self._rows)

    @property
    def rows(self) -> Index:
        """The documents of this part, by number."""
        return np.arange(len(self._document_ends)) if self._rows is None else self._rows

    @cached_property
    def fingerprint(self) -> str:
        """Of the text, the tokenizer and the part."""
        if self._rows is None:
            return str(self.meta["fingerprint"])
        return hashlib.blake2b(self.meta["fingerprint"].encode() + self._rows.tobytes(), digest_size=16).hexdigest()

    def subset(self, rows: Index) -> TokenStore:
        """The documents ``rows`` of this part, nothing copied. Raises InputError when there is none."""
        if not len(rows):
            raise InputError(f"{self.source}: a part of it with no documents was asked for; expected at least one")
        part = TokenStore(self.folder, self.rows[np.asarray(rows, np.int64)])
        part.source, part.notes, part.text = self.source, self.notes, self.text
        return part

    def sentence_spans(self) -> tuple[Index, Index]:
        """(first, end) sentence of each document of this part."""
        ends = self._document_ends
        rows = self.rows
        return np.where(rows > 0, ends[np.maximum(rows, 1) - 1], 0), np.asarray(ends[rows])

    def token_spans(self) -> tuple[Index, Index]:
        """(first, end) token of each document of this part."""
        first, end = self.sentence_spans()
        return self.sentence_start(first), np.asarray(self.sentence_ends[end - 1])

    def sentence_start(self, sentence: Index) -> Index:
        """The first token of each of the sentences ``sentence``, which may be one past the last."""
        return np.where(sentence > 0, self.sentence_ends[np.maximum(sentence, 1) - 1], 0)

    def word_starts(self, tokens: Index) -> NDArray[np.bool_]:
        """Whether a word begins at each of ``tokens``."""
        bits: NDArray[np.uint8] = self._words[tokens >> 3] >> (7 - (tokens & 7)).astype(np.uint8) & 1
        return bits.astype(np.bool_)

    def count(self) -> int:
        """Tokens of this part."""
        first, end = self.token_spans()
        return int((end - first).sum())

    def column(self, name: str) -> list[str | None]:
        """label, group, split or lang of each document of this part."""
        codes = self._map("columns.bin", "int32").reshape(-1, len(COLUMNS))[self.rows, COLUMNS.index(name)]
        values = json.loads((self.folder / "values.json").read_text(encoding="utf-8"))[name]
        return [None if code < 0 else values[code] for code in codes.tolist()]

    @cached_property
    def tokenizer_text(self) -> str:
        """The tokenizer.json."""
        return (self.folder / "tokenizer.json").read_text(encoding="utf-8")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return read_tokenizer(self.tokenizer_text, str(self.folder / "tokenizer.json"))

    @cached_property
    def specials(self) -> dict[str, int]:
        """Role -> id of the special tokens."""
        return specials_of(self.tokenizer)

    @cached_property
    def used(self) -> Index:
        """The ids that tokens have, rising."""
        return used_ids(self.tokenizer)

    @property
    def vocabulary(self) -> int:
        """``tokenizer.id_space``."""
        return int(self.meta["vocabulary"])
