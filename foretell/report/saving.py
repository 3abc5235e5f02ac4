"""What pretraining saves: labels at equal accuracy, and steps to the score that training from scratch ends at."""

from __future__ import annotations

from foretell.measures.intervals import EQUAL
from foretell.measures.metrics import of_commonest
from foretell.measures.verdict import no_better
from foretell.report import analysis, charts, words
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Cell, Table


def _guess(comparison: Json) -> float | None:
    """What answering the commonest class always comes to, in the metric of the headline; None where that is not known."""
    metric, found = analysis.metric_of(comparison), comparison.get("commonest")
    name, guess = of_commonest(found, metric) if found else ("", None)
    return guess if name == metric else None


def nothing_to_reach(run: Gathered) -> str:
    """That training from scratch came to nothing beyond guessing with any number of labels; "" where it did, or is not known."""
    comparison = run.comparison
    metric = analysis.metric_of(comparison)
    tried = analysis.summary_of(comparison).get("scratch", [])
    least = no_better(comparison.get("summary") or [], "scratch", metric, _guess(comparison))
    if not least or least != [cell.labels for cell in tried]:
        return ""
    return (
        "Training from scratch learnt nothing beyond guessing, so that there is no score to reach: how many labels pretraining "
        "saves, how few are enough and how much sooner it is there cannot be told."
    )


def saved(run: Gathered) -> Json | None:
    if nothing_to_reach(run):
        return None
    savings = analysis.savings(run.comparison)
    if not savings:
        return None
    beyond = [saving for saving in savings if saving.bound == "above"]
    told = (_most_saved(savings), _not_reached(beyond), _none_saved(savings), _not_known(savings))
    return {"sentence": " ".join(filter(None, told)), "chart": charts.saved(savings), "key": charts.saved_key(savings)}


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


def in_one(comparison: Json) -> str:
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
        f"The score that training from scratch ends at{in_one(comparison)}: fine-tuning the pretrained encoder "
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
    guess = _guess(comparison)
    every = reached.get("all") or []
    entries = [one for one in every if guess is None or one["score"] > guess + EQUAL]
    stuck = [words.count(one["labels"]) for one in every if one not in entries]
    if not entries or nothing_to_reach(run):
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
        "sentence": _reached_sentence(entries, arm, comparison)
        + (
            f" With {words.listed(stuck, 99)} labels it ended no higher than guessing: there is nothing to reach."
            if stuck
            else ""
        ),
        "chart": charts.reaching(comparison),
        "looks": _looks(run, reached),
        "shown": words.counted(shown["labels"], "label") if shown else "",
        "table": Table(head, rows),
    }


def _steps(steps: int | None) -> str:
    return words.count(steps) if words.known(steps) else "not reached"
