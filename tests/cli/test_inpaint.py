"""``foretell inpaint``: the filled picture, its exhibit, and what bad input gets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_words import Said, refused
from dicom_files import saved, small
from PIL import Image, ImageCms

import foretell as api
from foretell.cli import main
from foretell.data import embedded
from foretell.data.medical import dicom
from foretell.data.medical.window import parse
from foretell.recipe import Recipe
from foretell.report.gather import gather
from foretell.run import Run
from foretell.train import checkpoint
from foretell.verbs.inpainting import load_inpainter

SETTINGS = (
    "--objective", "context_encoder", "--encoder", "resnet_tiny", "--batch", "16", "--budget", "2 steps", "--side", "32",
    "--set", "training.precision=float32", "--set", "training.layout=contiguous",
    "--set", "objective.width=8", "--set", "objective.discriminator_width=8",
)  # fmt: skip


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 emoji in two class folders."""
    images, table = embedded.load("emoji")
    labels = np.array(table.column("label"))
    folder = tmp_path_factory.mktemp("colour")
    for label in sorted(set(labels))[:2]:
        (folder / label).mkdir()
        for number, row in enumerate(np.flatnonzero(labels == label)[:24]):
            Image.fromarray(images[row]).save(folder / label / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def filler(colour: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a context encoder."""
    patch = pytest.MonkeyPatch()
    patch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    folder = tmp_path_factory.mktemp("filler") / "run"
    assert main(["pretrain", str(colour), "--out", str(folder), *SETTINGS]) == 0
    patch.undo()
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of 120 x 90 of real pixels."""
    images, _ = embedded.load("emoji")
    pixels = np.concatenate([images[5], images[6]], 1)[:, :120]
    path = tmp_path / "photo.png"
    Image.fromarray(np.concatenate([pixels, pixels[::-1]], 0)[:90]).save(path)
    return path


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_box_is_filled_and_nothing_else(foretell: Callable[..., Said], filler: Path, photo: Path) -> None:
    drawn = torch.get_rng_state()
    said = foretell("inpaint", filler, photo, "--box", "40,30,24,20")
    assert said.status == 0, said.err
    assert torch.equal(torch.get_rng_state(), drawn)  # the caller's random numbers go on where they were
    before, after = pixels_of(photo), pixels_of(filler / "filled" / "photo.png")
    assert after.shape == before.shape
    hole = np.zeros(before.shape[:2], dtype=bool)
    hole[30:50, 40:64] = True
    assert (after[~hole] == before[~hole]).all()
    assert (after[hole] != before[hole]).any()
    assert "480 of 10,800 pixels" in said.out
    assert list(photo.parent.iterdir()) == [photo], "the folder of the pictures stays as it was"
    with Image.open(filler / "filled" / "photo-beside.png") as exhibit:
        assert exhibit.info["Panels"] == "picture, hole and filled"
        assert exhibit.width > 3 * 120


def test_a_mask_gives_what_the_box_of_its_shape_gives(filler: Path, photo: Path, tmp_path: Path) -> None:
    mask = np.zeros((90, 120), dtype=np.uint8)
    mask[30:50, 40:64] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    masked = api.inpaint(filler, photo, mask=tmp_path / "mask.png", out=tmp_path / "a.png")
    boxed = api.inpaint(str(filler), str(photo), box="40,30,24,20", out=tmp_path / "b.tif")
    assert masked.pixels == boxed.pixels == 480
    assert masked.exhibit == tmp_path / "a-beside.png"
    assert (pixels_of(masked.filled) == pixels_of(boxed.filled)).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_a_mask_may_be_painted_white_on_transparent(filler: Path, photo: Path, tmp_path: Path, mode: str) -> None:
    paint = np.zeros((90, 120, 4), dtype=np.uint8)
    paint[30:50, 40:64] = 255
    paint[60:70, 10:20] = (0, 0, 0, 255)
    paint[:10, :, :3] = 255  # an eraser leaves the colour
    picture = Image.fromarray(paint)
    picture = picture.quantize(8) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "mask.png")
    assert Image.open(tmp_path / "mask.png").mode == mode
    masked = api.inpaint(filler, photo, mask=tmp_path / "mask.png", out=tmp_path / "a.png")
    changed = (pixels_of(masked.filled) != pixels_of(photo)).any(2)
    assert masked.pixels == 480
    assert not changed[:30].any()
    assert changed[30:50, 40:64].any()


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_grey_pictures_stay_grey(filler: Path, photo: Path, tmp_path: Path, mode: str) -> None:
    grey = np.asarray(Image.open(photo).convert("L"))
    Image.fromarray(grey if mode == "L" else grey.astype(np.uint16) * 257).save(tmp_path / "grey.png")
    after = pixels_of(api.inpaint(filler, tmp_path / "grey.png", box="10,10,12,12").filled)
    assert after.shape == grey.shape
    before = pixels_of(tmp_path / "grey.png")
    assert after.dtype == before.dtype
    hole = np.zeros(grey.shape, dtype=bool)
    hole[10:22, 10:22] = True
    assert (after[~hole] == before[~hole]).all()
    assert (after[hole] != before[hole]).any()


def changed(run: Path, place: Path, **settings: object) -> Path:
    """A copy of a run whose recipe says other ``settings`` of its data."""
    shutil.copytree(run, place)
    recipe = Recipe.load(place / "recipe.toml")
    recipe.changed({f"data.{name}": value for name, value in settings.items()}).save(place / "recipe.toml")
    return place


def test_16_bit_greys_are_seen_by_the_scale_of_the_run(
    foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path
) -> None:
    grey = np.asarray(Image.open(photo).convert("L")).astype(np.uint16)
    found = []
    for scale in (16, 1):
        Image.fromarray(grey * (256 // scale)).save(tmp_path / f"{scale}.png")
        run = changed(filler, tmp_path / f"run{scale}", scale=scale)
        api.inpaint(run, tmp_path / f"{scale}.png", box="10,10,12,12", out=tmp_path / f"{scale}-filled.png")
        found.append(pixels_of(tmp_path / f"{scale}-filled.png").astype(int) * scale)
    assert np.abs(found[0] - found[1]).max() <= 16
    refused(foretell("inpaint", tmp_path / "run16", tmp_path / "1.png", "--box", "1,1,4,4"), "1.png: its values reach")


def test_a_medical_picture_is_seen_by_the_window_of_the_run(filler: Path, tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    path = saved(tmp_path, small())
    run = changed(filler, tmp_path / "run", medical={"window": "1000/400"})
    api.inpaint(run, path, box="6,6,2,2", out=tmp_path / "filled.png")
    expected = next(iter(dicom.frames(path, parse("1000/400"))))[:, :, 0]
    assert (pixels_of(tmp_path / "filled.png")[:6, :6] == expected[:6, :6]).all()


def test_transparency_is_told(foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path) -> None:
    Image.open(photo).convert("RGBA").save(tmp_path / "clear.png")
    assert (
        "transparent pixels are laid over white"
        in foretell("inpaint", filler, tmp_path / "clear.png", "--box", "1,1,9,9").out
    )


def test_16_bits_go_into_formats_that_hold_them(
    foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path
) -> None:
    grey = np.asarray(Image.open(photo).convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "deep.png")
    words = ("inpaint", filler, tmp_path / "deep.png", "--box", "40,30,24,20", "--out")
    for suffix in ("webp", "bmp"):
        out = tmp_path / f"out.{suffix}"
        refused(
            foretell(*words, out), f"out.{suffix}: cannot hold the 16 bits of", "give a name that ends in .png or .tif"
        )
        assert not out.exists()


@pytest.mark.parametrize("suffix", ["webp", "bmp", "tif"])
def test_greys_of_8_bits_are_kept_in_every_format(filler: Path, photo: Path, tmp_path: Path, suffix: str) -> None:
    picture = Image.open(photo).convert("L")
    picture.save(tmp_path / "grey.png")
    out = tmp_path / f"out.{suffix}"
    api.inpaint(filler, tmp_path / "grey.png", box="40,30,24,20", out=out)
    before, after = np.asarray(picture), np.asarray(Image.open(out).convert("L"))
    outside = np.ones(before.shape, dtype=bool)
    outside[30:50, 40:64] = False
    assert (after[outside] == before[outside]).all()


def test_a_box_that_begins_with_a_minus_reaches_its_own_message(
    foretell: Callable[..., Said], filler: Path, photo: Path
) -> None:
    refused(foretell("inpaint", filler, photo, "--box", "-1,8,2,2"), "--box -1,8,2,2: reaches beyond")


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGBA", "png"), ("RGBA", "webp"), ("LA", "png"), ("LA", "webp"), ("P", "tif")]
)
def test_what_is_transparent_outside_the_hole_stays_so(
    filler: Path, photo: Path, tmp_path: Path, mode: str, suffix: str
) -> None:
    picture = Image.open(photo).convert("RGBA")
    alpha = np.linspace(0, 255, 90 * 120).astype(np.uint8).reshape(90, 120)
    picture.putalpha(Image.fromarray(alpha))
    picture = picture.quantize(64) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "clear.png")
    out = tmp_path / f"filled.{suffix}"
    api.inpaint(filler, tmp_path / "clear.png", box="40,30,24,20", out=out)
    before, after = (np.asarray(Image.open(path).convert("RGBA")) for path in (tmp_path / "clear.png", out))
    hole = np.zeros((90, 120), dtype=bool)
    hole[30:50, 40:64] = True
    assert (after[~hole] == before[~hole]).all()
    assert (after[hole][:, 3] == 255).all()
    assert (after[hole][:, :3] != before[hole][:, :3]).any()


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_profile_resolution_and_exif_are_kept(filler: Path, photo: Path, tmp_path: Path, suffix: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a fox"
    Image.open(photo).save(tmp_path / "whole.jpg", icc_profile=profile, dpi=(300, 150), exif=exif)
    out = tmp_path / f"filled.{suffix}"
    api.inpaint(filler, tmp_path / "whole.jpg", box="40,30,24,20", out=out)
    with Image.open(out) as filled:
        filled.load()
        assert filled.size == (90, 120), "upright"
        assert filled.info["icc_profile"] == profile
        assert filled.getexif().get(0x010E) == "a fox"
        assert filled.getexif().get(0x0112, 1) == 1
        if suffix != "webp":
            assert filled.info["dpi"] == pytest.approx((150, 300), abs=0.1)


def test_other_colours_are_written_as_rgb_and_that_is_said(
    foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path
) -> None:
    Image.open(photo).convert("CMYK").save(tmp_path / "ink.tif", icc_profile=b"\0" * 16 + b"CMYK" + b"\0" * 200)
    said = foretell("inpaint", filler, tmp_path / "ink.tif", "--box", "1,1,9,9", "--out", tmp_path / "a.tif")
    assert said.status == 0, said.err
    assert "ink.tif: its CMYK is written as RGB" in said.out
    with Image.open(tmp_path / "a.tif") as filled:
        assert filled.mode == "RGB"
        assert "icc_profile" not in filled.info


def test_of_an_animation_the_first_frame_is_filled(
    foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path
) -> None:
    frames = [Image.open(photo).rotate(angle) for angle in (0, 90, 180)]
    frames[0].save(tmp_path / "turn.gif", save_all=True, append_images=frames[1:])
    said = foretell("inpaint", filler, tmp_path / "turn.gif", "--box", "1,1,9,9")
    assert said.status == 0, said.err
    assert "turn.gif: has 3 frames: the first is filled" in said.out


def test_a_filling_is_not_written_over(filler: Path, photo: Path, tmp_path: Path) -> None:
    first, other = tmp_path / "twice.png", tmp_path / "twice.bmp"
    for path in (first, other):
        Image.open(photo).save(path)
    names = [
        api.inpaint(filler, path, box=box).filled
        for path, box in ((first, "1,1,9,9"), (first, "9,9,5,5"), (other, "1,1,9,9"))
    ]
    assert [name.name for name in names] == ["twice.png", "twice-2.png", "twice-3.png"]
    assert (pixels_of(names[0])[20:] == pixels_of(first)[20:]).all()
    assert all(name.with_name(f"{name.stem}-beside.png").is_file() for name in names)


def test_the_published_optimiser_is_taken(filler: Path) -> None:
    training = Recipe.load(filler / "recipe.toml").training
    assert (training.optimizer, training.rate, training.weight_decay) == ("adamw", 2e-3, 0.0)


def test_the_run_and_its_report_have_the_figures(filler: Path) -> None:
    told = gather(filler).results["findings"]["findings"]
    (found,) = [one for one in told if one["name"] == "inpainting"]
    assert [row[0] for row in found["table"][1:]] == [
        "context encoder",
        "the same, surroundings of other images",
        "nearest neighbour, copied",
        "mean fill",
    ]
    assert (filler / "exhibits" / "inpainting.png").is_file()
    held = len(json.loads((filler / "split.json").read_text())["test"])
    assert f"The holes of {held} images, none of them learnt from" in found["caption"]
    page = (filler / "report.html").read_text()
    assert "Holes filled" in page
    assert "nearest neighbour, copied" in page


# bad input -----------------------------------------------------------------------------------------------------------------


def masked(tmp_path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_a_mask_of_another_size(foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path) -> None:
    mask = masked(tmp_path, np.full((64, 64), 255, np.uint8))
    refused(foretell("inpaint", filler, photo, "--mask", mask), "mask.png", "64 x 64", "120 x 90", "own size")


@pytest.mark.parametrize(
    ("shade", "words"), [(255, "covers the whole picture"), (0, "covers nothing; paint the hole white")]
)
def test_a_mask_of_everything_or_nothing(
    foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path, shade: int, words: str
) -> None:
    mask = masked(tmp_path, np.full((90, 120), shade, np.uint8))
    refused(foretell("inpaint", filler, photo, "--mask", mask), "mask.png", words)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("100,30,24,20", "reaches beyond"),
        ("-1,0,5,5", "reaches beyond"),
        ("0,0,120,90", "covers the whole picture"),
        ("5,5,0,3", "has no pixel"),
        ("1,2,3", "expected four whole numbers"),
        ("a,b,c,d", "expected four whole numbers"),
    ],
)
def test_a_box_that_cannot_be(foretell: Callable[..., Said], filler: Path, photo: Path, box: str, words: str) -> None:
    said = foretell("inpaint", filler, photo, f"--box={box}")
    refused(said, f"--box {box}", words)
    assert list(photo.parent.iterdir()) == [photo]


def test_no_hole_or_two(foretell: Callable[..., Said], filler: Path, photo: Path) -> None:
    refused(foretell("inpaint", filler, photo), "where is the hole", "--mask", "--box")
    refused(foretell("inpaint", filler, photo, "--box", "1,1,2,2", "--mask", photo), "where is the hole")


def test_a_run_of_another_objective(foretell: Callable[..., Said], run: Path, photo: Path) -> None:
    refused(foretell("inpaint", run, photo, "--box", "1,1,9,9"), "'simclr', which fills no holes", "context_encoder")


def test_places_that_are_no_run_or_no_picture(
    foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path
) -> None:
    refused(foretell("inpaint", tmp_path, photo, "--box", "1,1,9,9"), "not a run folder")
    refused(foretell("inpaint", filler, tmp_path / "none.png", "--box", "1,1,9,9"), "none.png", "does not exist")
    refused(foretell("inpaint", filler, photo, "--box", "1,1,9,9", "--out", tmp_path / "a.jpg"), "a.jpg", ".png")
    refused(
        foretell("inpaint", filler, photo, "--box", "1,1,9,9", "--out", photo), "photo.png", "the picture or the mask"
    )


def test_a_run_without_a_checkpoint(foretell: Callable[..., Said], filler: Path, photo: Path, tmp_path: Path) -> None:
    early = Run.create(tmp_path / "early")
    (early.path / "recipe.toml").write_text((filler / "recipe.toml").read_text())
    early.close()
    refused(foretell("inpaint", early.path, photo, "--box", "1,1,9,9"), "no checkpoint yet", "--resume")


def test_a_run_that_ended_with_its_best_weights_fills_with_these(filler: Path, tmp_path: Path) -> None:
    """As its encoder, which is exported, has them."""
    shutil.copytree(filler, tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "00000002.pt"
    best = checkpoint.load(last)
    best["step"], best["module"] = 1, {name: value + 1 for name, value in best["module"].items()}
    checkpoint.save(last.with_name("best.pt"), best)
    place = tmp_path / "run" / "facts.json"
    for weights, module in ((2, checkpoint.load(last)["module"]), (1, best["module"])):
        facts = json.loads(place.read_text())
        place.write_text(json.dumps(facts | {"ended": {"state": "early", "steps": 2, "weights": weights}}))
        loaded = load_inpainter(tmp_path / "run", torch.device("cpu"))
        for part in ("encoder", "filler"):
            state = getattr(loaded, part).state_dict()
            assert all(torch.equal(value, module[f"{part}.{name}"]) for name, value in state.items())


def test_a_picture_of_other_channels(
    foretell: Callable[..., Said], photo: Path, pictures: Path, tmp_path: Path
) -> None:
    settings = [word if word != "32" else "28" for word in SETTINGS]
    assert foretell("pretrain", pictures, "--out", tmp_path / "grey", *settings).status == 0
    said = foretell("inpaint", tmp_path / "grey", photo, "--box", "1,1,9,9")
    refused(said, "photo.png", "3 channels", "images with 1", "data.channels=3")
