"""What a source is understood as."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from pictures import fill

from foretell.data.source import folder_columns, scan, with_labels
from foretell.data.store import open_images
from foretell.errors import InputError


def test_a_flat_folder(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_text("x")
    found = scan(tmp_path)
    assert (found.kind, found.names) == ("folder", ["000.png", "001.png", "002.png"])
    assert "label" not in found.table
    assert any("1 file of other kinds passed over: .txt 1" in note for note in found.notes)


def test_class_folders_become_labels(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 2)
    fill(tmp_path / "dog" / "more", 1)
    found = scan(tmp_path)
    assert found.kind == "class folders"
    assert found.table.column("label") == ["cat", "cat", "dog"]


def test_one_folder_is_no_class(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 2)
    assert scan(tmp_path).kind == "folder"


def test_images_beside_folders_are_not_classes(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    fill(tmp_path / "a", 1)
    fill(tmp_path / "b", 1)
    found = scan(tmp_path)
    assert found.kind == "folder"
    assert any("not understood as classes" in note for note in found.notes)


def test_split_folders(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in "ab":
            fill(tmp_path / split / name, 1)
    found = scan(tmp_path)
    assert found.table.column("split") == ["train", "train", "validation", "validation"]
    assert found.table.column("label") == ["a", "b", "a", "b"]


def columns_of(*names: str) -> tuple[dict[str, list[str | None]], list[str]]:
    notes: list[str] = []
    columns, class_notes = folder_columns(list(names), notes)
    return columns, notes + class_notes


def test_folders_beside_splits_have_no_label() -> None:
    found, notes = columns_of(
        "test/a/0.png", "test/b/1.png", "top.png", "train/a/2.png", "train/b/3.png", "unlabeled/4.png"
    )
    assert found == {
        "split": ["test", "test", None, "train", "train", None],
        "label": ["a", "b", None, "a", "b", None],
    }
    assert notes == [
        "folders test, train are understood as splits",
        "images beside them, of the folder itself, unlabeled, have no label and no split: pretraining alone uses them",
        "2 folders are understood as classes",
    ]
    one, _ = columns_of("extra/0.png", "train/a/1.png", "train/b/2.png")
    assert one == {"split": [None, "train", "train"], "label": [None, "a", "b"]}


def test_a_class_may_be_called_train() -> None:
    found, notes = columns_of("bus/0.png", "car/1.png", "train/2.png")
    assert found == {"label": ["bus", "car", "train"]}
    assert notes[-1] == "train too is understood as a class, since no other folder is named as a split"
    assert columns_of("bus/old/0.png", "train/old/1.png", "train/new/2.png")[0] == {"label": ["bus", "train", "train"]}


def test_a_lone_folder_of_training_classes() -> None:
    found, notes = columns_of("train/a/0.png", "train/b/1.png")
    assert found == {"split": ["train", "train"], "label": ["a", "b"]}
    assert notes == ["folder train is understood as a split", "2 folders are understood as classes"]
    for alone in (
        ("train/0.png", "train/1.png"),
        ("test/a/0.png", "test/b/1.png"),
        ("photos/a/0.png", "photos/b/1.png"),
    ):
        assert columns_of(*alone) == ({}, [])


def test_a_link_back_up_ends(tmp_path: Path) -> None:
    fill(tmp_path / "a", 1)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert len(scan(tmp_path)) == 1


def test_a_manifest(tmp_path: Path) -> None:
    fill(tmp_path / "images", 3)
    path = tmp_path / "table.csv"
    path.write_text("file,kind,split\nimages/000.png,x,training\nimages/001.png,y,dev\n")
    found = scan(path, {"path": "file", "label": "kind"})
    assert (found.kind, len(found)) == ("manifest", 2)
    assert found.path(1).is_file()
    assert found.table.column("label") == ["x", "y"]
    assert found.table.column("split") == ["train", "validation"]
    assert found.extra == ["images/002.png"]
    assert found.notes == ["2 rows; columns understood: path (from file), label (from kind), split"]


def test_manifests_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("file_name,label\na.png,x\n")
    with pytest.raises(
        InputError, match=r"among file_name, label; is it 'file_name'\? Then give --set data\.columns\.path=file_name$"
    ):
        scan(path)
    path.write_text("where,label\na.png,x\n")
    with pytest.raises(InputError, match=r"among where, label; name its column: --set data\.columns\.path=NAME$"):
        scan(path)
    path.write_text("path,label\na.png,x\na.png,y\n")
    with pytest.raises(InputError, match=r"a\.png is named in 2 rows; expected one row a file"):
        scan(path)
    for other in ("./a.png", "in/../a.png", str(tmp_path / "a.png")):
        path.write_text(f"path,label\na.png,x\nb.png,x\n{other},y\n")
        with pytest.raises(
            InputError, match=rf"a\.png is named in 2 rows \(also as {re.escape(other)}\); expected one"
        ):
            scan(path)
    path.write_text("path,label\na.png,x\n,y\n")
    with pytest.raises(InputError, match="row 2 has no path"):
        scan(path)


def test_labels_are_joined_by_path_or_by_name(tmp_path: Path) -> None:
    fill(tmp_path / "in" / "deep", 3)
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\nin/deep/000.png,x\n001,y\nnone.png,z\n")
    found = with_labels(scan(tmp_path / "in"), labels)
    assert found.table.column("label") == ["x", "y", None]
    assert any("1 row names a file not among the images (none.png)" in note for note in found.notes)


def test_labels_stand_in_place_of_folders(tmp_path: Path) -> None:
    for name in ("train", "bus"):
        fill(tmp_path / "in" / name, 2)
    labels, wards = tmp_path / "labels.csv", tmp_path / "wards.csv"
    labels.write_text("path,label\ntrain/000.png,x\n")
    wards.write_text("path,ward\ntrain/000.png,7\n")
    plain = scan(tmp_path / "in")
    of_classes = ["2 folders are understood as classes", plain.notes[-1]]
    assert plain.notes == of_classes
    for found in (scan(tmp_path / "in", labels=labels), open_images(tmp_path / "in", labels=labels)):
        assert (found.kind, found.notes) == ("folder", [])
        assert found.table.column("label") == [None, None, "x", None]
    for found in (scan(tmp_path / "in", labels=wards), open_images(tmp_path / "in", labels=wards)):
        assert (found.kind, found.notes) == ("class folders", of_classes)


def test_labels_are_joined_through_a_link_to_the_folder(tmp_path: Path) -> None:
    fill(tmp_path / "in" / "deep", 3)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    labels = tmp_path / "labels.csv"
    labels.write_text(f"path,label\n{tmp_path}/link/deep/000.png,x\nlink/deep/001.png,y\n{tmp_path}/link/none.png,z\n")
    for source in ("link", "in"):
        found = with_labels(scan(tmp_path / source), labels)
        assert found.table.column("label") == ["x", "y", None]
        assert any("1 row names a file not among the images" in note for note in found.notes)


def test_labels_that_match_nothing_or_twice(tmp_path: Path) -> None:
    fill(tmp_path / "in", 2)
    labels = tmp_path / "labels.csv"
    labels.write_text("image id,label\n000.png,x\n")
    with pytest.raises(InputError, match="no column 'path' among image id, label; name its column"):
        scan(tmp_path / "in", labels=labels)
    labels.write_text("ID,label\n000.png,x\n")
    with pytest.raises(InputError, match=r"is it 'ID'\? Then give --set data\.columns\.path=ID$"):
        scan(tmp_path / "in", labels=labels)
    assert scan(tmp_path / "in", {"path": "ID"}, labels).table.column("label") == ["x", None]
    labels.write_text("path,label\nq.png,x\n")
    with pytest.raises(InputError, match=r"none of its 1 rows names an image of .* \(the first is 'q\.png'\)"):
        scan(tmp_path / "in", labels=labels)
    labels.write_text("path,label\n000.png,x\nin/000.png,y\n")
    with pytest.raises(InputError, match=r"rows 1 and 2 are both for 000\.png; keep one"):
        scan(tmp_path / "in", labels=labels)


def test_a_bare_name_that_several_files_have_is_told(tmp_path: Path) -> None:
    for name in "abcd":
        fill(tmp_path / "in" / name, 2)
    labels = tmp_path / "labels.csv"
    for value in ("000.png", "000"):
        labels.write_text(f"path,label\na/001.png,x\n{value},y\n")
        told = f"row 2: 4 files are called '{value}' (a/000.png, b/000.png, c/000.png and 1 more); give its path, from"
        with pytest.raises(InputError, match=re.escape(told)):
            with_labels(scan(tmp_path / "in"), labels)
    fill(tmp_path / "in", 1)  # a file of that very path is no other's
    labels.write_text("path,label\n000.png,y\n")
    assert with_labels(scan(tmp_path / "in"), labels).table.column("label") == ["y", *[None] * 8]


@pytest.mark.parametrize("fill_with", ["nothing", "text"])
def test_an_empty_folder(tmp_path: Path, fill_with: str) -> None:
    if fill_with == "text":
        (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="no images in this folder") as caught:
        scan(tmp_path)
    assert "or text as .txt" in str(caught.value)
    assert ("it holds 1 .txt" if fill_with == "text" else "it is empty") in str(caught.value)


def test_a_table_without_paths_may_be_text(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    for head, hint in (
        ("Body,label", r"is it 'Body'\? Then give --set data.columns.text=Body"),
        ("ID,label", r"is it 'ID'\? Then give --set data.columns.path=ID"),
        ("words,label", r"name its column: --set data.columns.path=NAME"),
    ):
        table.write_text(f"{head}\none,two\n")
        with pytest.raises(InputError, match=rf"no column 'path' or 'text' among {head.replace(',', ', ')}; {hint}$"):
            scan(table)


def test_a_missing_or_strange_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: does not exist; expected a folder of images"):
        scan(tmp_path / "none")
    (tmp_path / "x.docx").write_text("x")
    with pytest.raises(InputError, match="expected a folder of images, a table"):
        scan(tmp_path / "x.docx")
    with pytest.raises(InputError, match="unknown embedded data set '@animal'; did you mean '@animals'"):
        scan("@animal")


def test_a_zip_without_images_is_called_as_it_was_given(tmp_path: Path) -> None:
    place = tmp_path / "mine.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("inner.zip", b"PK")
    with pytest.raises(InputError, match=r"mine.zip: no images in this zip \(it holds 1 .zip\)") as raised:
        open_images(place, cache=tmp_path / "cache")
    assert "unpacked" not in str(raised.value)
