"""What an autoencoder rebuilds, on images whose clean form is known: the picture, its noise, its detail.

Errors are means over pixels of normalised images, as the loss is: 1 is foretelling the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torch.nn import functional

from foretell.counters import Rng, Rows, seed_of
from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.objectives.base import Exhibit
from foretell.objectives.image import counted, learnt_from
from foretell.views import denormalise

if TYPE_CHECKING:
    from foretell.objectives.autoencoder import Autoencoder

Index = NDArray[np.int64]
Features = NDArray[np.float32]

IMAGES = 1024  # images that are measured, where there are more
AT_ONCE = 128
SHOWN = 8  # pictures in the exhibit
LABELLED = 2000  # training images whose labels the probe of the code uses, where there are more
PENALTY = 1e-2  # of that probe
PIXELS = 32  # a side of the pictures that the probe beside it reads, at most
NOISY = "the noisy picture"


def noise_copy(foretold: Tensor, clean: Tensor, taken: Tensor) -> float:
    """<foretold - clean, n> / <n, n> with n = ``taken`` - ``clean``: 1 is a full copy of the noise, 0 none of it.

    All (B, C, H, W). For noise that is independent of the image it is the mean diagonal of the Jacobian, so that a
    denoiser's is not zero; for noise that depends on the image (salt-and-pepper, masking) it says nothing. nan without
    noise.
    """
    noise = (taken - clean).double()
    energy = float(noise.square().sum())
    return float(((foretold - clean).double() * noise).sum()) / energy if energy else math.nan


def detail(pictures: Tensor) -> Tensor:
    """(B, C, H, W): what differs from the mean of the 3 x 3 pixels around, the edge mirrored."""
    return pictures - functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="reflect"), 3, stride=1)


@dataclass(frozen=True)
class Figures:
    """``loss``: its own, on the images measured; ``copier``: that of handing the input on; ``noisy`` and ``clean``: mean
    squared errors to the noisy and the clean image; ``given``: the noisy image's own error to the clean one; ``psnr``
    and ``psnr_given`` in dB for pixels in [0, 1]; ``copied``: see ``noise_copy``, nan for noise that is not
    Gaussian; ``detail``: energy of ``detail`` as a share of the clean images'.
    """

    loss: float
    copier: float
    noisy: float
    clean: float
    given: float
    psnr: float
    psnr_given: float
    copied: float
    detail: float

    def record(self) -> dict[str, float]:
        return asdict(self)

    @property
    def verdict(self) -> str:
        """Whether it is nearer to the clean image than its input is, and whether its own loss says so."""
        if not self.given:
            return "No noise was added, so that what is copied of it cannot be told."
        nearer, by_loss = self.clean < self.given, self.loss < self.copier
        told = (
            f"What it makes of a noisy image is {'nearer to' if nearer else 'no nearer to'} the clean one than the noisy image "
            f"itself: error {self.clean:.3f} against {self.given:.3f}."
        )
        word = "says so too" if nearer == by_loss else "says the opposite, so that it picks the wrong model"
        return f"{told} Its own loss {word}: {self.loss:.3f} against {self.copier:.3f} for handing the input on."


def measure(objective: Autoencoder, store: ImageStore, rows: Index, seed: int = 0) -> Figures:
    """The figures on ``rows`` of ``store`` (at most ``IMAGES``, drawn by ``seed``), each image with its own noise."""
    chosen = _some(rows, IMAGES, seed)
    device = next(objective.parameters()).device
    sums = {"loss": 0.0, "copier": 0.0, "noisy": 0.0, "clean": 0.0, "given": 0.0, "pixel": 0.0, "pixel_given": 0.0}
    sums |= {"copied": 0.0, "detail": 0.0, "detail_clean": 0.0}
    was_training = objective.training
    objective.eval()
    for start in range(0, len(chosen), AT_ONCE):
        batch = store.read(chosen[start : start + AT_ONCE]).to(device)
        part = len(batch) / len(chosen)
        sums["loss"], sums["copier"] = (
            sums[name] + part * value
            for name, value in zip(("loss", "copier"), _own_loss(objective, batch, start, seed), strict=True)
        )
        found = objective.restore(batch)
        std = torch.tensor(objective.views.std, device=device).view(1, -1, 1, 1)
        values = {
            "noisy": found.foretold - found.noisy,
            "clean": found.foretold - found.clean,
            "given": found.noisy - found.clean,
            "pixel": (found.foretold - found.clean) * std,
            "pixel_given": (found.noisy - found.clean) * std,
            "detail": detail(found.foretold),
            "detail_clean": detail(found.clean),
        }
        for name, value in values.items():
            sums[name] += part * float(value.square().mean())
        sums["copied"] += part * float(((found.foretold - found.clean) * values["given"]).mean())
    objective.train(was_training)
    given = sums["given"]
    return Figures(
        sums["loss"],
        sums["copier"],
        sums["noisy"],
        sums["clean"],
        given,
        decibels(sums["pixel"]),
        decibels(sums["pixel_given"]),
        # of the other kinds the noise depends on the image: a constant picture would seem to copy it
        sums["copied"] / given if given and objective.config.kind == "gaussian" else math.nan,
        sums["detail"] / max(sums["detail_clean"], 1e-12),
    )


def decibels(error: float) -> float:
    """PSNR of a mean squared error of pixels in [0, 1]; 100 at most."""
    return -10 * math.log10(max(error, 1e-10))


def _own_loss(objective: Autoencoder, batch: Any, start: int, seed: int) -> tuple[float, float]:
    """(the loss, the loss of a model that hands its input on), as in training."""
    rng = Rng(seed_of(seed, "measure", start), 0, Rows.of_rank(len(batch)), batch.pixels.device)
    with torch.no_grad():
        task = objective.hide(batch, rng)
        own = float(objective.loss(task, "all")["total"])
        copied = objective.error(task.visible["image"], task)
    return own, float(copied)


def _some(rows: Index, most: int, seed: int) -> Index:
    rows = np.asarray(rows, np.int64)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most]) if len(rows) > most else rows


def codes(objective: Autoencoder, store: ImageStore, rows: Index, *, clean: bool = False) -> Features:
    """(N, bottleneck) float32: the codes of undistorted images with each image's own noise, or without it."""
    return _read(
        objective,
        store,
        rows,
        lambda batch: objective.encode(objective.undistorted(batch) if clean else objective.taken(batch)),
    )


def pixels(objective: Autoencoder, store: ImageStore, rows: Index) -> Features:
    """(N, channels * side * side) float32: undistorted images with each image's own noise, averaged to ``PIXELS`` a side
    where they are larger.
    """
    side = min(objective.side, PIXELS)
    return _read(
        objective,
        store,
        rows,
        lambda batch: functional.adaptive_avg_pool2d(objective.taken(batch), side).flatten(1),
    )


@torch.no_grad()
def _read(objective: Autoencoder, store: ImageStore, rows: Index, embed: Callable[[Images], Tensor]) -> Features:
    """(N, D) float32: what ``embed`` makes of ``rows``, in evaluation mode."""
    device = next(objective.parameters()).device
    was_training = objective.training
    objective.eval()
    parts = []
    for start in range(0, len(rows), AT_ONCE):
        batch = store.read(rows[start : start + AT_ONCE]).to(device)
        parts.append(embed(batch).float().cpu())
    objective.train(was_training)
    return torch.cat(parts).numpy()


def probe(
    embed: Callable[[Index], Features], store: ImageStore, train: Index, test: Index, seed: int = 0
) -> float | None:
    """Accuracy on ``test`` of a linear probe of what ``embed`` makes of rows, fitted on labels of ``train``.

    None without labels of two classes. Labels are read here alone.
    """
    from foretell.measures.probe import fit_probe

    if "label" not in store.table:
        return None
    labels, classes = store.table.codes("label")
    train, test = (_some(rows[labels[rows] >= 0], most, seed) for rows, most in ((train, LABELLED), (test, IMAGES)))
    if len(np.unique(labels[train])) < 2 or not len(test):
        return None
    fitted = fit_probe(embed(train), labels[train], len(classes), PENALTY)
    return float((fitted.logits(embed(test)).argmax(axis=1) == labels[test]).mean())


def picked(losses: Sequence[float], worth: Sequence[float], names: Sequence[str]) -> dict[str, Any]:
    """Whether the pretext loss picks the model that is worth most: over models, one loss and one worth each.

    {"rank": Spearman's correlation of low loss with high worth (1: the loss ranks them as their worth does; 0 where all
    are alike), "by_loss" and "best": names of the models picked, "right": whether they are one, "sentence"}.
    """
    alike = len(set(losses)) == 1 or len(set(worth)) == 1
    rank = 0.0 if alike else float(stats.spearmanr([-value for value in losses], worth).statistic)
    by_loss, best = names[int(np.argmin(losses))], names[int(np.argmax(worth))]
    verdict = "its own loss picks the right model" if by_loss == best else "its own loss picks the wrong model"
    sentence = f"{verdict}: lowest loss {by_loss}, best {best}, rank correlation {rank:+.2f} over {len(names)}"
    return {"rank": rank, "by_loss": by_loss, "best": best, "right": by_loss == best, "sentence": sentence}


def probes(objective: Autoencoder, store: ImageStore, rows: Index, seed: int) -> dict[str, float | None]:
    """``probe`` of the codes of ``rows`` ("foretold") and of their pixels (``NOISY``), fitted on the labels of other images,
    those that were learnt from.

    None where there are no labels, or where ``rows`` are all that was learnt from.
    """
    learnt = set(objective.store.names)
    others = np.setdiff1d(np.flatnonzero([name in learnt for name in store.names]), rows)
    return {
        "foretold": probe(lambda some: codes(objective, store, some), store, others, rows, seed),
        NOISY: probe(lambda some: pixels(objective, store, some), store, others, rows, seed),
    }


def exhibit(objective: Autoencoder, store: ImageStore, rows: Index, seed: int) -> Exhibit:
    """Pictures of ``rows`` restored, the figures beside those of the noisy picture itself, and the probe of the code."""
    chosen = _some(rows, IMAGES, seed)
    figures = measure(objective, store, chosen, seed)
    told = counted(len(chosen), learnt_from(store, chosen, objective.store))
    device = next(objective.parameters()).device
    shown = store.read(_some(rows, SHOWN, seed)).to(device)
    was_training = objective.training
    objective.eval()
    found = objective.restore(shown)
    objective.train(was_training)
    mean, std = objective.views.mean, objective.views.std
    panels = [("noisy", found.noisy), ("foretold", found.foretold), ("clean", found.clean)]
    return Exhibit(
        "What it rebuilds",
        f"{figures.verdict} Measured on {told}.",
        [(caption, denormalise(picture, mean, std).cpu()) for caption, picture in panels],
        name="restored",
        headline=figures.verdict,
        table=table({"foretold": figures}, probes(objective, store, np.asarray(rows, np.int64), seed)),
    )


def table(models: Mapping[str, Figures], probes: Mapping[str, float | None] | None = None) -> list[tuple[str, ...]]:
    """A row for each model and one for the noisy picture (``NOISY``, of ``probes`` too), for a person."""
    head = ("", "own loss", "error to noisy", "error to clean", "PSNR", "noise copied", "detail")
    probed = {name: value for name, value in (probes or {}).items() if value is not None}

    def told_probe(name: str) -> list[str]:
        return [f"{probed[name]:.1%}" if name in probed else "–"] if probed else []

    rows = [
        (
            name,
            f"{one.loss:.3f}",
            f"{one.noisy:.3f}",
            f"{one.clean:.3f}",
            f"{one.psnr:.1f} dB",
            "–" if math.isnan(one.copied) else f"{round(one.copied, 2) + 0.0:.2f}",  # no "-0.00"
            f"{one.detail:.0%}",
            *told_probe(name),
        )
        for name, one in models.items()
    ]
    first = next(iter(models.values()))
    noisy = (NOISY, f"{first.copier:.3f}", "0.000", f"{first.given:.3f}", f"{first.psnr_given:.1f} dB")
    copied = "–" if math.isnan(first.copied) else "1.00"
    rows.append((*noisy, copied, "", *told_probe(NOISY)))
    return [(*head, *(["linear probe"] if probed else [])), *rows]
