"""The pictures and measures of the claims on patch localisation, and each claim worked out at a tiny size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from foretell import claims
from foretell.claims.images import patch_collapse, patch_layout, patch_localization, patch_pictures
from foretell.claims.images.patch_pictures import textures
from foretell.claims.lab import Lab
from foretell.train.config import TrainingConfig
from foretell.views.patches import pairs

NAMES = [name for name in claims.names() if name.startswith("patch-")]


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_pictures, "TRAIN", 24)
    monkeypatch.setattr(patch_pictures, "TEST", 12)


def test_textures_are_real_grey_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    store = textures(("grass", "gravel"), 0.0)
    assert store.usual_side == 96
    assert store.table.column("split").count("train") == 24
    assert store.table.column("label").count("grass") == 18
    pixels = store.read(np.arange(len(store))).pixels
    assert torch.equal(pixels[:, 0], pixels[:, 1])
    assert pixels.float().flatten(1).std(1).min() > 10
    assert textures(("grass", "gravel"), 0.0).fingerprint == store.fingerprint


def test_the_lens_moves_green_outwards_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the right and left edge the best shift of green on red is k times the distance from the centre, with its sign."""
    small(monkeypatch)
    plain, lens = textures(("gravel",), 0.0), textures(("gravel",), 0.04)
    before, after = (store.read(np.arange(len(store))).pixels.float() for store in (plain, lens))
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    red, green = after[:, 0], after[:, 1]

    def fit(at: int, shift: int) -> float:
        return float((green[:, 20:76, at + shift : at + shift + 8] - red[:, 20:76, at : at + 8]).square().mean())

    # 40 px from the centre green lies 1.6 px further out
    assert min(range(-4, 5), key=lambda shift: fit(84, shift)) in (1, 2)
    assert min(range(-4, 5), key=lambda shift: fit(4, shift)) in (-2, -1)
    assert min(range(-4, 5), key=lambda shift: fit(44, shift)) == 0


def test_accuracy_lets_directions_count_alike() -> None:
    _, labels, _ = pairs(2)
    constant = torch.nn.functional.one_hot(torch.full((5, 12), 4), 8).float()
    assert patch_localization.accuracy(constant, 2) == pytest.approx(12.5)
    right = torch.nn.functional.one_hot(labels, 8).float().expand(5, -1, -1)
    assert patch_localization.accuracy(right, 2) == pytest.approx(100)


def test_the_network_that_collapses_is_trained_by_plain_gradient_descent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[TrainingConfig] = []
    monkeypatch.setattr(patch_collapse, "fit", lambda objective, training: given.append(training))
    monkeypatch.setattr(patch_collapse, "BATCH", 4)
    claims.get("patch-collapse")(seeds=(0,)).work(Lab(tmp_path, device="cpu"))
    assert [(one.optimizer, one.momentum, one.weight_decay) for one in given] == [("sgd", 0.0, 0.0)] * 2


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_worked_out_from_beginning_to_end(
    name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its figures at two steps say nothing; that each finding has one a seed does."""
    small(monkeypatch)
    recipe, emoji = patch_localization.recipe, patch_localization.emoji
    quick = {"training.steps": 2, "training.batch": 8}
    monkeypatch.setattr(patch_localization, "recipe", lambda *a, **k: recipe(*a, **k).changed(quick))
    monkeypatch.setattr(patch_localization, "emoji", lambda *a, **k: emoji(*a, **k).changed(quick))
    monkeypatch.setattr(patch_layout, "PROBED", 60)
    monkeypatch.setattr(patch_collapse, "STEPS", 2)
    monkeypatch.setattr(patch_collapse, "BATCH", 4)
    folder: Path = tmp_path_factory.getbasetemp() / "patch-claims"
    claim = claims.get(name)(seeds=(0, 1))
    findings = claim.work(Lab(folder))
    assert findings
    for finding in findings:
        assert len(finding.ours) == len(finding.against) == 2
        assert all(np.isfinite([*finding.ours, *finding.against]))
        assert finding.outcome in ("holds", "does not hold", "undecided")
    assert claim.notes
