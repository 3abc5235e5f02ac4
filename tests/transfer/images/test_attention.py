"""Attention over the images of a case: learnt where one image of many tells, and a plain mean where all tell alike."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.errors import InputError
from foretell.transfer.config import TransferConfig
from foretell.transfer.images import cases
from foretell.transfer.images.attention import fit_attention
from foretell.transfer.images.compare import compare
from foretell.transfer.images.frozen import probe_of
from foretell.transfer.images.labelled import Labelled
from foretell.transfer.measures.probe import fit_probe


def needles(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cases of six images of which one tells the class (features 0 and 1) and is marked (feature 2); the others are noise."""
    rng = np.random.default_rng(seed)
    codes = np.arange(count) % 2
    x = rng.normal(size=(count, 6, 5))
    at = rng.integers(0, 6, count)
    x[np.arange(count), at, 0] = 2.0 * codes - 1
    x[np.arange(count), at, 1] = 1.0 - 2.0 * codes
    x[:, :, 2] = 0.1 * rng.normal(size=(count, 6))
    x[np.arange(count), at, 2] += 1
    return x.reshape(-1, 5).astype(np.float32), np.repeat(codes, 6), np.repeat(np.arange(count), 6)


def accuracy(x: np.ndarray, y: np.ndarray, of: np.ndarray, p: np.ndarray, pooling: str) -> float:
    data = Labelled(None, np.arange(len(y)), y, ["a", "b"], cases=of)  # type: ignore[arg-type]
    pooled, truth, _ = cases.judged(data, p, pooling)
    assert pooled.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert cases.scores(data, p, pooling)["accuracy"] == np.mean(pooled.argmax(axis=1) == truth)
    return float(np.mean(pooled.argmax(axis=1) == truth))


def test_it_finds_the_image_that_tells() -> None:
    x, y, of = needles(120, 0)
    held_x, held_y, held_of = needles(200, 1)
    weights = np.ones(len(y), np.float32)
    head = fit_attention(x, y, of, 2, 1e-3, weights)
    plain = fit_probe(x, y, 2, 1e-3)
    with_attention = accuracy(held_x, held_y, held_of, head.probabilities(held_x), "attention")
    with_mean = accuracy(held_x, held_y, held_of, plain.probabilities(held_x), "mean")
    assert with_attention > 0.95
    assert with_attention > with_mean + 0.1
    assert head.attention[2] > 5 * np.abs(head.attention[[0, 1, 3, 4]]).max()


def test_views_of_the_training_images_are_judged_by_their_classes() -> None:
    x, y, of = needles(20, 0)
    data = Labelled(None, np.arange(len(y)), y, ["a", "b"], cases=of)  # type: ignore[arg-type]
    config = TransferConfig(unit="case", pooling="attention", strengths=(1e-2, 1e-1))
    fresh_x, fresh_y, _ = needles(30, 1)
    fresh_x[:, 2] += 50  # marked all over: as logarithms of weights far above every probability
    _, records = probe_of(data, x, [], config=config, trials=2, fresh=lambda: (fresh_x, fresh_y))
    for record in records:
        head = fit_attention(x, y, of, 2, record["strength"], np.ones(len(y), np.float32) / 6)
        classes = head.probabilities(fresh_x)[:, :2].argmax(axis=1)
        assert record["validation"] == pytest.approx(float((classes == fresh_y).mean()), abs=0.02)
        assert record["validation"] > 0.4


def test_images_without_weights_count_alike() -> None:
    _, y, of = needles(10, 0)
    p = np.random.default_rng(0).dirichlet(np.ones(2), len(y)).astype(np.float32)
    data = Labelled(None, np.arange(len(y)), y, ["a", "b"], cases=of)  # type: ignore[arg-type]
    assert cases.judged(data, p, "attention")[0] == pytest.approx(cases.judged(data, p, "mean")[0])
    alike = np.concatenate([p, np.full((len(p), 1), 3, np.float32)], axis=1)
    assert cases.judged(data, alike, "attention")[0] == pytest.approx(cases.judged(data, p, "mean")[0], abs=1e-6)


def test_it_is_for_frozen_encoders_and_cases_of_one_class() -> None:
    by_attention = TransferConfig(unit="case", pooling="attention")
    with pytest.raises(InputError, match="learnt on frozen features; compare --arms probe,random"):
        compare(None, None, train=[], test=[], views=None, training=by_attention)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="for cases of one class"):
        TransferConfig(pooling="attention")
    with pytest.raises(ValueError, match="for cases of one class"):
        TransferConfig(unit="case", pooling="attention", findings=["a"])
