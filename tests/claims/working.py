"""What every claim promises, worked out at a tiny size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from foretell import claims
from foretell.claims.lab import Lab


def works_out(name: str, lab: Lab, *, minutes: float, seeds: Sequence[int] = (0, 1)) -> None:
    """Each finding has a finite value a seed on both sides, the notes say something, and it is said to take ``minutes`` at
    most. The figures themselves say nothing at such a size.
    """
    claim = claims.get(name)(seeds=seeds)
    findings = claim.work(lab)
    assert findings
    assert claim.notes
    for finding in findings:
        assert len(finding.ours) == len(finding.against) == len(seeds)
        assert all(math.isfinite(value) for value in (*finding.ours, *finding.against))
    assert 0 < claim.minutes <= minutes
