"""Trainings of text side by side: what comes out is what one process finds."""

from __future__ import annotations

import pytest
from text_topics import QUICK, knowing_encoder, topics
from what_lasts import lasting

from foretell import side_by_side
from foretell.transfer.protocol import Protocol
from foretell.transfer.text.compare import compare_text


@pytest.mark.usefixtures("one_thread")
def test_text_is_compared_side_by_side_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 2)
    model, layout = knowing_encoder()
    given = {
        "train": topics(layout, 60, 1), "test": topics(layout, 30, 2),
        "training": QUICK.model_copy(update={"steps": 8}),
    }  # fmt: skip
    two, one = (compare_text(model, protocol=Protocol((2,), (0, 1), trials=2, jobs=jobs), **given) for jobs in (2, 1))
    for part in ("rows", "paired", "search", "linear_probe", "verdict", "precision"):
        assert lasting(two[part]) == lasting(one[part]), part
