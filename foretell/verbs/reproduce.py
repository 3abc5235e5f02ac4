"""``foretell reproduce``: published claims on real data."""

from __future__ import annotations

from typing import Annotated, Any

from foretell.options import Arg, Where


def reproduce(
    claim: Annotated[str | None, Arg("the claim (default: list them)")] = None,
    *,
    out: Annotated[
        Where | None, Arg("folder of runs and results; trained runs in it are used again", "FOLDER", "-o")
    ] = None,
    budget: Annotated[str | None, Arg("stop beginning new trainings after this time, as 10m", "TIME", "-b")] = None,
    seeds: Annotated[int | None, Arg("seeds (default: the claim's own, three or more)")] = None,
    device: Annotated[str, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = "auto",
) -> Any:
    """Try a published claim on real data.

    It holds, it does not hold, or the interval spans zero and it is undecided. Without a claim, list
    them. An interrupted try goes on where it stopped.

    Returns the result of the claim, or the list of claims. Raises InputError for an unknown claim.
    """  # fmt: skip
    from foretell import claims

    if claim is None:
        for name in claims.names():
            print(f"{name}\n  {claims.get(name).title}")
        return claims.names()
    return claims.get(claim).run(out=out, budget=budget, seeds=seeds, device=device)
