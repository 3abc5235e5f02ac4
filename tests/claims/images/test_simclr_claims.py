"""Each claim on SimCLR worked out at a tiny size, and the measure that one of them has of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from working import works_out

from foretell import claims
from foretell.claims.images import simclr, simclr_closeness, simclr_label_efficiency
from foretell.claims.images.simclr_closeness import closeness
from foretell.claims.lab import Index, Lab
from foretell.encoders.base import Encoder
from foretell.transfer.images.features import extract


class SmallLab(Lab):
    """Parts of 200 images, of every class."""

    def split(self, source: str, *names: str) -> tuple[Index, ...]:
        return tuple(part[:: max(1, len(part) // 200)] for part in super().split(source, *names))


NAMES = [
    "simclr-label-efficiency", "simclr-head", "simclr-temperature", "simclr-colour-shortcut", "simclr-composition",
    "simclr-training", "simclr-closeness",
]  # fmt: skip


def test_closeness_is_the_chance_that_a_pair_of_one_class_is_the_closer() -> None:
    apart = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    assert closeness(apart, np.array([0, 0, 1, 1])) == pytest.approx(100)
    assert closeness(apart, np.array([0, 1, 0, 1])) < 50


def test_the_images_that_are_looked_at_are_of_every_class_alike(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    codes, classes = lab.store(simclr.SOURCE).table.codes("label")
    rows = simclr_closeness.chosen(lab, 0)
    assert np.bincount(codes[rows]).tolist() == [simclr_closeness.PER_CLASS] * len(classes)
    assert set(rows) <= set(lab.split(simclr.SOURCE)[1])
    assert (rows == simclr_closeness.chosen(lab, 0)).all()
    assert (rows != simclr_closeness.chosen(lab, 1)).any()


def test_the_untrained_network_is_looked_at_with_its_batch_norm_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = simclr.recipe
    quick = {"training.steps": 2, "training.batch": 8}
    monkeypatch.setattr(simclr, "recipe", lambda *given, **more: recipe(*given, **more).changed(quick))
    looked: list[Encoder] = []

    def noted(encoder: Encoder, *given: Any, **more: Any) -> Any:
        looked.append(encoder)
        return extract(encoder, *given, **more)

    monkeypatch.setattr(simclr_closeness, "extract", noted)
    claims.get("simclr-closeness")(seeds=(0,)).work(SmallLab(tmp_path, device="cpu"))
    untrained, _ = looked
    means = [part.running_mean for part in untrained.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert means
    assert all(mean is not None and mean.abs().max() > 0 for mean in means)


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_worked_out_from_beginning_to_end(
    name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, accuracy = simclr.recipe, simclr.contrastive_accuracy
    quick = {"training.steps": 2, "training.batch": 8, "transfer.steps": 1}
    monkeypatch.setattr(simclr, "recipe", lambda *given, **more: recipe(*given, **more).changed(quick))
    monkeypatch.setattr(simclr_label_efficiency, "PER_CLASS", (1, 3, 6))
    monkeypatch.setattr(simclr, "contrastive_accuracy", lambda objective: accuracy(objective, batches=1, batch=8))
    works_out(name, SmallLab(tmp_path_factory.getbasetemp() / "simclr-claims"), minutes=30, seeds=(0,))
