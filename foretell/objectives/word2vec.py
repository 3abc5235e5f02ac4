"""word2vec: vectors of words from the words around them.

Papers: Mikolov, Chen, Corrado, Dean, "Efficient Estimation of Word Representations in Vector Space" (arXiv 1301.3781), for
the two models; Mikolov, Sutskever, Chen, Corrado, Dean, "Distributed Representations of Words and Phrases and their
Compositionality" (arXiv 1310.4546), for negative sampling and sub-sampling.
Hidden: skip-gram, the words around a word; CBOW, the word amid its neighbours. Foretold: which word it is, told from a few
drawn at random (negative sampling) or by the turns of a binary tree (hierarchical softmax).
Use it for text of any size on a machine of any size, where a vector a word is enough: search, similar words, a first table
for a larger model. It knows no order and one meaning a word; for whole sentences take bert or gpt.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from foretell.counters import Rng, Rows, seed_of
from foretell.data.sampler import Sampler
from foretell.data.text.words import END, Ids, WordsConfig, WordStore
from foretell.encoders.vectors import Neighbourhood, WordVectors
from foretell.objectives.base import Exhibit, Objective, Player, Task
from foretell.objectives.word_kernels import LANES, kernel
from foretell.objectives.word_tables import tables

HELD = 500_000  # word numbers of the held-out part that are measured on
FEWEST = 50_000  # words of a piece that a thread is given: less, and threads wait more than they work


@dataclass
class WordBatch:
    """(B,) int32 word numbers of a piece of text, END (-1) after each sentence."""

    ids: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: Any) -> WordBatch:
        return self

    def rows(self, start: int, stop: int) -> WordBatch:
        return WordBatch(self.ids[start:stop])


class Word2Vec(Objective):
    """A sample is a word of the text in its place; a batch is a piece of the text, which the threads share."""

    name = "word2vec"
    kind = "words"
    paper = "Mikolov et al. 2013, arXiv 1301.3781 and 1310.4546"
    hides = "a word, or the words around it"
    foretells = "which word it is, among words drawn at random"
    needs = "text: a file, a folder, JSONL, CSV or Parquet"
    good_for = "similar words and analogies from any amount of text, in minutes without a GPU"
    accumulation = "none"
    usual_training: ClassVar[dict[str, Any]] = {
        "optimizer": "sgd",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "warmup": 0.0,
        "schedule": "linear",
        "precision": "float32",
        "layout": "contiguous",
    }

    encoder: WordVectors

    class Config(WordsConfig):
        """Published defaults, but for skip-gram as the model."""

        model: Literal["skip-gram", "cbow"] = Field(
            "skip-gram", description="skip-gram: neighbours from a word; cbow: a word from the mean of its neighbours"
        )
        loss: Literal["negative", "tree"] = Field(
            "negative", description="negative sampling, or the hierarchical softmax over a Huffman tree"
        )
        dim: int = Field(100, ge=1, le=4096, description="dimensions of a vector")
        window: int = Field(
            5, ge=1, le=50, description="most words to either side; each window's radius is uniform up to it"
        )
        negatives: int = Field(5, ge=1, le=100, description="words drawn at random beside each that is foretold")
        sample: float = Field(
            1e-3, ge=0, le=1, description="share of the text above which a word is sub-sampled; 0: none is"
        )

    def __init__(self, config: Word2Vec.Config, store: WordStore) -> None:
        super().__init__()
        self.config, self.store = config, store
        padded = -(-config.dim // LANES) * LANES
        self.encoder = WordVectors(store.words, config.dim, padded)
        self.outputs = nn.Parameter(torch.zeros(len(store.words), padded), requires_grad=False)
        self.tables = tables(store.counts, config.sample, config.loss == "tree")
        self._threads: ThreadPoolExecutor | None = None

    @property
    def kernel(self) -> Any:
        c = self.config
        return kernel(self.encoder.weight.shape[1], c.window, c.negatives, c.model == "cbow", c.loss == "tree")

    @property
    def notes(self) -> list[str]:
        store, facts = self.store, self.store.facts
        known = int(store.counts.sum())
        return [
            f"{store.raw:,} words, {facts['distinct']:,} different ones; a vocabulary of {len(store.words):,}, which is "
            f"{known / max(store.raw, 1):.1%} of the text",
        ]

    # the data --------------------------------------------------------------------------------------------------------

    def streams(self) -> dict[str, float]:
        return {"words": 1.0}

    def steps_per_epoch(self, batch: int) -> int:
        """Pieces of about ``batch`` words that the text is cut into; every word is seen once an epoch."""
        return max(1, round(len(self.store) / batch))

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> WordBatch:
        pieces = self.steps_per_epoch(rows.total)
        piece = int(Sampler(pieces, seed, "pieces").index(step, Rows(0, 1, 1))[0])
        begin, end = (len(self.store) * at // pieces for at in (piece, piece + 1))
        return WordBatch(torch.from_numpy(np.array(self.store.ids[begin:end])))

    def hide(self, batch: WordBatch, rng: Rng) -> Task:
        """The seed of the windows and negatives of the piece; the kernel draws them as it goes."""
        return Task({"ids": batch.ids}, {"seed": torch.tensor([seed_of(rng.seed, rng.step, "windows")])})

    # learning --------------------------------------------------------------------------------------------------------

    def players(self) -> dict[str, Player]:
        return {}

    def update(self, task: Task, rate: float) -> dict[str, float]:
        """One pass over the piece by as many threads as torch has. ``total``: the mean loss of a prediction, in nats."""
        ids: Ids = task.visible["ids"].numpy()
        seed = int(task.hidden["seed"][0])
        count = max(1, min(torch.get_num_threads(), len(ids) // FEWEST + 1))
        cuts = [len(ids) * part // count for part in range(count + 1)]
        sums = np.zeros((count, 2))
        if count == 1:
            self._run(ids, 0, len(ids), rate, seed, sums[0])
        else:
            if self._threads is None or self._threads._max_workers < count:
                self._threads = ThreadPoolExecutor(count, thread_name_prefix="words")
            waiting = [
                self._threads.submit(self._run, ids, cuts[i], cuts[i + 1], rate, seed_of(seed, i), sums[i])
                for i in range(count)
            ]
            for one in waiting:
                one.result()
        loss, predictions = sums.sum(0)
        return {"total": float(loss / max(predictions, 1)), "predictions": float(predictions)}

    def _run(self, ids: Ids, begin: int, end: int, rate: float, seed: int, sums: Any) -> None:
        t = self.tables
        inputs, outputs = self.encoder.weight.detach().numpy(), self.outputs.detach().numpy()
        tree = (t.starts, t.nodes, t.bits)
        where = (begin, end, t.keep, t.share, t.other, *tree, inputs, outputs)
        self.kernel(ids, *where, np.float32(rate), np.uint64(seed), sums)

    def make_ready(self) -> None:
        """Make the kernel ready, which takes seconds the first time: what is timed later is learning alone."""
        nothing = np.zeros(0, np.int32)
        self._run(nothing, 0, 0, 0.0, 0, np.zeros(2))

    def work(self) -> float:
        """Floating-point operations a word of the text: three small products a window, of the mean radius."""
        c, counts = self.config, self.store.counts
        kept = float((self.tables.keep * counts).sum() / max(counts.sum(), 1))
        outputs = self._path_length() if c.loss == "tree" else c.negatives + 1
        inputs = 1 if c.model == "cbow" else c.window + 1
        return kept * 6 * c.dim * inputs * outputs

    def _path_length(self) -> float:
        """Turns to a word, on average over the words that sub-sampling leaves."""
        return float(np.average(np.diff(self.tables.starts), weights=self.tables.keep * self.store.counts))

    def chance_loss(self, batch: int = 1) -> float:
        """Every answer a coin's toss."""
        outputs = self._path_length() if self.config.loss == "tree" else self.config.negatives + 1
        return outputs * math.log(2)

    def held_out_loss(self) -> float:
        """Mean loss of a prediction on the held-out documents, always with the same windows and negatives; nan without."""
        ids = np.array(self.store.held[:HELD])
        if not len(ids):
            return math.nan
        sums = np.zeros(2)
        self._run(ids, 0, len(ids), 0.0, seed_of("held out"), sums)
        return float(sums[0] / max(sums[1], 1))

    # looking ---------------------------------------------------------------------------------------------------------

    def health(self, batch: WordBatch) -> Tensor:
        """(different words of the batch, dim): their vectors."""
        rows = torch.unique(batch.ids[batch.ids != END]).long()
        return self.encoder.weight[rows, : self.encoder.dim]

    def show(self, batch: WordBatch, rng: Rng) -> Exhibit:
        """The first sentences' middle words with the widest window, as words."""
        rows: list[tuple[str, ...]] = [("shown", "foretold")]
        for words in self.store.sentences(batch.ids.numpy()):
            if len(words) < 3:
                continue
            middle, reach = len(words) // 2, self.config.window
            around = [*words[max(0, middle - reach) : middle], "___", *words[middle + 1 : middle + reach + 1]]
            if self.config.model == "cbow":
                rows.append((" ".join(around), words[middle]))
            else:
                rows.append((words[middle], " ".join(around).replace("___ ", "").replace(" ___", "")))
            if len(rows) > 6:
                break
        caption = (
            "Left what is shown, right what is foretold. In training each window's radius is drawn anew, and frequent words "
            "are left out at random."
        )
        return Exhibit("What is hidden", caption, table=rows)

    def neighbourhood(self) -> Neighbourhood:
        return Neighbourhood(self.store.words, self.encoder.table)
