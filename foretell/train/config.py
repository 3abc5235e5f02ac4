"""The settings of the training loop."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from foretell.errors import InputError
from foretell.settings import Settings
from foretell.train.budget import seconds_of

NEVER = 1_000_000_000  # as ``checkpoint_every`` and ``health_every``


class TrainingConfig(Settings):
    """How anything is trained. Exactly one of ``epochs``, ``steps`` and ``time`` is the budget (default 100 epochs)."""

    seed: int = Field(0, ge=0, lt=2**63)
    batch: int = Field(256, ge=1, description="samples in the global batch, over all processes")
    epochs: float | None = Field(None, gt=0, description="budget in passes over the data")
    steps: int | None = Field(None, ge=1, description="budget in optimiser steps")
    time: str | None = Field(
        None, description="budget in wall-clock time, as 90s, 5m or 2h; becomes a step count at the start"
    )
    optimizer: Literal["lars", "sgd", "adamw"] = "lars"
    rate: float | Literal["auto"] = Field(
        "auto",
        description="peak learning rate; auto: lars 0.075 sqrt(batch), sgd 0.1 batch/256, adamw 0.001 sqrt(batch/256)",
    )
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(1e-6, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with linear warm-up")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="after warm-up; cosine falls to zero, linear to a ten-thousandth"
    )
    clip: float | None = Field(None, gt=0, description="largest gradient norm")
    chunk: int | None = Field(
        None,
        ge=1,
        description="samples embedded at a time in one process (gradient accumulation); default: the whole batch",
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: measured at the start")
    layout: Literal["auto", "contiguous", "channels_last"] = Field("auto", description="auto: measured at the start")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: torch's own choice; kept for resuming")
    checkpoint_every: int = Field(
        200, ge=1, description="steps between checkpoints; one is also written after five minutes without"
    )
    health_every: int = Field(100, ge=1, description="steps between health measurements")
    keep: int = Field(1, ge=1, description="how many latest checkpoints are kept beside the best")
    patience: int | None = Field(
        None,
        ge=1,
        description="early stop after this many rounds of the first monitor (kNN where images have labels, the loss on held-out "
        "text) without improvement; a run then ends with the weights of its best round, and exports them. Of images these are chosen "
        "by labels of the training part, which the run and its report tell",
    )
    tensorboard: bool = Field(False, description="also write TensorBoard files into the run folder (extra: track)")
    mlflow: bool = Field(
        False,
        description="also log to the MLflow server of MLFLOW_TRACKING_URI, else to the run's mlflow.db (extra: track)",
    )

    @field_validator("rate")
    @classmethod
    def _positive_rate(cls, rate: float | str) -> float | str:
        if not isinstance(rate, str) and not 0 < rate < float("inf"):
            raise ValueError("the learning rate must be above 0")
        return rate

    @field_validator("time")
    @classmethod
    def _a_time(cls, time: str | None) -> str | None:
        if time is not None:
            try:
                seconds_of(time)
            except InputError as error:
                raise ValueError(str(error)) from None
        return time

    @model_validator(mode="after")
    def _one_budget(self) -> TrainingConfig:
        given = [name for name in ("epochs", "steps", "time") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one budget, not {' and '.join(given)}")
        return self
