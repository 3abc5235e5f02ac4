"""Pictures for a person: grids of images, nearest neighbours and the two-dimensional map of the embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Tensor

from foretell.counters import seed_of
from foretell.errors import ForetellError
from foretell.report import words
from foretell.report.parts import BETWEEN
from foretell.run import Run

Array = npt.NDArray[Any]

SAME = (0, 158, 115, 255)  # Okabe-Ito bluish green
OTHER = (213, 94, 0, 255)  # Okabe-Ito vermilion
CAPTION = (124, 124, 124, 255)  # readable on white and on near black: the gutters are transparent
GAP = 4


class Store(Protocol):
    """What the exhibits need of an image store."""

    def __len__(self) -> int: ...
    def image(self, i: int) -> Any: ...


def colours(pictures: Tensor) -> tuple[Tensor, str]:
    """(B, C, H, W) in [0, 1] with any C as (B, 3, H, W), and what was done to the channels ("" for grey and RGB).

    One channel is shown grey, three as RGB, two as their mean, more by the first three.
    """
    channels = pictures.shape[1]
    if channels == 3:
        return pictures, ""
    if channels == 1:
        return pictures.expand(-1, 3, -1, -1), ""
    if channels == 2:
        return pictures.mean(1, keepdim=True).expand(-1, 3, -1, -1), "shown: the mean of the 2 channels"
    return pictures[:, :3], f"shown: the first three of {channels} channels as red, green and blue"


def _tile(picture: Tensor, scale: int) -> Image.Image:
    """(3, H, W) in [0, 1] -> a picture enlarged ``scale`` times without smoothing: what is seen are the pixels."""
    pixels = picture.detach().float().nan_to_num(0).clamp(0, 1).mul(255).round().to(torch.uint8)
    tile = Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
    return tile.resize((tile.width * scale, tile.height * scale), Image.Resampling.NEAREST)


def _fitted(text: str, font: Any, width: int) -> str:
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-2].rstrip() + "…"
    return text


def _lines(text: str, font: Any, width: int) -> list[str]:
    """``text`` broken between words into lines of ``width`` pixels; a word that is wider alone is cut."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(_fitted(word, font, width))
    return lines


def _save(sheet: Image.Image, path: Path, **told: str) -> None:
    comment = PngImagePlugin.PngInfo()
    for key, value in told.items():
        if value:
            comment.add_itxt(key, value)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, optimize=True, pnginfo=comment)
    except OSError as error:
        raise ForetellError(f"{path}: could not be written ({error.strerror or error})") from error


def picture_grid(panels: Sequence[tuple[str, Tensor]], path: Path, scale: int = 2, blocks: int | None = None) -> str:
    """Write ``panels`` as one PNG: one column a panel, one row a sample; the gutters are transparent.

    ``panels`` are (caption, (B, C, H, W) float in [0, 1]); a panel may have fewer samples or another size than its
    neighbours. ``scale`` enlarges the pixels. Many samples are wrapped into ``blocks`` of rows side by side (default:
    as many as make the sheet about twice as wide as high). A caption is broken into lines of its column. Returns what
    was done to the channels, "" for grey and RGB; a note is drawn under the pictures too, and captions and note are
    kept as text in the PNG. Raises ValueError when there is nothing to show.
    """
    shown = [(caption, *colours(pictures)) for caption, pictures in panels if len(pictures)]
    if not shown:
        raise ValueError("no pictures to show")
    notes = sorted({note for _, _, note in shown if note})
    cell_w = max(pictures.shape[3] for _, pictures, _ in shown) * scale
    cell_h = max(pictures.shape[2] for _, pictures, _ in shown) * scale
    samples = max(len(pictures) for _, pictures, _ in shown)
    if blocks is None:
        blocks = max(1, min(samples, round(math.sqrt(2 * samples * cell_h / (len(shown) * cell_w)))))
    rows = math.ceil(samples / blocks)
    blocks = math.ceil(samples / rows)

    points = max(11, min(20, cell_w // 6))
    font: Any = ImageFont.load_default(size=points)  # with metrics, as Pillow has FreeType
    line, gap = sum(font.getmetrics()), int(points * 0.3)
    head = max((line * len(_lines(caption, font, cell_w)) + gap for caption, _, _ in shown if caption), default=0)
    block_w = len(shown) * (cell_w + GAP) - GAP
    width = blocks * (block_w + BETWEEN) - BETWEEN
    height = head + rows * (cell_h + GAP) - GAP
    told = _lines("; ".join(notes), font, block_w)
    sheet = Image.new("RGBA", (width, height + line * len(told) + gap * bool(told)), (0, 0, 0, 0))
    draw = ImageDraw.Draw(sheet)
    for block in range(blocks):
        for column, (caption, pictures, _) in enumerate(shown):
            left = block * (block_w + BETWEEN) + column * (cell_w + GAP)
            if caption:
                lines = _lines(caption, font, cell_w)
                for number, part in enumerate(lines):
                    draw.text((left, head - gap - line * (len(lines) - number)), part, fill=CAPTION, font=font)
            for row in range(rows):
                sample = block * rows + row
                if sample < len(pictures):
                    sheet.paste(_tile(pictures[sample], scale), (left, head + row * (cell_h + GAP)))
    for number, part in enumerate(told):
        draw.text((0, height + gap + number * line), part, fill=CAPTION, font=font)
    captions = words.listed([caption for caption, _, _ in shown if caption], len(shown))
    _save(sheet, Path(path), Panels=captions, Description="; ".join(notes), Blocks=str(blocks) if blocks > 1 else "")
    return "; ".join(notes)


def _frame(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], same: bool, thick: int) -> None:
    """The whole frame for the same class, four corners only for another: told apart without colour, too."""
    left, top, right, bottom = box
    if same:
        draw.rectangle(box, outline=SAME, width=thick)
        return
    arm = max(thick * 2, (right - left) // 5)
    for x, step_x in ((left, 1), (right, -1)):
        for y, step_y in ((top, 1), (bottom, -1)):
            for dx, dy in ((arm, thick - 1), (thick - 1, arm)):
                xs, ys = sorted((x, x + step_x * dx)), sorted((y, y + step_y * dy))
                draw.rectangle((xs[0], ys[0], xs[1], ys[1]), fill=OTHER)


def neighbours_grid(
    queries: Tensor, neighbours: Tensor, same: Sequence[Sequence[bool | None]] | None, path: Path, scale: int = 2
) -> str:
    """Write each query and its nearest neighbours, left to right, as one PNG; returns the note on the channels.

    ``queries`` (Q, C, H, W) and ``neighbours`` (Q, K, C, H, W) are float in [0, 1]. ``same`` (Q, K): neighbours of
    the query's class get a whole green frame, others four vermilion corners, and those without a label (None) no frame;
    None (no labels): no frames.
    """
    count, k = neighbours.shape[:2]
    shown, note = colours(queries)
    others = colours(neighbours.flatten(0, 1))[0].reshape(count, k, 3, *neighbours.shape[3:])
    cell_w, cell_h = queries.shape[3] * scale, queries.shape[2] * scale
    thick = max(2, cell_w // 24)
    pitch_w, pitch_h = cell_w + 2 * thick + GAP, cell_h + 2 * thick + GAP
    points = max(11, min(20, cell_w // 6))
    font: Any = ImageFont.load_default(size=points)  # with metrics, as Pillow has FreeType
    head, aside = int(points * 1.7), 4 * GAP
    sheet = Image.new("RGBA", ((k + 1) * pitch_w + aside - GAP, head + count * pitch_h - GAP), (0, 0, 0, 0))
    draw = ImageDraw.Draw(sheet)
    draw.text((thick, 0), _fitted("query", font, cell_w + thick), fill=CAPTION, font=font)
    draw.text((pitch_w + aside + thick, 0), "nearest first", fill=CAPTION, font=font)
    for row in range(count):
        top = head + row * pitch_h
        sheet.paste(_tile(shown[row], scale), (thick, top + thick))
        for place in range(k):
            left = (place + 1) * pitch_w + aside
            sheet.paste(_tile(others[row, place], scale), (left + thick, top + thick))
            alike = None if same is None else same[row][place]
            if alike is not None:
                box = (left, top, left + cell_w + 2 * thick - 1, top + cell_h + 2 * thick - 1)
                _frame(draw, box, bool(alike), thick)
    _save(sheet, Path(path), Description=note)
    return note


def fitted(array: Array, side: int) -> Tensor:
    """An image (H, W, C) or (H, W), uint8, uint16 or float in [0, 1], whole inside (C, side, side), float in [0, 1].

    The longer side becomes ``side`` (antialiased), the rest is mid grey.
    """
    peak = float(np.iinfo(array.dtype).max) if np.issubdtype(array.dtype, np.integer) else 1.0
    image = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32) / peak)
    image = image[..., None] if image.ndim == 2 else image
    image = image.permute(2, 0, 1)
    height, width = image.shape[1:]
    ratio = side / max(height, width)
    size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    if size != (height, width):
        image = torch.nn.functional.interpolate(image[None], size, mode="bilinear", antialias=ratio < 1)[0]
    canvas = torch.full((image.shape[0], side, side), 0.5)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    canvas[:, top : top + size[0], left : left + size[1]] = image
    return canvas


def _unit(features: Any) -> npt.NDArray[np.float32]:
    rows = np.asarray(features.cpu() if isinstance(features, Tensor) else features, dtype=np.float32)
    rows = np.nan_to_num(rows.reshape(len(rows), -1))
    unit: npt.NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def _codes(labels: Any, length: int) -> npt.NDArray[np.int64] | None:
    if labels is None:
        return None
    codes = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels, dtype=np.int64)
    if len(codes) != length:
        raise ValueError(f"{len(codes)} labels for {length} rows of features")
    return codes if (codes >= 0).any() else None


def spread(codes: npt.NDArray[np.int64] | None, length: int, take: int, seed: int) -> npt.NDArray[np.int64]:
    """``take`` of ``length`` rows, even over the classes (-1 is one, too), sorted by class; no other state is read."""
    order = np.random.default_rng(seed).permutation(length)
    if codes is None:
        return np.sort(order[:take])
    rank = np.zeros(len(order), dtype=np.int64)  # how many rows of its class come before a row
    seen: dict[int, int] = {}
    for place, row in enumerate(order):
        code = int(codes[row])
        rank[place] = seen.get(code, 0)
        seen[code] = int(rank[place]) + 1
    chosen = order[np.argsort(rank, kind="stable")][:take]
    return chosen[np.lexsort((chosen, codes[chosen]))]


def write_map(
    run: Run,
    features: Any,
    labels: Any = None,
    classes: Sequence[str] | None = None,
    *,
    names: Sequence[str] | None = None,
    most: int = 2000,
    seed: int = 0,
    part: str | None = None,
) -> dict[str, Any]:
    """Write results/map.json: ``features`` (N, D) in two dimensions by PCA (at most 50 components), then t-SNE.

    ``labels`` (N,) int, -1 for missing, index ``classes``; None when there are none. At most ``most`` rows are drawn,
    evenly over the classes, by ``seed``. Trustworthiness (Venna and Kaski 2001; 1 is best, 12 neighbours) is written
    too, since a map can mislead. With fewer than 10 rows the map is PCA alone. ``part`` of the data that the rows are,
    "train", "test" or "all", is kept for the page. Returns what was written.
    Raises ValueError with fewer than 3 rows.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE, trustworthiness

    unit = _unit(features)
    codes = _codes(labels, len(unit))
    take = spread(codes, len(unit), min(most, len(unit)), seed_of(seed, "map"))
    rows = unit[take]
    if len(rows) < 3:
        raise ValueError("a map needs 3 samples or more")
    reduced = PCA(min(50, *rows.shape), svd_solver="full").fit_transform(rows)
    method, placed = "PCA", reduced[:, :2]
    if len(rows) >= 10 and reduced.shape[1] > 2:
        perplexity = min(30.0, (len(rows) - 1) / 3)
        method = f"PCA to {reduced.shape[1]} dimensions, then t-SNE with perplexity {perplexity:.3g}"
        placed = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, max_iter=500).fit_transform(reduced)
    if placed.shape[1] < 2:
        placed = np.column_stack([placed, np.zeros(len(placed))])
    kept = None
    if len(rows) >= 50:
        kept = float(trustworthiness(rows, placed, n_neighbors=12))
    written = {
        "method": method,
        "trustworthiness": kept,
        "count": len(unit),
        "x": [round(float(x), 3) for x in placed[:, 0]],
        "y": [round(float(y), 3) for y in placed[:, 1]],
        "label": codes[take].tolist() if codes is not None else [-1] * len(take),
        "classes": list(classes or []) if codes is not None else [],
        "index": take.tolist(),
        "part": part,
        "names": [names[row] for row in take] if names is not None else None,
    }
    run.write_json("results/map.json", written)
    return written


def write_neighbours(
    run: Run,
    store: Store,
    features: Any,
    labels: Any = None,
    *,
    apart: Array | None = None,
    queries: int = 8,
    k: int = 8,
    side: int | None = None,
    seed: int = 0,
    labels_fingerprint: str | None = None,
    part: str | None = None,
) -> dict[str, Any]:
    """Write results/neighbours.json and exhibits/neighbours.png: a few samples and their nearest others by cosine.

    Row i of ``features`` (N, D) and ``labels`` (N,) int, -1 for missing, is image i of ``store``. Queries are drawn
    evenly over the classes by ``seed``; a sample is never its own neighbour, nor is one with the same number in ``apart``
    (N,), as of its patient. ``k`` is cut to what every query has. ``same`` of a neighbour without a label
    is None, and ``share`` is how many of the labelled neighbours have their query's class (None without any).
    ``side``: pixels of a picture (default: the store's usual side, at most 96). ``labels_fingerprint`` names the labels, to be
    kept with what they say; ``part`` as ``write_map`` has it.
    Raises ValueError when a query has no neighbour.
    """
    unit = _unit(features)
    if len(unit) != len(store):
        raise ValueError(f"{len(unit)} rows of features for {len(store)} images")
    codes = _codes(labels, len(unit))
    may_ask = np.arange(len(unit)) if codes is None else np.flatnonzero(codes >= 0)
    drawn = spread(
        None if codes is None else codes[may_ask],
        len(may_ask),
        min(queries, len(may_ask)),
        seed_of(seed, "neighbours"),
    )
    asked = may_ask[drawn]
    likeness = unit[asked] @ unit.T
    own = np.arange(len(unit)) if apart is None else apart
    likeness[own[asked][:, None] == own] = -np.inf
    k = min(k, int((likeness > -np.inf).sum(axis=1).min()))
    if k < 1:
        raise ValueError("nearest neighbours need 2 samples or more that are apart")
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
    same: list[list[bool | None]] | None = None
    if codes is not None:
        same = [
            [bool(codes[i] == codes[query]) if codes[i] >= 0 else None for i in row]
            for query, row in zip(asked, nearest, strict=True)
        ]
    known = [hit for row in same or [] for hit in row if hit is not None]

    side = side or min(96, int(getattr(store, "usual_side", 64)))
    scale = max(1, round(72 / side))
    shown = torch.stack([fitted(store.image(int(i)), side) for i in asked])
    found = torch.stack([torch.stack([fitted(store.image(int(j)), side) for j in row]) for row in nearest])
    note = neighbours_grid(shown, found, same, run.path / "exhibits" / "neighbours.png", scale)
    written = {
        "rows": [
            {
                "query": int(query),
                "neighbours": nearest[row].tolist(),
                "similarity": [round(float(value), 4) for value in likeness[row, nearest[row]]],
                "same": None if same is None else same[row],
            }
            for row, query in enumerate(asked)
        ],
        "share": sum(known) / len(known) if known else None,
        "apart": apart is not None,
        "note": note,
        "labels_fingerprint": labels_fingerprint,
        "part": part,
    }
    run.write_json("results/neighbours.json", written)
    return written
