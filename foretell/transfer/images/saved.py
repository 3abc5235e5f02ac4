"""A fine-tuned classifier as a folder: the encoder in timm's format, the head beside it, class names in the config."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from foretell.encoders.folder import README, encoder_files
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.encoders.weights import read_tensors, usable
from foretell.errors import InputError
from foretell.run import write_together
from foretell.transfer.config import ClassifierConfig
from foretell.transfer.images.cases import Pool
from foretell.transfer.images.features import PlainViews
from foretell.transfer.images.finetune import Classifier, probabilities
from foretell.transfer.images.labelled import Index, Reader
from foretell.views.config import Crop, ViewConfig

HEAD = "head.safetensors"
ATTENTION = "attention"  # in it, where the images of a case are weighed
USE = """
The classifier, which is this encoder and the head beside it, with Foretell:

```python
import numpy as np

from foretell.data.store import open_images, read_like
from foretell.transfer.images.saved import load_classifier, predict

classifier, facts = load_classifier({name})  # the name of this folder
store = open_images("photos", **read_like(facts))  # its channels, 16-bit scale and window
shares = predict(classifier, store, np.arange(len(store)), crop=facts["crop"])  # one row an image, as classifier.classes
```
"""
USE_CASES = """
It was tuned for cases of several images. Their shares, where ``cases`` numbers the case of each image:

```python
from foretell.transfer.images.saved import predict_cases

rows = np.arange(len(store))
numbers, shares = predict_cases(classifier, store, rows, cases, pooling=facts["pooling"], crop=facts["crop"])
```
"""


def save_classifier(
    classifier: Classifier, folder: str | Path, *, crop: Crop = 1.0, extra: dict[str, Any] | None = None
) -> Path:
    """Write ``classifier`` to ``folder``, all of it or nothing; timm loads its encoder.

    Raises ForetellError when it cannot be written.
    """
    encoder, views = classifier.encoder, classifier.views
    if not isinstance(encoder, TimmEncoder) or views.mean is None or views.std is None:
        raise InputError(f"{folder}: only a timm encoder with known mean and deviation can be saved as a classifier")
    parts = classifier.head.state_dict()
    if classifier.attention is not None:
        parts[ATTENTION] = classifier.attention.state_dict()["weight"]
    head = {name: tensor.detach().cpu().contiguous() for name, tensor in parts.items()}
    target = Path(folder)
    files = encoder_files(
        encoder,
        target,
        mean=views.mean,
        std=views.std,
        extra={**(extra or {}), "classes": classifier.classes, "findings": classifier.findings},
        interpolation=views.interpolation,
        crop=crop,
    )
    readme = files[README]
    assert isinstance(readme, str)
    readme += USE.format(name=json.dumps(target.resolve().name, ensure_ascii=False))
    if "pooling" in (extra or {}):
        readme += USE_CASES
    write_together(target, {**files, README: readme, HEAD: save(head, metadata={"format": "pt"})})
    return target


def load_classifier(folder: str | Path) -> tuple[Classifier, dict[str, Any]]:
    """The classifier of ``save_classifier``, in evaluation mode, and what ``load_encoder`` tells of it.

    Raises InputError when the folder holds no head or no class names, or they do not fit together.
    """
    from foretell.encoders import load_encoder

    path = Path(folder)
    if not (path / HEAD).is_file():
        raise InputError(f"{path}: not a fine-tuned classifier (it has no {HEAD}); fine-tune first")
    encoder, facts = load_encoder(path)
    classes = facts.get("classes")
    if not isinstance(classes, list) or not classes or len(set(map(str, classes))) < len(classes):
        raise InputError(f"{path}: its config.json names no classes, or one twice; fine-tune again")
    views = ViewConfig().entering(facts)
    names, findings = [str(name) for name in classes], bool(facts.get("findings"))
    tensors = {name: usable(value, name, path / HEAD) for name, value in read_tensors(path / HEAD).items()}
    attention = tensors.pop(ATTENTION, None)
    classifier = Classifier(
        ClassifierConfig(head="zero"), encoder, None, views, names, findings=findings, bag=int(attention is not None)
    )
    try:
        classifier.head.load_state_dict(tensors)
        if classifier.attention is not None:
            classifier.attention.load_state_dict({"weight": attention})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path / HEAD}: does not fit {len(classes)} classes and the encoder ({reason})") from error
    return classifier.eval(), facts


def _each(
    classifier: Classifier, store: Reader, rows: Index, crop: Crop, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.float32]]:
    """What ``probabilities`` gives of ``rows``, batch by batch."""
    at = 0
    views = PlainViews(store, rows, classifier.views, crop=crop, limit=0)
    with torch.inference_mode():
        for p in probabilities(classifier, views.batches()):
            yield p
            at += len(p)
            if progress is not None:
                progress(at, len(rows))


def predict(
    classifier: Classifier,
    store: Reader,
    index: Index,
    *,
    crop: Crop = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Class probabilities, float32 (N, classes), of the images ``index`` (N,) of ``store``, in that order."""
    rows, classes = np.asarray(index, dtype=np.int64), len(classifier.classes)
    found = [p[:, :classes] for p in _each(classifier, store, rows, crop, progress)]
    return np.concatenate(found) if found else np.empty((0, classes), dtype=np.float32)


def predict_cases(
    classifier: Classifier,
    store: Reader,
    index: Index,
    cases: Index,
    *,
    pooling: str = "mean",
    crop: Crop = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Index, NDArray[np.float32]]:
    """(the numbers of the cases (M,), growing; their class probabilities, float32 (M, classes)) of the images ``index`` (N,).

    ``cases`` (N,) numbers the case of each image. ``pooling`` is "mean", "max" or "attention", the last for a classifier that
    was fine-tuned with it alone. Raises InputError for attention that was not learnt, or learnt and not asked for,
    and where ``cases`` are not as many as images.
    """
    if (pooling == "attention") != (classifier.attention is not None):
        learnt = "mean or max" if classifier.attention is None else "attention"
        raise InputError(f"pooling {pooling}: this classifier was fine-tuned for {learnt}; give that")
    numbers = np.asarray(cases, dtype=np.int64)
    if len(numbers) != len(index):
        raise InputError(
            f"cases: expected the number of the case of each image, {len(index)} of them as in index, found {len(numbers)}"
        )
    pool = Pool(numbers, len(classifier.classes), pooling, exclusive=not classifier.findings)
    for p in _each(classifier, store, np.asarray(index, dtype=np.int64), crop, progress):
        pool.add(p)
    return pool.numbers, pool.probabilities()
