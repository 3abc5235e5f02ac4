"""200 labels of an encyclopedia's topics: an encoder that has read unlabelled text only, beside TF-IDF and from scratch.

    python -m benchmarks.topics [--seeds 5] [--trials 6] [--epochs 10] [--out FOLDER] [--json benchmarks/results.json]

The lead sections that are not test are learnt from without their topics; 18 labels of each of eleven topics, 198 in all, are
drawn anew for each seed; every arm has as many trials, within these labels. The test part is looked at once a fit. How the
encoder is trained was chosen on an eighth of the training leads, held out for that. ``--out`` keeps the run: a second call goes
on with it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import foretell
from benchmarks.datasets import wiki_topics
from benchmarks.harness import parser, report
from foretell.run import Run

PER_CLASS = 18
ARMS = ("pretrained", "probe", "scratch", "tfidf")
PRETRAINING = [
    "data.sentences=line",
    "objective.tasks=both",
    "objective.length=128",
    "objective.tokenizer.vocabulary=8000",
    "training.batch=16",
    "training.rate=7e-4",
]
TUNING = ["transfer.text.reads=mean"]


def told(row: dict[str, Any], name: str = "mean") -> str:
    """A mean or difference in percent with its interval."""
    return f"{100 * row[name]:+.1f} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"


def pretrained(folder: Path, args: Any) -> Path:
    """The run on the unlabelled leads in ``folder``, trained or gone on with."""
    run = folder / "run"
    if (run / "encoder" / "model.safetensors").is_file():
        return run
    if (run / "recipe.toml").is_file():
        foretell.pretrain(run, resume=True)
        return run
    given = [*PRETRAINING, f"training.epochs={args.epochs}"]
    source = wiki_topics.load() / "unlabelled.txt"
    foretell.pretrain(source, recipe="bert", out=run, device=args.device, set=given)
    return run


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--trials", type=int, default=6)
    options.add_argument("--epochs", type=float, default=10.0)
    options.add_argument("--out", type=Path, default=None, help="folder of the run (default: a new one, not kept)")
    args = options.parse_args()

    with tempfile.TemporaryDirectory() as spare:
        run = pretrained(args.out or Path(spare), args)
        cost = Run.read(run).read_json("facts.json") or {}
        found = foretell.evaluate(
            run, wiki_topics.load() / "labelled.jsonl", compare=True, per_class=str(PER_CLASS), seeds=args.seeds,
            trials=args.trials, arms=",".join(ARMS), device=args.device, set=TUNING,
        )["comparison"]  # fmt: skip
    summary = {row["arm"]: row for row in found["summary"] if row["metric"] == found["metric"]}
    figures: dict[str, Any] = {f"{arm}, % right (95%)": told(summary[arm]).replace("+", "") for arm in ARMS}
    beside = [row for row in found["paired"] if row["against"] == "tfidf" and row["metric"] == found["metric"]]
    figures |= {f"{row['arm']} over TF-IDF, points (95%)": told(row, "difference") for row in beside}
    figures |= {
        "labels": summary["tfidf"]["labels"],
        "test leads": found["test"]["samples"],
        "cost": cost.get("cost", ""),
    }
    report(
        args,
        "200 labels of topics",
        f"python -m benchmarks.topics --seeds {args.seeds} --trials {args.trials} --epochs {args.epochs:g}",
        figures,
        "the encoder, fine-tuned or probed, above TF-IDF with a linear model on the same labels (interval above 0)",
        any(row["low"] > 0 for row in beside if row["arm"] in ("pretrained", "probe")),
    )


if __name__ == "__main__":
    main()
