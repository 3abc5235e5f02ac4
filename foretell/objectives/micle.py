"""MICLe: agreement between two different images of one case against the images of all other cases of the batch.

Paper: Azizi et al., "Big self-supervised models advance medical image classification" (arXiv 2101.05224), section 3.2.
The code its authors released later pairs two views of one image; this follows the paper.
Hidden: which images come from the same case. Foretold: for each, its partner among the batch's 2N - 1 others.
Use it where a case has several images (photographs of one lesion, views of one study): viewpoint, light and device change
within it, what it shows does not. Begin from an encoder that SimCLR has trained on the same images, as the paper does.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from foretell.counters import Rng, Rows, seed_of
from foretell.data.bags import Bags, Pairs
from foretell.data.images import Images
from foretell.data.sampler import Sampler
from foretell.data.store import ImageStore
from foretell.data.table import many
from foretell.encoders.base import Encoder
from foretell.errors import InputError
from foretell.objectives.base import Exhibit
from foretell.objectives.simclr import SimCLR
from foretell.views import denormalise, plain

# What a bag is -> the columns whose values its images share (COLUMNS), of which one of NEEDED must be there.
COLUMNS = {"case": ("group", "case"), "study": ("group", "study"), "patient": ("group",)}
NEEDED = {"case": ("case", "group"), "study": ("study",), "patient": ("group",)}


class MICLe(SimCLR):
    name = "micle"
    paper = "Azizi et al. 2021, arXiv 2101.05224"
    hides = "which two images come from the same case"
    foretells = "the partner of each image among those of all cases of the batch"
    needs = "cases of several images: a manifest with group (the patient), case or study"
    good_for = "several photographs or views of one finding. Where each case has one image it is SimCLR"
    columns = ("group", "case", "study")
    drawn_as = MappingProxyType({"a": "a", "b": "b"})

    class Config(SimCLR.Config):
        """``views`` as for SimCLR; for X-rays see the recipe ``xray``, for photographs of skin ``dermatology``."""

        bag: Literal["case", "study", "patient"] = Field(
            "case",
            description="whose images are pairs: of one case (of one group where there are no cases), of one study, or of "
            "one patient (group) across studies",
        )

    def __init__(self, config: MICLe.Config, encoder: Encoder, store: ImageStore) -> None:
        super().__init__(config, encoder, store)
        needed = NEEDED[config.bag]
        if not any(name in store.table for name in needed):
            raise InputError(
                f"{store.source}: has no column {' or '.join(needed)}, so that nothing says which images are of one "
                f"{config.bag}; give a manifest with one (or name it: --set data.columns.{needed[-1]}=NAME), or use "
                "--objective simclr"
            )
        self.bags = Bags(store.table, COLUMNS[config.bag])
        if len(self.bags) == 1:
            raise InputError(
                f"{store.source}: all images to learn from are of one {config.bag}, which nothing can be told from; expected "
                "two or more, or use --objective simclr"
            )

    @classmethod
    def samples(cls, config: MICLe.Config, store: ImageStore) -> tuple[int, str]:
        if not any(name in store.table for name in NEEDED[config.bag]):
            return super().samples(config, store)  # refused when it is built
        return len(Bags(store.table, COLUMNS[config.bag])), "cases"

    @property
    def notes(self) -> list[str]:
        bags = self.bags
        if bags.single == 1:
            return [
                f"each of the {many(len(bags), 'case')} has one image: no pair of different ones, so this is SimCLR"
            ]
        mean = len(bags.of_row) / len(bags)
        said = f"{many(len(bags), 'case')}, {mean:.1f} images each (at most {int(bags.sizes.max())})"
        return [f"{said}; {bags.single:.0%} have one image, which is paired with itself"]

    def streams(self) -> dict[str, float]:
        return {"case": 1.0}

    def steps_per_epoch(self, batch: int) -> int:
        return Sampler(len(self.bags), 0, "cases").steps(batch)

    @property
    def visits_per_epoch(self) -> float:
        """The mean number of images a case: an epoch then draws as many pairs as there are images, as SimCLR's does."""
        return len(self.bags.of_row) / len(self.bags)

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> Pairs:
        """Each case at most once in a batch; which of its images is a function of (seed, step)."""
        bags = Sampler(len(self.bags), seed, "cases").index(step, rows)
        generator = torch.Generator().manual_seed(seed_of("images of a case", seed, step))
        chance = torch.rand(rows.total, 2, generator=generator, dtype=torch.float64)[rows.start : rows.stop]
        first, second = self.bags.pairs(bags, chance.numpy()).T
        return Pairs(self.store.read(first), self.store.read(second))

    def seen(self, batch: Images | Pairs) -> dict[str, Images]:
        one, other = batch.images if isinstance(batch, Pairs) else (batch, batch)
        return {"a": one, "b": other}

    def health(self, batch: Images | Pairs) -> Tensor:
        return super().health(batch.first if isinstance(batch, Pairs) else batch)

    def show(self, batch: Images | Pairs, rng: Rng) -> Exhibit:
        task = self.hide(batch, rng)
        views = {name: denormalise(view, self.views.mean, self.views.std) for name, view in task.visible.items()}
        panels = []
        for number, (name, images) in enumerate(self.seen(batch).items(), start=1):
            panels += [(f"image {number}", plain(images, self.side)), (f"view {number}", views[name])]
        return Exhibit(
            "What MICLe sees",
            "Two images of each case, and the view of each that is shown: the encoder must tell that they belong together.",
            panels,
        )
