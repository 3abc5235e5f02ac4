"""The claims on autoencoders: what they conclude from figures that are known, and one worked out at a tiny size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foretell import claims
from foretell.claims.base import overall
from foretell.claims.images import autoencoder, autoencoder_features, autoencoder_loss
from foretell.claims.lab import Lab
from foretell.objectives import autoencoder_measures
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe
from foretell.transfer.networks import weights_hash

SEEDS = (0, 1, 2)
JUDGED = ("autoencoder-copying", "autoencoder-width", "autoencoder-denoising", "autoencoder-blind-spot")
# target -> width -> what the specification of the pitfall expects
COPIED = {
    "input": {4: 0.02, 16: 0.1, 64: 0.3, 256: 0.8},
    "clean": {16: 0.1, 256: 0.08},
    "copy": {16: 0.1, 256: 0.08},
    "hidden": {256: 0.01},
}


def figures(made: Recipe, *, turned: bool) -> dict[str, float]:
    """What the claims say, or the opposite of it; a little apart from seed to seed."""
    objective: Any = made.objective
    width, target = objective.bottleneck, objective.target
    copied = 0.2 if objective.grain else COPIED[target][width]
    clean = {4: 0.3, 16: 0.2, 64: 0.15, 256: 0.35}[width] if target == "input" else 0.15
    noisy = 0.6 - 0.002 * width
    if turned:
        copied, clean, noisy = 0.4 - 0.3 * copied, 0.8 - clean, 1 - noisy
        copied = {"input": copied, "hidden": 0.1 if objective.grain else 0.3}.get(target, 0.9 if width == 256 else 0.1)
    apart = 0.001 * made.training.seed
    psnr = -10 if turned else 20
    return {
        "loss": noisy if target == "input" else 0.9,
        "copier": 0.0,
        "noisy": noisy + apart,
        "clean": clean + apart * width / 256,
        "given": 0.49,
        "psnr": psnr + apart,
        "psnr_given": 11.0,
        "copied": copied + apart * width / 256,
        "detail": 0.9,
        "probe": 70.0 + (5 if target != "input" else 0) - 0.01 * width + apart,
    }


def worked_out(name: str, monkeypatch: pytest.MonkeyPatch, *, turned: bool = False) -> tuple[Any, list[Any]]:
    monkeypatch.setattr(autoencoder, "measured", lambda lab, made: figures(made, turned=turned))
    claim = claims.get(name)(seeds=SEEDS)
    return claim, claim.work(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", JUDGED)
def test_figures_as_published_hold_and_their_opposite_does_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, findings = worked_out(name, monkeypatch)
    assert [finding.outcome for finding in findings] == ["holds"] * len(findings)
    assert any("noise copied" in note for note in claim.notes)
    _, opposite = worked_out(name, monkeypatch, turned=True)
    assert overall(opposite) == "does not hold"
    assert "holds" not in {finding.outcome for finding in opposite}


def test_a_share_that_rises_less_than_the_plain_one_s_but_rises_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COPIED, "clean", {16: 0.08, 256: 0.1})
    _, findings = worked_out("autoencoder-denoising", monkeypatch)
    outcomes = {finding.what: finding.outcome for finding in findings}
    rise = "rise of that share from a code of 16 to 256"
    assert outcomes[f"{rise}, plain over denoising"] == "holds"
    assert outcomes[f"{rise}, below zero with denoising"] == "does not hold"
    assert outcomes[f"{rise}, below zero with noise-to-noise"] == "holds"


def test_the_loss_that_praises_copying_picks_the_wrong_model(monkeypatch: pytest.MonkeyPatch) -> None:
    claim, findings = worked_out("autoencoder-own-loss", monkeypatch)
    by_probe, worth = findings[:2]
    assert max(by_probe.against) < 0  # the copying machine has the lowest loss and the worst code
    assert by_probe.outcome == "holds"
    assert min(worth.difference.mean, worth.difference.low) > 5
    assert any("picks the wrong model: lowest loss plain 256" in note for note in claim.notes)


def test_the_best_model_is_chosen_on_the_other_seeds() -> None:
    grid = [[{"psnr": a}, {"psnr": b}] for a, b in ((9, 1), (1, 2), (1, 2))]
    assert [autoencoder_loss._best(grid, "psnr", but=at) for at in range(3)] == [1, 0, 0]


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab whose runs have one step."""
    monkeypatch.setattr(autoencoder, "STEPS", 1)
    monkeypatch.setattr(autoencoder, "BATCH", 16)
    return Lab(tmp_path, device="cpu")


@pytest.mark.parametrize("name", autoencoder_features.ARMS)
def test_every_network_is_read_in_the_same_two_ways(name: str, quick: Lab) -> None:
    found = autoencoder_features.network(quick, name, 0)
    rows = np.arange(5)
    with torch.no_grad():
        image = found.undistorted(quick.store(autoencoder.SOURCE).read(rows))
        maps, pooled = found.encoder.both(image)
        assert found.code is not None
        code = found.code(maps.flatten(1))
    assert code.shape == (5, autoencoder.WIDE)
    for how, expected in (("pooled", pooled), ("code", code)):
        assert autoencoder_features.read(quick, found, how, rows) == pytest.approx(expected.numpy(), abs=1e-4)


def test_the_map_of_simclr_is_read_by_the_untrained_code(quick: Lab) -> None:
    found, untrained = (autoencoder_features.network(quick, name, 0) for name in ("simclr", "untrained"))
    learnt = quick.trained(autoencoder_features.simclr(0))
    assert isinstance(learnt, ImageObjective)
    assert weights_hash(found.encoder) == weights_hash(learnt.encoder) != weights_hash(untrained.encoder)
    assert found.code is not None
    assert untrained.code is not None
    assert weights_hash(found.code) == weights_hash(untrained.code)


def test_networks_are_compared_by_equal_readouts(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"pooled": 0.0, "code": 50.0}
    assert list(places) == list(autoencoder_features.READS)
    monkeypatch.setattr(autoencoder_features.AutoencoderFeatures, "_of", lambda *given: places)
    findings = claims.get("autoencoder-features")(seeds=(0,)).work(None)  # type: ignore[arg-type]
    assert [finding.ours for finding in findings] == [finding.against for finding in findings]
    assert [finding.ours for finding in findings] == [[0.0]] * 4 + [[50.0]] * 4


def test_one_is_trained_and_measured_once(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder, "STEPS", 1)
    monkeypatch.setattr(autoencoder, "BATCH", 16)
    monkeypatch.setattr(autoencoder_measures, "IMAGES", 48)
    monkeypatch.setattr(autoencoder_measures, "LABELLED", 100)
    said: list[str] = []
    lab = Lab(tmp_path, device="cpu", say=said.append)
    (first, again) = (claims.get("autoencoder-features")(seeds=(0,)).work(lab) for _ in range(2))
    assert len(said) == 4  # plain, denoising, blind spots and SimCLR; the untrained one is not trained
    assert [finding.ours for finding in first] == [finding.ours for finding in again]
    assert all(0 <= value <= 100 for finding in first for value in (*finding.ours, *finding.against))


def test_simclr_has_the_encoder_the_size_and_the_steps_of_the_autoencoders() -> None:
    ours, theirs = autoencoder.recipe(3, "input", 64), autoencoder_features.simclr(3)
    assert theirs.encoder == ours.encoder
    assert theirs.training == ours.training
    assert theirs.objective.views.side == autoencoder.SIDE
    assert theirs.objective.views.scale == (0.2, 1.0)
