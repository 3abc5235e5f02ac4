from __future__ import annotations

import io

import pytest

from foretell.errors import InputError
from foretell.train import progress as module
from foretell.train.progress import PlainProgress, RichProgress, line_of, make_progress, spoken

VALUES = {
    "loss": 4.25,
    "samples_per_second": 1234.4,
    "seconds_left": 75.2,
    "share_of_peak": 0.614,
    "health": "healthy",
}
LINE = "loss 4.2500, 1,234 samples/s, 61% of this machine's peak, healthy, 1 min 15 s left"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line():
    assert line_of(VALUES) == LINE
    assert line_of({"loss": 1.0, "samples_per_second": None, "seconds_left": None}) == "loss 1.0000"
    assert [spoken(s) for s in (0.2, 59.6, 3600, 90000)] == ["0 s", "1 min 0 s", "1 h 0 min", "1 d 1 h"]


def test_plain_lines_come_now_and_then(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    shown = PlainProgress("pretraining", out)
    shown.start(0, 500)
    for step in range(1, 251):
        now[0] += 0.125
        shown.update(step, VALUES)
    shown.event("step 250: collapsing since step 250")
    shown.close("finished")
    lines = out.getvalue().splitlines()
    assert lines == [
        "pretraining: 500 steps",
        f"pretraining: step 16/500, {LINE}",
        f"pretraining: step 96/500, {LINE}",
        f"pretraining: step 176/500, {LINE}",
        "pretraining: step 250: collapsing since step 250",
        "pretraining: finished",
    ]


@pytest.mark.parametrize("columns", ["80", "200"])
def test_a_bar_on_a_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("FORETELL_PROGRESS", raising=False)
    out = Terminal()
    shown = make_progress("pretraining", out)
    assert isinstance(shown, RichProgress)
    shown.start(0, 500)
    shown.update(100, VALUES)
    shown._bar.refresh()
    shown.event("step 100: [collapsing] since step 100")
    shown.close("finished at step 500")
    text = out.getvalue()
    assert "100/500" in text
    assert "1 min 15 s left" in text
    assert LINE.removesuffix(", 1 min 15 s left") in text
    assert "step 100: [collapsing] since step 100" in text
    assert "finished at step 500" in text


def test_which_one(monkeypatch):
    for wanted, stream, kind in [
        ("", Terminal(), RichProgress),
        ("", io.StringIO(), PlainProgress),
        ("plain", Terminal(), PlainProgress),
        ("rich", io.StringIO(), RichProgress),
    ]:
        monkeypatch.setenv("FORETELL_PROGRESS", wanted)
        assert type(make_progress("x", stream)) is kind
    monkeypatch.setenv("FORETELL_PROGRESS", "none")
    assert make_progress("x", Terminal()) is None
    monkeypatch.setenv("FORETELL_PROGRESS", "plian")
    with pytest.raises(InputError, match="did you mean 'plain'"):
        make_progress("x")
