"""Each claim on SimCLR worked out at a tiny size, and the measure that one of them has of its own."""

from __future__ import annotations

import numpy as np
import pytest
from working import works_out

from foretell.claims.images import simclr
from foretell.claims.images.simclr_closeness import closeness
from foretell.claims.lab import Index, Lab


class SmallLab(Lab):
    """Parts of 200 images, of every class."""

    def split(self, source: str, *names: str) -> tuple[Index, ...]:
        return tuple(part[:: max(1, len(part) // 200)] for part in super().split(source, *names))


NAMES = ["simclr-temperature", "simclr-colour-shortcut", "simclr-composition", "simclr-training", "simclr-closeness"]


def test_closeness_is_the_chance_that_a_pair_of_one_class_is_the_closer() -> None:
    apart = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    assert closeness(apart, np.array([0, 0, 1, 1])) == pytest.approx(100)
    assert closeness(apart, np.array([0, 1, 0, 1])) < 50


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_worked_out_from_beginning_to_end(
    name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, accuracy = simclr.recipe, simclr.contrastive_accuracy
    quick = {"training.steps": 2, "training.batch": 8}
    monkeypatch.setattr(simclr, "recipe", lambda *given, **more: recipe(*given, **more).changed(quick))
    monkeypatch.setattr(simclr, "contrastive_accuracy", lambda objective: accuracy(objective, batches=1, batch=8))
    works_out(name, SmallLab(tmp_path_factory.getbasetemp() / "simclr-claims"), minutes=20, seeds=(0,))
