"""A small network regresses the place of a patch in its image from the patch alone, beside the best constant.

Judged on images that it was not trained on (Doersch, Gupta, Efros, arXiv 1505.05192, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foretell.counters import seed_of
from foretell.transfer.images.place_leak import Score

HELD = 1 / 3  # share of the images (of the groups, where there are any) that is held out
VISITS = 24_000  # patches that one network is trained on, repetitions counted
BATCH = 128
BEST = 0.1


@dataclass
class Looks:
    """What the network sees: ``seen`` (N, C, p, p) float32, ``place`` (N, 2) of the centres as shares of the image's
    height and width, ``image`` (N,) int64 the rows they come from.
    """

    seen: Tensor
    place: Tensor
    image: Tensor

    def part(self, chosen: Tensor) -> Looks:
        return Looks(self.seen[chosen], self.place[chosen], self.image[chosen])


def position_net(channels: int, width: int = 16) -> nn.Module:
    """(N, channels, p, p) -> (N, 2)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, 64),
        nn.ReLU(),
        nn.Linear(64, 2),
    )


def _whitening(seen: Tensor) -> tuple[Tensor, Tensor]:
    """(mean (C,), matrix (C, C)) that make the channels uncorrelated and of deviation 1.

    A shift between colours lies in their differences, which are small beside what they share.
    """
    flat = seen.transpose(0, 1).flatten(1)
    mean = flat.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat).double().view(len(flat), -1))
    scale = values.clamp(min=1e-3 * float(values.max()), max=math.inf).clamp(min=1e-12).rsqrt()
    return mean, (vectors * scale @ vectors.T).float()


def foretell_places(train: Looks, test: Looks, seed: int, visits: int = VISITS) -> Tensor:
    """(N, 2) the places of ``test`` as a network trained on ``train`` foretells them."""
    mean, white = _whitening(train.seen[:: max(1, len(train.seen) // 2000)])
    centre, spread = train.place.mean(0), train.place.std(0).clamp(min=1e-6)

    def ready(seen: Tensor) -> Tensor:
        """Each patch twice: as it is, and at the same mean and contrast, where faint patches tell as much as strong ones."""
        flat = white @ (seen - mean[:, None, None]).flatten(2)
        even = flat - flat.mean(2, keepdim=True)
        even = even / even.square().mean((1, 2), keepdim=True).sqrt().clamp(min=0.01)
        return torch.cat([flat, even], 1).view(len(seen), -1, *seen.shape[2:])

    kept, judge = _apart(train, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "position"))
        net = position_net(2 * train.seen.shape[1])
    order = torch.Generator().manual_seed(seed_of(seed, "order"))
    steps = max(50, visits // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    target = (train.place - centre) / spread
    whitened = ready(train.seen)
    for _ in range(steps):
        chosen = kept[torch.randint(len(kept), (BATCH,), generator=order)]
        loss = F.mse_loss(net(whitened[chosen]), target[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    net.eval()

    def told(seen: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([net(part) for part in torch.split(seen, 512)])

    # What it learnt by heart is noise on other images: shrink its answers towards the mean as far as images that it was
    # not trained on ask for, so that a network that has learnt nothing does as well as the constant.
    answers = told(whitened[judge])
    slope = (answers * target[judge]).sum(0) / answers.square().sum(0).clamp(min=1e-12)
    return told(ready(test.seen)) * slope.clamp(0, 1) * spread + centre


def _apart(train: Looks, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to train on, and those of a sixth of the images to judge by."""
    names = torch.unique(train.image)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed_of(seed, "judge")))
    judge = torch.isin(train.image, names[order[: max(1, len(names) // 6)]])
    return torch.nonzero(~judge)[:, 0], torch.nonzero(judge)[:, 0]


def _distance(error: Tensor) -> float:
    return float(error.square().sum(1).mean().sqrt())


def _best(errors: Tensor, constant: Tensor, image: Tensor) -> tuple[float, float]:
    """Both errors on the best tenth of the images, chosen on one half of the patches and measured on the other."""
    half = torch.zeros(len(image), dtype=torch.bool)
    half[::2] = True
    names, code = torch.unique(image, return_inverse=True)
    most = max(1, round(BEST * len(names)))
    own, other = [], []
    for chosen in (half, ~half):
        total = torch.zeros(len(names)).index_add_(0, code[chosen], errors[chosen].square().sum(1))
        count = torch.zeros(len(names)).index_add_(0, code[chosen], torch.ones(int(chosen.sum())))
        best = torch.zeros(len(names), dtype=torch.bool)
        best[(total / count.clamp(min=1)).argsort()[:most]] = True
        measured = best[code] & ~chosen
        own.append(errors[measured])
        other.append(constant[measured])
    return _distance(torch.cat(own)), _distance(torch.cat(other))


def score(looks: Looks, groups: Tensor, seeds: Sequence[int], visits: int = VISITS) -> Score:
    """Train and measure once a seed, each with its own held-out images; ``groups`` (N,) are never cut in two."""
    found = Score()
    names = torch.unique(groups)
    for seed in seeds:
        order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed_of(seed, "held out")))
        held = torch.isin(groups, names[order[: max(1, round(HELD * len(names)))]])
        train, test = looks.part(~held), looks.part(held)
        errors = foretell_places(train, test, seed, visits) - test.place
        constant = train.place.mean(0) - test.place
        own, other = _best(errors, constant, test.image)
        found.rmse.append(_distance(errors))
        found.constant.append(_distance(constant))
        found.best.append(own)
        found.best_constant.append(other)
    return found
