"""The work behind ``foretell inpaint``."""

from __future__ import annotations

import io
import itertools
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from foretell.data.build import convert
from foretell.data.outside import read_outside
from foretell.data.pixels import LONGEST, Pixels
from foretell.encoders import build_encoder
from foretell.errors import ForetellError, InputError
from foretell.objectives.context_encoder import ContextEncoder, filler_of
from foretell.objectives.context_filling import Inpainter
from foretell.recipe import DataConfig, Recipe
from foretell.report.exhibits import fitted, picture_grid
from foretell.run import Run, write_aside
from foretell.train import checkpoint
from foretell.train.machine import named_device
from foretell.verbs import common, picture_extras
from foretell.verbs.outcomes import Inpainting
from foretell.verbs.picture_extras import Extras

Hole = NDArray[np.bool_]
# formats that keep every pixel as it is
SAVED = {".png": {}, ".tif": {}, ".tiff": {}, ".bmp": {}, ".webp": {"lossless": True, "exact": True}}
OPAQUE = ".bmp"  # cannot hold transparency
SHALLOW = (".bmp", ".webp")  # cannot hold 16 bits a channel
BESIDE = 384  # pixels of the longest side in the exhibit


def inpaint(
    place: Path, image: Path, mask: str | Path | None, box: str | None, out: Path | None, device: str
) -> Inpainting:
    """See ``foretell.verbs.inpaint``."""
    out = out if out is not None else _free(place / "filled", image.stem)  # not beside the image: its folder is data
    _check_out(out, image, mask)
    chosen = named_device(device)
    picture, scale = _read(image, Recipe.load(Run.read(place).path / "recipe.toml").data)
    if picture.dtype == np.uint16 and out.suffix.lower() in SHALLOW:
        raise InputError(f"{out}: cannot hold the 16 bits of {image}; give a name that ends in .png or .tif")
    extras = picture_extras.extras_of(image, picture.shape[:2])
    kept = extras.clear is not None and picture.dtype == np.uint8 and out.suffix.lower() != OPAQUE
    for told in _told(image, extras, kept):
        print(f"{image}: {told}")
    hole = _hole(image, picture, mask, box)
    inpainter = load_inpainter(place, chosen)
    channels = inpainter.encoder.channels
    if picture.shape[2] not in (1, channels):
        raise InputError(
            f"{image}: has {picture.shape[2]} channels, and the run learnt from images with {channels}; give a picture of "
            f"that kind, or a run that was trained with data.channels={picture.shape[2]}"
        )
    common.make_place(out)
    planes = convert(picture.transpose(2, 0, 1), channels, picture.dtype.itemsize, scale)
    peak = float(np.iinfo(picture.dtype).max)
    filled = inpainter.fill(torch.from_numpy(planes.astype(np.float32) / peak), hole).numpy()
    result = picture.copy()
    fill = filled.mean(0)[:, :, None] if picture.shape[2] == 1 else filled.transpose(1, 2, 0)
    result[hole] = np.rint(fill[hole] * peak / scale).astype(picture.dtype)  # as bright as the file has it
    whole = extras.laid_under(result, hole) if kept else result
    write_aside(out, _packed(whole, out, extras.saved(whole.shape[2])))
    beside = out.with_name(f"{out.stem}-beside.png")
    seen = picture.dtype.type(scale)
    _exhibit(picture * seen, result * seen, hole, inpainter.filler.mean.flatten().tolist(), beside)
    print(f"filled: {out} ({int(hole.sum()):,} of {hole.size:,} pixels)")
    print(f"side by side: {beside}")
    return Inpainting(out, beside, int(hole.sum()))


def load_inpainter(place: str | Path, device: torch.device) -> Inpainter:
    """The context encoder of a run, with the weights that it exports.

    Raises InputError for a folder that is no run, a run of another objective and one that has not begun to train.
    """
    run = Run.read(place)
    recipe = Recipe.load(run.path / "recipe.toml")
    settings = recipe.objective
    if not isinstance(settings, ContextEncoder.Config):
        raise InputError(
            f"{place}: is a run of '{recipe.objective.name}', which fills no holes; give a run of context_encoder "
            "(foretell pretrain DATA --objective context_encoder)"
        )
    last = checkpoint.of_weights(run)
    channels = (run.read_json("facts.json") or {}).get("data", {}).get("channels")
    views = settings.views
    if last is None or channels is None or views.side is None or views.mean is None or views.std is None:
        raise InputError(
            f"{place}: has no checkpoint yet; train it first: foretell pretrain --resume {shlex.quote(str(place))}"
        )
    state = checkpoint.load(last)["module"]
    with torch.random.fork_rng(devices=[]):  # their first weights are replaced: no draw of the caller's is used up
        encoder = build_encoder(recipe.encoder.model_copy(update={"weights": None}), channels, views.side)
        filler = filler_of(settings, encoder, views.side, views.mean, views.std)
    for name, module in (("encoder.", encoder), ("filler.", filler)):
        try:
            module.load_state_dict(
                {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
            )
        except RuntimeError as error:
            raise ForetellError(f"{last}: is of another network than {place}/recipe.toml says") from error
        module.eval().to(device)
    return Inpainter(encoder, filler, settings.mask)


def _free(folder: Path, stem: str) -> Path:
    """STEM.png in ``folder``, or STEM-2.png, ... where a filling or what stands beside one has that name."""
    names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    return next(
        folder / f"{name}.png"
        for name in names
        if not (folder / f"{name}.png").exists() and not (folder / f"{name}-beside.png").exists()
    )


def _told(image: Path, extras: Extras, kept: bool) -> list[str]:
    """What a person should know of how ``image`` is read and written; ``kept``: its transparency is."""
    told = []
    if extras.frames > 1:
        told.append(f"has {extras.frames:,} frames: the first is filled")
    if kept:
        told.append("transparent pixels are laid over white to be looked at, and stay transparent outside the hole")
    elif _transparent(image):
        told.append("transparent pixels are laid over white")
    if extras.mode in picture_extras.RECOLOURED:
        told.append(f"its {extras.mode} is written as RGB")
    return told


def _check_out(out: Path, image: Path, mask: str | Path | None) -> None:
    if out.suffix.lower() not in SAVED:
        raise InputError(
            f"{out}: cannot be written as '{out.suffix}' without changing pixels outside the hole; expected one of "
            f"{', '.join(SAVED)}"
        )
    for given in [image] if mask is None else [image, Path(mask)]:
        if out.absolute() == given.absolute():
            raise InputError(f"{out}: is the picture or the mask itself; choose another --out")


def _read(path: Path, data: DataConfig) -> tuple[Pixels, int]:
    """(as the file has it, what its values are multiplied by where ``data`` is read)."""
    pixels, scale = read_outside(path, LONGEST, data.medical.window, data.scale)
    if pixels.dtype == np.uint16 and pixels.shape[2] > 1:
        raise InputError(f"{path}: has 16 bits a channel in {pixels.shape[2]} channels; save it with 8, or in grey")
    return pixels, scale


def _transparent(path: Path) -> bool:
    try:
        with Image.open(path) as opened:
            return picture_extras.transparent(opened)
    except OSError:  # a kind of file that is not Pillow's
        return False


def _over_black(path: Path) -> NDArray[np.float32]:
    """(H, W) the largest channel in [0, 1]; what is transparent is black, since nothing is painted there."""
    pixels, _ = _read(path, DataConfig())
    shade: NDArray[np.float32] = pixels.max(2).astype(np.float32) / np.iinfo(pixels.dtype).max
    if not _transparent(path):
        return shade
    with Image.open(path) as opened:
        try:
            alpha = ImageOps.exif_transpose(opened).convert("RGBA").getchannel("A")
        except ValueError:
            raise InputError(
                f"{path}: is transparent in a mode that is not read ({opened.mode}); save the mask as 8-bit grey"
            ) from None
    shade -= 1 - np.asarray(alpha, np.float32) / np.float32(255)  # it was read laid over white
    return shade


def _hole(image: Path, picture: Pixels, mask: str | Path | None, box: str | None) -> Hole:
    """(H, W) bool. Raises InputError for none or two descriptions of it, and for a hole that cannot be filled."""
    height, width = picture.shape[:2]
    if (mask is None) == (box is None):
        raise InputError("where is the hole? Give one of --mask PNG and --box X,Y,W,H")
    if box is not None:
        return _box(box, image, height, width)
    path = Path(str(mask))
    shade = _over_black(path)
    if shade.shape[:2] != (height, width):
        raise InputError(
            f"{path}: is {shade.shape[1]} x {shade.shape[0]} pixels and {image} {width} x {height}; expected a mask of the "
            "picture's own size"
        )
    hole = np.asarray(shade > 0.5)
    if hole.all():
        raise InputError(
            f"{path}: covers the whole picture; leave some of it black, since a hole is filled from the rest"
        )
    if not hole.any():
        raise InputError(f"{path}: covers nothing; paint the hole white")
    return hole


def _box(box: str, image: Path, height: int, width: int) -> Hole:
    try:
        left, top, wide, high = (int(part) for part in box.split(","))
    except ValueError:
        raise InputError(f"--box {box}: expected four whole numbers X,Y,W,H, as 40,30,24,24") from None
    if wide < 1 or high < 1:
        raise InputError(f"--box {box}: has no pixel; expected a width and a height of at least 1")
    if left < 0 or top < 0 or left + wide > width or top + high > height:
        raise InputError(f"--box {box}: reaches beyond {image}, which is {width} x {height} pixels; move or shrink it")
    if wide == width and high == height:
        raise InputError(
            f"--box {box}: covers the whole picture; make it smaller, since a hole is filled from the rest"
        )
    hole = np.zeros((height, width), dtype=bool)
    hole[top : top + high, left : left + wide] = True
    return hole


def _packed(pixels: Pixels, out: Path, beside: dict[str, Any]) -> bytes:
    """The file of ``pixels`` (H, W, C), of one to four channels; ``beside``: what is saved with them."""
    buffer = io.BytesIO()
    kind = Image.registered_extensions()[out.suffix.lower()]
    saved = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    try:
        saved.save(buffer, kind, **SAVED[out.suffix.lower()], **beside)
    except (OSError, ValueError) as error:
        raise InputError(f"{out}: cannot hold this picture ({error}); give a name that ends in .png") from None
    return buffer.getvalue()


def _exhibit(picture: Pixels, result: Pixels, hole: Hole, mean: list[float], path: Path) -> None:
    """The picture, the picture with its hole, and the filled one; the hole has the mean the network sees there."""
    cut = picture.copy()
    shade = mean if picture.shape[2] == len(mean) else [sum(mean) / len(mean)]
    cut[hole] = np.rint(np.array(shade) * np.iinfo(picture.dtype).max).astype(picture.dtype)
    side = min(BESIDE, max(picture.shape[:2]))
    panels = [("picture", picture), ("hole", cut), ("filled", result)]
    shown = [(caption, fitted(pixels, side)[None]) for caption, pixels in panels]
    picture_grid(shown, path, scale=max(1, round(192 / side)), blocks=1)
