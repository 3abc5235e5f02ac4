"""The settings of random image views, with SimCLR's published defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from foretell.settings import Settings

SQUASH: Literal["squash"] = "squash"
# how an image enters evaluation: the share of the shorter side of which the central square is kept, or all of it, squeezed
# into a square where it is none (timm's crop_mode "squash")
Crop = float | Literal["squash"]


class ViewConfig(Settings):
    """How a random view of an image is drawn (SimCLR, arXiv 2002.05709, appendix A; strength 1)."""

    side: int | None = Field(None, ge=4, description="pixels a side of a view; default: the store's usual side")
    scale: tuple[float, float] = Field((0.08, 1.0), description="share of the area a crop covers, in (0, 1]")
    ratio: tuple[float, float] = Field((3 / 4, 4 / 3), description="aspect ratio (width / height) of a crop")
    interpolation: Literal["bilinear", "bicubic"] = Field(
        "bilinear", description="how views are resized, and every image that the encoder is judged by or embeds"
    )
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    vertical_flip: float = Field(0.0, ge=0, le=1, description="probability of a vertical flip")
    rotation: float = Field(0.0, ge=0, le=180, description="largest rotation in degrees, either way")
    jitter: float = Field(0.8, ge=0, le=1, description="probability of colour jitter")
    brightness: float = Field(0.8, ge=0, le=1, description="factor in 1 +- this")
    contrast: float = Field(0.8, ge=0, le=1, description="factor in 1 +- this")
    saturation: float = Field(0.8, ge=0, le=1, description="factor in 1 +- this; no effect on grey images")
    hue: float = Field(0.2, ge=0, le=0.5, description="shift in +- this share of a full turn; no effect on grey images")
    grey: float = Field(0.2, ge=0, le=1, description="probability of turning grey")
    blur: float = Field(0.5, ge=0, le=1, description="probability of Gaussian blur")
    blur_sigma: tuple[float, float] = Field((0.1, 2.0), description="standard deviation of the blur in pixels")
    blur_kernel: float = Field(
        0.1, gt=0, le=1, description="kernel width as a share of the side (made odd, at least 3)"
    )
    solarise: float = Field(0.0, ge=0, le=1, description="probability of inverting the pixels above 0.5")
    erase: float = Field(0.0, ge=0, le=1, description="probability of erasing a rectangle")
    erase_scale: tuple[float, float] = Field((0.02, 0.33), description="share of the area that is erased")
    mean: tuple[float, ...] | None = Field(None, description="channel means in [0, 1]; default: measured on the store")
    std: tuple[float, ...] | None = Field(
        None, description="channel deviations in [0, 1]; default: measured on the store"
    )

    @field_validator("scale", "ratio", "blur_sigma", "erase_scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        low, high = value
        share = info.field_name in ("scale", "erase_scale")
        if not 0 < low <= high or (share and high > 1):
            limits = "0 < smallest <= largest <= 1" if share else "0 < smallest <= largest"
            raise ValueError(f"{info.field_name} is (smallest, largest) with {limits}, not ({low:g}, {high:g})")
        return value

    @field_validator("std")
    @classmethod
    def _positive(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and min(value, default=1.0) <= 0:
            raise ValueError("each std must be above 0")
        return value

    def entering(self, facts: Mapping[str, Any]) -> ViewConfig:
        """These views with the side, mean, deviation and interpolation of ``facts``, as an encoder was trained with.

        ``facts`` are those of ``foretell.encoders.load_encoder``, or the fields of other views.
        """
        return self.model_copy(update={name: facts[name] for name in ("side", "mean", "std", "interpolation")})

    def milder(self) -> ViewConfig:
        """These views for training with labels: half the crop range and colour strength, no grey, blur, solarising or
        erasing; flips and rotation as they are.

        Strong views make a pretext task hard on purpose; with few labels they cost accuracy (SimCLR, appendix B.5,
        fine-tunes with crops and flips alone).
        """
        low, high = self.scale
        return self.model_copy(
            update={
                "scale": ((low + high) / 2, high),
                "brightness": self.brightness / 2,
                "contrast": self.contrast / 2,
                "saturation": self.saturation / 2,
                "hue": self.hue / 2,
                "grey": 0.0,
                "blur": 0.0,
                "solarise": 0.0,
                "erase": 0.0,
            }
        )
