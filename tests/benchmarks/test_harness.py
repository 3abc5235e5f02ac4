"""How results of benchmarks are kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import keep

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
