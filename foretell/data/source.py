"""What a person has, understood and said back: a folder, class folders, a manifest, an array, an embedded set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

from foretell.data import table as tables
from foretell.data.frames import MOVING, VIDEO, frames_of, split_name
from foretell.data.medical.files import kind_of
from foretell.data.table import Table, many
from foretell.errors import InputError

# .npy files inside a folder are images too (any number of channels)
_SUFFIXES = "jpg jpeg jpe jfif png apng webp tif tiff bmp dib gif ppm pgm pbm pnm avif jp2 npy"
IMAGES = frozenset("." + suffix for suffix in _SUFFIXES.split())
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
A_RUN = {"recipe.toml", "checkpoints", "exhibits"}  # what the folder of a run holds from its beginning
EMBEDDED = ("animals", "emoji", "heart")

Kind = Literal["folder", "class folders", "manifest", "array", "embedded"]


@dataclass
class Source:
    """The samples of a source before any is decoded.

    ``names`` are paths relative to ``root`` (or absolute), one a row of ``table``; arrays and embedded sets have none
    yet. ``notes`` say in words what was understood: ``class_notes`` are those by which folders are classes, ``unused``
    the columns that one says to have no meaning. ``extra`` lists image files under a manifest that it does not name.
    ``salt`` is what identifiers of medical files are hashed with; ``hashed``: those in the table are; ``patients`` has, by a
    patient's identifier with its issuer, the one without (both as the table has them).
    """

    name: str
    kind: Kind
    root: Path
    names: list[str]
    table: Table
    notes: list[str] = field(default_factory=list)
    class_notes: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    salt: str | None = None
    hashed: bool = False
    patients: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def path(self, i: int) -> Path:
        return self.root / self.names[i]

    def without_classes(self) -> Source:
        """The source of class folders as a plain folder."""
        columns = {name: values for name, values in self.table.columns.items() if name != "label"}
        notes = [note for note in self.notes if note not in self.class_notes]
        return replace(self, kind="folder", table=Table(columns, rows=len(self.table)), notes=notes, class_notes=[])


def of_unused(columns: list[str]) -> str:
    """The note on columns of a manifest that nothing here takes."""
    return f"columns without a meaning here: {tables.some(columns, 12)}"


def scan(
    source: str | Path,
    columns: Mapping[str, str] | None = None,
    labels: str | Path | None = None,
    *,
    moving: bool = False,
    called: str | None = None,
) -> Source:
    """Understand a source without decoding it.

    ``source`` is a folder (flat, or one folder a class, or train/test folders of those), a table (CSV, TSV, JSONL,
    Parquet) with a ``path`` column, an ``.npy`` or ``.npz`` file, one DICOM or NIfTI file, one frame of a file
    (``clip.gif[3]``), or ``@animals`` or ``@emoji``. ``columns`` names the
    columns that stand for the known ones (``{"label": "diagnosis"}``). ``labels`` is a table that is joined to a folder
    by ``path``. ``moving``: video counts as images too, and one such file (or an animation) is a source. ``called``: what a
    person gave, where ``source`` is what it was unpacked to. Raises InputError in words.
    """
    name = str(source)
    if name.startswith("@"):
        found = _embedded(name)
    else:
        path = Path(source).expanduser()
        one = _named_frame(path)
        if not path.exists() and one is None:
            raise InputError(
                f"{source}: does not exist; expected a folder of images, a table, an array, @animals, or a text file"
            )
        suffix = path.suffix.lower()
        if one is not None:
            found = Source(name, "folder", one.parent, [one.name], Table({"path": [one.name]}))
        elif path.is_dir():
            found = _folder(called or name, path.resolve(), IMAGES | MOVING if moving else IMAGES)
        elif suffix in tables.SUFFIXES:
            found = _manifest(name, path.resolve(), columns)
        elif suffix in (".npy", ".npz"):
            found = Source(name, "array", path.resolve(), [], Table())
        elif kind_of(path) or (moving and suffix in IMAGES | MOVING):
            whole = path.resolve()
            found = Source(name, "folder", whole.parent, [whole.name], Table({"path": [whole.name]}))
        else:
            film = suffix in VIDEO or (suffix in IMAGES and frames_of(path) > 1)
            raise InputError(
                f"{source}: expected a folder of images, a table ({', '.join(tables.SUFFIXES)}) or an array "
                f"(.npy, .npz){'; give --set data.frames=1 to take the frames of this file' * film}"
            )
    return found if labels is None else with_labels(found, labels, columns)


def _named_frame(path: Path) -> Path | None:
    """``path``, its folder resolved, where it is the name of one frame of a file, ``clip.gif[3]``; else None."""
    file, frame = split_name(str(path))
    if frame is None or path.exists() or not Path(file).is_file():
        return None
    held = Path(file).suffix.lower() in IMAGES | MOVING or kind_of(Path(file))
    return path.parent.resolve() / path.name if held else None


def _embedded(name: str) -> Source:
    if name[1:] not in EMBEDDED:
        from foretell.errors import unknown

        raise unknown("embedded data set", name, [f"@{known}" for known in EMBEDDED])
    return Source(name, "embedded", Path(name), [], Table())


def files_in(root: Path) -> Iterator[tuple[str, str]]:
    """(name relative to ``root`` with '/', suffix in lower case) of every file, in any order; hidden ones left out, and
    runs: what one makes of a folder, and leaves in it, is not a part of it.

    Raises InputError for a folder that cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [("", root)]
    while waiting:
        prefix, folder = waiting.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:  # a link back up
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = list(os.scandir(folder))
        except OSError as error:
            raise InputError(f"{folder}: cannot be listed ({error.strerror})") from None
        if prefix and {entry.name for entry in entries} >= A_RUN:
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if _is_folder(entry):
                waiting.append((f"{prefix}{entry.name}/", folder / entry.name))
            else:
                yield prefix + entry.name, os.path.splitext(entry.name)[1].lower()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: told like any file that cannot be read
        return False


def walk(
    root: Path, suffixes: frozenset[str] = IMAGES, known: Callable[[Path], object] = lambda path: False
) -> tuple[list[str], Counter[str], list[str]]:
    """(image files, suffixes of other files, tables), relative to ``root`` with '/', sorted; hidden ones left out.

    Image files are those of the ``suffixes``, and others that are ``known``.
    """
    images: list[str] = []
    others: Counter[str] = Counter()
    manifests: list[str] = []
    for name, suffix in files_in(root):
        if suffix in suffixes or known(root / name):
            images.append(name)
        else:
            others[suffix or "(none)"] += 1
            if suffix in tables.SUFFIXES:
                manifests.append(name)
    return sorted(images), others, sorted(manifests)


def there(root: Path, names: list[str], notes: list[str]) -> list[str]:
    """Those of the files ``names`` in ``root`` that are there; links that lead to none are told in ``notes``.

    Raises InputError where no other is left.
    """
    lost = [name for name in names if not (root / name).exists()]
    if names and len(lost) == len(names):
        raise InputError(f"{root / lost[0]}: is a link to a file that is not there; put the file back")
    if lost:
        notes.append(f"{many(len(lost), 'link')} to files that are not there passed over: {tables.some(lost)}")
    return [name for name in names if name not in set(lost)] if lost else names


def _folder(name: str, root: Path, suffixes: frozenset[str]) -> Source:
    images, others, manifests = walk(root, suffixes, kind_of)
    if not images:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(4))
        what = "zip" if name.lower().endswith(".zip") else "folder"
        raise InputError(
            f"{name}: no images in this {what} ({f'it holds {kinds}' if kinds else 'it is empty'}); "
            "expected JPEG, PNG, WebP, TIFF, BMP, DICOM or NIfTI files, or text as .txt, .jsonl, .csv or .parquet"
        )
    notes = []
    if others:
        kinds = ", ".join(f"{suffix} {count}" for suffix, count in others.most_common(6))
        notes.append(f"{many(sum(others.values()), 'file')} of other kinds passed over: {kinds}")
    if manifests:
        notes.append(f"a table lies in the folder ({manifests[0]}): give it as the source or as labels to use it")
    columns, class_notes = folder_columns(images, notes)
    kind: Kind = "class folders" if "label" in columns else "folder"
    table = Table({"path": list(images), **columns})
    return Source(name, kind, root, images, table, [*notes, *class_notes], class_notes=class_notes)


def folder_columns(
    names: list[str], notes: list[str], what: str = "images"
) -> tuple[dict[str, list[str | None]], list[str]]:
    """(labels and splits that the folders' names say: ``class/x.jpg`` or ``train/class/x.jpg``, notes on the labels).

    What lies beside folders of splits, as in ``unlabeled/``, has neither. What else is to be told goes to ``notes``.
    """
    folders = [name.split("/")[:-1] for name in names]
    columns: dict[str, list[str | None]] = {}
    splits = _split_folders(folders)
    inside = [not splits or (bool(folder) and folder[0] in splits) for folder in folders]
    if splits:
        columns["split"] = [
            SPLITS[folder[0].lower()] if own else None for folder, own in zip(folders, inside, strict=True)
        ]
        listed = ", ".join(sorted(splits))
        one = len(splits) == 1
        notes.append(
            f"folder {listed} is understood as a split" if one else f"folders {listed} are understood as splits"
        )
        rest = sorted(_first(folders) - splits)
        if rest:
            where = tables.some([name or "the folder itself" for name in rest])
            notes.append(f"{what} beside them, of {where}, have no label and no split: pretraining alone uses them")
        folders = [folder[1:] for folder in folders]
    class_notes = []
    first = _first(folder for folder, own in zip(folders, inside, strict=True) if own)
    if len(first) > 1 and "" not in first:
        columns["label"] = [folder[0] if own else None for folder, own in zip(folders, inside, strict=True)]
        class_notes.append(f"{len(first)} folders are understood as classes")
        called = sorted(name for name in first if name.lower() in SPLITS)
        if called and not splits:
            class_notes.append(
                f"{', '.join(called)} too is understood as a class, since no other folder is named as a split"
            )
    elif len(first) > 1:
        notes.append(f"{what} lie beside folders, so that the folders are not understood as classes")
    return columns, class_notes


def _first(folders: Iterable[list[str]]) -> set[str]:
    """The outermost folders, "" for what lies in none."""
    return {folder[0] if folder else "" for folder in folders}


def _split_folders(folders: list[list[str]]) -> set[str]:
    """The outermost folders that are splits by their names.

    A single such name may be that of a class, as ``train/`` beside ``bus/``, or of all there is: it is a split where it alone
    holds folders of classes, and alone in the source only as ``train``.
    """
    first = _first(folders)
    named = {name for name in first if name.lower() in SPLITS}
    parts = {SPLITS[name.lower()] for name in named}
    if len(parts) > 1 or (len(named) > 1 and named == first):
        return named
    below = _first(folder[1:] for folder in folders if folder and folder[0] in named)
    plain = all(len(folder) < 2 for folder in folders if not folder or folder[0] not in named)
    holds_classes = len(below) > 1 and "" not in below
    return named if holds_classes and plain and (named != first or parts == {"train"}) else set()


def _manifest(name: str, path: Path, columns: Mapping[str, str] | None) -> Source:
    table = tables.read_table(path, columns)
    if "path" not in table:
        text = any(column.lower() in tables.TEXT_NAMES for column in table.columns)
        wanted, usual = ("text", tables.TEXT_NAMES) if text else ("path", _PATH_NAMES)
        hint = tables.how_to_name(wanted, list(table.columns), usual)
        raise InputError(f"{name}: no column 'path' or 'text' among {tables.some(list(table.columns))}; {hint}")
    given = table.column("path")
    for row, value in enumerate(given):
        if value is None:
            raise InputError(f"{name}: row {row + 1} has no path")
        if "\0" in value:
            raise InputError(f"{name}: row {row + 1}: its path holds a NUL, which no file's name has")
    names = [value.replace("\\", "/") for value in given if value is not None]
    _check_named_once(name, path.parent, names)
    mapped = columns or {}
    used = [
        f"{known} (from {mapped[known]})" if known in mapped else known for known in tables.COLUMNS if known in table
    ]
    notes = [f"{many(len(table), 'row')}; columns understood: {', '.join(used)}"]
    rest = [other for other in table.columns if other not in (*tables.COLUMNS, *mapped.values())]
    if rest:
        notes.append(of_unused(rest))
    if "split" in table:
        table = table.with_column("split", [SPLITS.get((v or "").lower(), v) for v in table.column("split")])
    table = table.with_column("path", list(names))
    return Source(name, "manifest", path.parent, names, table, notes, unused=rest, extra=_not_named(path.parent, names))


def _check_named_once(name: str, root: Path, names: list[str]) -> None:
    """Raises InputError for a file that two rows name, however they spell its path (``a.png``, ``./a.png``)."""
    files = [os.path.normpath(os.path.join(root, value)) for value in names]
    twice = next((file for file, count in Counter(files).items() if count > 1), None)
    if twice is None:
        return
    spelled = [value for value, file in zip(names, files, strict=True) if file == twice]
    also = [value for value in dict.fromkeys(spelled) if value != spelled[0]]
    more = f" (also as {', '.join(also[:3])})" if also else ""
    raise InputError(f"{name}: {spelled[0]} is named in {len(spelled)} rows{more}; expected one row a file")


_PATH_NAMES = ("file", "filename", "file_name", "image", "image_path", "filepath", "img", "name", "image_id", "id")


def _not_named(root: Path, names: list[str]) -> list[str]:
    """Image files in the folders that the manifest's files lie in, which it does not name."""
    inside = [os.path.normpath(name) for name in names if not os.path.isabs(name)]
    known = set(inside)
    found = []
    for folder in sorted({os.path.dirname(name) for name in inside}):
        try:
            entries = list(os.scandir(root / folder))
        except OSError:
            continue  # its files are reported one by one as missing
        for entry in entries:
            name = os.path.join(folder, entry.name)
            plain = not entry.name.startswith(".") and os.path.splitext(entry.name)[1].lower() in IMAGES
            if plain and name not in known and entry.is_file():
                found.append(name)
    return sorted(found)


def with_labels(source: Source, labels: str | Path, columns: Mapping[str, str] | None = None) -> Source:
    """The source with the columns of a table joined by ``path``; files without a row get missing values.

    A path in the table may be whole, also through links, relative to the source's folder or to the table's, or a bare
    file name (with or without its suffix) that only one file has. Rows for files that are not in the source are noted.
    Raises InputError when no row matches, two rows name one file, or several files have the bare name of a row.
    """
    found, missing = join(source.names, source.root, Path(labels), columns)
    if source.kind == "class folders" and "label" in found:
        source = source.without_classes()
    table = Table({**source.table.columns, **{k: v for k, v in found.columns.items() if k != "path"}}, rows=len(source))
    notes = list(source.notes)
    if missing:
        notes.append(not_among(labels, missing))
    return replace(source, table=table, notes=notes)


def not_among(labels: str | Path, missing: list[str]) -> str:
    """The note on rows of a table that name no image."""
    rows = "1 row names a file" if len(missing) == 1 else f"{len(missing)} rows name files"
    return f"{labels}: {rows} not among the images ({', '.join(missing[:3])})"


def join(
    names: list[str], root: Path, labels: Path, columns: Mapping[str, str] | None = None
) -> tuple[Table, list[str]]:
    """(table with one row a name, paths in ``labels`` that no name matches)."""
    if not labels.is_file():
        raise InputError(f"{labels}: does not exist; expected a table with the columns path and label")
    given = tables.read_table(labels, columns)
    if "path" not in given:
        hint = tables.how_to_name("path", list(given.columns), _PATH_NAMES)
        raise InputError(f"{labels}: no column 'path' among {tables.some(list(given.columns))}; {hint}")
    where: dict[str, list[int]] = {}
    short: dict[str, list[str]] = {}  # a file's bare name, with or without its suffix -> the files that have it
    for i, name in enumerate(names):
        file = os.path.normpath(root / split_name(name)[0])
        for whole in {os.path.normpath(root / name), file}:
            where.setdefault(whole, []).append(i)  # a row for a clip is one for each of its frames
        base = os.path.basename(file)
        for key in {base, os.path.splitext(base)[0]}:
            called = short.setdefault(key, [])
            if not called or called[-1] != file:
                called.append(file)
    rows = [-1] * len(names)
    missing = []
    bases = (root, labels.resolve().parent)
    real = cache(os.path.realpath)

    def unlinked(place: str) -> str:
        folder, name = os.path.split(place)
        return os.path.join(real(folder), name)

    for row, value in enumerate(given.column("path")):
        if value is None:
            raise InputError(f"{labels}: row {row + 1} has no path")
        value = value.replace("\\", "/")
        places = [os.path.normpath(base / value) for base in bases]
        at = next((where[place] for place in places if place in where), None)
        called = short.get(value, [])  # none for a value with a folder
        if at is None and len(called) == 1:
            at = where[called[0]]
        if at is None:  # a path through a link: the folder's own is known without
            at = next((where[place] for place in map(unlinked, places) if place in where), None)
        if at is None and called:
            alike = list(dict.fromkeys(split_name(names[where[file][0]])[0] for file in called))
            raise InputError(
                f"{labels}: row {row + 1}: {len(alike)} files are called '{value}' ({tables.some(alike, 3)}); "
                f"give its path, from {root} on"
            )
        if at is None:
            missing.append(value)
            continue
        for i in at:
            if rows[i] >= 0:
                raise InputError(
                    f"{labels}: rows {rows[i] + 1} and {row + 1} are both for {names[i]}; keep one of them"
                )
            rows[i] = row
    if len(missing) == len(given):
        raise InputError(
            f"{labels}: none of its {len(given)} rows names an image of {root} (the first is '{missing[0]}'); "
            "expected paths relative to that folder"
        )
    joined = {name: [values[row] if row >= 0 else None for row in rows] for name, values in given.columns.items()}
    return Table(joined, rows=len(names)), missing
