"""word2vec beside gensim: words a second, and how good the vectors are, on the same text with the same settings.

Both have two threads, the same dimension, window, negatives, sub-sampling, rates and epochs, and both see the text of
``datasets.english_text`` but for its held-out lines. Reading the text into words and compiling are left out of both times.
The held-out loss of both tables is computed by the same code. The peer's word lists come with gensim.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.datasets.english_text import write
from benchmarks.harness import Pairing, described, parser, report, seconds
from foretell.data.corpus import open_corpus
from foretell.data.words import WordsConfig, open_words
from foretell.objectives.word2vec import Word2Vec
from foretell.train import fit
from foretell.train.config import TrainingConfig

THREADS = 2
RATES = {"skip-gram": 0.025, "cbow": 0.05}


def scores(words: list[str], vectors: Any) -> dict[str, float]:
    """WordSim-353 (Spearman, Pearson) and the share of right analogies among the 30,000 most frequent words."""
    from gensim.models import KeyedVectors
    from gensim.test.utils import datapath

    known = KeyedVectors(vectors.shape[1])
    known.add_vectors(words, vectors)
    pearson, spearman, _ = known.evaluate_word_pairs(datapath("wordsim353.tsv"))
    right = known.evaluate_word_analogies(datapath("questions-words.txt"), restrict_vocab=30_000)[0]
    return {"WordSim Spearman": float(spearman[0]), "WordSim Pearson": float(pearson[0]), "analogies": float(right)}


def main() -> int:
    args = parser(__doc__ or "", rounds=3)
    args.add_argument("--epochs", type=int, default=5)
    args.add_argument("--dim", type=int, default=100)
    args.add_argument("--model", choices=RATES, default=None, help="only this one")
    given = args.parse_args()
    try:
        from gensim.models import Word2Vec as Peer
    except ImportError:
        print("gensim is not installed: pip install 'foretell[bench]'", file=sys.stderr)
        return 1
    torch.set_num_threads(THREADS)
    corpus = open_corpus(write(), documents="line", sentences="whole")
    store = open_words(corpus, WordsConfig(words="spaces"))
    text = Path(write()).with_suffix(".learnt")
    with text.open("w", encoding="utf-8") as stream:
        stream.writelines(" ".join(sentence) + "\n" for sentence in store.sentences(store.ids) if sentence)
    lines = [line.split() for line in text.open(encoding="utf-8")]
    met = True
    for model in [given.model] if given.model else RATES:
        met = _beside(model, store, lines, Peer, given) and met
    return 0 if met else 1


def _beside(model: str, store: Any, lines: list[list[str]], peer_class: Any, given: Any) -> bool:
    pairing = Pairing([], [])
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    config = Word2Vec.Config(model=model, dim=given.dim, words="spaces")
    Word2Vec(config, store).held_out_loss()  # compiles
    for seed in range(given.rounds):
        torch.manual_seed(seed)
        task = Word2Vec(config, store)
        training = TrainingConfig(
            seed=seed, batch=100_000, epochs=given.epochs, rate=RATES[model], threads=THREADS, **Word2Vec.usual_training
        )
        peer = peer_class(
            vector_size=given.dim,
            window=config.window,
            negative=config.negatives,
            sample=config.sample,
            min_count=1,
            sg=int(model == "skip-gram"),
            alpha=RATES[model],
            workers=THREADS,
            seed=seed + 1,
        )
        peer.build_vocab(lines)
        work = [
            (pairing.ours, lambda task=task, training=training: fit(task, training)),
            (
                pairing.peer,
                lambda peer=peer: peer.train(lines, total_examples=len(lines), epochs=given.epochs),
            ),
        ]
        for kept, call in work if seed % 2 == 0 else reversed(work):
            kept.append(seconds(call))
        ours.append({**scores(store.words, task.encoder.table), "held-out loss": task.held_out_loss()})
        other = Word2Vec(config, store)
        rows = [peer.wv.key_to_index.get(word) for word in store.words]
        for table, source in ((other.encoder.weight, peer.wv.vectors), (other.outputs, peer.syn1neg)):
            for word, row in enumerate(rows):
                if row is not None:
                    table[word, : given.dim] = torch.from_numpy(np.array(source[row]))
        theirs.append({**scores(store.words, other.encoder.table), "held-out loss": other.held_out_loss()})
    figures: dict[str, Any] = described(pairing)
    words = store.raw * given.epochs
    figures["ours, words a second"] = f"{words / statistics.median(pairing.ours):,.0f}"
    figures["gensim, words a second"] = f"{words / statistics.median(pairing.peer):,.0f}"
    worse = []
    for name in ours[0]:
        a, b = [one[name] for one in ours], [one[name] for one in theirs]
        figures[f"{name}, ours beside gensim"] = (
            f"{np.mean(a):.4f} ({min(a):.4f} to {max(a):.4f}) beside {np.mean(b):.4f} ({min(b):.4f} to {max(b):.4f})"
        )
        low = -1 if name == "held-out loss" else 1
        # worse beyond the spread: even our best seed is behind their worst
        if max(low * value for value in a) < min(low * value for value in b):
            worse.append(name)
    met = pairing.ratio >= 1.5 and not worse
    wanted = "at least 1.5 times the words a second; similarity, analogies and held-out loss no worse beyond the spread"
    report(given, f"word2vec {model}", "python -m benchmarks.word2vec", figures, wanted, met)
    return met


if __name__ == "__main__":
    sys.exit(main())
