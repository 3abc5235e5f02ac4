from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from foretell.errors import InputError
from foretell.measures.retrieval import mean_average_precision, recall_at_k
from foretell.transfer.images.evaluate import retrieval, retrievals
from foretell.transfer.images.labelled import Labelled


def cosine(x: np.ndarray) -> np.ndarray:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit.astype(np.float64) @ unit.astype(np.float64).T


@pytest.mark.parametrize("apart", [None, np.arange(150) // 2 % 40])
def test_recall_and_precision_equal_a_slow_version(digits, apart) -> None:
    x, identity = digits.flat[:150], digits.codes[:150].copy()
    identity[:5] = -1
    identity[5] = 77  # occurs once: cannot be found
    similarity = cosine(x)
    precisions, hits = [], {1: [], 5: []}
    for query in range(6, 150):
        others = np.delete(np.arange(150), query) if apart is None else np.flatnonzero(apart != apart[query])
        same = identity[others] == identity[query]
        precisions.append(average_precision_score(same, similarity[query, others]))
        order = others[np.argsort(-similarity[query, others])]
        for k, found in hits.items():
            found.append((identity[order[:k]] == identity[query]).any())
    for block_bytes in (1 << 20, 1):
        found = mean_average_precision(x, identity, apart=apart, block_bytes=block_bytes)
        assert found == pytest.approx(np.mean(precisions), abs=1e-6)
    found = recall_at_k(x, identity, (1, 5), apart=apart)
    assert found == {1: pytest.approx(np.mean(hits[1])), 5: pytest.approx(np.mean(hits[5]))}


def expected_recall(similarity: np.ndarray, same: np.ndarray, k: int) -> float:
    """The mean over orders of equal similarities, from the groups of them that a ranking is made of."""
    seen = 0
    for level in np.unique(similarity)[::-1]:
        among = same[similarity == level]
        if seen + len(among) >= k:
            return 1 - math.comb(len(among) - int(among.sum()), k - seen) / math.comb(len(among), k - seen)
        if among.any():
            return 1.0
        seen += len(among)
    return 0.0


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("distinct", [1, 3, 30])
def test_equal_similarities_have_no_order(distinct: int, grouped: bool) -> None:
    """Features of few distinct values, rows sorted by class and in any order, against scikit-learn and written out."""
    rng = np.random.default_rng(distinct)
    x = rng.normal(size=(distinct, 8)).astype(np.float32)[rng.integers(0, distinct, 120)]
    identity, apart = np.repeat(np.arange(4), 30), np.arange(120) // 2 if grouped else None
    similarity = cosine(x).round(9)
    precisions, recalls = [], {1: [], 5: [], 10: []}
    for query in range(120):
        others = np.delete(np.arange(120), query) if apart is None else np.flatnonzero(apart != apart[query])
        same = identity[others] == identity[query]
        precisions.append(average_precision_score(same, similarity[query, others]))
        for k, found in recalls.items():
            found.append(expected_recall(similarity[query, others], same, k))
    shuffled = rng.permutation(120)
    for rows in (np.arange(120), shuffled):
        own = None if apart is None else apart[rows]
        assert mean_average_precision(x[rows], identity[rows], apart=own) == pytest.approx(
            np.mean(precisions), abs=1e-9
        )
        found = recall_at_k(x[rows], identity[rows], (1, 5, 10), apart=own, block_bytes=1 << 15)
        assert found == {k: pytest.approx(np.mean(each), abs=1e-9) for k, each in recalls.items()}


def test_an_identity_must_occur_twice(digits) -> None:
    with pytest.raises(InputError, match="every identity here occurs once"):
        recall_at_k(digits.flat[:5], np.arange(5))
    with pytest.raises(InputError, match="every identity here occurs once"):
        mean_average_precision(digits.flat[:5], np.arange(5))
    assert retrieval(digits.flat[:5], np.arange(5)) is None
    one_group_each = np.arange(6) // 2
    with pytest.raises(InputError, match="every identity here occurs in one"):
        recall_at_k(digits.flat[:6], one_group_each, apart=one_group_each)
    assert retrieval(digits.flat[:6], one_group_each, one_group_each) is None


def test_the_class_of_an_image_is_not_found_in_its_own_group(digits) -> None:
    rows, groups = np.arange(12), np.repeat(np.arange(6), 2)
    classes = np.repeat([0, 1, 0, 1, 0, 1], 2)
    twins = np.repeat(digits.flat[:6], 2, axis=0)  # the two images of a group are alike
    found = retrievals(twins, Labelled(digits.store, rows, classes, ["a", "b"], groups=groups))
    assert found["group"]["recall"]["1"] == 1.0
    assert found["class"] == retrieval(twins, classes, groups)
    assert found["class"]["recall"]["1"] < 1.0
    alone = retrievals(twins, Labelled(digits.store, rows, classes, ["a", "b"]))
    assert alone["group"] is None
    assert alone["class"]["recall"]["1"] == 1.0
    assert alone["class"]["apart"] is False


def test_few_samples_and_many_neighbours(digits) -> None:
    assert recall_at_k(digits.flat[:3], np.zeros(3, dtype=np.int64), (1, 10)) == {1: 1.0, 10: 1.0}


def test_retrieval_samples_at_most(digits) -> None:
    found = retrieval(digits.flat[:400], digits.codes[:400], most=100)
    assert found is not None
    assert found["samples"] == 100
    assert found["recall"]["10"] > found["recall"]["1"] > 0.8


def test_fewer_are_left_than_are_asked_for(digits) -> None:
    identity, apart = np.zeros(4, dtype=np.int64), np.array([0, 0, 0, 1])
    assert recall_at_k(digits.flat[:4], identity, (1, 10), apart=apart) == {1: 1.0, 10: 1.0}
    assert mean_average_precision(digits.flat[:4], identity, apart=apart) == 1.0
