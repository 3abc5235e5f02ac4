"""The settings of fine-tuning on text ([transfer.text] in a recipe)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from foretell.settings import Settings


class TextTuning(Settings):
    """How an encoder or decoder of text is fine-tuned; published values are those of BERT and GPT, for large
    networks."""

    rates: tuple[float, float] = Field(
        (5e-5, 1e-3),
        description="lowest and highest learning rate of the search, log-spaced between (published: 2e-5 to 6.25e-5)",
    )
    scratch_rates: tuple[float, float] | None = Field(
        None, description="another range for the arm from scratch; default: the same"
    )
    head_rates: tuple[float, float] = Field(
        (1e-3, 3e-2), description="the same where the network is frozen and a head on its tokens alone is trained"
    )
    batch: int = Field(32, ge=2, description="examples in a step (published: 16 or 32)")
    weight_decay: float = Field(0.01, ge=0, description="of matrices; gains and biases have none")
    warmup: float = Field(
        0.1, ge=0, lt=1, description="share of the steps with linear warm-up (published: 0.1, GPT 0.002)"
    )
    clip: float | None = Field(1.0, gt=0, description="largest gradient norm")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="rate of a layer over that of the layer after it; not used from scratch"
    )
    head_rate: float = Field(
        20.0,
        gt=0,
        description="rate of the head over that of the network's last layer, where both are trained: a head that starts at zero "
        "has far to go",
    )
    reads: Literal["summary", "mean"] = Field(
        "summary",
        description="what the head of a text, pair or choice reads: the state of the summary token, as published, or the mean "
        "of the tokens' states, for networks whose summary token nothing has trained",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="of the state that the head reads, one mask an example")
    inner_dropout: float = Field(
        0.1, ge=0, lt=1, description="within the network, of attention too, while it is fine-tuned"
    )
    auxiliary: float | None = Field(
        None,
        ge=0,
        description="weight of the next-word loss on the labelled texts (lambda); default: 0.5 for decoders, 0 for encoders",
    )
    length: int | None = Field(
        None, ge=8, description="most tokens of a sequence, longer ones are cut; default: the positions of the network"
    )
    stride: int | None = Field(
        None,
        ge=1,
        description="tokens from one window to the next where words are tagged or questions answered in texts that are too "
        "long; default: half of what fits",
    )
    longest_answer: int = Field(30, ge=1, description="most tokens of the answer to a question")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of fine-tuning; auto: measured once a comparison"
    )

    @model_validator(mode="after")
    def _ordered(self) -> TextTuning:
        for name in ("rates", "scratch_rates", "head_rates"):
            span = getattr(self, name)
            if span is not None and not 0 < span[0] <= span[1]:
                raise ValueError(f"{name}: give a lowest and a highest value above 0, not {span}")
        return self
