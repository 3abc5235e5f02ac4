"""A comparison's trainings side by side against the same one after another, each time on all cores.

    python -m benchmarks.side_by_side [--per-class 20] [--jobs 2] [--json benchmarks/results.json]

A small encoder (resnet_tiny, random weights) and the same from scratch on the embedded animals, as `foretell evaluate
--compare` does it: two settings tried and three seeds an arm, 200 test images. The time is that of the whole comparison,
processes started and answers gathered included; the peer is ours with --jobs 1, whose steps use every core.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.harness import described, paired, parser, report
from foretell.data.store import open_images
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.side_by_side import usable_cores
from foretell.transfer.config import TransferConfig
from foretell.transfer.images.compare import compare
from foretell.transfer.images.labelled import resolved
from foretell.transfer.protocol import Protocol
from foretell.views.config import ViewConfig


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--per-class", type=int, default=20)
    options.add_argument("--jobs", type=int, default=usable_cores(), help="processes (default: the cores)")
    args = options.parse_args()

    store = open_images("@animals")
    split = np.array(store.table.column("split"), dtype=object)
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 28)
    config = TransferConfig(device=args.device, batch=32, head="zero", test_samples=200, curve_points=0)

    def compared(jobs: int) -> None:
        compare(
            encoder,
            store,
            train=np.flatnonzero(split == "train"),
            test=np.flatnonzero(split == "test"),
            views=resolved(ViewConfig(), store, encoder.side),
            protocol=Protocol(per_class=(args.per_class,), arms=("pretrained", "scratch"), trials=2, jobs=jobs),
            training=config,
            all_labels=False,
        )

    pairing = paired(lambda: compared(args.jobs), lambda: compared(1), args.rounds)
    labels = 10 * args.per_class
    figures = {
        "size": f"10 trainings of {config.steps_for(labels)} steps of {config.batch_for(labels)}, {labels} labels, 28 px",
        "side by side": f"{args.jobs} processes on {usable_cores()} cores",
        **described(pairing),
    }
    wanted = "faster side by side than one after another"
    report(args, "comparison side by side", figures, wanted, pairing.ratio > 1)


if __name__ == "__main__":
    main()
