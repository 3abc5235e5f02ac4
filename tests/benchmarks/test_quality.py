"""How benchmarks of quality are judged, and the random features beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks import colour_knn, text_tasks, word2vec
from foretell.data.store import ImageStore
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.measures.intervals import Interval
from foretell.views import ViewConfig


def test_vectors_are_worse_where_the_interval_of_the_difference_is() -> None:
    """Also where our best seed is above the peer's worst."""
    ours = [0.160, 0.161, 0.162, 0.163, 0.1675]
    assert word2vec.is_worse(word2vec.unpaired(ours, [0.167, 0.172, 0.172, 0.173, 0.174]), "analogies")
    assert not word2vec.is_worse(word2vec.unpaired(ours, [0.158, 0.166, 0.166, 0.173, 0.174]), "analogies")
    assert word2vec.is_worse(Interval(0.1, 0.05, 0.15, 3), word2vec.LOSS)
    assert not word2vec.is_worse(Interval(-0.1, -0.15, -0.05, 3), word2vec.LOSS)


def test_what_is_worse_on_average_is_named() -> None:
    spans, clear = Interval(-0.01, -0.02, 0.001, 3), Interval(-0.1, -0.15, -0.05, 3)
    assert word2vec.how({"analogies": spans, word2vec.LOSS: clear}).endswith("spans 0: analogies")
    assert word2vec.how({"analogies": clear, word2vec.LOSS: spans}) == ""


def test_a_verdict_by_the_mean_says_that_its_interval_spans_zero() -> None:
    assert colour_knn.how(Interval(3.4, -0.7, 7.5, 3)) == " on average; the interval spans 0"
    assert colour_knn.how(Interval(3.4, 0.7, 6.1, 3)) == ""


def test_random_features_have_batch_norm_measured_on_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def judged(encoder: torch.nn.Module, *_: object) -> float:
        seen.extend(m.running_mean for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d))
        return 50.0

    monkeypatch.setattr(colour_knn, "accuracy", judged)
    images = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    store = ImageStore.of(images, source="noise")
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 16)
    views = ViewConfig(side=16, mean=(0.5,) * 3, std=(0.2,) * 3)
    assert colour_knn.untrained(encoder, store, {"train": np.arange(64)}, views, 0) == 50
    assert seen
    assert all(float(mean.abs().max()) > 0 for mean in seen)


def test_from_scratch_at_chance_is_noted() -> None:
    def rows(*shares: float) -> list[dict[str, object]]:
        kept = enumerate(shares)
        return [
            {"arm": "scratch", "per_class": 5, "labels": 10, "seed": at, "accuracy": share, "steps": 120}
            for at, share in kept
        ]

    weak = {"metric": "accuracy", "rows": rows(0.5, 0.49, 0.52)}
    assert text_tasks.at_chance(weak, 0.5)["note"].startswith("from scratch is not above chance (50%) with 10 labels")
    assert text_tasks.at_chance(weak, None) == text_tasks.at_chance(weak, 0.25) == {}
    assert text_tasks.steps_taken(weak) == "120 with 10 labels"


def test_values_without_a_common_seed_are_compared_by_their_means() -> None:
    found = word2vec.unpaired([1.0, 2.0, 4.0], [5.0, 7.0, 8.0])
    assert found.mean == pytest.approx(-4.3333, abs=1e-4)
    half = 2.776445 * math.sqrt(2 * 7 / 9)  # both variances are 7/3 over three values: Student's t of 4 degrees
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=1e-4)
    assert found.verdict == "worse"
    assert math.isnan(word2vec.unpaired([1.0], [2.0]).low)
