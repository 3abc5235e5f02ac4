"""The report's charts of training: the loss and its parts, what was foretold rightly, rate and speed, and the pretext score."""

from __future__ import annotations

import math
from functools import partial

from foretell.report import charts, words
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Figure

UNITS = {"image": "Images", "text": "Rows of text", "words": "Words"}
NOT_PARTS = {"kind", "time", "step", "total", "rate", "samples_per_second", "share_of_peak", "seconds", "epoch"}

# parts of the objectives' losses in plain words
SHARES = {
    "accuracy": "told rightly",
    "right": "tokens right",
    "right_pairs": "pairs of texts right",
    "discriminator.accuracy": "discriminator right",
}
LOSSES = {
    "total": "in all",
    "words": "tokens",
    "sentences": "pairs of texts",
    "generator.total": "generator",
    "discriminator.total": "discriminator",
    "generator.adversarial": "fooling it",
    "error": "foretold",
    "copy": "nearest frame copied",
}
OTHERS = {
    "fc6": "Spread of the tower's embeddings (deviation of fc6)",
    "generator.l2": "Squared error in the hole",
}


def training(run: Gathered) -> list[Json]:
    """Small charts of one unit each: the losses, the shares that were foretold rightly, other parts, the rate and the speed."""
    parts = [name for name in (run.steps[-1] if run.steps else {}) if name not in NOT_PARTS]
    parts = [p for p in parts if any(words.known(line.get(p)) for line in run.steps)]
    parts = [p for p in parts if any(line.get(p) != line.get("total") for line in run.steps)]
    shares = {part: SHARES.get(part, _plain(part)) for part in parts if is_share(part)}
    losses = {
        part: LOSSES.get(part, _plain(part))
        for part in ("total", *parts)
        if part == "total" or (part not in shares and part not in OTHERS and _comparable(run.steps, part))
    }
    apart = [part for part in parts if part not in shares and part not in losses][:4]
    alone = partial(charts.curve, lines=run.steps, zero=True, until=last_step(run))
    drawn = [
        ("Loss", alone("loss", "Loss", parts=dict(list(losses.items())[:5]), labels=len(losses) > 1, zero=False)),
        (
            "Foretold rightly (pretext task)",
            alone("shares", "Foretold rightly", parts=shares, labels=_named(shares), zero=False, share=True),
        ),
        *[
            (title, alone(f"part-{place}", title, parts={name: title}, zero=False))
            for place, name in enumerate(apart)
            for title in [OTHERS.get(name) or words.begun(LOSSES.get(name, _plain(name)))]
        ],
        ("Learning rate", alone("rate", "Learning rate", parts={"rate": "rate"})),
        (
            f"{UNITS[run.kind]} a second",
            alone("speed", f"{UNITS[run.kind]} a second", parts={"samples_per_second": "speed"}),
        ),
        (
            "Share of the machine's peak",
            alone("peak", "Share of the machine's peak", parts={"share_of_peak": "share"}, share=True),
        ),
    ]
    chance = run.facts.get("chance_loss")
    notes = {"Loss": f"foretelling nothing costs {words.number(chance)}"} if words.known(chance) else {}
    if (guess := _guessed_share(run)) is not None and "accuracy" in shares:
        notes["Foretold rightly (pretext task)"] = f"{words.percent(guess)} by guessing"
    return [{"title": title, "note": notes.get(title, ""), "chart": chart} for title, chart in drawn if chart]


def _named(shares: dict[str, str]) -> bool:
    """Whether the lines need names: several of them, or one that is not of the whole task."""
    return len(shares) > 1 or not set(shares) <= {"accuracy", "right"}


def last_step(run: Gathered) -> float | None:
    """The last step of which anything is known; None when nothing is."""
    steps = [line["step"] for line in (*run.steps, *run.health) if words.known(line.get("step"))]
    return max(steps, default=None)


def is_share(part: str) -> bool:
    """Whether a part of the loss, of one player ("discriminator.accuracy") or of all, is a share and not a loss."""
    return part in SHARES or part.rpartition(".")[2] == "accuracy"


def _plain(part: str) -> str:
    return part.replace("_", " ").replace(".", ", ")


def _comparable(steps: list[Json], part: str) -> bool:
    """Whether a part of the loss can share the total's axis: its largest value is a tenth of the total's or more."""
    largest = {
        name: max((abs(line[name]) for line in steps if words.known(line.get(name))), default=0.0)
        for name in ("total", part)
    }
    return 0.1 * largest["total"] <= largest[part] <= 2 * largest["total"]


def _guessed_share(run: Gathered) -> float | None:
    """How often guessing evenly is right, where the loss of foretelling nothing is that of so many equal answers."""
    chance: float | None = run.facts.get("chance_loss")
    return math.exp(-chance) if chance is not None and words.known(chance) else None


def pretext(run: Gathered) -> Figure | None:
    """How well the pretext task is solved at the last step, beside what guessing or copying comes to; None where no step has it."""
    last = next((line for line in reversed(run.steps) if words.known(line.get("total"))), None)
    if last is None:
        return None
    guess = _guessed_share(run)
    if words.known(last.get("accuracy")) and guess is not None:
        note = f"of the pretext task, at the last step; {words.percent(guess)} by guessing"
        return Figure(words.percent(last["accuracy"]), "Foretold rightly", note)
    if words.known(last.get("copy")) and words.known(last.get("error")) and last["copy"] > 0:
        note = "of the error of copying the nearest frame, at the last step; lower is better"
        return Figure(words.percent(last["error"] / last["copy"]), "Error of foretelling", note)
    first = next(line["total"] for line in run.steps if words.known(line.get("total")))
    chance = run.facts.get("chance_loss")
    beside = f"foretelling nothing costs {words.number(chance)}, " if words.known(chance) else ""
    return Figure(words.number(last["total"]), "Loss", f"{beside}{words.number(first)} at the start; lower is better")
