"""Several findings of one image, each there, not there or not known: targets from columns, the loss and the
probe (CheXpert: Irvin et al., arXiv 1901.07031, section 3 for uncertain labels as ignored, zeros or ones).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foretell.data.bags import Bags
from foretell.data.findings import check_columns, value_of
from foretell.errors import InputError
from foretell.measures.probe import Probe, fit_probe
from foretell.objectives.micle import COLUMNS
from foretell.transfer.images.attention import fit_attention
from foretell.transfer.images.labelled import Index, Labelled, TooAlike, group_codes

if TYPE_CHECKING:
    from foretell.data.store import ImageStore

Array = NDArray[np.float32]

UNCERTAIN_AS = {"ignore": math.nan, "zeros": 0.0, "ones": 1.0}


def _target(text: str | None, uncertain: str, where: str) -> float:
    value = value_of(text, where)
    return UNCERTAIN_AS[uncertain] if value == -1 else value


def _of_cases(targets: Array, cases: Index) -> Array:
    """The targets of each row's case: there where one image says so, not there where one says that and none the other."""
    count = int(cases.max()) + 1
    highest = np.full((count, targets.shape[1]), -1.0, dtype=np.float32)
    np.maximum.at(highest, cases, np.where(np.isnan(targets), -1.0, targets))
    found: Array = np.where(highest < 0, np.nan, highest)[cases].astype(np.float32)
    return found


def strata(targets: Array) -> Index:
    """(N,) int64: the rarest finding that is there, or L where none is: what balances fractions and folds."""
    order = np.argsort(np.nansum(targets, axis=0), kind="stable")
    there = targets[:, order] == 1
    found: Index = np.where(there.any(axis=1), order[there.argmax(axis=1)], targets.shape[1]).astype(np.int64)
    return found


def labelled_findings(
    store: ImageStore, index: Index, columns: Sequence[str], *, uncertain: str = "ignore", by_case: bool = False
) -> Labelled:
    """The rows of ``index`` with a known value in one of ``columns`` or more; ``targets`` (N, L) are 1, 0 or NaN.

    ``classes`` are the columns, ``codes`` the ``strata``. ``by_case``: a finding of one image is one of its case. Raises
    InputError for a column or value that is not understood, no column of cases, and findings that are all there or all
    not there.
    """
    table = store.table
    check_columns(table, columns)
    values = [
        [
            _target(table.column(name)[row], uncertain, f"{store.source}: {name} of '{store.names[row]}'")
            for name in columns
        ]
        for row in index
    ]
    targets = np.array(values, dtype=np.float32).reshape(len(index), len(columns))
    cases = None
    if by_case:
        if not any(name in table for name in COLUMNS["case"]):
            raise InputError(
                f"{store.source}: transfer.unit=case needs a column case or group that says which images belong together"
            )
        cases = Bags(table, COLUMNS["case"]).of_row[index]
        targets = _of_cases(targets, cases)
    known = ~np.isnan(targets).all(axis=1)
    if not known.any():
        raise InputError(
            f"{store.source}: none of {len(index)} samples has a value of {', '.join(columns)}; label some"
        )
    rows, targets = np.asarray(index)[known], targets[known]
    if not any(len(np.unique(column[~np.isnan(column)])) > 1 for column in targets.T):
        raise TooAlike(
            f"{store.source}: {', '.join(columns)}: no finding is there in some samples and not there in others",
            "nothing can be learnt",
        )
    data = Labelled(store, rows, strata(targets), list(columns), group_codes(store, rows), targets=targets)
    return replace(data, cases=None if cases is None else cases[known], unlabelled=len(index) - len(rows))


# training ------------------------------------------------------------------------------------------------------------


def positive_weights(targets: Array) -> Array:
    """(L,): not-there over there among the known of each finding, 1 where one of them is missing."""
    there, absent = np.nansum(targets == 1, axis=0), np.nansum(targets == 0, axis=0)
    found: Array = np.where((there > 0) & (absent > 0), absent / np.maximum(there, 1), 1.0).astype(np.float32)
    return found


def masked_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of (B, L) logits, mean over the known of ``targets`` (NaN: not known); 0 where none is.

    ``weights`` (L,) multiply the loss where a finding is there.
    """
    known = ~torch.isnan(targets)
    losses = F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none", pos_weight=weights)
    return (losses * known).sum() / known.sum().clamp(min=1)


# frozen ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Findings(Probe):
    """A logistic regression for each finding: ``weight`` (L, D), ``bias`` (L,)."""

    def probabilities(self, x: Array) -> Array:
        """(N, L), each in [0, 1] by itself."""
        return torch.from_numpy(self.logits(x)).sigmoid().numpy()


@dataclass(frozen=True)
class AttentionFindings(Findings):
    """``Findings`` of images, and ``attention`` (L, D): an image weighs exp(attention @ x) for each finding of its case."""

    attention: Array

    def probabilities(self, x: Array) -> Array:
        """(N, 2 L): probabilities of each image, then the logarithms of its weights."""
        return np.concatenate([super().probabilities(x), x @ self.attention.T], axis=1).astype(np.float32)


def fit_findings(
    x: Array, targets: Array, strength: float, weights: Array | None = None, attended: Index | None = None
) -> Findings:
    """``fit_probe`` for each finding, on the samples where it is known; ``fit_attention`` where ``attended`` (N,)
    numbers cases.

    A finding of which only one value is known has no weight, and the log-odds of that value with half a sample of the other.
    """
    weight = np.zeros((targets.shape[1], x.shape[1]), dtype=np.float32)
    bias, attention = np.zeros(targets.shape[1], dtype=np.float32), np.zeros_like(weight)
    for at, column in enumerate(targets.T):
        rows = np.flatnonzero(~np.isnan(column))
        codes = column[rows].astype(np.int64)
        if len(np.unique(codes)) < 2:
            there, absent = (codes == 1).sum() + 0.5, (codes == 0).sum() + 0.5
            bias[at] = math.log(there / absent)
            continue
        own = None if weights is None else weights[rows]
        if attended is None:
            probe = fit_probe(x[rows], codes, 2, strength, weights=own)
        else:
            probe = fit_attention(x[rows], codes, attended[rows], 2, strength, own)
            attention[at] = probe.attention[0]
        weight[at], bias[at] = probe.weight[1] - probe.weight[0], probe.bias[1] - probe.bias[0]
    if attended is None:
        return Findings(weight, bias, strength)
    return AttentionFindings(weight, bias, strength, attention)
