"""Causal pretraining beside a loop as nanoGPT's: all logits at once, AdamW; float32 on a CPU, bfloat16 on a GPU.

    python -m benchmarks.causal [--device cuda] [--json benchmarks/results.json]

The same size (4 layers of 256), rows of 128 tokens, batch and text. Ours keeps documents apart; the peer's rows run over
their ends, as nanoGPT's do.
"""

from __future__ import annotations

import numpy as np

from benchmarks.harness import described, paired, parser, report
from benchmarks.text_ours import made, shares, text_settled, tokens
from benchmarks.text_peers import PlainGPT, precision
from foretell.train import fit

LENGTH = 128


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--vocabulary", type=int, default=30_000)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--steps", type=int, default=4, help="steps a round")
    args = options.parse_args()

    store = tokens("gpt", args.vocabulary)
    ours = made("gpt", store, length=LENGTH, network={"size": "mini"})
    start, work = text_settled(ours, args.batch, args.device)
    config = start.model_copy(update={"steps": args.steps})
    peer = PlainGPT(ours.encoder.shape, store.ids, length=LENGTH, batch=args.batch, device=args.device)
    fit(ours, config.model_copy(update={"steps": 1}))  # warm-up
    peer.train_steps(1)

    pairing = paired(lambda: fit(ours, config), lambda: peer.train_steps(args.steps), args.rounds)
    rows = args.batch * args.steps
    content = rows * LENGTH * ours.rows_of(0, 0).filled
    ratio = pairing.ratio * content / (rows * LENGTH)
    figures = described(pairing) | {
        "ratio in tokens": f"{ratio:.2f}",
        "tokens a second, ours": f"{content / float(np.median(pairing.ours)):,.0f}",
        "tokens a second, nanoGPT's way": f"{rows * LENGTH / float(np.median(pairing.peer)):,.0f}",
        "precision": config.precision,
        "precision, nanoGPT's way": precision(args.device),
        **shares(work, rows, pairing.ours, args.device),
    }
    report(
        args,
        "Causal pretraining",
        figures,
        "at least 2 times the tokens a second of that loop",
        ratio >= 2,
    )


if __name__ == "__main__":
    main()
