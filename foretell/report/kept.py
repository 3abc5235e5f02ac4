"""The report's section on the fine-tuned model that is kept: its scores on the test part, for every task."""

from __future__ import annotations

from foretell.report import words
from foretell.report.gather import Gathered, Json
from foretell.report.measures import of_classifier
from foretell.report.parts import Table
from foretell.report.results import one_class, tested


def kept_model(run: Gathered) -> Json | None:
    """A row a measure of results/finetune.json; None where no model was fine-tuned, or none tested."""
    kept = run.results.get("finetune", {})
    test = kept.get("test") or {}
    rows = of_classifier(test, len(kept.get("classes") or []), findings=bool(kept.get("findings")))
    if not rows:
        return None
    labels = f" on {words.counted(kept['labels'], 'label')}" if words.known(kept.get("labels")) else ""
    alone = "" if run.comparison.get("summary") else one_class(run)
    on = tested(run, test) if words.known(test.get("samples")) else "the test part"
    return {
        "sentence": f"Fine-tuned{labels}; tested on {on}. {alone}".rstrip(),
        "table": Table(["Measure", "Score"], rows),
        "caption": "Test scores of the model that is kept",
    }
