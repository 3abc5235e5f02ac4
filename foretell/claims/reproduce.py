"""Work claims out and write what came out to RESULTS.md."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foretell import __version__, claims
from foretell.claims.base import Claim, Finding, bounds, overall, signed
from foretell.claims.fetch import Unavailable
from foretell.claims.jobs import Piece, work_ahead
from foretell.claims.lab import Lab, OutOfBudget
from foretell.claims.locks import held
from foretell.errors import InputError
from foretell.json_files import read_object
from foretell.run import write_aside
from foretell.side_by_side import sigterm_interrupts
from foretell.train.machine import model_of, named_device

OUTCOMES = "outcomes.json"
DEFAULT_SEEDS = 3


@dataclass
class Reproduction:
    """``outcomes`` of each claim by name: "holds", "does not hold", "undecided", or None when the budget ended first, the
    data cannot be had, or one seed alone was worked out.
    """

    folder: Path
    outcomes: dict[str, str | None] = field(default_factory=dict)


def reproduce(
    wanted: Sequence[str],
    folder: Path,
    *,
    seeds: Sequence[int] = tuple(range(DEFAULT_SEEDS)),
    budget: float | None = None,
    device: str = "auto",
    jobs: int = 1,
    say: Callable[[str], None] = print,
) -> Reproduction:
    """Work out the claims named, sharing trained runs in ``folder``/work; ``budget`` in seconds for this call.

    With ``jobs`` above 1 that many processes work at seeds and claims side by side, each with its part of the cores.

    A call that was ended by its budget or killed goes on where it was when it is made again. Several processes may share
    ``folder``, each with seeds of its own: with one seed there is no interval, and its work is kept for a later call with
    all. Raises InputError for an unknown claim or less than one job.
    """
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: expected how many processes work side by side, 1 or more")
    began = time.monotonic()
    _outcomes(folder)  # a damaged file is told before hours of work, not after
    chosen = [claims.get(name) for name in (claims.names() if list(wanted) == ["all"] else wanted)]
    deadline = None if budget is None else began + budget
    lab = Lab(folder / "work", device=device, deadline=deadline, say=say)
    if jobs > 1:
        place, side_by_side = str(folder.absolute()), min(jobs, len(chosen) * len(seeds))
        work_ahead(
            [Piece(kind.name, seed, place, device, deadline, side_by_side) for kind in chosen for seed in seeds],
            side_by_side,
            say,
        )
    made = Reproduction(folder)
    for kind in chosen:
        say(f"\n{kind.name}: {kind.statement}\n  ({kind.source}; about {kind.minutes:g} minutes on two cores)")
        claim, findings, seconds = worked_out(lab, kind.name, seeds)
        made.outcomes[claim.name] = None
        if findings is None:
            continue
        if len(seeds) < 2:
            say(f"  seed {seeds[0]} is worked out and kept in {lab.folder}; a call with all seeds tells what came out")
            continue
        outcome = overall(findings)
        for finding in findings:
            interval, unit = finding.difference, finding.unit
            say(
                f"  {finding.outcome:<14} {finding.what}: {signed(interval.mean, unit)} {unit} "
                f"({bounds(interval.low, interval.high, unit)}); published: {finding.published}"
            )
        say(f"  => {outcome}")
        made.outcomes[claim.name] = outcome
        record = {
            "statement": claim.statement,
            "source": claim.source,
            "data": claim.data,
            "seeds": list(seeds),
            "outcome": outcome,
            "findings": [finding.record() for finding in findings],
            "notes": [*claim.notes, *claim.notes_on(findings)],
            "seconds": seconds,
            "machine": model_of(named_device(device)),
            "date": time.strftime("%Y-%m-%d"),
            "command": f"foretell reproduce {claim.name}{options_of(seeds, device, jobs)}",
        }
        _keep(folder, claim, record)
    if len(chosen) > 1:
        say(f"\n{len(chosen)} claims, {(time.monotonic() - began) / 60:.1f} minutes of this call")
    return made


def worked_out(
    lab: Lab, name: str, seeds: Sequence[int], share: float = 1.0
) -> tuple[Claim, list[Finding] | None, float]:
    """(the claim, its findings, seconds spent on it in this lab); no findings where the time ended or data cannot be had.

    ``share`` of the machine that this process has: its seconds count by so much.
    """
    claim = claims.get(name)(seeds=tuple(seeds))
    began = time.monotonic()
    findings: list[Finding] | None = None
    try:
        with sigterm_interrupts():
            findings = claim.work(lab)
    except OutOfBudget:
        lab.say(f"  the budget ended before {name} was worked out; the same command goes on from here")
    except Unavailable as reason:
        lab.say(f"  skipped, since its data cannot be had: {reason}")
    finally:
        seconds = _spent(lab, claim, share * (time.monotonic() - began))
    return claim, findings, seconds


def _spent(lab: Lab, claim: Claim, seconds: float) -> float:
    """Seconds of every call that worked at ``claim`` in this lab with this version, which took ``seconds`` just now."""
    path = lab.folder / "spent.json"
    with held(lab.folder / "locks" / "spent.lock"):
        spent = read_object(path, "delete it: it only counts seconds") if path.is_file() else {}
        name = f"{claim.name} {__version__}"
        spent[name] = spent.get(name, 0.0) + seconds
        write_aside(path, json.dumps(spent, indent=1) + "\n")
    return float(spent[name])


def named(seeds: Sequence[int]) -> str:
    """The option that gives ``seeds``; none for those of the default."""
    if len(seeds) > 1 and list(seeds) == list(range(len(seeds))):
        return "" if len(seeds) == DEFAULT_SEEDS else f" --seeds {len(seeds)}"
    return f" --seeds {','.join(map(str, seeds))}{',' if len(seeds) == 1 else ''}"


def options_of(seeds: Sequence[int], device: str, jobs: int = 1) -> str:
    """The options that give ``seeds``, ``device`` and ``jobs``; none for those of the default."""
    return named(seeds) + ("" if device == "auto" else f" --device {device}") + (f" --jobs {jobs}" if jobs > 1 else "")


def _keep(folder: Path, claim: Claim, record: dict[str, Any]) -> None:
    path = folder / OUTCOMES
    with held(folder / "work" / "locks" / "outcomes.lock"):  # another process may write what came of another claim
        kept = _outcomes(folder)
        before = kept.get(claim.name)
        if before and before["findings"] == record["findings"]:
            record["seconds"] = max(record["seconds"], before["seconds"])  # a repetition takes everything from the lab
        kept[claim.name] = record
        write_aside(path, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        write_aside(folder / "RESULTS.md", page(kept))


def _outcomes(folder: Path) -> dict[str, Any]:
    """What came of the claims before. Raises InputError for a file that is damaged or was edited."""
    path, do = folder / OUTCOMES, "delete it: the same commands take what came out from the folder's work"
    kept = read_object(path, do) if path.is_file() else {}
    for name in [known for known in claims.names() if known in kept]:
        try:
            page({name: kept[name]})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path}: '{name}' is not what foretell reproduce writes ({type(error).__name__}: {error}); {do}"
            ) from None
    return kept


def _row(row: dict[str, Any]) -> str:
    unit = row.get("unit", "points")
    here = f"{signed(row['difference'], unit)} {unit} | {bounds(row['low'], row['high'], unit)}"
    return f"| {row['what']} | {row['published']} | {here} | {row['outcome']} |"


OUTCOMES_TOLD = {"holds": "hold", "undecided": "are undecided", "does not hold": "do not hold"}  # of several claims


def place_of(heading: str) -> str:
    """The anchor that Markdown's readers give a heading: its letters, digits and hyphens in lower case, hyphens for spaces."""
    return "".join(
        "-" if letter == " " else letter for letter in heading.lower() if letter.isalnum() or letter in " -_"
    )


def _heading(name: str, one: dict[str, Any]) -> str:
    return f"{name}: {one['outcome']}"


def _summary(kept: dict[str, Any]) -> list[str]:
    """A table of the claims by outcome, each with a link to its findings; nothing for one claim alone."""
    if len(kept) < 2:
        return []
    of = {outcome: [name for name in kept if kept[name]["outcome"] == outcome] for outcome in OUTCOMES_TOLD}
    told = ", ".join(f"{len(names)} {OUTCOMES_TOLD[outcome]}" for outcome, names in of.items() if names)
    lines = ["", f"{len(kept)} claims: {told}.", "", "| claim | outcome | what is claimed |", "| --- | --- | --- |"]
    return lines + [
        f"| [{name}](#{place_of(_heading(name, kept[name]))}) | {outcome} | {kept[name]['statement']} |"
        for outcome, names in of.items()
        for name in names
    ]


def page(kept: dict[str, Any]) -> str:
    """RESULTS.md: the claims by outcome, then every claim with its findings."""
    lines = [
        "# Claims",
        "",
        "Written by `foretell reproduce`. A finding holds when the 95% interval (Student's t over paired seeds) of its",
        "difference lies above zero in the direction published, does not hold when it lies below, and is undecided when",
        "it spans zero. A claim holds when every finding does and does not hold as soon as one does not, so that of many one",
        "may fail by chance. Settings of the arms were chosen on validation labels. Where a claim's own length, number of",
        "seeds or finding was changed after a first outcome, which is a look at the test part, it says so. The interval is over",
        "seeds taken as independent (of weights, batches and draws of labels, and of splits where each seed has its own); where",
        "splits of one pool share cases, a note gives the stricter one that counts it, and what one split held back to choose",
        "a rate by may be among the test cases of another. Minutes are those of the claim's own work: what it shares with one",
        "that was worked out before it, as trained runs, is counted there.",
    ]
    worked = {name: kept[name] for name in claims.names() if name in kept}
    lines += _summary(worked)
    for name, one in worked.items():
        lines += ["", f"## {_heading(name, one)}", "", one["statement"], "", f"Source: {one['source']}.", ""]
        lines += ["| finding | published | here | 95% interval | outcome |", "| --- | --- | ---: | --- | --- |"]
        lines += [_row(row) for row in one["findings"]]
        changed = claims.get(name).changed
        notes = [*one["notes"], *([f"changed after a first outcome: {changed}"] if changed else [])]
        lines += [""] + [f"* {note}" for note in notes]
        lines += [
            f"* Data {one['data']}, seeds {', '.join(map(str, one['seeds']))}; {one['seconds'] / 60:.1f} minutes on "
            f"{one['machine']}, {one['date']}; `{one['command']}`"
        ]
    return "\n".join(lines) + "\n"
