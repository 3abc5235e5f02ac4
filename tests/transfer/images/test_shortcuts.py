"""The shortcut probe: what leaks is found and named, what does not is not, and each switch closes its own cue."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from aberrated_store import aberrated
from sklearn.datasets import load_sample_images

from foretell.counters import Rng, Rows
from foretell.data.images import Images
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError
from foretell.objectives import get
from foretell.objectives.image import ImageObjective
from foretell.objectives.patch_localization import PatchLocalization
from foretell.objectives.simclr import SimCLR
from foretell.transfer.images import shortcuts
from foretell.transfer.images.place_leak import SWITCHES, Score, Shortcuts
from foretell.transfer.images.position_probe import Looks, _best, foretell_places, score
from foretell.transfer.images.shortcuts import closed_by, probe_images, probe_objective
from foretell.views.patches import draw_patches, projection

QUICK = {"patch": 16, "per_image": 24, "visits": 8_000, "seeds": (0, 1, 2)}


def cuts(count: int, side: int = 64) -> np.ndarray:
    """Squares from random places of two photographs: what is in them does not depend on the place within them."""
    rng = np.random.default_rng(0)
    photos = load_sample_images().images
    found = []
    for number in range(count):
        photo = photos[number % 2]
        top, left = rng.integers(0, photo.shape[0] - side), rng.integers(0, photo.shape[1] - side)
        found.append(photo[top : top + side, left : left + side])
    return np.stack(found)


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return cuts(96)


def test_places_do_not_show_in_random_cuts(plain: np.ndarray) -> None:
    found = probe_images(ImageStore.of(plain), **QUICK)
    assert not found.leaks
    assert found.open.gain.mean < 0.03
    assert not found.closed  # nothing to close
    assert "does not show" in found.verdict
    assert found.record()["leaks"] is False


def test_vignetting_is_found_named_and_closed(plain: np.ndarray) -> None:
    ramp = np.linspace(0.25, 1, plain.shape[1])
    store = ImageStore.of(np.rint(plain * ramp[None, :, None, None]).astype(np.uint8))
    found = probe_images(store, **QUICK, switches=("projection", "contrast", "border"))
    assert found.leaks
    assert found.open.gain.low > 0.05
    assert found.cues == ["brightness or vignetting"]
    assert found.effect("contrast").low > 0.02
    assert found.judged("contrast") != "no difference"
    assert found.closed["contrast"].gain.mean < 0.6 * found.open.gain.mean
    assert "lens aberration" not in found.cues
    assert "contrast normalisation" in found.verdict or "no single switch" in found.verdict
    assert set(found.record()["closed"]) == {"projection", "contrast", "border"}


def test_a_brightness_ramp_is_not_taken_for_a_frame() -> None:
    """Off the border places lie closer together, and any weak cue tells less of them: that is no frame."""
    ramp = np.linspace(-30, 30, 96)[None, :, None, None]
    store = ImageStore.of(np.rint(cuts(80, 96) + ramp).clip(0, 255).astype(np.uint8))
    found = probe_images(store, **{**QUICK, "patch": 24}, switches=("contrast", "border"))
    assert found.leaks
    assert "a frame or padding at the border" not in found.cues
    assert found.judged("border") != "closes it"


@pytest.mark.parametrize("gain", [-0.02, 0.0, 0.05, 0.4, 0.8])
def test_a_shorter_range_of_places_alone_is_no_effect(gain: float) -> None:
    """A cue with noise of its own, foretold in least squares: what is left of the gain over two thirds of the range."""
    noise = 1 / ((1 - gain) ** -2 - 1) if gain else np.inf  # variance, that of the places over all the range being 1
    part = (2 / 3) ** 2
    left = 1 - (1 / (1 + part / noise)) ** 0.5
    whole = Score([0.3 * (1 - gain)] * 3, [0.3] * 3, [0.3] * 3, [0.3] * 3)
    shorter = Score([0.2 * (1 - left)] * 3, [0.2] * 3, [0.2] * 3, [0.2] * 3)
    found = Shortcuts("patches", 50, 16, whole, {"border": shorter, "contrast": whole})
    assert found.effect("border").mean == pytest.approx(0, abs=1e-9)
    assert found.effect("contrast").mean == pytest.approx(0, abs=1e-9)


def test_lens_aberration_is_found_named_and_closed_by_either_switch() -> None:
    store = aberrated(ImageStore.of(cuts(160, 96)), 0.06)
    more = {"patch": 24, "per_image": 32, "visits": 12_000}
    found = probe_images(store, **{**QUICK, **more}, switches=("projection", "dropping"))
    assert found.leaks
    assert found.cues == ["lens aberration"]
    assert found.judged("projection") == found.judged("dropping") == "closes it"
    assert "colour projection or colour dropping closes it" in found.verdict


def test_a_frame_is_closed_by_keeping_off_the_border(plain: np.ndarray) -> None:
    framed = plain.copy()
    for edge in (np.s_[:, :3], np.s_[:, -3:], np.s_[:, :, :3], np.s_[:, :, -3:]):
        framed[edge] = 255
    found = probe_images(ImageStore.of(framed), **QUICK, switches=("border",))
    assert found.leaks
    assert found.judged("border") == "closes it"
    assert "a frame or padding at the border" in found.cues


def test_each_switch_does_what_it_says_and_nothing_else() -> None:
    pixels = torch.randint(0, 256, (6, 3, 12, 12), dtype=torch.uint8)
    patches = Images(pixels, torch.full((6, 2), 12), torch.arange(6), torch.arange(6))
    seen = patches.float()
    projected = closed_by(patches, SWITCHES["projection"], 0)
    expected = torch.einsum("nchw,cd->ndhw", seen, projection())
    torch.testing.assert_close(projected, expected, rtol=0, atol=1e-5)
    normed = closed_by(patches, SWITCHES["contrast"], 0)
    torch.testing.assert_close(normed.square().mean((1, 2, 3)), torch.ones(6), rtol=0, atol=1e-3)
    torch.testing.assert_close(normed.mean((2, 3)), torch.zeros(6, 3), rtol=0, atol=1e-4)
    coarse = closed_by(patches, SWITCHES["resample"], 0)
    torch.testing.assert_close(coarse.mean((2, 3)), seen.mean((2, 3)), rtol=0, atol=0.03)  # the level stays
    assert (coarse.flatten(1).std(1) < seen.flatten(1).std(1)).all()
    dropped = closed_by(patches, SWITCHES["dropping"], 0)
    for own, was in zip(dropped, seen, strict=True):
        kept = [channel for channel in range(3) if torch.allclose(own[channel], was[channel], atol=1e-5)]
        assert len(kept) == 1
        for channel in {0, 1, 2} - set(kept):
            assert float(own[channel].abs().max()) < 0.06  # noise of a hundredth


def test_a_network_that_can_learn_nothing_does_as_well_as_the_constant() -> None:
    torch.manual_seed(0)
    looks = Looks(torch.randn(1200, 1, 12, 12), torch.rand(1200, 2), torch.arange(1200) // 20)
    found = score(looks, looks.image, (0, 1, 2), visits=6000)
    assert abs(found.gain.mean) < 0.02
    assert not found.leaks
    # the best tenth, chosen on one half and measured on the other, is no better either
    assert np.mean(found.best) == pytest.approx(np.mean(found.best_constant), rel=0.1)


def test_a_place_that_is_written_in_the_patch_is_read() -> None:
    torch.manual_seed(0)
    place = torch.rand(1200, 2)
    seen = torch.randn(1200, 2, 12, 12) * 0.1 + place[:, :, None, None]
    looks = Looks(seen, place, torch.arange(1200) // 20)
    told = foretell_places(looks.part(torch.arange(800)), looks.part(torch.arange(800, 1200)), 0, visits=9000)
    assert float((told - place[800:]).square().sum(1).mean().sqrt()) < 0.15


def test_the_best_tenth_is_chosen_and_measured_apart() -> None:
    """Errors that are good on the even patches alone earn an image its choice, and are not what is measured."""
    image = torch.arange(20).repeat_interleave(10)
    errors = torch.ones(200, 2)
    errors[(image == 3) & (torch.arange(200) % 2 == 0)] = 0.0
    own, constant = _best(errors, torch.ones(200, 2), image)
    assert constant == pytest.approx(2**0.5)
    assert own > 1.0


def test_the_verdict_in_words() -> None:
    def made(rmse: list[float]) -> Score:
        return Score(rmse, [0.4] * 3, rmse, [0.4] * 3)

    leaks = made([0.300, 0.302, 0.304])
    closed = {"projection": made([0.399, 0.400, 0.402]), "contrast": made([0.300, 0.303, 0.303]), "all": leaks}
    found = Shortcuts("patches of 16 px", 50, 16, leaks, closed)
    assert found.cues == ["lens aberration"]
    assert found.judged("projection") == "closes it"
    assert found.judged("contrast") == "no difference"
    assert "It shows through lens aberration; colour projection closes it." in found.verdict
    assert "With everything closed 24.5% remain: the layout of the pictures" in found.verdict
    trifle = Shortcuts("patches of 16 px", 50, 16, made([0.3976, 0.3977, 0.3978]))
    assert not trifle.leaks
    assert (
        "hardly shows: a network foretells it 0.6% better than a constant (0.5% to 0.6%), under the 1% that counts"
        in trifle.verdict
    )
    nothing = Shortcuts("patches of 16 px", 50, 16, made([0.401, 0.3977, 0.399]))
    assert "does not show: a network foretells it no better than a constant" in nothing.verdict
    layout = Shortcuts("patches of 16 px", 50, 16, leaks, {"contrast": leaks})
    assert "No single switch takes away much" in layout.verdict


def test_groups_are_never_on_both_sides() -> None:
    """Ten copies of each of a few noise images, as groups: learnt by heart, they would give their places away."""
    torch.manual_seed(0)
    base, place = torch.randn(60, 1, 12, 12), torch.rand(60, 2)
    looks = Looks(base.repeat_interleave(10, 0), place.repeat_interleave(10, 0), torch.arange(600))
    apart = score(looks, torch.arange(60).repeat_interleave(10), (0, 1), visits=6000)
    mixed = score(looks, looks.image, (0, 1), visits=6000)
    assert min(mixed.gains) > 0.3
    assert max(apart.gains) < 0.1


def test_too_few_and_too_small_images_are_said(plain: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"8 images are at least 48 px a side.* needs 24"):
        probe_images(ImageStore.of(plain[:8]), patch=16)
    with pytest.raises(InputError, match=r"0 images are at least 96 px"):
        probe_images(ImageStore.of(plain), patch=32)


# views of an objective ------------------------------------------------------------------------------------------------


def simclr(store: ImageStore, **views: object) -> SimCLR:
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 24)
    return SimCLR(SimCLR.Config(views={"side": 24, **views}), encoder, store)


def test_the_places_of_views_are_those_of_their_boxes(plain: np.ndarray) -> None:
    """A picture whose colours are its coordinates: the mean colour of an undistorted view is the place of its centre."""
    ramp = np.linspace(0, 255, 64).round().astype(np.uint8)
    picture = np.stack([np.repeat(ramp[:, None], 64, 1), np.repeat(ramp[None], 64, 0), np.zeros((64, 64), np.uint8)], 2)
    task = simclr(ImageStore.of([picture] * 8), jitter=0, grey=0, blur=0, mean=(0, 0, 0), std=(1, 1, 1))
    placed = task.placed(task.store.read(np.arange(8)), Rng(0, 3, Rows(0, 8, 8)))
    assert placed is not None
    seen, place = placed
    assert seen.shape == (16, 3, 24, 24)
    torch.testing.assert_close(seen[:, :2].mean((2, 3)), place, rtol=0, atol=0.02)


def test_the_views_of_an_objective_are_probed(plain: np.ndarray) -> None:
    ramp = np.linspace(0.25, 1, plain.shape[1])
    dark = ImageStore.of(np.rint(plain * ramp[None, :, None, None]).astype(np.uint8))
    views = {"scale": (0.1, 0.2), "jitter": 0, "grey": 0, "blur": 0, "flip": 0}
    found = probe_objective(
        simclr(dark, **views), seeds=(0, 1, 2), per_image=16, visits=8_000, switches=("contrast", "border")
    )
    assert found is not None
    assert found.what == "the views of simclr"
    assert found.leaks
    assert "brightness or vignetting" in found.cues
    assert "border" not in found.closed  # no pipeline has such a switch


class Recorded(SimCLR):
    """In place of every view the number of the image that it is of."""

    def placed(self, batch: Images, rng: Rng) -> tuple[torch.Tensor, torch.Tensor] | None:
        found = super().placed(batch, rng)
        assert found is not None
        views, place = found
        return views * 0 + batch.index.repeat(len(self.drawn_as)).float()[:, None, None, None], place


def test_every_view_counts_as_of_its_own_image(plain: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore.of(plain[:24])
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 3, 24)
    given: list[Looks] = []

    def kept(looks: Looks, groups: torch.Tensor, *_: object) -> Score:
        given.append(looks)
        return Score([0.4] * 3, [0.4] * 3, [0.4] * 3, [0.4] * 3)

    monkeypatch.setattr(shortcuts, "score", kept)
    probe_objective(Recorded(SimCLR.Config(views={"side": 24}), encoder, store), per_image=4)
    assert torch.equal(given[0].seen[:, 0, 0, 0].long(), given[0].image)


def frames_or_holes(name: str, store: ImageStore) -> ImageObjective:
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 24)
    kind = get(name)
    return kind(kind.Config(views={"side": 24, "scale": (0.1, 0.2), "flip": 0}), encoder, store)


@pytest.mark.parametrize("name", ["context_encoder", "next_frame"])
def test_views_with_holes_and_frames_have_a_place(name: str) -> None:
    """As for SimCLR: an image whose brightness is its height."""
    ramp = np.repeat(np.linspace(0, 255, 64).round().astype(np.uint8)[:, None], 64, 1)
    picture = np.stack([ramp, ramp, ramp], 2)
    table = Table({"group": ["film"] * 8, "order": [str(number) for number in range(8)]})
    task = frames_or_holes(name, ImageStore.of([picture] * 8, table))
    placed = task.placed(task.store.read(np.arange(8)), Rng(0, 3, Rows(0, 8, 8)))
    assert placed is not None
    seen, place = placed
    assert seen.shape == (8, 3, 24, 24)
    height = seen[:, 0].amax((1, 2)) + seen[:, 0].amin((1, 2))  # a hole has the mean, and lies between
    assert float(np.corrcoef(height.numpy(), place[:, 0].numpy())[0, 1]) > 0.95


def patch_localization(store: ImageStore, **settings: object) -> PatchLocalization:
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 24)
    return PatchLocalization(PatchLocalization.Config(**settings), encoder, store)


def test_the_places_of_patches_are_those_of_their_centres() -> None:
    """A parabola, whose slope within a patch is the place of its middle; resized, so that the sizes are other ones."""
    parabola = np.rint(((np.arange(96) + 0.5) / 96) ** 2 * 65535).astype(np.uint16)
    picture = np.repeat(parabola[:, None], 96, 1)[:, :, None]
    plain = {"colour": "keep", "contrast": False, "resample": 0, "patch": 16, "area": (64**2, 128**2)}
    task = patch_localization(ImageStore.of([picture] * 4), views={"mean": (0,), "std": (1,)}, **plain)
    batch, rng = task.store.read(np.arange(4)), Rng(0, 2, Rows(0, 4, 4))
    seen, place = task.placed(batch, rng)
    shown = task.hide(batch, rng).visible["patches"]
    assert torch.equal(seen, shown.transpose(0, 1).flatten(0, 1))
    sides = draw_patches(batch.sizes, 1, task.settled, rng).sizes[:, 0].repeat(len(seen) // 4)
    assert len(set(sides.tolist())) == 4
    slope = (seen[:, 0, -1] - seen[:, 0, 0]).mean(1) * sides / 15
    torch.testing.assert_close(slope.float(), 2 * place[:, 0], rtol=0, atol=0.02)


def test_the_patches_of_patch_localization_are_probed_with_its_own_settings() -> None:
    """A lens shows where colours are kept, and projection closes it; with the published countermeasures it does not show."""
    store = aberrated(ImageStore.of(cuts(160, 96)), 0.06)
    more = {"seeds": (0, 1, 2), "per_image": 27, "visits": 12_000}
    found = probe_objective(
        patch_localization(store, colour="keep"), **more, switches=("projection", "contrast", "border")
    )
    assert found is not None
    assert found.what == "the patches of patch_localization"
    assert found.leaks
    assert found.cues == ["lens aberration"]
    assert found.judged("projection") == "closes it"
    assert list(found.closed) == ["projection"]  # contrast is on already
    closed = probe_objective(patch_localization(store), **more)
    assert closed is not None
    assert not closed.leaks


def test_views_without_a_place_are_not_probed(plain: np.ndarray) -> None:
    whole = simclr(ImageStore.of(plain), scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert probe_objective(whole) is None
    assert probe_objective(simclr(ImageStore.of(plain[:8]))) is None
    grey = open_images("@animals").subset(np.arange(30))
    assert simclr(grey).placed(grey.read([0, 1]), Rng(0, 0, Rows(0, 2, 2))) is not None
