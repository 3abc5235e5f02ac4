"""The settings of transfer: how an encoder is fine-tuned, probed and compared ([transfer] in a recipe)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from foretell.measures.metrics import Metric
from foretell.settings import Names, Settings
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.text_config import TextTuning
from foretell.views.config import Crop, ViewConfig


class ClassifierConfig(Settings):
    """How a linear head and the encoder under it are fine-tuned."""

    layer_decay: float = Field(
        0.75,
        gt=0,
        le=1,
        description="rate of a block over that of the block after it; 1: one rate for all. Not used from scratch",
    )
    head_rate: float = Field(1.0, gt=0, description="rate of the head over that of the encoder's last block")
    freeze_norm: bool = Field(
        False, description="keep batch norm at the pretrained mean and variance. Not used from scratch"
    )
    freeze_encoder: bool = Field(False, description="train the head only")
    head: Literal["probe", "zero", "random"] = Field(
        "probe",
        description="the head's start; probe: the linear probe's solution, then tune (Kumar et al., 2022). "
        "From scratch: zero",
    )
    class_weights: bool = Field(
        False,
        description="weigh the loss so that every class counts alike, or with findings there as much as not there",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target given to all classes")


class TransferConfig(ClassifierConfig):
    """What every arm of a comparison shares: views, steps, search, folds, and how a test set is seen."""

    views: ViewConfig | None = Field(
        None, description="random views of fine-tuning, the same for every arm; default: the objective's, milder"
    )
    steps: int | None = Field(
        None, ge=1, description="steps of one fine-tuning; default: 20 sqrt(labels), from 100 to most_steps"
    )
    most_steps: int = Field(5000, ge=1, description="most steps of one fine-tuning where steps is not set")
    batch: int = Field(64, ge=2, description="largest batch of a fine-tuning; no larger than the labels need")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    rates: tuple[float, float] = Field(
        (3e-4, 1e-2), description="lowest and highest learning rate of the search, log-spaced between"
    )
    scratch_rates: tuple[float, float] | None = Field(
        None, description="another range for the arm from scratch; default: the same"
    )
    weight_decay: float = Field(1e-4, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with linear warm-up")
    clip: float | None = Field(None, gt=0, description="largest gradient norm")
    recalibrate: bool = Field(
        True,
        description="measure batch norm's mean and variance again after training, on views of the training "
        "images, where batch norm is not frozen (few steps leave its running average behind)",
    )
    strengths: tuple[float, float] = Field(
        (1e-5, 1e1),
        description="weakest and strongest L2 penalty of the linear probe's search, log-spaced between; two trials are a "
        "quarter and three quarters of the way",
    )
    folds: int = Field(
        2, ge=2, le=10, description="folds of the cross-validation that chooses settings below 10 labels a class"
    )
    holdout: float = Field(
        0.25, gt=0, lt=1, description="share of the labels held out to choose settings, from 10 labels a class on"
    )
    label_unit: Literal["image", "group"] = Field(
        "image", description="what a label is spent on: one image, or a whole group (patient, document)"
    )
    unit: Literal["image", "case"] = Field(
        "image",
        description="what has a label and is judged: an image, or a case of several (the columns case and group), whose "
        "images then all have its label, and whose scores are pooled",
    )
    pooling: Literal["mean", "max", "attention"] = Field(
        "mean",
        description="how the images' probabilities become those of a case, where unit is case; attention: a mean with a learnt "
        "weight for each image, of findings one for each",
    )
    bag: int = Field(
        4,
        ge=2,
        description="images of a case that are fine-tuned on together, where pooling is attention; the batch is rounded up to "
        "whole bags, two or more",
    )
    metric: Metric | None = Field(
        None,
        description="the headline: what settings are chosen by on held-out labels, and what arms, differences, shift, crossing "
        "points and the verdict are told in; default: accuracy, auroc of findings, and a task's own of words and answers",
    )
    specificity: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="the specificity at which sensitivity is told; its threshold is chosen on held-out labels",
    )
    findings: Names = Field(
        [],
        description="columns of several findings in place of a label, each 1, 0, -1 (uncertain) or nothing (not known): "
        "sigmoid outputs, unknown values masked. A number of labels a class is then one for each rarest finding, and none",
    )
    uncertain: Literal["ignore", "zeros", "ones"] = Field(
        "ignore", description="what -1 in a column of findings stands for: not known, not there, or there"
    )
    test_samples: int | None = Field(
        None, ge=1, description="at most so many test samples, class-balanced as the test set is; default: all"
    )
    probe_samples: int | None = Field(
        20_000, ge=1, description="at most so many labelled samples for kNN and the probe with all labels"
    )
    neighbours: int = Field(20, ge=1, description="k of the nearest-neighbour classifier")
    curve_points: int = Field(
        6,
        ge=0,
        description="how often the test score is looked at during a fit of the first seed with the most steps of its number of labels, "
        "beside once before it, for the report; fits with fewer steps are looked at after the same steps",
    )
    curve_samples: int = Field(500, ge=1, description="test samples for those looks")
    crop: Crop = Field(
        1.0,
        description="share of the shorter side that the evaluation view keeps, the central square; squash: all of an image that is "
        "not square, squeezed into one",
    )
    search: SearchConfig = SearchConfig()
    text: TextTuning = TextTuning()
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="of fine-tuning; auto: measured at the start of each fit"
    )
    layout: Literal["auto", "contiguous", "channels_last"] = Field(
        "channels_last", description="of fine-tuning; auto: measured at the start of each fit"
    )

    @field_validator("crop")
    @classmethod
    def _share(cls, value: Crop) -> Crop:
        if not isinstance(value, str) and not 0 < value <= 1:
            raise ValueError(f"crop is a share in (0, 1], or squash, not {value:g}")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> TransferConfig:
        for name in ("rates", "scratch_rates", "strengths"):
            span = getattr(self, name)
            if span is not None and not 0 < span[0] <= span[1]:
                raise ValueError(f"{name}: give a lowest and a highest value above 0, not {span}")
        return self

    @model_validator(mode="after")
    def _one_unit(self) -> TransferConfig:
        if self.unit == "case" and self.label_unit == "group":
            raise ValueError("unit is case, so that a label is one of a case: leave label_unit at image")
        if self.pooling == "attention" and self.unit == "image":
            raise ValueError("pooling=attention is for cases: set unit to case")
        return self

    def key_settings(self, *, text: bool = False) -> dict[str, Any]:
        """The settings that are in the key of each answer kept (``cache.Cache``) of images, or of ``text``.

        Those of the search are in the name of its study (``trials.Keep.of``); ``probe_samples`` shows in the labels.
        """
        return self.model_dump(mode="json", exclude={"device", "probe_samples", "search", "views" if text else "text"})

    def comparable_settings(self) -> dict[str, Any]:
        """The settings in which two comparisons of images must agree to stand side by side.

        Left out are where work is done, what is only looked at, and the headline, which a comparison names by itself.
        """
        free: dict[str, bool | set[str]] = {
            "device": True, "layout": True, "probe_samples": True, "neighbours": True, "curve_points": True, "curve_samples": True,
            "metric": True, "text": True, "search": {"storage"},
        }  # fmt: skip
        return self.model_dump(mode="json", exclude=free)

    @property
    def headline(self) -> str:
        """The metric of images that is told first."""
        return self.metric or ("auroc" if self.findings else "accuracy")

    def steps_for(self, labels: int) -> int:
        """Steps of one fine-tuning on ``labels`` labelled samples."""
        return self.steps if self.steps is not None else min(self.most_steps, max(100, round(20 * labels**0.5)))

    def samples_for(self, labels: int) -> int:
        """Samples that one fine-tuning on ``labels`` labelled samples sees."""
        return self.steps_for(labels) * self.batch_for(labels)

    def views_after(self, pretraining: ViewConfig) -> ViewConfig:
        """The random views of fine-tuning; side, mean, deviation and interpolation are those of ``pretraining``."""
        if self.views is None:
            return pretraining.milder()
        return self.views.entering(dict(pretraining))

    def batch_for(self, labels: int) -> int:
        """Batch of one fine-tuning: with very few labels a batch holds several views of the same image."""
        batch = min(self.batch, max(16, labels))
        # bags are not cut, and a step has two of them or more
        return batch if self.pooling != "attention" else max(2, -(-batch // self.bag)) * self.bag

    def classifier(self, *, scratch: bool = False) -> ClassifierConfig:
        """The part a ``Classifier`` needs; from scratch nothing is frozen, slowed or taken from a probe."""
        values = {name: getattr(self, name) for name in ClassifierConfig.model_fields}
        if scratch:
            values.update(layer_decay=1.0, head_rate=1.0, freeze_norm=False, freeze_encoder=False, head="zero")
        return ClassifierConfig(**values)
