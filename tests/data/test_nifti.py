"""Slices of volumes: which voxel is seen where, spacing, time, and volumes that cannot be read."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from foretell.data.audit import audit, render
from foretell.data.medical import nifti
from foretell.data.medical.config import MedicalConfig
from foretell.data.medical.window import FILE, parse
from foretell.data.pixels import Unreadable
from foretell.data.store import open_images
from foretell.errors import InputError
from foretell.recipe import DataConfig
from foretell.verbs.common import tell_data

nibabel = pytest.importorskip("nibabel")

SHAPE = (9, 10, 11)  # right, front, head
SPACING = (1.0, 2.0, 3.0)


def volume(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([*SPACING, 1.0]) if affine is None else affine), path)
    return path


def counted(dtype: type = np.int16) -> np.ndarray:
    return np.arange(int(np.prod(SHAPE)), dtype=dtype).reshape(SHAPE)


def test_planes_slices_and_columns(tmp_path: Path) -> None:
    volume(tmp_path / "a.nii.gz", counted())
    store = open_images(tmp_path, medical=MedicalConfig(planes=("axial", "coronal", "sagittal")))
    assert len(store) == 11 + 10 + 9
    table = store.table
    assert store.names[0] == "a.nii.gz[axial 0]"
    assert store.names[-1] == "a.nii.gz[sagittal 8]"
    assert set(table.column("group")) == {"a"}
    spacings = dict(zip(table.column("plane"), table.column("spacing"), strict=True))
    assert spacings == {"axial": "2 x 1 x 3", "coronal": "3 x 1 x 2", "sagittal": "3 x 2 x 1"}
    assert {tuple(size) for size in store.sizes.tolist()} == {(10, 9), (11, 9), (11, 10)}
    thin = open_images(tmp_path, medical=MedicalConfig(every=4))
    assert thin.names == [f"a.nii.gz[axial {i}]" for i in (0, 4, 8)]


def test_the_first_voxel_is_that_of_the_left_back_foot(tmp_path: Path) -> None:
    mirrored = np.diag([-1.0, 2.0, 3.0, 1.0])
    mirrored[:3, 3] = (4.0, -6.0, 7.5)
    assert nifti.origin(volume(tmp_path / "a.nii", counted(), mirrored)) == (4.0 - (SHAPE[0] - 1), -6.0, 7.5)


def test_a_slice_is_shown_as_dicom_shows_it(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.int16)
    values[8, 0, 0] = 1000  # right, back, low
    path = volume(tmp_path / "a.nii", values)
    axial = nifti.read(f"{path}[axial 0]", 64, FILE)[:, :, 0]
    assert np.argwhere(axial).tolist() == [[9, 0]]  # the back is below, the patient's right on the left
    coronal = nifti.read(f"{path}[coronal 0]", 64, FILE)[:, :, 0]
    assert np.argwhere(coronal).tolist() == [[10, 0]]
    sagittal = nifti.read(f"{path}[sagittal 8]", 64, FILE)[:, :, 0]
    assert np.argwhere(sagittal).tolist() == [[10, 9]]  # the front is on the left


def test_the_axes_of_the_file_do_not_matter(tmp_path: Path) -> None:
    one = volume(tmp_path / "a.nii", counted())
    turned = np.ascontiguousarray(counted()[::-1].transpose(2, 0, 1))  # stored as (head, left, front)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = 3, -1, 2, 1
    other = volume(tmp_path / "b.nii", turned, affine)
    for plane, at in (("axial", 3), ("coronal", 7), ("sagittal", 1)):
        assert np.array_equal(
            nifti.read(f"{one}[{plane} {at}]", 64, FILE), nifti.read(f"{other}[{plane} {at}]", 64, FILE)
        )


def test_greys_fill_16_bits_by_volume_and_bytes_stay(tmp_path: Path) -> None:
    path = volume(tmp_path / "a.nii", counted() - 300)
    first, last = (nifti.read(f"{path}[axial {at}]", 64, FILE) for at in (0, 10))
    assert (first.dtype, first.min(), last.max()) == (np.uint16, 0, 65535)  # one range for all slices
    seen = nifti.read(f"{path}[axial 0]", 64, parse("0/100"))[:, :, 0] / 65535
    wanted = np.clip((nifti.shown(counted() - 300.0, "axial", 0) + 50) / 100, 0, 1)
    assert np.abs(seen - wanted).max() < 1e-4
    small = volume(tmp_path / "b.nii", (counted() % 200).astype(np.uint8))
    assert np.array_equal(
        nifti.read(f"{small}[axial 4]", 64, FILE)[:, :, 0], nifti.shown(counted() % 200, "axial", 4).astype(np.uint8)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_the_window_of_the_header_is_obeyed_for_bytes_too(tmp_path: Path, dtype: type) -> None:
    values = (counted() % 200).astype(dtype)
    image = nibabel.Nifti1Image(values, np.diag([*SPACING, 1.0]))
    image.header["cal_min"], image.header["cal_max"] = 50, 150
    nibabel.save(image, tmp_path / "a.nii")
    wanted = np.clip((nifti.shown(values.astype(float), "axial", 4) - 50) / 100, 0, 1)
    for window in (FILE, parse("100/100")):
        seen = nifti.read(f"{tmp_path / 'a.nii'}[axial 4]", 64, window)[:, :, 0]
        assert np.abs(seen / np.iinfo(seen.dtype).max - wanted).max() <= 0.51 / 255


def test_a_series_in_time(tmp_path: Path) -> None:
    values = np.stack([counted(), counted() + 5000], axis=-1)
    volume(tmp_path / "film.nii.gz", values)
    store = open_images(tmp_path, medical=MedicalConfig(every=5))
    assert store.names == [f"film.nii.gz[{time} axial {at}]" for time in (0, 1) for at in (0, 5, 10)]
    assert store.image(3).mean() > store.image(0).mean()
    assert len(set(store.table.column("series"))) == 2


def test_nan_is_refused_with_what_to_do(tmp_path: Path) -> None:
    values = counted(np.float32)
    values[2, 3, 4] = np.nan
    volume(tmp_path / "a.nii", values)
    with pytest.raises(InputError, match=r"a\.nii\[axial 0\], has 1 voxels that are NaN or infinite.*nan_to_num"):
        open_images(tmp_path)


def test_a_volume_that_cannot_be_read_is_listed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = counted(np.float32)
    volume(tmp_path / "b.nii", values)
    values[2, 3, 4] = np.nan
    volume(tmp_path / "a.nii.gz", values)
    found = audit(tmp_path)
    assert len(found.unreadable) == SHAPE[2]
    shown = render(found).splitlines()
    assert "  unreadable: 1 (11 images)" in shown
    assert sum("NaN" in line for line in shown) == 1
    assert any(line.strip().startswith("a.nii.gz (11 slices) has 1 voxels that are NaN") for line in shown)
    assert "  groups: 1, and 1 of unreadable images alone" in shown  # the headers are of 2 volumes
    assert any("medical images of 2 patients or volumes" in line for line in shown)
    store = open_images(tmp_path, max_unreadable=0.9)
    tell_data(store, DataConfig(source=str(tmp_path)))
    assert "1 unreadable, passed over: a.nii.gz (11 slices) (has 1 voxels" in capsys.readouterr().out


def test_groups_of_a_table_of_volumes_are_hashed_by_what_is_in_them(tmp_path: Path) -> None:
    for name in "ab":
        volume(tmp_path / f"{name}.nii", counted())
    (tmp_path / "t.csv").write_text("path,name\na.nii,Nameson\nb.nii,\n")
    table = open_images(tmp_path / "t.csv", columns={"group": "name"}).table
    first, second = table.column("group")[0], table.column("group")[-1]
    assert first is not None
    assert first.startswith("patient-")
    assert second == "b"  # the name of its file
    volume(tmp_path / "a.nii", counted() + 1)  # other voxels: nobody without them can make the pseudonym
    assert open_images(tmp_path / "t.csv", columns={"group": "name"}).table.column("group")[0] != first


def test_a_damaged_volume_is_read_once_for_all_its_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gzip.decompress(volume(tmp_path / "a.nii.gz", counted()).read_bytes())
    (tmp_path / "cut.nii").write_bytes(whole[:-200])
    read: list[Path] = []
    voxels = nifti.voxels
    monkeypatch.setattr(nifti, "voxels", lambda path: (read.append(path), voxels(path))[1])
    for at in (0, 1, 2):
        with pytest.raises(Unreadable, match="is cut short"):
            nifti.read(f"{tmp_path / 'cut.nii'}[axial {at}]", 64, FILE)
    assert len(read) == 1
    volume(tmp_path / "cut.nii", counted())  # mended: looked at again
    os.utime(tmp_path / "cut.nii", ns=(1, 1))
    assert nifti.read(f"{tmp_path / 'cut.nii'}[axial 0]", 64, FILE).ndim == 3


def test_damaged_and_odd_volumes_are_named(tmp_path: Path) -> None:
    whole = gzip.decompress(volume(tmp_path / "a.nii.gz", counted()).read_bytes())
    (tmp_path / "cut.nii").write_bytes(whole[:-200])
    with pytest.raises(Unreadable, match="is cut short"):
        nifti.read(f"{tmp_path / 'cut.nii'}[axial 0]", 64, FILE)
    (tmp_path / "no.nii").write_bytes(b"nothing" * 100)
    with pytest.raises(Unreadable, match="is damaged"):
        nifti.volume(tmp_path / "no.nii")
    five = volume(tmp_path / "five.nii", np.zeros((4, 4, 4, 1, 3), np.float32))
    with pytest.raises(Unreadable, match="5 dimensions"):
        nifti.volume(five)
    header = nibabel.Nifti1Header()
    header.set_data_shape((32767, 32767, 2))
    header.set_data_dtype(np.int16)
    (tmp_path / "huge.nii").write_bytes(header.binaryblock + b"\0" * 100)
    with pytest.raises(Unreadable, match="claims 32767 x 32767 x 2 voxels"):
        nifti.volume(tmp_path / "huge.nii")
    with pytest.raises(Unreadable, match="has no such slice"):
        nifti.read(f"{tmp_path / 'a.nii.gz'}[axial 11]", 64, FILE)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume(tmp_path / "a.nii", counted())
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(InputError, match=r"a\.nii, is NIfTI, .*foretell\[medical\]"):
        open_images(tmp_path)
    monkeypatch.undo()
    assert len(open_images(tmp_path)) == 11


def test_a_volume_whose_checksum_does_not_fit_is_refused(tmp_path: Path) -> None:
    values = np.repeat(np.arange(4000, dtype=np.int16).reshape(20, 20, 10), 2, axis=0)
    path = volume(tmp_path / "a.nii.gz", values)
    turned = volume(tmp_path / "turned.nii.gz", values, np.diag([-1.0, 1, 1, 1]))
    assert np.array_equal(nifti.voxels(path), values)
    assert np.array_equal(nifti.voxels(turned), values[::-1])
    whole = bytearray(path.read_bytes())
    refused = "is damaged|is cut short|has|claims|holds"
    for at in range(200, len(whole) - 8, len(whole) // 20):
        whole[at] ^= 1
        path.write_bytes(whole)
        with pytest.raises(Unreadable, match=refused):
            nifti.voxels(path)
        whole[at] ^= 1
    whole[-8] ^= 1  # the checksum itself
    path.write_bytes(whole)
    with pytest.raises(Unreadable, match=r"is damaged \(its gzip data: CRC check failed"):
        nifti.voxels(path)
