"""What check says of medical images, without a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import saved, small, study

from foretell.data.audit import audit, render
from foretell.data.medical.burnt_text import looks_written
from foretell.data.medical.dicom import frames
from foretell.data.pixels import finish
from foretell.data.splits import split
from foretell.data.store import open_images
from foretell.errors import InputError

pydicom = pytest.importorskip("pydicom")


def test_greys_and_cases(tmp_path: Path) -> None:
    study(tmp_path / "s", patients=3, images=2)
    saved(tmp_path / "s", small(PatientID="alone", BurnedInAnnotation="YES"), "alone.dcm")
    found = audit(tmp_path / "s", near=False)
    assert found.cases == {"1 image": 1, "2": 3}
    assert found.medical is not None
    assert np.isclose(sum(found.medical.intensities), 1)
    assert max(found.medical.intensities) < 0.1  # noise, spread over all 16 bits
    assert found.medical.said == ["alone.dcm"]
    shown = render(found)
    assert "cases by number of images: 1 image: 1, 2: 3" in shown
    assert "BURNT-IN TEXT: the headers of 1 image say so (alone.dcm)" in shown
    assert "Nachname" not in shown
    assert "ID-0" not in shown


def test_a_series_of_mixed_sizes_is_listed(tmp_path: Path) -> None:
    study(tmp_path / "s", patients=1, images=3)
    saved(
        tmp_path / "s",
        small(PatientID="ID-0", SeriesInstanceUID="1.2.0.1", ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
    )
    found = audit(tmp_path / "s", near=False)
    assert found.medical is not None
    (mixed,) = found.medical.mixed
    assert mixed.startswith("series-")
    assert mixed.endswith(": 3 of 16 x 16 axial (0/IM0000) and 1 of 8 x 8 sagittal (x.dcm)")
    assert mixed in render(found)


def test_a_patient_in_two_splits_is_listed_and_refused(tmp_path: Path) -> None:
    study(tmp_path / "s", patients=2, images=2)
    rows = [f"s/{p}/IM{i:04d},{'train' if (p, i) != (0, 1) else 'test'}" for p in range(2) for i in range(2)]
    (tmp_path / "table.csv").write_text("path,split\n" + "\n".join(rows) + "\n")
    found = audit(tmp_path / "table.csv", near=False)
    (leak,) = [leak for leak in found.leaks if leak.what == "group"]
    assert leak.where == ["test", "train"]
    assert leak.names[0].startswith("patient-")
    with pytest.raises(InputError, match=r"patient-\w+"):
        split(open_images(tmp_path / "table.csv").table, {"train": 0.5, "test": 0.5}, 0)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("examples_palette.dcm", True),
        ("examples_ybr_color.dcm", True),
        ("CT_small.dcm", False),
        ("693_J2KI.dcm", False),
    ],
)
def test_writing_is_seen_on_real_images(name: str, written: bool) -> None:
    path = Path(pydicom.data.get_testdata_file(name, download=False) or "")
    if not path.is_file():
        pytest.skip(f"{name} is in pydicom-data, which is not installed")
    assert looks_written(finish(next(frames(path)), 512)) == written


def test_noise_and_plain_images_are_no_writing() -> None:
    rng = np.random.default_rng(0)
    assert not looks_written(rng.integers(0, 65536, (128, 128, 1)).astype(np.uint16))
    assert not looks_written(np.zeros((64, 64, 3), np.uint8))
    assert not looks_written(np.full((5, 5, 1), 3, np.uint8))
