"""The masked autoencoder's training step: beside one that embeds every patch, and beside lightly's own example loop.

    python -m benchmarks.mae [--device cuda] [--json benchmarks/results.json]

ViT-Tiny at 32 px with patches of 4 px, ratio 0.75, a decoder of 4 blocks of 128. The step that embeds every patch has the
same decoder and the same loss. lightly's loop is its MAE example with the same networks (its class token goes through the
decoder, as ours does), its transform, its loader and its float32; both rounds read, augment, mask, train. The images are the
embedded colour set repeated to as many batches as a round has; the peer's workers run before a round begins.
"""

from __future__ import annotations

import statistics

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import described, paired, parser, report
from benchmarks.peers import LightlyMAE, batches_a_round, mae_loader, workers
from benchmarks.settle import settled
from foretell.data.store import open_images
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.objectives.base import Task
from foretell.objectives.masked_autoencoder import MaskedAutoencoder
from foretell.train import fit
from foretell.train.config import TrainingConfig
from foretell.train.machine import limits
from foretell.views import plain


class EmbedsAll(MaskedAutoencoder):
    """The same task, with every patch embedded and attended to; the decoder is given the visible ones."""

    def foretell(self, task: Task) -> Tensor:
        keep = task.visible["keep"]
        tokens = self.encoder.tokens(task.visible["image"], prefix=True)
        prefix = tokens.shape[1] - self.grid[0] * self.grid[1]
        seen = tokens[:, prefix:].gather(1, keep[:, :, None].expand(-1, -1, tokens.shape[2]))
        found: Tensor = self.decoder(torch.cat([tokens[:, :prefix], seen], dim=1), keep, task.hidden["drop"])
        return found


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--side", type=int, default=32)
    options.add_argument("--patch", type=int, default=4)
    options.add_argument("--encoder", default="vit_tiny_patch16_224")
    options.add_argument("--steps", type=int, default=None, help="steps a round (default: 2, on a GPU 8 a worker)")
    args = options.parse_args()
    steps = batches_a_round(args.device, args.steps)

    full = open_images("@emoji")
    store = full.subset(np.arange(args.batch * steps) % len(full))
    images = (plain(store.read(np.arange(len(store))), args.side).permute(0, 2, 3, 1).numpy() * 255).round()

    def made(kind: type[MaskedAutoencoder]) -> MaskedAutoencoder:
        torch.manual_seed(0)
        encoder = build_encoder(EncoderConfig(name=args.encoder, patch=args.patch), 3, args.side)
        return kind(MaskedAutoencoder.Config(views={"side": args.side}), encoder, store)

    ours, every = made(MaskedAutoencoder), made(EmbedsAll)
    start = TrainingConfig(batch=args.batch, steps=1, optimizer="adamw", rate=1.5e-4, device=args.device)
    config, work = settled(ours, start.model_copy(update={"steps": steps}))
    decoder = ours.decoder
    peer = LightlyMAE(
        args.encoder,
        side=args.side,
        patch=args.patch,
        width=decoder.embed.out_features,
        depth=len(decoder.blocks),
        heads=decoder.blocks[0].heads,
        device=args.device,
    )
    loader = mae_loader(images.astype(np.uint8), args.batch, args.side)

    def synchronised() -> None:
        if args.device != "cpu":
            torch.cuda.synchronize()

    def trained(objective: MaskedAutoencoder) -> None:
        fit(objective, config)
        synchronised()

    def peer_round() -> None:
        for (views,) in loader:
            peer.step(views)
        synchronised()

    for objective in (ours, every):  # warm-up
        fit(objective, config.model_copy(update={"steps": 1}))
    peer_round()  # which starts its workers

    whole = paired(lambda: trained(ours), lambda: trained(every), args.rounds)
    beside = paired(lambda: trained(ours), peer_round, args.rounds)
    share = 1 / whole.ratio
    done = args.batch * steps
    rate = done / statistics.median(beside.ours)
    machine = limits(args.device)
    peak = max(machine.float32_flops, machine.bfloat16_flops)
    low, high = whole.spread
    figures = {
        "visible only, share of embedding all": f"{share:.2f} ({1 / high:.2f} to {1 / low:.2f})",
        **{f"beside lightly: {key}": value for key, value in described(beside).items()},
        "steps a round": steps,
        "precision and layout chosen": f"{config.precision}, {config.layout}",
        "precision, lightly": "float32",
        "workers, lightly": workers(),
        "images a second, ours": f"{rate:.1f}",
        "images a second, lightly": f"{done / statistics.median(beside.peer):.1f}",
        "work an image (both ways)": f"{work / 1e9:.2f} GFLOP",
        "share of the faster peak, ours": f"{work * rate / peak:.2f}",
    }
    wanted = 1.5 if args.device == "cpu" else 1.0
    report(
        args,
        "MAE training step",
        figures,
        f"under 0.45 of a step that embeds all, and at least {wanted:g} times lightly's images a second",
        share < 0.45 and beside.ratio >= wanted,
    )


if __name__ == "__main__":
    main()
