"""Without batch norm, plain gradient descent leaves the network at chance with fc6 dying out; norm without scale prevents it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.counters import Rng, Rows, seed_of
from foretell.encoders.base import Encoder
from foretell.objectives.patch_localization import PatchLocalization
from foretell.train.config import TrainingConfig
from foretell.train.loop import fit

SOURCE = "@emoji"
WIDTHS = (32, 64, 96, 96, 64)  # the published five layers, scaled down
STEPS, BATCH, RATE = 300, 32, 0.05
MOMENTUM = 0.0  # plain gradient descent, as in the authors' code


class PlainNet(Encoder):
    """Five convolutions with ReLU and pooling after the first two, Xavier weights; batch norm, where there is any, without
    scale and shift on the last three, as published."""

    def __init__(self, channels: int, side: int, norm: bool) -> None:
        super().__init__("plain", WIDTHS[-1], channels, side, "standard")
        layers: list[nn.Module] = []
        before = channels
        for number, width in enumerate(WIDTHS):
            with_norm = norm and number >= 2
            convolution = nn.Conv2d(before, width, 3, padding=1, bias=not with_norm)
            nn.init.xavier_uniform_(convolution.weight)
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)
            layers += [convolution, *([nn.BatchNorm2d(width, affine=False)] if with_norm else []), nn.ReLU()]
            if number < 2:
                layers.append(nn.MaxPool2d(2))
            before = width
        self.net = nn.Sequential(*layers)

    def map(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(x)
        return features

    def pooled(self, x: Tensor) -> Tensor:
        return self.map(x).mean((2, 3))


class PatchCollapse(Claim):
    name = "patch-collapse"
    statement = (
        "Trained by plain gradient descent without batch norm, the loss stays at ln 8 while fc6 stops varying from patch to "
        "patch; batch norm without scale and shift lets the same network learn."
    )
    source = "Doersch et al. 2015 (arXiv 1505.05192), section 3.2"
    data = SOURCE
    minutes = 3.5

    def work(self, lab: Lab) -> list[Finding]:
        rows = {norm: [self._measure(lab, norm, seed) for seed in self.seeds] for norm in ("batch", "none")}

        def of(norm: str, name: str) -> list[float]:
            return [row[name] for row in rows[norm]]

        for norm, measured in rows.items():
            mean = {name: sum(row[name] for row in measured) / len(measured) for name in measured[0]}
            self.notes.append(
                f"norm {norm}: loss {mean['loss']:.3f} (ln 8 = {math.log(8):.3f}), accuracy {mean['accuracy']:.1f}, fc6 varies "
                f"{mean['kept']:.0f}% as much as before training"
            )
        self.notes.append(f"SGD with momentum {MOMENTUM:g}, rate {RATE}, {STEPS} steps of {BATCH} images")
        learnt = [100 * (1 - row["loss"] / math.log(8)) for row in rows["none"]]
        return [
            Finding(
                "accuracy, with norm over without",
                "learns against chance",
                of("batch", "accuracy"),
                of("none", "accuracy"),
            ),
            Finding(
                "what fc6 keeps of its variation in percent, with norm over without",
                "to zero",
                of("batch", "kept"),
                of("none", "kept"),
            ),
            Finding("without norm the loss stays within 5% of ln 8", "at ln 8", [5.0] * len(learnt), learnt),
        ]

    def _measure(self, lab: Lab, norm: str, seed: int) -> dict[str, float]:
        key = {
            "norm": norm,
            "seed": seed,
            "widths": WIDTHS,
            "training": [STEPS, BATCH, RATE, MOMENTUM],
            "data": lab.store(SOURCE).fingerprint,
        }
        return lab.result(self.name, key, lambda: self._train(lab, norm, seed))

    def _train(self, lab: Lab, norm: str, seed: int) -> dict[str, float]:
        lab.say(f"{self.name}: training with norm {norm}, seed {seed}")
        store = lab.store(SOURCE)
        part = store.subset(lab.split(SOURCE)[0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "weights"))
            encoder = PlainNet(store.channels, store.usual_side, norm == "batch")
            config: Any = PatchLocalization.Config(norm=norm, fc6=128)
            objective = PatchLocalization(config, encoder, part)
        training = TrainingConfig(
            seed=seed, batch=BATCH, steps=STEPS, optimizer="sgd", rate=RATE, momentum=MOMENTUM, weight_decay=0.0,
            schedule="constant", precision="float32", layout="channels_last", device=lab.device,
        )  # fmt: skip
        before = _state(objective)
        fit(objective, training)
        after = _state(objective)
        return {
            "loss": after["total"],
            "accuracy": 100 * after["accuracy"],
            "kept": 100 * after["fc6"] / before["fc6"],
        }


def _state(objective: PatchLocalization, batches: int = 10) -> dict[str, float]:
    """The loss and its parts on fresh batches of the training part, norms as in training, nothing learnt."""
    objective.train()
    rows = Rows.of_rank(BATCH)
    sums: dict[str, float] = {}
    kept = {name: value.clone() for name, value in objective.state_dict().items()}
    device = objective.weights.device
    with torch.no_grad():
        for step in range(batches):
            batch = objective.draw("image", 977, step, rows).to(device)
            for name, value in objective.loss(objective.hide(batch, Rng(977, step, rows, device)), "all").items():
                sums[name] = sums.get(name, 0.0) + float(value) / batches
    objective.load_state_dict(kept)
    return sums
