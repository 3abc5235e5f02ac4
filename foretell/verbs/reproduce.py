"""``foretell reproduce``: published claims on real data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from foretell.errors import InputError
from foretell.options import Arg, Where

if TYPE_CHECKING:
    from foretell.claims.reproduce import Reproduction


def seeds_of(given: int | str) -> tuple[int, ...]:
    """The first so many for a number, else those that are named, as "0,4,7" ("4," for one alone). Raises InputError.

    >>> seeds_of(3), seeds_of("0,4"), seeds_of("4,")
    ((0, 1, 2), (0, 4), (4,))
    """
    text = str(given)
    words = [word.strip() for word in text.removesuffix(",").split(",")]
    if not all(word.isdecimal() for word in words):
        raise InputError(f"--seeds {given}: expected how many, as 3, or which, as 0,4,7 (one alone: 4,)")
    numbers = tuple(int(word) for word in words)
    if "," in text:
        if len(set(numbers)) < len(numbers):
            raise InputError(f"--seeds {given}: names a seed twice; expected different ones")
        return numbers
    if numbers[0] < 2:
        raise InputError(
            f"--seeds {given}: expected at least 2, since an interval over seeds decides (seed 0 alone, for a later call "
            "with all: 0,)"
        )
    return tuple(range(numbers[0]))


def reproduce(
    claim: Annotated[str | Sequence[str] | None, Arg("claims, or 'all' (default: list them)")] = None,
    *,
    out: Annotated[Where, Arg("folder of RESULTS.md; trained runs in it are used again", "FOLDER", "-o")] = "claims",
    budget: Annotated[str | None, Arg("begin no new training after this time, as 10m", "TIME", "-b")] = None,
    seeds: Annotated[int | str, Arg("how many seeds each claim has, or which, as 0,4,7 (one alone: 4,)", "N")] = 3,
    device: Annotated[str, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = "auto",
    jobs: Annotated[int, Arg("seeds and claims worked out side by side, each with its part of the cores", "N")] = 1,
) -> Reproduction | list[str]:
    """Try published claims on real data.

    Each holds, does not hold, or the interval spans zero and it is undecided. Without a claim, list them. An
    interrupted try goes on where it stopped. ``jobs`` processes work side by side (on two cores, two of one thread are
    faster than one of two). Several calls may share a folder, each with seeds of its own; a last one that names them all
    takes what they found.

    Returns a ``Reproduction``, or the names of the claims. Raises InputError for an unknown claim.
    """
    from foretell import claims

    if not claim:
        for name in claims.names():
            known = claims.get(name)
            print(f"{name}\n  {known.statement}\n  {known.source}; data {known.data}, about {known.minutes:g} minutes")
        return claims.names()
    chosen = seeds_of(seeds)
    from foretell.claims.reproduce import options_of
    from foretell.claims.reproduce import reproduce as work_out
    from foretell.train.budget import seconds_of
    from foretell.train.machine import named_device

    named_device(device)
    folder = Path(out)
    allowed = None if budget is None else seconds_of(budget)
    wanted = [claim] if isinstance(claim, str) else list(claim)
    try:
        made = work_out(wanted, folder, seeds=chosen, budget=allowed, device=device, jobs=jobs)
    except KeyboardInterrupt as error:
        error.add_note(
            f"go on with: foretell reproduce {' '.join(wanted)} --out {folder}{options_of(chosen, device, jobs)}"
        )
        raise
    if any(made.outcomes.values()):
        print(f"results: {folder / 'RESULTS.md'}")
    return made
