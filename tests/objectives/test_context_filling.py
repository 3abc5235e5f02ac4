"""Holes of any size in pictures of any size: the windows they are filled in, and what the network is shown of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foretell.data.embedded import load
from foretell.objectives.context_filling import Inpainter, windows
from foretell.views.masks import MaskConfig

SIDE = 16


def hole_of(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Boxes are (x, y, width, height)."""
    hole = np.zeros((height, width), dtype=bool)
    for x, y, wide, high in boxes:
        hole[y : y + high, x : x + wide] = True
    return hole


SHAPES = {
    "a small one": hole_of(40, 50, (20, 18, 6, 5)),
    "the corner": hole_of(40, 50, (0, 0, 9, 9)),
    "larger than the network": hole_of(90, 120, (30, 20, 50, 40)),
    "most of the picture": hole_of(24, 24, (1, 1, 22, 22)),
    "a scratch": hole_of(60, 200, (5, 30, 190, 2)),
    "two far apart": hole_of(64, 64, (3, 4, 5, 5), (50, 48, 6, 7)),
    "a picture smaller than the network": hole_of(10, 12, (3, 3, 4, 4)),
}


@pytest.mark.parametrize("kind", ["centre", "region"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_pixel_of_the_hole_is_filled_once(shape: str, kind: str) -> None:
    hole = SHAPES[shape]
    times = np.zeros(hole.shape, dtype=int)
    for window in windows(hole, SIDE, MaskConfig(kind=kind)):
        y, x = np.nonzero(window.piece)
        assert window.length >= SIDE
        assert y.min() >= window.top
        assert x.min() >= window.left
        assert y.max() < window.top + window.length
        assert x.max() < window.left + window.length
        times += window.piece
    assert (times == hole).all()


def test_windows_suit_the_hole() -> None:
    small = next(windows(SHAPES["a small one"], SIDE, MaskConfig()))
    assert small.length == SIDE
    (large,) = windows(SHAPES["larger than the network"], SIDE, MaskConfig())
    assert large.length == 100
    assert (large.top, large.left) == (-10, 5)
    (corner,) = windows(SHAPES["the corner"], SIDE, MaskConfig())
    assert (corner.top, corner.left) == (0, 0)
    (corner,) = windows(SHAPES["the corner"], SIDE, MaskConfig(kind="centre"))
    assert corner.top == corner.left < 0
    scratch = list(windows(SHAPES["a scratch"], SIDE, MaskConfig()))
    assert len(scratch) > 10
    assert all(window.length == SIDE for window in scratch)
    assert len(list(windows(SHAPES["two far apart"], SIDE, MaskConfig()))) == 2


class Recorder(nn.Module):
    """An "encoder" that keeps what it was shown, and a "filler" that answers with one value."""

    def __init__(self, answer: float) -> None:
        super().__init__()
        self.answer = answer
        self.side = SIDE
        self.shown: list[Tensor] = []
        self.mean = torch.full((1, 3, 1, 1), 0.5)
        self.std = torch.full((1, 3, 1, 1), 0.25)

    def map(self, context: Tensor) -> Tensor:
        self.shown.append(context)
        return context

    def forward(self, features: Tensor) -> Tensor:
        return torch.full_like(features, (self.answer - 0.5) / 0.25)


def inpainter(answer: float, kind: str = "region") -> tuple[Inpainter, Recorder]:
    net = Recorder(answer)
    return Inpainter(net, net, MaskConfig(kind=kind)), net  # type: ignore[arg-type]


def picture_of(height: int, width: int) -> Tensor:
    images, _ = load("emoji")
    rows = np.concatenate([np.concatenate(list(images[3 * row : 3 * row + 4]), 1) for row in range(3)], 0)
    return torch.from_numpy(rows[:height, :width]).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("shape", SHAPES)
def test_only_the_hole_changes(shape: str) -> None:
    hole = SHAPES[shape]
    picture = picture_of(*hole.shape)
    filled = inpainter(0.25)[0].fill(picture, hole)
    assert torch.equal(filled[:, ~hole], picture[:, ~hole])
    torch.testing.assert_close(filled[:, hole], torch.full_like(filled[:, hole], 0.25), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["centre", "region"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_holes_own_content_is_never_shown(shape: str, kind: str) -> None:
    hole = SHAPES[shape]
    picture = picture_of(*hole.shape)
    other = picture.clone()
    other[:, hole] = torch.rand(other[:, hole].shape, generator=torch.Generator().manual_seed(0))
    (first, net), (second, twin) = inpainter(0.3, kind), inpainter(0.3, kind)
    first.fill(picture, hole)
    second.fill(other, hole)
    for a, b in zip(net.shown, twin.shown, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_what_is_known_is_shown_as_it_is() -> None:
    """At the network's own side the context is the picture, normalised, with 0 in the hole."""
    hole = hole_of(SIDE, SIDE, (4, 4, 8, 8))
    picture = picture_of(SIDE, SIDE)
    filler, net = inpainter(0.3)
    filler.fill(picture, hole)
    (shown,) = net.shown
    expected = (picture - 0.5) / 0.25
    expected[:, hole] = 0
    torch.testing.assert_close(shown[0], expected, rtol=0, atol=1e-4)


def test_later_pieces_see_earlier_fillings() -> None:
    hole = SHAPES["a scratch"]
    filler, net = inpainter(1.0)
    filler.fill(torch.zeros(3, *hole.shape), hole)
    assert net.shown[0].max() <= 0
    assert any(shown.max() > 1 for shown in net.shown[1:])
