"""Masks through the same views as their images, overlap by class, and a head that learns to find a square."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from foretell.counters import Rng, Rows
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.dense import Masks, Overlap, Segmenter, compare, compare_dense
from foretell.dense.compare import Budget, _counts, _untested
from foretell.dense.masks import IGNORED, read_mask
from foretell.dense.segmenter import DenseConfig, Masked, masked, soft_dice
from foretell.dense.squares import squares as squares_of
from foretell.dense.stages import Stages
from foretell.encoders import build_encoder
from foretell.encoders.base import Encoder, EncoderConfig
from foretell.errors import ForetellWarning, InputError
from foretell.transfer.images.labelled import resolved
from foretell.views import draw, plain, render
from foretell.views.config import ViewConfig

SIDE = 32


def squares(count: int, height: int = SIDE, width: int = SIDE) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Noise with a brighter square somewhere, and where it is."""
    rng = np.random.default_rng(0)
    images, masks = [], []
    for _ in range(count):
        image = rng.integers(0, 100, (height, width, 1), dtype=np.uint8)
        mask = np.zeros((height, width), np.uint8)
        top, left = rng.integers(0, (height - 12, width - 12))
        mask[top : top + 12, left : left + 12] = 1
        image[mask == 1] += 120
        images.append(image)
        masks.append(mask)
    return images, masks


def new_encoder(name: str = "resnet_tiny", side: int = SIDE, **settings: str) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(EncoderConfig(name=name, **settings), 1, side)


def test_no_image_is_trained_and_tested_on_and_every_row_is_there() -> None:
    images, masks = squares(6)
    store, kept = ImageStore.of(images, source="noise"), Masks(masks)

    def compared(train: list[int], test: list[int]) -> None:
        compare_dense(new_encoder(), store, kept, train=train, test=test, views=ViewConfig(side=SIDE), images=(2,))

    with pytest.raises(InputError, match=r"'noise\[2\]' and 1 more is both trained and tested on"):
        compared([0, 1, 2, 3], [2, 3, 4])
    for row in (6, -1):
        with pytest.raises(InputError, match=f"noise: the test part has row {row}; expected rows from 0 to 5"):
            compared([0, 1], [2, row])


@pytest.mark.parametrize("size", [(32, 32), (40, 56)])
def test_a_mask_is_seen_through_the_views_of_its_image(size: tuple[int, int]) -> None:
    """The image is its own mask: after crop and flip the two agree wherever the image is far from an edge."""
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.integers(0, 2, (size[0] // 8, size[1] // 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
    store = ImageStore.of([blocks[:, :, None] * 255] * 16)
    masks = Masks([blocks] * 16)
    index = np.arange(16)
    images = store.read(index)
    cut = squares_of(images)
    views = ViewConfig(side=24, scale=(0.5, 1), flip=0.5, vertical_flip=0.5, jitter=0, grey=0, blur=0)
    drawn = draw(images.sizes, views, Rng(0, 0, Rows(0, 16, 16)), "x")
    assert bool(drawn.flip.any())
    assert not bool(drawn.flip.all())
    for shown, mask in (
        (render(images, drawn, views), masks.augmented(index, drawn, images.sizes, 24)),
        (plain(cut.images, 24), masks.answers(index, cut, images.sizes, 24)),
    ):
        sure = ((shown[:, 0] < 0.05) | (shown[:, 0] > 0.95)) & (mask != IGNORED)
        assert sure.float().mean() > 0.4
        assert torch.equal((shown[:, 0] > 0.5)[sure], (mask == 1)[sure])


def test_a_mask_may_be_finer_than_its_image() -> None:
    coarse = np.kron(np.array([[0, 1], [1, 0]], np.uint8), np.ones((8, 8), np.uint8))
    fine = np.kron(coarse, np.ones((3, 3), np.uint8))
    images = ImageStore.of([coarse[:, :, None]]).read([0])
    whole = (np.array([0]), squares_of(images), images.sizes, 16)
    assert torch.equal(Masks([coarse]).answers(*whole), Masks([fine]).answers(*whole))
    assert torch.equal(Masks([coarse]).answers(*whole)[0], torch.from_numpy(coarse.astype(np.int64)))


@pytest.mark.parametrize("size", [(8, 8), (8, 9), (25, 8), (8, 30), (1, 7)])
def test_every_pixel_of_an_image_is_judged_once(size: tuple[int, int]) -> None:
    number = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    store = ImageStore.of([number[:, :, None], number[:5, :5, None]])
    images = store.read([0, 1])
    cut, side = squares_of(images), min(size)
    first = cut.of == 0
    own = cut.own(side)[torch.from_numpy(first)]
    seen = cut.images.pixels[torch.from_numpy(first), 0, :side, :side][own]
    assert sorted(seen.tolist()) == list(range(size[0] * size[1]))
    assert cut.own(min(5, side))[torch.from_numpy(~first)].all()
    masks = Masks([np.minimum(number, 250), number[:5, :5]])
    answers = masks.answers(np.array([0, 1]), cut, images.sizes, side)[torch.from_numpy(first)]
    assert torch.equal(answers[own], seen.to(torch.int64).clamp(max=250))
    assert (answers[~own] == IGNORED).all()


def test_a_class_at_the_edge_of_a_wide_image_is_scored() -> None:
    rng = np.random.default_rng(0)
    pictures, masks = [], []
    for height, width in ((16, 48), (16, 48), (20, 20), (40, 18)):
        mask = np.zeros((height, width), np.uint8)
        mask[:, :10] = 1
        pictures.append((rng.integers(0, 60, (height, width, 1)) + 150 * mask[:, :, None]).astype(np.uint8))
        masks.append(mask)
    data = masked(ImageStore.of(pictures), Masks(masks), np.arange(4))
    views = resolved(ViewConfig(side=16), data.store, 16)
    segmenter = Segmenter(DenseConfig(), new_encoder(side=16), data, views)
    judged = torch.cat([reference for _, reference in segmenter.predicted(data)])
    kept = judged[judged != IGNORED]
    pixels = [mask.size * (16 / min(mask.shape)) ** 2 for mask in masks]  # their shorter side is shown at 16
    assert len(kept) == pytest.approx(sum(pixels), rel=0.02)
    truth = np.average([mask.mean() for mask in masks], weights=pixels)
    assert (kept == 1).float().mean().item() == pytest.approx(truth, abs=0.01)


def test_turned_views_are_refused() -> None:
    views = ViewConfig(side=8, rotation=10.0)
    drawn = draw(torch.tensor([[8, 8]]), views, Rng(0, 0, Rows(0, 1, 1)), "x")
    with pytest.raises(ValueError, match="not turned"):
        Masks([np.eye(8, dtype=np.uint8)]).augmented(np.array([0]), drawn, torch.tensor([[8, 8]]), 8)


def test_overlap_is_that_of_all_pixels_together() -> None:
    rng = np.random.default_rng(0)
    reference, predicted = rng.integers(0, 3, (4, 9, 9)), rng.integers(0, 3, (4, 9, 9))
    reference[rng.random((4, 9, 9)) < 0.1] = IGNORED
    overlap = Overlap(["ground", "a", "b", "nowhere"])
    for i in range(4):
        overlap.add(torch.from_numpy(predicted[i : i + 1]), torch.from_numpy(reference[i : i + 1]))
    kept = reference != IGNORED
    for number, name in enumerate(("ground", "a", "b")):
        ours, theirs = (predicted == number) & kept, reference == number
        hit = (ours & theirs).sum()
        assert np.isclose(overlap.dice()[name], 2 * hit / (ours.sum() + theirs.sum()))
        assert np.isclose(overlap.iou()[name], hit / (ours | theirs).sum())
    scores = overlap.scores()
    assert np.isnan(scores["dice_by_class"]["nowhere"])
    assert np.isclose(scores["dice"], (overlap.dice()["a"] + overlap.dice()["b"]) / 2)
    assert np.isclose(scores["miou"], np.mean([overlap.iou()[name] for name in ("ground", "a", "b")]))


def test_a_class_that_no_mask_has_is_in_no_mean() -> None:
    reference = torch.zeros(1, 8, 8, dtype=torch.int64)
    reference[0, 2:5, 2:5] = 1
    found = reference.clone()
    found[0, 0, 0] = 2
    names = ["ground", "a", "b"]
    overlap, of_data = Overlap(names, {"b"}), Overlap(names)
    for one in (overlap, of_data):
        one.add(found, reference)
    assert overlap.scores()["dice"] == 1
    assert np.isclose(overlap.scores()["miou"], (54 / 55 + 1) / 2)
    assert of_data.scores()["dice"] == 0.5  # of the data, though not of this part


def test_numbers_that_no_mask_has_are_no_classes() -> None:
    given = np.array([[0, 3], [7, IGNORED]], np.uint8)
    masks = Masks([given, np.full((2, 2), 3, np.uint8)])
    assert (masks.classes, masks.values, masks.absent) == (["0", "3", "7"], [0, 3, 7], frozenset())
    assert masks.masks[0].tolist() == [[0, 1], [2, IGNORED]]
    assert masks.subset(np.array([1])).classes == masks.classes
    mapped = Masks([given], {0: "ground", 3: "liver", 7: "spleen", 9: "kidney"})
    assert (mapped.classes, mapped.absent) == (["ground", "liver", "spleen", "kidney"], {"kidney"})
    assert mapped.masks[0].tolist() == masks.masks[0].tolist()
    assert Masks([given], [str(number) for number in range(8)]).absent == {"1", "2", "4", "5", "6"}
    with pytest.raises(InputError, match=r"mask 0: holds class 7, and there are 2 .*; expected 0, 3, or 255"):
        Masks([given], {0: "ground", 3: "liver"})
    with pytest.raises(InputError, match="classes: 255 is no number of a class; expected 0 to 254"):
        Masks([given], {0: "ground", IGNORED: "none"})


def test_white_that_may_be_a_class_is_told() -> None:
    white = np.array([[0, IGNORED], [IGNORED, 0]], np.uint8)
    out = "where white is a class, save it under a number of its own"
    with pytest.raises(InputError, match=f"^b.png: the masks hold one class only; .*, since 255 means no class: {out}"):
        Masks([np.zeros((2, 2), np.uint8), white], names=["a.png", "b.png"])
    shades = np.array([[0, 128], [IGNORED, 0]], np.uint8)
    note = r"1 mask \(mask 0\) of 2 holds 255, pixels without a class, which count nowhere: 12.5% of all pixels"
    with pytest.warns(ForetellWarning, match=f"{note}; {out}"):
        Masks([shades, np.minimum(shades, 128)])
    told = Masks([shades, np.minimum(shades, 128)], {0: "ground", 128: "liver"})
    assert re.fullmatch(note, told.notes[0])
    assert Masks([np.minimum(shades, 1)]).notes == []


def test_masks_without_gaps_stay_as_they_are() -> None:
    given = np.array([[0, 1], [2, IGNORED]], np.uint8)
    masks = Masks([given])
    assert masks.masks[0] is given
    assert masks.classes == ["0", "1", "2"]


def test_masks_that_number_other_classes_are_not_scored() -> None:
    images, _ = squares(2)
    store = ImageStore.of(images)
    sparse = [np.tile(np.array([[0, 3], [7, 3]], np.uint8), (16, 16))] * 2
    segmenter = Segmenter(
        DenseConfig(width=4), new_encoder(), masked(store, Masks(sparse), np.arange(2)),
        resolved(ViewConfig(side=SIDE), store, SIDE),
    )  # fmt: skip
    other = masked(store, Masks([np.minimum(mask * (mask != 3), 7) for mask in sparse]), np.arange(2))
    with pytest.raises(InputError, match="number the classes 0, 7, and those that were learnt 0, 3, 7"):
        segmenter.score(other)


def test_soft_dice_of_a_certain_answer_is_dice() -> None:
    mask = torch.tensor([[[0, 1, 1, IGNORED]]])
    found = torch.tensor([[0, 1, 0, 1]])
    logits = torch.nn.functional.one_hot(found, 2).movedim(-1, 1)[:, :, None].float() * 200 - 100
    assert torch.isclose(soft_dice(logits, mask), torch.tensor(1 - (2 / 3 + 2 / 3) / 2))
    assert soft_dice(logits, torch.full_like(mask, IGNORED)) == 0


@pytest.mark.parametrize("name", ["resnet_tiny", "vit_mini"])
def test_any_encoder_gives_maps(name: str) -> None:
    encoder = new_encoder(name)
    stages = Stages(encoder)
    maps = stages(torch.zeros(2, 1, SIDE, SIDE))
    assert [part.shape[1] for part in maps] == stages.channels
    sizes = [part.shape[-1] for part in maps]
    assert sizes == sorted(set(sizes), reverse=True)
    assert (len(maps) > 2) == (name == "resnet_tiny")
    assert torch.equal(maps[-1], encoder.map(torch.zeros(2, 1, SIDE, SIDE)))
    stages.close()
    assert not any(part._forward_hooks for part in encoder.modules())


@pytest.mark.parametrize("frozen", [False, True])
def test_the_head_learns_and_a_frozen_encoder_stays(frozen: bool) -> None:
    images, masks = squares(24)
    store = ImageStore.of(images)
    encoder = new_encoder()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    views = resolved(ViewConfig(side=SIDE, jitter=0, grey=0, blur=0), store, SIDE)
    data = masked(store, Masks(masks, ["ground", "square"]), np.arange(24))
    segmenter = Segmenter(DenseConfig(frozen=frozen, width=8), encoder, data, views)
    from foretell.train.config import TrainingConfig
    from foretell.train.loop import fit

    start = segmenter.score(data)["dice"]
    fit(segmenter, TrainingConfig(batch=8, steps=25, optimizer="adamw", rate=1e-2, device="cpu", precision="float32", layout="contiguous"))  # fmt: skip
    assert segmenter.score(data)["dice"] > max(0.7, start + 0.2)
    same = all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert same == frozen
    exhibit = segmenter.show(store.read([0, 1]), Rng(0, 0, Rows(0, 2, 2)))
    assert [panel.shape[0] for _, panel in exhibit.panels] == [2, 2, 2]


def test_arms_get_equal_budgets_and_nested_masks() -> None:
    images, masks = squares(12)
    groups = [str(i // 2) for i in range(12)]
    store = ImageStore.of(images, Table({"path": groups, "group": groups}))
    found = compare_dense(
        new_encoder(), store, Masks(masks), train=np.arange(8), test=np.arange(8, 12), views=ViewConfig(side=SIDE),
        images=(2, None), seeds=(0, 1), budget=Budget(steps=2, batch=4, rates=(1e-3, 3e-3)), config=DenseConfig(width=4),
    )  # fmt: skip
    assert len(found["rows"]) == 2 * 2 * 4
    assert {(row["arm"], row["images"]) for row in found["rows"]} == {
        (arm, count) for arm in ("pretrained", "frozen", "scratch", "random") for count in (2, 8)
    }
    assert {row["n"] for row in found["summary"]} == {2}
    assert {(row["arm"], row["against"]) for row in found["paired"]} == {
        ("pretrained", "scratch"), ("frozen", "random"), ("pretrained", "frozen"),
    }  # fmt: skip
    assert "2 masks the middle learning rate" in found["notes"][0]
    for column in ("group", "case"):
        named = ImageStore.of(images, Table({"path": groups, column: groups}))
        with pytest.raises(InputError, match=f"{column} 3 is both trained and tested on; keep {column}s whole"):
            compare_dense(
                new_encoder(), named, Masks(masks), train=np.arange(7), test=np.arange(7, 12), views=ViewConfig()
            )


def test_the_random_arm_has_batch_norm_of_the_training_part(monkeypatch: pytest.MonkeyPatch) -> None:
    images, masks = squares(10)
    starts = {}

    def kept(chosen: DenseConfig, encoder: Encoder, data: Masked, views: ViewConfig, *, seed: int) -> Segmenter:
        starts["random" if chosen.frozen else "scratch"] = copy.deepcopy(encoder.state_dict())
        return Segmenter(chosen, encoder, data, views, seed=seed)

    monkeypatch.setattr(compare, "Segmenter", kept)
    trained = new_encoder(norm="batch")
    compare_dense(
        trained, ImageStore.of(images), Masks(masks), train=np.arange(8), test=np.arange(8, 10), views=ViewConfig(side=SIDE),
        images=(2,), seeds=(0,), arms=("scratch", "random"), budget=Budget(steps=1, batch=2, rates=(1e-3,)),
        config=DenseConfig(width=4),
    )  # fmt: skip
    measured = [name for name in starts["random"] if name.endswith("running_var")]
    assert measured
    for name, value in starts["scratch"].items():
        moved = not torch.equal(value, starts["random"][name])
        assert moved == (name in measured or name.endswith(("running_mean", "num_batches_tracked")))


def test_amounts_of_masks_are_numbers_or_shares_and_no_part_is_empty() -> None:
    assert _counts((1, 5, 20, None), 8) == [1, 5, 8]
    assert _counts("10%,50%,all", 8) == _counts(("10%", 0.5, None), 8) == [1, 4, 8]
    for wrong in ((0, None), (-1,), (1.5,), ("many",), ()):
        with pytest.raises(InputError, match=r"images .*expected numbers"):
            _counts(wrong, 8)
    images, masks = squares(4)
    given = {"views": ViewConfig(side=SIDE), "train": [0, 1], "test": [2, 3]}
    for part in ("train", "test"):
        with pytest.raises(InputError, match=f"the {part} part is empty"):
            compare_dense(new_encoder(), ImageStore.of(images), Masks(masks), **{**given, part: []})


def test_a_class_that_the_test_part_lacks_is_told() -> None:
    images, masks = squares(4)
    masks[0][:4, :4] = 2
    data = masked(ImageStore.of(images), Masks(masks, ["ground", "a", "b", "c"]), np.arange(1, 4))
    assert _untested(data) == ["b"]


# files ------------------------------------------------------------


def written(folder: Path, count: int = 3) -> list[np.ndarray]:
    images, masks = squares(count, 20, 24)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(folder / "images" / f"{i}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    return masks


def test_masks_from_a_folder_or_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    masks = written(tmp_path)
    (tmp_path / "table.csv").write_text("path,mask\n" + "".join(f"images/{i}.png,masks/{i}.png\n" for i in range(3)))
    for found in (
        Masks.of(open_images(tmp_path / "images"), tmp_path / "masks"),
        Masks.of(open_images(tmp_path / "table.csv"), classes=["ground", "square"]),
    ):
        assert all(np.array_equal(ours, mask) for ours, mask in zip(found.masks, masks, strict=True))


def test_files_called_by_an_identifier_have_a_mask_each(tmp_path: Path) -> None:
    images, masks = squares(2)
    store = ImageStore.of(images, names=["1.2.840.5", "1.2.840.6"])
    for name, mask in zip(store.names, masks, strict=True):
        np.save(tmp_path / f"{name}.npy", mask)
    found = Masks.of(store, tmp_path)
    assert all(np.array_equal(ours, mask) for ours, mask in zip(found.masks, masks, strict=True))


def test_the_numbers_of_a_palette_are_the_classes(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "x.png")
    assert read_mask(tmp_path / "x.png").tolist() == [[0, 1], [2, 1]]


def test_bad_masks_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    written(tmp_path)
    store = open_images(tmp_path / "images")
    with pytest.raises(InputError, match="no column mask"):
        Masks.of(store)
    with pytest.raises(InputError, match=r"holds class 1, and there are 1"):
        Masks.of(store, tmp_path / "masks", ["ground"])
    (tmp_path / "masks" / "2.png").unlink()
    with pytest.raises(InputError, match=r"no mask for 2\.png; expected 2\.png"):
        Masks.of(store, tmp_path / "masks")
    Image.new("RGB", (24, 20)).save(tmp_path / "masks" / "2.png")
    with pytest.raises(InputError, match=r"2\.png: is a picture in RGB"):
        Masks.of(store, tmp_path / "masks")
    Image.new("L", (20, 20)).save(tmp_path / "masks" / "2.png")
    with pytest.raises(InputError, match=r"2\.png: is 20 x 20 pixels, not of the shape of 2\.png \(24 x 20\)"):
        Masks.of(store, tmp_path / "masks")
    with pytest.raises(InputError, match="one class only"):
        Masks([np.zeros((4, 4), np.uint8)])


def test_images_are_judged_as_the_views_are_resized() -> None:
    images, masks = squares(4, 48, 48)
    store = ImageStore.of(images)
    views = ViewConfig(side=SIDE, mean=(0.3,), std=(0.3,), interpolation="bicubic")
    segmenter = Segmenter(DenseConfig(), new_encoder(), masked(store, Masks(masks), range(4)), views).eval()
    batch = store.read(np.arange(4))
    x = plain(batch, SIDE, (0.3,), (0.3,), interpolation="bicubic")
    with torch.no_grad():
        assert torch.allclose(segmenter.health(batch), segmenter.encoder.pooled(x), atol=1e-5)
        assert torch.equal(segmenter._classes(batch), segmenter(x).argmax(1))
