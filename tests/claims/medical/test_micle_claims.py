"""The claims on MICLe: how frames become cases, what figures that are known conclude, and one worked out at a tiny size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foretell import claims
from foretell.claims.base import Finding, overall
from foretell.claims.encoders import kept_encoder
from foretell.claims.lab import Lab
from foretell.claims.medical import micle, micle_cases, micle_crossing, micle_invariance, units
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.measures.crossing import crossing
from foretell.recipe import Recipe

PATHS = [f"orcs/grunt{number}-attack-{frame}.png" for number in range(8) for frame in range(3)]
PATHS += [f"orcs/grunt{number}.png" for number in range(8)]
PATHS += [
    "orcs/slayer.png",
    "elves/shaman.png",
    *(f"elves/shaman-defend-{frame}.png" for frame in range(4)),
    "post.png",
]


def test_races_with_enough_units_of_enough_frames_are_the_classes() -> None:
    cases = units.units(PATHS)
    labels = units.races(cases)
    known = {(case, label) for case, label in zip(cases, labels, strict=True)}
    assert {(f"orcs/grunt{number}", "orcs") for number in range(8)} < known
    assert {("orcs/slayer", None), ("elves/shaman", None), ("post", None)} < known  # one frame, one unit, no race
    assert units.poses(["orcs/a-melee-attack-2.png", "orcs/a-defend.png", "orcs/attacker.png"]) == [
        "attack",
        "defend",
        "stand",
    ]


def test_the_frame_that_stands_for_a_unit_is_its_own_picture() -> None:
    cases = units.units(PATHS)
    rows = units.first_of_each(PATHS, cases)
    assert len(rows) == len(set(cases)) == 11
    assert all(PATHS[row] == f"{cases[row]}.png" for row in rows)


def test_test_units_are_a_third_of_each_race_and_another_third_for_another_seed() -> None:
    cases = [f"{race}/{number}" for race in ("a", "b") for number in range(12) for _ in range(4)]
    labels: list[str | None] = [case.split("/")[0] for case in cases]
    drawn = [units._tested(cases, labels, seed) for seed in range(3)]
    assert all(sum(name.startswith(race) for name in one) == 4 for one in drawn for race in ("a", "b"))
    assert len({frozenset(one) for one in drawn}) == 3


def figures(turned: bool) -> Any:
    """What ``compared`` would find if the paper were right, or its opposite; seeds a little apart."""

    def compared(
        lab: Any, seed: int, arm: str, arms: Sequence[str], per_class: Sequence[int | None], **how: Any
    ) -> Any:
        rows = []
        for way in arms:
            for n in per_class:
                value = 0.3 + 0.02 * (n or 7)
                if arm == "micle" and not how.get("single"):
                    value += 0.05
                if way == "scratch":
                    value -= 0.1
                value = 1 - value if turned else value
                value += 0.001 * seed * (1 + (arm == "micle"))
                away = value - (0.2 if way == "scratch" else 0.1) * (-1 if turned else 1)
                labels = 112 if n is None else 11 * n
                rows.append(
                    {"arm": way, "per_class": n, "labels": labels, "seed": 0, "accuracy": value, "shift_accuracy": away}
                )
        return rows

    return compared


def worked_out(name: str, monkeypatch: pytest.MonkeyPatch, *, turned: bool = False) -> tuple[Any, list[Finding]]:
    monkeypatch.setattr(micle, "compared", figures(turned))
    claim = claims.get(name)(seeds=(0, 1, 2))
    return claim, claim.work(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["micle-cases", "micle-crossing", "micle-shift"])
def test_figures_as_published_hold_and_their_opposite_does_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, findings = worked_out(name, monkeypatch)
    assert [finding.outcome for finding in findings] == ["holds"] * len(findings)
    assert claim.notes
    _, opposite = worked_out(name, monkeypatch, turned=True)
    assert {finding.outcome for finding in opposite} == {"does not hold"}
    assert overall(opposite) == "does not hold"


def small_units(seed: int, *, single: bool = False) -> ImageStore:
    """Animals in cases of three of one class, in the place of units."""
    store = open_images("@animals")
    codes, classes = store.table.codes("label")
    rows = np.concatenate([np.flatnonzero(codes == code)[:24] for code in range(3)])
    unit = [f"{classes[codes[row]]}/{at % 24 // 3}" for at, row in enumerate(rows)]
    part = ["test" if int(name.split("/")[1]) >= 6 else "train" for name in unit]
    columns: dict[str, list[str | None]] = {
        "label": [classes[codes[row]] for row in rows], "group": list(unit), "split": list(part),
        "pose": [units.POSES[at % 3] for at in range(len(rows))],
    }  # fmt: skip
    grey = store.read(rows).pixels.numpy().transpose(0, 2, 3, 1)
    whole = ImageStore.of(np.repeat(grey, 3, axis=3), Table(columns))
    return whole.subset(np.arange(0, len(rows), 3)) if single else whole


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Lab, list[str]]:
    settings = {"objective.views.side": 16, "training.batch": 8, "transfer.steps": 2}
    monkeypatch.setattr(micle, "SETTINGS", {**micle.SETTINGS, **settings})
    monkeypatch.setattr(micle, "FIRST", 1)
    monkeypatch.setattr(micle, "THEN", 1)
    monkeypatch.setattr(micle, "DRAWS", 2)
    monkeypatch.setattr(micle_cases, "DRAWS", 2)
    monkeypatch.setattr(micle, "open_units", small_units)
    said: list[str] = []
    return Lab(tmp_path, device="cpu", say=said.append), said


def test_one_is_trained_and_measured_once(tiny: tuple[Lab, list[str]]) -> None:
    lab, said = tiny
    first = claims.get("micle-cases")(seeds=(0,)).work(lab)
    trainings = [text for text in said if text.startswith("training")]
    assert len(trainings) == 5  # the beginning, and either way on with all images and with one a case
    again = claims.get("micle-cases")(seeds=(0,)).work(lab)
    assert [finding.ours for finding in first] == [finding.ours for finding in again]
    assert [text for text in said if text.startswith("training")] == trainings
    assert all(0 <= value <= 100 for finding in first[:-1] for value in (*finding.ours, *finding.against))


def test_what_the_crossing_tuned_is_judged_by_the_other_camera_with_no_further_training(
    tiny: tuple[Lab, list[str]],
) -> None:
    lab, said = tiny
    claims.get("micle-crossing")(seeds=(0,)).work(lab)
    begun = len(said)
    findings = claims.get("micle-shift")(seeds=(0,)).work(lab)
    assert len(findings) == 8
    assert len(said) == begun


def test_both_arms_begin_alike_and_go_on_at_equal_compute(tiny: tuple[Lab, list[str]]) -> None:
    lab, _ = tiny
    one, other = (micle.recipe(lab, 0, arm, micle.THEN) for arm in ("simclr", "micle"))  # type: ignore[arg-type]
    assert one.training == other.training
    alike = [made.objective.model_dump(exclude={"name", "bag"}) for made in (one, other)]
    assert alike[0] == alike[1]
    begun = kept_encoder(lab, micle.recipe(lab, 0, "simclr", micle.FIRST))
    assert one.encoder == other.encoder.model_copy(update={"weights": None})
    ways = [micle.pretrained(lab, 0, arm) for arm in ("simclr", "micle")]  # type: ignore[arg-type]
    assert [way.name for way in ways] == ["simclr", "micle"]
    start = [micle.recipe(lab, 0, arm, micle.THEN, weights=begun) for arm in ("simclr", "micle")]  # type: ignore[arg-type]
    built = [lab.build(made).encoder.state_dict() for made in start]  # type: ignore[union-attr]
    assert all(torch.equal(built[0][name], built[1][name]) for name in built[0])


def test_the_crossing_is_told_with_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    claim, _ = worked_out("micle-crossing", monkeypatch)
    assert (
        "MICLe after SimCLR equals scratch with all 112 cases (top-1 34.1) at fewer than 11 (95% fewer than 11 to"
        in claim.notes[1]
    )
    assert "top-1 by cases a class 1: 37.2, 2: 39.2, 4: 43.2, all: 49.2" in claim.notes[1]
    assert "of all cases 1 case a class 10%, 2 cases a class 20%, 4 cases a class 39% were measured" in claim.notes[2]


def test_the_score_with_a_share_of_the_labels_is_read_off_its_curve() -> None:
    curve = [(11, [20.0, 30.0]), (22, [40.0, 50.0]), (44, [60.0, 40.0]), (88, [80.0, 80.0])]
    assert micle_crossing.read_off(curve, 22 / 88) == pytest.approx([40, 50])
    assert micle_crossing.read_off(curve, 22 * 2**0.5 / 88) == pytest.approx([50, 45])
    assert micle_crossing.read_off(curve, 0.01) == [20, 30]


@pytest.mark.parametrize("baseline", [35.0, 42.0, 49.0, 50.0, 51.0, 60.0])
def test_it_is_above_the_baseline_where_the_whole_interval_of_the_crossing_lies_below(baseline: float) -> None:
    curve = [(11, [20.0, 22.0, 23.0]), (22, [39.0, 41.0, 43.0]), (44, [58.0, 60.0, 61.0]), (88, [79.0, 80.0, 82.0])]
    rows = [
        {"arm": arm, "per_class": labels, "labels": labels, "seed": seed, "accuracy": value / 100}
        for arm, points in (("ours", curve), ("others", [(88, [baseline, baseline + 1, baseline])]))
        for labels, values in points
        for seed, value in enumerate(values)
    ]
    found = crossing(rows, "ours", "others", "accuracy")
    assert found is not None
    against = [baseline, baseline + 1, baseline]
    finding = Finding("", "", micle_crossing.read_off(curve, micle_crossing.PART), against)
    below, above = (found[end]["labels"] / 88 < micle_crossing.PART for end in ("high", "low"))
    assert finding.outcome == ("holds" if below else "undecided" if above else "does not hold")


@pytest.mark.parametrize("name", ["micle-cases", "micle-crossing", "micle-shift"])
def test_how_far_fine_tuning_comes_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, _ = worked_out(name, monkeypatch)
    assert any(
        "20 steps times the square root of the number of labelled images, from 100 to 350, of 16 images each" in note
        for note in claim.notes
    )


def test_arms_that_are_tuned_share_one_rate_and_probes_search_their_penalty() -> None:
    transfer = Recipe.load("claims", {}).transfer
    few, tried = micle.searched(transfer, ("pretrained", "scratch"), (1, 2))
    assert (few.rates, tried) == ((micle.SMALL, micle.SMALL), 1)
    more, _ = micle.searched(transfer, ("scratch",), (4, None))
    assert more.rates == (micle.LARGE, micle.LARGE) != few.rates
    assert micle.searched(transfer, ("probe",), (1, 2, 4, None)) == (transfer, micle.PENALTIES)
    with pytest.raises(ValueError, match="too many values"):
        micle.searched(transfer, ("scratch",), (2, 4))  # two rates in one comparison


def test_closeness_is_what_a_slow_loop_finds() -> None:
    rng = np.random.default_rng(0)
    cases = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])  # one of a single image
    h = (rng.normal(size=(10, 5)) + 3 * rng.normal(size=(4, 5))[cases]).astype(np.float32)
    z = h - h.mean(axis=0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    cosine = z @ z.T
    several = [np.flatnonzero(cases == case) for case in (0, 2, 3)]
    within = np.mean([np.mean([cosine[a, b] for a in own for b in own if a != b]) for own in several])
    between = np.mean([cosine[np.ix_(a, b)].mean() for a in several for b in several if a is not b])
    assert micle_invariance.closeness(h, cases) == pytest.approx((within, between), abs=1e-5)


def test_another_camera_is_shown_test_units_alone() -> None:
    store = small_units(0)
    both = units.with_other_camera(store)
    domain, part = both.table.column("domain"), both.table.column("split")
    again = [row for row, value in enumerate(domain) if value == "warm"]
    assert again
    assert {part[row] for row in again} == {"test"}
    assert len(both) == len(store) + len(again)
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(units.warm(image, 0.0), image)
    half, shown = units.warm(image, 0.5), units.warm(image, 1.0)
    assert shown.shape == image.shape
    off = [np.abs(one.astype(float) - image).mean() for one in (half, shown)]
    assert 0 < off[0] < off[1]
    soft = image[3:6, 2:5].astype(float).mean(axis=(0, 1)) / 255
    assert shown[4, 3] == pytest.approx(255 * (0.2 + 0.6 * soft**1.5) * np.array([1, 0.85, 0.65]), abs=0.51)


@pytest.mark.parametrize("name", ["micle-invariance", "micle-crossing", "micle-shift"])
def test_the_others_end_at_a_tiny_size(name: str, tiny: tuple[Lab, list[str]]) -> None:
    lab, said = tiny
    claim = claims.get(name)(seeds=(0,))
    findings = claim.work(lab)
    assert sum(text.startswith("training") for text in said) == 3
    assert findings
    assert claim.notes
    assert all(np.isfinite(value) for finding in findings for value in (*finding.ours, *finding.against))
