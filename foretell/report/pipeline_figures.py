"""The four figures of a pipeline's comparison (Azizi et al., arXiv 2101.05224, section 4): the arms beside each other,
another domain, label fractions, and crossing points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from markupsafe import Markup

from foretell.measures.crossing import BELOW, number, sentence
from foretell.measures.metrics import chance, metric_name
from foretell.measures.redrawn import settled
from foretell.report import analysis, charts, words
from foretell.report.dots import Dot, DotRow, dot_chart, dot_values
from foretell.report.parts import Cell, Table
from foretell.report.plots import Axis
from foretell.report.results import score_cell
from foretell.transfer.fractions import in_words

Json = dict[str, Any]
COLOURS = 4  # of steps


def keys_of(comparison: Json) -> Callable[[str], str]:
    """The colour of each arm: baselines and starts have their own, pretraining steps one each; a frozen arm that of its step."""
    found: dict[str, str] = {}
    of_step: dict[str, str] = {}
    for arm, about in comparison["arms"].items():
        step = about["step"]
        if step is None:
            found[arm] = "random" if about["frozen"] else "scratch"
        elif step in of_step:
            found[arm] = of_step[step]
        elif about["start"]:
            found[arm] = of_step[step] = "supervised"
        else:
            number = sum(key.startswith("step") for key in of_step.values())
            found[arm] = of_step[step] = f"step{number % COLOURS}"
    return lambda arm: found.get(arm, "other")


def tuned(comparison: Json) -> list[str]:
    return [arm for arm, about in comparison["arms"].items() if not about["frozen"]]


def frozen(comparison: Json) -> list[str]:
    return [arm for arm, about in comparison["arms"].items() if about["frozen"]]


def title_of(comparison: Json, arm: str) -> str:
    return str(comparison["arms"][arm]["title"])


def amounts_of(comparison: Json) -> list[tuple[int, Any]]:
    """(labels, amount), fewest first."""
    found = {row["labels"]: row["per_class"] for row in comparison["summary"]}
    return sorted(found.items())


# tables ----------------------------------------------------------------------------------------------------------------


def domains_key(comparison: Json) -> str:
    """What the marks of ``shift`` are."""
    return f"● at home; ○ below it, on {comparison['shift']['domain']}; the shape is the arm's."


def _head(comparison: Json, first: str) -> list[Cell | str]:
    return [first, *(Cell(words.count(labels), in_words(amount)) for labels, amount in amounts_of(comparison))]


def named(comparison: Json, arm: str) -> Cell:
    """The cell that names an arm, in its colour."""
    return Cell(title_of(comparison, arm), kind=f"c-{keys_of(comparison)(arm)}")


def scores(comparison: Json, arms: Iterable[str]) -> Table:
    """A row an arm, a column an amount of labels."""
    cells = analysis.summary_of(comparison)
    rows: list[list[Cell | str]] = []
    for arm in arms:
        found = [analysis.at_labels(cells.get(arm, []), labels) for labels, _ in amounts_of(comparison)]
        rows.append([named(comparison, arm), *(score_cell(cell) if cell else words.MISSING for cell in found)])
    return Table(_head(comparison, "Arm"), rows)


def _difference(record: Json, mean: str, verdict: str = "") -> Cell:
    return Cell(
        words.points(record[mean]),
        words.interval(record["low"], record["high"], signed=True),
        f"word {verdict}" if verdict else "",
        words.group_interval(record.get("group_low"), record.get("group_high"), signed=True),
    )


def pairs(comparison: Json) -> Table:
    """A row a pair of arms, a column an amount of labels: the difference in points."""
    points: dict[tuple[str, str], dict[int, Json]] = {}
    for row in comparison["paired"]:
        points.setdefault((row["arm"], row["against"]), {})[row["labels"]] = row
    rows: list[list[Cell | str]] = []
    for (arm, against), own in points.items():
        name = Cell(f"{title_of(comparison, arm)} − {title_of(comparison, against)}")
        found = [own.get(labels) for labels, _ in amounts_of(comparison)]
        rows.append([name, *(_difference(row, "difference", settled(row)) if row else words.MISSING for row in found)])
    return Table(_head(comparison, "Difference"), rows)


def losses(comparison: Json) -> Table:
    """What every arm loses on the other domain, and what it gains over training from scratch in either place."""
    shift = comparison["shift"]
    gains = {(row["arm"], row["labels"]): row for row in shift["gains"]}
    head: list[Cell | str] = [
        "Arm", "labels", "at home", shift["domain"], "drop", Cell("gain at home", "over scratch"),
        Cell("gain there", "over scratch"),
    ]  # fmt: skip
    rows: list[list[Cell | str]] = []
    drops = {(row["arm"], row["labels"]): row for row in shift["drops"]}
    for labels, _ in amounts_of(comparison):
        for arm in tuned(comparison):
            row, gain = drops.get((arm, labels)), gains.get((arm, labels))
            if row is None:
                continue
            more: list[Cell | str] = [_difference(gain[at], "mean") if gain else words.MISSING for at in ("in", "out")]
            shown = (words.count(labels), words.percent(row["in"]), words.percent(row["out"]))
            rows.append([named(comparison, arm), *shown, _difference(row["drop"], "mean"), *more])
    return Table(head, rows)


# figures ---------------------------------------------------------------------------------------------------------------


def _score_axis(comparison: Json, rows: Iterable[DotRow]) -> Axis:
    metric = metric_name(analysis.metric_of(comparison))
    values = dot_values(rows)
    low, high = charts.share_span(min(values), max(values)) if values else (None, None)
    return Axis(f"test {metric}", format=words.whole_percent, unit=0.01, low=low, high=high)


def _drawn(name: str, title: str, rows: list[DotRow], x: Axis, rule: tuple[float, str] | None = None) -> Markup:
    description = "; ".join(f"{row.label}: {row.shown}" for row in rows)
    return charts.on_both(
        name, lambda name, width: dot_chart(name, title, description, rows, x, width=width, rule=rule)
    )


def main(comparison: Json) -> Markup:
    """Every tuned arm with the most labels, with the intervals over seeds (thick) and over groups of the test part (thin)."""
    labels, amount = amounts_of(comparison)[-1]
    cells, key = analysis.summary_of(comparison), keys_of(comparison)
    rows = []
    for arm in tuned(comparison):
        cell = analysis.at_labels(cells.get(arm, []), labels)
        if cell is None:
            continue
        note = f"{title_of(comparison, arm)}: {words.percent(cell.mean)}, seeds {words.interval(cell.low, cell.high)}"
        dot = Dot(cell.mean, cell.low, cell.high, cell.group_low, cell.group_high, note)
        rows.append(DotRow(title_of(comparison, arm), key(arm), [dot], words.percent(cell.mean)))
    title = f"Test score of every arm with {analysis.labels_phrase(labels, amount)}"
    return _drawn(f"{comparison['name']}-main", title, rows, _score_axis(comparison, rows))


def shift(comparison: Json) -> Markup:
    """Every tuned arm with the most labels at home (full, above) and on the other domain (hollow, below)."""
    labels, _ = amounts_of(comparison)[-1]
    key, domain = keys_of(comparison), comparison["shift"]["domain"]
    metric = str(comparison["metric"])
    cells = [analysis.summary_of(comparison, name) for name in (metric, f"shift_{metric}")]
    drops = {row["arm"]: row for row in comparison["shift"]["drops"] if row["labels"] == labels}
    rows = []
    for arm in (arm for arm in tuned(comparison) if arm in drops):
        dots = []
        for hollow, found in enumerate(cells):
            cell = analysis.at_labels(found.get(arm, []), labels)
            where = domain if hollow else "at home"
            if cell is not None:
                note = f"{title_of(comparison, arm)}, {where}: {words.percent(cell.mean)} ({metric_name(metric)})"
                dots.append(Dot(cell.mean, cell.low, cell.high, cell.group_low, cell.group_high, note, bool(hollow)))
        rows.append(
            DotRow(
                title_of(comparison, arm),
                key(arm),
                dots,
                f"drop {100 * drops[arm]['drop']['mean']:.1f}".replace("-", "−"),
            )
        )
    title = f"Test score at home (full) and on {domain} (hollow), with {words.counted(labels, 'label')}"
    return _drawn(f"{comparison['name']}-shift", title, rows, _score_axis(comparison, rows))


def fractions(comparison: Json) -> Markup | None:
    """The label curves of the tuned arms."""
    chosen = set(tuned(comparison))
    shown = {**comparison, "summary": [row for row in comparison["summary"] if row["arm"] in chosen]}
    return charts.efficiency(shown, f"{comparison['name']}-fractions", keys_of(comparison))


def crossing_rows(comparison: Json) -> list[Json]:
    """The crossing points of the tuned arms that are measured against a baseline: training from scratch, or a start."""
    arms = comparison["arms"]
    return [
        row for row in comparison["crossing"] if arms[row["against"]]["step"] is None or arms[row["against"]]["start"]
    ]  # fmt: skip


def crossings(comparison: Json) -> Markup | None:
    """With how many labels each arm equals a baseline that has all of them, with intervals over seeds (thick) and groups."""
    rows, key = [], keys_of(comparison)
    found = crossing_rows(comparison)
    if not found:
        return None
    for row in found:
        at = row["at"]
        share = f" ({at['labels'] / row['of']:.0%})" if at["labels"] else ""
        name = f"{title_of(comparison, row['arm'])} = {title_of(comparison, row['against'])}"
        dot = Dot(
            at["labels"], _end(row["low"], row), _end(row["high"], row), _end(row.get("group_low"), row),
            _end(row.get("group_high"), row), note=f"{name}: {number(at, row)} labels",
            side="left" if at["reading"] in BELOW else "right",
        )  # fmt: skip
        rows.append(DotRow(name, key(row["arm"]), [dot], f"{number(at, row)}{share}"))
    most = found[0]["of"]
    x = Axis(
        "labels that equal the baseline with all of its own (log scale)", log=True, format=words.count,
        low=min(row["fewest"] for row in found), high=max(most, *(row["most"] for row in found)),
    )  # fmt: skip
    return _drawn(f"{comparison['name']}-crossing", "Crossing points", rows, x, (most, f"all {words.count(most)}"))


def _end(record: Json | None, row: Json) -> float | None:
    """An end of an interval; beyond what was tried it is the last number that was."""
    if record is None:
        return None
    if record["labels"] is not None:
        return float(record["labels"])
    return float(row["fewest"] if record["reading"] in BELOW else row["most"])


def sentences(comparison: Json) -> list[str]:
    """The crossing points in words, and what makes them empty."""
    titles = {arm: str(about["title"]) for arm, about in comparison["arms"].items()}
    found = crossing_rows(comparison)
    said = [sentence(row, titles) for row in found]
    guessed = chance(comparison["metric"], len(comparison["classes"]), findings=analysis.of_findings(comparison)) or 0.0
    if any(row["score"] <= guessed for row in found):
        said.append(
            f"A baseline no better than guessing evenly ({words.percent(guessed)}) is equalled by nearly anything"
        )
    return said


# what is missing, and what would make it -------------------------------------------------------------------------------


MAY_BE_MISSING = ("start", "seeds", "shift", "fractions", "crossing")


def missing(comparison: Json) -> dict[str, str]:
    """One of ``MAY_BE_MISSING`` -> what to give for it."""
    found = {}
    if not comparison.get("shift"):
        columns = comparison.get("domains") or []
        have = f" Columns that have several values: {words.listed(columns)}." if columns else ""
        found["shift"] = f"To see what every arm loses on another domain, give --shift COLUMN=VALUE, as domain=B.{have}"
    if len(amounts_of(comparison)) < 2:
        found["fractions"] = 'To see label curves, give several amounts: per_class = "10%,30%,50%,70%,all".'
    if not comparison["all_labels"]:
        found["crossing"] = (
            'To see with how many labels an arm equals a baseline that has all, give per_class an "all".'
        )
    if not any(about["start"] for about in comparison["arms"].values()):
        found["start"] = "To compare with weights from natural images, give --weights FILE."
    if len(comparison["seeds"]) == 1:
        found["seeds"] = "One seed leaves the spread over trainings unknown: give --seeds 3 or more."
    if len(comparison["seeds"]) == 2:
        found["seeds"] = (
            "An interval over two seeds is 12.7 standard errors to either side, and says little: give --seeds 3 or more."
        )
    return found
