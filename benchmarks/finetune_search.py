"""What a search of fine-tuning costs beside the trainings in it: tpe, each trial kept in a SQLite file at once.

    python -m benchmarks.finetune_search [--trials 30] [--device cuda] [--json benchmarks/results.json]

A small encoder (resnet_tiny, random weights) on the embedded animals, ``--per-class`` labels a class; steps, batch and
hold-out are the defaults. The wall time is that of the whole search, from before the study is opened until the settings are
chosen: building networks, training, validating, drawing settings and writing. The trainings' own time is what each trial
measures of its optimiser steps and their batches. Of ``--rounds`` searches the ratio is the median.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import parser, report, seconds
from foretell.data.store import open_images
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import subset
from foretell.transfer.images.fit import search_once
from foretell.transfer.images.labelled import labelled, resolved
from foretell.transfer.search_config import SearchConfig
from foretell.views.config import ViewConfig


def main() -> None:
    options = parser(__doc__ or "", rounds=1)
    options.add_argument("--trials", type=int, default=30)
    options.add_argument("--per-class", type=int, default=20)
    options.add_argument(
        "--steps", type=int, default=None, help="steps of the longest schedule (default: by the labels)"
    )
    args = options.parse_args()

    store = open_images("@animals")
    rows = np.flatnonzero(np.array(store.table.column("split"), dtype=object) == "train")
    train = labelled(store, rows)
    train = train.take(subset(train.codes, per_class=args.per_class))
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 28)
    views = resolved(ViewConfig(), store, encoder.side)
    own = SearchConfig(method="tpe")
    config = TransferConfig(device=args.device, steps=args.steps, head="zero", search=own)

    walls: list[float] = []
    trained: list[float] = []
    trials: list[dict[str, float]] = []

    def search(folder: Path) -> None:
        _, _, record = search_once(encoder, train, views=views, config=config, trials=args.trials, folder=folder)
        trials[:] = record["trials"]

    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            walls.append(seconds(lambda place=Path(folder): search(place)))  # type: ignore[misc]
        trained.append(sum(trial["training_seconds"] for trial in trials))
    ratios = [wall / own for wall, own in zip(walls, trained, strict=True)]
    ratio = statistics.median(ratios)
    figures = {
        "size": f"{len(trials)} trials, {len(train)} labels of {len(train.classes)} classes, 28 px",
        "wall time / sum of the trainings' time, median": f"{ratio:.3f}",
        "spread": f"{min(ratios):.3f} to {max(ratios):.3f} over {args.rounds} rounds",
        "wall time, median seconds": f"{statistics.median(walls):.2f}",
        "trainings, median seconds": f"{statistics.median(trained):.2f}",
        "outside any trial, seconds of the last": f"{walls[-1] - sum(trial['seconds'] for trial in trials):.2f}",
    }
    wanted = "wall time of the whole search at most 1.3 times the sum of its trainings' time"
    report(args, "fine-tuning search", figures, wanted, ratio <= 1.3)


if __name__ == "__main__":
    main()
