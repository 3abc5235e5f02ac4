"""Do our batched views teach what torchvision's teach? kNN after equal SimCLR training with either, on the colour set.

    python -m benchmarks.views_quality [--seeds 5] [--steps 150] [--json benchmarks/results.json]

Same encoder, weights, images, batches, optimiser and steps; only the views differ: ours, or torchvision's transforms of
the same strengths applied image by image. They differ in what the documentation of ``foretell.views`` states: hue turns in
another space, and torchvision clips between the colour operations.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.colour_knn import accuracy, fresh, untrained
from benchmarks.harness import parser, report
from foretell.counters import Rng, seed_of
from foretell.data.images import Images
from foretell.data.store import open_images
from foretell.measures.intervals import paired, t_interval
from foretell.objectives.base import Task
from foretell.objectives.simclr import SimCLR
from foretell.recipe import Recipe
from foretell.train import fit


class WithTorchvision(SimCLR):
    """SimCLR whose views are torchvision's, with the strengths of ``config.views``."""

    def transform(self) -> torch.nn.Module:
        from torchvision.transforms import v2

        views = self.views
        assert views.mean is not None
        assert views.std is not None
        assert not (views.blur)
        assert not (views.rotation)
        jitter = v2.ColorJitter(views.brightness, views.contrast, views.saturation, views.hue)
        return v2.Compose(
            [
                v2.RandomResizedCrop(self.side, views.scale, views.ratio, antialias=True),
                v2.RandomHorizontalFlip(views.flip),
                v2.ToDtype(torch.float32, scale=True),
                v2.RandomApply([jitter], views.jitter),
                v2.RandomGrayscale(views.grey),
                v2.Normalize(list(views.mean), list(views.std)),
            ]
        )

    def hide(self, batch: Images, rng: Rng) -> Task:
        transform = self.transform()
        made: dict[str, Tensor] = {}
        for name in ("a", "b"):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_of(rng.seed, rng.step, name))
                made[name] = torch.stack([transform(pixels) for pixels in batch.pixels])
        return Task({name: view.to(rng.device) for name, view in made.items()})


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--steps", type=int, default=150)
    options.add_argument("--batch", type=int, default=128)
    args = options.parse_args()

    store = open_images("@emoji")
    split = np.array(store.table.column("split"), dtype=object)
    parts = {name: np.flatnonzero(split == name) for name in ("train", "test")}
    part = store.subset(parts["train"])
    scores: dict[str, list[float]] = {"ours": [], "torchvision": [], "random": []}
    for seed in range(args.seeds):
        recipe = Recipe.load("colour", {"training.seed": seed, "training.device": args.device})
        training = recipe.training.model_copy(
            update={"time": None, "steps": args.steps, "batch": args.batch, "precision": "float32"}
        )
        for name, kind in (("ours", SimCLR), ("torchvision", WithTorchvision)):
            encoder = fresh(recipe, store, seed)
            torch.manual_seed(seed_of(seed, "head"))
            task = kind(recipe.objective, encoder, part)  # type: ignore[arg-type]
            if name == "ours":
                scores["random"].append(untrained(encoder, store, parts, task.views, seed))
            fit(task, training)
            scores[name].append(accuracy(encoder, store, parts, task.views.mean, task.views.std))
        print(f"seed {seed}: " + ", ".join(f"{name} {values[-1]:.1f}" for name, values in scores.items()), flush=True)
    difference = paired(scores["ours"], scores["torchvision"])
    figures = {
        **{
            f"kNN accuracy, {name}": f"{t_interval(values).mean:.1f} ({', '.join(f'{value:.1f}' for value in values)})"
            for name, values in scores.items()
        },
        "ours minus torchvision, 95% interval": f"{difference.mean:+.1f} ({difference.low:+.1f} to {difference.high:+.1f})",
        "seeds, steps, batch": f"{args.seeds}, {args.steps}, {args.batch}",
    }
    report(
        args,
        "views: kNN after equal training",
        figures,
        "equal to torchvision's within the spread over seeds, or better",
        difference.high >= 0,
    )


if __name__ == "__main__":
    main()
