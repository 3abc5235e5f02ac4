"""Masks: their area within the bounds, 1 on dropped pixels, one a sample, and a function of the counters."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from foretell.counters import Rng, Rows
from foretell.views.masks import (
    MaskConfig,
    block_masks,
    centre_mask,
    draw_masks,
    error_weights,
    region_masks,
    widened,
)

KINDS = ("centre", "block", "region")


def rng(step: int = 0, count: int = 64, start: int = 0, stop: int | None = None) -> Rng:
    return Rng(3, step, Rows(start, count if stop is None else stop, count))


def components(mask: torch.Tensor) -> int:
    from scipy.ndimage import label

    return int(label(mask.numpy())[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [28, 64, 65])
def test_masks_are_zero_or_one_and_leave_something_to_see(kind: str, side: int) -> None:
    masks = draw_masks(MaskConfig(kind=kind), rng(), "mask", side)
    assert masks.shape == (64, 1, side, side)
    assert masks.dtype == torch.float32
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    dropped = masks.flatten(1).sum(1)
    assert dropped.min() >= 1
    assert dropped.max() < side * side


def test_the_centre_is_half_the_side_less_the_overlap() -> None:
    """56 of the 64 foretold pixels of a 128 px image, as in the authors' code."""
    mask = centre_mask(128, 4)[0, 0]
    assert mask[36:92, 36:92].all()
    assert mask.sum() == 56 * 56
    assert draw_masks(MaskConfig(kind="centre"), rng(count=2), "mask", 128)[1, 0].equal(mask)
    assert widened(mask[None, None], 4).sum() == 64 * 64
    with pytest.raises(ValueError, match="leaves nothing"):
        centre_mask(28, 7)


@pytest.mark.parametrize("share", [0.02, 0.25, 0.5])
def test_blocks_stay_within_their_share(share: float) -> None:
    masks = block_masks(rng(count=300), "mask", 64, share)
    shares = masks.flatten(1).mean(1)
    assert shares.max() <= share
    assert shares.min() > 0
    assert shares.mean() > 0.5 * share
    assert any(components(mask[0]) > 1 for mask in masks) or share < 0.1


def test_one_small_block_is_a_square() -> None:
    masks = block_masks(rng(), "mask", 32, 9 / 1024)
    for mask in masks[:, 0]:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        assert mask.sum() == len(rows) * len(columns)
        assert len(rows) == len(columns) == 3


@pytest.mark.parametrize("area", [(0.2, 0.3), (0.05, 0.05), (0.6, 0.9)])
def test_regions_stay_within_their_area(area: tuple[float, float]) -> None:
    """The bounds are for every single mask; 0.05 is within a pixel of 64 x 64."""
    low, high = area
    shares = region_masks(rng(count=300), "mask", 64, (low, high + 1 / 4096), 0.06).flatten(1).mean(1)
    assert shares.min() >= low
    assert shares.max() <= high + 1 / 4096
    if high - low > 0.05:
        assert shares.max() - shares.min() > 0.8 * (high - low)


def test_regions_have_arbitrary_shapes_of_the_stated_fineness() -> None:
    """A region is no box, and with more cells a pixel it falls into more pieces."""
    smooth, rough = (region_masks(rng(count=100), "mask", 64, (0.2, 0.3), r)[:, 0] for r in (0.03, 0.12))
    pieces = [sum(components(mask) for mask in masks) / 100 for masks in (smooth, rough)]
    assert pieces[0] < 4 < pieces[1]
    boxes = [mask.any(1).sum() * mask.any(0).sum() for mask in smooth]
    assert all(mask.sum() < 0.95 * box for mask, box in zip(smooth, boxes, strict=True))


def test_regions_cover_the_whole_image() -> None:
    """Edges a little more often than the middle: the lowest place of a window is often at its edge."""
    often = region_masks(rng(count=2000), "mask", 32, (0.2, 0.3), 0.06).mean(0)[0]
    assert often.min() > 0.15
    assert often.max() < 0.35


@pytest.mark.parametrize("kind", ["block", "region"])
def test_one_mask_a_sample_from_counters(kind: str) -> None:
    config = MaskConfig(kind=kind)
    masks = draw_masks(config, rng(5), "mask", 48)
    assert len({mask.numpy().tobytes() for mask in masks}) == 64
    torch.manual_seed(1)
    assert torch.equal(masks, draw_masks(config, rng(5), "mask", 48))
    for start, stop in ((0, 1), (1, 32), (32, 64)):
        assert torch.equal(masks[start:stop], draw_masks(config, rng(5, 64, start, stop), "mask", 48))
    for other in (draw_masks(config, rng(6), "mask", 48), draw_masks(config, rng(5), "other", 48)):
        assert not torch.equal(masks, other)


def test_weights_are_ten_in_the_overlap_and_zero_beyond() -> None:
    mask = centre_mask(32, 2)
    weights = error_weights(mask, widened(mask, 2), 10.0)
    assert weights[mask == 1].eq(1).all()
    assert (weights == 10).sum() == 16 * 16 - 12 * 12
    assert weights[0, 0, 7].eq(0).all()
    assert weights[0, 0, 8, 8] == 10
    assert error_weights(mask, widened(mask, 0), 10.0).equal(mask)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValidationError, match="smallest <= largest"):
        MaskConfig(area=(0.3, 0.2))
    with pytest.raises(ValueError, match="no number of pixels"):
        region_masks(rng(), "mask", 8, (0.201, 0.202), 0.06)
    with pytest.raises(ValueError, match="less than a pixel"):
        block_masks(rng(), "mask", 8, 0.01)
    assert MaskConfig(kind="centre").overlap_for(128) == 4
    assert MaskConfig(kind="region").overlap_for(128) == 0
