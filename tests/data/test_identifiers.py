"""Identifiers of patients in tables of images without headers: hashed where a column is called so, or on demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import fill, picture, save

from foretell.data.audit import audit, render
from foretell.data.medical.config import MedicalConfig
from foretell.data.splits import check_groups
from foretell.data.store import ImageStore, open_images
from foretell.errors import InputError

SECRET = "SECRETNAME"


def table_of(folder: Path, column: str, *, labels: bool = False) -> Path:
    """Eight pictures of four patients, the images as they are beside ``labels`` or in a manifest."""
    fill(folder / "images", 8)
    rows = [f"{'' if labels else 'images/'}{i:03d}.png,{'ab'[i % 2]},{SECRET}{i // 2},F" for i in range(8)]
    place = folder / "table.csv"
    place.write_text("\n".join([f"path,label,{column},PatientSex", *rows]) + "\n")
    return place


def groups(store: ImageStore) -> list[str | None]:
    return store.table.column("group")


@pytest.mark.parametrize(
    "column",
    ["PatientName", "PatientID", "patient_id", "Patient Birth Date", "StudyInstanceUID", "OtherPatientIDs", "MRN"],
)
def test_identifiers_beside_plain_pictures_are_hashed(tmp_path: Path, column: str) -> None:
    place = table_of(tmp_path, column)
    store = open_images(place, columns={"group": column, "domain": "PatientSex"})
    assert not any(SECRET in str(value) for values in store.table.columns.values() for value in values)
    assert len(set(groups(store))) == 4
    assert groups(store)[::2] == groups(store)[1::2]
    assert store.table.column("domain") == ["F"] * 8
    assert (
        f"identifiers in the table's columns {column}, group are hashed; --set data.medical.identifiers=kept keeps them"
        in store.notes
    )
    assert groups(open_images(place, columns={"group": column})) == groups(store)
    kept = open_images(place, columns={"group": column}, medical=MedicalConfig(identifiers="kept"))
    assert groups(kept)[0] == f"{SECRET}0"
    assert kept.fingerprint == store.fingerprint


def test_identifiers_in_labels_of_plain_pictures_are_hashed(tmp_path: Path) -> None:
    place = table_of(tmp_path, "PatientName", labels=True)
    columns = {"group": "PatientName"}
    store = open_images(tmp_path / "images", labels=place, columns=columns)
    shown = render(audit(tmp_path / "images", labels=place, columns=columns))
    assert SECRET not in shown + str(store.table.columns) + str(store.notes)
    assert len(set(groups(store))) == 4
    assert "identifiers in the table of labels are hashed" in shown


def test_who_is_in_two_splits_is_not_named(tmp_path: Path) -> None:
    place = table_of(tmp_path, "PatientName")
    lines = place.read_text().splitlines()
    split = ["split", *("train" if i % 2 else "test" for i in range(8))]
    place.write_text("\n".join(f"{line},{part}" for line, part in zip(lines, split, strict=True)) + "\n")
    store = open_images(place, columns={"group": "PatientName"})
    with pytest.raises(InputError, match=r"group 'patient-[0-9a-f]{12}' is in two splits") as raised:
        check_groups(store.table, store.table.column("split"))
    assert SECRET not in str(raised.value)


def test_other_groups_of_plain_pictures_stay_readable(tmp_path: Path) -> None:
    for column in ("group", "film", "name", "series"):
        store = open_images(table_of(tmp_path, column), columns={} if column == "group" else {"group": column})
        assert groups(store)[0] == f"{SECRET}0"
        assert store.found is not None
        assert store.found.salt is None
    asked = open_images(tmp_path / "table.csv", columns={"group": "series"}, medical=MedicalConfig(salt="a long one"))
    assert SECRET not in str(asked.table.columns["group"])
    assert len(set(groups(asked))) == 4


def test_a_birth_date_is_hashed_whatever_it_stands_for(tmp_path: Path) -> None:
    store = open_images(table_of(tmp_path, "PatientBirthDate"), columns={"domain": "PatientBirthDate"})
    assert SECRET not in str(store.table.columns)
    assert len(set(store.table.column("domain"))) == 4


def test_identifiers_beside_an_array_are_hashed(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "x.npz",
        images=np.stack([picture(i) for i in range(8)]),
        group=[f"{SECRET}{i // 2}" for i in range(8)],
    )
    assert groups(open_images(tmp_path / "x.npz"))[0] == f"{SECRET}0"
    asked = open_images(tmp_path / "x.npz", medical=MedicalConfig(salt="a long one"))
    assert len(set(groups(asked))) == 4
    assert SECRET not in str(asked.table.columns)


def test_a_table_of_arrays_is_one_of_plain_pictures(tmp_path: Path) -> None:
    for i in range(4):
        np.save(tmp_path / f"{i}.npy", picture(i)[:, :, 0].astype(np.uint16) * 9)
    save(tmp_path / "other.png", picture(9))
    rows = [f"{i}.npy,{SECRET}{i // 2}" for i in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(["path,PatientID", *rows]) + "\n")
    store = open_images(tmp_path / "t.csv", columns={"group": "PatientID"})
    assert len(set(groups(store))) == 2
    assert SECRET not in str(store.table.columns)
