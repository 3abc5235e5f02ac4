"""The memory that a large text takes: tokenised, counted into words, and read in training batches.

    python -m benchmarks.text_memory [--gigabytes 2] [--json benchmarks/results.json]

The text is the addresses again and again, each time with the words of every paragraph turned round by another amount, as
one file. What is wanted is that memory does not grow with the text, so that a corpus of 10 GB needs under 2 GB as well.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.datasets import sotu
from benchmarks.harness import anonymous, parser, report
from benchmarks.text_ours import made
from foretell.counters import Rows
from foretell.data.text.corpus import open_corpus
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import TokenizerConfig, trained
from foretell.data.text.words import WordsConfig, open_words
from foretell.objectives.bert import Bert

MOST = 2000.0  # MB


class Peak:
    """The most anonymous memory of this process within the block, in MB, looked at a hundred times a second."""

    def __init__(self) -> None:
        self.most = anonymous()


@contextmanager
def peak() -> Iterator[Peak]:
    found, over = Peak(), threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            found.most = max(found.most, anonymous())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def write(path: Path, size: int) -> None:
    paragraphs = [line.split() for line in Path(sotu.load()).read_text(encoding="utf-8").splitlines()]
    written, turn = 0, 0
    with path.open("w", encoding="utf-8") as stream:
        while written < size:
            for words in paragraphs:
                at = turn % len(words) if words else 0
                written += stream.write(" ".join(words[at:] + words[:at]) + "\n")
            turn += 1


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--gigabytes", type=float, default=2.0)
    args = options.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder) / "large.txt", Path(folder) / "cache"
        write(path, int(args.gigabytes * 1e9))
        figures["the file"] = f"{path.stat().st_size / 1e9:.2f} GB"
        figures["before"] = f"{anonymous():.0f} MB"
        most = 0.0
        with peak() as found:
            began = time.perf_counter()
            corpus = open_corpus(path)
            tokenizer = trained(corpus, TokenizerConfig(kind="wordpiece", vocabulary=8000), Bert.roles, cache)
        figures["tokenizer trained"] = f"{found.most:.0f} MB at most, {time.perf_counter() - began:.0f} s"
        most = max(most, found.most)
        with peak() as found:
            began = time.perf_counter()
            store = open_tokens(corpus, tokenizer, cache=cache)
        figures["tokenised"] = f"{found.most:.0f} MB at most, {time.perf_counter() - began:.0f} s"
        figures["tokens"] = f"{store.count():,}"
        most = max(most, found.most)
        with peak() as found:
            task = made("bert", store, length=128, network={"size": "tiny"})
            for step in range(50):
                task.draw("text", 0, step, Rows.of_rank(64))
        figures["an epoch planned and batches read"] = f"{found.most:.0f} MB at most"
        most = max(most, found.most)
        with peak() as found:
            began = time.perf_counter()
            words = open_words(corpus, WordsConfig(), cache=cache)
        figures["words counted"] = f"{found.most:.0f} MB at most, {time.perf_counter() - began:.0f} s"
        figures["words"] = f"{len(words.ids):,}"
        most = max(most, found.most)
    report(
        args,
        "Memory of a large text",
        figures,
        f"under {MOST:.0f} MB of anonymous memory",
        most < MOST,
    )


if __name__ == "__main__":
    main()
