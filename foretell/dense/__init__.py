"""What an encoder is worth where every pixel has a class: masks, a light head, scores by class, and a fair comparison."""

from foretell.dense.compare import compare_dense
from foretell.dense.masks import Masks
from foretell.dense.scores import Overlap
from foretell.dense.segmenter import DenseConfig, Segmenter

__all__ = ["DenseConfig", "Masks", "Overlap", "Segmenter", "compare_dense"]
