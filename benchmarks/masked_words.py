"""Masked-word pretraining beside transformers' Trainer with its masked-language collator.

    python -m benchmarks.masked_words [--vocabulary 8000] [--device cuda] [--json benchmarks/results.json]

A BERT of 4 layers of 256, rows of 128 tokens of real text, the same batch. Ours is `fit` as a run calls it: drawing,
masking, the head at masked places only, the precision that is measured to be fastest, a fused optimiser. The peer is set
up as its run_mlm.py example does: float32 on a processor, bfloat16 on a GPU. Neither side has padding here, so that
every token carries content. Dropout is the same on both sides (0.1 is the peer's own default, 0 ours).
"""

from __future__ import annotations

import numpy as np

from benchmarks.harness import described, paired, parser, report
from benchmarks.text_ours import bf16_share, made, shares, text_settled, tokens
from benchmarks.text_peers import TrainerMLM, precision
from foretell.train import fit

LENGTH = 128
WANTED = {30_000: 3.5, 8_000: 2.0}


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--vocabulary", type=int, default=30_000)
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--steps", type=int, default=8, help="steps a round")
    options.add_argument("--dropout", type=float, default=0.0)
    args = options.parse_args()

    store = tokens("bert", args.vocabulary)
    network = {"size": "mini", "dropout": args.dropout, "attention_dropout": args.dropout}
    ours = made("bert", store, length=LENGTH, network=network)
    start, work = text_settled(ours, args.batch, args.device)
    config = start.model_copy(update={"steps": args.steps})
    peer = TrainerMLM(
        store.tokenizer,
        ours.encoder.shape,
        store.ids,
        length=LENGTH,
        batch=args.batch,
        dropout=args.dropout,
        device=args.device,
    )
    fit(ours, config.model_copy(update={"steps": 1}))  # warm-up
    peer.train(1)

    pairing = paired(lambda: fit(ours, config), lambda: peer.train(args.steps), args.rounds)
    rows = args.batch * args.steps
    held = rows * LENGTH * ours.rows_of(0, 0).filled
    wanted = WANTED.get(args.vocabulary, 2.0)
    share = bf16_share(work, rows, pairing.ours, args.device)
    # a row of the peer is full of content, one of ours holds two special tokens and a little padding
    content = held - 2 * rows
    ratio = pairing.ratio * content / (rows * LENGTH)
    figures = described(pairing) | {
        "ratio in tokens of content": f"{ratio:.2f}",
        "content tokens a second, ours": f"{content / float(np.median(pairing.ours)):,.0f}",
        "content tokens a second, Trainer": f"{rows * LENGTH / float(np.median(pairing.peer)):,.0f}",
        "precision": config.precision,
        "precision, Trainer": precision(args.device),
        "dropout, both": f"{args.dropout:g}",
        **shares(work, rows, pairing.ours, args.device),
    }
    report(
        args,
        f"Masked-word pretraining, vocabulary {args.vocabulary:,}",
        figures,
        f"at least {wanted} times the Trainer's content tokens a second, over 0.35 of the measured bf16 peak",
        ratio >= wanted and share > 0.35,
    )


if __name__ == "__main__":
    main()
