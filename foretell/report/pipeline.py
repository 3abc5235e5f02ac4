"""The report of a pipeline: what its arms were worth, each step with its cost, and the classifier."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from foretell import __version__
from foretell.measures.metrics import metric_name
from foretell.measures.redrawn import settled
from foretell.report import analysis, searching, words
from foretell.report import pipeline_figures as figures
from foretell.report import pipeline_head as head
from foretell.report.elsewhere import unseen
from foretell.report.gather import judged_of
from foretell.report.measures import IMAGES, measures, of_classifier, of_each_finding
from foretell.report.page import HERE, environment
from foretell.report.parts import Cell, Table
from foretell.run import json_text, write_aside
from foretell.transfer.fractions import in_words
from foretell.transfer.images import saliency

Json = dict[str, Any]
KEPT = (
    "metric", "classes", "findings", "test", "seeds", "trials", "notes", "arms", "summary", "paired", "crossing", "shift",
    "tuning", "all_labels", "domains", "fits", "search",
)  # fmt: skip
COSTS = ("seconds", "samples", "flops")


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
            title=f"{folder.name}: what each step was worth",
            style=(HERE / "report.css").read_text(encoding="utf-8"),
            version=__version__,
            when=head.when(one.folder for one in done),
            lead=[sentence for one in found["comparisons"] for sentence in _lead(one)],
            figures=[
                figure
                for one in found["comparisons"][:1]
                for figure in head.key_figures(one, sum(step["seconds"] for step in found["steps"]))
            ],
            glossary=head.explained(found["comparisons"]),
            steps={
                "table": _steps(found),
                "links": [{"name": s["name"], "href": s["report"]} for s in found["steps"] if s["report"]],
            },
            pictures=_pictures(done),
            comparisons=[_comparison(one) for one in found["comparisons"]],
            classifiers=[
                _classifier(one) | {"looks": _looks(step)}
                for one, step in zip(found["classifiers"], _of_kind(done, "finetune"), strict=True)
            ],
        )
    )
    write_aside(folder / "report.json", json_text(found))
    write_aside(folder / "report.html", page)
    return folder / "report.html", found


def numbers(folder: Path, done: Sequence[StepDone]) -> Json:
    """The report as plain values: {"steps", "comparisons", "classifiers"}; "classes" of a classifier is their number."""
    steps = [_step(folder, one) for one in done]
    return {
        "steps": steps,
        "comparisons": [
            {"name": one.step.name, "title": one.step.called, **{key: one.facts.get(key) for key in KEPT}}
            | {"costs": _costs(one.facts, {step["name"]: step for step in steps})}
            for one in _of_kind(done, "compare")
        ],
        "classifiers": [
            {
                "name": one.step.name,
                "title": one.step.called,
                "after": one.step.after,
                "scores": one.facts["scores"],
                "classes": one.facts["classes"],
                "findings": one.facts.get("findings"),
            }
            for one in _of_kind(done, "finetune")
        ],
        "foretell": __version__,
    }


def _of_kind(done: Sequence[StepDone], kind: str) -> list[StepDone]:
    return [one for one in done if one.step.kind == kind]


def _step(folder: Path, one: StepDone) -> Json:
    cost = one.facts.get("cost") or {}
    report = one.folder / "report.html"
    return {
        "name": one.step.name, "title": one.step.called, "kind": one.step.kind, "after": one.step.after,
        "of": list(one.step.of), "folder": str(one.folder), "key": one.key, "reused": one.reused, "seconds": one.seconds,
        "samples": cost.get("samples"), "flops": cost.get("flops"), "memory": cost.get("peak_memory_bytes"),
        "report": os.path.relpath(report, folder) if report.is_file() else None,
    }  # fmt: skip


def _costs(comparison: Json, steps: Mapping[str, Json]) -> list[Json]:
    """What every tuned arm took: its step with those before it, and one fine-tuning on most labels."""
    most = max(row["labels"] for row in comparison["tuning"])
    fits = {row["arm"]: row for row in comparison["tuning"] if row["labels"] == most}
    found = []
    for arm in figures.tuned(comparison):
        chain: list[Json] = []
        name = comparison["arms"][arm]["step"]
        while name is not None:
            chain.append(steps[name])
            name = steps[name]["after"]
        spent = {cost: sum(step[cost] or 0 for step in chain) for cost in COSTS}
        found.append({"arm": arm, "labels": most, **spent, "tuning": fits[arm]})
    return found


# in words ------------------------------------------------------------------------------------------------------------


def _lead(comparison: Json) -> list[str]:
    """Every decided difference, a sentence for each pair of arms, those to a baseline first; or that there is none."""
    found: dict[tuple[str, str], list[Json]] = {}
    for row in comparison["paired"]:
        if settled(row) != "undecided":
            found.setdefault((row["arm"], row["against"]), []).append(row)
    if not found:
        seeds = " of one seed alone" if len(comparison["seeds"]) == 1 else ""
        return [f"Nothing is decided: every difference{seeds} between the arms may be chance."]
    arms = comparison["arms"]
    order = sorted(found.values(), key=lambda rows: arms[rows[0]["against"]]["step"] is not None)
    return [*(_said(comparison, rows) for rows in order), "Every other difference is undecided."]


def _said(comparison: Json, rows: list[Json]) -> str:
    """The decided differences of two arms: at which numbers of labels, and the largest with its intervals."""
    ours, others = (figures.title_of(comparison, rows[0][name]) for name in ("arm", "against"))
    told = []
    for verdict, word in (("better", "ahead of"), ("worse", "behind")):
        own = [row for row in rows if settled(row) == verdict]
        if not own:
            continue
        top = max(own, key=lambda row: abs(float(row["difference"])))
        bounds = words.interval(top["low"], top["high"], signed=True)
        groups = words.group_interval(top.get("group_low"), top.get("group_high"), signed=True)
        spread = f"95% interval over {top['n']} seeds {bounds}" + (f", over {groups}" if groups else "")
        labels = words.listed([words.count(row["labels"]) for row in own], 99)
        at = f" with {words.count(top['labels'])}" if len(own) > 1 else ""
        points = f"{abs(100 * top['difference']):.1f} points of {metric_name(comparison['metric'])}"
        noun = "label" if labels == "1" else "labels"
        told.append(f"{word} {others} with {labels} {noun}, by {points}{at} ({spread})")
    return f"{words.begun(ours)} is {' and '.join(told)}."


# tables --------------------------------------------------------------------------------------------------------------


def _teraflop(flops: float | None) -> str:
    return f"{flops / 1e12:.3g}" if flops is not None and words.known(flops) else words.MISSING


def _steps(found: Json) -> Table:
    rows: list[list[Cell | str]] = []
    for step in found["steps"]:
        before = f"after {step['after']}" if step["after"] else f"of {', '.join(step['of'])}" if step["of"] else ""
        title = f"{step['name']}: {step['title']}" if step["title"] != step["name"] else step["name"]
        rows.append(
            [
                Cell(title, f"{step['kind']} {before}".strip()),
                words.duration(step["seconds"]) if step["seconds"] else words.MISSING,
                words.count(step["samples"]),
                _teraflop(step["flops"]),
                f"{step['memory'] / 1e6:,.0f}" if words.known(step["memory"]) else words.MISSING,
            ]
        )
    total = sum(step["seconds"] for step in found["steps"])
    rows.append(["all", words.duration(total), "", "", ""])
    return Table(["Step", "Time", "Images seen", "TFLOP", "Peak MB"], rows)


def _beside(comparison: Json) -> Table:
    """Cost beside quality: what an arm took before and in fine-tuning, and its scores with fewest and most labels."""
    cells = analysis.summary_of(comparison)
    amounts = figures.amounts_of(comparison)
    ends = list(dict.fromkeys((amounts[0], amounts[-1])))
    columns: list[Cell | str] = [
        "Arm", Cell("Pretraining", "its step and those before"), "Images seen", "TFLOP", Cell("One fit", "with most labels"),
        *(Cell(words.counted(labels, "label"), in_words(amount)) for labels, amount in ends),
    ]  # fmt: skip
    rows: list[list[Cell | str]] = []
    for cost in comparison["costs"]:
        arm = cost["arm"]
        found = [analysis.at_labels(cells.get(arm, []), labels) for labels, _ in ends]
        rows.append(
            [
                Cell(figures.title_of(comparison, arm), kind=f"c-{figures.keys_of(comparison)(arm)}"),
                words.duration(cost["seconds"]) if cost["seconds"] else "none here",
                words.count(cost["samples"]) if cost["samples"] else words.MISSING,
                _teraflop(cost["flops"]) if cost["flops"] else words.MISSING,
                words.duration(cost["tuning"]["seconds"]),
                *(words.percent(cell.mean) if cell else words.MISSING for cell in found),
            ]
        )
    return Table(columns, rows)


def _comparison(one: Json) -> Json:
    """The figures and tables of one comparison, and what is missing."""
    missing = figures.missing(one)
    test = one["test"]
    noun = judged_of(test, "image")
    images = f" ({words.counted(test['images'], 'image')})" if test.get("images") else ""
    groups = f" of {words.counted(test['groups'], 'group')} (patients or cases)" if test.get("groups") else ""
    return {
        "name": one["name"],
        "title": words.begun(one["title"]),
        "metric": metric_name(str(one["metric"])),
        "labels": words.counted(figures.amounts_of(one)[-1][0], "label"),
        "test": f"{words.counted(test['samples'], f'test {noun}')}{images}{groups}, {test['split']}",
        "seeds": len(one["seeds"]),
        "groups": bool(test.get("groups")),
        "main": figures.main(one),
        "pairs": figures.pairs(one),
        "measures": measures(
            one, [*figures.tuned(one), *figures.frozen(one)], lambda arm: figures.named(one, arm), arms_down=True
        ),
        "each_finding": of_each_finding(
            one, [*figures.tuned(one), *figures.frozen(one)], lambda arm: figures.named(one, arm), arms_down=True
        ),
        "shift": None if "shift" in missing else _shift(one),
        "chart": None if "fractions" in missing else figures.fractions(one),
        "scores": figures.scores(one, figures.tuned(one)),
        "frozen": figures.scores(one, figures.frozen(one)),
        "crossing": None if "crossing" in missing else figures.crossings(one),
        "sentences": [] if "crossing" in missing else figures.sentences(one),
        "costs": _beside(one),
        "search": _search(one),
        "method": head.method(one),
        "missing": dict.fromkeys(figures.MAY_BE_MISSING, "") | missing,
        "notes": one["notes"] or [],
    }


def _search(one: Json) -> Json | None:
    """Every setting that was tried for the arms; None where that was not kept."""
    entries = one.get("search") or []
    return searching.shown([searching.search_of(figures.title_of(one, entry["arm"]), entry) for entry in entries])


def _shift(one: Json) -> Json:
    shift = one["shift"]
    samples = words.counted(shift["samples"], judged_of(one["test"], "image"))
    told = f"The fitted models as they are, applied to {samples} of {shift['domain']} {unseen(shift, 'step')}."
    return {"chart": figures.shift(one), "key": figures.domains_key(one), "table": figures.losses(one), "told": told}


def _classifier(one: Json) -> Json:
    """A classifier's scores, the headline's interval over test groups beside it."""
    scores = one["scores"]
    rows = of_classifier(scores, one["classes"], findings=bool(one.get("findings")))
    samples = words.counted(
        scores["samples"], "test case" if any(name.startswith(IMAGES) for name in scores) else "test image"
    )
    title = words.begun(one["title"])
    return {"name": one["name"], "title": title, "after": one["after"], "table": Table(["Score", samples], rows)}


def _data(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def _looks(one: StepDone) -> Json | None:
    """What the classifier of a step looks at, where that was drawn."""
    place = one.folder / f"{saliency.NAME}.png"
    if not place.is_file():
        return None
    return {"title": saliency.TITLE, "told": saliency.CAPTION, "data": _data(place)}


def _pictures(done: Sequence[StepDone]) -> list[Json]:
    """What each pretraining step hides, as its run shows it."""
    found = []
    for one in _of_kind(done, "pretrain"):
        place = one.folder / "exhibits" / "views.png"
        if place.is_file():
            told = str((one.facts.get("objective") or {}).get("shown") or "")
            found.append({"name": one.step.called, "data": _data(place), "told": told})
    return found
