"""How results of benchmarks are kept and told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as page
from benchmarks.harness import RESULTS, keep, parser, report

ROWS = 20
WRITER = """
import sys
from pathlib import Path
from benchmarks.harness import keep
for number in range({rows}):
    keep(Path(sys.argv[1]), f"{{sys.argv[2]}} {{number}}", {{"met": True}})
"""


def test_benchmarks_that_run_at_once_keep_all_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    keep(path, "before", {"met": False})
    code = WRITER.format(rows=ROWS)
    root = Path(__file__).parents[2]
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=root) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    kept = json.loads(path.read_text())
    assert len(kept) == 1 + 3 * ROWS
    assert kept["before"] == {"met": False}
    assert list(tmp_path.iterdir()) == [path]


def reported(monkeypatch: pytest.MonkeyPatch, place: Path, options: list[str], **more: str) -> dict[str, object]:
    """The row that a benchmark called with ``options`` keeps."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/benchmarks/mae.py", *options, "--json", str(place / "kept.json")])
    made = parser("one")
    made.add_argument("--steps", type=int)
    made.add_argument("--run")
    report(made.parse_args(), "one", {"ratio": "2.00"}, "at least 1", True, **more)
    return json.loads((place / "kept.json").read_text())["one (cpu)"]


def test_the_recorded_command_holds_every_option_that_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = reported(monkeypatch, tmp_path, ["--steps", "12", "--run", "runs/one", "--device=cpu", "--rounds", "3"])
    assert row["command"] == "python -m benchmarks.mae --steps 12 --device=cpu --rounds 3"
    row = reported(monkeypatch, tmp_path, [], called="python -m benchmarks.mae --only 'a b'")
    assert row["command"] == "python -m benchmarks.mae --only 'a b'"


def test_how_something_was_met_is_printed_and_stands_over_its_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reported(monkeypatch, tmp_path, [], how=" on average; the interval spans 0")
    assert "wanted: at least 1: met on average; the interval spans 0" in capsys.readouterr().out
    monkeypatch.setattr(page, "RESULTS", tmp_path / "kept.json")
    assert "## one (cpu): met on average; the interval spans 0\n" in page.table()
    reported(monkeypatch, tmp_path, [])
    assert "## one (cpu): met\n" in page.table()


def test_the_page_is_that_of_the_kept_rows() -> None:
    assert RESULTS.with_name("RESULTS.md").read_text() == page.table()


def test_the_page_begins_with_what_readme_shows() -> None:
    kept = {
        "views at 96 px (cpu)": {"figures": {page.RATIO: "4.10"}, "wanted": "at least 3 times", "met": True},
        "reading (cpu)": {"figures": {f"jpg: {page.RATIO}": "2.0", f"png: {page.RATIO}": "3.0"}, "wanted": "w", "met": False},
        "Causal (cpu)": {"figures": {page.RATIO: "2.5", "ratio in tokens": "2.4"}, "wanted": "w", "met": True},
    }  # fmt: skip
    assert page.contents(kept)[2:] == [
        "| [views at 96 px (cpu)](#views-at-96-px-cpu-met) | 4.10 | at least 3 times | met |",
        "| [Causal (cpu)](#causal-cpu-met) | 2.4 | w | met |",
        "| [reading (cpu)](#reading-cpu-not-met) | jpg 2.0, png 3.0 | w | not met |",
    ]
    measured = json.loads(RESULTS.read_text())
    assert set(page.FIRST) <= set(measured), "README's rows are in the kept results"
