"""A published claim: what was said, what is measured here, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from foretell.claims.chance import counting_shared
from foretell.claims.lab import Lab
from foretell.measures.intervals import ALIKE, EQUAL, Interval, paired

Outcome = Literal["holds", "does not hold", "undecided"]
TINY = (1e-12, 1e-6)  # other values than points between these are shown in full: two decimals would make zero of them


@dataclass
class Finding:
    """One comparison of the claim. ``difference`` is in the direction published: above zero speaks for the claim.

    ``ceiling``: the highest value that there can be, where there is one. ``rounding``: below it a difference is none.
    """

    what: str
    published: str
    ours: Sequence[float]
    against: Sequence[float]
    unit: str = "points"
    ceiling: float | None = None
    rounding: float = EQUAL

    @property
    def difference(self) -> Interval:
        return paired(self.ours, self.against)

    @property
    def outcome(self) -> Outcome:
        """Holds when the 95% interval over seeds lies above zero, does not hold below, undecided where it spans zero.

        Equal differences decide, other than in ``Interval.verdict``: claims count exactly, where every seed finds the same.
        Where ``capped`` nothing can hold, and so nothing fails.
        """
        found = outcome_of(self.difference, rounding=self.rounding)
        return "undecided" if self.capped and found == "does not hold" else found

    @property
    def settled(self) -> bool:
        """Whether every seed finds the same on either side, so that their difference needs no interval."""
        return all(max(side) - min(side) < self.rounding for side in (self.ours, self.against))

    @property
    def capped(self) -> bool:
        """Whether ``against`` is at the ceiling for every seed, so that no difference can lie above zero."""
        return self.ceiling is not None and min(self.against) >= self.ceiling

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
    """Subclasses: one file each, named in ``foretell.claims``. ``minutes`` is about what it takes on two cores.

    ``resplit``: test to train cases of a split, where each seed splits one pool of cases anew. ``changed``: what of the
    claim was changed, or how often it was repeated, when a first outcome was known; kept beside what came out.
    """

    name: ClassVar[str]
    statement: ClassVar[str]
    source: ClassVar[str]
    data: ClassVar[str]
    minutes: ClassVar[float]
    resplit: ClassVar[float | None] = None
    changed: ClassVar[str | None] = None

    seeds: Sequence[int] = (0, 1, 2)
    notes: list[str] = field(default_factory=list)

    def work(self, lab: Lab) -> list[Finding]:
        """Train and measure through ``lab``; pieces that were done before are not done again."""
        raise NotImplementedError

    def resplit_of(self, finding: Finding) -> float | None:
        """``resplit`` of one finding, for claims whose findings are not all over splits of one pool."""
        return self.resplit

    def notes_on(self, findings: Sequence[Finding]) -> list[str]:
        """What follows from the findings alone: that one of them cannot hold, and the intervals that count shared cases."""
        found = [
            f"{one.what}: what it is compared with is at its ceiling ({one.ceiling:g}) for every seed, so that the finding "
            "could not hold, and is undecided"
            for one in findings
            if one.capped
        ]
        wider = [(one, ratio) for one in findings if (ratio := self.resplit_of(one)) is not None]
        if wider:
            ratios = " and ".join(f"{ratio:.2g}" for ratio in sorted({ratio for _, ratio in wider}))
            told = "; ".join(_counting_shared(one, ratio) for one, ratio in wider)
            found.append(
                f"counting that splits share cases (Nadeau and Bengio 2003; {ratios} test cases to a training case): {told}"
            )
        return found


def _counting_shared(finding: Finding, ratio: float) -> str:
    """The finding with the interval that counts that its splits share cases."""
    interval = counting_shared(finding.difference, ratio)
    mean, ends = signed(interval.mean, finding.unit), bounds(interval.low, interval.high, finding.unit)
    outcome = outcome_of(interval, settled=finding.settled, rounding=finding.rounding)
    return f"{finding.what} {mean} ({ends}), {outcome}"


def outcome_of(interval: Interval, *, settled: bool = True, rounding: float = EQUAL) -> Outcome:
    """Holds where a difference's interval lies above zero, does not hold below, undecided where it spans zero.

    One without a width tells nothing of the spread, and is undecided where its sides are not ``settled``; so is
    ``rounding``.
    """
    if interval.high - interval.low < rounding and (not settled or abs(interval.mean) < rounding):
        return "undecided"
    if interval.low > 0:
        return "holds"
    return "does not hold" if interval.high < 0 else "undecided"


def signed(value: float, unit: str) -> str:
    """A difference as it is shown: one decimal of points, two of other units, two digits of what is ``TINY`` there."""
    if unit == "points":
        return f"{value:+.1f}"
    return f"{value:+.2g}" if _tiny(value) else f"{value:+.2f}"


def _tiny(value: float) -> bool:
    return TINY[0] < abs(value) < TINY[1]


def bounds(low: float, high: float, unit: str) -> str:
    """The ends of an interval as they are shown; in words where every seed came to the same."""
    near = TINY[0] if _tiny(low) or _tiny(high) else EQUAL
    return ALIKE if high - low < near else f"{signed(low, unit)} to {signed(high, unit)}"


def overall(findings: Sequence[Finding]) -> Outcome:
    """Holds when every finding holds; does not hold when one does not; else undecided."""
    outcomes = {finding.outcome for finding in findings}
    if "does not hold" in outcomes:
        return "does not hold"
    return "holds" if outcomes == {"holds"} else "undecided"
