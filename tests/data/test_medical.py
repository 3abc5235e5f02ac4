"""Folders and zips of DICOM and NIfTI as sources: rows, columns from the headers, pseudonyms, and no name anywhere."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_files import NAME, saved, small, study
from pictures import picture, save

from foretell.data import pool
from foretell.data.audit import audit, render
from foretell.data.medical import config as medical_config
from foretell.data.medical import dicom, dicom_header
from foretell.data.medical import source as medical
from foretell.data.medical.config import MedicalConfig
from foretell.data.medical.dicom_form import PDF
from foretell.data.medical.window import Window
from foretell.data.sequences import sequences
from foretell.data.store import open_images
from foretell.errors import InputError
from foretell.recipe import Recipe

pydicom = pytest.importorskip("pydicom")


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_folder_of_dicom_files_without_suffix(tmp_path: Path) -> None:
    store = open_images(study(tmp_path / "s"))
    assert (len(store), store.channels, store.dtype) == (6, 1, np.uint16)
    assert store.names[0] == "0/IM0000"
    assert store.kind == "folder"
    assert "label" not in store.table  # a folder of one patient's images is no class
    assert store.table.column("order") == ["1", "2"] * 3
    assert store.table.column("modality") == ["CT"] * 6
    assert store.table.column("plane") == ["axial"] * 6
    assert store.table.column("spacing") == ["0.5 x 0.5 x 3"] * 6
    assert len(set(store.table.column("group"))) == len(set(store.table.column("study"))) == 3
    expected = next(iter(dicom.frames(tmp_path / "s" / "1" / "IM0001")))
    assert np.array_equal(store.image(3), expected)


def test_no_name_and_no_identifier_is_kept_or_shown(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study(tmp_path / "s")
    shown = render(audit(folder))
    print(shown)
    kept = every_byte(cache) + capsys.readouterr().out.encode()
    for secret in (*NAME.split("^"), "ID-0", "ID-1", "1.2.0.1"):
        assert secret.encode() not in kept
    assert "3 patients" in shown
    store = open_images(folder, medical=MedicalConfig(identifiers="kept"))
    assert set(store.table.column("group")) == {"ID-0", "ID-1", "ID-2"}
    assert NAME.split("^")[0].encode() not in every_byte(cache)


def test_pseudonyms_depend_on_the_data_and_on_a_given_salt(tmp_path: Path) -> None:
    one, two = study(tmp_path / "one"), tmp_path / "two"
    shutil.copytree(one, two)
    again = open_images(two).table.column("group")
    assert open_images(one).table.column("group") == again  # the same data: the same splits on any machine
    shutil.rmtree(two / "2")
    assert not set(open_images(two).table.column("group")) & set(again)
    salted = MedicalConfig(salt="of both hospitals")
    assert set(open_images(two, medical=salted).table.column("group")) < set(
        open_images(one, medical=salted).table.column("group")
    )


def test_settings_keep_no_salt_but_a_hash_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = study(tmp_path / "s"), study(tmp_path / "o")
    given = Recipe.load(None, {}, ["data.medical.salt=of both hospitals"])
    given.save(tmp_path / "recipe.toml")
    for made in (given, given.changed({"data.medical.every": 1})):
        assert "of both" not in made.to_toml() + repr(made) + made.model_dump_json()
    own = open_images(folder, medical=given.data.medical).table.column("group")
    assert own == [dicom_header.Pseudonyms("of both hospitals")("patient", f"ID-{p}") for p in (0, 0, 1, 1, 2, 2)]
    monkeypatch.setattr(medical_config, "_given", {})  # as in another process
    kept = Recipe.load(tmp_path / "recipe.toml").data.medical
    assert kept == given.data.medical
    assert open_images(folder, medical=kept).table.column("group") == own  # read in this cache before
    with pytest.raises(InputError, match="keeps no salt but a hash of it; expected the run's own"):
        open_images(other, medical=kept)
    monkeypatch.setenv("FORETELL_SALT", "another")
    with pytest.raises(InputError, match="FORETELL_SALT holds another one; expected the run's own"):
        open_images(other, medical=kept)
    monkeypatch.setenv("FORETELL_SALT", "of both hospitals")
    assert open_images(other, medical=kept).table.column("group") == own
    monkeypatch.delenv("FORETELL_SALT")
    again = Recipe.load(tmp_path / "recipe.toml", {}, ["data.medical.salt=of both hospitals"]).data.medical
    assert open_images(other, cache=tmp_path / "c", medical=again).table.column("group") == own


def test_images_of_nobody_are_said(tmp_path: Path) -> None:
    for at, patient in enumerate(("", "", "4711")):
        saved(tmp_path, small(PatientID=patient, SOPInstanceUID=f"1.2.{at}"), f"{at}.dcm")
    (note,) = [note for note in open_images(tmp_path).notes if "without patient" in note]
    assert note.startswith("2 DICOM images without patient and study in the header, each a group of its own unless")
    assert note.endswith(": 0.dcm, 1.dcm")
    table = labels(tmp_path / "t.csv", "path,group", "0.dcm,a", "1.dcm,b", "2.dcm,c")
    assert not any("without patient" in note for note in open_images(table).notes)


def test_headers_read_in_processes_are_those_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted(study(tmp_path / "s").rglob("IM*"))
    (tmp_path / "no.dcm").write_bytes(b"no" * 300)
    paths.append(tmp_path / "no.dcm")
    alone = dicom_header.read_all(paths, 1)
    assert alone[-1] is None
    assert [header.order for header in alone if header] == ["1", "2"] * 3
    monkeypatch.setattr(dicom_header, "FEW", 2)
    monkeypatch.setattr(dicom_header, "PART", 4)
    seen: list[tuple[int, int]] = []
    assert dicom_header.read_all(paths, 2, lambda done, total: seen.append((done, total))) == alone
    assert seen == [(4, 7), (7, 7)]


def test_a_window_is_part_of_the_store(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    one, other = open_images(folder), open_images(folder, medical=MedicalConfig(window="1000/200"))
    assert one.fingerprint != other.fingerprint
    assert set(np.unique(other.image(0))) >= {0, 65535}
    with pytest.raises(InputError, match=r"data\.medical\.window=lung"):
        open_images(folder, medical=MedicalConfig(window="lung"))


def test_a_window_without_width_is_said(tmp_path: Path) -> None:
    for at, width in enumerate((0, 400, 500)):
        saved(tmp_path, small(WindowCenter=1000, WindowWidth=width, SOPInstanceUID=f"1.2.{at}"), f"{at}.dcm")
    store = open_images(tmp_path)
    assert not store.unreadable
    assert any(note.startswith("1 DICOM file with a window of no width") for note in store.notes)
    given = open_images(tmp_path, medical=MedicalConfig(window="1000/400"))
    assert not any("of no width" in note for note in given.notes)


def test_a_window_means_the_same_in_every_store(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    store = open_images(folder, medical=MedicalConfig(window="10000/20000"))
    (seen,) = dicom.frames(folder / "0" / "IM0000", Window("given", 0, 20000))
    assert seen.max() < 20000  # no pixel is near white, and none is made so
    assert np.array_equal(store.image(0), seen)


def test_frames_of_a_file_are_rows(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (5, 8, 8), dtype=np.uint16)
    saved(tmp_path, small(NumberOfFrames=5, PixelData=values.tobytes(), SeriesInstanceUID="1.5"), "film.dcm")
    store = open_images(tmp_path)
    assert store.names == [f"film.dcm[{i}]" for i in range(5)]
    assert store.table.column("order") == list("01234")
    assert len(set(store.table.column("series"))) == 1
    every = open_images(tmp_path, medical=MedicalConfig(every=2))
    assert every.names == [f"film.dcm[{i}]" for i in (0, 2, 4)]
    assert np.array_equal(every.image(1), store.image(2))
    for frames, chosen in ((2, None), (1, MedicalConfig(every=2))):
        also = open_images(tmp_path, frames=frames, medical=chosen)
        assert also.names == every.names
        assert also.table.column("order") == ["0", "2", "4"]
    assert len(open_images(tmp_path, frames=1)) == 5
    with pytest.raises(
        InputError, match=r"film\.dcm: data\.frames=2 and data\.medical\.every=3 both say .* give one of them"
    ):
        open_images(tmp_path, frames=2, medical=MedicalConfig(every=3))


def test_series_are_sequences(tmp_path: Path) -> None:
    store = open_images(study(tmp_path / "s"), frames=1)
    assert [len(rows) for rows in sequences(store).values()] == [2, 2, 2]


def test_objects_without_pixels_are_passed_over_and_said(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    letter = small(SOPClassUID=PDF, EncapsulatedDocument=b"%PDF-1.4 nothing")
    for name in ("Rows", "Columns", "PixelData"):
        delattr(letter, name)
    letter.file_meta.MediaStorageSOPClassUID = PDF
    saved(folder, letter, "letter.dcm")
    (folder / "DICOMDIR").write_bytes((folder / "0" / "IM0000").read_bytes())
    store = open_images(folder, max_unreadable=0)
    assert len(store) == 6
    assert any("1 DICOM file without pixels passed over: 1 Encapsulated PDF" in note for note in store.notes)
    shutil.copy(folder / "letter.dcm", tmp_path / "letter.dcm")
    with pytest.raises(InputError, match=r"none of its 1 file holds an image .*Encapsulated PDF"):
        open_images(tmp_path / "letter.dcm")


def test_a_damaged_file_among_others_is_listed(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    whole = (folder / "0" / "IM0000").read_bytes()
    (folder / "0" / "IM0000").write_bytes(whole[:-100])
    store = open_images(folder)
    assert [name for name, _ in store.unreadable] == ["0/IM0000"]
    assert "is cut short" in store.unreadable[0][1]
    with pytest.raises(InputError, match="IM0000, is cut short"):
        open_images(folder, max_unreadable=0)


@pytest.mark.parametrize("kind", ["For Presentation", "For Processing"])
def test_a_header_alone_of_an_x_ray_is_unreadable(tmp_path: Path, kind: str) -> None:
    folder = study(tmp_path / "s")
    alone = small(SOPInstanceUID="1.2.9", PatientID="ID-9")
    name = f"DigitalMammographyXRayImageStorage{kind.replace(' ', '')}"
    alone.SOPClassUID = alone.file_meta.MediaStorageSOPClassUID = getattr(pydicom.uid, name)
    for part in ("PixelData", "Rows", "Columns"):
        delattr(alone, part)
    saved(folder, alone, "0/x")
    ((file, reason),) = open_images(folder).unreadable
    assert file == "0/x"
    assert reason.startswith(f"is DICOM without pixels, which a Digital Mammography X-Ray Image Storage - {kind} has")


def test_a_header_that_is_cut_is_no_object_without_pixels(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    file = folder / "0" / "IM0000"
    whole = file.read_bytes()
    for size in (whole.index(b"\x08\0\x16\0"), whole.index(b"ID-0")):  # before and after the kind of its object
        file.write_bytes(whole[:size])
        store = open_images(folder)
        ((name, reason),) = store.unreadable
        assert name == "0/IM0000"
        assert reason.startswith("is DICOM without pixels, which a CT Image Storage has; it is cut short")
        assert not any("without pixels" in note for note in store.notes)


def test_a_damaged_file_makes_no_classes_of_patients(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    (folder / "0" / "IM0000").write_bytes((folder / "0" / "IM0000").read_bytes()[:-100])
    store = open_images(folder)
    assert store.kind == "folder"
    assert "label" not in store.table


def test_a_manifest_keeps_its_own_columns(tmp_path: Path) -> None:
    study(tmp_path / "s")
    rows = [f"s/{patient}/IM{image:04d},{'ab'[patient % 2]},p{patient}" for patient in range(3) for image in range(2)]
    (tmp_path / "table.csv").write_text("path,label,group\n" + "\n".join(rows) + "\n")
    store = open_images(tmp_path / "table.csv", medical=MedicalConfig(identifiers="kept"))
    assert store.table.column("group") == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert store.table.column("order") == ["1", "2"] * 3
    assert any("kept as they are; names" in note for note in store.notes)
    hashed = open_images(tmp_path / "table.csv").table
    assert hashed.column("label") == store.table.column("label")
    assert hashed.codes("group")[0].tolist() != [-1] * 6
    first, second = hashed.column("group")[::2], hashed.column("group")[1::2]
    assert first == second
    assert len(set(first)) == 3


@pytest.mark.parametrize(
    ("own", "known"), [("PatientName", "group"), ("name", "group"), ("who", "case"), ("visit", "study")]
)
def test_no_identifier_or_name_comes_from_a_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: str, known: str
) -> None:
    study(tmp_path / "s")
    splits = ("train", "test")
    rows = [f"s/{p}/IM{i:04d},Nameson^Nora{p},{splits[i]}" for p in range(3) for i in range(2)]
    table = labels(tmp_path / "t.csv", f"path,{own},split", *rows)
    found = audit(table, columns={known: own})
    print(render(found))
    said = capsys.readouterr().out
    assert "Nora" not in said
    assert f"are hashed, as are the table's columns {own}, {known};" in said
    assert "patient-" in said or known != "group"
    values = open_images(table, columns={known: own}).table.column(known)
    assert values[::2] == values[1::2]
    assert len(set(values)) == 3
    assert open_images(table, columns={known: own}).table.column(own) == values
    kept = open_images(table, columns={known: own}, medical=MedicalConfig(identifiers="kept"))
    assert kept.table.column(known)[0] == "Nameson^Nora0"


def test_columns_of_persons_that_are_not_called_after_patients_are_hashed(tmp_path: Path) -> None:
    study(tmp_path / "s", patients=2, images=1)
    header = "path,MRN,Name,First_Name,DOB,ward,label"
    rows = [f"s/{p}/IM0000,ID-{p},Nameson,Nora{p},1970-01-0{p + 1},north,{'ab'[p]}" for p in range(2)]
    store = open_images(labels(tmp_path / "t.csv", header, *rows))
    assert any("as are the table's columns MRN, Name, First_Name, DOB;" in note for note in store.notes)
    found = store.table
    assert found.column("MRN") == found.column("group")  # the pseudonym of the header's PatientID
    assert len(set(found.column("DOB"))) == len(set(found.column("First_Name"))) == 2
    assert all(str(value).startswith("birth-") for value in found.column("DOB"))
    assert (found.column("ward"), found.column("label")) == (["north"] * 2, ["a", "b"])
    assert not any("Nora" in str(value) or "1970" in str(value) for own in found.columns.values() for value in own)
    named = labels(tmp_path / "u.csv", "Name,MRN,ward", *(f"s/{p}/IM0000,ID-{p},w{p}" for p in range(2)))
    taken = open_images(named, columns={"path": "Name", "label": "ward"}).table
    assert taken.column("path") == ["s/0/IM0000", "s/1/IM0000"]
    beside = labels(tmp_path / "l.csv", header, *(row[2:] for row in rows))
    assert open_images(tmp_path / "s", labels=beside).table.columns.keys() >= {"ward", "label"}
    assert not open_images(tmp_path / "s", labels=beside).table.columns.keys() & {"MRN", "Name", "First_Name", "DOB"}


def test_an_identifier_in_a_manifest_is_the_one_that_the_header_has(tmp_path: Path) -> None:
    own = open_images(study(tmp_path / "s")).table.column("group")
    rows = [f"s/{p}/IM{i:04d},{f'ID-{p}' * (i == 0)}" for p in range(3) for i in range(2)]
    store = open_images(labels(tmp_path / "t.csv", "path,mrn", *rows), columns={"group": "mrn"})
    assert store.table.column("group") == own
    again = [f"s/{p}/IM{i:04d},{own[2 * p] if i == 0 else ''}" for p in range(3) for i in range(2)]
    assert open_images(labels(tmp_path / "u.csv", "path,group", *again)).table.column("group") == own
    by_patient = labels(tmp_path / "l.csv", "PatientID,label", "ID-0,a", "ID-1,b", "ID-2,a")
    joined = open_images(tmp_path / "t.csv", columns={"group": "mrn"}).with_labels(by_patient)[0]
    assert joined.table.column("label") == ["a", "a", "b", "b", "a", "a"]


def test_labels_join_a_manifest_grouped_by_study(tmp_path: Path) -> None:
    study(tmp_path / "s")
    rows = [f"s/{p}/IM0000,1.2.{p}" for p in range(3)]
    store = open_images(
        labels(tmp_path / "t.csv", "path,StudyInstanceUID", *rows), columns={"group": "StudyInstanceUID"}
    )
    by_group = labels(tmp_path / "l.csv", "group,label", "1.2.0,a", "1.2.1,b", "1.2.2,a")
    assert store.with_labels(by_group)[0].table.column("label") == ["a", "b", "a"]


def test_a_column_of_the_header_can_stand_for_a_known_one(tmp_path: Path) -> None:
    store = open_images(study(tmp_path / "s"), columns={"domain": "vendor"})
    assert set(store.table.column("domain")) == {"Maker"}


def test_a_zip_of_dicom_files(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in sorted(folder.rglob("IM*")):
            archive.write(path, path.relative_to(folder).as_posix())
    store = open_images(tmp_path / "s.zip")
    assert store.source == str(tmp_path / "s.zip")
    (note,) = [note for note in store.notes if note.startswith("unpacked as it is, with names")]
    assert (Path(note.rpartition(" into ")[2]) / store.names[3]).is_file()
    assert np.array_equal(store.image(3), open_images(folder).image(3))
    assert open_images(tmp_path / "s.zip").fingerprint == store.fingerprint


def test_a_zip_that_is_a_trap_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../x.png", b"1")
    with pytest.raises(InputError, match="leads out of it"):
        open_images(tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.dcm", bytes(50 << 20))
    with pytest.raises(InputError, match="unpacks from"):
        open_images(tmp_path / "bomb.zip")
    (tmp_path / "no.zip").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(InputError, match="not a zip file"):
        open_images(tmp_path / "no.zip")


def test_dicom_beside_pictures(tmp_path: Path) -> None:
    study(tmp_path / "s", patients=1)
    for i in range(3):
        save(tmp_path / "s" / f"{i}.png", picture(i, channels=1))
    store = open_images(tmp_path / "s")
    assert len(store) == 5
    assert dict(zip(store.names, store.table.column("modality"), strict=True)) == {
        "0/IM0000": "CT", "0/IM0001": "CT", "0.png": None, "1.png": None, "2.png": None,
    }  # fmt: skip


def test_class_folders_of_several_patients_stay_classes(tmp_path: Path) -> None:
    study(tmp_path / "s" / "well")
    for name in ("0", "1", "2"):
        shutil.copytree(tmp_path / "s" / "well" / name, tmp_path / "s" / "ill" / name)
    assert set(open_images(tmp_path / "s").table.column("label")) == {"ill", "well"}


def labels(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("header", "key"),
    [("PatientID,label", "ID-{}"), ("StudyInstanceUID,label", "1.2.{}"), ("series,label", "1.2.{}.1")],
)
def test_labels_by_patient_study_or_series(tmp_path: Path, header: str, key: str) -> None:
    table = labels(tmp_path / "t.csv", header, *(f"{key.format(p)},{'ab'[p % 2]}" for p in range(4)))
    store = open_images(study(tmp_path / "s"), labels=table)
    assert store.table.column("label") == ["a", "a", "b", "b", "a", "a"]
    (note,) = [note for note in store.notes if "not among" in note]
    assert "row 4: " in note
    assert key.format(3) not in note  # a row too many is told by its pseudonym
    assert any("3 patients" in note for note in store.notes)  # what was understood before the labels
    kept = open_images(tmp_path / "s", labels=table, medical=MedicalConfig(identifiers="kept"))
    assert kept.table.column("label") == store.table.column("label")


def test_labels_keyed_by_another_identifier_say_so(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    with pytest.raises(InputError, match="column 'study' holds identifiers of series, not of studies; name it Series"):
        open_images(folder, labels=labels(tmp_path / "t.csv", "study,label", "1.2.0.1,a", "1.2.1.1,b"))
    with pytest.raises(
        InputError, match="'SeriesInstanceUID' holds identifiers of studies, not of series; name it Study"
    ):
        open_images(folder, labels=labels(tmp_path / "w.csv", "SeriesInstanceUID,label", "1.2.0,a", "1.2.1,b"))
    with pytest.raises(InputError, match="none of its 1 row names one of the patients"):
        open_images(folder, labels=labels(tmp_path / "u.csv", "patient,label", "nobody,a"))
    with pytest.raises(InputError, match="rows 1 and 2 are for the same patient"):
        open_images(folder, labels=labels(tmp_path / "v.csv", "patient,label", "ID-1,a", "ID-1,b"))
    with pytest.raises(
        InputError, match=r"no column path, patient, study or series among who, label; .*columns\.group=NAME"
    ):
        open_images(folder, labels=labels(tmp_path / "x.csv", "who,label", "ID-1,a"))


def test_labels_by_patient_where_files_say_who_issued_the_identifier(tmp_path: Path) -> None:
    for at, (patient, issuer) in enumerate([("1", "A"), ("2", "A"), ("3", "B")]):
        saved(tmp_path, small(PatientID=patient, IssuerOfPatientID=issuer, SOPInstanceUID=f"1.2.{at}"), f"{at}.dcm")
    plain = labels(tmp_path / "plain.csv", "PatientID,label", "1,a", "2,b", "3,c")
    assert open_images(tmp_path, labels=plain).table.column("label") == ["a", "b", "c"]
    whole = labels(tmp_path / "whole.csv", "PatientID,label", "1 of A,a", "2 of A,b", "3,c")
    assert open_images(tmp_path, labels=whole).table.column("label") == ["a", "b", "c"]
    saved(tmp_path, small(PatientID="1", IssuerOfPatientID="B", SOPInstanceUID="1.2.9"), "9.dcm")
    store = open_images(tmp_path, labels=whole)
    assert store.table.column("label") == ["a", "b", "c", None]  # the other hospital's number 1 is somebody else
    with pytest.raises(InputError, match=r"plain\.csv: row 1 may be for several patients"):
        open_images(tmp_path, labels=plain)


def test_a_mapped_key(tmp_path: Path) -> None:
    table = labels(tmp_path / "t.csv", "who,finding", "ID-0,well", "ID-1,ill")
    store = open_images(study(tmp_path / "s"), labels=table, columns={"group": "who", "label": "finding"})
    assert store.table.column("label") == ["well"] * 2 + ["ill"] * 2 + [None] * 2
    assert all(str(value).startswith("patient-") for value in store.table.column("group"))
    assert "who" not in store.table


@pytest.mark.parametrize("key", ["StudyInstanceUID", "series_id", "path"])
def test_no_identifier_or_name_comes_from_a_table_of_labels(tmp_path: Path, key: str) -> None:
    values = {
        "path": "{0}/IM0000", "series_id": "1.2.{0}.1", "StudyInstanceUID": "1.2.{0}", "patient_id": "ID-{0}",
        "PatientName": NAME, "Patient's Name": NAME, "PatientBirthDate": "1970", "PatientSex": "F", "ward": "A", "label": "ab{0}",
    }  # fmt: skip
    chosen = list(values)[list(values).index(key) :]
    rows = [",".join(values[name].format(patient) for name in chosen) for patient in range(3)]
    folder, table = study(tmp_path / "s"), labels(tmp_path / "t.csv", ",".join(chosen), *rows)
    own = open_images(folder)
    store = open_images(folder, labels=table)
    assert store.table.columns.keys() - own.table.columns.keys() == {"ward", "label"}
    for column, kept in own.table.columns.items():
        assert store.table.column(column) == kept
    mapped = {"case": "patient_id", "domain": "PatientSex", "order": "PatientName"}
    again = open_images(folder, labels=table, columns=mapped)
    assert again.table.column("case")[0] == own.table.column("group")[0]  # hashed as the images' own are
    assert again.table.column("domain")[0] == "F"
    assert again.table.column("order")[0].startswith("patient-")  # type: ignore[union-attr]


@pytest.mark.parametrize("known", ["group", "case", "study"])
def test_what_labels_say_of_groups_is_hashed_however_it_is_called(tmp_path: Path, known: str) -> None:
    rows = [f"{p}/IM{i:04d},Nam^{p},a" for p in range(3) for i in range(2)]
    folder, table = study(tmp_path / "s"), labels(tmp_path / "t.csv", "path,Name,label", *rows)
    found = open_images(folder, labels=table, columns={known: "Name"}).table.column(known)
    assert not any("Nam^" in str(value) for value in found)
    assert found[::2] == found[1::2]
    assert len(set(found)) == 3
    own = open_images(folder).table.column("group")
    rows = [f"{p}/IM{i:04d},{[own[2 * p], f'ID-{p}'][i]}" for p in range(3) for i in range(2)]
    same = open_images(folder, labels=labels(tmp_path / "u.csv", "path,group", *rows)).table.column("group")
    assert same == own  # as a pseudonym or as it is in the files


def test_processes_that_start_while_headers_are_read_decode_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study(tmp_path / "s", patients=4, images=5)
    alone = open_images(folder, cache=tmp_path / "one", workers=1)
    monkeypatch.setattr(pool, "IN_PROCESS", 0)
    started: list[tuple[str, ...]] = []
    start = pool._Worker.start
    monkeypatch.setattr(pool._Worker, "start", lambda one, names=(): started.append(names) or start(one, names))
    read = medical.read_all
    monkeypatch.setattr(medical, "read_all", lambda *rest: started.append(("headers",)) or read(*rest))
    crew = open_images(folder, cache=tmp_path / "two", workers=2)
    assert started[:3] == [("pydicom.pixels",)] * 2 + [("headers",)]
    assert crew.fingerprint == alone.fingerprint
    assert crew.table.columns == alone.table.columns
