"""The report of a pipeline: each step with its cost, the comparison of its encoders, and where they meet the baseline."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from foretell import __version__
from foretell.report import analysis, charts, words
from foretell.report.page import HERE, environment
from foretell.report.parts import Cell, Table
from foretell.run import write_aside
from foretell.transfer.crossing import sentence

Json = dict[str, Any]


class StepDone(Protocol):
    """What the report reads of a finished step."""

    step: Any
    folder: Path
    key: str
    seconds: float
    reused: bool
    facts: Json


def build(folder: Path, done: Sequence[StepDone]) -> tuple[Path, Json]:
    """Write report.html and report.json of the pipeline in ``folder``; (the page's path, the numbers)."""
    found = numbers(folder, done)
    page = (
        environment()
        .get_template("pipeline.html.j2")
        .render(
            title=f"{folder.name}: {words.counted(len(done), 'step')}",
            style=(HERE / "report.css").read_text(encoding="utf-8"),
            version=__version__,
            steps={
                "table": _steps(found),
                "links": [{"name": s["name"], "href": s["report"]} for s in found["steps"] if s["report"]],
            },
            comparisons=[_comparison(one) for one in found["comparisons"]],
            classifiers=found["classifiers"],
        )
    )
    write_aside(folder / "report.json", json.dumps(found, indent=1, ensure_ascii=False, default=str) + "\n")
    write_aside(folder / "report.html", page)
    return folder / "report.html", found


def numbers(folder: Path, done: Sequence[StepDone]) -> Json:
    """The report as plain values: {"steps", "comparisons", "classifiers"}."""
    steps = []
    for one in done:
        cost = one.facts.get("cost") or {}
        report = one.folder / "report.html"
        steps.append(
            {
                "name": one.step.name, "kind": one.step.kind, "after": one.step.after or ", ".join(one.step.of) or None,
                "folder": str(one.folder), "key": one.key, "reused": one.reused, "seconds": one.seconds,
                "samples": cost.get("samples"), "flops": cost.get("flops"), "memory": cost.get("peak_memory_bytes"),
                "report": os.path.relpath(report, folder) if report.is_file() else None,
            }
        )  # fmt: skip
    kept = (
        "metric",
        "classes",
        "test",
        "seeds",
        "trials",
        "notes",
        "arms",
        "summary",
        "paired",
        "baseline",
        "crossing",
    )
    return {
        "steps": steps,
        "comparisons": [
            {"name": one.step.name, **{key: one.facts.get(key) for key in (*kept, "fits")}}
            for one in done
            if one.step.kind == "compare"
        ],
        "classifiers": [
            {"name": one.step.name, "after": one.step.after, "scores": one.facts["scores"]}
            for one in done
            if one.step.kind == "finetune"
        ],
        "foretell": __version__,
    }


def _steps(found: Json) -> Table:
    rows: list[list[Cell | str]] = []
    for step in found["steps"]:
        after = f"after {step['after']}" if step["after"] else ""
        rows.append(
            [
                Cell(step["name"], f"{step['kind']} {after}".strip()),
                words.duration(step["seconds"]) if step["seconds"] else words.MISSING,
                words.count(step["samples"]),
                f"{step['flops'] / 1e12:.3g}" if words.known(step["flops"]) else words.MISSING,
                f"{step['memory'] / 1e6:,.0f}" if words.known(step["memory"]) else words.MISSING,
            ]
        )
    total = sum(step["seconds"] for step in found["steps"])
    rows.append(["all", words.duration(total), "", "", ""])
    return Table(["Step", "Time", "Images seen", "TFLOP", "Peak MB"], rows)


def _comparison(found: Json) -> Json:
    """The chart and tables of one comparison."""
    cells = analysis.summary_of(found)
    titles = {arm: str(about["title"]) for arm, about in found["arms"].items()}
    labels = sorted({cell.labels for arm in cells.values() for cell in arm})
    head: list[Cell | str] = ["Labels", *cells]
    rows: list[list[Cell | str]] = []
    for count in labels:
        row: list[Cell | str] = [words.count(count)]
        for arm in cells:
            cell = analysis.at_labels(cells[arm], count)
            row.append(Cell(words.percent(cell.mean), words.interval(cell.low, cell.high)) if cell else words.MISSING)
        rows.append(row)
    pairs: list[list[Cell | str]] = [
        [
            f"{row['arm']} − {row['against']}",
            words.count(row["labels"]),
            Cell(words.points(row["difference"]), words.interval(row["low"], row["high"], signed=True)),
            str(row["verdict"]),
        ]
        for row in found["paired"]
        if words.known(row["difference"])
    ]
    return {
        "name": found["name"],
        "metric": str(found["metric"]).replace("_", " "),
        "chart": charts.efficiency(found),
        "scores": Table(head, rows),
        "pairs": Table(["Difference", "Labels", "Mean and 95% interval", "Verdict"], pairs),
        "crossing": [sentence(row, titles) for row in found["crossing"]],
        "test": found["test"],
    }
