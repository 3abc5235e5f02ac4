"""What five minutes of Foretell's SimCLR are worth beside ten of lightly's example loop, on the embedded colour set.

    python -m benchmarks.colour_knn [--seeds 3] [--ours 5m] [--peer 10m] [--json benchmarks/results.json]

Same encoder (resnet_tiny), batch and image side; the training part of the set, the same for both; k-nearest neighbours
(k = 20, cosine) on the fixed test part, whose concepts are not in the training part. Each side has its own loss, optimiser
and views, as it recommends them: ours is the packaged recipe ``colour``, lightly's is its SimCLR example. Random features are
those of the same network with batch norm measured on training images.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from benchmarks.harness import parser, report
from benchmarks.peers import LightlySimCLR, lightly_loader, workers
from foretell import objectives
from foretell.counters import seed_of
from foretell.data.store import ImageStore, open_images
from foretell.encoders import build_encoder
from foretell.encoders.base import Encoder
from foretell.measures.intervals import Interval, paired, t_interval
from foretell.measures.knn import knn
from foretell.recipe import Recipe
from foretell.train import fit
from foretell.train.budget import seconds_of
from foretell.transfer.images.features import extract, random_encoder
from foretell.views import ViewConfig, plain


def accuracy(encoder: Encoder, store: ImageStore, parts: dict[str, np.ndarray], views: ViewConfig) -> float:
    codes, classes = store.table.codes("label")
    x = {name: extract(encoder, store, rows, views) for name, rows in parts.items()}
    votes = knn(x["train"], codes[parts["train"]], x["test"], k=20, classes=len(classes)).cpu().numpy()
    return 100 * float((votes.argmax(axis=1) == codes[parts["test"]]).mean())


def fresh(recipe: Recipe, store: ImageStore, seed: int) -> Encoder:
    torch.manual_seed(seed_of(seed, "weights"))
    return build_encoder(recipe.encoder, store.channels, recipe.objective.views.side)  # type: ignore[attr-defined]


def untrained(like: Encoder, store: ImageStore, parts: dict[str, np.ndarray], views: ViewConfig, seed: int) -> float:
    """The accuracy of random weights, with batch norm measured on training images, in percent."""
    encoder = random_encoder(like, seed, store, parts["train"], views)
    return accuracy(encoder, store, parts, views)


def how(difference: Interval) -> str:
    """What to say beside a verdict by the mean of ``difference``, where its interval does not bear it out."""
    return " on average; the interval spans 0" if difference.verdict == "undecided" else ""


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--ours", default="5m")
    options.add_argument("--peer", default="10m")
    args = options.parse_args()

    store = open_images("@emoji")
    split = np.array(store.table.column("split"), dtype=object)
    parts = {name: np.flatnonzero(split == name) for name in ("train", "test")}
    part = store.subset(parts["train"])
    base = Recipe.load("colour")
    side, batch = base.objective.views.side, base.training.batch  # type: ignore[attr-defined]
    images = (plain(part.read(np.arange(len(part))), side).permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)

    loader = lightly_loader(images, batch, side)
    for _ in loader:  # starts its workers
        pass
    scores: dict[str, list[float]] = {"ours": [], "lightly": [], "random": []}
    seen: dict[str, list[int]] = {"ours": [], "lightly": []}
    for seed in range(args.seeds):
        recipe = Recipe.load(
            "colour", {"training.seed": seed, "training.time": args.ours, "training.device": args.device}
        )
        encoder = fresh(recipe, store, seed)
        task = objectives.get("simclr")(recipe.objective, encoder, part)  # type: ignore[call-arg]
        views = task.views  # type: ignore[attr-defined]
        scores["random"].append(untrained(encoder, store, parts, views, seed))
        began = time.perf_counter()
        result = fit(task, recipe.training)
        ours_took = time.perf_counter() - began
        seen["ours"].append(result.samples)
        scores["ours"].append(accuracy(encoder, store, parts, views))

        theirs = fresh(recipe, store, seed)
        peer = LightlySimCLR(theirs, theirs.dim, args.device)
        peer.train()
        began, count, allowed = time.perf_counter(), 0, seconds_of(args.peer)
        while time.perf_counter() - began < allowed:
            for pair in loader:
                peer.step(pair)
                count += batch
                if time.perf_counter() - began >= allowed:
                    break
        peer_took = time.perf_counter() - began
        seen["lightly"].append(count)
        # lightly's transform normalises with ImageNet's statistics
        imagenet = views.model_copy(update={"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)})
        scores["lightly"].append(accuracy(theirs, store, parts, imagenet))
        print(
            f"seed {seed}: ours {scores['ours'][-1]:.1f} in {ours_took:.0f} s, lightly {scores['lightly'][-1]:.1f} in "
            f"{peer_took:.0f} s, random {scores['random'][-1]:.1f}",
            flush=True,
        )
    difference = paired(scores["ours"], scores["lightly"])
    figures = {
        **{
            f"kNN accuracy, {name}, {args.seeds} seeds": f"{t_interval(values).mean:.1f} "
            f"({', '.join(f'{value:.1f}' for value in values)})"
            for name, values in scores.items()
        },
        "ours minus lightly, 95% interval": f"{difference.mean:+.1f} ({difference.low:+.1f} to {difference.high:+.1f})",
        "images seen, ours and lightly (median)": f"{np.median(seen['ours']):.0f} and {np.median(seen['lightly']):.0f}",
        "time, ours and lightly": f"{args.ours} and {args.peer}",
        "workers, lightly": workers(),
    }
    report(
        args,
        "kNN on the colour set",
        figures,
        "after 5 minutes at least lightly's accuracy after 10, the mean of three seeds",
        difference.mean >= 0,
        how=how(difference),
    )


if __name__ == "__main__":
    main()
