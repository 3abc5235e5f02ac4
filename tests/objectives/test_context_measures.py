"""The measures of fills, each against a slow, obvious version, and what a network is compared with."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from foretell.data.store import ImageStore, open_images
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.objectives.context_encoder import ContextEncoder
from foretell.objectives.context_measures import (
    absolute_error,
    exhibit,
    figures,
    fill_with,
    filled_by_all,
    gradient_energy,
    holes,
    measure,
    nearest_fill,
    pictures,
    psnr,
    seam,
    squared_error,
)
from foretell.views import plain


@pytest.fixture(scope="module")
def store() -> ImageStore:
    return open_images("@emoji").subset(np.arange(0, 1800, 25))


@pytest.fixture(scope="module")
def objective(store: ImageStore) -> ContextEncoder:
    torch.manual_seed(0)
    views = ContextEncoder.Config().views.model_copy(update={"side": 32})
    config = ContextEncoder.Config(views=views, width=8, discriminator_width=8)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 3, 32)
    return ContextEncoder(config, encoder, store.subset(np.arange(40)))


@pytest.fixture(scope="module")
def filled(store: ImageStore, objective: ContextEncoder) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(filled, truth, mask) of twelve real pictures."""
    truth = pictures(store, np.arange(40, 52), 32)
    mask = holes(objective, 12, 0)
    return truth * (1 - mask) + 0.8 * truth.roll(1, 0) * mask, truth, mask


def test_errors_against_a_slow_version(filled) -> None:
    picture, truth, mask = filled
    for sample in range(len(truth)):
        inside = mask[sample, 0] == 1
        difference = (picture - truth)[sample, :, inside].numpy().astype(np.float64)
        assert float(absolute_error(picture, truth, mask)[sample]) == pytest.approx(np.abs(difference).mean(), rel=1e-4)
        mse = (difference**2).mean()
        assert float(squared_error(picture, truth, mask)[sample]) == pytest.approx(mse, rel=1e-4)
        assert float(psnr(picture, truth, mask)[sample]) == pytest.approx(
            10 * math.log10(1 / max(mse, 1 / 255**2)), rel=1e-4
        )
    torch.testing.assert_close(psnr(truth, truth, mask), torch.full((len(truth),), 20 * math.log10(255)))


def test_gradient_energy_and_seam_against_a_slow_version(filled) -> None:
    picture, _, mask = filled
    image, hole = picture[3].numpy().astype(np.float64), mask[3, 0].numpy() == 1
    inner, edge = [], []
    for y in range(32):
        for x in range(32):
            for v, u in ((y + 1, x), (y, x + 1)):
                if v < 32 and u < 32:
                    change = image[:, v, u] - image[:, y, x]
                    if hole[y, x] and hole[v, u]:
                        inner += list(change**2)
                    elif hole[y, x] != hole[v, u]:
                        edge += list(np.abs(change))
    assert float(gradient_energy(picture, mask)[3]) == pytest.approx(np.mean(inner), rel=1e-4)
    assert float(seam(picture, mask)[3]) == pytest.approx(np.mean(edge), rel=1e-4)


def test_the_figures_of_the_truth_and_of_a_smooth_fill(filled) -> None:
    _, truth, mask = filled
    own = figures(truth, truth, mask)
    assert own["gradient"] == pytest.approx(1)
    assert own["seam"] == pytest.approx(1)
    assert own["l1"] == own["l2"] == 0
    flat = figures(truth * (1 - mask) + 0.5 * mask, truth, mask)
    assert flat["gradient"] == pytest.approx(0, abs=1e-6)
    assert flat["seam"] > 1


def test_the_nearest_neighbour_is_the_one_with_the_nearest_surroundings(filled) -> None:
    _, truth, mask = filled
    candidates = truth.roll(5, 0)
    allowed = torch.ones(len(truth), len(truth), dtype=torch.bool)
    for sample in range(0, len(truth), 3):
        allowed[sample, (sample + 5) % len(truth)] = False  # not the picture itself
    copied = nearest_fill(truth, mask, candidates, allowed)
    for sample in range(len(truth)):
        distance = ((1 - mask[sample]) * (truth[sample] - candidates)).square().sum((1, 2, 3))
        distance[~allowed[sample]] = math.inf
        expected = torch.where(mask[sample] == 1, candidates[distance.argmin()], truth[sample])
        assert torch.equal(copied[sample], expected), sample
        assert torch.equal(copied[sample], truth[sample]) or sample % 3 == 0


def test_a_fill_changes_the_hole_alone_and_depends_on_what_is_around(objective: ContextEncoder, filled) -> None:
    _, truth, mask = filled
    objective.train()
    state = {name: value.clone() for name, value in objective.state_dict().items()}
    one = fill_with(objective, truth, mask)
    assert objective.training
    assert all(torch.equal(value, state[name]) for name, value in objective.state_dict().items())
    outside = (mask == 0).expand_as(truth)
    assert torch.equal(one[outside], truth[outside])
    assert one.min() >= 0
    assert one.max() <= 1
    changed = torch.where(mask == 1, torch.rand_like(truth), truth)
    assert torch.equal(fill_with(objective, changed, mask)[~outside], one[~outside])
    assert not torch.equal(fill_with(objective, truth, mask, truth.roll(1, 0))[~outside], one[~outside])


def test_images_that_were_learnt_from_are_told(store: ImageStore, objective: ContextEncoder) -> None:
    fresh = exhibit(objective, store, np.arange(40, 60), 0)
    learnt = exhibit(objective, store, np.arange(30, 50), 0)
    assert "20 images, none of them learnt from" in fresh.caption
    assert re.search(
        r"the PSNR is [\d.]+ dB, against [\d.]+ dB of the mean colour.* of the nearest image, copied", fresh.headline
    )
    assert "20 images, 10 of them learnt from" in learnt.caption
    shown = dict(learnt.panels)["image"]
    ends = pictures(store, np.array([30, 49]), objective.side)
    assert torch.equal(shown[[0, -1]], ends), "rows lie in the order of classes: the first alone would be of one"
    assert len(fresh.table) == 5
    assert {len(row) for row in fresh.table} == {6}
    # an image is never its own neighbour
    truth, _, by_arm, _ = filled_by_all(objective, store, np.arange(40), 0)
    assert not any(torch.equal(a, b) for a, b in zip(by_arm["neighbour"], truth, strict=True))


def test_margins_are_means_over_images(filled) -> None:
    picture, truth, mask = filled
    found = measure(truth, mask, {"a": picture, "b": truth * (1 - mask)})
    ahead = psnr(picture, truth, mask) - psnr(truth * (1 - mask), truth, mask)
    assert found["margin"]["b"]["psnr"] == pytest.approx(float(ahead.mean()), abs=1e-5)
    assert found["margin"]["b"]["low"] < found["margin"]["b"]["psnr"] < found["margin"]["b"]["high"]
    assert found["images"] == 12


def test_margins_of_few_images_have_students_interval(filled) -> None:
    picture, truth, mask = (part[:3] for part in filled)
    other = truth * (1 - mask)
    (margin,) = measure(truth, mask, {"a": picture, "b": other})["margin"].values()
    ahead = (psnr(picture, truth, mask) - psnr(other, truth, mask)).double().numpy()
    half = 4.302653 * ahead.std(ddof=1) / np.sqrt(3)  # Student's t with 2 degrees of freedom
    assert [margin["low"], margin["high"]] == pytest.approx([ahead.mean() - half, ahead.mean() + half], rel=1e-5)


def test_holes_are_filled_in_pictures_that_are_resized_as_the_views_are(store: ImageStore) -> None:
    views = ContextEncoder.Config().views.model_copy(update={"side": 24, "interpolation": "bicubic"})
    config = ContextEncoder.Config(views=views, width=8, discriminator_width=8)
    made = ContextEncoder(config, build_encoder(EncoderConfig(name="resnet_tiny"), 3, 24), store.subset(np.arange(8)))
    truth, *_ = filled_by_all(made, store, np.arange(8, 12), 0)
    expected = plain(store.read(np.arange(8, 12)), 24, interpolation="bicubic")
    assert torch.equal(truth, expected)
    assert not torch.allclose(truth, plain(store.read(np.arange(8, 12)), 24), atol=1e-3)
