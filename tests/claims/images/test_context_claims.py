"""The context encoder's claims end to end at toy sizes, and what their own measures answer where the answer is known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from working import works_out

from foretell import claims
from foretell.claims.base import Finding, signed
from foretell.claims.images import context_encoder as shared
from foretell.claims.images import (
    context_features,
    context_layer,
    context_losses,
    context_masks,
    context_modes,
)
from foretell.claims.lab import Lab
from foretell.claims.reproduce import page
from foretell.counters import Rng, Rows
from foretell.objectives.context_encoder import ContextEncoder
from foretell.objectives.context_measures import pictures
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.views.masks import centre_mask

NAMES = [name for name in claims.names() if name.startswith("context-encoder-")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory):
    """A lab whose runs have two steps; what is trained in it is shared by the claims, as in a real one."""
    patch = pytest.MonkeyPatch()
    for module, name, value in (
        (shared, "TRAIN", 96),
        (shared, "TEST", 66),
        (shared, "BATCH", 16),
        (context_features, "PROBED", 200),
        (context_layer, "IMAGES", 1),
        (context_masks, "MASKS", 200),
        (context_masks, "IMAGES", 2),
    ):
        patch.setattr(module, name, value)
    recipe, features = shared.recipe, context_features.recipe
    patch.setattr(shared, "recipe", lambda *args, **more: recipe(*args, **more).changed({"training.steps": 2}))
    short = {"training.steps": 2, "training.batch": 16}
    patch.setattr(context_features, "recipe", lambda *args: features(*args).changed(short))
    yield Lab(tmp_path_factory.mktemp("lab"), device="cpu")
    patch.undo()


def test_ten_claims_are_named() -> None:
    assert len(NAMES) == 10


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_works_out(name: str, lab: Lab) -> None:
    works_out(name, lab, minutes=30)


def test_the_layer_and_the_masks_hold_without_training(lab: Lab) -> None:
    """These are facts of the code, not of what is learnt: they hold at any size."""
    for name in ("context-encoder-channelwise", "context-encoder-masks"):
        outcomes = {finding.what: finding.outcome for finding in claims.get(name)(seeds=(0, 1)).work(lab)}
        assert set(outcomes.values()) == {"holds"}, outcomes


def test_the_adversarial_loss_alone_is_trained_at_the_published_rates() -> None:
    """The filler's rate is ten times the discriminator's where 0 < reconstruction < 1, and else the same (2e-4)."""
    rates = {}
    for arm in ("joint", *context_losses.ALONE):
        made = shared.recipe(0, **shared.ARMS[arm])
        assert isinstance(made.objective, ContextEncoder.Config)
        rates[arm] = made.training.rate, made.training.rate * made.objective.discriminator_rate
    published, compared = context_losses.ALONE
    assert rates["joint"] == rates[compared] == pytest.approx((2e-3, 2e-4))
    assert rates[published] == pytest.approx((2e-4, 2e-4))


@pytest.mark.parametrize("name", ["context-encoder-error", "context-encoder-loss"])
def test_the_joint_loss_is_compared_with_the_adversarial_alone_at_both_rates(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {arm: float(at) for at, arm in enumerate(shared.ARMS)}
    monkeypatch.setattr(
        shared, "judged", lambda lab, seed, arm: dict.fromkeys(context_losses.FIGURES, place[arm] + 0.01 * seed)
    )
    findings = claims.get(name)(seeds=(0, 1)).work(None)  # type: ignore[arg-type]
    between = {frozenset((finding.ours[0], finding.against[0])) for finding in findings}
    assert between >= {frozenset((place["joint"], place[arm])) for arm in context_losses.ALONE}


@pytest.mark.parametrize(
    ("seams", "outcome"),
    [((0.91, 0.95), "does not hold"), ((0.95, 0.91), "holds"), ((1.05, 1.2), "holds"), ((0.8, 1.1), "does not hold")],
)
def test_a_lower_jump_is_not_taken_for_one_nearer_to_the_truth_s(
    seams: tuple[float, float], outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``seams`` with errors in the overlap weighing ten times as much, and once."""
    arms = dict(zip(("L2 alone", "L2 alone, border weight 1"), seams, strict=True))
    figures = dict.fromkeys(context_losses.FIGURES, 1.0)
    rise = dict(zip(arms, (0.001, 0.002), strict=True))  # from seed to seed, so that the difference has a spread
    monkeypatch.setattr(shared, "judged", lambda lab, seed, arm: {**figures, "seam": arms[arm] + rise[arm] * seed})
    claim = claims.get("context-encoder-seam")(seeds=(0, 1))
    nearer, lower = claim.work(None)  # type: ignore[arg-type]
    assert nearer.outcome == outcome
    assert (lower.outcome == "holds") == (seams[0] < seams[1])


def test_a_discriminator_that_is_always_right_leaves_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    accuracy = {"joint": 100.0, "conditioned": 94.0}
    figures = dict.fromkeys(context_losses.FIGURES, 1.0)
    monkeypatch.setattr(shared, "judged", lambda lab, seed, arm: figures)
    monkeypatch.setattr(shared, "told_while_training", lambda lab, seed, arm: accuracy[arm])
    claim = claims.get("context-encoder-conditioned")(seeds=(0, 1))
    first, *_ = findings = claim.work(None)  # type: ignore[arg-type]
    assert first.outcome == "undecided"
    assert "at its ceiling (100)" in claim.notes_on(findings)[0]
    accuracy["joint"] = 99.0
    assert claim.work(None)[0].outcome == "does not hold"  # type: ignore[arg-type]


def test_how_often_a_discriminator_was_right_is_the_mean_over_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(lab: Lab, made: Recipe) -> None:
        assert made.objective.conditioned  # type: ignore[union-attr]
        run = Run.create(lab.run_of(made))
        made.save(run.path / "recipe.toml")
        for step, value in enumerate((0.5, 0.75, 1.0), 1):
            run.log("step", step=step, **{"discriminator.accuracy": value})
        run.close()

    monkeypatch.setattr(shared, "trained", trained)
    assert shared.told_while_training(Lab(tmp_path), 0, "conditioned") == pytest.approx(75)


def test_the_plain_autoencoder_has_the_same_networks_and_rebuilds_the_whole_picture(lab: Lab) -> None:
    filling, plain = (
        lab.build(context_features.recipe(0, arm), context_features.ARMS[arm][1])
        for arm in ("random regions", "plain autoencoder")
    )
    assert isinstance(plain, ContextEncoder)
    for (name, ours), (same, theirs) in zip(filling.named_parameters(), plain.named_parameters(), strict=True):
        assert name == same
        assert torch.equal(ours, theirs)
    rows = Rows.of_rank(8)
    task = plain.hide(plain.draw("image", 0, 0, rows), Rng(0, 0, rows))
    assert torch.equal(task.visible["context"], task.hidden["clean"])
    with torch.no_grad():
        off = plain.foretell(task.visible["context"]) - task.hidden["clean"]
        loss = plain.loss(task, "generator")["total"]
    error = (2 * plain.filler.std * off).square().mean()
    assert float(loss) == pytest.approx(float(plain.config.reconstruction * error), rel=1e-5)


def test_fills_that_are_real_are_not_told_and_noise_is(lab: Lab) -> None:
    lab.add(shared.SOURCE, shared.textures)
    store = lab.store(shared.SOURCE)
    truth = pictures(store, np.arange(96), shared.SIDE)
    mask = centre_mask(shared.SIDE, 2).expand(96, -1, -1, -1)
    noise = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0))
    assert shared.told_apart(truth * (1 - mask) + noise * mask, truth, mask, 0) > 90
    assert 30 < shared.told_apart(truth, truth, mask, 0) < 70


def test_no_piece_of_gravel_tells_which_mode_it_holds() -> None:
    """Around the middle, each part has the same pieces as often with one mode as with the other."""
    store = context_modes.two_modes()
    modes = dict(zip(context_modes.MODES, context_modes.modes(), strict=True))
    assert (modes["grass"].astype(int) - modes["brick"]).std() > 20
    held: dict[tuple[object, bytes], Counter[object]] = {}
    columns = zip(store.table.column("label"), store.table.column("split"), strict=True)
    for row, (label, part) in enumerate(columns):
        piece = store.image(row)[..., 0].copy()
        assert (piece[8:24, 8:24] == modes[str(label)]).all()
        piece[8:24, 8:24] = 0
        held.setdefault((part, piece.tobytes()), Counter())[label] += 1
    assert {part for part, _ in held} == {"train", "test"}
    assert all(count["grass"] == count["brick"] for count in held.values())


def test_gravel_of_the_two_parts_shares_no_pixels() -> None:
    gravel = shared.photograph("gravel")
    rows = np.lib.stride_tricks.sliding_window_view(gravel, (8, shared.SIDE))  # above the middle
    left = {rows[y, x].tobytes(): x for y in range(rows.shape[0]) for x in range(rows.shape[1])}
    store = context_modes.two_modes()
    found: dict[object, list[int]] = {"train": [], "test": []}
    for row, part in enumerate(store.table.column("split")):
        found[part].append(left[store.image(row)[:8, :, 0].tobytes()])
    assert max(found["train"]) + shared.SIDE <= min(found["test"])


def test_pieces_of_the_two_parts_are_of_different_places() -> None:
    store = shared.textures()
    parts = np.array(store.table.column("split"), dtype=object)
    assert set(parts) == {"train", "test"}
    train = {content.tobytes() for content in store.hashes[parts == "train"]}
    assert not any(content.tobytes() in train for content in store.hashes[parts == "test"])


def test_units_are_shown(tmp_path: Path) -> None:
    assert signed(1.234, "points") == "+1.2"
    assert signed(-1.234, "dB") == "-1.23"
    finding = Finding("PSNR", "2.89 dB", [3.0, 3.2], [1.0, 1.1], "dB")
    record = {
        "statement": "s", "source": "x", "data": "d", "seeds": [0, 1], "outcome": "holds", "findings": [finding.record()],
        "notes": [], "seconds": 60.0, "machine": "m", "date": "d", "command": "c",
    }  # fmt: skip
    assert "| PSNR | 2.89 dB | +2.05 dB | " in page({NAMES[0]: record})
