"""Features of stored images: frozen encoder outputs, raw pixels, and the same architecture with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.encoders.base import Encoder
from foretell.encoders.norm import calibrate
from foretell.transfer.images.labelled import Index, Reader
from foretell.transfer.networks import device_of, evaluating
from foretell.views.config import Crop, ViewConfig

Array = NDArray[np.float32]


def batch_for(side: int) -> int:
    """Samples a forward pass: 256 up to 64 px, fewer beyond, so that activations stay bounded."""
    return max(8, min(256, 256 * 64 * 64 // (side * side)))


class PlainViews:
    """The evaluation views of some rows, float32 (N, C, side, side), kept in memory up to ``limit`` bytes."""

    def __init__(
        self, reader: Reader, index: Index, views: ViewConfig, *, crop: Crop = 1.0, limit: int = 512 << 20
    ) -> None:
        assert views.side is not None
        self.reader, self.index, self.views, self.crop = reader, index, views, crop
        self.side = views.side
        self._limit = limit
        self._kept: list[Tensor] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def _made(self, batch: int) -> Iterator[Tensor]:
        from foretell.views import plain_view

        for start in range(0, len(self.index), batch):
            images = self.reader.read(self.index[start : start + batch])
            yield plain_view(images, self.views, crop=self.crop)

    def batches(self, batch: int | None = None) -> Iterator[Tensor]:
        """The views in order, ``batch`` rows at a time (fixed by the first call while they are kept)."""
        if self._kept is not None:
            yield from self._kept
            return
        made, used = [], 0
        for x in self._made(batch or batch_for(self.side)):
            used += x.nbytes
            if used <= self._limit:
                made.append(x)
            yield x
        if used <= self._limit:
            self._kept = made


class Views(Protocol):
    """Batches of normalised views; ``PlainViews`` is one."""

    def batches(self) -> Iterator[Tensor]: ...


class Given:
    """Views that are at hand already."""

    def __init__(self, batches: Iterable[Tensor]) -> None:
        self._batches = batches

    def batches(self) -> Iterator[Tensor]:
        return iter(self._batches)


def embed(encoder: Encoder, views: Views) -> Array:
    """(N, D) float32 pooled features in evaluation mode."""
    device = device_of(encoder)
    parts = []
    with evaluating(encoder):
        for x in views.batches():
            x = x.to(device, non_blocking=True).to(memory_format=torch.channels_last)
            parts.append(encoder.pooled(x).float().cpu())
    if not parts:
        return np.empty((0, encoder.dim), dtype=np.float32)
    return torch.cat(parts).numpy()


def extract(
    encoder: Encoder,
    store: Reader,
    index: Index | None,
    views: ViewConfig,
    *,
    crop: Crop = 1.0,
    batch: int | None = None,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Frozen pooled features, float32 (N, D), of the rows ``index`` (None: all) of ``store``, in that order.

    ``views`` has the side, mean, deviation and interpolation that the encoder was trained with
    (``ViewConfig.entering``). Images stream through in batches (256 up to 64 px, fewer beyond). ``device`` moves the
    encoder there first.
    """
    from foretell.views import plain_view

    assert views.side is not None
    if device is not None:
        encoder.to(device)
    rows = np.arange(len(store)) if index is None else np.asarray(index, dtype=np.int64)  # type: ignore[arg-type]
    size = batch or batch_for(views.side)
    out: Array = np.empty((len(rows), encoder.dim), dtype=np.float32)
    where = device_of(encoder)
    with evaluating(encoder):
        for start in range(0, len(rows), size):
            images = store.read(rows[start : start + size]).to(where)
            x = plain_view(images, views, crop=crop)
            out[start : start + size] = encoder.pooled(x.to(memory_format=torch.channels_last)).float().cpu().numpy()
            if progress is not None:
                progress(min(start + size, len(rows)), len(rows))
    return out


def pixels(store: Reader, index: Index, side: int = 32, batch: int = 256) -> Array:
    """Raw pixels in [0, 1] at ``side``, flattened: float32 (N, C * side * side). The baseline that has learnt
    nothing.
    """
    from foretell.views import plain

    rows = np.asarray(index, dtype=np.int64)
    parts = [
        plain(store.read(rows[start : start + batch]), side).flatten(1).numpy() for start in range(0, len(rows), batch)
    ]
    return np.concatenate(parts).astype(np.float32)


class FeatureBank:
    """Features by store row, computed once each."""

    def __init__(self, compute: Callable[[Index], Array]) -> None:
        self._compute = compute
        self._rows: dict[int, int] = {}
        self._features: Array | None = None

    def __call__(self, rows: Index) -> Array:
        """(N, D) features of ``rows`` (N,), in that order."""
        missing = np.asarray(sorted({int(row) for row in rows} - self._rows.keys()), dtype=np.int64)
        if len(missing):
            new = self._compute(missing)
            base = len(self._rows)
            self._rows.update({int(row): base + at for at, row in enumerate(missing)})
            self._features = new if self._features is None else np.concatenate([self._features, new])
        assert self._features is not None
        return self._features[[self._rows[int(row)] for row in rows]]


def fresh_encoder(like: Encoder, seed: int) -> Encoder:
    """The architecture of ``like`` with newly drawn weights; the global generators are left as they were."""
    from foretell.encoders import TimmEncoder
    from foretell.encoders.build import renewed

    assert isinstance(like, TimmEncoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = renewed(like)
    return encoder.to(device_of(like))


def random_encoder(like: Encoder, seed: int, reader: Reader, rows: Index, views: ViewConfig) -> Encoder:
    """Frozen random weights, the baseline of features that were not learnt.

    Batch norm's statistics are measured on up to 512 of ``rows`` without labels: an untrained encoder's own (0 and
    1) would make the baseline weaker than it need be.
    """
    encoder = fresh_encoder(like, seed)
    some = np.random.default_rng(seed).permutation(rows)[:512]
    where = device_of(encoder)
    size = min(128, batch_for(views.side or like.side))
    made = PlainViews(reader, some, views).batches(size)
    calibrate(encoder, encoder.pooled, (x.to(where) for x in made if len(x) > 1))
    return encoder.eval()
