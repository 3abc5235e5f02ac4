"""The images, or the cases of several images, nearest to an image: what is left out, and what the embedding of a case is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from foretell.data.bags import Bags
from foretell.errors import InputError
from foretell.measures.knn import nearest
from foretell.objectives.micle import COLUMNS, NEEDED
from foretell.transfer.images.labelled import Index, group_codes

if TYPE_CHECKING:
    from foretell.data.store import ImageStore
    from foretell.data.table import Table

Array = NDArray[np.float32]
Bag = Literal["case", "study", "group"]
Unit = Bag | Literal["image"]
_BAG: dict[Bag, str] = {"case": "case", "study": "study", "group": "patient"}  # what MICLe calls it


@dataclass(frozen=True)
class Near:
    """What lies nearest to a query, best first, k of them.

    ``rows`` (k,) of the store: the image, or of a case the one of its images that is nearest to the query. ``similarity``
    (k,): cosines. ``members``: the rows of each, one for an image.
    """

    rows: Index
    similarity: Array
    members: list[Index]


def belonging(store: ImageStore, unit: Unit, option: str) -> Index:
    """(N,) int64: the number of the ``unit`` that each image of ``store`` belongs to; a row with none has its own.

    A case and a study lie within their group, and a group is one case where there is no column ``case``. Raises
    InputError, naming the ``option`` that asked, when the table has no such column.
    """
    if unit == "image":
        return np.arange(len(store), dtype=np.int64)
    needed = NEEDED[_BAG[unit]]
    if not any(name in store.table for name in needed):
        raise InputError(
            f"{option} {unit}: {store.source} has no column {' or '.join(needed)} that says which images belong together; "
            f"give a table with one, or --set data.columns.{unit}=NAME for a column of another name"
        )
    return Bags(store.table, COLUMNS[_BAG[unit]]).of_row


def kept_whole(store: ImageStore) -> Index | None:
    """(N,) int64: the number of what no split divides, as ``labelled.group_codes``; None where that tells no images apart:
    without such a column, or where all images are of one group.
    """
    codes = group_codes(store, np.arange(len(store), dtype=np.int64))
    return None if codes is None or len(np.unique(codes)) < 2 else codes


def called(table: Table, bag: Bag, row: int) -> str | None:
    """What the case, study or group of ``row`` is called: its values, "patient 7 / left"; None where it has none."""
    values = [table.column(name)[row] for name in COLUMNS[_BAG[bag]] if name in table]
    return " / ".join(value for value in values if value is not None) or None


def nearest_images(query: Array, features: Array, among: Index, k: int) -> Near:
    """The ``k`` (or fewer) rows of ``among`` (M,) whose ``features`` (N, D) have the largest cosine with ``query`` (D,)."""
    index, similarity = nearest(query[None], features[among], min(k, len(among)))
    rows = among[index[0].numpy()]
    return Near(rows, similarity[0].numpy(), [rows[at : at + 1] for at in range(len(rows))])


def nearest_cases(query: Array, features: Array, of: Index, among: Index, k: int) -> Near:
    """The ``k`` (or fewer) cases of largest cosine with ``query`` (D,): ``of`` (N,) numbers the case of each image.

    The embedding of a case is the mean of its images' embeddings, each scaled to length 1 before, so that each counts alike.
    Only images of ``among`` (M,) rows of ``features`` (N, D) are taken.
    """
    unit = F.normalize(torch.from_numpy(features[among]).float(), dim=1)
    _, at, sizes = np.unique(of[among], return_inverse=True, return_counts=True)
    sums = torch.zeros(len(sizes), unit.shape[1]).index_add_(0, torch.from_numpy(at), unit)
    index, similarity = nearest(query[None], sums / torch.from_numpy(sizes)[:, None], min(k, len(sizes)))
    likeness = (unit @ torch.from_numpy(query).float()).numpy()
    places = [np.flatnonzero(at == case) for case in index[0].tolist()]
    closest = np.array([place[likeness[place].argmax()] for place in places], dtype=np.int64)
    return Near(among[closest], similarity[0].numpy(), [among[place] for place in places])
