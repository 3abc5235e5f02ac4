"""``foretell reproduce``: published claims on real data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from foretell.options import Arg, Where

if TYPE_CHECKING:
    from foretell.claims.reproduce import Reproduction


def reproduce(
    claim: Annotated[str | None, Arg("the claim, or 'all' (default: list them)")] = None,
    *,
    out: Annotated[Where, Arg("folder of RESULTS.md; trained runs in it are used again", "FOLDER", "-o")] = "claims",
    budget: Annotated[str | None, Arg("begin no new training after this time, as 10m", "TIME", "-b")] = None,
    seeds: Annotated[int, Arg("seeds of each claim")] = 3,
    device: Annotated[str, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = "auto",
) -> Reproduction | list[str]:
    """Try a published claim on real data.

    It holds, it does not hold, or the interval spans zero and it is undecided. Without a claim, list them. An
    interrupted try goes on where it stopped.

    Returns a ``Reproduction``, or the names of the claims. Raises InputError for an unknown claim.
    """
    from foretell import claims
    from foretell.errors import InputError

    if claim is None:
        for name in claims.names():
            known = claims.get(name)
            print(f"{name}\n  {known.statement}\n  {known.source}; data {known.data}, about {known.minutes:g} minutes")
        return claims.names()
    if seeds < 2:
        raise InputError(f"--seeds {seeds}: expected at least 2, since an interval over seeds decides")
    from foretell.claims.reproduce import reproduce as work_out
    from foretell.train.budget import seconds_of
    from foretell.verbs import common

    common.device_of(device)
    folder = Path(out)
    allowed = None if budget is None else seconds_of(budget)
    try:
        made = work_out([claim], folder, seeds=range(seeds), budget=allowed, device=device)
    except KeyboardInterrupt as error:
        error.add_note(f"go on with: foretell reproduce {claim} --out {folder}")
        raise
    if any(made.outcomes.values()):
        print(f"results: {folder / 'RESULTS.md'}")
    return made
