"""Text for the verbs: opened, tokenised once, and divided into what is learnt from and what is measured on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from foretell import distributed
from foretell.counters import seed_of
from foretell.data.division import by_column, by_label
from foretell.data.table import Table, many
from foretell.data.text.corpus import Corpus, open_corpus
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import TokenizerConfig, load_tokenizer, trained
from foretell.data.text.tokens import TokenStore
from foretell.errors import InputError, of
from foretell.objectives.base import Exhibit
from foretell.recipe import DataConfig
from foretell.run import Run
from foretell.verbs import common, kept_split, kinds
from foretell.verbs.common import Parts
from foretell.verbs.progress import counting_up, say

HELD_OUT = (0.05, 500)  # of unlabelled documents, to measure on: a share, at most so many
COUNTED, MANY_UNKNOWN = 1_000_000, 0.02  # tokens looked at, and the share of unknown ones that is told
FEWEST = 20  # documents below which none is held out


def corpus_of(data: DataConfig) -> Corpus:
    """The documents of a recipe's data. Raises InputError for what cannot be read."""
    if data.source is None:
        raise InputError("DATA is missing: give a text file, a table with a text column, or a folder of them")
    return open_corpus(
        data.source, data.columns, documents=data.documents, sentences=data.sentences, encoding=data.encoding
    )


def open_text(
    data: DataConfig, config: TokenizerConfig, roles: tuple[str, ...], *, kept: Path | None = None
) -> TokenStore:
    """The tokens of a recipe's data; with several processes the first one builds them.

    ``kept``: a tokenizer.json that is used as it is (that of a run or a checkpoint). Raises InputError for data that
    cannot be read and a tokenizer without the special tokens ``roles``.
    """

    def opened() -> TokenStore:
        corpus = corpus_of(data)
        return open_tokens(
            corpus, _tokenizer(corpus, config, roles, kept), progress=counting_up("tokenising", "tokens")
        )

    built = distributed.on_first(opened)
    return opened() if built is None else built


def _tokenizer(corpus: Corpus, config: TokenizerConfig, roles: tuple[str, ...], kept: Path | None) -> Tokenizer:
    if kept is not None:
        return load_tokenizer(kept)
    if config.file is None and not distributed.rank():
        print("training a tokenizer on the text, once", file=sys.stderr, flush=True)
    return trained(corpus, config, roles)


def tell_text(store: TokenStore) -> None:
    """What was understood, and how much of it the tokenizer does not know where that is not little."""
    meta = store.meta
    say(
        f"data: {store.source}, {many(meta['documents'], 'document')}, {many(meta['sentences'], 'sentence')}, "
        f"{many(meta['tokens'], 'token')}"
    )
    for note in store.notes:
        say(f"  {note}")
    share = float((store.ids[:COUNTED] == store.specials["unk"]).mean()) if "unk" in store.specials else 0.0
    if share > MANY_UNKNOWN:
        say(
            f"  {share:.1%} of the tokens are unknown to the tokenizer, and nothing can be learnt of what they are; one of kind bpe "
            "(objective.tokenizer.kind) that is trained on this text knows all"
        )


def divide_text(store: TokenStore, data: DataConfig) -> Parts:
    """Documents to learn from and to measure on: the split column, or labelled ones by class, or a few at random.

    Groups stay whole. No label is read but to say which documents are measured on.
    """
    rows = np.arange(len(store), dtype=np.int64)
    columns = {name: store.column(name) for name in ("split", "group", "label")}
    table = Table({name: values for name, values in columns.items() if any(value is not None for value in values)})
    table.rows = len(store)
    with of(store.source):
        return _divided(rows, table, data)


def _divided(rows: NDArray[np.int64], table: Table, data: DataConfig) -> Parts:
    if "split" in table:
        return by_column(table, data.split, data.split_seed, "document")
    if "label" in table and len(table.codes("label")[1]) > 1:
        return by_label(table, data.split, data.split_seed, "document")
    if len(rows) < FEWEST:
        return Parts(rows, rows[:0], "too few documents to hold any out")
    count = max(2, min(round(HELD_OUT[0] * len(rows)), HELD_OUT[1]))
    drawn = np.random.default_rng(seed_of("held out", data.split_seed)).permutation(len(rows))
    test = np.sort(drawn[:count])
    held = np.isin(rows, test) | _grouped(table, test)
    return Parts(rows[~held], test, f"{count:,} documents held out at random (seed {data.split_seed})")


def _grouped(table: Table, test: Any) -> Any:
    """Which rows are of a group that has one of ``test``."""
    if "group" not in table:
        return np.zeros(len(table), dtype=bool)
    groups = table.column("group")
    tested = {groups[row] for row in test} - {None}
    return np.array([group in tested for group in groups])


def keep_text_facts(
    run: Run, setting: kinds.Setting, shown: Exhibit, *, data: dict[str, Any], encoder: dict[str, Any]
) -> None:
    """Write split.json and facts.json of a new run on text, and say what is hidden.

    ``data`` and ``encoder``: what is told of them beside what every run on text has.
    """
    kept_split.write(run, setting.store.fingerprint, setting.parts, setting.recipe.data)
    common.write_facts(
        run,
        data={"source": setting.store.source, "kind": "text", "fingerprint": setting.store.fingerprint, **data},
        objective={**kinds.about(setting.objective), "shown": shown.caption, "examples": shown.table},
        versions=common.versions(),
        encoder=encoder,
    )
    for given, foretold in shown.table[1:2]:
        say(f"shown to it:    {_cut(given)}")
        say(f"to be foretold: {_cut(foretold)}")


def _cut(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 4] + " ..."
