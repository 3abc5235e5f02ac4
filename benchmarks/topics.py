"""200 labels of an encyclopedia's topics: an encoder that has read unlabelled text only, beside TF-IDF and from scratch.

    python -m benchmarks.topics [--encoder word2vec] [--seeds 5] [--trials 6] [--out FOLDER] [--json benchmarks/results.json]

Lead sections that are not test are learnt from without their topics; 18 labels of each of eleven topics, 198 in all, are drawn
anew for each seed; every arm has as many trials, within these labels. The test part is looked at once a fit. An eighth of the
training leads is not pretrained on: how encoders are trained was chosen on it. ``--out`` keeps the run; a second call uses it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import foretell
from benchmarks.datasets import wiki_topics
from benchmarks.harness import parser, report
from benchmarks.pretrained import pretrained
from foretell.counters import seed_of
from foretell.data.text.sentences import split_sentences
from foretell.run import Run

PER_CLASS = 18
EIGHTH = 8
ARMS = ("pretrained", "probe", "scratch", "random", "tfidf")
ENCODERS = {
    "word2vec": [
        "objective.dim=200",
        "objective.window=10",
        "objective.min_count=3",
        "objective.sample=1e-4",
        "training.epochs=20",
    ],
    "bert": [
        "objective.tasks=both",
        "objective.length=128",
        "objective.tokenizer.vocabulary=8000",
        "training.batch=16",
        "training.rate=7e-4",
        "training.epochs=10",
    ],
}


def unlabelled(path: Path) -> Path:
    """The leads that are pretrained on: a sentence a line, a blank line between leads."""
    texts = [text for text, _, part in wiki_topics.leads() if part == "train"]
    kept = [text for text in texts if seed_of("topic validation", text) % EIGHTH]
    path.write_text("".join("\n".join(split_sentences(text)) + "\n\n" for text in kept), encoding="utf-8")
    return path


def told(row: dict[str, Any], name: str, sign: str = "") -> str:
    """A mean or difference in percent with its interval."""
    return f"{100 * row[name]:{sign}.1f} ({100 * row['low']:{sign}.1f} to {100 * row['high']:{sign}.1f})"


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--encoder", choices=sorted(ENCODERS), default="word2vec")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--trials", type=int, default=6)
    options.add_argument("--out", type=Path, default=None, help="folder of the run (default: a new one, not kept)")
    args = options.parse_args()

    with tempfile.TemporaryDirectory() as spare:
        run = pretrained(
            (args.out or Path(spare)) / args.encoder, unlabelled, recipe=args.encoder, device=args.device,
            set=["data.sentences=line", *ENCODERS[args.encoder]],
        )  # fmt: skip
        cost = (Run.read(run).read_json("facts.json") or {})["cost"]
        found = foretell.evaluate(
            run, wiki_topics.load() / "labelled.jsonl", compare=True, per_class=str(PER_CLASS), seeds=args.seeds,
            trials=args.trials, arms=",".join(ARMS), device=args.device,
        )["comparison"]  # fmt: skip
    metric = found["metric"]
    summary = {row["arm"]: row for row in found["summary"] if row["metric"] == metric}
    beside = [row for row in found["paired"] if row["against"] == "tfidf" and row["metric"] == metric]
    figures: dict[str, Any] = {f"% right, {found['arms'][arm]['title']}": told(summary[arm], "mean") for arm in ARMS}
    figures |= {f"points over TF-IDF, {row['arm']}": told(row, "difference", "+") for row in beside}
    figures |= {
        "labels": summary["tfidf"]["labels"],
        "test leads": found["test"]["samples"],
        "pretraining, seconds": f"{cost['seconds']:.0f}",
        "intervals": f"95%, over {args.seeds} draws of the labels",
    }
    report(
        args,
        f"200 labels of topics, {args.encoder}",
        figures,
        "the encoder, fine-tuned or probed, above TF-IDF with a linear model on the same labels (interval above 0)",
        any(row["low"] > 0 for row in beside if row["arm"] in ("pretrained", "probe")),
    )


if __name__ == "__main__":
    main()
