"""Patch localisation beyond the contract: fusion, the balance of the directions, small images, what it tells a person."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from foretell.counters import Rng, Rows
from foretell.data.store import ImageStore, open_images
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError
from foretell.objectives.patch_exhibits import LARGEST, SMALLEST, agreement, answers, embed_patches
from foretell.objectives.patch_localization import PatchLocalization
from foretell.train import fit
from foretell.train.config import TrainingConfig
from foretell.views import plain
from foretell.views.patches import pairs


@pytest.fixture(scope="module")
def emoji() -> ImageStore:
    return open_images("@emoji").subset(np.arange(0, 1600, 25))


def make(store: ImageStore, encoder: EncoderConfig | None = None, side: int = 32, **given: object) -> PatchLocalization:
    torch.manual_seed(0)
    built = build_encoder(encoder or EncoderConfig(name="resnet_tiny"), store.channels, side)
    return PatchLocalization(PatchLocalization.Config(**given), built, store)


def task_of(task: PatchLocalization, count: int = 8, step: int = 0):
    rows = Rows.of_rank(count)
    return task.hide(task.draw("image", 0, step, rows), Rng(0, step, rows))


def test_the_fused_product_is_the_product_of_the_concatenation(emoji: ImageStore) -> None:
    task = make(emoji, fc6=24, width=40).eval()
    hidden = task_of(task)
    with torch.no_grad():
        logits, fc6 = task.logits(hidden.visible["patches"])
        places, _, _ = pairs(task.grid)
        fusion = task.fusion
        for row in range(2):
            for number, (first, second) in enumerate(places.tolist()):
                both = torch.cat([fc6[row, first], fc6[row, second]])
                expected = fusion.fc9(fusion.fc8(fusion.after7(F.linear(both, fusion.fc7.weight)[None])))[0]
                torch.testing.assert_close(logits[row, number], expected, atol=1e-5, rtol=1e-4)


def test_a_patch_is_embedded_once_for_all_its_pairs(emoji: ImageStore) -> None:
    task = make(emoji)
    seen = []
    task.encoder.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    original = task.encoder.map
    task.encoder.map = lambda x: (seen.append(len(x)), original(x))[1]  # type: ignore[method-assign]
    hidden = task_of(task, 4)
    task.loss(hidden, "all")
    assert hidden.hidden["label"].shape == (4, 40)
    assert seen == [4 * 9]


def test_a_constant_answer_has_chance_accuracy_and_no_answer_the_chance_loss(emoji: ImageStore) -> None:
    task = make(emoji)
    hidden = task_of(task)
    torch.nn.init.zeros_(task.fusion.fc9.weight)
    assert task.loss(hidden, "all")["total"].item() == pytest.approx(math.log(8), abs=1e-6)
    assert task.chance_loss(8) == math.log(8)
    for label in range(8):
        with torch.no_grad():
            task.fusion.fc9.bias.copy_(10.0 * F.one_hot(torch.tensor(label), 8))
        assert float(task.loss(hidden, "all")["accuracy"]) == pytest.approx(1 / 8, abs=1e-6)


def test_norms_of_the_head_have_no_scale_or_shift_and_can_be_left_out(emoji: ImageStore) -> None:
    def norms(task: PatchLocalization) -> list[torch.nn.BatchNorm1d]:
        return [m for m in [*task.fc6.modules(), *task.fusion.modules()] if isinstance(m, torch.nn.BatchNorm1d)]

    found = norms(make(emoji))
    assert len(found) == 2
    assert all(norm.weight is None and norm.bias is None for norm in found)
    assert norms(make(emoji, norm="none")) == []


@pytest.mark.parametrize(
    "encoder",
    [
        EncoderConfig(name="vit_tiny_patch16_224", patch=8),
        EncoderConfig(name="resnet18"),
        EncoderConfig(name="mobilenetv3_small_050"),
    ],
    ids=lambda encoder: encoder.name,
)
@pytest.mark.parametrize("reads", ["map", "pooled"])
def test_any_encoder_is_a_tower(emoji: ImageStore, encoder: EncoderConfig, reads: str) -> None:
    task = make(emoji, encoder, reads=reads)
    before = {name: value.clone() for name, value in task.encoder.named_buffers()}
    again = make(emoji, encoder, reads=reads)
    for name, value in again.encoder.named_buffers():
        assert torch.equal(value, before[name]), name
    losses = task.loss(task_of(task, 4), "all")
    losses["total"].backward()
    assert torch.isfinite(losses["total"])
    # what a network has behind its map (MobileNetV3 widens after pooling) is not read from it
    reached = [p.grad is not None for p in task.encoder.parameters()]
    assert sum(reached) > 0.9 * len(reached)


# images ----------------------------------------------------------------------------------------------------------------


def test_images_smaller_than_the_grid_are_counted_listed_and_passed_over(emoji: ImageStore) -> None:
    images = [emoji.image(i) for i in range(30)]
    images[3], images[17] = images[3][:20], images[17][:, :30]
    store = ImageStore.of(images, names=[f"picture {i}" for i in range(30)])
    task = make(store)
    assert task.passed_over == ["picture 3", "picture 17"]
    assert len(task.store) == 28
    assert task.steps_per_epoch(28) == 1
    told = task.notes[-1]
    assert "2 of 30 images are smaller than the grid" in told
    assert "picture 3, picture 17" in told
    assert task.usable(store, np.array([2, 3, 4, 17])).tolist() == [2, 4]
    assert len(task_of(task, 28)) == 28


def test_no_image_is_large_enough(emoji: ImageStore) -> None:
    with pytest.raises(InputError, match=r"objective\.patch = 60.*no image has as much.*smaller objective\.patch"):
        make(emoji, patch=60)


# what a person sees ------------------------------------------------------------------------------------------------------


def test_agreement_of_neighbours_is_counted_as_by_hand() -> None:
    found = {
        "fc6": torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0.9, 0.1], [0.5, 0.5, 0.4]]),
        "row": torch.tensor([0, 0, 1, 1, 2]),
        "place": torch.tensor([[0.1, 0.1], [0.9, 0.1], [0.2, 0.2], [0.9, 0.9], [0.1, 0.9]]),
        "flat": torch.tensor([False, False, False, False, True]),
    }
    classes = torch.tensor([5, 5, 5, 5, 2])
    got = agreement(found, classes, grid=2)
    assert got["nearest"][:, 0].tolist() == [2, 3, 0, 1]
    assert got["flat"] == 1
    assert got["class"] == got["class_base"] == 1.0
    # of the four pairs of patches in different images (each way), one shares its cell
    assert got["place"] == 0.5
    assert got["place_base"] == pytest.approx(2 / 8)
    assert agreement(found, None, grid=2)["class"] is None
    # with a class known of two images of three, neighbours without one count neither for nor against
    found["flat"][:] = False
    some = agreement(found, torch.tensor([5, 5, 5, 5, -1]), grid=2, k=3)
    assert some["class"] == some["class_base"] == 1.0
    assert agreement(found, torch.tensor([5, 5, -1, -1, -1]), grid=2)["class"] is None


def test_small_patches_are_enlarged_to_be_looked_at(emoji: ImageStore) -> None:
    task = make(emoji)
    assert (task.settled.patch or 0) < SMALLEST
    shown = task.findings(emoji, np.arange(8), seed=1)
    for _, pictures in [panel for exhibit in shown for panel in exhibit.panels]:
        assert SMALLEST <= max(pictures.shape[2:]) <= LARGEST
        assert pictures.shape[0] <= 10


def test_findings_show_neighbours_and_confidence_with_their_base_rates(emoji: ImageStore) -> None:
    task = make(emoji)
    answers, neighbours, confidence = task.findings(emoji, np.arange(len(emoji)), seed=1)
    assert [caption for caption, _ in answers.panels][-1] == "foretold"
    assert neighbours.name == "nearest-patches"
    assert len(neighbours.table) == 3
    for exhibit in (answers, neighbours, confidence):
        counts = {len(images) for _, images in exhibit.panels}
        assert len(counts) == 1
        for _, images in exhibit.panels:
            assert 0 <= images.min() <= images.max() <= 1
    assert [caption for caption, _ in confidence.panels][2:] == list(confidence.table[0][1:])
    again = task.findings(emoji, np.arange(len(emoji)), seed=1)
    assert again[1].table == neighbours.table


def test_answers_are_told_over_all_images_beside_chance(emoji: ImageStore) -> None:
    task = make(emoji)
    rows = np.arange(10, 30)
    found = embed_patches(task, emoji, rows, 3)
    got = answers(task, found)
    likely = task.fusion(found["fc6"].view(20, -1, found["fc6"].shape[1]), task.places).float().softmax(-1)
    right = [float((likely[row].argmax(-1) == task.labels).float() @ task.weights) for row in range(20)]
    true = torch.stack([likely[:, pair, label] for pair, label in enumerate(task.labels.tolist())], 1)
    np.testing.assert_allclose(got.right, right, atol=1e-6)
    np.testing.assert_allclose(got.probability, (true @ task.weights).detach().numpy(), atol=1e-6)
    assert got.by_direction.mean() == pytest.approx(got.probability.mean(), abs=1e-6)  # all directions count alike
    other = make(emoji.subset(np.arange(20)))
    exhibit = other.findings(emoji, rows, seed=1)[0]
    low = float(re.search(r"\(([\d.]+)%", exhibit.table[1][1])[1])  # of the interval
    beside = "" if low > 12.5 else ": no better than chance"
    assert f"chance is 12.5%{beside}. Measured on 20 images, 10 of them learnt from." in exhibit.caption
    assert exhibit.headline.startswith("Asked in which of eight directions a patch lies, it answers ")
    assert [row[0] for row in exhibit.table[1:]] == ["direction answered rightly", "probability of the true direction"]
    assert (
        f"It answers {exhibit.table[1][1].replace('(', '(95% interval over images ')} of the pairs" in exhibit.caption
    )


@pytest.mark.parametrize("textured", [0, 1, 2])
def test_pictures_that_are_blank_have_findings_too(emoji: ImageStore, textured: int) -> None:
    images = [emoji.image(i) for i in range(textured)] + [np.full((64, 64, 3), shade, np.uint8) for shade in range(5)]
    store = ImageStore.of(images)
    found = make(store).findings(store, np.arange(len(store)), 0)
    assert [one.name for one in found] == ["foretold", *(["nearest-patches"] if textured == 2 else []), "confidence"]
    assert ("Nearest patches are not shown: " in found[0].caption) == (textured < 2)


def test_blank_patches_have_no_neighbours(emoji: ImageStore) -> None:
    images = [emoji.image(i) for i in range(8)] + [np.full((64, 64, 3), 255, np.uint8)]
    store = ImageStore.of(images)
    found = embed_patches(make(store), store, np.arange(9), 0)
    assert found["flat"].view(9, 9)[8].all()
    assert not found["flat"].view(9, 9)[:8].all()


def test_it_learns_where_patches_of_real_pictures_lie(emoji: ImageStore) -> None:
    """Well above the 12.5% of chance, on fresh draws of the images it saw."""
    task = make(emoji)
    fit(
        task, TrainingConfig(batch=32, steps=40, optimizer="adamw", rate=2e-3, precision="float32", layout="contiguous")
    )
    task.train()
    with torch.no_grad():
        accuracy = np.mean([float(task.loss(task_of(task, 64, step), "all")["accuracy"]) for step in (900, 901)])
    assert accuracy > 0.2


def test_what_is_handed_on_knows_whole_pictures_and_the_task_stays_as_it_was(emoji: ImageStore) -> None:
    task = make(emoji)
    fit(task, TrainingConfig(batch=16, steps=6, rate=1e-2, device="cpu", precision="float32", threads=1))
    before = {name: value.clone() for name, value in task.state_dict().items()}
    views = plain(emoji.read(np.arange(len(emoji))), task.side, task.views.mean, task.views.std)
    handed = task.for_transfer()
    assert not handed.training
    (norm, *_) = [part for part in handed.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    seen: list[torch.Tensor] = []
    norm.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    with torch.no_grad():
        handed.pooled(views)
    torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(norm.running_var, seen[0].var((0, 2, 3)), atol=1e-3, rtol=0.1)
    own = task.encoder.state_dict()
    for name, value in handed.state_dict().items():
        assert torch.equal(value, own[name]) == ("running" not in name and "tracked" not in name), name
    for name, value in task.state_dict().items():
        assert torch.equal(value, before[name]), name
