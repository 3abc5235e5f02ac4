"""DICOM and NIfTI files as rows of a source: a row a frame or slice, with patient, study, series, order and how it was taken.

Columns that a manifest gives are kept, identifiers hashed; the headers complete them: ``group`` (patient; the volume for
NIfTI), ``study``, ``series``, ``order``, and beyond the known ones ``modality``, ``vendor``, ``view``, ``plane``,
``spacing`` (millimetres down, across and between slices), ``burned`` (what the header says of text burnt into the
pixels). Identifiers are hashed, see ``dicom_header``. What was read is kept in the cache beside the stores.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from foretell.data.build import key_of, replace_text
from foretell.data.frames import split_name
from foretell.data.medical import nifti
from foretell.data.medical.config import MedicalConfig, salt_of_kept
from foretell.data.medical.dicom_header import Header, Pseudonyms, read_all, salt_of
from foretell.data.medical.files import kind_of
from foretell.data.medical.labels import hash_identifiers, of_patients
from foretell.data.medical.window import parse
from foretell.data.pixels import Unreadable
from foretell.data.pool import Crew
from foretell.data.source import IMAGES, Source
from foretell.data.table import Table, many
from foretell.data.watch import Watch
from foretell.errors import InputError

VERSION = 5
READING = 2  # of how pixels are read: a store that another one made is built anew
EXTRACT = 1 << 14  # bytes of a NIfTI file that a salt is made of
FACTS = ("modality", "vendor", "view", "plane", "spacing", "burned")

PACKAGES = {"dicom": "pydicom", "nifti": "nibabel"}

Row = tuple[str, dict[str, str | None]]  # the name of an image, and its values by column


def has_medical(source: Source) -> bool:
    """Whether any file of the source is DICOM or NIfTI."""
    return any(_kind(source, name) for name in source.names)


def hides(config: MedicalConfig, columns: Mapping[str, str] | None) -> bool:
    """Whether identifiers of data that is no DICOM and no NIfTI are hashed, too: where one of ``columns`` stands for a
    known one that is called as patients' identifiers are, or a salt is given.
    """
    return config.identifiers == "hashed" and (bool(config.salt) or of_patients(columns or {}))


def hidden_array(source: Source, table: Table, config: MedicalConfig, columns: Mapping[str, str] | None) -> Table:
    """The ``table`` of an array with its identifiers hashed; ``source`` keeps the salt, for labels that come later."""
    source.salt = salt_of_kept(config.salt) if config.salt else salt_of(_extracts([source.root]))
    source.hashed = True
    own = dict(table.columns)
    hash_identifiers(own, columns or {}, source.salt, ())
    return Table(own, rows=len(table))


def _kind(source: Source, name: str) -> str | None:
    if os.path.splitext(name)[1].lower() in IMAGES:  # nearly always: no file need be looked at
        return None
    return kind_of(source.root / split_name(name)[0])


def describe(
    source: Source,
    config: MedicalConfig,
    columns: Mapping[str, str] | None = None,
    *,
    frames: int = 0,
    cache: Path,
    crew: Crew,
    progress: Callable[[int, int], None] | None = None,
) -> Source:
    """``source`` with a row for each frame and slice, and the columns that their headers say.

    ``columns`` may name these as known ones (``{"domain": "vendor"}``). With ``frames`` above 0 a series, or a file of
    many frames, of which every ``frames``-th is taken, is a ``case`` of its patient. ``crew`` will decode what is found here.
    Raises InputError for a window that is none, where no file holds an image, where ``config.every`` too takes some of the
    frames of a file, and where headers must be read and the salt is not known.
    """
    parse(config.window)
    how = config.model_dump_json() + (f" {frames}" if frames > 1 else "")
    watch = Watch()
    kept = cache / "headers" / f"{key_of(source, VERSION, how, watch)}.json"
    try:
        read = json.loads(kept.read_text())
    except (OSError, ValueError):
        read = _read(source, config, frames, crew, progress)
        watch.check()
        if not read["whole"]:
            return _completed(source, read, columns or {}, frames > 0, config.identifiers)
        with contextlib.suppress(OSError):  # a cache that may only be read: read again next time
            kept.parent.mkdir(parents=True, exist_ok=True)
            replace_text(kept, json.dumps(read), lasting=False)  # one that is torn is read again
    return _completed(source, read, columns or {}, frames > 0, config.identifiers)


def _read(
    source: Source, config: MedicalConfig, frames: int, crew: Crew, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    """{"rows": [of the source], "names", "values", "notes", "salt", "patients", "whole"}: plain values, for the cache.

    Not ``whole`` where a file's package is not installed, which may change. Raises InputError where the salt is not known.
    """
    given = salt_of_kept(config.salt) if config.salt else ""
    kinds = [_kind(source, name) for name in source.names]
    dicom = [row for row, kind in enumerate(kinds) if kind == "dicom"]
    paths = [source.root / split_name(source.names[row])[0] for row in dicom]
    if paths:
        crew.call(len(paths), "pydicom.pixels")  # they start while headers are read here
    headers = dict(zip(dicom, read_all(paths, crew.count, progress), strict=True))
    instances = [header.instance for header in headers.values() if header and header.instance]
    salt = given or salt_of(instances or _extracts(_without_instances(source, kinds)))
    pseudonyms = Pseudonyms(None if config.identifiers == "kept" else salt)
    rows: list[int] = []
    found: list[Row] = []
    empty: Counter[str] = Counter()
    for row, name in enumerate(source.names):
        if kinds[row] == "nifti":
            made = _slices(source, name, config)
        elif kinds[row] == "dicom":
            header = headers[row]
            if header is not None and not header.frames and source.kind != "manifest":
                empty[header.what] += 1
                continue
            if header is not None and header.frames > 1 and min(frames, config.every) > 1:
                raise InputError(
                    f"{source.root / name}: data.frames={frames} and data.medical.every={config.every} both say which of its "
                    "frames are taken; give one of them"
                )
            made = [(name, {})] if header is None else _frames(name, header, pseudonyms, max(frames, config.every))
        else:
            made = [(name, {})]
        rows += [row] * len(made)
        found += made
    if not found:
        kind, _ = empty.most_common(1)[0]
        raise InputError(
            f"{source.name}: none of its {many(len(source), 'file')} holds an image (DICOM without pixels: {kind}); expected "
            "images, slices or frames"
        )
    notes = _notes(found, empty, config) if any(kinds) else []
    narrow = sum(header.narrow for header in headers.values() if header is not None)
    if narrow and config.window == "file":
        notes.append(
            f"{many(narrow, 'DICOM file')} with a window of no width, not used: shown by the range of values instead"
        )
    read = {"rows": rows, "names": [name for name, _ in found], "values": [values for _, values in found]}
    patients = {
        pseudonyms("patient", header.person): pseudonyms("patient", header.patient)
        for header in headers.values()
        if header is not None and header.person != header.patient
    }
    return {**read, "notes": notes, "salt": salt, "patients": patients, "whole": not any(map(_lacking, set(kinds)))}


def _without_instances(source: Source, kinds: list[str | None]) -> list[Path]:
    """The NIfTI files, which have no instance numbers; all files where none is medical."""
    wanted = ("nifti",) if any(kinds) else (None,)
    files = {split_name(name)[0] for name, kind in zip(source.names, kinds, strict=True) if kind in wanted}
    return [source.root / file for file in sorted(files)]


def _extracts(files: list[Path]) -> list[str]:
    """What only who has the files can tell: a part of each from its middle."""
    found = []
    for file in files:
        try:
            with file.open("rb") as stream:
                stream.seek(os.fstat(stream.fileno()).st_size // 2)
                found.append(stream.read(EXTRACT).hex())
        except OSError:  # reported when its pixels are read
            continue
    return found


def _lacking(kind: str | None) -> bool:
    """Whether the package that reads a kind of file is not installed."""
    if kind is None:
        return False
    try:
        importlib.import_module(PACKAGES[kind])
    except ImportError:
        return True
    return False


def _slices(source: Source, name: str, config: MedicalConfig) -> list[Row]:
    one = nifti.split(name)
    file = name if one is None else one.file
    try:
        volume = nifti.volume(source.root / file)
    except (Unreadable, OSError):
        return [(name, {})]  # reported when its pixels are read
    chosen = [one] if one is not None else volume.names(file, config.planes, config.every)
    group = file.removesuffix(".gz").removesuffix(".nii")
    return [
        (
            nifti.name_of(part),
            {
                "group": group,
                "series": f"{group} {part.plane}" + ("" if part.time is None else f" {part.time}"),
                "order": str(part.at),
                "plane": part.plane,
                "spacing": " x ".join(f"{step:g}" for step in volume.pixel_spacing(part.plane)),
            },
        )
        for part in chosen
    ]


def _frames(name: str, header: Header, pseudonyms: Pseudonyms, every: int) -> list[Row]:
    study = pseudonyms("study", header.study)
    values = {
        "group": pseudonyms("patient", header.person) or study,
        "study": study,
        "series": pseudonyms("series", header.series),
        "order": header.order,
        **(header.facts or {}),
    }
    if header.frames <= 1 or split_name(name)[1] is not None:
        return [(name, values)]
    series = pseudonyms("series", header.instance)  # a file of many frames is a series of its own
    return [(f"{name}[{at}]", {**values, "series": series, "order": str(at)}) for at in range(0, header.frames, every)]


def _notes(found: list[Row], empty: Counter[str], config: MedicalConfig) -> list[str]:
    def different(column: str) -> int:
        return len({values[column] for _, values in found if values.get(column)})

    words = {
        "group": ("patient or volume", "patients or volumes"),
        "study": ("study", "studies"),
        "series": ("series",) * 2,
    }
    counts = [(different(column), *word) for column, word in words.items()]
    origin = ", ".join(f"{count} {one if count == 1 else more}" for count, one, more in counts if count)
    named = Counter(values["modality"] for _, values in found if values.get("modality"))
    modalities = f"; {', '.join(f'{name} {count}' for name, count in named.most_common())}" if named else ""
    notes = [f"medical images of {origin or 'unknown origin'}{modalities}; window: {config.window}"]
    if empty:
        kinds = ", ".join(f"{count} {kind}" for kind, count in empty.most_common(4))
        notes.append(f"{many(sum(empty.values()), 'DICOM file')} without pixels passed over: {kinds}")
    return notes


def _completed(
    source: Source, read: dict[str, Any], renamed: Mapping[str, str], sequences: bool, identifiers: str
) -> Source:
    rows, values = read["rows"], read["values"]
    columns: dict[str, list[str | None]] = {
        name: [column[row] for row in rows] for name, column in source.table.columns.items()
    }
    columns["path"] = list(read["names"])
    told: list[str] = []
    if source.kind == "manifest" and identifiers == "hashed":
        read_off = {value.get(name) for value in values for name in ("group", "study", "series")}
        told = hash_identifiers(columns, renamed, read["salt"], read_off)
    for name in ("group", "study", "series", "order", *FACTS):
        own = [value.get(name) for value in values]
        given = columns.get(name, [None] * len(rows))
        whole = [mine if theirs is None else theirs for theirs, mine in zip(given, own, strict=True)]
        if any(value is not None for value in whole):
            columns[name] = whole
    if source.kind == "class folders" and _one_patient_each(columns):
        source = source.without_classes()
        del columns["label"]
    if sequences and "case" not in columns and "series" in columns:
        columns["case"] = columns["series"]
    for known, name in renamed.items():
        if source.kind != "manifest" and name in columns:
            columns[known] = columns[name]
    return replace(
        source,
        names=list(read["names"]),
        table=Table(columns, rows=len(rows)),
        notes=[
            *source.notes,
            *read["notes"],
            *_of_nobody(read["names"], values, columns),
            *(_identified(columns, identifiers, told) if any(values) else _hidden(told, renamed)),
        ],
        salt=read["salt"],
        hashed=identifiers == "hashed",
        patients=read["patients"],
    )


def _of_nobody(
    names: list[str], values: list[dict[str, str | None]], columns: Mapping[str, list[str | None]]
) -> list[str]:
    """The note on images whose header was read and that have no group all the same; none where all have one."""
    groups = columns.get("group", [None] * len(names))
    alone = [
        name for name, value, group in zip(names, values, groups, strict=True) if "group" in value and group is None
    ]
    if not alone:
        return []
    more = f", and {len(alone) - 3} more" if len(alone) > 3 else ""
    return [
        f"{many(len(alone), 'DICOM image')} without patient and study in the header, each a group of its own unless a table gives "
        f"it one: {', '.join(alone[:3])}{more}"
    ]


def _identified(columns: Mapping[str, list[str | None]], identifiers: str, given: list[str]) -> list[str]:
    """The note on what became of identifiers, those in the columns ``given`` of a manifest too; none where there are none."""
    if "study" not in columns and not given:
        return []
    how = "hashed" if identifiers == "hashed" else "kept as they are"
    also = f", as are the table's columns {', '.join(given)}" if given else ""
    return [f"identifiers of patients, studies and series are {how}{also}; names in headers are not read"]


def _hidden(given: list[str], renamed: Mapping[str, str]) -> list[str]:
    """The note on identifiers of data without headers, in the columns ``given`` of a manifest, or in labels."""
    if not given and not renamed:
        return []
    where = f"in the table's columns {', '.join(given)}" if given else "in the table of labels"
    return [f"identifiers {where} are hashed; --set data.medical.identifiers=kept keeps them"]


def _one_patient_each(columns: Mapping[str, list[str | None]]) -> bool:
    """Whether no folder holds images of two patients or volumes: it is then one patient's, and no class.

    Files whose header does not say or cannot be read are nobody's.
    """
    if "group" not in columns:
        return False
    known = {pair for pair in zip(columns["label"], columns["group"], strict=True) if pair[1] is not None}
    return len(known) == len({label for label, _ in known})
