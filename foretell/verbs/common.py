"""What several verbs share: opening data, splitting it, reading a run, and lines about scores."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foretell import distributed
from foretell.data import table as tables
from foretell.data.division import by_column, by_label
from foretell.data.domains import rows_outside, rows_unknown, told_unknown
from foretell.data.frames import by_file
from foretell.data.splits import Parts as Parts
from foretell.data.splits import split
from foretell.data.store import ImageStore, open_images
from foretell.encoders import load_encoder
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.errors import InputError
from foretell.measures.intervals import told_interval
from foretell.measures.metrics import commonest, metric_name, of_commonest, only_answer
from foretell.options import Overrides
from foretell.recipe import DataConfig, Recipe
from foretell.report.words import listed
from foretell.run import InUse, Run
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import amounts
from foretell.transfer.images.findings import labelled_findings
from foretell.transfer.labels import same_labels
from foretell.transfer.protocol import Protocol
from foretell.transfer.search_config import SearchConfig
from foretell.verbs import kept_split, kinds
from foretell.verbs.progress import counting, say
from foretell.views.config import ViewConfig

FEATURES = {
    "pretrained": "this encoder",
    "random": "random features",
    "pixels": "raw pixels",
    "tfidf": "TF-IDF",
    "baseline": "the baseline",
}
JOINED = "the searches are done; the process that holds the run goes on with it"


# data ------------------------------------------------------------


def open_data(data: DataConfig) -> ImageStore:
    """The store of a recipe's data; with several processes the first one builds it.

    Raises InputError for a missing source, unknown columns and labels that match nothing.
    """
    if data.source is None:
        raise InputError("DATA is missing: give a folder of images, a manifest, an array file, @animals or @emoji")
    opened = functools.partial(
        open_images,
        data.source,
        **data.reading(),
        max_unreadable=data.max_unreadable,
        progress=counting("reading images"),
    )
    built = distributed.on_first(opened)
    return opened() if built is None else built


def check_labels(data: DataConfig) -> None:
    """The table given as labels has some: other columns alone would leave those of the folders' names to be taken.

    Raises InputError.
    """
    if data.labels is not None and Path(data.labels).is_file():  # a missing file is told where it is read
        tables.check_labels(data.labels, data.columns)


def data_overrides(overrides: Overrides) -> Overrides:
    """Those of the overrides that say how data is read."""
    if isinstance(overrides, Mapping):
        return {key: value for key, value in overrides.items() if key.startswith("data.")}
    return [text for text in overrides if text.startswith("data.")]


def absolute(source: str) -> str:
    """A source that means the same from any folder."""
    return source if source.startswith("@") else str(Path(source).expanduser().absolute())


def tell_data(store: ImageStore, data: DataConfig, findings: Sequence[str] = ()) -> None:
    """What was understood, and what was passed over or is missing; ``findings`` are columns in place of classes."""
    say(f"data: {store.source}, {len(store):,} images, {_channels(store.channels)}, {_sides(store)}")
    for note in store.notes_beside(findings):
        say(f"  {note}")
    tell_unreadable(store)
    if "label" in store.table:
        missing = [name for name, label in zip(store.names, store.table.column("label"), strict=True) if label is None]
        if missing and data.labels is not None:
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            lack, them = ("has", "it") if len(missing) == 1 else ("have", "them")
            say(
                f"  {tables.many(len(missing), 'image')} {lack} no label ({shown}): pretraining uses {them} all the same"
            )


def tell_unreadable(store: ImageStore) -> None:
    """The files that were passed over, where there are any."""
    if store.unreadable:
        files = by_file(store.unreadable)
        name, reason = files[0]
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        say(f"  {len(files)} unreadable, passed over: {name} ({reason}){more}; see 'foretell check'")


def _sides(store: ImageStore) -> str:
    """The images' shorter sides in words."""
    shorter = store.sizes.min(axis=1)
    low, high = int(shorter.min()), int(shorter.max())
    return f"{low} px a side" if low == high else f"{low} to {high} px a side, median {store.usual_side}"


def _channels(count: int) -> str:
    return {1: "grey", 3: "colour"}.get(count, f"{count} channels")


def hold(path: Path, config: SearchConfig | None) -> tuple[Run, bool]:
    """A run to write to, and False; or to read from, and True: another process holds it, whose searches this one joins.

    Raises InputError where it is in use and its searches are those of one process, or are not asked for (``config`` None).
    """
    try:
        return Run.resume(path), False
    except InUse as error:
        if config is None or not config.in_study:
            raise
        say(f"{str(error).partition(';')[0]}: taking part in its searches")
        return Run.read(path), True


def class_names(store: ImageStore) -> list[str]:
    """The classes of the labels, [] when there are fewer than two."""
    if "label" not in store.table:
        return []
    classes = store.table.codes("label")[1]
    return classes if len(classes) > 1 else []


def divide(store: ImageStore, data: DataConfig, transfer: TransferConfig | None = None) -> Parts:
    """The split of a store: its own split column (``division.by_column``), or labelled rows by ``data.split``
    (``division.by_label``), groups (and cases of no group) kept whole.

    Where the table has the findings of ``transfer`` they are its labels, and what is cut alike is the rarest of them that is
    there (``findings.strata``).

    Unlabelled rows belong to pretraining, unless their group or case is in the test part. Without labels and without a split
    column every row does. Rows of the domains ``data.held_out`` are in neither part, nor are
    those whose domain is not said.
    """
    if not data.held_out:
        return _divide(store, data, transfer)
    left = rows_outside(store, data.held_out, "data.held_out")
    parts = _divide(store.subset(left), data, transfer)
    how = f"{parts.how}; {', '.join(data.held_out)} held out"
    unsaid = rows_unknown(store, data.held_out, "data.held_out")
    if len(unsaid):
        how = f"{how}; {told_unknown(store, unsaid, data.held_out)}"
    return Parts(left[parts.train], left[parts.test], how)


def _divide(store: ImageStore, data: DataConfig, transfer: TransferConfig | None) -> Parts:
    table, rows = store.table, np.arange(len(store), dtype=np.int64)
    if "split" in table:
        return by_column(table, data.split, data.split_seed, "image")
    if transfer is not None and transfer.findings and all(name in table for name in transfer.findings):
        return _divide_findings(store, data, transfer)
    if not class_names(store) and data.frames:
        return _divide_sequences(store, data)
    if not class_names(store):
        return Parts(rows, rows[:0], "no labels: all images are used for pretraining, none is held out")
    return by_label(table, data.split, data.split_seed, "image")


def _divide_findings(store: ImageStore, data: DataConfig, transfer: TransferConfig) -> Parts:
    """Rows with a known finding by ``data.split``. Raises InputError for findings that are not understood, or all the same."""
    rows = np.arange(len(store), dtype=np.int64)
    by_case = transfer.unit == "case"
    found = labelled_findings(store, rows, transfer.findings, uncertain=transfer.uncertain, by_case=by_case)
    strata: list[str | None] = [None] * len(store)
    for row, code in zip(found.index.tolist(), found.codes.tolist(), strict=True):
        strata[row] = str(code)
    return by_label(
        store.table.with_column("label", strata), data.split, data.split_seed, "image", each="the rarest finding"
    )


def _divide_sequences(store: ImageStore, data: DataConfig) -> Parts:
    """Whole groups for testing, or where there are fewer than 5 the end of each sequence."""
    from foretell.data.sequences import last_part, sequences

    total = sum(data.split.values())
    share = 1 - data.split.get("train", 0.0) / total if total else 0.0
    identities = store.table.identities() or []
    if share <= 0:
        rows = np.arange(len(store), dtype=np.int64)
        return Parts(rows, rows[:0], "no labels: all frames are used for pretraining, none is held out")
    if len(set(identities) - {None}) < 5 or not sequences(store):
        train, test = last_part(store, share)
        return Parts(train, test, f"{len(test):,} frames held out: the last {share:.0%} of each sequence")
    parts = split(store.table, data.split, data.split_seed, stratify=False)
    test = np.sort(np.concatenate([rows for name, rows in parts.items() if name != "train"]))
    tested = {identities[row] for row in test}
    how = f"{len(test):,} frames of {len(tested):,} whole sequences held out at random (seed {data.split_seed})"
    return Parts(np.sort(parts["train"]), test, how)


# runs ------------------------------------------------------------


def check_free(path: Path) -> None:
    """Raise InputError now, before any long work, when ``path`` cannot become a run folder."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    fresh = place != path and place.is_dir() and os.access(place, os.W_OK)
    empty = place == path and path.is_dir() and not any(path.iterdir())
    if not (fresh or empty):
        Run.create(path).close()  # says what is wrong


def make_place(file: Path) -> None:
    """The folder that ``file`` is to be written in. Raises InputError when it cannot be made."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{file}: cannot be written (it lies below a file); choose another --out") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); choose another --out") from None
    if file.is_dir():
        raise InputError(f"{file}: is a folder; give --out a file in it")
    if not os.access(file.parent, os.W_OK):
        raise InputError(f"{file}: cannot be written (the folder may only be read); choose another --out")


@dataclass
class Pretrained:
    """A run read back: its recipe, its encoder in evaluation mode, and how images enter it."""

    run: Run
    recipe: Recipe
    encoder: TimmEncoder
    facts: dict[str, Any]

    @property
    def views(self) -> ViewConfig:
        """The views of the run's objective, with side, mean, deviation and interpolation as the encoder was trained with."""
        chosen = getattr(self.recipe.objective, "views", None) or ViewConfig()
        views: ViewConfig = chosen.entering(self.facts)
        return views


def read_run(path: str | Path) -> Pretrained:
    """The run of an earlier ``pretrain``. Raises InputError when it is none or has no encoder yet."""
    run = Run.read(path)
    recipe = Recipe.load(run.path / "recipe.toml")
    kinds.check_kind(Path(path), recipe, "image")
    if not (run.path / "encoder" / "model.safetensors").is_file():
        raise kinds.no_encoder(run)
    encoder, facts = load_encoder(run.path)
    return Pretrained(run, recipe, encoder, facts)


def data_for(
    read: Pretrained, data: str | Path | None, labels: str | Path | None = None, overrides: Overrides = ()
) -> DataConfig:
    """The run's own data settings, or those of other data given to a verb, brought to the encoder's channels.

    How greys are read (``data.scale`` and ``data.medical``) is the run's for either.

    ``overrides``: what was given now, and the run's recipe has too: how other data is read is told by that alone.

    Raises InputError when the run's own data is no longer in its place.
    """
    given = read.recipe.data
    own = str(given.source)
    if data is None:
        check_there(own, f"the data of {read.run.path}", "give its new place in the command (DATA or --data)")
    update: dict[str, Any] = {"channels": read.encoder.channels}
    if data is not None:
        now = Recipe.load(None, {}, data_overrides(overrides)).data
        update |= {"labels": None, "columns": {}, "held_out": [], "side": given.side}
        update |= {name: getattr(now, name) for name in now.model_fields_set - {"medical"}}
        update["source"] = absolute(str(data))
    if labels is not None:
        update["labels"] = str(Path(labels).expanduser().absolute())
    return given.model_copy(update=update)


def check_there(own: str, what: str, do: str) -> None:
    """Raise InputError where ``own``, the place of ``what`` a run was made of, is gone; ``do`` says what else to do."""
    if not own.startswith("@") and not Path(own).exists():
        raise InputError(f"{own}: {what} is no longer there; put it back, or {do}")


def divide_again(read: Pretrained, store: ImageStore, data: DataConfig) -> Parts:
    """The split of the pretraining where the images are the same, else a new one; the rule says which, and where the split
    column is now another one.

    When the pretraining held nothing out, labelled rows are held out now: it has seen those images, though not their
    labels, and the rule says so. It says so too of images among other ones, where the run kept what it learnt from.
    """
    kept = kept_split.read(read.run.path)
    before = kept.of(store.fingerprint, len(store)) if kept is not None else None
    if before is not None and len(before.test):
        return kept_split.beside(before, store.table, apart=bool(read.recipe.data.held_out))
    parts = divide(store, data, read.recipe.transfer)
    tested = len(parts.test)
    seen = tested if before is not None else kept_split.learnt_of(read.run.path, store.hashes[parts.test])
    if not seen:
        return parts
    what = "these images" if seen == tested else f"{seen:,} of the {tested:,} images"
    return Parts(parts.train, parts.test, f"{parts.how}; pretraining saw {what} too, without labels")


def write_facts(run: Run, **parts: dict[str, Any]) -> None:
    """Merge ``parts`` into facts.json."""
    facts = run.read_json("facts.json") or {}
    for name, values in parts.items():
        facts[name] = {**facts.get(name, {}), **values}
    run.write_json("facts.json", facts)


def data_facts(store: ImageStore, parts: Parts) -> dict[str, Any]:
    """What facts.json says of the data."""
    mean, std = store.statistics()
    return {
        "source": store.source,
        "kind": store.kind,
        "fingerprint": store.fingerprint,
        "count": len(store),
        "unreadable": len(store.unreadable),
        "channels": store.channels,
        "scale": store.scale,
        "side": store.usual_side,
        "classes": class_names(store) or None,
        "mean": mean,
        "std": std,
        "train": len(parts.train),
        "test": len(parts.test),
        "split": parts.how,
    }


def kept_reading(store: ImageStore, data: DataConfig) -> dict[str, Any]:
    """What an exported encoder's config says of how its images' greys were read, for other images (``as_kept``)."""
    return {"scale": data.scale if store.scale is None else store.scale, "window": data.medical.window}


def as_kept(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that ``kept_reading`` wrote; none for an encoder from elsewhere."""
    settings = {"data.scale": facts.get("scale"), "data.medical.window": facts.get("window")}
    return {name: value for name, value in settings.items() if value is not None}


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    import platform
    from importlib.metadata import version

    import foretell

    packages = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "pillow")
    return {
        "foretell": foretell.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def protocol_of(per_class: str, seeds: int, trials: int, arms: str = "", jobs: int | None = None) -> Protocol:
    """The protocol of a comparison as the options of a verb ask for it. Raises InputError."""
    points = amounts(per_class, "--per-class")
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: expected at least 1")
    if trials < 1:
        raise InputError(f"--trials {trials}: expected at least 1")
    named = tuple(arm.strip() for arm in arms.split(",")) if arms else None
    return Protocol(points, range(seeds), named, trials, jobs)


def told_arms(arms: Sequence[str] | None, always: str = "") -> str:
    """What a comparison of ``arms`` (None: all) does, after "comparing": "with training from scratch and with TF-IDF",
    or without that arm "the arms probe and random beside TF-IDF", where ``always`` is the title of the one that is
    always there.
    """
    if arms is None or "scratch" in arms:
        return "with training from scratch" + (f" and with {always}" if always else "")
    named = f"the {'arm' if len(arms) == 1 else 'arms'} {listed(list(arms))}"
    return f"{named} beside {always}" if always else named


def score_lines(
    result: Mapping[str, Any], metric: str, second: str | None = None, *, linear: str, lead: str = ""
) -> list[str]:
    """The ``metric`` of frozen features as lines for a person, in percent with its interval, which ``lead`` calls by
    its name, and a ``second`` one; ``linear``: what the linear model is called. At the end what answering the commonest
    class always comes to.
    """
    lines = []
    for method, title in (("knn", "nearest neighbours"), ("linear_probe", linear)):
        for arm, scores in (result.get(method) or {}).items():
            interval = told_interval(*scores["intervals"][metric], lead=lead)
            kind = f"{title} (k = {scores['k']})" if "k" in scores else title
            more = "" if second is None else f", {metric_name(second)} {scores[second]:.1%}"
            lines.append(
                f"  {kind:<28} {FEATURES[arm]:<16} {metric_name(metric)} {scores[metric]:.1%} ({interval}){more}"
            )
    if lines and result.get("commonest"):
        name, value = of_commonest(result["commonest"], metric)
        lines.append(
            f"  {'the commonest class alone':<28} {result['commonest']['class']:<16} {metric_name(name)} {value:.1%}"
        )
    return lines


def tell_other_labels(comparison: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> None:
    """Say it where the ``comparison`` that the report reads is of other labels than the classifier that ``facts`` are of."""
    if comparison and not same_labels(comparison, facts):
        say("  the report's scores are of other labels: it says nothing of this classifier")


def classes_told(test: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """What to hold the accuracy of a classifier against, from the "confusion" of its ``test`` part; [] where there is none."""
    matrix = test.get("confusion") or []
    found = commonest([sum(row) for row in matrix], classes) if matrix else None
    lines = [] if found is None else [f"  the commonest class alone, {found['class']}: accuracy {found['share']:.1%}"]
    only = only_answer(matrix, classes)
    return lines if only is None else [*lines, f"  it answers one class only: {only}"]
