"""What pretraining was worth: every arm at every number of labels and seed, with equal views, search, batch and
steps.

The protocol follows SimCLR (2002.05709, section 4.2 and appendix B.5) at the scale of one's own data: class-
balanced fractions, nested and the same for every arm; learning rate and steps searched once for each arm and
fraction on the first seed, on labels out of that fraction, and reused for the other seeds. The test set is looked
at once a fit and chooses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foretell.data.edges import outside
from foretell.data.table import IDENTITIES, many
from foretell.encoders.base import Encoder
from foretell.errors import InputError
from foretell.measures.redrawn import widen_spreads
from foretell.run import Run
from foretell.transfer.ahead import work_ahead
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.engine import Progress
from foretell.transfer.fractions import fractions_of
from foretell.transfer.images.arms import DEFAULT_ARMS, check_arms
from foretell.transfer.images.cases import commonest_of, count, labelled_cases, unit_notes
from foretell.transfer.images.engine import ImageEngine
from foretell.transfer.images.evaluate import at_most
from foretell.transfer.images.findings import labelled_findings
from foretell.transfer.images.labelled import Index, Labelled, TooAlike, labelled, resolved
from foretell.transfer.images.shift import PREFIX, apart, drops, gains, unlike
from foretell.transfer.labels import KEY, labels_fingerprint
from foretell.transfer.protocol import Protocol
from foretell.views.config import SQUASH, ViewConfig

if TYPE_CHECKING:
    from foretell.data.store import ImageStore


def _check_apart(store: ImageStore, fit: Labelled, held: Labelled) -> None:
    """Raise InputError when a group, or a case or study of no group, has samples in both."""
    identities = store.table.identities()
    if identities is None:
        return
    learnt = {own: int(row) for row in fit.index if (own := identities[row]) is not None}
    shared = learnt.keys() & {identities[row] for row in held.index}
    if shared:
        first = min(shared)
        noun = first[0]
        raise InputError(
            f"{store.source}: {many(len(shared), noun, IDENTITIES[noun])} both in the training and in the test part (the first is "
            f"'{first[1]}', with '{store.names[learnt[first]]}'); keep every {noun} in one split; images that a run was "
            "pretrained on keep its split, so pretrain on this table"
        )


def _without_label(data: Labelled, part: str) -> list[str]:
    return [f"{many(data.unlabelled, f'{part} sample')} without a label left out"] if data.unlabelled else []


def _read(
    store: ImageStore, rows: Index | Sequence[int], column: str, config: TransferConfig, part: str = ""
) -> Labelled:
    index, by_case = np.asarray(rows, dtype=np.int64), config.unit == "case"
    if config.findings:
        return labelled_findings(store, index, config.findings, uncertain=config.uncertain, by_case=by_case)
    try:
        return (labelled_cases if by_case else labelled)(store, index, column)
    except InputError as error:
        if not part:
            raise
        raise InputError(f"in the {part} part: {error}") from None


def unseen(
    store: ImageStore, fit: Labelled, rows: Index | Sequence[int], column: str, config: TransferConfig, part: str = ""
) -> tuple[Labelled, list[str]]:
    """Labelled samples among ``rows``, the ``part`` in words, to test what is trained on ``fit``, and notes on what was
    left out.

    Raises InputError when they share a group or a case with ``fit``, have no usable labels, or none that ``fit`` has.
    """
    held = _read(store, rows, column, config, part)
    _check_apart(store, fit, held)
    notes = _without_label(held, "test")
    known = np.isin(held.codes, fit.codes)
    if held.targets is None and not known.all():
        names = sorted({held.classes[code] for code in held.codes[~known]})
        listed = f"{', '.join(names[:5])}{' and others' if len(names) > 5 else ''}"
        if not known.any():
            raise InputError(
                f"{store.source}: no training label names {listed}, the labels of all test samples; give both parts the "
                "same labels"
            )
        notes.append(f"{many(int((~known).sum()), 'test sample')} left out: no training label names {listed}")
        held = held.take(np.flatnonzero(known))
    return held, notes


def held_out(
    store: ImageStore,
    train: Index | Sequence[int],
    test: Index | Sequence[int],
    column: str = "label",
    config: TransferConfig | None = None,
) -> tuple[Labelled, Labelled, list[str]]:
    """Labelled training and test samples, and notes on what was left out.

    ``config`` says whether a label is one of a case, and which columns hold findings. Raises InputError when the two
    share a sample, a group or a case, or when either has no usable labels.
    """
    both = np.intersect1d(np.asarray(train), np.asarray(test))
    if len(both):
        raise InputError(
            f"{store.source}: {many(len(both), 'sample')} both in the training and in the test part (the first is "
            f"'{store.names[int(both[0])]}'); give each sample one split"
        )
    config = config or TransferConfig()
    fit = _read(store, train, column, config, "training")
    held, notes = unseen(store, fit, test, column, config, "test")
    return fit, held, _without_label(fit, "training") + notes


@dataclass(frozen=True)
class JudgedParts:
    """Samples to train on and to test, at home and on another domain, and notes on what was left out."""

    fit: Labelled
    held: Labelled
    shifted: Labelled | None
    notes: list[str]


def judged_parts(
    store: ImageStore,
    train: Index | Sequence[int],
    test: Index | Sequence[int],
    *,
    config: TransferConfig,
    column: str = "label",
    shift: str | None = None,
) -> JudgedParts:
    """What a comparison trains on and tests. Raises InputError as ``held_out``, and for a domain that cannot be judged."""
    if shift is None:
        fit, held, notes = held_out(store, train, test, column, config)
        return JudgedParts(fit, held, None, notes + unit_notes(store, [*fit.index, *held.index], config, column))
    train, test, elsewhere, left_out = apart(store, shift, np.asarray(train), np.asarray(test))
    fit, held, notes = held_out(store, train, test, column, config)
    try:
        shifted, more = unseen(store, fit, elsewhere, column, config)
    except TooAlike as error:
        raise InputError(
            f"--shift {shift}: {error.found}; nothing can be told apart in that domain: give one whose labels differ"
        ) from None
    except InputError as error:
        raise InputError(f"--shift {shift}: {error}") from None
    notes += unit_notes(store, [*fit.index, *held.index], config, column)
    return JudgedParts(fit, held, shifted, notes + left_out + [f"{shift}: {note}" for note in more])


def _cut_off(held: Labelled, store: ImageStore, config: TransferConfig) -> list[str]:
    """A note where much of the test images lies outside what is judged."""
    beyond = None if config.crop == SQUASH else outside(store.sizes[held.index])
    return (
        [f"of the test part {beyond}, which is all that is judged; transfer.crop=squash judges whole images"]
        if beyond
        else []
    )


def _about_test(held: Labelled, drawn_of: int, split: str) -> dict[str, Any]:
    about: dict[str, Any] = {"samples": count(held), "split": split}
    if count(held) < drawn_of:
        about["of"] = drawn_of
    if held.unlabelled:
        about["unlabelled"] = held.unlabelled
    if held.groups is not None:
        about["groups"] = len(np.unique(held.groups))
    if held.cases is not None:
        about["images"] = len(held)
    return about


def _groups(tested: Mapping[str, Labelled | None]) -> dict[str, int]:
    """How many groups each accuracy is a share of; that of findings is a mean over them, and none of the groups."""
    return {
        name: len(np.unique(part.groups))
        for name, part in tested.items()
        if part is not None and part.groups is not None and part.targets is None
    }


def _about_shift(shifted: Labelled, result: Mapping[str, Any], redrawn: list[dict[str, Any]]) -> dict[str, Any]:
    rows, metric = result["rows"], result["metric"]
    return {
        "samples": count(shifted),
        "drops": drops(rows, metric, redrawn),
        "gains": gains(rows, metric, redrawn=redrawn),
    }


def compare(
    encoder: Encoder,
    store: ImageStore,
    *,
    train: Index | Sequence[int],
    test: Index | Sequence[int],
    views: ViewConfig,
    protocol: Protocol | None = None,
    training: TransferConfig | None = None,
    run: Run | None = None,
    fits: Path | None = None,
    progress: Progress | None = None,
    column: str = "label",
    supervised: Encoder | None = None,
    split: str = "",
    all_labels: bool = True,
    shift: str | None = None,
    join: bool = False,
    draws: bool = False,
) -> dict[str, Any]:
    """Compare the arms of ``protocol``, by default ``DEFAULT_ARMS``, and return what ``results/comparison.json`` holds (written
    there when ``run`` is given).

    ``train`` and ``test`` are rows of ``store``; ``views`` are the random views of fine-tuning, the same for every
    arm. ``supervised`` gives the arm of that name its encoder. Finished fits are kept in the run (or the file
    ``fits``, which several comparisons may share one after another), so that an interrupted comparison goes on.
    ``progress(done, total, what)``. ``split`` says how the test part was made; ``all_labels``: nearest neighbours and
    probes on all labels too. ``shift``, as "domain=B", takes the rows with that value of a column out of ``train`` and
    ``test`` and applies every fit to them with no training. ``join``: another process makes this comparison and holds
    ``run``; take part in its searches alone, write nothing, and return {"search": their records}. ``draws`` adds what
    ``redrawn.taken_from`` says as "redrawn", and ``Cache.took`` as "took", for comparisons that are put together.
    Raises InputError for unusable labels, samples or groups in both parts, and unknown arms.
    """
    began = time.perf_counter()
    protocol, config = protocol or Protocol(), training or TransferConfig()
    chosen = check_arms(tuple(protocol.arms or DEFAULT_ARMS))
    if supervised is None:
        chosen = tuple(arm for arm in chosen if arm != "supervised")
    parts = judged_parts(store, train, test, config=config, column=column, shift=shift)
    fit, notes = parts.fit, parts.notes
    held = at_most(parts.held, config.test_samples)
    shifted = None if parts.shifted is None else at_most(parts.shifted, config.test_samples)
    work = ImageEngine(
        encoder=encoder,
        supervised=supervised,
        store=store,
        train=fit,
        test=held,
        views=resolved(views, store, encoder.side),
        protocol=protocol,
        config=config,
        cache=Cache(None if join else fits or (None if run is None else run.path / "results" / "comparison.jsonl")),
        progress=progress,
        all_labels=all_labels,
        shifted=shifted,
        folder=fits.parent if fits is not None else None if run is None else run.path,
    )
    kinds = "classes" if fit.targets is None else "kinds of sample (each by its rarest finding, or none)"
    fractions, more = fractions_of(fit, protocol.per_class, work.seeds, config, fit.cases, kinds)
    if join:
        return {"search": work.join(chosen, fractions)}
    work_ahead(work, chosen, fractions, protocol.jobs)
    result = work.run(chosen, fractions)
    result["test"] = _about_test(held, count(parts.held), split)
    widen_spreads(result["summary"], _groups({"accuracy": held, PREFIX + "accuracy": shifted}))
    result["commonest"] = commonest_of(held)
    result[KEY] = labels_fingerprint(store, config, column)
    result["findings"] = held.targets is not None
    result["settings"] = config.comparable_settings()
    if shifted is not None:
        notes = notes + unlike(held, shifted, result["metric"], str(shift))
        result["shift"] = {"domain": shift, **_about_shift(shifted, result, work.redrawn)}
    if draws:
        result["redrawn"], result["took"] = work.redrawn, work.cache.took
    result["notes"] = notes + more + _cut_off(held, store, config)
    result["cost"] = work.cost(began)
    if run is not None:
        run.write_json("results/comparison.json", result)
    return result
