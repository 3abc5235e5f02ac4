"""Readers of medical sets on what they find in an archive; units divided without overlap. No network is used."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import atlas, cranium, dicom_files, wesnoth, wesnoth_cases
from benchmarks.datasets.loaded import Loaded
from foretell.claims.medical import brains
from foretell.claims.medical import cranium as head
from foretell.data.table import Table, read_table


def project(values: np.ndarray, masks: list[np.ndarray]) -> bytes:
    """A viewer's project: a tar of its arrays, as bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        parts = {
            "matrix.dat": values,
            "mask_0.dat": masks[0],
            "mask_1.dat": masks[1],
            "main.plist": np.zeros(3, np.uint8),
        }
        for name, array in parts.items():
            entry = tarfile.TarInfo(f"folder/{name}")
            entry.size = array.nbytes
            archive.addfile(entry, io.BytesIO(array.tobytes()))
    return stream.getvalue()


def test_the_head_has_bone_and_soft_tissue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "SHAPE", (20, 4, 4))
    values = np.full((20, 4, 4), -1000, np.int16)
    values[3, 1, 1], values[3, 2, 2] = 40, 800
    bone, soft = np.zeros((21, 5, 5), np.uint8), np.zeros((21, 5, 5), np.uint8)
    soft[4, 2, 2] = soft[4, 3, 3] = bone[4, 3, 3] = 255  # the first plane, row and column are the viewer's own
    monkeypatch.setattr(head, "member", lambda package, name: project(values, [bone, soft]))
    found = cranium.load("40/400")
    assert found.masks is not None
    assert found.images is not None
    assert np.argwhere(found.masks == 1).tolist() == [[3, 2, 1]]
    assert np.argwhere(found.masks == 2).tolist() == [[3, 1, 2]]
    assert [int(found.images[at]) for at in ((3, 0, 0, 0), (3, 2, 1, 0), (3, 1, 2, 0))] == [0, 32768, 65535]
    assert len(set(found.table.column("group"))) == 3  # slabs of 9 slices


def test_an_atlas_is_cut_into_slices_with_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nibabel = pytest.importorskip("nibabel")
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[:, :, 5] = 1
    labels[:, :, 6] = 2
    for name, values in (("ch2", labels * 100), ("aal", labels)):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / f"{name}.nii.gz")
    (tmp_path / "aal.nii.txt").write_text("1 Precentral_L 2001\n2 Cerebelum_L 9001\n")
    monkeypatch.setattr(brains, "folder", lambda: tmp_path)
    found = atlas.load()
    assert found.masks is not None
    assert found.table.column("path") == ["ch2[axial 5]", "ch2[axial 6]"]
    assert found.table.column("label") == ["frontal", "cerebellum"]
    assert found.classes[0] == "background"
    assert [found.classes[int(mask.max())] for mask in found.masks] == ["frontal", "cerebellum"]


def test_slices_with_and_without_the_skull_are_of_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nibabel = pytest.importorskip("nibabel")
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:18, 2:18, 2:18] = 1
    for name, values in (("ch2", labels * 100 + 20), ("ch2bet", labels * 100), ("aal", labels)):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / f"{name}.nii.gz")
    (tmp_path / "aal.nii.txt").write_text("1 Precentral_L 2001\n")
    monkeypatch.setattr(brains, "folder", lambda: tmp_path)
    table = read_table(atlas.write(tmp_path / "out"))
    assert len(table) == 2 * 3 * 16
    assert set(table.column("domain")) == {"human", "stripped"}
    by_domain = {
        name: [group for group, own in zip(table.column("group"), table.column("domain"), strict=True) if own == name]
        for name in ("human", "stripped")
    }
    assert by_domain["human"] == by_domain["stripped"]
    for name in ("path", "mask"):
        assert all((tmp_path / "out" / str(place)).is_file() for place in table.column(name))


def test_units_are_in_one_part_and_races_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        (f"{race}/unit{unit}-{frame}.png", race, f"{race}/unit{unit}")
        for race in ("elf", "orc")
        for unit in range(9)
        for frame in range(4)
    ]
    rows += [(f"elf/short-{frame}.png", "elf", "elf/short") for frame in range(3)]
    rows += [(f"naga/unit{unit}-{frame}.png", "naga", f"naga/unit{unit}") for unit in range(7) for frame in range(4)]
    path, label, unit = ([row[at] for row in rows] for at in range(3))
    monkeypatch.setattr(
        wesnoth,
        "load",
        lambda: Loaded(Table({"path": path, "label": label, "group": unit, "case": unit}), folder=Path()),
    )
    table = wesnoth_cases.load(seed=1).table
    assert set(table.column("label")) == {"elf", "orc"}  # seven units are too few, and three frames are no case
    assert len(table) == 2 * 9 * 4
    parts: dict[str | None, set[str | None]] = {}
    for group, part in zip(table.column("group"), table.column("split"), strict=True):
        parts.setdefault(group, set()).add(part)
    assert all(len(part) == 1 for part in parts.values())
    assert sum(part == {"test"} for part in parts.values()) == 8
    assert table.column("split") != wesnoth_cases.load(seed=2).table.column("split")


def test_dicom_files_are_counted_by_what_becomes_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydicom")
    from dicom_files import saved, small

    saved(tmp_path, small(), "image.dcm")
    bare = small()
    del bare.PixelData
    saved(tmp_path, bare, "bare.dcm")
    (tmp_path / "no.dcm").write_bytes(b"no" * 200)
    monkeypatch.setattr(dicom_files, "folders", lambda: [tmp_path])
    found, refused = dicom_files.counts()
    assert dict(found) == {"read": 1, "frames": 1, "no pixels": 1, "refused": 1}
    assert [name for name, _ in refused] == ["no.dcm"]
