"""What is special to the autoencoders: their targets, their measures and the range of their settings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from foretell.counters import Rng, Rows
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError
from foretell.objectives.autoencoder import Autoencoder, Decoder
from foretell.objectives.autoencoder_measures import (
    Figures,
    codes,
    detail,
    measure,
    noise_copy,
    picked,
    pixels,
    probe,
    table,
)
from foretell.objectives.base import Task
from foretell.recipe import Recipe
from foretell.train import fit
from foretell.train.config import TrainingConfig
from foretell.views import denormalise

ROWS = Rows.of_rank(16)


@pytest.fixture(scope="module")
def store() -> ImageStore:
    return open_images("@animals").subset(np.arange(0, 9600, 60))


def make(store: ImageStore, **settings: object) -> Autoencoder:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 16)
    return Autoencoder(Autoencoder.Config(**{"views": {"side": 16}, "width": 32, **settings}), encoder, store)


def task_of(objective: Autoencoder, step: int = 0) -> Task:
    return objective.hide(objective.draw("image", 0, 0, ROWS), Rng(0, step, ROWS))


def test_a_denoiser_gets_new_noise_at_each_step_and_the_clean_target(store: ImageStore) -> None:
    fixed = {"side": 16, "scale": (1, 1), "ratio": (1, 1), "flip": 0}
    objective = make(store, views=fixed)
    first, second = task_of(objective, 0), task_of(objective, 1)
    torch.testing.assert_close(first.hidden["target"], second.hidden["target"])
    noise = [task.visible["image"] - task.hidden["target"] for task in (first, second)]
    assert float(noise[0].std()) == pytest.approx(0.5, rel=0.05)
    assert abs(float((noise[0] * noise[1]).mean())) < 0.02


def test_the_noise_of_the_other_targets_belongs_to_the_image(store: ImageStore) -> None:
    fixed = {"side": 16, "scale": (1, 1), "ratio": (1, 1), "flip": 0}
    plain = make(store, target="input", views=fixed)
    first, second = task_of(plain, 0), task_of(plain, 1)
    assert torch.equal(first.visible["image"], second.visible["image"])
    assert torch.equal(first.visible["image"], first.hidden["target"])
    copies = task_of(make(store, target="copy", views=fixed))
    assert torch.equal(copies.visible["image"], first.visible["image"])
    clean = plain.undistorted(plain.draw("image", 0, 0, ROWS))
    noise = [copies.visible["image"] - clean, copies.hidden["target"] - clean]
    assert abs(float((noise[0] * noise[1]).mean())) < 0.02
    assert float(noise[1].std()) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("target", ["clean", "input", "copy", "hidden"])
def test_the_picture_of_what_it_sees_is_of_the_task(store: ImageStore, target: str) -> None:
    objective = make(store, target=target, blind=0.25)
    batch, rng = objective.draw("image", 0, 0, ROWS), Rng(0, 0, ROWS)
    task, shown = objective.hide(batch, rng), dict(objective.show(batch, rng).panels)
    mean, std = objective.views.mean, objective.views.std
    assert torch.equal(shown["what is seen"], denormalise(task.visible["image"], mean, std))
    foretold = denormalise(task.hidden["target"], mean, std)
    blind = task.hidden.get("blind", torch.ones_like(foretold, dtype=torch.bool))
    assert torch.equal(shown["to be foretold"][blind], foretold[blind])
    assert torch.equal(shown["what is seen"], shown["to be foretold"]) == (target == "input")


def test_blind_spots_are_out_of_sight_and_alone_count(store: ImageStore) -> None:
    objective = make(store, target="hidden", blind=0.25).eval()
    task = task_of(objective)
    blind = task.hidden["blind"]
    assert set(blind.sum((1, 2, 3)).tolist()) == {64}
    assert float(task.visible["image"][blind].abs().max()) == 0
    seen = ~blind
    assert torch.equal(task.visible["image"][seen], task.hidden["target"][seen])
    before = objective.loss(task, "all")["total"]
    elsewhere = Task(task.visible, {**task.hidden, "target": task.hidden["target"] + seen.float()})
    assert torch.equal(objective.loss(elsewhere, "all")["total"], before)
    squared = (objective.foretell(task.visible["image"]) - task.hidden["target"]).square()
    torch.testing.assert_close(before, squared[blind].mean())


def test_a_pixel_restored_at_a_blind_spot_does_not_depend_on_itself(store: ImageStore) -> None:
    """Its Jacobian's diagonal is zero: a change of one pixel's noise leaves what is foretold there as it was."""
    whole = {"side": 28}  # the images' own side, so that a pixel of the store is one of the view
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 28)
    config = Autoencoder.Config(views=whole, target="hidden", blind=0.25, noise=0.0, width=32)
    objective = Autoencoder(config, encoder, store).eval()
    batch = store.read(np.arange(4))
    pixels = batch.pixels.clone()
    pixels[:, :, 14, 14] = 255 - pixels[:, :, 14, 14]
    before, after = (objective.restore(replace(batch, pixels=p)).foretold for p in (batch.pixels, pixels))
    moved = (before - after).abs()
    assert float(moved[:, :, 14, 14].max()) == 0
    assert float(moved.max()) > 0


@pytest.mark.parametrize("side", [12, 16, 28, 96])
def test_the_decoder_draws_any_side(side: int) -> None:
    assert Decoder(10, 3, side, 32)(torch.randn(2, 10)).shape == (2, 3, side, side)


def test_the_code_has_the_width_that_was_set(store: ImageStore) -> None:
    image = torch.zeros(2, 1, 16, 16)
    assert make(store, bottleneck=7).encode(image).shape == (2, 7)
    assert make(store).encode(image).shape == (2, 128)


def test_noise_copy_of_what_is_known() -> None:
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 32, 1, 16, 16)
    taken = clean + noise
    assert noise_copy(taken, clean, taken) == pytest.approx(1, abs=1e-6)
    assert noise_copy(clean, clean, taken) == 0
    assert noise_copy(clean + 0.3 * noise, clean, taken) == pytest.approx(0.3, abs=1e-6)
    assert noise_copy(0.5 * taken, clean, taken) == pytest.approx(0.5, abs=0.02)  # the best linear denoiser's, not zero
    assert math.isnan(noise_copy(clean, clean, clean))


def test_detail_is_what_a_blur_takes_away() -> None:
    flat = torch.ones(1, 1, 8, 8)
    assert float(detail(flat).abs().max()) == 0
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert float(detail(ramp)[..., 1:-1].abs().max()) < 1e-6
    checks = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float().view(1, 1, 8, 8)
    assert float(detail(checks).square().mean()) > 0.15


class Copier(Autoencoder):
    """Hands its input on."""

    def foretell(self, image: torch.Tensor) -> torch.Tensor:
        return image


def test_measures_of_a_copying_machine(store: ImageStore) -> None:
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 16)
    copier = Copier(Autoencoder.Config(views={"side": 16}, target="input", noise=0.5, width=32), encoder, store)
    found = measure(copier, store, np.arange(100))
    assert (found.loss, found.copier, found.noisy) == (0, 0, 0)
    assert found.copied == pytest.approx(1, abs=1e-5)
    assert found.clean == pytest.approx(0.25, rel=0.05)
    assert found.psnr == pytest.approx(found.psnr_given, abs=1e-6)
    assert found.psnr == pytest.approx(-10 * math.log10(found.clean * copier.views.std[0] ** 2), abs=1e-3)
    assert found.detail > 1.1  # the noise's detail comes on top of the image's


@pytest.mark.parametrize("kind", ["masking", "salt-and-pepper"])
def test_noise_that_depends_on_the_image_is_not_said_to_be_copied(store: ImageStore, kind: str) -> None:
    found = measure(make(store, target="input", kind=kind, noise=0.3), store, np.arange(20))
    assert math.isnan(found.copied)
    assert not found.verdict.startswith("No noise")
    assert [row[5] for row in table({"foretold": found})[1:]] == ["–", "–"]


def test_the_verdict_compares_with_a_copying_machine() -> None:
    both = {"noisy": 0.2, "psnr": 20.0, "psnr_given": 15.0, "copied": 0.2, "detail": 0.9}
    plain = Figures(loss=0.2, copier=0.0, clean=0.1, given=0.25, **both)
    assert plain.verdict == (
        "What it makes of a noisy image is nearer to the clean one than the noisy image itself: error 0.100 against 0.250. Its own "
        "loss says the opposite, so that it picks the wrong model: 0.200 against 0.000 for handing the input on."
    )
    denoiser = Figures(loss=0.1, copier=0.25, clean=0.1, given=0.25, **both)
    assert " Its own loss says so too: 0.100 against 0.250 for handing the input on." in denoiser.verdict
    worse = Figures(loss=1.135, copier=0.251, clean=1.042, given=0.252, **both)
    assert worse.verdict.startswith(
        "What it makes of a noisy image is no nearer to the clean one than the noisy image itself: "
    )
    unknown = Figures(loss=0.1, copier=0.0, clean=0.1, given=0.0, **{**both, "copied": math.nan})
    assert unknown.verdict.startswith("No noise")
    assert len({len(row) for row in table({"plain": plain, "denoiser": denoiser}, {"plain": 0.5})}) == 1


def test_picking_by_the_pretext_loss() -> None:
    names = ["narrow", "middle", "wide"]
    wrong = picked([0.3, 0.2, 0.1], [0.6, 0.9, 0.5], names)
    assert (wrong["by_loss"], wrong["best"], wrong["right"]) == ("wide", "middle", False)
    assert wrong["rank"] == pytest.approx(-0.5)
    assert wrong["sentence"].startswith("its own loss picks the wrong model: lowest loss wide, best middle")
    assert picked([0.3, 0.2, 0.1], [0.5, 0.6, 0.9], names)["rank"] == pytest.approx(1)
    assert picked([0.3, 0.2, 0.1], [0.5, 0.5, 0.5], names)["rank"] == 0


def test_a_short_training_cleans_real_pictures(store: ImageStore) -> None:
    """From the noise alone it learns that a mean of neighbours is nearer to the image than the noisy pixel."""
    objective = make(store, noise=1.0, bottleneck=64, views={"side": 16, "scale": (1, 1), "ratio": (1, 1), "flip": 0})
    before = measure(objective, store, np.arange(160))
    fit(
        objective,
        TrainingConfig(batch=32, steps=60, optimizer="adamw", rate=3e-3, precision="float32", layout="contiguous"),
    )
    after = measure(objective, store, np.arange(160))
    assert after.clean < 0.8 * before.clean
    assert after.clean < after.given
    assert after.psnr > after.psnr_given
    assert 0 < after.copied < 0.5
    found = probe(lambda rows: codes(objective, store, rows), store, np.arange(160), np.arange(160))
    assert found is not None
    assert 0.5 < found <= 1  # on the images it was fitted to
    (exhibit,) = objective.findings(store, np.arange(20), 0)
    assert [caption for caption, _ in exhibit.panels] == ["noisy", "foretold", "clean"]
    assert exhibit.table[-1][0] == "the noisy picture"
    assert exhibit.caption.endswith("Measured on 20 images, all of them learnt from.")
    assert exhibit.headline.startswith("What it makes of a noisy image is ")


def test_the_code_is_probed_where_labels_and_other_images_exist(store: ImageStore) -> None:
    train, test = np.arange(0, 160, 2), np.arange(1, 160, 2)
    objective = make(store.subset(train))

    def told(of: ImageStore, rows: np.ndarray, row: int = 1) -> dict[str, str]:
        (exhibit,) = objective.findings(of, rows, 0)
        return dict(zip(exhibit.table[0], exhibit.table[row], strict=True))

    expected = probe(lambda rows: codes(objective, store, rows), store, train, test)
    assert told(store, test)["linear probe"] == f"{expected:.1%}"
    beside = probe(lambda rows: pixels(objective, store, rows), store, train, test)
    assert told(store, test, 2)["linear probe"] == f"{beside:.1%}"
    assert pixels(objective, store, test[:3]).shape == (3, 16 * 16)
    assert "linear probe" not in told(store.with_table(Table({}, len(store))), test)
    assert objective.findings(store, test, 0)[0].caption.endswith("Measured on 80 images, none of them learnt from.")
    assert objective.findings(store, np.arange(9), 0)[0].caption.endswith("9 images, 5 of them learnt from.")
    assert "linear probe" not in told(store, train)  # nothing else was learnt from


def test_its_own_noise_stays_with_an_image_in_whatever_part_and_order(store: ImageStore) -> None:
    """A held-out image never has the noise of one that was learnt from, whatever their rows are."""
    part, turned = store.subset(np.arange(40, 160)), store.subset(np.arange(159, -1, -1))
    objective = make(part, target="input", noise=1.0)

    def noise(of: ImageStore, rows: np.ndarray) -> torch.Tensor:
        batch = of.read(rows)
        return objective.taken(batch) - objective.undistorted(batch)

    learnt = noise(store, np.arange(40, 56))
    torch.testing.assert_close(noise(part, np.arange(16)), learnt, rtol=0, atol=1e-5)
    torch.testing.assert_close(noise(turned, 159 - np.arange(40, 56)), learnt, rtol=0, atol=1e-5)
    alike = learnt.flatten(1) @ noise(store, np.arange(16)).flatten(1).T / learnt[0].numel()
    assert float(alike.abs().max()) < 0.4


@pytest.mark.parametrize("random", [False, True])
def test_its_own_noise_stays_where_it_is_in_the_view(store: ImageStore, random: bool) -> None:
    views = {"side": 16} if random else {"side": 16, "scale": (1, 1), "ratio": (1, 1), "flip": 0}
    own, clean = (make(store, target="input", noise=noise, views=views) for noise in (0.5, 0.0))
    noise = [task_of(own, step).visible["image"] - task_of(clean, step).visible["image"] for step in (0, 1)]
    torch.testing.assert_close(noise[0], noise[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["noise=-0.1"], "objective.noise=-0.1: expected a number .*not"),
        (["noise=inf"], "objective.noise=inf: expected a number .*not"),
        (["kind=masking", "noise=1.2"], r"noise = 1.2 of kind masking is a share of pixels; expected at most 1"),
        (["kind=salt-and-pepper", "grain=2"], "grain = 2 is for Gaussian noise"),
        (["target=copy", "noise=0"], "noise = 0 with target copy"),
        (["blind=0"], "objective.blind=0: expected a number"),
        (["target=clear"], "did you mean 'clean'"),
    ],
)
def test_settings_out_of_range(sets: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Recipe.load(None, {"objective.name": "autoencoder"}, [f"objective.{one}" for one in sets])
