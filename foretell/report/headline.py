"""The first sentences of a page: what pretraining was worth, or how it ended and what it foretells, beside a guess."""

from __future__ import annotations

import math
import time
from statistics import mean

from foretell.measures.verdict import with_tested
from foretell.report import analysis, told, words
from foretell.report.gather import Gathered
from foretell.report.results import frozen_on
from foretell.train.health import EARLY, HEALTHY

LAST = 5  # lines of metrics.jsonl over which the accuracy of the pretext task at the end is a mean


def verdict(run: Gathered) -> str:
    """The comparison's two sentences, or what is known without them."""
    if run.comparison.get("verdict"):
        return with_tested(run.comparison, run.judged)
    if run.kind == "image":
        told_of = [_pretext_sentence(run)]
        told_of.append(_neighbours_sentence(run) or "What it is worth with few labels has not been measured yet.")
    else:
        told_of = [told.words_sentence(run) if run.kind == "words" else told.sentence(run)]
    return " ".join(filter(None, [_state_sentence(run), *told_of]))


def _pretext_sentence(run: Gathered) -> str:
    """How well the pretext task is answered, beside the guess to beat; "" where that was not measured."""
    kept = run.results.get("findings", {}).get("findings") or []
    found = next((str(one["headline"]) for one in kept if one.get("headline")), "")
    chance = run.facts.get("chance_loss")
    lines = [line["accuracy"] for line in analysis.of_weights(run, run.steps) if words.known(line.get("accuracy"))]
    if found or not lines or chance is None or not words.known(chance):
        return found
    right, guessed = mean(lines[-LAST:]), math.exp(-chance)
    beside = ": no better than chance" if right <= guessed else ""
    return (
        f"At the end of training it answered {words.percent(right)} of what it was asked rightly, where guessing is right in "
        f"{words.percent(guessed)}{beside}."
    )


def _neighbours_sentence(run: Gathered) -> str:
    knn = run.comparison.get("knn") or {}
    own, random, pixels = ((knn.get(arm) or {}).get("accuracy") for arm in ("pretrained", "random", "pixels"))
    if not words.known(own):
        return ""
    beside = [
        f"{words.percent(value)} with {name}"
        for value, name in ((random, "random features"), (pixels, "raw pixels"))
        if words.known(value)
    ]
    against = f", against {words.listed(beside)}" if beside else ""
    others = analysis.other_labels(run.comparison)
    lead = f"By {others} nearest" if others else "Nearest"
    on = frozen_on(run)
    return (
        f"{lead} neighbours{f' ({on})' if on else ''} name the right class of {words.percent(own)} of the test {run.judged}s"
        f"{against}; what it is worth with few labels has not been measured yet."
    )


def _state_sentence(run: Gathered) -> str:
    step, steps = run.status.get("step"), run.status.get("steps") or run.part("measured").get("steps")
    of = f" of {words.count(steps)}" if steps else ""
    where = f"step {words.count(step)}{of}" if words.known(step) else "an unknown step"
    if run.state == "finished":
        spent = run.part("cost").get("seconds")
        took = f" in {words.duration(spent)}" if spent else ""
        done = words.counted(step or steps, "step") if (step or steps) else "all its steps"
        did = f"stopped early at {where}" if analysis.stopped_early(run) else f"finished {done}"
        kept = analysis.step_of_weights(run)
        weights = f" Its weights are those of step {words.count(kept)}, the best round." if kept is not None else ""
        return f"Pretraining {did}{took}{_health_clause(run)}.{weights}"
    if run.state == "failed":
        why = " ".join(str(run.status.get("message") or "").split())
        return f"Pretraining failed at {where}" + (f": {why.rstrip('.')}." if why else ".")
    if run.state == "stopped":
        return f"Pretraining was stopped at {where} and can go on from its last checkpoint."
    if run.state == "broken":
        heartbeat = run.status.get("heartbeat")
        last = time.strftime("%d %B %Y, %H:%M UTC", time.gmtime(heartbeat)) if words.known(heartbeat) else ""
        heard = f"it was last heard of on {last}, and" if last else "it"
        return f"Pretraining broke off at {where}: {heard} can go on from its last checkpoint."
    if run.state == "running":
        return f"Pretraining is at {where}{_health_clause(run)}; the numbers below are those so far."
    return "This run has written no status."


def _health_clause(run: Gathered) -> str:
    last = analysis.health_told(run)
    if last.startswith("the loss "):
        return f", but {last}"
    if last == EARLY:
        return f"; it is {EARLY} its embeddings"
    return f", and its embeddings are {last}" if last.startswith((HEALTHY, "collaps", "nearly alike")) else ""
