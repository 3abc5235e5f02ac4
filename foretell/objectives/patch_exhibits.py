"""Pictures of patch localisation: what is hidden, which patches lie near, and where the directions are sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foretell.counters import Rng, Rows, seed_of
from foretell.data.images import Images
from foretell.measures.intervals import t_interval
from foretell.objectives.base import Exhibit
from foretell.objectives.image import counted, learnt_from
from foretell.views.patches import DIRECTIONS, FLAT, NAMES, DrawnPatches, cut, draw_patches, pairs, render, resized

if TYPE_CHECKING:
    from foretell.data.store import ImageStore
    from foretell.objectives.patch_localization import PatchLocalization

SMALLEST, LARGEST = 48, 256  # px a side of a picture in an exhibit; others are enlarged or shrunk by a whole number
FIRST, SECOND, OUTSIDE = (0.0, 0.62, 0.45), (0.84, 0.37, 0.0), 0.5  # Okabe-Ito green and vermilion, mid grey
# dark blue to yellow, even in lightness: chance or less to certain
HEAT = torch.tensor([[0.05, 0.03, 0.3], [0.4, 0.0, 0.6], [0.8, 0.28, 0.47], [0.97, 0.6, 0.25], [0.95, 0.97, 0.15]])
STEPS = 3  # positions of the confidence map from one patch to its neighbour


def hidden_places(objective: PatchLocalization, batch: Images, rng: Rng, *, foretold: bool = False) -> Exhibit:
    """For each image one pair: where it was cut, all patches as the tower sees them, and the direction asked for.

    ``foretold``: how likely the network, once trained, holds each direction.
    """
    config, grid = objective.settled, objective.grid
    drawn = draw_patches(batch.sizes, batch.channels, config, rng)
    seen = render(batch, drawn, config, objective.views.std or (1.0,))
    places, labels, _ = pairs(grid)
    pair = torch.arange(len(batch)) * 7 % len(labels)
    image = torch.arange(len(batch))
    first, second = places[pair].unbind(1)
    framed = _canvas(batch, drawn)
    for row in range(len(batch)):
        for place, colour in ((first[row], FIRST), (second[row], SECOND)):
            _frame(framed[row], drawn.corners[row, place].tolist(), config.patch or 1, colour)
    answer = F.one_hot(labels[pair], 8).float()
    if foretold:
        answer = objective.foretell(seen.to(objective.weights.device)).cpu()[image, pair]
    panels = [
        ("image", _sized(framed)),
        ("as seen", _sized(_sheet(seen, grid))),
        ("first", _sized(_shown(seen[image, first]))),
        ("second", _sized(_shown(seen[image, second]))),
        ("foretold" if foretold else "answer", _compass(answer, labels[pair])),
    ]
    asked = "in which of eight directions the second lies from the first"
    if foretold:
        told = f"How likely the network holds each answer to the question {asked}: bright is likely, the true one is framed."
        return Exhibit("What it foretells", told, panels, name="foretold")
    told = (
        "Each patch is shown to the network without its place. Of a pair (the first framed green, the second orange) it must "
        f"say {asked}: the last column."
    )
    return Exhibit("What patch localisation sees", told, panels)


def findings(objective: PatchLocalization, store: ImageStore, rows: Any, seed: int) -> list[Exhibit]:
    """The exhibits made once after training, from images ``rows`` of ``store`` (at most 512 of those large enough)."""
    rows = objective.usable(store, rows)
    if len(rows) < 4:
        return []
    chosen = np.random.default_rng(seed_of(seed, "patch exhibits")).permutation(rows)[:512]
    few, chosen = np.sort(chosen[:8]), np.sort(chosen)
    found = embed_patches(objective, store, chosen, seed)
    answered = answers(objective, found)
    shown = hidden_places(objective, store.read(few), Rng(seed, 0, Rows.of_rank(len(few))), foretold=True)
    told = counted(len(chosen), learnt_from(store, chosen, objective.store))
    shown.caption += f" {answered.sentence} Measured on {told}."
    shown.headline = f"Asked in which of eight directions a patch lies, i{answered.sentence[1:]}"
    shown.table = answered.table()
    confidence = confidence_map(objective, store, few, answered.by_direction, len(chosen))
    if len(np.unique(found["row"][~found["flat"]])) > 1:
        return [shown, nearest_patches(objective, store, found, seed), confidence]
    shown.caption += (
        f" Nearest patches are not shown: {int(found['flat'].sum()):,} of {len(found['flat']):,} patches are blank, and those "
        "left are of one image at most."
    )
    return [shown, confidence]


@dataclass(frozen=True)
class Answers:
    """Of each image (N,) the share of its pairs whose direction is answered rightly, and the mean probability of the true
    one, in which the eight directions count alike; ``by_direction`` (8,): that probability for each of them.
    """

    right: NDArray[np.float64]
    probability: NDArray[np.float64]
    by_direction: NDArray[np.float64]

    @property
    def sentence(self) -> str:
        found = t_interval(self.right.tolist())
        beside = "" if (found.mean if math.isnan(found.low) else found.low) > 1 / 8 else ": no better than chance"
        return f"It answers {_interval(self.right, '95% interval over images ')} of the pairs rightly; chance is {1 / 8:.1%}{beside}."

    def table(self) -> list[tuple[str, ...]]:
        return [
            ("over all images that were measured", "mean (95% interval over images)", "chance"),
            ("direction answered rightly", _interval(self.right), f"{1 / 8:.1%}"),
            ("probability of the true direction", _interval(self.probability), f"{1 / 8:.1%}"),
        ]


def _interval(shares: NDArray[np.float64], words: str = "") -> str:
    found = t_interval(shares.tolist()).within(0.0, 1.0)
    return f"{found.mean:.1%} ({words}{found.low:.1%} to {found.high:.1%})"


@torch.no_grad()
def answers(objective: PatchLocalization, found: dict[str, Tensor], batch: int = 64) -> Answers:
    """The answers for all pairs of each image's patches ``found``, as ``embed_patches`` gives them."""
    objective.eval()
    device, label = objective.weights.device, objective.labels
    fc6 = found["fc6"].view(-1, objective.grid**2, found["fc6"].shape[1])
    parts: dict[str, list[Tensor]] = {"right": [], "true": []}
    for start in range(0, len(fc6), batch):
        likely = objective.fusion(fc6[start : start + batch].to(device), objective.places).float().softmax(-1)
        parts["right"].append((likely.argmax(-1) == label).double())
        parts["true"].append(likely.gather(-1, label.expand(len(likely), -1)[..., None])[..., 0].double())
    right, true = (torch.cat(part) for part in parts.values())
    weights = objective.weights.double()
    by_direction = torch.stack([true[:, label == number].mean() for number in range(8)])
    return Answers((right @ weights).cpu().numpy(), (true @ weights).cpu().numpy(), by_direction.cpu().numpy())


# nearest patches -----------------------------------------------------------------------------------------------------


def embed_patches(
    objective: PatchLocalization, store: ImageStore, rows: Any, seed: int, batch: int = 64
) -> dict[str, Tensor]:
    """The patches of one random grid in each of ``rows``: N = len(rows) x grid^2 rows of

    ``fc6`` (N, D) in evaluation mode, ``pixels`` (N, C, p, p) in [0, 1] as cut, ``row`` (N,) of the store, ``place`` (N, 2)
    the centre (y, x) as a share of the image's height and width, ``flat`` (N,) bool: a deviation under two grey levels.
    """
    objective.eval()
    device = objective.weights.device
    config = objective.settled
    assert config.patch is not None
    parts: dict[str, list[Tensor]] = {name: [] for name in ("fc6", "pixels", "row", "place", "flat")}
    for start in range(0, len(rows), batch):
        images = store.read(rows[start : start + batch])
        rng = Rng(seed_of(seed, "patches"), start, Rows.of_rank(len(images)))
        drawn = draw_patches(images.sizes, images.channels, config, rng)
        seen = render(images, drawn, config, objective.views.std or (1.0,)).flatten(0, 1)
        shown = DrawnPatches(drawn.corners, drawn.sizes, drawn.resized, drawn.coarse)
        pixels = _as_cut(images, shown, config.patch)
        with torch.no_grad():
            parts["fc6"].append(objective.tower(seen.to(device)).float().cpu())
        parts["pixels"].append(pixels)
        parts["row"].append(images.index.repeat_interleave(drawn.corners.shape[1]))
        centre = (drawn.corners + config.patch / 2) / drawn.sizes[:, None]
        parts["place"].append(centre.flatten(0, 1).float())
        parts["flat"].append(pixels.flatten(1).std(1) < 2 * FLAT)
    return {name: torch.cat(part) for name, part in parts.items()}


def agreement(found: dict[str, Tensor], classes: Tensor | None, grid: int, k: int = 1) -> dict[str, Any]:
    """How often the ``k`` nearest patches of other images have the same class and lie in the same place.

    ``found`` as ``embed_patches`` gives it; ``classes`` (N,) int64 of each patch's image, -1 for none. Nearest by the
    correlation of fc6 (section 4.1); a place is a cell of ``grid`` x ``grid`` of the image; flat patches are left out.
    {"class", "place": share of neighbours that agree, of those whose class is known; "class_base", "place_base": the share
    among all such patches of other images; "nearest": (Q, k) and "kept": (Q,) rows of ``found``; "flat": how many are left
    out}; None where no class is known.
    """
    kept = (~found["flat"]).nonzero()[:, 0]
    vectors = found["fc6"][kept]
    vectors = F.normalize(vectors - vectors.mean(1, keepdim=True), dim=1)
    row = found["row"][kept]
    cell = (found["place"][kept] * grid).long().clamp(0, grid - 1)
    cell = cell[:, 0] * grid + cell[:, 1]
    code = None if classes is None else classes[kept]
    nearest = []
    sums = {f"{name}{part}": 0.0 for name in ("class", "place") for part in ("", "_near", "_all", "_pairs")}
    for start in range(0, len(kept), 1024):
        part = slice(start, start + 1024)
        other = row[part, None] != row[None]
        likeness = (vectors[part] @ vectors.T).masked_fill_(~other, -torch.inf)
        near = likeness.topk(min(k, len(kept) - 1), dim=1).indices
        nearest.append(near)
        for name, value in (("place", cell), ("class", code)):
            if value is None:
                continue
            known = value >= 0
            asked = known[part, None] & known[None] & other
            same = (value[part, None] == value[None]) & asked
            sums[f"{name}_all"] += float(same.sum())
            sums[f"{name}_pairs"] += float(asked.sum())
            sums[name] += float(same.gather(1, near).sum())
            sums[f"{name}_near"] += float(asked.gather(1, near).sum())
    top = torch.cat(nearest)
    result: dict[str, Any] = {"nearest": kept[top], "kept": kept, "flat": int(found["flat"].sum())}
    for name in ("class", "place"):
        near_by, counted = sums[f"{name}_near"], sums[f"{name}_pairs"]
        result[name] = sums[name] / near_by if near_by else None
        result[f"{name}_base"] = sums[f"{name}_all"] / counted if counted else None
    return result


def nearest_patches(
    objective: PatchLocalization,
    store: ImageStore,
    found: dict[str, Tensor],
    seed: int,
    *,
    queries: int = 10,
    k: int = 6,
) -> Exhibit:
    """Random patches of ``found`` (see ``embed_patches``) with their nearest in other images, and whether class or place is
    what they share. Those of two images at least must not be flat.
    """
    own = np.unique(found["row"][~found["flat"]], return_counts=True)[1]
    k = min(k, int(own.sum() - own.max()))  # so many has each in other images at least
    classes = None
    if "label" in store.table:
        codes = torch.as_tensor(np.asarray(store.table.codes("label")[0]), dtype=torch.int64)
        classes = codes[found["row"]]
    measured = agreement(found, classes, objective.grid, k)
    kept, nearest = measured["kept"], measured["nearest"]
    asked = np.random.default_rng(seed_of(seed, "queries")).permutation(len(kept))[:queries]
    panels = [("patch", _sized(found["pixels"][kept[asked]]))]
    panels += [
        ("nearest" if n == 0 else f"{n + 1}.", _sized(found["pixels"][nearest[asked, n]]))
        for n in range(nearest.shape[1])
    ]
    table: list[tuple[str, ...]] = [
        ("nearest patches share with the patch asked about", "agree", "base rate", "times the base rate")
    ]
    for name, words in (
        ("class", "the class of the image"),
        ("place", f"the place, of {objective.grid} x {objective.grid}"),
    ):
        if measured[name] is not None:
            base = measured[f"{name}_base"]
            table.append(
                (words, f"{measured[name]:.1%}", f"{base:.1%}", f"{measured[name] / base:.2f}" if base else "–")
            )
    return Exhibit(
        "Patches that are near to the tower",
        f"Patches of {len(np.unique(found['row'])):,} images and their nearest in other images by the correlation of fc6. Where places agree "
        "far more often than classes, the tower has learnt where a patch lies and not what it shows."
        + (f" {measured['flat']:,} blank patches are left out." if measured["flat"] else ""),
        panels,
        name="nearest-patches",
        table=table,
    )


# confidence ----------------------------------------------------------------------------------------------------------


def confidence_map(
    objective: PatchLocalization, store: ImageStore, rows: Any, by_direction: NDArray[np.float64], images_measured: int
) -> Exhibit:
    """How likely the tower holds the true direction of a neighbour, by the place of the patch it is seen from.

    ``by_direction`` (8,): the mean over ``images_measured`` images, for the table.
    """
    images = store.read(rows)
    drawn, steps = _lattice(objective, images)
    panels = [("image", _sized(_canvas(images, drawn)))]
    maps = _confidence(objective, images, drawn, steps)
    panels.append(("all eight", _sized(_heat(images, drawn, maps.nanmean(1)))))
    for label, name in enumerate(NAMES):
        panels.append((name, _sized(_heat(images, drawn, maps[:, label]))))
    return Exhibit(
        "Where directions are foretold with confidence",
        "The brighter a place, the more likely the network holds the true direction of a neighbour when it looks from "
        "there: dark blue is chance (one in eight) or less, yellow is certain. The table is of all images that were measured.",
        panels,
        name="confidence",
        table=[
            ("direction of the neighbour", *NAMES),
            (f"mean probability of the true one, {images_measured:,} images", *(f"{v:.1%}" for v in by_direction)),
        ],
    )


def _lattice(objective: PatchLocalization, images: Images) -> tuple[DrawnPatches, tuple[int, int]]:
    """Patches at every third of the way to a neighbour, all over the smallest image of the batch; (rows, columns)."""
    config = objective.settled
    assert config.patch is not None
    assert config.gap is not None
    sizes = images.sizes
    if config.area is not None:
        middle = (sum(config.area) / 2 / sizes.prod(1)).sqrt()
        sizes = (sizes * middle[:, None]).round().long()
    stride = (config.patch + config.gap) / STEPS
    counts = ((sizes.amin(0) - config.patch) / stride).floor().long() + 1
    down, across = ((torch.arange(int(count)) * stride).round().long() for count in counts)
    grid = torch.stack(torch.meshgrid(down, across, indexing="ij"), -1).view(1, -1, 2)
    slack = sizes - torch.tensor([int(down[-1]), int(across[-1])]) - config.patch
    corners = grid + (slack // 2)[:, None]
    coarse = torch.full(corners.shape[:2], config.patch)
    drawn = DrawnPatches(corners, sizes, config.area is not None, coarse)
    if config.colour == "drop" and images.channels > 1:
        drawn.keep = torch.ones_like(coarse)  # green, for all alike
        shape = (*corners.shape[:2], images.channels - 1, config.patch, config.patch)
        drawn.noise = torch.zeros(shape)
    return drawn, (len(down), len(across))


def _confidence(objective: PatchLocalization, images: Images, drawn: DrawnPatches, steps: tuple[int, int]) -> Tensor:
    """(B, 8, rows, columns) probability of each direction at the patch it is seen from; nan where there is no neighbour."""
    objective.eval()
    device = objective.weights.device
    rows, columns = steps
    place = torch.arange(rows * columns).view(rows, columns)
    maps = torch.full((len(images), 8, rows, columns), torch.nan)
    with torch.no_grad():
        seen = render(images, drawn, objective.settled, objective.views.std or (1.0,))
        fc6 = objective.tower(seen.flatten(0, 1).to(device)).view(*seen.shape[:2], -1)
        for label, (dx, dy) in enumerate(DIRECTIONS):
            top, left = max(0, -dy) * STEPS, max(0, -dx) * STEPS
            bottom, right = rows - max(0, dy) * STEPS, columns - max(0, dx) * STEPS
            if bottom <= top or right <= left:
                continue
            first = place[top:bottom, left:right]
            second = place[top + dy * STEPS : bottom + dy * STEPS, left + dx * STEPS : right + dx * STEPS]
            both = torch.stack([first.flatten(), second.flatten()], 1).to(device)
            found = objective.fusion(fc6, both).float().softmax(-1)[..., label]
            maps[:, label, top:bottom, left:right] = found.cpu().view(len(images), bottom - top, right - left)
    return maps


# drawing -------------------------------------------------------------------------------------------------------------


def _as_cut(images: Images, drawn: DrawnPatches, patch: int) -> Tensor:
    """(N, C, p, p) in [0, 1]: the patches before anything is done to them."""
    whole = _whole(images, drawn)
    return cut(whole, drawn.corners, patch).flatten(0, 1).clamp_(0, 1)


def _whole(images: Images, drawn: DrawnPatches) -> Tensor:
    """(B, C, H, W) in [0, 1] at the sizes the patches were cut at."""
    return resized(images, drawn.sizes) / images.peak if drawn.resized else images.float()


def _canvas(images: Images, drawn: DrawnPatches) -> Tensor:
    """(B, 3, H, W) in [0, 1], mid grey beyond each image's own size."""
    whole = _whole(images, drawn).clamp(0, 1)
    colour = whole[:, :3] if whole.shape[1] >= 3 else whole[:, :1].expand(-1, 3, -1, -1)
    return torch.where(_inside(drawn, colour.shape[2:]), colour, OUTSIDE).contiguous()


def _inside(drawn: DrawnPatches, size: torch.Size) -> Tensor:
    """(B, 1, H, W) bool: within each image's own size."""
    down, across = (torch.arange(length) < drawn.sizes[:, axis, None] for axis, length in enumerate(size))
    return (down[:, :, None] & across[:, None, :])[:, None]


def _sized(pictures: Tensor) -> Tensor:
    """Pictures (B, C, H, W) of a size to be looked at; enlarged ones show their pixels."""
    longest = max(pictures.shape[2:])
    if longest < SMALLEST:
        factor = -(-SMALLEST // longest)
        return pictures.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    factor = -(-longest // LARGEST)
    return F.avg_pool2d(pictures, factor) if factor > 1 else pictures


def _frame(picture: Tensor, corner: list[int], patch: int, colour: tuple[float, float, float]) -> None:
    """Draw the outline of a patch into (3, H, W)."""
    thick = max(1, patch // 16)
    (y, x), paint = corner, torch.tensor(colour)[:, None, None]
    picture[:, y : y + thick, x : x + patch] = paint
    picture[:, y + patch - thick : y + patch, x : x + patch] = paint
    picture[:, y : y + patch, x : x + thick] = paint
    picture[:, y : y + patch, x + patch - thick : x + patch] = paint


def _shown(seen: Tensor) -> Tensor:
    """Normalised patches (..., C, p, p) as pictures: two deviations about mid grey."""
    return (0.5 + 0.25 * seen).clamp(0, 1)


def _sheet(seen: Tensor, grid: int) -> Tensor:
    """(B, C, side, side): each image's patches (B, K, C, p, p) beside each other, apart by lines of mid grey."""
    shown = F.pad(_shown(seen), (0, 2, 0, 2), value=OUTSIDE)
    batch, _, channels, side, _ = shown.shape
    rows = shown.view(batch, grid, grid, channels, side, side).permute(0, 3, 1, 4, 2, 5)
    return rows.reshape(batch, channels, grid * side, grid * side)[:, :, :-2, :-2]


def _compass(probability: Tensor, truth: Tensor, cell: int = 16) -> Tensor:
    """(B, 3, 3 cell, 3 cell): ``probability`` (B, 8) as heat around the first patch, the ``truth`` (B,) framed."""
    out = torch.full((len(probability), 3, 3 * cell, 3 * cell), OUTSIDE)
    for label, (dx, dy) in enumerate(DIRECTIONS):
        y, x = (dy + 1) * cell, (dx + 1) * cell
        out[:, :, y : y + cell, x : x + cell] = _warm(probability[:, label])[:, :, None, None]
        for row in (truth == label).nonzero()[:, 0].tolist():
            _frame(out[row], [y, x], cell, SECOND)
    for row in range(len(out)):
        _frame(out[row], [cell, cell], cell, FIRST)
    return out


def _warm(probability: Tensor) -> Tensor:
    """(N,) probabilities -> (N, 3) colours: an eighth or less is the darkest."""
    share = ((probability - 1 / 8) / (1 - 1 / 8)).clamp(0, 1) * (len(HEAT) - 1)
    low = share.floor().long().clamp(max=len(HEAT) - 2)
    return torch.lerp(HEAT[low], HEAT[low + 1], (share - low)[:, None])


def _heat(images: Images, drawn: DrawnPatches, values: Tensor) -> Tensor:
    """(B, 3, H, W): ``values`` (B, rows, columns) of the patches as heat over the image in grey."""
    canvas = _canvas(images, drawn).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    height, width = canvas.shape[2:]
    total, count = torch.zeros(2, len(values), height, width).unbind(0)
    side = int(drawn.coarse.flatten()[0])
    for row in range(len(values)):
        for (y, x), value in zip(drawn.corners[row].tolist(), values[row].flatten().tolist(), strict=True):
            if value == value:
                total[row, y : y + side, x : x + side] += value
                count[row, y : y + side, x : x + side] += 1
    mean = total / count.clamp(min=1)
    colour = _warm(mean.flatten()).view(len(values), height, width, 3).permute(0, 3, 1, 2)
    return torch.where((count > 0)[:, None], 0.3 * canvas + 0.7 * colour, 0.6 * canvas)
