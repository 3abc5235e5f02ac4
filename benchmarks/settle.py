"""Our side of a training benchmark, settled as a run would: the precision and layout measured here, and its work."""

from __future__ import annotations

import torch

from foretell.counters import Rows
from foretell.objectives.base import Objective
from foretell.train import measure
from foretell.train.config import TrainingConfig


def settled(objective: Objective, start: TrainingConfig) -> tuple[TrainingConfig, float]:
    """(``start`` with precision and layout, operations a sample); ``objective`` is moved to the device of ``start``."""
    rows, device = Rows.of_rank(start.batch), torch.device(start.device)
    objective.to(device)
    precision, layout = measure.choose(objective, start, rows, device, print)
    work = measure.flops_per_sample(objective, start, rows, device)
    return start.model_copy(update={"precision": precision, "layout": layout}), work
