"""What pretraining was worth: every arm at every number of labels and seed, with equal views, search, batch and
steps.

The protocol follows SimCLR (2002.05709, section 4.2 and appendix B.5) at the scale of one's own data: class-
balanced fractions, nested and the same for every arm; learning rate and steps searched once for each arm and
fraction on the first seed, on labels out of that fraction, and reused for the other seeds. The test set is looked
at once a fit and chooses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foretell.data.edges import outside
from foretell.data.table import IDENTITIES
from foretell.encoders.base import Encoder
from foretell.errors import InputError
from foretell.measures.redrawn import widen_spreads
from foretell.run import Run
from foretell.transfer.ahead import work_ahead
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.engine import Progress
from foretell.transfer.fractions import Amount, fractions_of
from foretell.transfer.images.arms import DEFAULT_ARMS, check_arms
from foretell.transfer.images.cases import commonest_of, count, labelled_cases, unit_notes
from foretell.transfer.images.comparison import Comparison
from foretell.transfer.images.evaluate import at_most
from foretell.transfer.images.findings import labelled_findings
from foretell.transfer.images.labelled import Index, Labelled, TooAlike, labelled, resolved
from foretell.transfer.images.shift import PREFIX, apart, drops, gains, unlike
from foretell.transfer.labels import KEY, labels_fingerprint
from foretell.views.config import SQUASH, ViewConfig

if TYPE_CHECKING:
    from foretell.data.store import ImageStore


# settings in which two comparisons may differ and still stand side by side: where work is done, what is only looked at, and the
# headline, which a comparison names by itself
FREE: dict[str, bool | set[str]] = {
    "device": True, "layout": True, "probe_samples": True, "neighbours": True, "curve_points": True, "curve_samples": True,
    "metric": True, "text": True, "search": {"storage"},
}  # fmt: skip


def _counted(count: int, what: str, several: str | None = None) -> str:
    return f"{count} {what if count == 1 else several or f'{what}s'}"


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
            f"{store.source}: {_counted(len(shared), noun, IDENTITIES[noun])} both in the training and in the test part (the first is "
            f"'{first[1]}', with '{store.names[learnt[first]]}'); keep every {noun} in one split; images that a run was "
            "pretrained on keep its split, so pretrain on this table"
        )


def _without_label(data: Labelled, part: str) -> list[str]:
    return [f"{_counted(data.unlabelled, f'{part} sample')} without a label left out"] if data.unlabelled else []


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
    """Labelled samples among ``rows``, the ``part`` in words, to test what is trained on ``fit``, and notes on what was left out.

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
        notes.append(f"{_counted(int((~known).sum()), 'test sample')} left out: no training label names {listed}")
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

    ``config`` says whether a label is one of a case, and which columns hold findings. Raises InputError when the two share a sample, a group or a case, or
    when either has no usable labels.
    """
    both = np.intersect1d(np.asarray(train), np.asarray(test))
    if len(both):
        raise InputError(
            f"{store.source}: {_counted(len(both), 'sample')} both in the training and in the test part (the first is "
            f"'{store.names[int(both[0])]}'); give each sample one split"
        )
    config = config or TransferConfig()
    fit = _read(store, train, column, config, "training")
    held, notes = unseen(store, fit, test, column, config, "test")
    return fit, held, _without_label(fit, "training") + notes


@dataclass(frozen=True)
class Judged:
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
) -> Judged:
    """What a comparison trains on and tests. Raises InputError as ``held_out``, and for a domain that cannot be judged."""
    if shift is None:
        fit, held, notes = held_out(store, train, test, column, config)
        return Judged(fit, held, None, notes + unit_notes(store, [*fit.index, *held.index], config, column))
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
    return Judged(fit, held, shifted, notes + left_out + [f"{shift}: {note}" for note in more])


def _cut_off(held: Labelled, store: ImageStore, config: TransferConfig) -> list[str]:
    """A note where much of the test images lies outside what is judged."""
    beyond = None if config.crop == SQUASH else outside(store.sizes[held.index])
    return (
        [f"of the test part {beyond}, which is all that is judged; transfer.crop=squash judges whole images"]
        if beyond
        else []
    )


def compare(
    encoder: Encoder,
    store: ImageStore,
    *,
    train: Index | Sequence[int],
    test: Index | Sequence[int],
    views: ViewConfig,
    per_class: Sequence[Amount] = (1, 5, 10, 50),
    seeds: Sequence[int] = (0, 1, 2),
    arms: Sequence[str] = DEFAULT_ARMS,
    trials: int = 8,
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
    jobs: int | None = 1,
    draws: bool = False,
) -> dict[str, Any]:
    """Compare ``arms`` and return what ``results/comparison.json`` holds (written there when ``run`` is given).

    ``train`` and ``test`` are rows of ``store``; ``views`` are the random views of fine-tuning, the same for every
    arm; ``per_class`` the amounts of labels (``fractions.Amount``); ``trials`` settings searched for each arm and
    fraction. ``supervised`` gives the arm of that name its encoder. Finished fits are kept in the run (or the file
    ``fits``, which several comparisons may share one after another), so that an interrupted comparison goes on.
    ``progress(done, total, what)``. ``split`` says how the test part was made; ``all_labels``: nearest neighbours and
    probes on all labels too. ``shift``, as "domain=B", takes the rows with that value of a column out of ``train`` and
    ``test`` and applies every fit to them with no training. ``join``: another process makes this comparison and holds
    ``run``; take part in its searches alone, write nothing, and return {"search": their records}. ``draws`` adds what
    ``redrawn.taken_from`` says as "redrawn", and ``Cache.took`` as "took", for comparisons that are put together.
    ``jobs`` processes train side by side (``ahead.work_ahead``; None: as many as pay).
    Raises InputError for unusable labels, samples or groups in both parts, and unknown arms.
    """
    began = time.perf_counter()
    if not seeds or not per_class:
        raise InputError("a comparison needs at least one seed and one number of labels a class")
    chosen = check_arms(tuple(arms))
    if supervised is None:
        chosen = tuple(arm for arm in chosen if arm != "supervised")
    config = training or TransferConfig()
    parts = judged_parts(store, train, test, config=config, column=column, shift=shift)
    fit, notes = parts.fit, parts.notes
    held = at_most(parts.held, config.test_samples)
    shifted = None if parts.shifted is None else at_most(parts.shifted, config.test_samples)
    work = Comparison(
        encoder=encoder,
        supervised=supervised,
        store=store,
        train=fit,
        test=held,
        views=resolved(views, store, encoder.side),
        seeds=tuple(seeds),
        trials=trials,
        config=config,
        cache=Cache(None if join else fits or (None if run is None else run.path / "results" / "comparison.jsonl")),
        progress=progress,
        all_labels=all_labels,
        shifted=shifted,
        folder=fits.parent if fits is not None else None if run is None else run.path,
    )
    kinds = "classes" if fit.targets is None else "kinds of sample (each by its rarest finding, or none)"
    fractions, more = fractions_of(fit, per_class, work.seeds, config, fit.cases, kinds)
    if join:
        return {"search": work.join(chosen, fractions)}
    work_ahead(work, chosen, fractions, jobs)
    result = work.run(chosen, fractions)
    result["test"] = {"samples": count(held), "split": split}
    if count(held) < count(parts.held):
        result["test"]["of"] = count(parts.held)
    if held.unlabelled:
        result["test"]["unlabelled"] = held.unlabelled
    if held.groups is not None:
        result["test"]["groups"] = len(np.unique(held.groups))
    if held.cases is not None:
        result["test"]["images"] = len(held)
    tested = {"accuracy": held, PREFIX + "accuracy": shifted}
    groups = {
        name: len(np.unique(part.groups))
        for name, part in tested.items()
        # accuracy of findings is a mean over them, not a share of the groups
        if part is not None and part.groups is not None and part.targets is None
    }
    widen_spreads(result["summary"], groups)
    result["commonest"] = commonest_of(held)
    result[KEY] = labels_fingerprint(store, config, column)
    result["findings"] = held.targets is not None
    result["settings"] = config.model_dump(mode="json", exclude=FREE)
    if shifted is not None:
        metric = result["metric"]
        notes = notes + unlike(held, shifted, metric, str(shift))
        result["shift"] = {
            "domain": shift,
            "samples": count(shifted),
            "drops": drops(result["rows"], metric, work.redrawn),
            "gains": gains(result["rows"], metric, redrawn=work.redrawn),
        }
    if draws:
        result["redrawn"], result["took"] = work.redrawn, work.cache.took
    result["notes"] = notes + more + _cut_off(held, store, config)
    result["cost"] = work.cost(began)
    if run is not None:
        run.write_json("results/comparison.json", result)
    return result
