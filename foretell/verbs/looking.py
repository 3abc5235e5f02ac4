"""What a fine-tuned classifier looks at: the saliency of a few test images, beside it and in the run's report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.objectives.base import Exhibit
from foretell.report.exhibits import spread
from foretell.report.findings import write_findings, write_picture
from foretell.run import Run
from foretell.transfer.images import saliency
from foretell.transfer.images.evaluate import at_most
from foretell.transfer.images.features import PlainViews
from foretell.transfer.images.finetune import Classifier
from foretell.transfer.images.labelled import Index, Labelled
from foretell.transfer.images.saved import predict
from foretell.transfer.networks import device_of
from foretell.verbs.progress import say
from foretell.views.config import Crop

SHOWN = 8
TRIED = 512  # test images that right and wrong answers are looked for among, about, where there are more

Array = NDArray[np.float32]


def _judged(test: Labelled, probabilities: Array) -> tuple[Index, NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each image the class foretold, whether that is right, and whether that is known.

    Of several findings it is the likeliest one, there from probability 0.5 on.
    """
    foretold = probabilities.argmax(axis=1)
    if test.targets is None:
        return foretold, foretold == test.codes, np.ones(len(test), dtype=bool)
    rows = np.arange(len(test))
    truth = test.targets[rows, foretold]
    return foretold, (truth > 0.5) == (probabilities[rows, foretold] >= 0.5), ~np.isnan(truth)


def chosen(test: Labelled, right: NDArray[np.bool_], known: NDArray[np.bool_], seed: int = 0) -> Index:
    """Positions in ``test`` of up to ``SHOWN`` images: half of them wrong and half right where there are so many of each, at
    random and even over the classes; the wrong ones first.
    """
    wrong, good = np.flatnonzero(known & ~right), np.flatnonzero(known & right)
    wrongs = min(len(wrong), max(SHOWN // 2, SHOWN - len(good)))
    parts = ((wrong, wrongs), (good, min(len(good), SHOWN - wrongs)))
    return np.concatenate([rows[spread(test.codes[rows], len(rows), take, seed)] for rows, take in parts])


def _truth(test: Labelled, at: int, code: int) -> str:
    """What is known of the image at ``at``: its class, or of several findings the one of number ``code``."""
    if test.targets is None:
        return test.classes[int(test.codes[at])]
    return f"{test.classes[code]}: {'there' if test.targets[at, code] > 0.5 else 'not there'}"


def maps(classifier: Classifier, test: Labelled, names: Sequence[str], crop: Crop) -> Exhibit | None:
    """The saliency of a few images of ``test`` for the class that ``classifier`` foretells of each, and a table of them.

    ``names`` are those of all rows of the store. None where no answer can be judged. The classifier is left in evaluation mode.
    """
    some = at_most(test, TRIED)
    probabilities = predict(classifier.eval(), some.reader, some.index, crop=crop)
    foretold, right, known = _judged(some, probabilities)
    at = chosen(some, right, known)
    if not len(at):
        return None
    views = PlainViews(some.reader, some.index[at], classifier.views, crop=crop)
    x = torch.cat(list(views.batches())).to(device_of(classifier))
    scores = [saliency.of_class(classifier, int(code)) for code in foretold[at]]
    table: list[tuple[str, ...]] = [("Image, from the top", "label", "foretold", "answer")]
    for row in at.tolist():
        code = int(foretold[row])
        told = f"{some.classes[code]} ({probabilities[row, code]:.0%})"
        answer = "right" if right[row] else "wrong"
        table.append((names[some.index[row]], _truth(some, row, code), told, answer))
    note = " Wrong answers are sought out: how many there are says nothing of the accuracy."
    found = saliency.exhibit(scores, x, classifier.views)
    return replace(found, caption=found.caption + note, table=table)


def keep(found: Exhibit | None, folder: Path, run: Run | None) -> None:
    """Write the picture into the ``folder`` of the classifier, and with its section into the ``run`` where the images are its
    own. None takes the place of what an earlier classifier showed there.
    """
    place = folder / f"{saliency.NAME}.png"
    place.unlink(missing_ok=True)
    if found is not None:
        write_picture(found, place)
        say(f"  what it looks at: {place}")
    if run is not None:
        write_findings(run, [] if found is None else [found], without=[saliency.NAME])
