"""By which labels a result was measured, so that the scores of two tasks, or of corrected labels, are not taken for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foretell.transfer.cache import fingerprint
from foretell.transfer.config import TransferConfig

if TYPE_CHECKING:
    from foretell.data.store import ImageStore

KEY = "labels_fingerprint"  # in every result that is kept
FROZEN = "frozen_labels"  # in a comparison whose scores with all labels are of other labels: {KEY, "classes"} of these

Result = Mapping[str, Any]


def labels_fingerprint(store: ImageStore, config: TransferConfig, column: str = "label") -> str:
    """A short name for what each image of ``store`` is labelled with, in ``column`` or as findings, whatever part is judged."""
    columns: Sequence[str] = config.findings or [column]
    given = {name: store.table.column(name) for name in columns}
    return fingerprint([store.fingerprint, given, config.uncertain if config.findings else None])


def same_labels(one: Result, other: Result) -> bool:
    """Whether two results are of the same labels: by their fingerprints, and by their classes where an earlier version
    kept one of them without."""
    if one.get(KEY) and other.get(KEY):
        return bool(one[KEY] == other[KEY])
    classes = [list(result["classes"]) for result in (one, other) if result.get("classes")]
    return len(classes) < 2 or classes[0] == classes[1]


def chose_step(facts: Result) -> str:
    """Which labels chose the step of a run's weights (``training.patience``), a sentence, by its facts.json; "" where none did."""
    told = facts.get("patience")
    count = told.get("labels") if isinstance(told, Mapping) else None
    if not isinstance(count, int):
        return ""
    images = "labelled image" if count == 1 else "labelled images"
    return (
        f"training.patience: kNN accuracy on {count:,} {images} of pretraining's training part chooses the step whose weights are "
        "kept, labels that no number of labels of a comparison counts"
    )


def of_frozen(comparison: Result) -> Result:
    """What says of which labels the scores with all labels in ``comparison`` are."""
    found: Result = comparison.get(FROZEN) or comparison
    return found
