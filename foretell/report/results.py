"""The report's sections on what the encoder is worth: key figures, label efficiency, neighbours, map, confusion.

Each is a function from the gathered run to what its piece of the template shows, or None when it is missing.
"""

from __future__ import annotations

from foretell.measures.metrics import commonest, metric_name, of_commonest, only_answer
from foretell.report import analysis, charts, reading, searching, words
from foretell.report.curves import pretext
from foretell.report.gather import Gathered, Json, judged_of
from foretell.report.parts import Cell, Figure, Table, image, pixel_width
from foretell.report.plots import numbered
from foretell.report.saving import in_one
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
        labels = (knn.get("pretrained") or {}).get("labels")
        lead = f"{lead} with {words.counted(labels, 'label')}".strip() if words.known(labels) else lead
        beside = "; ".join(part for part in (lead, ", ".join(others)) if part)
        out.append(Figure(words.percent(own), "Nearest neighbours", beside, "pretrained"))
    own_figures = {"text": reading.figures, "words": reading.words_figures}.get(run.kind)
    if own_figures is not None:
        out += own_figures(run)[:3]
    if not out:
        out += _progress_figures(run)
    elif run.kind == "image" and not few and (foretold := pretext(run)) is not None:
        out.append(foretold)
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
        out.append(Figure(words.rate(rate), f"{unit} a second", f"{words.count(tokens)} in all, {left} left out"))
    elif words.known(cost.get("samples")):
        rate = cost["samples"] / cost["seconds"] if cost.get("seconds") else None
        how = "no label learnt from" if chose_step(run.facts) else "no label read"
        out.append(Figure(words.count(cost["samples"]), "Images seen", f"{words.rate(rate)} a second, {how}"))
    return out[:5]


def _progress_figures(run: Gathered) -> list[Figure]:
    out = []
    step, steps = run.status.get("step"), run.status.get("steps") or run.part("measured").get("steps")
    if words.known(step):
        early = ", stopped early" if analysis.stopped_early(run) else ""
        out.append(Figure(words.count(step), "Steps", f"of {words.count(steps)}{early}" if steps else ""))
    if (foretold := pretext(run)) is not None:
        out.append(foretold)
    ranks = [line["rankme"] for line in analysis.of_weights(run, run.health) if words.known(line.get("rankme"))]
    if ranks:
        dim = run.part("encoder").get("dim")
        of = f"of {words.count(dim)}; " if dim else ""
        out.append(
            Figure(words.number(ranks[-1]), "Dimensions in use", f"{of}RankMe of the embeddings, higher is better")
        )
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
        "one_class": one_class(run),
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


def one_class(run: Gathered) -> str:
    """That the classifier kept answers one class only, "" where that is not so."""
    kept = searching.kept_classifier(run)
    classes, matrix = kept.get("classes") or [], (kept.get("test") or {}).get("confusion") or []
    only = only_answer(matrix, classes) if classes and len(matrix) == len(classes) else None
    return "" if only is None else f"The classifier kept answers one class only on the test part: {only}."


def neighbours(run: Gathered) -> Json | None:
    knn = run.comparison.get("knn") or {}
    found = run.results.get("neighbours") or {}
    rows = found.get("rows") or []
    hits = [hit for row in rows for hit in row.get("same") or []]
    same = [bool(hit) for hit in hits if hit is not None]
    unlabelled = len(hits) - len(same)
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
        of = "labelled neighbours" if unlabelled else "neighbours"
        told = f"{sum(same)} of the {len(same)} {of} shown have the class of their query{by}."
    elif picture and hits:
        told = "None of the neighbours shown has a label, so only the eye can judge."
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
        "framed": bool(same), "unlabelled": unlabelled, "note": found.get("note") or "",
        "intervals": any(isinstance(arm, dict) and arm.get("intervals") for arm in knn.values()),
    }  # fmt: skip


def frozen_on(run: Gathered) -> str:
    """With how many labels, and on what, the scores of frozen features are; "" where that was not kept."""
    comparison = run.comparison
    known = {**(comparison.get("linear_probe") or {}), **(comparison.get("knn") or {})}
    labels = next((arm["labels"] for arm in known.values() if isinstance(arm, dict) and arm.get("labels")), None)
    test = comparison.get("frozen_test") or comparison.get("test") or {}
    parts = [f"with {words.counted(labels, 'label')}"] if words.known(labels) else []
    parts += [f"on {tested(run, test)}"] if words.known(test.get("samples")) else []
    return ", ".join(parts)


def tested(run: Gathered, test: Json) -> str:
    """On how much a score is: "1,000 test images drawn of 1,849", "12 test sentences (60 words)"."""
    drawn = f" drawn of {words.count(test['of'])}" if test.get("of") else ""
    units = f" ({words.counted(test['words'], 'word')})" if test.get("words") else ""
    return f"{words.counted(test.get('samples'), f'test {judged_of(test, run.noun)}')}{units}{drawn}"


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


def _cells_mean(classes: int, noun: str) -> str:
    """What the shades and the numbers of the confusion matrix are."""
    shade = f"the share of the {noun}s of its row, which are of one true class"
    if numbered(classes):
        return f"The number in a cell: how many {noun}s. Its shade: {shade}."
    return f"The shade of a cell: {shade}. Point at one for how many."


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
    labels = (words.counted(found["labels"], "label") if found.get("labels") else "its labels") + in_one(run.comparison)
    return {
        "chart": chart, "arm": arm, "labels": labels, "key": _cells_mean(len(matrix), run.judged),
        "table": Table(["True class", "Taken for", "Times", "Share of the class"], rows, words=2) if rows else None,
    }  # fmt: skip
