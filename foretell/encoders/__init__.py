"""Image encoders: Foretell's small networks and any timm name, behind one contract."""

from foretell.encoders.base import Encoder, EncoderConfig
from foretell.encoders.build import build_encoder, check_name, resolve
from foretell.encoders.convolution import gemm_weight_gradients
from foretell.encoders.folder import load_encoder, save_encoder
from foretell.encoders.norm import (
    CrossProcessBatchNorm1d,
    CrossProcessBatchNorm2d,
    convert_batchnorm,
)
from foretell.encoders.small import SMALL, TRANSFORMERS, Small, SmallTransformer, small_stem
from foretell.encoders.timm_encoder import TimmEncoder

__all__ = [
    "SMALL",
    "TRANSFORMERS",
    "CrossProcessBatchNorm1d",
    "CrossProcessBatchNorm2d",
    "Encoder",
    "EncoderConfig",
    "Small",
    "SmallTransformer",
    "TimmEncoder",
    "build_encoder",
    "check_name",
    "convert_batchnorm",
    "gemm_weight_gradients",
    "load_encoder",
    "resolve",
    "save_encoder",
    "small_stem",
]
