"""Volumes as patients, cases and slices: where voxels lie, which part a case is of, and who is kept apart from whom."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from small_volumes import PATIENTS, SHAPE

from foretell.claims.fetch import Unavailable
from foretell.claims.medical import brains, cranium, volume_slices, volume_tiles, volumes
from foretell.claims.medical.volumes import Volume
from foretell.data.pixels import Unreadable


def test_labels_are_moved_to_where_another_volume_has_them() -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    found = brains.moved(labels, (4, 3, 2), (-1.0, 0.0, 2.0))
    assert found.shape == (4, 3, 2)
    assert np.array_equal(found[1:3], labels[:, :, 2:])
    assert not found[[0, 3]].any()


def test_the_template_has_the_parts_of_the_atlas_in_its_own_voxels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    regions = np.zeros((6, 6, 6), np.uint8)
    regions[1, 2, 3] = 2
    nibabel.save(nibabel.Nifti1Image(regions, affine), tmp_path / "aal.nii.gz")
    affine[:3, 3] = (-2, 0, 1)
    nibabel.save(nibabel.Nifti1Image(np.full((8, 7, 6), 9, np.uint8), affine), tmp_path / brains.ICBM)
    (tmp_path / "aal.nii.txt").write_text("1 Precentral_L 2001\n2 Cerebelum_L 9001\n")
    monkeypatch.setattr(brains, "folder", lambda: tmp_path)
    monkeypatch.setattr(brains, "template_folder", lambda: tmp_path)
    found = volumes.template()
    assert found.tones.shape == found.masks.shape == (8, 7, 6)
    assert np.argwhere(found.masks).tolist() == [[3, 2, 2]]
    assert found.classes[int(found.masks.max())] == "cerebellum"


def test_the_head_is_shown_with_the_front_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a project lie as they are shown, and are found so again in the axes of the body."""
    values, masks = np.full((3, 4, 4), -1000, np.int16), np.zeros((3, 4, 4), np.uint8)
    values[2, 0, 1], masks[2, 0, 1] = 240, 2
    monkeypatch.setattr(cranium, "volume", lambda: (values, masks))
    found = volumes.head()
    tones, classes = found.slice("axial", 2)
    assert np.argwhere(tones).tolist() == np.argwhere(classes == 2).tolist() == [[0, 1]]
    assert tones.max() == 255
    assert found.length("axial") == 3


def test_what_cannot_be_read_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> Volume:
        raise Unreadable("is NIfTI, which needs nibabel")

    monkeypatch.setattr(volumes, "PATIENTS", (unreadable,))
    with pytest.raises(Unavailable, match="a volume of it is NIfTI, which needs nibabel"):
        list(volumes.volumes())


def test_the_part_of_a_case_fills_half_of_what_is_known() -> None:
    classes = ("background", "one", "other", "third")
    assert volume_tiles.part_of(np.array([[0, 0, 0, 0, 1]], np.uint8), classes) == "one"
    assert volume_tiles.part_of(np.array([[1, 2, 2, 2]], np.uint8), classes) == "other"
    assert volume_tiles.part_of(np.array([[1, 1, 2, 2, 3]], np.uint8), classes) is None
    assert volume_tiles.part_of(np.zeros((1, 4), np.uint8), classes) is None


def test_cases_are_places_of_slabs(patients: None) -> None:
    found = list(volume_tiles.cases(PATIENTS[0]()))
    axial = [case for case in found if " axial " in case.slab]
    # 48 x 40 voxels: three tiles by two, the last third outside, in each of two slabs
    assert Counter(case.slab for case in axial) == {"human axial 0": 4, "human axial 1": 4}
    assert {case.images.shape for case in found} == {(4, 16, 16)}
    assert Counter(case.label for case in axial) == {"frontal": 4, "insula": 4}
    volume = PATIENTS[0]()
    first = axial[0]
    top, left = map(int, first.place.split())
    assert np.array_equal(first.images[1], volume.slice("axial", 2)[0][top : top + 16, left : left + 16])


def test_the_tested_patient_is_nowhere_else(patients: None) -> None:
    table = volume_tiles.open_tiles().table
    rows = list(zip(*(table.column(name) for name in ("domain", "split", "label", "group")), strict=True))
    assert {split for patient, split, *_ in rows if patient == "template"} == {"test"}
    assert {split for patient, split, *_ in rows if patient != "template"} == {"train"}
    assert {label for patient, _, label, _ in rows if patient in ("head", "macaque")} == {None}
    groups = [{group for _, split, _, group in rows if split == part} for part in ("train", "test")]
    assert not groups[0] & groups[1]


def test_a_part_with_few_cases_is_no_class(patients: None, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Counter(volume_tiles.open_tiles().subset(range(4)).table.column("label"))
    assert None not in labels
    monkeypatch.setattr(volume_tiles, "CASES", 1000)
    assert set(volume_tiles.open_tiles().table.column("label")) == {None}


def test_slabs_of_the_head_and_the_tested_patient_are_held_out(patients: None) -> None:
    stores = [volume_slices.open_slices(seed) for seed in range(4)]
    tested = [
        {
            group
            for group, split in zip(store.table.column("group"), store.table.column("split"), strict=True)
            if split == "test"
        }
        for store in stores
    ]
    assert len({frozenset(some) for some in tested}) > 1
    for store, held in zip(stores, tested, strict=True):
        assert sum(str(group).startswith("head") for group in held) == 1
        for task in volume_slices.TASKS:
            part, masks, train, test = volume_slices.segmented(store, task)
            assert len(masks) == len(part) == len(train) + len(test)
            assert set(part.table.column("domain")) == set(task.patients)
            assert set(part.table.column("plane")) == {"axial"}
            groups = np.array(part.table.column("group"), dtype=object)
            assert not set(groups[train]) & set(groups[test])
            assert masks.masks[0].shape == (SHAPE[1], SHAPE[0])
