"""The report's sections on what the encoder is worth: key figures, label efficiency, neighbours, map, confusion.

Each is a function from the gathered run to what its piece of the template shows, or None when it is missing.
"""

from __future__ import annotations

from foretell.measures.metrics import commonest, metric_name, of_commonest, only_answer
from foretell.report import analysis, charts, reading, searching, words
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Cell, Figure, Table, image, pixel_width
from foretell.transfer.fractions import in_words
from foretell.transfer.labels import KEY, chose_step, of_frozen


def key_figures(run: Gathered) -> list[Figure]:
    """Four or five numbers: quality at few labels where it was measured, then neighbours, time and samples."""
    comparison, out = run.comparison, []
    few = analysis.few_labels(comparison)
    cells = analysis.summary_of(comparison)
    metric = metric_name(analysis.metric_of(comparison))
    for arm in ("pretrained", "scratch") if few else ():
        cell = analysis.at_labels(cells.get(arm, []), few[0]) if few else None
        if cell and few:
            bounds = words.interval(cell.low, cell.high)
            at = f"{metric} with {analysis.labels_phrase(*few)}"
            title = {"pretrained": "Pretrained", "scratch": "From scratch"}[arm]
            note = f"{bounds} ({words.counted(cell.n, 'seed')}); {at}" if bounds else f"{at}, one seed"
            out.append(Figure(words.percent(cell.mean), title, note, arm))
    knn = comparison.get("knn") or {}
    own = (knn.get("pretrained") or {}).get("accuracy")
    if words.known(own):
        by = analysis.other_labels(comparison)
        accuracy = "" if analysis.metric_of(comparison) == "accuracy" else "accuracy"
        lead = f"{accuracy} by {by}".strip() if by else accuracy
        others = [
            f"{name} {words.percent((knn.get(arm) or {}).get('accuracy'))}"
            for arm, name in (("random", "random features"), ("pixels", "pixels"))
            if words.known((knn.get(arm) or {}).get("accuracy"))
        ]
        beside = "; ".join(part for part in (lead, ", ".join(others)) if part)
        out.append(Figure(words.percent(own), "Nearest neighbours", beside, "pretrained"))
    own_figures = {"text": reading.figures, "words": reading.words_figures}.get(run.kind)
    if own_figures is not None:
        out += own_figures(run)[:3]
    if not out:
        out += _progress_figures(run)
    cost = run.part("cost")
    if words.known(cost.get("seconds")):
        machine = run.part("machine")
        named = [str(machine[name]) for name in ("device", "cpu") if machine.get(name) not in (None, "", "cpu")]
        device = named[0] if named else ""
        out.append(Figure(words.duration(cost["seconds"]), "Pretraining time", words.shorten(device, 48)))
    tokens = reading.tokens_seen(run) if run.kind != "image" else None
    if tokens is not None:
        rate = tokens / cost["seconds"] if cost.get("seconds") else None
        unit, left = ("Words", "ends of sentences") if run.kind == "words" else ("Tokens", "padding")
        out.append(Figure(words.count(rate), f"{unit} a second", f"{words.count(tokens)} in all, {left} left out"))
    elif words.known(cost.get("samples")):
        rate = cost["samples"] / cost["seconds"] if cost.get("seconds") else None
        how = "no label learnt from" if chose_step(run.facts) else "no label read"
        out.append(Figure(words.count(cost["samples"]), "Images seen", f"{words.count(rate)} a second, {how}"))
    return out[:5]


def _progress_figures(run: Gathered) -> list[Figure]:
    out = []
    step, steps = run.status.get("step"), run.status.get("steps") or run.part("measured").get("steps")
    if words.known(step):
        early = ", stopped early" if analysis.stopped_early(run) else ""
        out.append(Figure(words.count(step), "Steps", f"of {words.count(steps)}{early}" if steps else ""))
    losses = [line["total"] for line in run.steps if words.known(line.get("total"))]
    if losses:
        out.append(Figure(words.number(losses[-1]), "Loss", f"{words.number(losses[0])} at the start"))
    ranks = [line["rankme"] for line in analysis.of_weights(run, run.health) if words.known(line.get("rankme"))]
    if ranks:
        dim = run.part("encoder").get("dim")
        out.append(Figure(words.number(ranks[-1]), "RankMe", f"of {words.count(dim)} dimensions" if dim else ""))
    return out


VERDICT_WORDS = {"better": "▲ better", "worse": "▼ worse", "undecided": "○ undecided"}


def score_cell(cell: analysis.Cell) -> Cell:
    """A score with its intervals over seeds and over groups of the test part."""
    groups = words.group_interval(cell.group_low, cell.group_high)
    return Cell(words.percent(cell.mean), words.interval(cell.low, cell.high), more=groups)


def efficiency(run: Gathered) -> Json | None:
    """The label-efficiency curve, its sentence and its table."""
    comparison = run.comparison
    cells = analysis.summary_of(comparison)
    if not cells:
        return None
    pairs = analysis.differences(comparison)
    head: list[Cell | str] = [
        "Labels",
        *(Cell(analysis.arm_name(comparison, a), kind=f"c-{charts.key_of(a)}") for a in cells),
    ]
    if pairs:
        head += [Cell("difference", "pretrained − scratch"), ""]
    rows = []
    measured = {cell.labels: cell.per_class for arm in cells.values() for cell in arm}
    for labels in sorted(measured):
        per_class = measured[labels]
        row: list[Cell | str] = [Cell(words.count(labels), in_words(per_class))]
        for arm in cells:
            cell = analysis.at_labels(cells[arm], labels)
            row.append(score_cell(cell) if cell else words.MISSING)
        pair = next((pair for pair in pairs if pair.labels == labels), None)
        if pairs and pair:
            row += [
                Cell(
                    words.points(pair.difference),
                    words.interval(pair.low, pair.high, signed=True),
                    more=words.group_interval(pair.group_low, pair.group_high, signed=True),
                ),
                Cell(VERDICT_WORDS[pair.verdict], kind=f"word {pair.verdict}"),
            ]
        elif pairs:
            row += [words.MISSING, words.MISSING]
        rows.append(row)
    return {
        "sentence": analysis.advantage_sentence(pairs),
        "metric": metric_name(analysis.metric_of(comparison)),
        "commonest": commonest_told(run),
        "one_class": _one_class(run),
        "chart": charts.efficiency(comparison),
        "table": Table(head, rows),
        "intervals": any(cell.low is not None for arm in cells.values() for cell in arm),
        "groups": any(cell.group_low is not None for arm in cells.values() for cell in arm),
    }


def commonest_told(run: Gathered) -> str:
    """What answering the commonest class of the test part alone would come to; "" where that is not known or no one class
    is asked for."""
    comparison = run.comparison
    found = comparison.get("commonest")
    matrix = (comparison.get("confusion") or {}).get("matrix") or []
    if found is None and matrix and len(matrix) == len(run.classes):  # a comparison that was kept before
        found = commonest([sum(row) for row in matrix], run.classes)
    if not found:
        return ""
    metric, value = of_commonest(found, analysis.metric_of(comparison))
    name = words.shorten(str(found["class"]), 40)
    return f"the commonest class alone, {name}, has {metric_name(metric)} {words.percent(value)}"


def _one_class(run: Gathered) -> str:
    """That the classifier kept answers one class only, "" where that is not so."""
    kept = searching.kept_classifier(run)
    classes, matrix = kept.get("classes") or [], (kept.get("test") or {}).get("confusion") or []
    only = only_answer(matrix, classes) if classes and len(matrix) == len(classes) else None
    return "" if only is None else f"The classifier kept answers one class only on the test part: {only}."


def saved(run: Gathered) -> Json | None:
    savings = analysis.savings(run.comparison)
    if not savings:
        return None
    beyond = [saving for saving in savings if saving.bound == "above"]
    told = (_most_saved(savings), _not_reached(beyond), _none_saved(savings), _not_known(savings))
    return {"sentence": " ".join(filter(None, told)), "chart": charts.saved(savings), "open": bool(beyond)}


def _decided_first(savings: list[analysis.Saving]) -> list[analysis.Saving]:
    """Those at whose number of labels pretraining is better; all of them where there are none."""
    return [saving for saving in savings if saving.verdict == "better"] or savings


def _most_saved(savings: list[analysis.Saving]) -> str:
    """The largest saving in words, "" where there is none worth telling."""
    found = _decided_first([saving for saving in savings if saving.equals and saving.side == "saves"])
    if not found:
        return ""
    best = max(found, key=lambda saving: (saving.equals or 0) / saving.labels)
    equals = best.equals or 0
    lead, tail = (
        ("At best", "") if best.verdict == "better" else ("On the mean", f"; the difference there is {best.verdict}")
    )
    return (
        f"{lead}, {words.counted(best.labels, 'label')} with pretraining do as well as {words.count(equals)} from scratch, "
        f"{words.number(equals / best.labels, 2)} times as many{tail}."
    )


def _not_reached(beyond: list[analysis.Saving]) -> str:
    """The fewest pretrained labels whose score training from scratch does not reach, "" where there are none."""
    if not beyond:
        return ""
    first = _decided_first(beyond)[0]
    lead, tail = "Training", ""
    if first.verdict != "better":
        lead, tail = "On the mean, training", f"; the difference there is {first.verdict}"
    return (
        f"{lead} from scratch does not reach the score of {words.counted(first.labels, 'pretrained label')} "
        f"with all {words.count(first.most)} that were tried{tail}."
    )


def _none_saved(savings: list[analysis.Saving]) -> str:
    """The numbers of labels at which training from scratch needs no more, "" where there are none."""
    none = [saving for saving in savings if saving.side == "none"]
    if not none:
        return ""
    if len(none) == len(savings):
        return "Pretraining saves no labels here: training from scratch does as well with as many or fewer."
    lead = "Pretraining" if all(saving.verdict == "worse" for saving in none) else "On the mean, pretraining"
    return (
        f"{lead} saves none with {_labels(none)}: there training from scratch does as well with about as many or fewer."
    )


def _not_known(savings: list[analysis.Saving]) -> str:
    """The numbers of labels below all that training from scratch was tried with, and does better; "" where there are none."""
    open_ = [saving for saving in savings if saving.side == "open"]
    if not open_:
        return ""
    return (
        f"Whether it saves any with {_labels(open_)} is not known: training from scratch was tried with "
        f"{words.count(open_[0].fewest)} or more, which do better."
    )


def _labels(savings: list[analysis.Saving]) -> str:
    numbers = words.listed([words.count(saving.labels) for saving in savings], 99)
    return f"{numbers} {'label' if [saving.labels for saving in savings] == [1] else 'labels'}"


def _in_one(comparison: Json) -> str:
    """Said of what is shown of one seed alone, where the figures elsewhere are means."""
    return " in the first seed" if len(comparison.get("seeds") or []) > 1 else ""


def _reached_sentence(entries: list[Json], arm: str, comparison: Json) -> str:
    """At which numbers of labels the arm gets to the final score of training from scratch, and at which it does not."""
    there = [words.count(entry["labels"]) for entry in entries if entry["steps"][arm] is not None]
    not_there = [words.count(entry["labels"]) for entry in entries if entry["steps"][arm] is None]
    told = [f"reaches it with {words.listed(there, 99)} labels"] if there else []
    if not_there:
        told.append(f"does not reach it with {words.listed(not_there, 99)} labels")
    return (
        f"The score that training from scratch ends at{_in_one(comparison)}: fine-tuning the pretrained encoder "
        f"{' and '.join(told)}. Pretraining is counted neither in steps nor in time."
    )


def _looks(run: Gathered, reached: Json) -> str:
    """How finely, and on what, the steps are told; "" where a comparison does not hold it."""
    samples, whole = reached.get("samples"), (run.comparison.get("test") or {}).get("samples")
    if not isinstance(samples, int):
        return ""
    of = f" of the {words.count(whole)}" if isinstance(whole, int) and samples < whole else ""
    on = f" on {words.count(samples)}{of} test {run.judged}s"
    return (
        f"The score was looked at before the first step, then at intervals, the same for both arms, and at the end{on}: "
        "steps are those of the first look that finds it, so that a difference of less than one interval says nothing. "
        "Times begin with the making of the network, the probe included where its head starts from one."
    )


def reaching(run: Gathered) -> Json | None:
    """Steps and time until each arm has the scratch arm's final score, at every number of labels."""
    comparison = run.comparison
    reached = comparison.get("to_reach_scratch") or {}
    entries = reached.get("all") or []
    if not entries:
        return None
    arm, against = reached.get("arm", "pretrained"), reached.get("against", "scratch")
    head: list[Cell | str] = [Cell("Labels"), Cell("score", "to reach"), Cell("looks", "every so many steps")]
    for what in ("steps", "time"):
        head += [Cell(what, analysis.arm_name(comparison, name)) for name in (arm, against)]
    rows: list[list[Cell | str]] = [
        [
            words.count(entry["labels"]),
            words.percent(entry["score"]),
            words.count(entry.get("every")),
            *(_steps(entry["steps"][name]) for name in (arm, against)),
            *(words.duration(entry["seconds"][name]) for name in (arm, against)),
        ]
        for entry in entries
    ]
    shown = charts.reached_at(comparison)
    return {
        "sentence": _reached_sentence(entries, arm, comparison),
        "chart": charts.reaching(comparison),
        "looks": _looks(run, reached),
        "shown": words.counted(shown["labels"], "label") if shown else "",
        "table": Table(head, rows),
    }


def _steps(steps: int | None) -> str:
    return words.count(steps) if words.known(steps) else "not reached"


def neighbours(run: Gathered) -> Json | None:
    knn = run.comparison.get("knn") or {}
    found = run.results.get("neighbours") or {}
    rows = found.get("rows") or []
    same = [bool(hit) for row in rows for hit in row.get("same") or []]
    picture = image(run, "neighbours")
    classes = of_frozen(run.comparison).get("classes") or run.classes
    chance = 1 / len(classes) if classes else None
    chart = charts.neighbours_score(knn, chance)
    if not picture and not chart:
        return None
    told = ""
    if picture and same:
        drawn, scored = found.get(KEY), of_frozen(run.comparison).get(KEY)
        by = (
            " by the labels that it was drawn with, which are not those of the scores"
            if scored and drawn not in (None, scored)
            else ""
        )
        told = f"{sum(same)} of the {len(same)} neighbours shown have the class of their query{by}."
    elif picture:
        when = "It was drawn before labels were given" if run.classes else "No labels were given"
        told = f"{when}, so only the eye can judge."
    if picture and found.get("apart"):
        told += " Images of a query's own group (patient, case or study) are left out."
    if picture:
        told += _learnt(found)
    k = next((arm.get("k") for arm in knn.values() if isinstance(arm, dict) and arm.get("k")), None)
    return {
        "sentence": told, "picture": picture, "chart": chart, "k": k, "width": pixel_width(run, "neighbours"),
        "framed": bool(same), "note": found.get("note") or "",
        "intervals": any(isinstance(arm, dict) and arm.get("intervals") for arm in knn.values()),
    }  # fmt: skip


def by_other_labels(run: Gathered) -> str:
    """That the scores with all labels are of other labels than the comparison, a sentence; "" where they are not."""
    others = analysis.other_labels(run.comparison)
    return (
        f"Nearest neighbours, the linear probe and retrieval were scored by {others} than the comparison."
        if others
        else ""
    )


def probe(run: Gathered) -> Table | None:
    """Linear probe: metrics as rows, features as columns."""
    scores = run.comparison.get("linear_probe") or {}
    arms = [arm for arm in analysis.ARMS if isinstance(scores.get(arm), dict)]
    metrics = [
        name
        for name in ("accuracy", "balanced_accuracy", "macro_f1", "auroc")
        if any(words.known(scores[arm].get(name)) for arm in arms)
    ]
    if not metrics:
        return None
    head: list[Cell | str] = ["Linear probe", *(Cell(analysis.ARMS[arm], kind=f"c-{arm}") for arm in arms)]
    return Table(head, [[metric_name(m), *(words.percent(scores[a].get(m)) for a in arms)] for m in metrics])


def retrieval(run: Gathered) -> Table | None:
    """Recall@k and mAP, for each identity that was asked for and each kind of features."""
    scores = run.comparison.get("retrieval") or {}
    rows: list[list[Cell | str]] = []
    ks: list[str] = []
    both = any((found or {}).get("group") for found in scores.values())
    for identity in ("class", "group"):
        for arm in ("pretrained", "random", "pixels"):
            found = (scores.get(arm) or {}).get(identity) or {}
            recall = found.get("recall") or {}
            if recall:
                ks = ks or list(recall)
                name = Cell(analysis.ARMS[arm], f"by {identity}" if both else "", f"c-{arm}")
                rows.append([name, *(words.percent(recall.get(k)) for k in ks), words.percent(found.get("map"))])
    return Table(["Retrieval", *(f"Recall@{k}" for k in ks), "mAP"], rows) if rows else None


def retrieved(run: Gathered) -> str:
    """What the table of ``retrieval`` counts, in words."""
    by_class = [(found or {}).get("class") or {} for found in (run.comparison.get("retrieval") or {}).values()]
    apart = any(found.get("apart") for found in by_class)
    left = ". By class, images of a query's own group (patient or case) are left out" if apart else ""
    return f"Finding {run.noun}s of the same kind by cosine similarity{left}"


def _learnt(drawn: Json) -> str:
    """Of what a picture was ``drawn`` from: that pretraining learnt from it; "" where it did not, or nothing says so."""
    return {
        "train": " They are images of the training part, from which pretraining learnt: few are held out.",
        "all": " They are of all the images of the run, from most of which pretraining learnt.",
    }.get(drawn.get("part") or "", "")


def embedding_map(run: Gathered) -> Json | None:
    result = run.results.get("map") or {}
    chart = charts.embedding_map(result)
    if chart is None:
        return None
    classes = [str(name) for name in result.get("classes") or []]
    labels = result.get("label") or []
    legend = [
        {
            "name": words.shorten(name, 32),
            "full": name,
            "count": labels.count(code),
            "code": code,
            "mark": charts.legend_mark(code),
        }
        for code, name in enumerate(classes)
        if code in labels
    ]
    return {
        "chart": chart, "legend": legend, "method": result.get("method", ""), "shown": len(labels),
        "count": result.get("count"), "trust": result.get("trustworthiness"),
        "missing": sum(1 for code in labels if code is None or code < 0) if classes else 0,
        "learnt": _learnt(result),
    }  # fmt: skip


def confusion(run: Gathered) -> Json | None:
    chart = charts.confusion(run)
    if chart is None:
        return None
    found = run.comparison["confusion"]
    matrix = found["matrix"]
    classes = run.classes if len(run.classes) == len(matrix) else [str(i) for i in range(len(matrix))]
    rows: list[list[Cell | str]] = [
        [Cell(words.shorten(true, 24)), Cell(words.shorten(taken, 24)), words.count(value), words.percent(share, 0)]
        for true, taken, value, share in analysis.most_confused(matrix, classes)
    ]
    arm = analysis.arm_name(run.comparison, str(found.get("arm", "pretrained")))
    labels = (words.counted(found["labels"], "label") if found.get("labels") else "its labels") + _in_one(
        run.comparison
    )
    return {
        "chart": chart, "arm": arm, "labels": labels,
        "table": Table(["True class", "Taken for", "Times", "Share of the class"], rows, words=2) if rows else None,
    }  # fmt: skip
