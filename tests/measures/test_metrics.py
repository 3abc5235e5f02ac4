from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score

from foretell.measures import metrics


@pytest.fixture(scope="module")
def foretold(digits) -> tuple[np.ndarray, np.ndarray]:
    model = LogisticRegression(C=0.01).fit(digits.flat[digits.train][:60], digits.codes[digits.train][:60])
    p = np.zeros((300, 10), dtype=np.float32)
    p[:, model.classes_] = model.predict_proba(digits.flat[digits.test])
    return p, digits.codes[digits.test]


def test_all_four_equal_scikit_learn(foretold) -> None:
    p, y = foretold
    guess = p.argmax(axis=1)
    assert metrics.score(p, y) == {
        "accuracy": pytest.approx(accuracy_score(y, guess)),
        "balanced_accuracy": pytest.approx(balanced_accuracy_score(y, guess)),
        "macro_f1": pytest.approx(f1_score(y, guess, average="macro")),
        "auroc": pytest.approx(roc_auc_score(y, p / p.sum(1, keepdims=True), multi_class="ovr")),
    }


def test_absent_classes_are_left_out(foretold) -> None:
    p, y = foretold
    here = y < 3
    found = metrics.score(p[here], y[here])
    guess = p[here].argmax(axis=1)
    assert found["macro_f1"] == pytest.approx(f1_score(y[here], guess, average="macro"))
    assert found["balanced_accuracy"] == pytest.approx(np.mean([(guess[y[here] == c] == c).mean() for c in range(3)]))
    assert found["auroc"] == pytest.approx(np.mean([roc_auc_score(y[here] == c, p[here][:, c]) for c in range(3)]))


def test_one_class_has_no_auroc_and_nothing_has_no_metric(foretold) -> None:
    p, y = foretold
    assert math.isnan(metrics.score(p[y == 4], y[y == 4])["auroc"])
    assert all(math.isnan(value) for value in metrics.Tally(10).result().values())


def test_batches_add_up(foretold) -> None:
    p, y = foretold
    tally = metrics.Tally(10)
    for start in range(0, 300, 77):
        tally.add(p[start : start + 77], y[start : start + 77])
    assert tally.result() == pytest.approx(metrics.score(p, y))
    assert tally.matrix.sum() == 300


def test_auroc_of_large_sets_streams(foretold, monkeypatch: pytest.MonkeyPatch) -> None:
    p, y = foretold
    monkeypatch.setattr(metrics, "_EXACT_SCORES", 1000)
    tally = metrics.Tally(10)
    for start in range(0, 300, 50):
        tally.add(p[start : start + 50], y[start : start + 50])
    assert not tally._scores
    assert tally.result()["auroc"] == pytest.approx(metrics.score(p, y)["auroc"], abs=1e-3)


def saturated(count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(log-odds, their two probabilities in float32, of which one is often 1 and the other is not 0; truth)."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, count)
    odds = rng.normal(0.5 * truth, 1.0) * 25
    p = (1 / (1 + np.exp(np.stack([odds, -odds], axis=1)))).astype(np.float32)
    return odds, p, truth


def test_the_area_of_two_classes_is_by_their_log_odds(monkeypatch: pytest.MonkeyPatch) -> None:
    odds, p, truth = saturated()
    expected = roc_auc_score(truth, odds)
    assert abs(metrics.area(p[:, 1], truth == 1) - expected) > 1e-4
    assert metrics.auroc(p, truth) == pytest.approx(expected, abs=1e-12)
    drawn = metrics.drawn_auroc(p, truth)(np.ones((len(p), 1), np.int32))
    assert drawn == pytest.approx([expected], abs=1e-12)
    assert metrics.auroc(p[:, ::-1], 1 - truth) == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr(metrics, "_EXACT_SCORES", 100)
    assert metrics.score(p, truth)["auroc"] == pytest.approx(expected, abs=1e-2)


def test_the_area_of_two_mirrored_columns_is_that_of_either() -> None:
    rng = np.random.default_rng(1)
    second = (rng.integers(0, 1 << 10, 500) / (1 << 10)).astype(np.float32)  # exact, with ties, 0 among them
    p, truth = np.stack([1 - second, second], axis=1), rng.integers(0, 2, 500)
    assert metrics.auroc(p, truth) == pytest.approx(roc_auc_score(truth, second), abs=1e-12)
    assert metrics.auroc(np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])) == 0.5


def test_the_commonest_class_and_the_only_answer() -> None:
    found = metrics.commonest([13, 24], ["no", "yes"])
    assert found is not None
    assert (found["class"], found["share"]) == ("yes", pytest.approx(24 / 37))
    truth, always = np.repeat([0, 1], [13, 24]), np.ones(37, int)
    assert found["metrics"]["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, always))
    assert found["metrics"]["macro_f1"] == pytest.approx(f1_score(truth, always, average="macro"))
    assert metrics.of_commonest(found, "auroc") == ("auroc", 0.5)
    assert metrics.of_commonest({"class": "yes", "share": 0.6}, "auroc") == ("accuracy", 0.6)
    assert metrics.commonest([0, 0], ["no", "yes"]) is None
    assert metrics.only_answer([[0, 13], [0, 24]], ["no", "yes"]) == "yes"
    assert metrics.only_answer([[1, 12], [0, 24]], ["no", "yes"]) is None
    assert metrics.only_answer([], []) is None


def test_a_perfect_score_of_two_patients_is_no_certainty() -> None:
    p, codes = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])
    found = metrics.with_intervals(p, codes, codes)["intervals"]
    assert found["accuracy"] == [pytest.approx(0.158, abs=5e-4), 1.0]
    assert np.isnan(found["macro_f1"]).all()
    assert metrics.with_intervals(1 - p, codes)["intervals"]["accuracy"] == [0.0, pytest.approx(0.602, abs=5e-4)]


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "auroc"])
def test_guessing_findings_by_coin_is_even_however_many_there_are(metric: str) -> None:
    assert metrics.chance(metric, 7, findings=True) == 0.5
    assert metrics.chance(metric, 4) == (0.5 if metric == "auroc" else 0.25)
    assert metrics.chance("macro_f1", 4) is metrics.chance("macro_f1", 4, findings=True) is None
