"""The report's sections on the run: data, what was hidden, health, cost, method, what is missing.

Each is a function from the gathered run to what its piece of the template shows, or None when it is missing.
"""

from __future__ import annotations

import shlex

from foretell.measures.metrics import MOST_CONFUSION, metric_name
from foretell.report import analysis, charts, leaks, searching, words
from foretell.report.curves import last_step
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Cell, Table, blocks, image, inscription
from foretell.report.results import tested
from foretell.transfer.labels import chose_step


def data(run: Gathered) -> Json | None:
    facts = run.part("data")
    if not facts:
        return None
    if facts.get("kind") == "text":
        return _text(facts)
    classes = run.classes
    shades = {1: "grey", 3: "colour", 4: "four-channel"}
    channels = facts.get("channels")
    listed = [
        ("Images", words.count(facts.get("count")), ""),
        ("Unreadable", words.count(facts.get("unreadable")), ""),
        ("Read as", str(facts.get("kind", words.MISSING)), ""),
        ("Usual side", f"{words.count(facts.get('side'))} px", "the median of the images' shorter sides"),
        ("Channels", f"{channels} ({shades[channels]})" if channels in shades else words.count(channels), ""),
        ("Mean", ", ".join(words.number(v) for v in facts.get("mean") or []) or words.MISSING, ""),
        ("Deviation", ", ".join(words.number(v) for v in facts.get("std") or []) or words.MISSING, ""),
        ("Fingerprint", str(facts.get("fingerprint", words.MISSING))[:16], str(facts.get("fingerprint", ""))),
        ("Source", str(facts.get("source", words.MISSING)), ""),
    ]
    if facts.get("test"):
        how = f" ({facts['split']})" if facts.get("split") else ""
        learnt = f"{words.count(facts.get('train'))} to learn from, {words.count(facts['test'])} to test on"
        listed.append(("Split", learnt + how, ""))
    named = words.listed([words.shorten(name, 40) for name in classes], 20)
    told = f"{len(classes)}: {named}" if classes else "none given"
    listed.append(("Classes", told, words.listed(classes, len(classes))))
    return {"facts": listed, "long": {"Source", "Classes", "Split"}}


def _text(facts: Json) -> Json:
    rows = f"{words.count(facts.get('rows'))}, {words.percent(facts.get('filled'))} text"
    listed = [
        ("Documents", words.count(facts.get("count")), ""),
        ("Sentences", words.count(facts.get("sentences")), ""),
        ("Tokens", words.count(facts.get("tokens")), "words and pieces of words, as the text is cut"),
        ("Vocabulary", words.count(facts.get("vocabulary")), "different tokens that are known"),
        *([("Rows", rows, "the rest is padding")] if "rows" in facts else []),
        ("Understood as", "; ".join(facts.get("notes") or []) or words.MISSING, ""),
        ("Split", str(facts.get("split", words.MISSING)), ""),
        ("Fingerprint", str(facts.get("fingerprint", words.MISSING))[:16], str(facts.get("fingerprint", ""))),
        ("Source", str(facts.get("source", words.MISSING)), ""),
    ]
    return {"facts": listed, "long": {"Source", "Split", "Understood as"}}


def hidden(run: Gathered) -> Json | None:
    """What the pretext task hides and foretells, with its picture."""
    about = objective_words(run)
    pictures = blocks(run, "views")
    if not pictures and not about:
        return None
    elsewhere = {
        "views",
        "neighbours",
        *(one.get("name") for one in run.results.get("findings", {}).get("findings", [])),
    }
    extra = [(stem, image(run, stem)) for stem in run.pictures if stem not in elsewhere and stem.isprintable()]
    return {
        "about": about,
        "pictures": pictures,
        "panels": inscription(run, "views", "Panels"),
        "note": inscription(run, "views", "Description"),
        "extra": extra,
        "examples": _examples(about) if run.kind == "words" else None,
    }


def _examples(about: Json) -> Table | None:
    """What is shown and what is foretold, a row each."""
    rows = about.get("examples") or []
    return Table(rows[0], rows[1:], words=2) if len(rows) > 1 else None


def objective_words(run: Gathered) -> Json:
    """hides, foretells, paper: from the run's facts, or else from the registered objective of that name."""
    facts = run.part("objective")
    if facts:
        return facts
    if not run.objective:
        return {}
    from foretell.errors import InputError
    from foretell.objectives import get

    try:
        found = get(run.objective)
    except InputError:  # an objective of a plug-in that is not installed here
        return {}
    return {name: str(getattr(found, name, "")) for name in ("hides", "foretells", "paper")}


HEALTH = {
    "rankme": ("RankMe", "effective number of dimensions in use; higher is better"),
    "deviation": ("Deviation", "of a dimension over samples, unit-length embeddings; zero is collapse"),
    "alignment": ("Alignment", "squared distance of two views of a sample; lower is better"),
    "uniformity": ("Uniformity", "of the embeddings on the sphere; lower is more even"),
}


def health(run: Gathered) -> Json | None:
    if not run.health:
        return None
    drawn = [
        {
            "title": title,
            "note": note,
            "chart": charts.curve(f"health-{name}", title, run.health, {name: title}, until=last_step(run)),
        }
        for name, (title, note) in HEALTH.items()
    ]
    return {"verdict": analysis.health_told(run), "charts": [item for item in drawn if item["chart"]]}


CLASSES = ("classification", "entailment", "similarity")  # tasks of texts that TF-IDF is told of
MONITORS = {
    "knn": "kNN accuracy",
    "probe": "Linear-probe accuracy",
    "held_out_loss": "Loss on documents held out",
    "held-out loss": "Loss on documents held out",
}


def monitors(run: Gathered) -> list[Json]:
    out = []
    for place, (name, lines) in enumerate(run.monitors.items()):
        values = [line["value"] for line in lines if words.known(line.get("value"))]
        share = bool(values) and all(0 <= value <= 1 for value in values)
        chart = charts.curve(f"monitor-{place}", name, lines, {"value": name}, share=share, until=last_step(run))
        if chart:
            written = words.percent if share else words.number
            last = f"{_at_weights(run, lines, written)}{written(values[-1])} at the end"
            out.append({"title": MONITORS.get(name, name), "chart": chart, "last": last})
    return out


def monitored_on(run: Gathered) -> str:
    """Which samples the scores while training are of, a sentence; "" where there are none of images with labels."""
    if run.kind != "image" or not run.monitors.keys() & {"knn", "probe"}:
        return ""
    told = (
        "These scores are on labelled images of the training part, from which pretraining learns too: about 30% of them are "
        "judged by the labels of the rest; images of one group (patient, case or study) are not parted. The test images are not "
        "looked at."
    )
    return f"{told} {chosen}" if (chosen := chosen_by(run)) else told


def chosen_by(run: Gathered) -> str:
    """Which labels chose the step of the weights, a sentence; "" where none did."""
    told = chose_step(run.facts)
    return f"{told}." if told else ""


def _at_weights(run: Gathered, lines: list[Json], written: words.Format) -> str:
    """What a monitor had found of the weights that the run ends with, "" where those are the last ones."""
    step = analysis.step_of_weights(run)
    value = next((line.get("value") for line in reversed(lines) if step is not None and line.get("step") == step), None)
    return f"{written(value)} at step {words.count(step)}, whose weights are kept; " if value is not None else ""


def cost(run: Gathered) -> Json | None:
    spent = analysis.costs(run)
    if not spent:
        return None
    rows: list[list[Cell | str]] = [
        [
            Cell(item.title, kind=f"c-{charts.key_of(item.key)}" if item.key in analysis.ARMS else ""),
            words.percent(item.quality), words.duration(item.seconds), words.count(item.samples),
            words.memory(item.memory), words.operations(item.flops),
            "<1%" if item.share and item.share < 0.005 else words.percent(item.share, 0),
        ]
        for item in spent
    ]  # fmt: skip
    few = analysis.few_labels(run.comparison)
    metric = metric_name(analysis.metric_of(run.comparison))
    quality = Cell(words.begun(metric), words.counted(few[0], "label") if few else "")
    head: list[Cell | str] = ["Stage or arm", quality, "Time", "Samples", "Peak memory", "Work", "Share of peak"]
    by_key = {item.key: item for item in spent}
    sentence = ""
    first, own, other = (by_key.get(key) for key in ("pretraining", "pretrained", "scratch"))
    if first and own and other and first.seconds and own.seconds and other.seconds:
        ratio = (first.seconds + own.seconds) / other.seconds
        sentence = (
            f"With its pretraining, the pretrained arm costs {words.number(ratio, 2)} times the time of training from "
            "scratch once; the encoder is paid for once and serves every later task on such data."
        )
    return {
        "sentence": sentence, "table": _known_columns(Table(head, rows)), "arms": len(spent) > 1,
        "whole": spent[-1].key == "comparison", "beside": _beside(run), "chart": charts.spent(spent),
        "peak": words.operations(analysis.peak_of(run), "FLOP/s"),
        "precision": run.part("measured").get("precision", "float32"),
    }  # fmt: skip


def _beside(run: Gathered) -> str:
    """What the trainings of the comparison had of the cores, where they ran side by side."""
    part = analysis.part_of_cores(run)
    if part is None:
        return ""
    whole = int(run.part("measured")["threads"])
    return (
        f"The trainings of the comparison ran side by side, each on {words.counted(round(part * whole), 'core')} where "
        f"pretraining had {whole}: their time and share of peak are of that part."
    )


def _known_columns(table: Table) -> Table:
    """Without the columns in which nothing is known."""
    kept = [c for c in range(len(table.head)) if any(row[c] != words.MISSING for row in table.rows)]
    return Table([table.head[c] for c in kept], [[row[c] for c in kept] for row in table.rows], table.words)


def method(run: Gathered) -> list[str]:
    """How it was measured, a sentence each."""
    comparison = run.comparison
    if not comparison.get("summary"):
        return []
    out = []
    test, seeds = comparison.get("test") or {}, comparison.get("seeds") or []
    if test:
        split = f" ({test['split']})" if test.get("split") else ""
        left = (
            f"; {words.count(test['unlabelled'])} more have no label and are left out" if test.get("unlabelled") else ""
        )
        reached = comparison.get("to_reach_scratch") or {}
        curves = (
            f"; the looks during a fit are on {words.count(reached['samples'])} of them"
            if words.known(reached.get("samples")) and reached["samples"] < (test.get("samples") or 0)
            else ""
        )
        out.append(
            f"Every score of the comparison is on the same {tested(run, test)}{split}, never trained on{curves}{left}."
        )
    frozen = comparison.get("frozen_test") or test
    others = analysis.other_labels(comparison)
    if others or any(frozen.get(name) != test.get(name) for name in ("samples", "split")):
        how = f" ({frozen['split']})" if frozen.get("split") else ""
        by = f", by {others}" if others else ""
        out.append(
            "Nearest neighbours, the linear probe and retrieval were evaluated apart from that, on "
            f"{tested(run, frozen)}{how}{by}."
        )
    if len(seeds) > 1:
        out.append(
            f"Each figure is the mean over {len(seeds)} seeds ({words.listed([str(s) for s in seeds])}); a seed draws "
            "its own labelled subset, the same for every arm, and larger subsets contain the smaller ones. Bands, bars "
            "and the figures in small print are 95% t-intervals over the seeds."
        )
        out.append(
            "Differences are paired by seed; a verdict is better or worse only where the 95% interval of the "
            "difference leaves out zero, else undecided; so it is where every seed has the same difference."
        )
    elif seeds:
        out.append("One seed was run, so that no interval can be given: read differences with care.")
    out += [told for told in (searching.method(comparison), chosen_by(run)) if told]
    for arm, about in (comparison.get("arms") or {}).items():
        if isinstance(about, dict) and about.get("what"):
            what = str(about["what"]).rstrip(".")
            out.append(f"{words.begun(analysis.arm_name(comparison, arm, short=False))}: {what}.")
    return out


def versions(run: Gathered) -> list[tuple[str, str]]:
    rows = [(str(name), str(value)) for name, value in run.part("versions").items()]
    named = {
        "cpu": "processor",
        "cores": "cores",
        "device": "device",
        "threads": "threads",
        "copy_bytes_per_s": "copy bandwidth",
    }
    for name, value in run.part("machine").items():
        if name.endswith("_flops"):
            rows.append((f"measured peak, {name.removesuffix('_flops')}", words.operations(value, "FLOP/s")))
        elif name == "copy_bytes_per_s":
            rows.append((named[name], words.memory(value) + "/s"))
        else:
            rows.append((named.get(name, name), str(value)))
    measured = {**run.part("measured")}
    if "steps" in measured:
        measured["steps of the budget"] = measured.pop("steps")
    rows += [
        (f"measured: {name.replace('_', ' ')}", words.number(value) if words.known(value) else str(value))
        for name, value in measured.items()
        if value is not None
    ]
    return rows


def _of_findings(run: Gathered) -> bool:
    """Whether images have several findings and not one class: asked for in the recipe, or measured so."""
    asked = (run.recipe.get("transfer") or {}).get("findings")
    return bool(asked) or analysis.of_findings(run.comparison)


def _no_matrix(run: Gathered) -> str:
    """Why there can be no confusion matrix; "" where there can."""
    if _of_findings(run):
        return "images have several findings here, and it is of one class each"
    if len(run.classes) > MOST_CONFUSION:
        return f"one of {len(run.classes)} classes is too large to be read; it is kept for {MOST_CONFUSION} at most"
    return ""


def left_out(run: Gathered) -> list[tuple[str, str]]:
    """Parts that no command would add, and why."""
    if run.kind != "image":
        return []
    out = []
    if _of_findings(run):
        why = "images have several findings here, and these are of one class each; a linear probe of findings is an arm of the comparison"
        out.append(("Nearest-neighbour and linear-probe scores with all labels", why))
    if _no_matrix(run):
        out.append(("The confusion matrix", _no_matrix(run)))
    return out


def missing(run: Gathered) -> list[tuple[str, str]]:
    """What the report leaves out, and the command that would add it."""
    path = shlex.quote(str(run.path))
    out = []
    if run.state in ("failed", "stopped", "running", "broken") or not run.status:
        out.append(("The rest of the pretraining and its encoder", f"foretell pretrain --resume {path}"))
    elif not run.exported and not run.held:  # killed at its end
        out.append(("Its encoder, which was not written yet", f"foretell pretrain --resume {path}"))
    if run.kind == "text":
        return [*out, *_missing_of_text(run, path)]
    if run.kind == "words":
        return [*out, *_missing_of_words(run, path)]
    usable = run.classes and not run.part("data").get("unmeasured")
    labels = "" if usable else " --labels labels.csv"
    compare = f"foretell finetune {path}{labels}"
    if not run.comparison.get("summary"):
        out.append(("The label-efficiency curve, labels saved, steps to reach training from scratch", compare))
    scores = ("Nearest-neighbour scores", "knn"), ("Linear-probe scores", "linear_probe")
    absent = [title for title, name in scores if not run.comparison.get(name) and not _of_findings(run)]
    if absent:
        title = words.listed([absent[0], *(title.lower() for title in absent[1:])])
        out.append((title, f"foretell evaluate {path}{labels}"))
    if "neighbours" not in run.pictures:
        out.append(("Nearest neighbours as pictures", f"foretell neighbours {path}"))
    if not (run.results.get("map") or {}).get("x"):
        out.append(("The map of the embeddings", f"foretell embed {path}"))
    if not _no_matrix(run) and not (run.comparison.get("confusion") or {}).get("matrix"):
        out.append(("The confusion matrix", compare))
    if leaks.can_be_probed(run):
        out.append(("Whether the views show where they lie", f"foretell check {path} --shortcuts"))
    if "views" not in run.pictures:
        out.append(("A picture of what was hidden", f"foretell pretrain --recipe {path}"))
    return out


def _missing_of_words(run: Gathered, path: str) -> list[tuple[str, str]]:
    found = run.results.get("words", {})
    parts = (
        ("similarity", "Similarities beside people's", "--similarity wordsim353.tsv"),
        ("analogies", "Analogies", "--analogies questions-words.txt"),
    )
    return [(title, f"foretell evaluate {path} {option}") for name, title, option in parts if name not in found]


def _missing_of_text(run: Gathered, path: str) -> list[tuple[str, str]]:
    if run.comparison.get("summary"):
        return []
    kept = run.results.get("finetune", {})
    plain = "TF-IDF" if kept.get("task") in (None, *CLASSES) else "a plain baseline"
    part = f"What it is worth with few labels, beside training from scratch and {plain}"
    return [(part, f"foretell finetune {path} --data {shlex.quote(str(kept.get('data') or 'posts.csv'))}")]
