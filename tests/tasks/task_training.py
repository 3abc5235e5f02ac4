"""What the tests of tasks share: a head of random weights, a few steps of training, and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from foretell.encoders.language import LanguageModel
from foretell.tasks.base import TextTask
from foretell.tasks.inputs import Index


def random_head(task: TextTask, width: int) -> torch.nn.Module:
    head = task.head(width, 0.0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return head.eval()


def loss_of(task: TextTask, model: LanguageModel, head: torch.nn.Module, positions: Index) -> torch.Tensor:
    inputs = task.inputs(positions)
    return task.loss(task.scores(head, inputs.states(model), inputs), task.targets(positions), inputs)


def learnt(task: TextTask, model: LanguageModel, steps: int = 120) -> tuple[torch.nn.Module, list[float]]:
    """A head after ``steps`` on all of ``task`` at once, and the losses."""
    head = task.head(model.dim, 0.0)
    optimizer = torch.optim.Adam([*model.net.parameters(), *head.parameters()], lr=3e-3)
    losses = []
    for _ in range(steps):
        loss = loss_of(task, model, head, np.arange(len(task)))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return head.eval(), losses


def foretold(task: TextTask, model: LanguageModel, head: torch.nn.Module, positions: Index | None = None) -> Any:
    positions = np.arange(len(task)) if positions is None else positions
    inputs = task.inputs(positions)
    with torch.no_grad():
        return task.predictions(task.scores(head, inputs.states(model.eval()), inputs), inputs, positions)
