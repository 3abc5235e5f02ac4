"""Calibration error, Brier score and top-3 accuracy from streamed sums, against what a slow loop finds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from foretell.measures.calibration import BINS, Calibration, cells


def made(n: int = 3000, classes: int = 5, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, classes)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(classes, p=row) for row in p])
    sharp = np.exp(logits * sharpness)
    return (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32), truth


def measured(p: np.ndarray, truth: np.ndarray, batch: int = 700) -> dict[str, float]:
    sums = Calibration()
    for start in range(0, len(p), batch):
        sums.add(p[start : start + batch], truth[start : start + batch])
    return sums.result()


def test_sums_equal_a_slow_loop() -> None:
    p, truth = made(sharpness=3)
    found = measured(p, truth)
    top3 = np.mean([code in np.argsort(-row)[:3] for row, code in zip(p, truth, strict=True)])
    brier = np.mean([((row - np.eye(5)[code]) ** 2).sum() for row, code in zip(p, truth, strict=True)])
    assert found["top3_accuracy"] == pytest.approx(top3)
    assert found["brier"] == pytest.approx(brier, abs=1e-6)
    order = np.argsort(p.max(axis=1), kind="stable")
    hits = p.argmax(axis=1) == truth
    gaps = [len(part) * abs(hits[part].mean() - p[part].max(axis=1).mean()) for part in np.array_split(order, BINS)]
    assert found["ece"] == pytest.approx(sum(gaps) / len(p), abs=3e-3)


def test_honest_probabilities_are_calibrated_and_bold_ones_are_not() -> None:
    honest, bold = measured(*made()), measured(*made(sharpness=4))
    assert honest["ece"] < 0.03
    assert bold["ece"] > 0.15
    assert bold["brier"] > honest["brier"]
    assert bold["top3_accuracy"] == honest["top3_accuracy"]


def test_batches_do_not_matter_and_nothing_is_nan() -> None:
    p, truth = made(500)
    assert measured(p, truth, 1) == pytest.approx(measured(p, truth, 500))
    sure = np.eye(2, dtype=np.float32)[np.zeros(20, int)]
    assert measured(sure, np.zeros(20, int)) == pytest.approx({"top3_accuracy": 1, "brier": 0, "ece": 0})
    assert measured(sure, np.ones(20, int)) == pytest.approx({"top3_accuracy": 1, "brier": 2, "ece": 1})
    assert all(math.isnan(value) for value in Calibration().result().values())
    assert cells(np.array([0, 0.5, 1], np.float32)).tolist() == [53, 4096, 8138]


def test_with_few_samples_bins_are_filled_and_with_fewer_there_is_no_error() -> None:
    rng = np.random.default_rng(0)

    def of_an_honest_model(count: int) -> float:
        found = []
        for _ in range(200):
            confidence = rng.uniform(0.5, 1, count)
            truth = (rng.random(count) > confidence).astype(np.int64)
            found.append(measured(np.stack([confidence, 1 - confidence], 1).astype(np.float32), truth)["ece"])
        return float(np.mean(found))

    assert math.isnan(of_an_honest_model(19))
    assert of_an_honest_model(30) < 0.15  # with a bin a sample or two it was 0.23
    assert of_an_honest_model(60) < 0.13


@pytest.mark.parametrize(
    ("row", "truth", "share"),
    [
        ([1.0] + [0.0] * 49, 7, 2 / 49),  # two places for 49 that are equally unlikely
        ([0.5, 0.5] + [0.0] * 48, 7, 1 / 48),
        ([0.02] * 50, 7, 3 / 50),
        ([0.4, 0.3, 0.2, 0.1], 3, 0.0),
        ([0.4, 0.2, 0.2, 0.2], 3, 2 / 3),
        ([0.5, 0.5], 1, 1.0),
    ],
)
def test_tied_classes_share_the_places_among_the_first_three(row: list[float], truth: int, share: float) -> None:
    assert measured(np.array([row], np.float32), np.array([truth]))["top3_accuracy"] == pytest.approx(share)
