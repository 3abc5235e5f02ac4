"""Sensitivity at a specificity whose threshold comes from held-out labels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from foretell.measures.operating import Operating, thresholds_at

NAN = math.nan


def test_the_threshold_keeps_the_wanted_share_of_those_without() -> None:
    p = np.array([[0.1], [0.2], [0.3], [0.4], [0.9], [0.35]], np.float32)
    truth = np.array([[0], [0], [0], [0], [1], [1]], np.float32)
    assert thresholds_at(p, truth, 0.5) == pytest.approx([0.2])
    assert thresholds_at(p, truth, 0.51) == pytest.approx([0.3])
    assert thresholds_at(p, truth, 0.99) == pytest.approx([0.4])
    assert thresholds_at(p, np.ones((6, 1), np.float32), 0.9) == [None]


def test_sums_equal_counts_over_what_is_known() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((300, 2)).astype(np.float32)
    truth = (rng.random((300, 2)) < p).astype(np.float32)
    truth[rng.random((300, 2)) < 0.2] = NAN
    limits = thresholds_at(p[:150], truth[:150], 0.8)
    sums = Operating(limits)
    for start in range(150, 300, 40):
        sums.add(p[start : start + 40], truth[start : start + 40])
    own, expected = p[150:], truth[150:]
    sensitivity = [np.mean(own[expected[:, at] == 1, at] > limits[at]) for at in range(2)]
    specificity = [np.mean(own[expected[:, at] == 0, at] <= limits[at]) for at in range(2)]
    assert sums.result() == pytest.approx({"sensitivity": np.mean(sensitivity), "specificity": np.mean(specificity)})
    assert sums.result()["specificity"] == pytest.approx(0.8, abs=0.1)


def test_classes_are_each_against_the_rest() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], np.float32)
    codes = np.array([0, 1, 1, 2])
    limits = thresholds_at(p, codes, 1.0)
    assert limits == pytest.approx([0.5, 0.3, 0.2])
    sums = Operating(limits)
    sums.add(p, codes)
    assert sums.result() == pytest.approx({"sensitivity": np.mean([1, 0.5, 1]), "specificity": 1.0})
    nothing = Operating([None, 0.5])
    nothing.add(p[:, :2], np.array([[1, NAN]] * 4, np.float32))
    assert all(math.isnan(value) for value in nothing.result().values())


@pytest.mark.parametrize(("wanted", "count"), [(0.55, 100), (0.14, 100), (0.28, 100), (0.9, 10), (0.95, 20), (0.9, 15)])
def test_no_more_specificity_is_taken_than_is_wanted(wanted: float, count: int) -> None:
    p = np.arange(count, dtype=np.float32)[:, None] / count
    (limit,) = thresholds_at(p, np.zeros((count, 1), np.float32), wanted)
    reached = float(np.mean(p[:, 0] <= limit))
    assert wanted <= reached < wanted + 1 / count - 1e-9
