"""A table of labels keyed by patient, study or series instead of by path, joined to images by their pseudonyms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from foretell.data.medical.dicom_header import Pseudonyms
from foretell.data.source import Source
from foretell.data.table import COLUMNS, Table, many, read_table
from foretell.errors import InputError

# column of the images -> (kind of identifier, names that tables give it); the finest one that a table has is its key
KEYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "series": ("series", ("series", "SeriesInstanceUID", "series_id")),
    "study": ("study", ("study", "StudyInstanceUID", "study_id")),
    "group": ("patient", ("group", "patient", "PatientID", "patient_id")),
}


def _plain(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


KINDS = {_plain(name): kind for kind, names in KEYS.values() for name in names}
OF_A_PATIENT = ("patient", "otherpatient", "issuerofpatient")  # how names of columns begin that say who a patient is
# columns of persons that are not called after patients, in plain letters: taken for none of ours, they are told to nobody
PERSONAL = {
    **dict.fromkeys(("name", "firstname", "middlename", "lastname", "fullname", "givenname", "familyname"), "patient"),
    **dict.fromkeys(("surname", "forename", "maidenname", "mrn", "medicalrecordnumber", "hospitalnumber"), "patient"),
    **dict.fromkeys(("patientnumber", "patientno", "nhsnumber", "ssn", "socialsecuritynumber"), "patient"),
    **dict.fromkeys(("accessionnumber", "accession"), "study"),
    **dict.fromkeys(("sopinstanceuid", "frameofreferenceuid"), "instance"),
    **dict.fromkeys(("dob", "dateofbirth", "birthdate", "birthday", "patientbirthdate"), "birth"),
}
OF_ANYTHING = {*KEYS, "name"}  # columns of these names may be of films and animals as well as of patients
OF_A_COLUMN = {"group": "patient", "study": "study", "case": "case"}  # what these hold, whatever they are taken from
HASHED = ("patient", "study", "series", "case")  # kinds of pseudonyms


def of_patients(taken: Mapping[str, str]) -> bool:
    """Whether ``taken`` (the data's own column, by a known one) has a column that is called as identifiers or names of patients
    are. No other data than that of headers is known by what is in it.
    """
    return any(_plain(own) not in OF_ANYTHING and (_kind(own) or _personal(own)) for own in taken.values())


def without_identifiers(
    joined: Mapping[str, list[str | None]], columns: Mapping[str, str] | None, source: Source, images: Table
) -> dict[str, list[str | None]]:
    """The columns of a table of labels without those that say whose the images are, which the images' own columns do.

    One that ``columns`` takes for a known one (``{"case": "PatientID"}``) is hashed with the salt of ``source`` where it holds
    identifiers or names, and where ``source`` is hashed, what stands for group, case and study always: but for what the table
    of ``images`` has already. Its other columns are left out where they are called as ``KEYS`` or ``PERSONAL`` or begin with
    ``Patient``.
    """
    taken = dict(columns or {})
    keys = {own for known, own in taken.items() if known in KEYS}
    hashed = Pseudonyms(source.salt)
    known = {value for name in KEYS if name in images for value in images.column(name)}
    kept = {}
    for name, values in joined.items():
        kind = _kind(taken[name]) if name in taken else None
        if kind is None and source.hashed:
            kind = OF_A_COLUMN.get(name) or (_personal(taken[name]) if name in taken else None)
        if kind is not None:
            kept[name] = _pseudonyms(values, kind, hashed, known)
        elif name in COLUMNS or not (name in keys or _identifies(name)):
            kept[name] = values
    return kept


def hash_identifiers(
    columns: dict[str, list[str | None]], taken: Mapping[str, str], salt: str, known: Collection[str | None]
) -> list[str]:
    """Hash with ``salt``, in place, the ``columns`` of a manifest that stand for group, case or study, or are called as
    identifiers or names are, and return which they are; ``known`` values, those that headers gave, stay.

    ``taken`` has, by a known column, the manifest's own that stands for it, which is hashed as that one is. ``PERSONAL`` are
    hashed where they stand for none.
    """
    kinds = {name: _kind(taken.get(name, name)) or OF_A_COLUMN.get(name) for name in columns}
    kinds |= {name: _personal(taken[name]) for name, kind in kinds.items() if kind is None and name in taken}
    for known_as, own in taken.items():
        if own in kinds and own not in COLUMNS:
            kinds[own] = kinds[own] or OF_A_COLUMN.get(known_as)
    rest = [name for name, kind in kinds.items() if kind is None and name not in COLUMNS]
    kinds |= {name: PERSONAL.get(_plain(name)) or _personal(name) for name in rest}
    hashed = Pseudonyms(salt)
    found = {name: kind for name, kind in kinds.items() if kind is not None}
    for name, kind in found.items():
        columns[name] = _pseudonyms(columns[name], kind, hashed, known)
    return list(found)


def _pseudonyms(
    values: Iterable[str | None], kind: str, hashed: Pseudonyms, known: Collection[str | None]
) -> list[str | None]:
    return [value if value in known else hashed(kind, value) for value in values]


def _kind(name: str) -> str | None:
    """What kind of identifier a column of this name holds; a patient's name is one, too."""
    plain = _plain(name)
    return KINDS.get(plain) or ("patient" if plain.startswith(OF_A_PATIENT) and "name" in plain else None)


def _personal(name: str) -> str | None:
    """What kind of ``PERSONAL`` a column of this name holds, or which other identifier of a patient."""
    plain = _plain(name)
    other = plain.startswith(OF_A_PATIENT) and plain.endswith(("id", "ids"))
    return "patient" if other else PERSONAL.get(plain) if plain not in OF_ANYTHING else None


def _identifies(name: str) -> bool:
    plain = _plain(name)
    return plain in KINDS or plain in PERSONAL or plain.startswith(OF_A_PATIENT)


def join_by_identifier(
    images: Table, source: Source, labels: Path, columns: Mapping[str, str] | None
) -> tuple[Table, list[str]] | None:
    """(the columns of ``labels`` with one row an image, rows of it that no image has); None where it has paths.

    ``columns`` are those that ``read_table`` maps. Identifiers in ``labels`` are the files' own, or already the pseudonyms
    of ``images``, which are a ``source``'s. Raises InputError when it names one thing twice, or names none of the images'
    things.
    """
    given = read_table(labels, columns)
    if "path" in given:
        return None
    found = next(((key, name) for key, (_, names) in KEYS.items() for name in names if name in given), None)
    if found is None:
        raise InputError(
            f"{labels}: no column path, patient, study or series among {', '.join(given.columns)}; name that of the "
            "patients: --set data.columns.group=NAME, or that of the files: --set data.columns.path=NAME"
        )
    key, name = found
    if key not in images:
        return None
    rows = _rows(given, name, source.salt, labels)
    keys = images.column(key)
    if key == "group":
        called = _as_labelled(source.patients, rows, labels)
        keys = [called.get(value, value) for value in keys]
    if not any(value in rows for value in keys):
        raise InputError(f"{labels}: {_mistaken(given, name, key, images, source.salt)}")
    of_image = [rows.get(value, -1) for value in keys]
    used = set(of_image)
    hashed = Pseudonyms(source.salt)  # what is missing is shown: under its pseudonym
    missing = [
        f"row {row + 1}: {hashed(KEYS[key][0], value)}"
        for row, value in enumerate(given.column(name))
        if row not in used
    ]
    joined = {
        other: [values[row] if row >= 0 else None for row in of_image]
        for other, values in given.columns.items()
        if other not in (name, *KEYS)  # an image keeps its own identifiers
    }
    return Table(joined, rows=len(images)), missing


def _as_labelled(patients: Mapping[str, str], rows: Mapping[str | None, int], labels: Path) -> dict[str | None, str]:
    """The names that a table gives to those of ``patients`` whose issuer it leaves out. Raises InputError where one name is
    that of several.
    """
    found: dict[str | None, str] = {
        patient: alone for patient, alone in patients.items() if patient not in rows and alone in rows
    }
    counts = Counter(patients.values())
    shared = next((alone for alone in found.values() if counts[alone] > 1), None)
    if shared is not None:
        raise InputError(
            f"{labels}: row {rows[shared] + 1} may be for several patients, whose identifiers are equal and of different "
            "issuers; write each as 'ID of ISSUER'"
        )
    return found


def _rows(given: Table, name: str, salt: str | None, labels: Path) -> dict[str | None, int]:
    """Row of each identifier, under its own name and under its pseudonyms."""
    hashed = Pseudonyms(salt)
    rows: dict[str | None, int] = {}
    for row, value in enumerate(given.column(name)):
        if value is None:
            raise InputError(f"{labels}: row {row + 1} has no {name}")
        if value in rows:
            raise InputError(
                f"{labels}: rows {rows[value] + 1} and {row + 1} are for the same {name}; expected one row each"
            )
        rows[value] = row
        for kind in HASHED:  # a manifest's group may be taken from a column of studies
            rows[hashed(kind, value)] = row
    return rows


def _mistaken(given: Table, name: str, key: str, images: Table, salt: str | None) -> str:
    """Why no row matches: often the identifiers are of another kind."""
    hashed = Pseudonyms(salt)
    for other, (kind, _) in KEYS.items():
        known = set(images.column(other)) if other in images else set()
        if other != key and any(v in known or hashed(kind, v) in known for v in given.column(name)):
            return (
                f"column '{name}' holds identifiers of {KIND[other]}, not of {KIND[key]}; name it {KEYS[other][1][1]}, or map "
                f"it as {other}={name}"
            )
    return (
        f"none of its {many(len(given), 'row')} names one of the {KIND[key]} of the images (column '{name}'); give a column "
        "path instead, or identifiers as they are in the files"
    )


KIND = {"series": "series", "study": "studies", "group": "patients"}
