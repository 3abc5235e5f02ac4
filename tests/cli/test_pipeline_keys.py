"""What the keys of a pipeline's steps depend on."""

from __future__ import annotations

from foretell.transfer.config import TransferConfig
from foretell.verbs.pipeline_keys import judging_parts, transfer_parts


def test_a_comparison_depends_on_the_settings_of_each_of_its_runs() -> None:
    one, other, third = (TransferConfig(steps=steps) for steps in (10, 20, 30))
    assert judging_parts({"domain": one, "micle": one}) == transfer_parts(one)
    both = judging_parts({"domain": one, "micle": other})
    assert both == {**transfer_parts(one), "transfer.steps of micle": 20}
    assert judging_parts({"domain": third, "micle": other})["transfer.steps"] == 30
    assert judging_parts({"domain": one, "micle": third}) != both
