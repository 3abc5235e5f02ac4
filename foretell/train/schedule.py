"""Learning rates over the steps of a run."""

from __future__ import annotations

import math

from foretell.train.config import TrainingConfig


def linear_rule(batch: int, base: float = 0.3) -> float:
    """``base`` x batch / 256: SimCLR's rule for large batches and long runs (Goyal et al. 2017, arXiv 1706.02677)."""
    return base * batch / 256


def peak_rate(config: TrainingConfig) -> float:
    """The rate at the end of the warm-up, for a global batch of ``config.batch``.

    "auto" is, by optimiser: lars 0.075 sqrt(batch) (SimCLR, arXiv 2002.05709, appendix B.1: better than
    ``linear_rule`` for small batches and short runs); sgd 0.1 batch / 256 (Goyal et al. 2017); adamw 0.001
    sqrt(batch / 256) (the square-root rule of Malladi et al. 2022, arXiv 2205.10287).
    """
    if config.rate != "auto":
        return config.rate
    if config.optimizer == "lars":
        return 0.075 * math.sqrt(config.batch)
    if config.optimizer == "sgd":
        return linear_rule(config.batch, 0.1)
    return 1e-3 * math.sqrt(config.batch / 256)


def warmup_steps(steps: int, config: TrainingConfig) -> int:
    """How many of ``steps`` are warm-up; at least one step stays after it."""
    return min(round(config.warmup * steps), steps - 1)


def rate_at(step: int, steps: int, config: TrainingConfig) -> float:
    """The rate of step ``step`` (from 0) of ``steps``.

    Linear from peak / (w + 1) at step 0 to the peak at step w, the number of warm-up steps (the authors' code starts at
    0, which spends a step on nothing); then a cosine that would be zero at step ``steps``, without restarts, or
    a straight line to a ten-thousandth of the peak (word2vec's), or constant.
    """
    peak = peak_rate(config)
    warm = warmup_steps(steps, config)
    if step < warm:
        return peak * (step + 1) / (warm + 1)
    if config.schedule == "constant":
        return peak
    if config.schedule == "linear":
        return peak * max(1 - (step - warm) / (steps - warm), 1e-4)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
