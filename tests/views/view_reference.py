"""Slow and obvious views in float64, one pixel and one operation at a time; and real pictures to try them on."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_sample_images

from foretell.data.images import Images

LUMA = np.array([0.299, 0.587, 0.114])


@cache
def _photographs() -> list[np.ndarray]:
    return [np.asarray(photograph) for photograph in load_sample_images().images]


def tiles(*sizes: tuple[int, int], channels: int = 3, seed: int = 0) -> Images:
    """Pieces of real photographs of the given (height, width), in one padded batch.

    Channels beyond the third are shifted copies; one channel is the green one.
    """
    rng = np.random.default_rng(seed)
    height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
    pixels = np.zeros((len(sizes), channels, height, width), dtype=np.uint8)
    for index, (tall, wide) in enumerate(sizes):
        photograph = _photographs()[index % 2]
        corners = rng.integers((0, 0), (photograph.shape[0] - tall - 20, photograph.shape[1] - wide - 20), (20, 2))
        # The liveliest of a few pieces: sky shows nothing.
        top, left = max(corners, key=lambda at: photograph[at[0] : at[0] + tall, at[1] : at[1] + wide].std())
        for channel in range(channels):
            shift = channel // 3
            piece = photograph[top + shift : top + shift + tall, left : left + wide]
            pixels[index, channel, :tall, :wide] = piece[:, :, 1 if channels == 1 else channel % 3]
    return Images(torch.from_numpy(pixels), torch.tensor(sizes), torch.arange(len(sizes)), torch.arange(len(sizes)))


def muted(images: Images) -> Images:
    """The same with values from 90 to 140 of 255, so that moderate colour changes clip nothing."""
    pixels = (90 + images.pixels.to(torch.float32) * (50 / 255)).round().to(torch.uint8)
    return Images(pixels, images.sizes, images.index, images.content)


def triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def cubic(x: float) -> float:
    x, a = abs(x), -0.5
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def weights(centre: float, scale: float, low: int, high: int, length: int, kind: str) -> np.ndarray:
    """(length,) of one output pixel; see ``foretell.views.geometry.resize_weights``."""
    curve = triangle if kind == "bilinear" else cubic
    wide = max(scale, 1.0)
    out = np.zeros(length)
    for pixel in range(low, high):
        out[pixel] = curve((pixel + 0.5 - centre) / wide)
    return out / out.sum()


def mirrored(centre: float, size: int) -> float:
    centre = centre % (2 * size)
    return min(centre, 2 * size - centre)


def crop(image: np.ndarray, box: list[int], side: int, flips: tuple[bool, bool], kind: str, margin: int) -> np.ndarray:
    """The (C, side + 2 margin, ...) canvas of ``image`` (C, H, W); with a margin it shows what lies beyond the box."""
    matrices = []
    for axis in (0, 1):
        start, extent, length = box[axis], box[2 + axis], image.shape[1 + axis]
        scale = extent / side
        low, high = (0, length) if margin else (start, start + extent)
        matrix = []
        for index in range(-margin, side + margin):
            place = side - 1 - index if flips[axis] else index
            centre = mirrored(start + scale * (place + 0.5), length)
            matrix.append(weights(centre, scale, low, high, length, kind))
        matrices.append(np.array(matrix))
    return np.einsum("yh,chw,xw->cyx", matrices[0], image, matrices[1])


def turned(canvas: np.ndarray, angle: float, side: int) -> np.ndarray:
    """The centre of ``canvas`` (C, S, S) turned counter-clockwise, bilinear, one output pixel at a time."""
    whole = canvas.shape[1]
    out = np.zeros((canvas.shape[0], side, side))
    for row in range(side):
        for column in range(side):
            x, y = column + 0.5 - side / 2, row + 0.5 - side / 2
            u = math.cos(angle) * x - math.sin(angle) * y + whole / 2 - 0.5
            v = math.sin(angle) * x + math.cos(angle) * y + whole / 2 - 0.5
            left, top = math.floor(u), math.floor(v)
            for down in (0, 1):
                for across in (0, 1):
                    weight = (1 - abs(v - top - down)) * (1 - abs(u - left - across))
                    out[:, row, column] += weight * canvas[:, top + down, left + across]
    return out


def hue_turned(image: np.ndarray, share: float) -> np.ndarray:
    """Each pixel's chroma in YIQ turned by ``share`` of a full turn, red towards yellow; luma stays."""
    to_yiq = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    out = np.empty_like(image)
    for row in range(image.shape[1]):
        for column in range(image.shape[2]):
            luma, i, q = to_yiq @ image[:, row, column]
            angle = math.atan2(q, i) - 2 * math.pi * share
            length = math.hypot(i, q)
            new = np.array([luma, length * math.cos(angle), length * math.sin(angle)])
            out[:, row, column] = np.linalg.solve(to_yiq, new)
    return out


def coloured(image: np.ndarray, operations: list[tuple[str, float]]) -> np.ndarray:
    """One operation after the other on (C, H, W), without clipping."""
    rgb = image.shape[0] == 3
    for name, amount in operations:
        luma = np.einsum("c,chw->hw", LUMA, image) if rgb else None
        if name == "brightness":
            image = image * amount
        elif name == "contrast":
            middle = luma.mean() if rgb else image.mean((1, 2), keepdims=True)
            image = amount * image + (1 - amount) * middle
        elif name == "saturation" and rgb:
            image = amount * image + (1 - amount) * luma
        elif name == "hue" and rgb:
            image = hue_turned(image, amount)
    return image


def blurred(image: np.ndarray, sigma: float, radius: int) -> np.ndarray:
    """A two-dimensional Gaussian kernel over the mirrored image (C, H, W)."""
    if sigma == 0:
        return image
    offsets = range(-radius, radius + 1)
    line = np.array([math.exp(-0.5 * (offset / sigma) ** 2) for offset in offsets])
    line /= line.sum()
    padded = np.pad(image, ((0, 0), (radius, radius), (radius, radius)), mode="reflect")
    out = np.zeros_like(image)
    for down in range(2 * radius + 1):
        for across in range(2 * radius + 1):
            piece = padded[:, down : down + image.shape[1], across : across + image.shape[2]]
            out += line[down] * line[across] * piece
    return out
