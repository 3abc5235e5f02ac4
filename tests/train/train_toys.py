"""Small trainables on the digits of scikit-learn, for the tests of the loop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from foretell.counters import Rng, Rows, seed_of
from foretell.distributed import gather, rank
from foretell.errors import InputError
from foretell.objectives.base import Contrastive, Player, Task, Trainable
from foretell.run import Run
from foretell.settings import Settings
from foretell.train import TrainingConfig

PLAIN = {"precision": "float32", "layout": "contiguous", "device": "cpu", "optimizer": "adamw", "rate": 0.01}


@cache
def digits() -> tuple[Tensor, Tensor]:
    """(1797, 64) in [0, 1] and (1797,) classes."""
    found = load_digits()
    return torch.from_numpy(found.data.astype(np.float32) / 16), torch.from_numpy(found.target.astype(np.int64))


@dataclass
class Rowed:
    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: Any) -> Rowed:
        return Rowed(self.x.to(device), self.y.to(device))

    def rows(self, start: int, stop: int) -> Rowed:
        return Rowed(self.x[start:stop], self.y[start:stop])


class Toy(Trainable):
    class Config(Settings):
        width: int = 16
        dropout: float = 0.0
        norm: bool = False

    def __init__(self, seed: int = 0, count: int = 1797, **settings: Any) -> None:
        super().__init__()
        self.config = self.Config(**settings)
        self.count = count
        before = torch.get_rng_state()
        torch.manual_seed(seed)
        self.build()
        torch.set_rng_state(before)

    def body(self) -> nn.Sequential:
        width = self.config.width
        norm = [nn.BatchNorm1d(width)] if self.config.norm else []
        return nn.Sequential(nn.Linear(64, width), *norm, nn.ReLU(), nn.Dropout(self.config.dropout))

    def build(self) -> None:
        self.encoder = self.body()
        self.head = nn.Linear(self.config.width, 10)

    def steps_per_epoch(self, batch: int) -> int:
        if self.count < batch:
            raise InputError(f"{self.count} samples are fewer than a batch of {batch}; lower training.batch")
        return self.count // batch

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> Rowed:
        generator = torch.Generator().manual_seed(seed_of(seed, step, stream, "draw"))
        index = torch.randperm(self.count, generator=generator)[rows.start : rows.stop]
        x, y = digits()
        return Rowed(x[index], y[index])

    def hide(self, batch: Rowed, rng: Rng) -> Task:
        return Task({"x": batch.x + 0.1 * rng.normal("noise", 64)}, {"y": batch.y})

    def health(self, batch: Rowed) -> Tensor:
        return self.encoder(batch.x)


class Classes(Toy):
    """A mean loss."""

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        scores = self.head(self.encoder(task.visible["x"]))
        right = (scores.argmax(1) == task.hidden["y"]).float().mean()
        return {"total": F.cross_entropy(scores, task.hidden["y"]), "accuracy": right}


class Pairs(Toy, Contrastive):
    """NT-Xent of two noisy copies, with a temperature that is learnt."""

    accumulation = "cached"

    def build(self) -> None:
        self.encoder = self.body()
        self.head = nn.Linear(self.config.width, 8)
        self.heat = nn.Parameter(torch.zeros(()))

    def hide(self, batch: Rowed, rng: Rng) -> Task:
        return Task({name: batch.x + 0.3 * rng.normal(name, 64) for name in ("a", "b")})

    def embed(self, task: Task) -> Tensor:
        return torch.stack([self.head(self.encoder(task.visible[name])) for name in ("a", "b")], 1)

    def loss_from(self, embedded: Tensor, task: Task) -> dict[str, Tensor]:
        own = F.normalize(embedded, dim=2)
        size = len(own)
        others = torch.cat([gather(own[:, 0]), gather(own[:, 1])])
        total = len(others) // 2
        row = torch.arange(size) + rank() * size
        logits = own.transpose(0, 1).reshape(2 * size, -1) @ others.T * torch.exp(self.heat) * 5
        logits = logits.scatter(1, torch.cat([row, row + total])[:, None], float("-inf"))
        return {"total": F.cross_entropy(logits, torch.cat([row + total, row]))}

    def chance_loss(self, batch: int) -> float:
        return float(np.log(2 * batch - 1))


class Rivals(Toy):
    """Two players with one shared forward pass and dropout: a classifier, and a critic that guesses the classes from
    the code; the encoder is also pushed to fool the critic."""

    def build(self) -> None:
        self.encoder = self.body()
        self.head = nn.Linear(self.config.width, 10)
        self.critic = nn.Sequential(
            nn.Linear(self.config.width, 8), nn.ReLU(), nn.Dropout(self.config.dropout), nn.Linear(8, 2)
        )
        self.unused = nn.Linear(3, 3)

    def players(self) -> dict[str, Player]:
        named = list(self.named_parameters())
        return {
            "critic": Player([(n, p) for n, p in named if n.startswith("critic")], rate=2.0, betas=(0.5, 0.9)),
            "main": Player([(n, p) for n, p in named if not n.startswith("critic")], scales={"encoder.0.weight": 0.5}),
        }

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        if "code" not in task.cache:
            task.cache["code"] = self.encoder(task.visible["x"])
        code, even = task.cache["code"], task.hidden["y"] % 2
        if player == "critic":
            return {"total": F.cross_entropy(self.critic(code.detach()), even)}
        fooled = -F.cross_entropy(self.critic(code), even)
        classes = F.cross_entropy(self.head(code), task.hidden["y"])
        return {"total": classes + 0.1 * fooled, "classes": classes.detach()}


class Mixed(Classes):
    """Two streams; one never uses the head, so that a step leaves parameters without gradient."""

    def streams(self) -> dict[str, float]:
        return {"labelled": 3.0, "image": 1.0}

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> Rowed:
        batch = super().draw(stream, seed, step, rows)
        return batch if stream == "labelled" else Rowed(batch.x, torch.full_like(batch.y, -1))

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        if bool((task.hidden["y"] < 0).all()):
            return {"total": self.encoder(task.visible["x"]).square().mean()}
        return super().loss(task, player)


class Breaks(Classes):
    """The loss is not finite at one step."""

    def hide(self, batch: Rowed, rng: Rng) -> Task:
        task = super().hide(batch, rng)
        task.hidden["broken"] = torch.full((len(batch),), float("nan") if rng.step == self.config.width else 0.0)
        return task

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        losses = super().loss(task, player)
        penalty = task.hidden["broken"].mean()
        return {**losses, "total": losses["total"] + penalty, "penalty": penalty}


@contextmanager
def new_run(path: Path) -> Iterator[Run]:
    """A run folder as the command line makes it."""
    run = Run.create(path)
    (path / "recipe.toml").write_text("")
    with closing(run):
        yield run


def old_run(path: Path) -> closing[Run]:
    """The run folder of an earlier ``new_run``."""
    return closing(Run.resume(path))


def weights(trainable: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainable.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Bit-equal."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def settings(**more: Any) -> TrainingConfig:
    """40 steps of 64 samples, with nothing measured, but for what is given."""
    return TrainingConfig(**({"batch": 64, "steps": 40} | PLAIN | more))


class Terminated(Classes):
    """Asked to stop while its eighth batch is drawn."""

    def draw(self, stream, seed, step, rows):
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().draw(stream, seed, step, rows)


class Score:
    """A monitor with the values it is told."""

    name = "score"

    def __init__(self, values, every=5, higher_is_better=True):
        self.values, self.every, self.higher_is_better = list(values), every, higher_is_better
        self.asked = []

    def __call__(self, trainable, step):
        self.asked.append(step)
        trainable.eval()
        torch.manual_seed(99)
        return self.values[min(len(self.asked), len(self.values)) - 1]
