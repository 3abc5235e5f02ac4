from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from foretell.errors import InputError
from foretell.measures.knn import _top, knn, nearest


def slow_cosine(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    a = query / np.linalg.norm(query, axis=1, keepdims=True)
    b = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    return a.astype(np.float64) @ b.astype(np.float64).T


@pytest.mark.parametrize(("n", "k"), [(7, 7), (50, 3), (5_000, 20), (6_401, 5), (70_001, 10)])
def test_the_top_of_each_row_is_exact(n: int, k: int) -> None:
    similarity = torch.randn(9, n, generator=torch.Generator().manual_seed(n))
    value, column = _top(similarity, k)
    assert torch.equal(value.sort(dim=1).values, similarity.topk(k, dim=1).values.sort(dim=1).values)
    assert torch.equal(similarity.gather(1, column), value)
    assert all(len(set(row)) == k for row in column.tolist())


def test_ties_do_not_repeat_a_sample() -> None:
    value, column = _top(torch.zeros(3, 10_000), 25)
    assert value.eq(0).all()
    assert all(len(set(row)) == 25 for row in column.tolist())


@pytest.mark.parametrize("block_bytes", [1, 40_000, 1 << 28])
def test_nearest_equals_the_whole_matrix_at_any_block_size(digits, block_bytes: int) -> None:
    gallery, query = digits.flat[digits.spare], digits.flat[digits.test][:40]
    index, similarity = nearest(query, gallery, 10, block_bytes=block_bytes)
    slow = slow_cosine(query, gallery)
    assert np.allclose(similarity.numpy(), -np.sort(-slow, axis=1)[:, :10], atol=1e-6)
    assert np.allclose(np.take_along_axis(slow, index.numpy(), 1), similarity.numpy(), atol=1e-6)


def test_galleries_beyond_one_block_of_columns_are_merged() -> None:
    generator = torch.Generator().manual_seed(0)
    gallery, query = torch.randn(140_000, 4, generator=generator), torch.randn(3, 4, generator=generator)
    index, similarity = nearest(query, gallery, 8)
    slow = slow_cosine(query.numpy(), gallery.numpy())
    assert np.allclose(similarity.numpy(), -np.sort(-slow, axis=1)[:, :8], atol=1e-6)
    assert np.allclose(np.take_along_axis(slow, index.numpy(), 1), similarity.numpy(), atol=1e-6)


def test_a_query_does_not_find_itself(digits) -> None:
    x = torch.from_numpy(digits.flat[:200])
    index, _ = nearest(x, x, 5, exclude=torch.arange(200))
    assert not (index == torch.arange(200)[:, None]).any()
    with_itself, _ = nearest(x, x, 6)
    assert torch.equal(with_itself[:, 1:], index)


def test_too_many_neighbours_are_refused_in_words(digits) -> None:
    with pytest.raises(InputError, match="6 nearest neighbours asked of 5 samples"):
        nearest(digits.flat[:2], digits.flat[:5], 6)
    with pytest.raises(InputError, match="at least one labelled sample"):
        knn(digits.flat[:0], digits.codes[:0], digits.flat[:5])


def test_uniform_votes_are_those_of_scikit_learn(digits) -> None:
    x, y, asked = digits.flat[digits.spare], digits.codes[digits.spare], digits.flat[digits.test]
    peer = KNeighborsClassifier(7, metric="cosine").fit(x, y).predict_proba(asked)
    ours = knn(x, y, asked, k=7, weighting="uniform").numpy()
    assert np.mean(np.abs(ours - peer).max(axis=1) < 1e-5) > 0.99  # equal but for ties


def test_softmax_votes_follow_the_formula(digits) -> None:
    x, y, asked = digits.flat[digits.spare], digits.codes[digits.spare], digits.flat[digits.test][:25]
    slow = slow_cosine(asked, x)
    expected = np.zeros((25, 10))
    for row in range(25):
        for at in np.argsort(-slow[row])[:20]:
            expected[row, y[at]] += np.exp(slow[row, at] / 0.07)
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.allclose(knn(x, y, asked, k=20, classes=10).numpy(), expected, atol=1e-4)


def test_neighbours_tell_digits_apart(digits) -> None:
    votes = knn(digits.flat[digits.spare], digits.codes[digits.spare], digits.flat[digits.test])
    assert (votes.argmax(1).numpy() == digits.codes[digits.test]).mean() > 0.95
