"""What the numbers of a run say: pure functions from its files to what the page, the card and the terminal show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Literal

from foretell.measures.verdict import with_tested
from foretell.report import told, words
from foretell.report.gather import Gathered, Json
from foretell.transfer.fractions import Amount, in_words
from foretell.transfer.labels import FROZEN, chose_step

Verdict = Literal["better", "worse", "undecided"]

LEAST_SAVED = 1.05  # of the labels with pretraining: what is below is read off a curve no finer

# name on the charts; the comparison's own title is used in tables
ARMS = {
    "pretrained": "pretrained",
    "scratch": "from scratch",
    "supervised": "supervised start",
    "probe": "linear probe",
    "random": "random features",
    "pixels": "raw pixels",
    "tfidf": "TF-IDF",
    "baseline": "baseline",
}


@dataclass(frozen=True)
class Cell:
    """A metric of one arm at one number of labels, over ``n`` seeds (interval None for one seed); ``group_low`` and
    ``group_high`` are the interval over the test part's groups (patients or cases) where there are some."""

    arm: str
    labels: int
    per_class: Amount
    mean: float
    low: float | None
    high: float | None
    n: int
    group_low: float | None = None
    group_high: float | None = None


@dataclass(frozen=True)
class Difference:
    """Arm minus ``against``, paired over seeds, at one number of labels; ``group_low`` and ``group_high`` as of ``Cell``."""

    arm: str
    against: str
    labels: int
    per_class: Amount
    difference: float
    low: float | None
    high: float | None
    verdict: Verdict
    group_low: float | None = None
    group_high: float | None = None


def metric_of(comparison: Json) -> str:
    return str(comparison.get("metric") or "accuracy")


def of_findings(comparison: Json) -> bool:
    """Whether what is compared foretells several findings of an image, each there or not, and not one class."""
    kept = comparison.get("findings")
    if kept is not None:
        return bool(kept)
    # kept by an earlier version, in which AUROC led where there were findings and nowhere else
    return metric_of(comparison) == "auroc" and not any(
        comparison.get(name) for name in ("knn", "linear_probe", "confusion")
    )


def other_labels(comparison: Json) -> str:
    """ "other labels (no and yes)" where the scores with all labels are not of those of the comparison; "" where they are."""
    found = comparison.get(FROZEN)
    if not found:
        return ""
    named = words.listed([words.shorten(str(name), 40) for name in found.get("classes") or []], 6)
    return f"other labels ({named})"


def arm_name(comparison: Json, arm: str, *, short: bool = True) -> str:
    """How an arm is called: short on charts, by its own title in tables."""
    title = (comparison.get("arms") or {}).get(arm, {}).get("title")
    if short or not title:
        return ARMS.get(arm) or str(title or arm)
    return str(title)


def arms_of(comparison: Json) -> list[str]:
    """The arms that have results, the known ones in their usual order first."""
    present = {str(row["arm"]) for row in comparison.get("summary", []) if "arm" in row}
    return [arm for arm in ARMS if arm in present] + sorted(present - set(ARMS))


def summary_of(comparison: Json, metric: str | None = None) -> dict[str, list[Cell]]:
    """arm -> its cells by ascending labels; cells without a mean are left out."""
    metric = metric or metric_of(comparison)
    out: dict[str, list[Cell]] = {arm: [] for arm in arms_of(comparison)}
    for row in comparison.get("summary", []):
        if row.get("metric") == metric and words.known(row.get("mean")):
            out[row["arm"]].append(
                Cell(
                    row["arm"], int(row["labels"]), row.get("per_class"), row["mean"],
                    row.get("low"), row.get("high"), int(row.get("n") or 1), row.get("group_low"), row.get("group_high"),
                )
            )  # fmt: skip
    return {arm: sorted(cells, key=lambda cell: cell.labels) for arm, cells in out.items() if cells}


def differences(
    comparison: Json, arm: str = "pretrained", against: str = "scratch", metric: str | None = None
) -> list[Difference]:
    """The paired differences of two arms by ascending labels."""
    metric = metric or metric_of(comparison)
    found = [
        Difference(
            arm, against, int(row["labels"]), row.get("per_class"), row["difference"],
            row.get("low"), row.get("high"), row.get("verdict") or "undecided", row.get("group_low"), row.get("group_high"),
        )
        for row in comparison.get("paired", [])
        if (row.get("arm"), row.get("against"), row.get("metric", metric)) == (arm, against, metric)
        and words.known(row.get("difference"))
    ]  # fmt: skip
    return sorted(found, key=lambda row: row.labels)


@dataclass(frozen=True)
class Advantage:
    """Where pretraining is ahead: ``until`` is the most labels up to which every difference is better (None: at none);
    ``after`` the next number measured (None: ahead to the last); ``runs`` are stretches of one verdict."""

    until: Difference | None
    after: Difference | None
    runs: list[tuple[int, int, Verdict]]


def advantage(rows: Sequence[Difference]) -> Advantage:
    until: Difference | None = None
    after: Difference | None = None
    for row in rows:
        if row.verdict != "better":
            after = row
            break
        until = row
    runs: list[tuple[int, int, Verdict]] = []
    for row in rows:
        if runs and runs[-1][2] == row.verdict:
            runs[-1] = (runs[-1][0], row.labels, row.verdict)
        else:
            runs.append((row.labels, row.labels, row.verdict))
    return Advantage(until, after, runs)


def labels_phrase(labels: int, per_class: Amount) -> str:
    """ "50 labels (5 a class)"."""
    return words.counted(labels, "label") + (f" ({in_words(per_class)})" if per_class else "")


def advantage_sentence(rows: Sequence[Difference]) -> str:
    """Where the advantage over training from scratch ends, in words."""
    if not rows:
        return ""
    found = advantage(rows)
    worse = next((row for row in rows if row.verdict == "worse"), None)
    if found.until is None:
        first = rows[0]
        if worse and worse.labels == first.labels:
            return (
                f"Training from scratch is better already at {labels_phrase(first.labels, first.per_class)}: "
                "here pretraining was not worth it."
            )
        later = next((row for row in rows if row.verdict == "better"), None)
        if later:
            return (
                f"With the fewest labels the difference is undecided; pretraining is ahead at "
                f"{labels_phrase(later.labels, later.per_class)}."
            )
        lead = "At no number of labels is pretraining clearly ahead of training from scratch"
        return f"{lead}; from {words.counted(worse.labels, 'label')} on it is behind." if worse else f"{lead}."
    last = labels_phrase(found.until.labels, found.until.per_class)
    lead = f"Pretraining is ahead of training from scratch up to {last}"
    if found.after is None:
        return f"{lead}, the most that was measured: where the advantage ends was not reached."
    after = labels_phrase(found.after.labels, found.after.per_class)
    if found.after.verdict == "worse":
        return f"{lead}; from {after} on training from scratch is better."
    tail = f" and worse from {words.counted(worse.labels, 'label')} on" if worse else ""
    return f"{lead}; at {after} the difference is undecided{tail}."


def few_labels(comparison: Json) -> tuple[int, Amount] | None:
    """The number of labels the key figures are given at: measured for pretrained and scratch, nearest to 5 a class (where
    the amounts are shares, the smallest).

    One rule for every run, so that the figures on top are never the flattering ones.
    """
    cells = summary_of(comparison)
    shared = {cell.labels for cell in cells.get("scratch", [])}
    both = [cell for cell in cells.get("pretrained", []) if cell.labels in shared] or cells.get("pretrained", [])
    if not both:
        return None
    counted = [cell for cell in both if cell.per_class and cell.per_class >= 1]
    if not counted:
        return both[0].labels, both[0].per_class
    cell = min(counted, key=lambda cell: (max(cell.per_class or 1, 5) / min(cell.per_class or 1, 5), cell.labels))
    return cell.labels, cell.per_class


def at_labels(cells: Sequence[Cell], labels: int) -> Cell | None:
    return next((cell for cell in cells if cell.labels == labels), None)


@dataclass(frozen=True)
class Saving:
    """``labels`` with pretraining do as well as ``equals`` from scratch; ``bound`` says why ``equals`` is None.

    above: scratch does not get there with the ``most`` labels tried; below: it is there with the ``fewest`` already.
    ``verdict`` is that of the paired difference at ``labels``: means alone save nothing.
    """

    labels: int
    equals: float | None
    bound: Literal["", "above", "below"]
    most: int
    verdict: Verdict
    fewest: int = 0

    @property
    def side(self) -> Literal["saves", "none", "open"]:
        """Whether scratch needs more labels, about as many or fewer, or that is open: only more than ``labels`` were tried."""
        if self.bound == "below":
            return "none" if self.fewest <= self.labels else "open"
        return "saves" if self.equals is None or self.equals > self.labels * LEAST_SAVED else "none"


def savings(comparison: Json) -> list[Saving]:
    """Labels saved at equal quality, by ascending labels."""
    saved = comparison.get("labels_saved") or {}
    cells = summary_of(comparison)
    names = str(saved.get("arm", "pretrained")), str(saved.get("against", "scratch"))
    arm, scratch = (cells.get(name, []) for name in names)
    verdicts = {pair.labels: pair.verdict for pair in differences(comparison, *names)}
    most = max((cell.labels for cell in scratch), default=0)
    fewest = min((cell.labels for cell in scratch), default=0)
    out = []
    for point in saved.get("points") or []:
        labels, equals = int(point["labels"]), point.get("equals_scratch_with")
        bound: Literal["", "above", "below"] = ""
        if not words.known(equals):
            own = at_labels(arm, labels)
            lowest = min((cell.mean for cell in scratch), default=0.0)
            fewer = point["reading"] == "fewer than" if "reading" in point else own is not None and own.mean < lowest
            bound, equals = ("below" if fewer else "above"), None
        verdict = verdicts.get(labels, "undecided")
        out.append(Saving(labels, equals, bound, int(point.get("most_tried") or most), verdict, fewest))
    return sorted(out, key=lambda saving: saving.labels)


def rows_at(comparison: Json, arm: str, labels: int) -> list[Json]:
    """The rows of ``arm`` at the amount that the summary calls ``labels``, of every seed: where a label is one of a whole
    group, seeds draw other numbers of images.
    """
    own = (row for row in comparison.get("summary", []) if row.get("arm") == arm and row.get("labels") == labels)
    amounts = {row.get("per_class") for row in own}
    return [row for row in comparison.get("rows", []) if row.get("arm") == arm and row.get("per_class") in amounts]


def curves_at(comparison: Json, labels: int) -> dict[str, list[tuple[float, float]]]:
    """arm -> (step, score) while fine-tuning at ``labels``, of the first seed that has a curve."""
    out = {}
    for arm in arms_of(comparison):
        for row in rows_at(comparison, arm, labels):
            points = [(p[0], p[2]) for p in row.get("curve") or [] if len(p) >= 3 and all(map(words.known, p[:3]))]
            if len(points) > 1:
                out[arm] = points
                break
    return out


@dataclass(frozen=True)
class Cost:
    """What a stage or an arm cost; None where it was not measured. ``quality`` is the metric at few labels."""

    key: str
    title: str
    quality: float | None = None
    seconds: float | None = None
    samples: float | None = None
    memory: float | None = None
    flops: float | None = None
    share: float | None = None


def costs(run: Gathered) -> list[Cost]:
    """Pretraining, then each arm at few labels (mean over seeds, the search left out), then the whole comparison."""
    peak = peak_of(run)
    out = []
    spent = run.part("cost")
    if spent:
        share = _median([line.get("share_of_peak") for line in run.steps])
        if share is None and peak and spent.get("seconds") and spent.get("flops"):
            share = spent["flops"] / spent["seconds"] / peak
        out.append(
            Cost(
                "pretraining", f"pretraining ({'labels chose its step' if chose_step(run.facts) else 'no labels'})", None,
                spent.get("seconds"), spent.get("samples"), spent.get("peak_memory_bytes"), spent.get("flops"), share,
            )
        )  # fmt: skip
    comparison = run.comparison
    few = few_labels(comparison)
    cells = summary_of(comparison)
    for arm in arms_of(comparison) if few else []:
        rows = rows_at(comparison, arm, few[0]) if few else []
        seconds, flops = _mean(rows, "seconds"), _mean(rows, "flops")
        own = peak * (part_of_cores(run) or 1.0) if peak and _mean(rows, "threads") else peak
        cell = at_labels(cells.get(arm, []), few[0]) if few else None
        out.append(
            Cost(
                arm, arm_name(comparison, arm, short=False), cell.mean if cell else None, seconds,
                _mean(rows, "samples"), _mean(rows, "peak_memory_bytes"), flops, _share(flops, seconds, own),
            )
        )  # fmt: skip
    whole = (comparison.get("cost") or {}).get("work")
    if whole:
        most = max(
            (r["peak_memory_bytes"] for r in comparison.get("rows", []) if "peak_memory_bytes" in r), default=None
        )
        out.append(Cost("comparison", f"the whole comparison ({_fits(whole)})", seconds=whole["seconds"], memory=most))
    return out


def part_of_cores(run: Gathered) -> float | None:
    """Threads of each training of the comparison over those of pretraining, where trainings ran side by side; else None."""
    threads = {row["threads"] for row in run.comparison.get("rows", []) if row.get("threads")}
    whole = run.part("measured").get("threads")
    if len(threads) != 1 or not whole or run.part("machine").get("device", "cpu") != "cpu":
        return None
    each: int = threads.pop()
    return each / whole if each < whole else None


def _fits(work: Json) -> str:
    """How many fits a comparison holds: "24 fine-tunings, 64 more in searches, 24 linear fits"."""
    tuned = words.counted(work["fine_tunings"], "fine-tuning")
    searched = f"{words.count(work['in_searches'])} more in searches" if work["in_searches"] else ""
    linear = words.counted(work["linear"], "linear fit") if work["linear"] else ""
    return ", ".join(filter(None, [tuned, searched, linear]))


def _share(flops: float | None, seconds: float | None, peak: float | None) -> float | None:
    """Of the peak; None above it, where an estimate or a clock is too coarse to be told."""
    share = flops / seconds / peak if flops and seconds and peak else None
    return share if share is not None and share <= 1 else None


def peak_of(run: Gathered) -> float | None:
    """The machine's measured peak, in FLOP/s, in the precision of the run."""
    machine = run.part("machine")
    precision = str(run.part("measured").get("precision", "float32"))
    value = machine.get("bfloat16_flops" if precision.startswith("bf") else f"{precision}_flops")
    return float(value) if words.known(value) and value else None


def _mean(rows: Sequence[Json], name: str) -> float | None:
    values = [row[name] for row in rows if words.known(row.get(name))]
    return mean(values) if values else None


def _median(values: Sequence[Any]) -> float | None:
    numbers = sorted(value for value in values if words.known(value))
    return float(numbers[len(numbers) // 2]) if numbers else None


def verdict(run: Gathered) -> str:
    """The comparison's two sentences, or what is known without them."""
    if run.comparison.get("verdict"):
        return with_tested(run.comparison, run.judged)
    if run.kind != "image":
        measured = told.words_sentence(run) if run.kind == "words" else told.sentence(run)
        return f"{_state_sentence(run)} {measured}".strip()
    second = _neighbours_sentence(run) or "What it is worth with few labels has not been measured yet."
    return f"{_state_sentence(run)} {second}"


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
    others = other_labels(run.comparison)
    lead = f"By {others} nearest" if others else "Nearest"
    return (
        f"{lead} neighbours name the right class of {words.percent(own)} of the test {run.judged}s{against}; "
        "what it is worth with few labels has not been measured yet."
    )


def stopped_early(run: Gathered) -> bool:
    """Whether training ended before its last step, as nothing had improved for ``training.patience`` rounds."""
    step, steps = run.status.get("step"), run.status.get("steps")
    return run.state == "finished" and words.known(step) and words.known(steps) and (step or 0) < (steps or 0)


def step_of_weights(run: Gathered) -> int | None:
    """The step that the weights of a finished run are of, where that is not its last one."""
    ended = run.part("ended")
    step: Any = ended.get("weights")
    return int(step) if run.state == "finished" and words.known(step) and step != ended.get("steps") else None


def of_weights(run: Gathered, lines: Sequence[Json]) -> list[Json]:
    """The ``lines`` of metrics.jsonl up to the step that the run's weights are of: what came later is not of them."""
    upto = step_of_weights(run)
    return [line for line in lines if upto is None or not words.known(line.get("step")) or line["step"] <= upto]


def steps_phrase(run: Gathered) -> str:
    """ "1,840", "610 of 1,840", or "15 of 60, stopped early; weights of step 5"; "" where no step is known."""
    step = run.status.get("step")
    steps = run.status.get("steps") or run.part("measured").get("steps")
    if not words.known(step):
        return words.count(steps) if words.known(steps) else ""
    of = f" of {words.count(steps)}" if words.known(steps) and steps != step else ""
    early = ", stopped early" if stopped_early(run) else ""
    kept = step_of_weights(run)
    return f"{words.count(step)}{of}{early}" + (f"; weights of step {words.count(kept)}" if kept is not None else "")


def health_told(run: Gathered) -> str:
    """The last verdict on the embeddings of the run's weights, "" where there is none."""
    lines = of_weights(run, run.health)
    return next((str(line["verdict"]) for line in reversed(lines) if line.get("verdict")), "")


def _state_sentence(run: Gathered) -> str:
    step, steps = run.status.get("step"), run.status.get("steps") or run.part("measured").get("steps")
    of = f" of {words.count(steps)}" if steps else ""
    where = f"step {words.count(step)}{of}" if words.known(step) else "an unknown step"
    if run.state == "finished":
        spent = run.part("cost").get("seconds")
        took = f" in {words.duration(spent)}" if spent else ""
        done = words.counted(step or steps, "step") if (step or steps) else "all its steps"
        did = f"stopped early at {where}" if stopped_early(run) else f"finished {done}"
        kept = step_of_weights(run)
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
    last = health_told(run)
    if last.startswith("the loss "):
        return f", but {last}"
    return f", and its embeddings are {last}" if last.startswith(("healthy", "collaps")) else ""


def most_confused(
    matrix: Sequence[Sequence[float]], classes: Sequence[str], most: int = 6
) -> list[tuple[str, str, float, float]]:
    """The largest mistakes: (true class, taken for, how often, share of the true class)."""
    found = [
        (classes[i], classes[j], value, value / (sum(row) or 1))
        for i, row in enumerate(matrix)
        for j, value in enumerate(row)
        if i != j and value > 0
    ]
    return sorted(found, key=lambda item: -item[2])[:most]
