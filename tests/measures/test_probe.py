from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.svm import LinearSVC

from foretell.errors import InputError
from foretell.measures.probe import cross_entropy, fit_probe, linear_probe, quiet_fit, strengths
from foretell.transfer.fractions import subset, validation_splits


def gradient_at(probe, x: np.ndarray, y: np.ndarray, strength: float) -> float:
    """Largest gradient of mean cross-entropy + strength / 2 |W|^2 on standardised features, at the probe."""
    mean, scale = x.mean(axis=0), x.std(axis=0)
    live = scale > 1e-6
    z = torch.from_numpy((x[:, live] - mean[live]) / scale[live]).double()
    weight = torch.from_numpy(probe.weight[:, live] * scale[live]).double().requires_grad_()
    bias = torch.from_numpy(probe.bias + probe.weight @ mean).double().requires_grad_()
    loss = F.cross_entropy(z @ weight.T + bias, torch.from_numpy(y)) + strength / 2 * weight.square().sum()
    loss.backward()
    return float(torch.cat([weight.grad.flatten(), bias.grad]).abs().max())


@pytest.mark.parametrize("strength", [1e-3, 1e-1, 10.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_penalised_loss_is_at_its_minimum(digits, strength: float, classes: int) -> None:
    rows = digits.train[digits.codes[digits.train] < classes]
    x, y = digits.flat[rows].astype(np.float64), digits.codes[rows]
    probe = fit_probe(x, y, classes, strength)
    assert gradient_at(probe, x, y, strength) < 2e-4
    assert gradient_at(fit_probe(x, y, classes, strength * 100), x, y, strength) > 1e-3


def test_a_warm_start_ends_at_the_same_place(digits) -> None:
    x, y = digits.flat[digits.train], digits.codes[digits.train]
    warm = fit_probe(x, y, 10, 1e-2, start=fit_probe(x, y, 10, 1.0))
    cold = fit_probe(x, y, 10, 1e-2)
    assert np.allclose(warm.probabilities(x), cold.probabilities(x), atol=5e-3)


def test_absent_classes_are_never_foretold(digits) -> None:
    rows = digits.train[np.isin(digits.codes[digits.train], (1, 4, 7))]
    p = fit_probe(digits.flat[rows], digits.codes[rows], 10).probabilities(digits.flat[digits.test])
    assert set(p.argmax(axis=1)) == {1, 4, 7}
    assert p[:, [0, 2, 3, 5, 6, 8, 9]].max() == 0


def test_features_that_are_constant_on_the_labels_get_no_weight(digits) -> None:
    x, y = digits.flat[digits.train].copy(), digits.codes[digits.train]
    x[:, 20] = 0.3
    probe = fit_probe(x, y, 10)
    assert (probe.weight[:, 20] == 0).all()
    moved = digits.flat[digits.test].copy()
    moved[:, 20] = 50.0
    assert np.isfinite(probe.probabilities(moved)).all()


def test_one_class_is_refused_in_words(digits) -> None:
    with pytest.raises(InputError, match="at least two classes; these name one"):
        fit_probe(digits.flat[:5], np.zeros(5, dtype=np.int64), 10)


def test_the_penalty_is_chosen_on_held_out_labels(digits) -> None:
    rows = digits.train[subset(digits.codes[digits.train], per_class=10, seed=0)]
    x, y = digits.flat[rows], digits.codes[rows]
    splits, _ = validation_splits(y, None, k=2, share=0.25, seed=0)
    probe, records = linear_probe(x, y, 10, splits=splits, trials=5)
    assert [record["strength"] for record in records] == strengths(1e-5, 10.0, 5)
    best = max(records, key=lambda record: (record["validation"], -record["validation_loss"]))
    assert probe.strength == best["strength"]
    held = fit_probe(x[splits[0][0]], y[splits[0][0]], 10, probe.strength).probabilities(x[splits[0][1]])
    assert best["validation"] == pytest.approx((held.argmax(axis=1) == y[splits[0][1]]).mean(), abs=0.04)
    assert (probe.probabilities(digits.flat[digits.test]).argmax(1) == digits.codes[digits.test]).mean() > 0.8


def test_few_penalties_lie_within_the_range_and_more_reach_its_ends() -> None:
    assert strengths(1e-4, 1.0, 1) == pytest.approx([1e-2])
    assert strengths(1e-4, 1.0, 2) == pytest.approx([1e-1, 1e-3])
    assert strengths(1e-4, 1.0, 3) == pytest.approx([1.0, 1e-2, 1e-4])


def test_fresh_views_judge_where_nothing_can_be_held_out(digits) -> None:
    x, y = digits.flat[digits.train][:100], digits.codes[digits.train][:100]
    shifted = (np.roll(x, 1, axis=1), y)
    _, records = linear_probe(x, y, 10, splits=[], trials=3, fresh=lambda: shifted)
    assert len(records) == 3
    assert all(record["validation"] < 1 for record in records)


def test_cross_entropy_floors_zero() -> None:
    p = np.array([[1.0, 0.0], [0.5, 0.5]], dtype=np.float32)
    assert cross_entropy(p, np.array([1, 0])) == pytest.approx((-np.log(1e-7) - np.log(0.5)) / 2)


def test_one_label_a_class_of_many_is_fitted_without_a_warning_of_another_library() -> None:
    rng = np.random.default_rng(0)
    x, codes = rng.normal(size=(30, 8)).astype(np.float32), np.arange(30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe = fit_probe(x, codes, 30, 0.1)
        with quiet_fit():
            LinearSVC(random_state=0).fit(x, codes)
    assert (probe.logits(x).argmax(axis=1) == codes).mean() > 0.9
