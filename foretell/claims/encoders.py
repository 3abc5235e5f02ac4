"""An encoder that a claim trained: kept for others to begin at, and compared at few labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foretell.claims.lab import Lab
from foretell.encoders import save_encoder
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe
from foretell.transfer.config import TransferConfig
from foretell.transfer.images.compare import compare
from foretell.transfer.protocol import Protocol


def _keep(lab: Lab, made: Recipe, target: Path) -> None:
    objective = lab.trained(made)
    assert isinstance(objective, ImageObjective)
    assert isinstance(objective.encoder, TimmEncoder)
    views = objective.views
    assert views.mean is not None
    assert views.std is not None
    save_encoder(objective.encoder, target, mean=views.mean, std=views.std, interpolation=views.interpolation)


def kept_encoder(lab: Lab, made: Recipe) -> Path:
    """The folder of the encoder that the run of ``made`` trained, once in this lab: what ``encoder.weights`` names."""
    target = lab.folder / "begun" / lab.run_of(made).name
    with lab.alone(f"begun {target.name}"):
        if not (target / "model.safetensors").is_file():
            _keep(lab, made, target)
    return target.absolute()


def compared_encoder(
    lab: Lab,
    objective: ImageObjective,
    transfer: TransferConfig,
    source: str,
    *,
    arms: Sequence[str],
    per_class: Sequence[int | None],
    seeds: Sequence[int],
    trials: int,
    shift: str | None = None,
    elsewhere: bool = False,
) -> dict[str, Any]:
    """``transfer.images.compare`` of the encoder of ``objective``, with its views, on the fixed parts of ``source``.

    ``elsewhere``: it learnt on other data, and its batch norm is measured on that of ``objective`` first.
    """
    train, test = lab.split(source)
    config = transfer.model_copy(update={"device": lab.device, "curve_points": 0})
    return compare(
        objective.calibrated() if elsewhere else objective.encoder,
        lab.store(source),
        train=train,
        test=test,
        views=config.views_after(objective.views),
        protocol=Protocol(per_class=per_class, seeds=seeds, arms=arms, trials=trials),
        training=config,
        all_labels=False,
        shift=shift,
    )
