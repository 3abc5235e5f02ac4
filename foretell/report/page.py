"""report.html and report.json: one page a person can read anywhere, and the same numbers for a program."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from foretell import __version__
from foretell.errors import InputError
from foretell.json_files import AGAIN
from foretell.report import (
    about,
    analysis,
    charts,
    curves,
    elsewhere,
    headline,
    reading,
    results,
    saving,
    searching,
    words,
)
from foretell.report.card import model_card, snippet
from foretell.report.findings import findings
from foretell.report.gather import Gathered, gather
from foretell.report.glossary import glossary, spoken_of
from foretell.report.kept import kept_model
from foretell.report.leaks import shortcuts
from foretell.report.measures import measures, of_each_finding
from foretell.run import write_aside
from foretell.transfer.labels import FROZEN

HERE = Path(__file__).parent

# the page's only script: what went wrong in it is written where a person, and the tests, can see it
WATCH = """
(function () {
  var seen = [];
  function show() {
    var box = document.getElementById("script-errors");
    if (box) box.textContent = seen.join("\\n");
  }
  window.addEventListener("error", function (event) {
    seen.push(event.message || "a part of the page could not be loaded");
    show();
  }, true);
  document.addEventListener("securitypolicyviolation", function (event) {
    seen.push("refused: " + event.violatedDirective + " " + event.blockedURI);
    show();
  });
  document.addEventListener("DOMContentLoaded", show);
})();
"""

# what a number where a table was expected, and the like, leads to
FAULTS = (TypeError, AttributeError, LookupError, ValueError, ArithmeticError)

STATES = {
    "running": "still running",
    "broken": "broken off, can be resumed",
    "failed": "failed",
    "stopped": "interrupted, can be resumed",
    "finished": "finished",
}


def _policy() -> str:
    """Nothing is fetched and no script but ``WATCH`` runs, whatever the data says."""
    digest = base64.b64encode(hashlib.sha256(WATCH.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def title_of(run: Gathered) -> str:
    if run.comparison.get("summary"):
        of = "" if run.judged_on == run.data_name else f" on {run.data_name}"
        return f"What pretraining{of} was worth on {run.judged_on}"
    return f"Pretraining on {run.data_name}"


def _state(run: Gathered) -> str:
    """How the run ended, or that it goes on, and of which step its weights are where that is not the last one."""
    kept = analysis.step_of_weights(run)
    weights = f"; weights of step {words.count(kept)}" if kept is not None else ""
    if analysis.stopped_early(run):
        step, steps = (words.count(run.status[name]) for name in ("step", "steps"))
        return f"stopped early at step {step} of {steps}{weights}"
    return STATES.get(run.state, "") + weights


def context(run: Gathered) -> dict[str, Any]:
    """Everything the template shows."""
    heartbeat = run.status.get("heartbeat")
    shown: dict[str, Any] = {
        "title": title_of(run),
        "run": run,
        "policy": _policy(),
        "style": (HERE / "report.css").read_text(encoding="utf-8"),
        "watch": WATCH,
        "version": __version__,
        "state": _state(run),
        "when": time.strftime("%d %B %Y, %H:%M UTC", time.gmtime(heartbeat)) if words.known(heartbeat) else "",
        "verdict": headline.verdict(run),
        "figures": results.key_figures(run),
        "efficiency": results.efficiency(run),
        "measures": measures(
            run.comparison, analysis.arms_of(run.comparison), lambda arm: charts.named(run.comparison, arm)
        ),
        "each_finding": of_each_finding(
            run.comparison, analysis.arms_of(run.comparison), lambda arm: charts.named(run.comparison, arm)
        ),
        "saved": saving.saved(run),
        "crossing": elsewhere.crossing(run),
        "shift": elsewhere.shift(run),
        "nothing_to_reach": saving.nothing_to_reach(run),
        "kept_model": kept_model(run),
        "frozen_on": results.frozen_on(run),
        "reaching": saving.reaching(run),
        "data": about.data(run),
        "scores": reading.scores(run),
        "reading_note": reading.measured_on(run),
        "passages": reading.passages(run),
        "pairs": reading.pairs(run),
        "written": reading.written(run),
        "growth": reading.growth(run),
        "near_words": reading.near_words(run),
        "word_map": reading.word_map(run) if run.kind == "words" else None,
        "analogies": reading.analogies(run),
        "hidden": about.hidden(run),
        "findings": findings(run),
        "shortcuts": shortcuts(run),
        "training": curves.training(run),
        "health": about.health(run),
        "monitors": about.monitors(run),
        "monitored_on": about.monitored_on(run),
        "events": [str(line.get("text")) for line in run.events if line.get("text")][-12:],
        "neighbours": results.neighbours(run),
        "probe": results.probe(run),
        "by_other_labels": results.by_other_labels(run),
        "retrieval": results.retrieval(run),
        "retrieved": results.retrieved(run),
        "map": results.embedding_map(run) if run.kind != "words" else None,
        "confusion": results.confusion(run),
        "cost": about.cost(run),
        "method": about.method(run),
        "search": searching.section(run),
        "versions": about.versions(run),
        "missing": about.missing(run),
        "left_out": about.left_out(run),
        "snippet": snippet(run),
    }
    return {**shown, "glossary": glossary(shown, run.noun)}


def environment() -> Environment:
    """Where templates are found, with the filters they use."""
    found = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "count": words.count, "counted": words.counted, "percent": words.percent, "number": words.number,
        "closed": words.closed, "unbroken": words.unbroken,
    }  # fmt: skip
    return found


def numbers(run: Gathered) -> dict[str, Any]:
    """The report as JSON: verdict, key figures, the comparison's tables, cost, health and what is missing."""
    comparison = run.comparison
    kept = (
        "metric", "test", "seeds", "trials", "summary", "paired", "labels_saved", "crossing", "shift", "to_reach_scratch", "knn",
    )  # fmt: skip
    few = analysis.few_labels(comparison)
    return {
        "title": title_of(run),
        "data": run.data_name,
        "objective": run.objective or None,
        "state": run.state,
        "verdict": headline.verdict(run),
        "advantage": analysis.advantage_sentence(analysis.differences(comparison)) or None,
        "key_labels": few[0] if few else None,
        "figures": [{"title": f.title, "value": f.value, "note": f.note} for f in results.key_figures(run)],
        **{name: comparison.get(name) for name in (*kept, "linear_probe", FROZEN)},
        "search": searching.searches(run),
        "cost": [vars(item) for item in analysis.costs(run)],
        "findings": run.results.get("findings", {}).get("findings", []),
        "shortcuts": run.results.get("shortcuts"),
        "steps": analysis.steps_phrase(run) or None,
        "health": next(reversed(analysis.of_weights(run, run.health)), None),
        "monitors": {name: _last_value(analysis.of_weights(run, lines)) for name, lines in run.monitors.items()},
        "text": run.results.get("text"),
        "words": run.results.get("words"),
        "facts": run.facts,
        "missing": [{"part": part, "command": command} for part, command in about.missing(run)],
        "left_out": [{"part": part, "why": why} for part, why in about.left_out(run)],
        "foretell": __version__,
    }


def _last_value(lines: list[dict[str, Any]]) -> Any:
    return lines[-1].get("value") if lines else None


def build(run_path: str | Path) -> Path:
    """Write report.html, report.json and MODEL_CARD.md into the run folder and return the page's path.

    Only files of the run are read; parts that are missing are named with the command that would add them. Raises
    InputError when ``run_path`` is no run or one of its files is damaged, ForetellError when it cannot be written.
    """
    run = gather(run_path)
    try:
        made = _files(run)
    except FAULTS as error:
        name = _edited(run)
        if name is None:
            raise
        raise InputError(
            f"{run.path / name}: no report can be made of what it holds ({type(error).__name__}: {error}); where it was "
            f"edited, {AGAIN}"
        ) from error
    for name, text in made.items():
        write_aside(run.path / name, text)
    return run.path / "report.html"


def _files(run: Gathered) -> dict[str, str]:
    """The text of each file of the report, by name; the page is the last."""
    return {
        "report.json": json.dumps(numbers(run), indent=1, ensure_ascii=False) + "\n",
        "MODEL_CARD.md": model_card(run),
        "report.html": _page(run),
    }


def _page(run: Gathered) -> str:
    """The page, whose glossary has the words that stand on it."""
    template, shown = environment().get_template("report.html.j2"), context(run)
    without = template.render({**shown, "glossary": []})
    return template.render({**shown, "glossary": spoken_of(shown["glossary"], without)})


def _edited(run: Gathered) -> str | None:
    """The file without which the report can be made; None where that is no single one."""
    without: dict[str, dict[str, Any]] = {"facts.json": {"facts": {}}, "status.json": {"status": {}}}
    for name in run.results:
        without[f"results/{name}.json"] = {"results": _but(run.results, name)}
    for name, change in without.items():
        try:
            _files(replace(run, **change))
        except FAULTS:
            continue
        return name
    return None


def _but(values: dict[str, Any], left_out: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != left_out}
