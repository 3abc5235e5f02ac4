from __future__ import annotations

import pytest

from foretell.errors import ForetellError
from foretell.transfer.config import TransferConfig
from foretell.transfer.search import best, grid
from foretell.views.config import ViewConfig


@pytest.mark.parametrize("trials", [1, 2, 4, 6, 8, 9])
def test_every_arm_gets_the_same_number_of_trials(trials: int) -> None:
    found = grid((1e-4, 1e-2), 60, trials, 1e-4)
    assert len(set(found)) == trials
    assert max(trial.steps for trial in found) == 60
    assert {trial.steps for trial in found} == ({30, 60} if trials >= 6 else {60})
    rates = sorted({trial.rate for trial in found})
    if trials == 1:
        assert rates == [pytest.approx(1e-3)]
    else:
        assert (rates[0], rates[-1]) == (pytest.approx(1e-4), pytest.approx(1e-2))


def test_ties_are_broken_by_cross_entropy_and_failures_lose() -> None:
    candidates = grid((1e-4, 1e-1), 10, 4, 0.0)
    records = [
        {"validation": 0.5, "validation_loss": 1.2},
        {"validation": 0.5, "validation_loss": 1.1},
        {"validation": 0.4, "validation_loss": 0.9},
        {"validation": None, "validation_loss": None, "failed": "nan"},
    ]
    assert best(candidates, records) is candidates[1]
    with pytest.raises(ForetellError, match=r"every one of 4 trials failed \(nan\); lower transfer\.rates"):
        best(candidates, records[3:] * 4)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="rates: give a lowest and a highest"):
        TransferConfig(rates=(1e-2, 1e-3))
    config = TransferConfig(layer_decay=0.5, freeze_norm=True, head="probe")
    scratch = config.classifier(scratch=True)
    assert (scratch.layer_decay, scratch.freeze_norm, scratch.head) == (1.0, False, "zero")
    assert config.classifier().layer_decay == 0.5
    assert [config.steps_for(n) for n in (10, 500, 10**6)] == [100, 447, 5000]
    assert [config.batch_for(n) for n in (10, 50, 500)] == [16, 50, 64]


def test_fine_tuning_views_are_milder_unless_they_are_given() -> None:
    strong = ViewConfig(
        side=28, scale=(0.2, 1.0), contrast=0.4, rotation=20, flip=0.0, blur=0.5, mean=(0.5,), std=(0.2,)
    )
    milder = TransferConfig().views_after(strong)
    assert milder.scale == (0.6, 1.0)
    assert (milder.contrast, milder.blur, milder.grey) == (0.2, 0.0, 0.0)
    assert (milder.rotation, milder.flip, milder.side, milder.mean) == (20, 0.0, 28, (0.5,))
    own = TransferConfig(views=ViewConfig(side=99, scale=(0.9, 1.0), contrast=0.1)).views_after(strong)
    assert (own.scale, own.contrast, own.side, own.std) == ((0.9, 1.0), 0.1, 28, (0.2,))
