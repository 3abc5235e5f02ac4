"""word2vec beside gensim: words a second, and how good the vectors are, on the same text with the same settings.

Both have two threads, the same dimension, window, negatives, sub-sampling, rates and epochs, and both see the text of
``datasets.english_text`` but for its held-out lines. Reading the text into words and compiling are left out of both times.
The held-out loss of both tables is computed by the same code. The peer's word lists come with gensim. Worse is a figure
whose difference has a 95% interval (Welch's t over seeds) wholly on the worse side of 0: a small loss of quality does not
show with few seeds, so that what is worse on average is named too.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from benchmarks.datasets.english_text import write
from benchmarks.harness import Pairing, described, parser, report, seconds
from foretell.data.text.corpus import open_corpus
from foretell.data.text.words import WordsConfig, open_words
from foretell.measures.intervals import Interval
from foretell.objectives.word2vec import Word2Vec
from foretell.train import fit
from foretell.train.config import TrainingConfig

THREADS = 2
RATES = {"skip-gram": 0.025, "cbow": 0.05}
LOSS = "held-out loss"  # lower is better; higher is of the others
WANTED = "at least 1.5 times the words a second; no 95% interval of a difference in quality wholly on the worse side"


def scores(words: list[str], vectors: Any) -> dict[str, float]:
    """WordSim-353 (Spearman, Pearson) and the share of right analogies among the 30,000 most frequent words."""
    from gensim.models import KeyedVectors
    from gensim.test.utils import datapath

    known = KeyedVectors(vectors.shape[1])
    known.add_vectors(words, vectors)
    pearson, spearman, _ = known.evaluate_word_pairs(datapath("wordsim353.tsv"))
    right = known.evaluate_word_analogies(datapath("questions-words.txt"), restrict_vocab=30_000)[0]
    return {"WordSim Spearman": float(spearman[0]), "WordSim Pearson": float(pearson[0]), "analogies": float(right)}


def unpaired(ours: Sequence[float], others: Sequence[float]) -> Interval:
    """The difference of two means with its 95% interval by Welch's t, for values that no common seed pairs.

    ``low`` and ``high`` are NaN where a side has fewer than two values.
    """
    mean = statistics.fmean(ours) - statistics.fmean(others)
    if min(len(ours), len(others)) < 2:
        return Interval(mean, math.nan, math.nan, len(ours))
    interval = stats.ttest_ind(ours, others, equal_var=False).confidence_interval()
    return Interval(mean, float(interval.low), float(interval.high), len(ours))


def is_worse(difference: Interval, name: str) -> bool:
    """Whether ours minus the peer's of figure ``name`` lies wholly on the worse side of 0."""
    return difference.verdict == ("better" if name == LOSS else "worse")


def how(differences: dict[str, Interval]) -> str:
    """What to say beside the verdict: the figures that are worse on average, be it within their intervals."""
    worse = [name for name, one in differences.items() if (one.mean > 0 if name == LOSS else one.mean < 0)]
    spanning = [name for name in worse if not is_worse(differences[name], name)]
    return f"; worse on average, with an interval that spans 0: {', '.join(spanning)}" if spanning else ""


def main() -> int:
    args = parser(__doc__ or "")
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
        ours.append({**scores(store.words, task.encoder.table), LOSS: task.held_out_loss()})
        other = Word2Vec(config, store)
        rows = [peer.wv.key_to_index.get(word) for word in store.words]
        for table, source in ((other.encoder.weight, peer.wv.vectors), (other.outputs, peer.syn1neg)):
            for word, row in enumerate(rows):
                if row is not None:
                    table[word, : given.dim] = torch.from_numpy(np.array(source[row]))
        theirs.append({**scores(store.words, other.encoder.table), LOSS: other.held_out_loss()})
    figures: dict[str, Any] = described(pairing)
    words = store.raw * given.epochs
    figures["ours, words a second"] = f"{words / statistics.median(pairing.ours):,.0f}"
    figures["gensim, words a second"] = f"{words / statistics.median(pairing.peer):,.0f}"
    differences: dict[str, Interval] = {}
    for name in ours[0]:
        a, b = [one[name] for one in ours], [one[name] for one in theirs]
        difference = differences[name] = unpaired(a, b)
        figures[f"{name}, ours beside gensim"] = (
            f"{np.mean(a):.4f} ({min(a):.4f} to {max(a):.4f}) beside {np.mean(b):.4f} ({min(b):.4f} to {max(b):.4f})"
        )
        figures[f"{name}, ours minus gensim, 95% interval"] = (
            f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
        )
    met = pairing.ratio >= 1.5 and not any(is_worse(one, name) for name, one in differences.items())
    report(given, f"word2vec {model}", figures, WANTED, met, how=how(differences))
    return met


if __name__ == "__main__":
    sys.exit(main())
