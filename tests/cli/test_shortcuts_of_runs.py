"""``foretell check RUN --shortcuts``: the probe on what a finished run shows its encoder, and the report that asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cli_words import SMALL, Said


def test_a_run_is_asked_for_the_probe_and_gets_its_section(
    foretell: Callable[..., Said], pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert foretell("pretrain", pictures, "--objective", "patch_localization", "--out", out, *SMALL).status == 0
    report = out / "report.html"
    assert "--shortcuts" in report.read_text()
    said = foretell("check", out, "--shortcuts")
    assert said.status == 0, said.err
    assert "patches of patch_localization" in said.out
    assert json.loads((out / "results" / "shortcuts.json").read_text())["what"] == "the patches of patch_localization"
    assert "Position probe" in report.read_text()
    assert "--shortcuts" not in report.read_text()
