"""What is special to the masked autoencoder: what is seen, what is foretold, and at which sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foretell.counters import Rng, Rows, seed_of
from foretell.data.store import ImageStore, open_images
from foretell.encoders import build_encoder, resolve
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError
from foretell.objectives.base import Task
from foretell.objectives.masked_autoencoder import MaskedAutoencoder
from foretell.objectives.masked_measures import losses, sentence
from foretell.recipe import Recipe
from foretell.views import plain
from foretell.views.patchify import patchify

ROWS = Rows.of_rank(6)


@pytest.fixture(scope="module")
def emoji() -> ImageStore:
    return open_images("@emoji").subset(np.arange(24))


def make(store: ImageStore, side: int = 32, name: str = "vit_mini", patch: int | None = None, **settings: object):
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name=name, patch=patch), store.channels, side)
    return MaskedAutoencoder(MaskedAutoencoder.Config(views={"side": side}, **settings), encoder, store)


def task_of(objective: MaskedAutoencoder, step: int = 0) -> Task:
    return objective.hide(objective.draw("image", 0, step, ROWS), Rng(0, step, ROWS))


def test_three_quarters_are_hidden_each_patch_once(emoji: ImageStore) -> None:
    task = task_of(make(emoji))
    keep, drop = task.visible["keep"], task.hidden["drop"]
    assert (keep.shape, drop.shape) == ((6, 16), (6, 48))
    assert torch.equal(torch.cat([keep, drop], 1).sort(1).values, torch.arange(64).expand(6, -1))
    assert not torch.equal(keep[0], keep[1])


def test_what_is_hidden_is_not_seen(emoji: ImageStore) -> None:
    """Other pixels in the hidden patches change nothing of what is foretold; others in a visible patch do."""
    objective = make(emoji)
    task = task_of(objective)
    before = objective.foretell(task)
    for places, same in ((task.hidden["drop"], True), (task.visible["keep"][:, :1], False)):
        view = task.visible["image"].clone()
        for image, own in zip(view, places, strict=True):
            for place in own.tolist():
                top, left = 4 * (place // 8), 4 * (place % 8)
                image[:, top : top + 4, left : left + 4] += 1.0
        after = objective.foretell(Task({**task.visible, "image": view}, task.hidden))
        assert torch.equal(after, before) == same


def test_the_target_is_each_hidden_patch_normalised_by_itself(emoji: ImageStore) -> None:
    task = task_of(make(emoji))
    plain = task_of(make(emoji, normalise=False))
    patches = patchify(plain.visible["image"], 4)
    for row in range(6):
        for at, place in enumerate(plain.hidden["drop"][row].tolist()):
            assert torch.equal(plain.hidden["patches"][row, at], patches[row, place])
    target, raw = task.hidden["patches"], plain.hidden["patches"]
    torch.testing.assert_close(target.mean(2), torch.zeros(6, 48), atol=1e-4, rtol=0)
    textured = raw.std(2) > 0.1
    torch.testing.assert_close(target.std(2)[textured], torch.ones(int(textured.sum())), atol=1e-3, rtol=0)


def test_the_order_of_the_visible_patches_says_nothing(emoji: ImageStore) -> None:
    objective = make(emoji)
    task = task_of(objective)
    turned = Task({**task.visible, "keep": task.visible["keep"].flip(1)}, task.hidden)
    torch.testing.assert_close(objective.foretell(turned), objective.foretell(task), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "name", "patch", "grid"),
    [
        (28, "vit_mini", None, 7),
        (30, "vit_mini", None, 8),
        (96, "vit_mini", 16, 6),
        (48, "vit_tiny_patch16_224", 12, 4),
    ],
)
def test_any_side_and_patch_and_timm_names(emoji: ImageStore, side: int, name: str, patch: int, grid: int) -> None:
    objective = make(emoji, side, name, patch, decoder_depth=1, decoder_width=32)
    assert objective.grid == (grid, grid)
    task = task_of(objective)
    loss = objective.loss(task, "all")["total"]
    loss.backward()
    assert torch.isfinite(loss)
    missing = [name for name, p in objective.named_parameters() if p.grad is None]
    assert not missing
    panels = dict(objective.show(objective.draw("image", 0, 0, ROWS), Rng(0, 0, ROWS)).panels)
    assert list(panels) == ["visible", "image"], "before training it foretells nothing worth a look"
    assert all(panel.shape == (6, 3, side, side) for panel in panels.values())


def test_the_exhibit_shows_the_visible_patches_as_they_are(emoji: ImageStore) -> None:
    objective = make(emoji)
    task = task_of(objective)
    panels = dict(objective.panels(task, objective.evaluated(task)))
    parts = {caption: patchify(panel, 4) for caption, panel in panels.items()}
    for row in range(6):
        keep, drop = task.visible["keep"][row], task.hidden["drop"][row]
        for caption in ("visible", "foretold"):
            torch.testing.assert_close(parts[caption][row, keep], parts["image"][row, keep], atol=1e-6, rtol=0)
        hidden = parts["visible"][row, drop].view(48, 3, 16)
        assert float(hidden.std(2).max()) < 1e-6  # flat, the mean of the data


@pytest.mark.parametrize("normalise", [True, False])
def test_what_is_foretold_after_training_stands_beside_flat_patches(emoji: ImageStore, normalise: bool) -> None:
    objective = make(emoji.subset(np.arange(8)), normalise=normalise)
    (exhibit,) = objective.findings(emoji, np.arange(4, 24), 0)
    assert exhibit.name == "foretold"
    assert [caption for caption, _ in exhibit.panels] == ["visible", "foretold", "image"]
    assert all(pictures.shape == (8, 3, 32, 32) for _, pictures in exhibit.panels)
    assert "Measured on 20 images, 4 of them learnt from." in exhibit.caption
    assert exhibit.headline.startswith("The mean squared error in the hidden patches is ")
    assert ("flat, of its own mean" if normalise else "mean of the data") in exhibit.caption
    own, flat = losses(objective, emoji, np.arange(4, 24), 0)
    assert len(own) == len(flat) == 20
    rng = Rng(seed_of(0, "masked"), 0, Rows(0, 20, 20))
    task = objective.undistorted(emoji.read(np.arange(4, 24)), rng)
    objective.eval()
    with torch.no_grad():
        assert own.mean() == pytest.approx(float(objective.loss(task, "all")["total"]), rel=1e-5)
    assert flat.mean() == pytest.approx(float(task.hidden["patches"].square().mean()), rel=1e-5)
    assert exhibit.table[1][1].startswith(f"{own.mean():.3f} (")
    assert exhibit.table[2][1].startswith(f"{flat.mean():.3f} (")
    again = objective.findings(emoji, np.arange(4, 24), 0)[0]
    assert (again.caption, again.table) == (exhibit.caption, exhibit.table)


def test_a_loss_that_is_no_better_than_flat_patches_is_said_to_be() -> None:
    flat = np.linspace(0.9, 1.1, 20)
    assert sentence(flat - 0.3 + 0.01 * np.sin(np.arange(20)), flat, "flat").endswith(
        " lower by 0.300 (0.297 to 0.303)."
    )
    assert sentence(flat + 0.3, flat, "flat").endswith("higher by 0.300 (0.300 to 0.300), no better than those.")
    unsure = sentence(flat + np.where(np.arange(20) % 2, 0.5, -0.6), flat, "flat")
    assert unsure.endswith("no better than those.")
    assert sentence(flat[:1] - 0.1, flat[:1], "flat").endswith("0.800, against 0.900 for patches flat.")


def test_an_untrained_encoder_starts_as_published_and_a_trained_one_as_it_is(emoji: ImageStore) -> None:
    encoder = build_encoder(EncoderConfig(name="vit_mini"), 3, 32)
    places = encoder.net.pos_embed.detach().clone()
    config = MaskedAutoencoder.Config(views={"side": 32})
    encoder.untrained = False
    MaskedAutoencoder(config, encoder, emoji)
    assert torch.equal(encoder.net.pos_embed, places)
    encoder.untrained = True
    MaskedAutoencoder(config, encoder, emoji)
    assert not torch.equal(encoder.net.pos_embed, places)


@pytest.mark.parametrize("ratio", ["0", "1", "-0.1", "1.5"])
def test_a_ratio_out_of_range(ratio: str) -> None:
    with pytest.raises(InputError, match=r"objective.ratio=\S+: expected a number .*not"):
        Recipe.load(None, {"objective.name": "masked_autoencoder"}, [f"objective.ratio={ratio}"])


@pytest.mark.parametrize(("ratio", "what"), [(0.02, "no patch"), (0.99, "every patch")])
def test_a_ratio_that_leaves_nothing_at_this_size(emoji: ImageStore, ratio: float, what: str) -> None:
    with pytest.raises(InputError, match=f"ratio = {ratio:g} hides {what} of the 4"):
        make(emoji, 32, "vit_mini", 16, ratio=ratio)


@pytest.mark.parametrize(
    ("device", "side", "name"),
    [
        ("cpu", 32, "vit_mini"),
        ("cpu", 224, "vit_tiny_patch16_224"),
        ("cuda", 96, "vit_midi"),
        ("cuda", 224, "vit_base_patch16_224"),
    ],
)
def test_encoder_auto_is_a_transformer(device: str, side: int, name: str) -> None:
    settled = resolve(EncoderConfig(), side, device, transformer=MaskedAutoencoder.transformer)
    assert (settled.name, settled.stem) == (name, "standard")


def test_an_encoder_that_is_no_transformer(emoji: ImageStore) -> None:
    with pytest.raises(InputError, match=r"resnet_tiny.*cannot embed a part of the positions; choose a vision transf"):
        make(emoji, 32, "resnet_tiny")


def test_a_width_that_fits_no_head(emoji: ImageStore) -> None:
    with pytest.raises(InputError, match="decoder_width = 44 is not a multiple of 4 and of the 3 heads"):
        make(emoji, decoder_width=44, decoder_heads=3)


def test_undistorted_images_are_seen_as_the_views_are_resized(emoji: ImageStore) -> None:
    objective = make(emoji, side=24)
    batch = objective.draw("image", 0, 0, ROWS)
    views = objective.views
    objective.eval()
    with torch.no_grad():
        seen = plain(batch, 24, views.mean, views.std, interpolation="bicubic")
        assert torch.equal(objective.health(batch), objective.encoder.pooled(seen))
        other = objective.encoder.pooled(plain(batch, 24, views.mean, views.std))
        assert not torch.allclose(objective.health(batch), other, atol=1e-4)
