"""Whether an encoder still tells samples apart, judged without labels.

All functions take embeddings (N, D), float, one row a sample.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from foretell.counters import Rng, Rows, seed_of
from foretell.objectives.base import Batch, Task, Trainable
from foretell.train.monitor import undisturbed

# Embeddings whose spread (deviation x sqrt(D), about sqrt(1 - mean cosine)) is below this have a mean cosine above
# 0.9999: to any head they are one point. Untrained networks of usual depth are at 0.03 or more.
COLLAPSED_SPREAD = 0.01
# An effective rank this small leaves less than one direction beside the mean.
COLLAPSED_RANK = 1.05
# An effective rank below this leaves less than one further direction; a uniformity of the views above this says that they lie in
# nearly one point, those of one sample no nearer to each other than to all others. Untrained networks are above -0.02, those that
# learn below -1 within their first tens of steps.
ALIKE_RANK = 2.0
ALIKE_UNIFORMITY = -0.1
# Measurements from which on nothing that speaks against embeddings speaks for them: of fewer, none can be seen to fall.
ENOUGH = 3
# Share of the largest value seen so far below which spread or effective rank counts as falling.
FALLING = 1 / 3
# A mean loss that differs from its chance value by no more than this share of it says that nothing is foretold: embeddings
# that are all alike give exactly that value. A loss above it is no collapse: it foretells confidently, and wrongly.
AT_CHANCE = 0.005
# Spread and effective rank that are both this many times those of the measurement before are growing: no collapse either.
GROWING = 1.05
HEALTHY = "healthy"
EARLY = "too early to judge"
FINE = (HEALTHY, EARLY)  # verdicts that find no fault
# Samples the judgement is made on, and how many are embedded at a time.
SAMPLES, AT_ONCE = 512, 128


def rankme(z: Tensor, epsilon: float = 1e-7) -> float:
    """Effective rank in [1, min(N, D)]: exp of the entropy of the singular values (Garrido et al. 2023, 2210.02885).

    nan when a value is not finite.
    """
    if not bool(torch.isfinite(z).all()):
        return math.nan
    values = torch.linalg.svdvals(z.double())
    total = values.sum()
    if total == 0:
        return 1.0
    p = values / total + epsilon
    return float(torch.exp(-(p * p.log()).sum()))


def deviation(z: Tensor) -> float:
    """Mean over dimensions of the standard deviation of the normalised rows (Chen and He 2020, 2011.10566, figure 2).

    0 when all embeddings point one way, 1 / sqrt(D) when they are spread evenly over the sphere.
    """
    return float(F.normalize(z.double(), dim=1).std(0, correction=0).mean())


def alignment(a: Tensor, b: Tensor) -> float:
    """Mean squared distance of the normalised views of one sample, in [0, 4]; low is good (Wang and Isola 2020)."""
    return float((F.normalize(a.double(), dim=1) - F.normalize(b.double(), dim=1)).square().sum(1).mean())


def uniformity(z: Tensor, t: float = 2.0) -> float:
    """log mean exp(-t |x - y|^2) over pairs of normalised rows, in [-4 t, 0]; low is good (Wang and Isola 2020).

    nan for a single row.
    """
    squared = torch.pdist(F.normalize(z.double(), dim=1)).square()
    return float(torch.logsumexp(-t * squared, 0) - math.log(len(squared))) if len(squared) else math.nan


@dataclass
class Verdict:
    """A plain judgement from one measurement after another.

    * "collapsed since step N": the spread (``deviation`` x sqrt(D)) is below COLLAPSED_SPREAD, or ``rankme`` below
      COLLAPSED_RANK: all samples look alike;
    * "collapsing since step N": spread or ``rankme`` is below FALLING of the largest seen, or the loss has been at its
      chance value for two measurements after the warm-up and not both of them are growing;
    * "the loss has been above its chance value (...) since step N: ...": for two measurements after the warm-up;
    * "nearly alike since step N": ``rankme`` is below ALIKE_RANK, or the uniformity of the views above ALIKE_UNIFORMITY;
    * "not finite since step N": the embeddings have values that are no numbers;
    * "too early to judge" otherwise, before the ENOUGH-th measurement;
    * "healthy" otherwise.

    N is the first measurement since which the embeddings have not been healthy, or the loss has been above chance.
    """

    largest_rank: float = 0.0
    largest_spread: float = 0.0
    since: int | None = None
    at_chance: list[int] = field(default_factory=list)
    above_chance: list[int] = field(default_factory=list)
    before: tuple[float, float] = (math.inf, math.inf)  # rank and spread of the measurement before
    last: str = EARLY
    measured: int = 0

    def judge(
        self,
        step: int,
        rank: float,
        spread: float,
        *,
        uniform: float | None = None,
        loss_at_chance: bool = False,
        exceeded: float | None = None,
    ) -> str:
        """The verdict at ``step``.

        ``uniform``: the ``uniformity`` of the views that the loss compares, where there are some; ``loss_at_chance``:
        the loss is at its chance value; ``exceeded``: that value, where the loss is above it. Both are said only after
        the warm-up.
        """
        self.above_chance = [] if exceeded is None else [*self.above_chance, step]
        self.measured += 1
        self.last = self._judge(step, rank, spread, uniform, loss_at_chance)
        if self.last in FINE and exceeded is not None and len(self.above_chance) >= 2:
            self.last = (
                f"the loss has been above its chance value ({exceeded:.3g}) since step {self.above_chance[0]}: lower the "
                "rate or train longer"
            )
        self.before = (rank, spread)
        return self.last

    def _judge(self, step: int, rank: float, spread: float, uniform: float | None, loss_at_chance: bool) -> str:
        growing = rank > GROWING * self.before[0] and spread > GROWING * self.before[1]
        self.at_chance = [*self.at_chance, step] if loss_at_chance and not growing else []
        finite = math.isfinite(rank) and math.isfinite(spread)
        if finite:
            self.largest_rank = max(self.largest_rank, rank)
            self.largest_spread = max(self.largest_spread, spread)
        stuck = len(self.at_chance) >= 2
        falling = rank < FALLING * self.largest_rank or spread < FALLING * self.largest_spread
        if not finite:
            state = "not finite"
        elif spread < COLLAPSED_SPREAD or rank < COLLAPSED_RANK:
            state = "collapsed"
        elif falling or stuck:
            state = "collapsing"
        elif rank < ALIKE_RANK or (uniform is not None and uniform > ALIKE_UNIFORMITY):
            state = "nearly alike"
        else:
            self.since = None
            return HEALTHY if self.measured >= ENOUGH else EARLY
        if self.since is None:
            self.since = self.at_chance[0] if stuck else step
        return f"{state} since step {self.since}"

    def state(self) -> dict[str, Any]:
        return asdict(self)


class Health:
    """Judges a trainable on one fixed batch, at most SAMPLES samples, without disturbing its training."""

    def __init__(self, trainable: Trainable, seed: int, device: torch.device, verdict: Verdict | None) -> None:
        self.trainable = trainable
        self.device = device
        self.verdict = verdict or Verdict()
        count = min(SAMPLES, trainable.steps_per_epoch(1))
        self.rows = Rows(0, count, count)
        self.seed = seed_of(seed, "health")
        self.batch: Batch = trainable.draw(next(iter(trainable.streams())), self.seed, 0, self.rows).to(device)

    def __call__(self, step: int, *, loss: float, chance: float | None, warm: bool) -> dict[str, Any]:
        """The "health" line of metrics.jsonl after ``step`` steps.

        ``loss``: mean since the last measurement; ``chance``: the trainable's ``chance_loss``; ``warm``: whether the
        warm-up is over.
        """
        with undisturbed(self.trainable), torch.no_grad():
            self.trainable.eval()
            z, views = self._embed()
        rank, spread = rankme(z), deviation(z)
        at_chance, above = False, None
        if warm and chance is not None:
            at_chance = abs(loss - chance) <= AT_CHANCE * chance
            above = chance if loss > chance and not at_chance else None
        spread_out = spread * math.sqrt(z.shape[1])
        beside = {} if views is None else {"alignment": alignment(*views), "uniformity": uniformity(views[0])}
        verdict = self.verdict.judge(
            step, rank, spread_out, uniform=beside.get("uniformity"), loss_at_chance=at_chance, exceeded=above
        )
        return {"rankme": rank, "deviation": spread, "verdict": verdict, **beside}

    def _embed(self) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """(N, D) embeddings, and those of the two views the loss compares, where there are two."""
        plain, first, second = [], [], []
        for start in range(0, len(self.rows), AT_ONCE):
            rows = Rows(start, min(start + AT_ONCE, len(self.rows)), self.rows.total)
            batch = self.batch.rows(rows.start, rows.stop)
            plain.append(self.trainable.health(batch).float())
            views = self._views(self.trainable.hide(batch, Rng(self.seed, 0, rows, self.device)))
            if views is not None:
                first.append(views[0].float())
                second.append(views[1].float())
        return torch.cat(plain), (torch.cat(first), torch.cat(second)) if first else None

    def _views(self, task: Task) -> tuple[Tensor, Tensor] | None:
        if not {"a", "b"} <= task.visible.keys():
            return None
        embed = getattr(self.trainable, "embed", None)
        if embed is not None:
            z = embed(task)
            if z.ndim == 3 and z.shape[1] == 2:
                return z[:, 0], z[:, 1]
        pooled = getattr(getattr(self.trainable, "encoder", None), "pooled", None)
        if pooled is None:
            return None
        return pooled(task.visible["a"]), pooled(task.visible["b"])
