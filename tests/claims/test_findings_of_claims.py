"""What findings conclude: ceilings that leave them no room, and intervals that count what splits share."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from foretell.claims.base import Claim, Finding, bounds, overall, signed
from foretell.claims.chance import counting_shared
from foretell.claims.medical.micle_cases import MICLeCases
from foretell.claims.medical.micle_two_stage import MICLeTwoStageVolumes
from foretell.claims.medical.segmentation_few_labels import SegmentationFewLabels
from foretell.claims.reproduce import page
from foretell.measures.intervals import t_interval

RECORDS = Path(__file__).parents[2] / "claims" / "outcomes.json"


def test_an_interval_over_splits_that_share_cases_is_the_corrected_one() -> None:
    """Student's t with the variance times 1/n + test/train, written out."""
    values = [2.0, 5.0, 3.5, 1.0, 4.0, 2.5, 6.0, 3.0, 2.0, 4.5]
    found = counting_shared(t_interval(values), 0.5)
    half = 2.262157 * math.sqrt((1 / 10 + 0.5) * np.var(values, ddof=1))
    assert found.n == 10
    assert [found.mean, found.low, found.high] == pytest.approx([3.35, 3.35 - half, 3.35 + half], rel=1e-5)
    assert counting_shared(t_interval(values), 0.0) == t_interval(values)
    assert math.isnan(counting_shared(t_interval([1.0]), 0.5).low)


class Resplit(Claim):
    resplit = 0.5


SURE = Finding("gain", "above", [3.0, 3.5, 4.0], [1.0, 1.2, 1.1])


def test_claims_over_splits_of_one_pool_tell_the_stricter_interval_and_judge_by_the_plain_one() -> None:
    narrow = Finding("small gain", "above", [1.0, 1.4, 1.8], [0.0, 0.0, 0.0])
    assert [SURE.outcome, narrow.outcome] == ["holds", "holds"]
    (note,) = Resplit().notes_on([SURE, narrow])
    assert note == (
        "counting that splits share cases (Nadeau and Bengio 2003; 0.5 test cases to a training case): gain +2.4 (+0.6 to "
        "+4.2), holds; small gain +1.4 (-0.2 to +3.0), undecided"
    )
    assert Claim().notes_on([SURE, narrow]) == []


def test_ratios_are_those_of_the_splits() -> None:
    assert MICLeCases.resplit == pytest.approx(1 / 2)  # a third is tested on
    assert MICLeTwoStageVolumes.resplit is None  # the patient tested on is the same for every seed
    claim = SegmentationFewLabels()
    titles = ["bone and soft tissue, 4 masks", "parts of the brain, 4 masks"]
    found = [claim.resplit_of(Finding(title, "higher", [1.0], [0.0])) for title in titles]
    assert found == [pytest.approx(1 / 2), None]


def test_a_finding_that_cannot_hold_does_not_fail() -> None:
    capped = Finding("accuracy", "above", [94.0, 95.0, 94.5], [100.0] * 3, ceiling=100.0)
    assert capped.outcome == "undecided"
    assert overall([capped, SURE]) == "undecided"
    (note,) = Claim().notes_on([capped])
    assert note == (
        "accuracy: what it is compared with is at its ceiling (100) for every seed, so that the finding could not hold, and is "
        "undecided"
    )
    below = Finding("accuracy", "above", [94.0, 95.0, 94.5], [100.0, 100.0, 99.0], ceiling=100.0)
    assert below.outcome == "does not hold"
    assert Claim().notes_on([below]) == []


def test_the_page_says_what_its_intervals_are_over() -> None:
    said = " ".join(page({}).split())
    assert "over seeds taken as independent" in said
    assert "a note gives the stricter one" in said


def test_the_page_says_what_was_changed_after_a_first_outcome() -> None:
    kept = json.loads(RECORDS.read_text())
    head = page({"simclr-head": kept["simclr-head"]})
    assert "* changed after a first outcome: 3 seeds left the probe of the class undecided" in head
    assert "* changed after a first outcome" not in page({"simclr-temperature": kept["simclr-temperature"]})


def test_findings_whose_seeds_agree_say_so_instead_of_an_interval() -> None:
    alike, apart = Finding("steps", "fewer", [2.0, 2.0], [2.0, 2.0]), Finding("gain", "above", [3.0, 4.0], [1.0, 1.0])
    record = {
        "outcome": "undecided", "statement": "Said.", "source": "us", "notes": [], "data": "none", "seeds": [0, 1],
        "seconds": 60.0, "machine": "one", "date": "2026-01-01", "command": "foretell reproduce bert-story",
        "findings": [alike.record(), apart.record()],
    }  # fmt: skip
    written = page({"bert-story": record})
    assert "| steps | fewer | +0.0 points | no spread | undecided |" in written
    assert "| gain | above | +2.5 points | -3.9 to +8.9 | undecided |" in written
    (note,) = Resplit().notes_on([alike])
    assert "steps +0.0 (no spread), undecided" in note


def test_rounding_decides_nothing_and_equal_steps_have_no_stricter_interval() -> None:
    counted = Finding("rows", "all", [100.0] * 3, [99.0] * 3)
    stepped = Finding("gain", "above", [50.0, 54.0, 56.0], [48.0, 52.0, 54.0])
    home, away = [100 * (count / 57) for count in (24, 29, 34)], [100 * (count / 57) for count in (20, 25, 30)]
    drops = [a - b for a, b in zip(home, away, strict=True)]
    rounded = Finding("drop", "less", drops, [100 * 4 / 57] * 3)
    assert [one.outcome for one in (counted, stepped, rounded)] == ["holds", "holds", "undecided"]
    (note,) = Resplit().notes_on([stepped])
    assert "gain +2.0 (no spread), undecided" in note
    assert min(drops) < max(drops), "they differ by rounding"
    assert bounds(min(drops), max(drops), "points") == "no spread"


@pytest.mark.parametrize(
    ("measured", "outcome", "told"),
    [
        (0.0, "holds", "+1e-09"),
        (5e-10, "holds", "+5e-10"),
        (1e-9, "undecided", "+0.00"),
        (1.5e-9, "does not hold", "-5e-10"),
    ],
)
def test_a_limit_as_small_as_rounding_is_kept_to(measured: float, outcome: str, told: str) -> None:
    found = Finding("gradient", "none", [1e-9] * 3, [measured] * 3, "nats", rounding=1e-15)
    assert found.outcome == outcome
    assert signed(found.difference.mean, "nats") == told
    spread = Finding("gradient", "none", [1e-9] * 3, [5e-10, 5.2e-10, 5.4e-10], "nats", rounding=1e-15)
    assert (spread.outcome, spread.settled) == ("holds", False)
    assert bounds(spread.difference.low, spread.difference.high, "nats") == "+4.3e-10 to +5.3e-10"


def test_rounding_is_shown_as_zero() -> None:
    assert [signed(value, unit) for value, unit in ((3.6e-16, "nats"), (1e-9, "points"))] == ["+0.00", "+0.0"]
    assert bounds(-3.6e-16, 3.6e-16, "nats") == "no spread"


def test_the_page_begins_with_the_claims_by_outcome() -> None:
    kept = json.loads(RECORDS.read_text())
    written = page(kept)
    assert RECORDS.with_name("RESULTS.md").read_text() == written
    top = written[: written.index("\n## ")]
    rows = re.findall(r"^\| \[([^]]+)\]\(#([^)]+)\) \| ([^|]+) \|", top, re.M)
    assert sorted(name for name, _, _ in rows) == sorted(kept)
    assert [outcome for _, _, outcome in rows] == sorted(
        (outcome for _, _, outcome in rows), key=["holds", "undecided", "does not hold"].index
    )
    assert "simclr-head-holds" in {place for _, place, _ in rows}
    assert "| claim |" not in page({"simclr-head": kept["simclr-head"]}), "one claim alone needs no table"
