from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from foretell.errors import InputError
from foretell.objectives.base import Objective
from foretell.transfer.images.labelled import labelled
from foretell.transfer.images.monitors import KnnMonitor, ProbeMonitor


class Holder(Objective):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder


@pytest.mark.parametrize("kind", [KnnMonitor, ProbeMonitor])
def test_monitors_tell_a_trained_encoder_from_a_new_one(digits, views, trained, encoder, kind) -> None:
    data = labelled(digits.store, digits.train)
    monitor = kind(data, views, every=50)
    assert monitor.every == 50
    assert monitor.higher_is_better
    assert not set(monitor.known.index) & set(monitor.asked.index)
    holder = Holder(trained).train()
    value = monitor(holder, 10)
    assert holder.encoder.training
    assert value > 0.9
    assert value > monitor(Holder(encoder), 10) > 0.1
    assert value == monitor(holder, 20)


def test_one_group_cannot_be_set_apart(digits, views) -> None:
    data = labelled(digits.store, digits.train)
    data.groups = np.zeros(len(data), dtype=np.int64)
    with pytest.raises(InputError, match="the monitor 'knn' needs labels of two classes in two groups"):
        KnnMonitor(data, views, every=1)
