"""The whole SimCLR training step, data and views included, beside lightly's own example loop.

    python -m benchmarks.training_step [--device cuda] [--json benchmarks/results.json]

ResNet-18 with a small-image stem, 32 px, batch 256 (source images, two views each). The images are the embedded colour
set repeated to as many batches as a round has; the peer starts a round with its workers running and their queues empty, so
that nothing of a round's work is done before its clock runs. It computes in float32, as its example does; ours takes the
precision that is measured to be fastest here.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.harness import described, paired, parser, report
from benchmarks.peers import LightlySimCLR, batches_a_round, lightly_loader, small_stem_resnet18, workers
from benchmarks.settle import settled
from foretell.data.store import open_images
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.objectives.simclr import SimCLR
from foretell.train import fit
from foretell.train.config import TrainingConfig
from foretell.train.machine import limits
from foretell.views import plain
from foretell.views.config import ViewConfig


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--batch", type=int, default=256)
    options.add_argument("--side", type=int, default=32)
    options.add_argument("--steps", type=int, default=None, help="steps a round (default: 2, on a GPU 8 a worker)")
    args = options.parse_args()
    steps = batches_a_round(args.device, args.steps)

    full = open_images("@emoji")
    store = full.subset(np.arange(args.batch * steps) % len(full))
    small = plain(store.read(np.arange(len(store))), args.side)
    images = (small.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)

    views = ViewConfig(side=args.side, blur=0.0)
    encoder = build_encoder(EncoderConfig(name="resnet18", stem="small"), 3, args.side)
    ours = SimCLR(SimCLR.Config(views=views, temperature=0.5), encoder, store)
    start = TrainingConfig(batch=args.batch, steps=1, optimizer="sgd", rate=0.06, device=args.device)
    config, work = settled(ours, start.model_copy(update={"steps": steps}))
    fit(ours, config.model_copy(update={"steps": 1}))  # warm-up

    peer = LightlySimCLR(*small_stem_resnet18(), device=args.device)
    loader = lightly_loader(images, args.batch, args.side)

    def peer_round() -> None:
        for views in loader:
            peer.step(views)
        if args.device != "cpu":
            torch.cuda.synchronize()

    def our_round() -> None:
        fit(ours, config)
        if args.device != "cpu":
            torch.cuda.synchronize()

    peer_round()  # warm-up, which starts its workers
    pairing = paired(our_round, peer_round, args.rounds)
    machine = limits(args.device)
    done = args.batch * steps
    rates = [done / second for second in pairing.ours]
    rate = float(np.median(rates))
    flops = work * rate
    peak = max(machine.float32_flops, machine.bfloat16_flops)
    figures = described(pairing) | {
        "steps a round": steps,
        "precision and layout chosen": f"{config.precision}, {config.layout}",
        "precision, lightly": "float32",
        "workers, lightly": workers(),
        "images a second, ours": f"{rate:.1f}",
        "images a second, lightly": f"{done / float(np.median(pairing.peer)):.1f}",
        "work an image (two views, both ways)": f"{work / 1e9:.2f} GFLOP",
        "matrix product, float32": f"{machine.float32_flops / 1e9:.0f} GFLOP/s",
        "matrix product, bfloat16": f"{machine.bfloat16_flops / 1e9:.1f} GFLOP/s",
        "share of the faster peak, ours": f"{flops / peak:.2f}",
    }
    report(
        args,
        # machines where bfloat16 does not pay are another case, and have a row of their own
        "SimCLR training step" + ("" if config.precision == "bfloat16" or args.device != "cpu" else " in float32"),
        figures,
        "at least 3 times lightly's loop, at least 0.60 of the measured bf16 peak",
        pairing.ratio >= 3 and flops >= 0.6 * machine.bfloat16_flops,
    )


if __name__ == "__main__":
    main()
