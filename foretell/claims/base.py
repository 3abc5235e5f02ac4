"""A published claim: what was said, what is measured here, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from foretell.claims.lab import Lab
from foretell.transfer.measures.intervals import Interval, paired

Outcome = Literal["holds", "does not hold", "undecided"]


@dataclass
class Finding:
    """One comparison of the claim. ``difference`` is in the direction published: above zero speaks for the claim."""

    what: str
    published: str
    ours: Sequence[float]
    against: Sequence[float]
    unit: str = "points"

    @property
    def difference(self) -> Interval:
        return paired(self.ours, self.against)

    @property
    def outcome(self) -> Outcome:
        """Holds when the 95% interval over seeds lies above zero, does not hold below, undecided where it spans zero.

        Equal differences decide, other than in ``Interval.verdict``: claims count exactly, where every seed finds the same.
        """
        interval = self.difference
        if interval.low > 0:
            return "holds"
        return "does not hold" if interval.high < 0 else "undecided"

    def record(self) -> dict[str, Any]:
        interval = self.difference
        return {
            "what": self.what,
            "unit": self.unit,
            "published": self.published,
            "ours": list(self.ours),
            "against": list(self.against),
            "difference": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "seeds": interval.n,
            "outcome": self.outcome,
        }


@dataclass
class Claim:
    """Subclasses: one file each, named in ``foretell.claims``. ``minutes`` is about what it takes on two cores."""

    name: ClassVar[str]
    statement: ClassVar[str]
    source: ClassVar[str]
    data: ClassVar[str]
    minutes: ClassVar[float]

    seeds: Sequence[int] = (0, 1, 2)
    notes: list[str] = field(default_factory=list)

    def work(self, lab: Lab) -> list[Finding]:
        """Train and measure through ``lab``; pieces that were done before are not done again."""
        raise NotImplementedError


def signed(value: float, unit: str) -> str:
    """A difference as it is shown: one decimal of points, two of other units."""
    return f"{value:+.1f}" if unit == "points" else f"{value:+.2f}"


def overall(findings: Sequence[Finding]) -> Outcome:
    """Holds when every finding holds; does not hold when one does not; else undecided."""
    outcomes = {finding.outcome for finding in findings}
    if "does not hold" in outcomes:
        return "does not hold"
    return "holds" if outcomes == {"holds"} else "undecided"
