"""Text tokenised to disk, beside the batch rate of the tokenizers library on all cores.

    python -m benchmarks.tokenising [--json benchmarks/results.json]

Ours reads the file, finds documents and sentences, and writes ids, word beginnings and offsets; the peer encodes the same
sentences, which it is given in memory, and drops them.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.datasets import sotu
from benchmarks.harness import described, paired, parser, report
from benchmarks.text_ours import tokens
from foretell.data.text.corpus import open_corpus
from foretell.data.text.tokenise import open_tokens


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--vocabulary", type=int, default=30_000)
    args = options.parse_args()
    store = tokens("bert", args.vocabulary)
    tokenizer, corpus = store.tokenizer, open_corpus(sotu.load())
    sentences = [sentence for document in corpus.documents() for sentence in document.sentences]
    assert corpus.fingerprint  # known before the clock runs, as the store's name needs it in any case

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            open_tokens(corpus, tokenizer, cache=Path(folder))

    def peer() -> None:
        for start in range(0, len(sentences), 8192):
            tokenizer.encode_batch(sentences[start : start + 8192], add_special_tokens=False)

    ours()
    peer()
    pairing = paired(ours, peer, args.rounds)
    count = store.meta["tokens"]
    figures = described(pairing) | {
        "tokens a second, ours to disk": f"{count / statistics.median(pairing.ours):,.0f}",
        "tokens a second, the library's batches": f"{count / statistics.median(pairing.peer):,.0f}",
    }
    report(
        args,
        "Tokenising",
        figures,
        "at least 0.9 of the library's batch rate, end to end to disk",
        pairing.ratio >= 0.9,
    )


if __name__ == "__main__":
    main()
