"""What the verbs hand back, apart from the work that makes it: the verbs and their work both know these, and stay light."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Pretraining:
    """What ``pretrain`` made: the run's folder, its encoder's and its report (None of a process that is not the first).

    ``seconds`` of training, over all its parts. ``knn``: accuracy on the test part by nearest neighbours in [0, 1], by arm
    (pretrained, random, pixels); {} without labels. Of text what was measured on the held-out part: "perplexity", of word
    vectors "held_out_loss".
    """

    run: Path
    encoder: Path
    report: Path | None
    steps: int
    seconds: float
    knn: dict[str, float] = field(default_factory=dict)


@dataclass
class Finetuned:
    """What ``finetune`` made: the classifier's folder, its scores on the test part, and the comparison's result.

    ``report`` is None for a model without a run, for other images than the run's own, and for text where the results
    are kept beside the model. Where another process holds the run and this one took part in its
    searches, ``model`` is what that one will write, ``scores`` is empty and ``comparison`` holds the searches.
    """

    model: Path
    report: Path | None
    scores: dict[str, Any]
    comparison: dict[str, Any] | None


@dataclass
class Filled:
    """``gaps``: for each [MASK] in order its candidates, (token, probability), likeliest first; ``text`` filled by them."""

    text: str
    gaps: list[list[tuple[str, float]]] = field(default_factory=list)


@dataclass
class Inpainting:
    """What ``inpaint`` wrote: the filled picture, the exhibit beside it, and how many pixels were filled."""

    filled: Path
    exhibit: Path
    pixels: int


@dataclass
class Pipeline:
    """What ``pipeline`` made: each step's folder by name, the report's page, and its numbers."""

    folder: Path
    steps: dict[str, Path]
    report: Path
    numbers: dict[str, Any]
