"""What is in a set of images, and what is wrong with it, before anything is trained."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from foretell.data.duplicates import clusters, exact_groups, near_pairs
from foretell.data.edges import outside
from foretell.data.findings import check_columns, counted
from foretell.data.frames import by_file
from foretell.data.medical.audit import MedicalAudit, case_sizes, examine, is_medical
from foretell.data.medical.audit import lines as medical_lines
from foretell.data.sequences import summary
from foretell.data.splits import canonical, kept_apart
from foretell.data.store import ImageStore, open_images
from foretell.data.table import IDENTITIES, Identity, check_labels, many
from foretell.errors import InputError

Kind = TypeVar("Kind", str, Identity)

SHOWN = 5  # examples of each finding in the text; the data class holds all
FEW = 10  # images of a class below which its figures mean little


@dataclass
class Leak:
    """Images or groups that stand on both sides of a line that must not be crossed.

    ``what``: "equal" or "alike" images in two splits, a "group" in two splits or a "case" or "study" of no group, "equal across
    groups" and "alike across groups" (or such cases and studies), "labels disagree" (of equal images, or of ``Audit.doubted``).
    """

    what: str
    where: list[str]
    names: list[str]


@dataclass
class Audit:
    """The findings. Rows are named as the store names them; lists are whole. ``lost`` groups have no image that can be read.

    ``doubted`` are images alike with different labels: often right, so no leak. ``findings`` counts, by finding and by what is
    said of it (``findings.counted``), the images; where some are asked for, classes are not looked at.
    """

    source: str
    kind: str
    notes: list[str]
    count: int
    channels: int
    dtype: str
    fingerprint: str
    smallest: tuple[int, int]
    usual: tuple[int, int]
    largest: tuple[int, int]
    oblong: str | None
    unreadable: list[tuple[str, str]]
    equal: list[list[str]]
    alike: list[list[str]]
    flat: int
    labels: dict[str, int] | None
    unlabelled: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    splits: dict[str, int] = field(default_factory=dict)
    groups: int | None = None
    lost: int = 0
    leaks: list[Leak] = field(default_factory=list)
    doubted: list[Leak] = field(default_factory=list)
    cases: dict[str, int] = field(default_factory=dict)
    medical: MedicalAudit | None = None
    shortcuts: dict[str, Any] | None = None
    findings: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing was found that makes results wrong: leaks, unreadable files, labels that name no file."""
        return not (self.leaks or self.unreadable or self.missing)


def audit(
    source: ImageStore | str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    labels: str | Path | None = None,
    findings: Sequence[str] = (),
    near: bool = True,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Audit:
    """Examine a store, or open ``source`` (with ``settings`` for ``open_images``) and examine that.

    ``labels`` is a table joined by path, and folders are no classes where it has none. ``findings`` are columns that stand in
    place of classes (``transfer.findings``); InputError for one that is not there. ``near`` also looks for images that are
    alike, not only equal. However many files are unreadable, they are reported; only a source with none that can be
    read raises InputError.
    """
    if isinstance(source, ImageStore):
        store = source
    else:
        settings.setdefault("max_unreadable", 0.999999)
        store = open_images(source, columns=columns, progress=progress, **settings)
    named = store.kind == "manifest"
    missing = [name for name, reason in store.unreadable if named and reason == "does not exist"]
    unreadable = [(name, reason) for name, reason in store.unreadable if not (named and reason == "does not exist")]
    lost = _lost_groups(store)
    if labels is not None:
        store, absent = store.with_labels(labels, columns)
        missing += absent
    store = _with_what_is_learnt(store, labels, columns, findings)
    equal = exact_groups(store.hashes)
    pairs, flat = near_pairs(store, progress) if near else ([], 0)
    alike = clusters(len(store), [(a, b) for a, b, _ in pairs])
    areas = store.sizes.prod(axis=1)
    names = store.names
    found = Audit(
        source=store.source,
        kind=store.kind,
        notes=store.notes,
        count=len(store),
        channels=store.channels,
        dtype=store.dtype.name,
        fingerprint=store.fingerprint,
        smallest=_size(store, int(areas.argmin())),
        usual=(int(np.median(store.sizes[:, 0])), int(np.median(store.sizes[:, 1]))),
        largest=_size(store, int(areas.argmax())),
        oblong=outside(store.sizes),
        unreadable=unreadable,
        equal=[[names[row] for row in group] for group in equal],
        alike=[[names[row] for row in group] for group in alike],
        flat=flat,
        labels=None,
        missing=missing,
        extra=list(store.found.extra) if store.found is not None else [],
    )
    table = store.table
    sliced = is_medical(store) and "case" not in table  # an order within each series, not of a patient
    if "group" in table and "order" in table and not sliced:
        try:
            found.notes = [*found.notes, summary(store)]
        except InputError as reason:
            found.notes = [*found.notes, f"no sequences: {reason}"]
    if findings:
        try:
            found.findings = counted(table, findings, names)
        except InputError as reason:
            found.notes = [*found.notes, f"no findings: {reason}"]
    if "label" in table:
        values = table.column("label")
        found.labels = dict(Counter(value for value in values if value is not None).most_common())
        found.unlabelled = [name for name, value in zip(names, values, strict=True) if value is None]
    if "group" in table:
        found.groups = len({value for value in table.column("group") if value is not None})
        found.lost = lost
    if "split" in table:
        found.splits = dict(Counter(canonical(value) for value in table.column("split") if value is not None))
    found.cases = case_sizes(store)
    found.medical = examine(store) if is_medical(store) else None
    found.leaks, found.doubted = _leaks(store, equal, [(a, b) for a, b, _ in pairs])
    return found


def _with_what_is_learnt(
    store: ImageStore, labels: str | Path | None, columns: Mapping[str, str] | None, findings: Sequence[str]
) -> ImageStore:
    """``store`` without classes that training would not take: any beside ``findings``, and folders beside a table of labels.

    A note says why a table has none. Raises InputError for a finding that is no column.
    """
    check_columns(store.table, findings)
    if findings:
        notes = store.notes_beside(findings)
        store = store.without_classes()
        store.notes = notes
        return store
    if labels is None:
        return store
    try:
        check_labels(labels, columns)
    except InputError as reason:
        store = store.without_classes() if store.kind == "class folders" else store
        store.notes = [*store.notes, f"no classes in {reason}"]
    return store


def _lost_groups(store: ImageStore) -> int:
    """How many groups of the source have no image that can be read."""
    if store.found is None or "group" not in store.table or "group" not in store.found.table:
        return 0
    return len({*store.found.table.column("group")} - {*store.table.column("group"), None})


def _size(store: ImageStore, row: int) -> tuple[int, int]:
    height, width = store.sizes[row]
    return int(height), int(width)


def _leaks(store: ImageStore, equal: list[list[int]], near: list[tuple[int, int]]) -> tuple[list[Leak], list[Leak]]:
    """The leaks, and what is only doubtful."""
    table, names = store.table, store.names

    def values(column: str) -> list[str | None]:
        return table.column(column) if column in table else [None] * len(names)

    split = [None if value is None else canonical(value) for value in values("split")]
    label, identities = values("label"), table.identities() or [None] * len(names)
    leaks: list[Leak] = []
    doubted: list[Leak] = []
    for rows in equal:
        for what, column in (("equal", split), ("labels disagree", label)):
            kinds = _kinds(column, rows)
            if len(kinds) > 1:
                leaks.append(Leak(what, kinds, [names[row] for row in rows]))
        whose = _kinds(identities, rows)
        if len(whose) > 1:
            leaks.append(Leak("equal across groups", [name for _, name in whose], [names[row] for row in rows]))
    # a near pair stands for its exact duplicates too
    twins = {rows[0]: rows for rows in equal}
    for a, b in near:
        sides = twins.get(a, [a]), twins.get(b, [b])
        both = [names[row] for side in sides for row in side]
        if kinds := _parted(split, *sides):
            leaks.append(Leak("alike", kinds, both))
        if whose := _parted(identities, *sides):
            leaks.append(Leak("alike across groups", [name for _, name in whose], both))
        if kinds := _parted(label, *sides):
            doubted.append(Leak("labels disagree", kinds, both))
    members: dict[Identity, list[int]] = {}
    apart = kept_apart(())
    for row, own in enumerate(identities):
        if own is not None and split[row] in apart:
            members.setdefault(own, []).append(row)
    for (column_of, name), rows in members.items():
        kinds = _kinds(split, rows)
        if len(kinds) > 1:
            leaks.append(Leak(column_of, kinds, [name]))
    return leaks, doubted


def _kinds(column: Sequence[Kind | None], rows: list[int]) -> list[Kind]:
    return sorted({value for row in rows if (value := column[row]) is not None})


def _parted(column: Sequence[Kind | None], one: list[int], other: list[int]) -> list[Kind]:
    """The values of two sides, each of equal images, where the sides differ in them; [] where they do not."""
    kinds = _kinds(column, [*one, *other])
    return kinds if len(kinds) > 1 and _kinds(column, one) != _kinds(column, other) else []


def render(found: Audit) -> str:
    """The findings as lines for a terminal: what was understood first, what is wrong last."""
    height, width = found.usual
    depth = "16-bit" if found.dtype == "uint16" else "8-bit"
    colour = {1: "grey", 3: "colour"}.get(found.channels, f"{found.channels} channels")
    lines = [f"{found.source}: {many(found.count, 'image')} ({found.kind}), {colour}, {depth}"]
    small, large = found.smallest, found.largest
    if small == large:
        lines.append(f"  size: all {width} x {height} pixels (width x height)")
    else:
        lines.append(
            f"  size: from {small[1]} x {small[0]} to {large[1]} x {large[0]} pixels (width x height), "
            f"median {width} x {height}"
        )
    if found.oblong:
        lines.append(f"  {found.oblong}, which alone is judged unless transfer.crop is squash")
    lines += [f"  understood: {note}" for note in found.notes]
    lines += _label_lines(found)
    if found.groups is not None:
        lost = f", and {found.lost} of unreadable images alone" if found.lost else ""
        lines.append(f"  groups: {found.groups}{lost}")
    if found.cases:
        lines.append("  cases by number of images: " + ", ".join(f"{size}: {n}" for size, n in found.cases.items()))
    if found.medical is not None:
        lines += medical_lines(found.medical)
    if found.splits:
        lines.append("  splits: " + ", ".join(f"{name} {count}" for name, count in found.splits.items()))
    files = [f"{name} {reason}" for name, reason in by_file(found.unreadable)]
    images = len(found.unreadable)
    lines += _listed("unreadable", files, "" if len(files) == images else many(images, "image"))
    lines += _listed("rows for files that are not there", found.missing)
    lines += _listed("image files that the table does not name", found.extra)
    lines += _listed("images without a label", found.unlabelled)
    copies = sum(len(group) - 1 for group in found.equal)
    lines += _listed(
        "equal images",
        [" = ".join(_short(group)) for group in found.equal],
        "1 copy" if copies == 1 else f"{copies} copies",
    )
    lines += _listed("groups of images alike to the eye", [" ~ ".join(_short(group)) for group in found.alike])
    if found.flat:
        lines.append(f"  of one shade all over: {many(found.flat, 'image')}")
    titles = {
        "equal": "LEAK: equal images in two splits",
        "alike": "LEAK: images alike to the eye in two splits",
        **{name: f"LEAK: {several} in two splits" for name, several in IDENTITIES.items()},
        "equal across groups": "equal images in two groups, cases or studies: is the grouping whole?",
        "alike across groups": "images alike to the eye in two groups, cases or studies: is the grouping whole?",
        "labels disagree": "equal images with different labels",
    }
    for what, title in titles.items():
        lines += _listed(title, [_told(leak) for leak in found.leaks if leak.what == what])
    lines += _listed("images alike to the eye with different labels: look at them", [*map(_told, found.doubted)])
    if found.clean and not (found.equal or found.alike or found.unlabelled or found.extra):
        lines.append("  nothing wrong was found")
    return "\n".join(lines)


def _told(leak: Leak) -> str:
    return f"{', '.join(_short(leak.names))} ({' and '.join(leak.where)})"


def _label_lines(found: Audit) -> list[str]:
    if found.findings:
        return [f"  finding {name}: {_counts(counts)}" for name, counts in found.findings.items()]
    if found.labels is None:
        return ["  labels: none"]
    labels = found.labels
    if not labels:
        return ["  labels: the column is empty"]
    if len(labels) == 1:
        return [
            f"  labels: one class only ('{next(iter(labels))}', {sum(labels.values())} images); "
            "a task needs at least two: pretraining works, comparing on labels does not"
        ]
    total, counts = sum(labels.values()), list(labels.values())
    shown = ", ".join(f"{name} {count}" for name, count in list(labels.items())[:12])
    more = f" and {len(labels) - 12} more" if len(labels) > 12 else ""
    lines = [f"  labels: {len(labels)} classes over {total} images: {shown}{more}"]
    if max(counts) > 3 * min(counts):
        lines.append(
            f"  labels are uneven: the commonest class holds {max(counts) / total:.0%}, so that accuracy alone "
            "misleads; read balanced accuracy"
        )
    few = [name for name, count in labels.items() if count < FEW]
    return lines + _listed(f"classes of fewer than {FEW} images", few)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {meaning}" for meaning, count in counts.items())


def _short(names: list[str]) -> list[str]:
    return names if len(names) <= 3 else [*names[:3], f"{len(names) - 3} more"]


def _listed(title: str, items: list[str], extra: str = "") -> list[str]:
    if not items:
        return []
    count = f"{len(items)} ({extra})" if extra else f"{len(items)}"
    lines = [f"  {title}: {count}"] + [f"    {os.fspath(item)}" for item in items[:SHOWN]]
    return [*lines, f"    and {len(items) - SHOWN} more"] if len(items) > SHOWN else lines
