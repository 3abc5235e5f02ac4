"""A fine-tuned classifier as a folder: the encoder in timm's format, the head beside it, class names in the config."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from foretell.encoders.folder import README
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.encoders.weights import read_tensors, usable
from foretell.errors import InputError
from foretell.run import write_aside
from foretell.transfer.config import ClassifierConfig
from foretell.transfer.images.features import PlainViews
from foretell.transfer.images.finetune import Classifier, probabilities
from foretell.transfer.images.labelled import Reader
from foretell.views.config import ViewConfig

HEAD = "head.safetensors"
USE = """
The classifier, which is this encoder and the head beside it, with Foretell:

```python
import numpy as np

from foretell.data.store import open_images
from foretell.transfer.images.saved import load_classifier, predict

classifier, facts = load_classifier({name})  # the name of this folder
store = open_images("photos", channels=facts["channels"], scale=facts.get("scale"))
shares = predict(classifier, store, np.arange(len(store)), crop=facts["crop"])  # one row an image, as classifier.classes
```
"""


def save_classifier(
    classifier: Classifier, folder: str | Path, *, crop: float = 1.0, extra: dict[str, Any] | None = None
) -> Path:
    """Write ``classifier`` to ``folder``; timm loads its encoder. Raises ForetellError when it cannot be written."""
    from foretell.encoders import save_encoder

    encoder, views = classifier.encoder, classifier.views
    if not isinstance(encoder, TimmEncoder) or views.mean is None or views.std is None:
        raise InputError(f"{folder}: only a timm encoder with known mean and deviation can be saved as a classifier")
    head = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.head.state_dict().items()}
    target = Path(folder)
    save_encoder(
        encoder,
        target,
        mean=views.mean,
        std=views.std,
        extra={**(extra or {}), "classes": classifier.classes, "findings": classifier.findings},
        interpolation=views.interpolation,
        crop=crop,
    )
    use = USE.format(name=json.dumps(target.resolve().name, ensure_ascii=False))
    write_aside(target / README, (target / README).read_text(encoding="utf-8") + use)
    write_aside(target / HEAD, save(head, metadata={"format": "pt"}))
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
    views = ViewConfig(side=facts["side"], mean=facts["mean"], std=facts["std"], interpolation=facts["interpolation"])
    names, findings = [str(name) for name in classes], bool(facts.get("findings"))
    classifier = Classifier(ClassifierConfig(head="zero"), encoder, None, views, names, findings=findings)
    tensors = {name: usable(value, name, path / HEAD) for name, value in read_tensors(path / HEAD).items()}
    try:
        classifier.head.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path / HEAD}: does not fit {len(classes)} classes and the encoder ({reason})") from error
    return classifier.eval(), facts


def predict(
    classifier: Classifier,
    store: Reader,
    index: NDArray[np.int64],
    *,
    crop: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Class probabilities, float32 (N, classes), of the rows ``index`` (N,) of ``store``, in that order."""
    rows = np.asarray(index, dtype=np.int64)
    out = np.empty((len(rows), len(classifier.classes)), dtype=np.float32)
    at = 0
    views = PlainViews(store, rows, classifier.views, crop=crop, limit=0)
    with torch.inference_mode():
        for p in probabilities(classifier, views.batches()):
            out[at : at + len(p)] = p
            at += len(p)
            if progress is not None:
                progress(at, len(rows))
    return out
