"""DICOM beside pydicom's own functions, file by file; polarity, windows, and files that are no images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import saved, small

from foretell.data.medical import dicom, dicom_form, dicom_header
from foretell.data.medical.dicom_form import PDF
from foretell.data.medical.window import Window, parse, span
from foretell.data.pixels import MEMORY, Unreadable
from foretell.errors import InputError

pydicom = pytest.importorskip("pydicom")
from pydicom.data import get_testdata_files  # noqa: E402
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut  # noqa: E402


def real_files() -> list[Path]:
    """Every DICOM file that comes with pydicom, and with pydicom-data where that is installed."""
    found = (Path(name) for name in get_testdata_files())
    return sorted(path for path in found if path.suffix in (".dcm", "") and path.is_file())


def expected(dataset: Any) -> np.ndarray:
    """pydicom's own pixels, each frame in [0, 255]: modality, window, and the range that the header implies."""
    values = dataset.pixel_array
    if int(dataset.get("SamplesPerPixel", 1)) > 1:
        return values / {1: 1, 2: 257, 4: 257 << 16}[values.dtype.itemsize]
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        coloured = apply_color_lut(values, dataset)
        return coloured // 256 if coloured.max() > 255 else coloured
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    slope, shift = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    seen = apply_voi_lut(apply_modality_lut(values, dataset), dataset).astype(float)
    if dataset.get("VOILUTSequence"):
        low, high = 0.0, 2.0 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif "WindowWidth" in dataset and dataset.get("ModalityLUTSequence"):
        low, high = 0.0, 2.0 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    elif "WindowWidth" in dataset:
        low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
        low, high = low * slope + shift, high * slope + shift
    elif bits <= 8 and not signed and (slope, shift) == (1, 0):
        low, high = 0.0, 2.0**bits - 1
    else:
        pad = dataset.get("PixelPaddingValue")
        kept = seen if pad is None or not (values != pad).any() else seen[values != pad]
        low, high = float(kept.min()), float(kept.max())
    seen = np.clip((seen - low) / max(high - low, 1e-12), 0, 1) * 255
    return 255 - seen if dataset.PhotometricInterpretation == "MONOCHROME1" else seen


def unreadable_by_pydicom(path: Path) -> bool:
    """Whether pydicom has no pixels either, or fewer than 4 a side."""
    try:
        shape = pydicom.dcmread(path, force=True).pixel_array.shape
    except Exception:
        return True
    return min(shape[:2]) < 4


def read(path: Path, window: str = "file") -> np.ndarray:
    images = list(dicom.frames(path, parse(window)))
    return images[0][:, :, 0]


@pytest.mark.filterwarnings("ignore")  # pydicom's, on its own faulty files
@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
def test_a_real_file_is_as_pydicom_shows_it_or_is_named(path: Path) -> None:
    try:
        images = list(dicom.frames(path))
    except Unreadable:
        images = []
    if not images:
        assert unreadable_by_pydicom(path)
        return
    assert len(images) == dicom.count(path)
    dataset = pydicom.dcmread(path, force=True)
    dataset.file_meta.setdefault("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return  # pydicom's functions do not know a window of each frame: tested below
    reference = expected(dataset).reshape(len(images), *images[0].shape)
    ours = np.stack(images)
    depth = 257 if ours.dtype == np.uint16 else 1
    assert np.abs(ours / depth - reference).max() <= 1


def test_most_real_files_hold_pixels_and_are_read() -> None:
    counts = {"read": 0, "no pixels": 0, "other": 0}
    for path in real_files():
        try:
            counts["read"] += len(list(dicom.frames(path))) > 0
        except Unreadable as reason:
            counts["no pixels" if "without pixels" in str(reason) else "other"] += 1
    assert counts["read"] >= 75  # those of pydicom alone, with no plugin but Pillow; 153 with pydicom-data and plugins
    assert counts["other"] <= counts["read"] / 4


def test_grey_stays_16_bits_and_fills_them(tmp_path: Path) -> None:
    seen = read(saved(tmp_path, small()))
    assert seen.dtype == np.uint16
    assert (seen.min(), seen.max()) == (0, 65535)  # 12 bits are not squeezed into a corner of 16


@pytest.mark.parametrize(
    ("photometric", "shape", "turned"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),  # the two say the same thing: turned once, not twice
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_inverted_greys_are_turned_once(tmp_path: Path, photometric: str, shape: str | None, turned: bool) -> None:
    tags = {"PhotometricInterpretation": photometric} | ({"PresentationLUTShape": shape} if shape else {})
    seen = read(saved(tmp_path, small(**tags)))
    assert (seen[0, 0] > seen[-1, -1]) == turned
    assert sorted((int(seen[0, 0]), int(seen[-1, -1]))) == [0, 65535]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_of_the_header(tmp_path: Path, function: str) -> None:
    tags = {"WindowCenter": 1000, "WindowWidth": 800, "VOILUTFunction": function}
    seen = read(saved(tmp_path, small(RescaleSlope=2, RescaleIntercept=-1024, **tags))) / 65535
    x = np.arange(64).reshape(8, 8) * 128.0 - 1024
    if function == "SIGMOID":
        wanted = 1 / (1 + np.exp(-4 * (x - 1000) / 800))
    elif function == "LINEAR":
        wanted = np.clip((x - 999.5) / 799 + 0.5, 0, 1)
    else:
        wanted = np.clip((x - 1000) / 800 + 0.5, 0, 1)
    assert np.abs(seen - wanted).max() < 1e-4


@pytest.mark.parametrize(
    ("width", "function", "used"),
    [
        (0, "LINEAR", False),
        (0.5, "LINEAR", False),
        (1, "LINEAR", True),
        (-4, "SIGMOID", False),
        ([0, 800], "LINEAR", False),
        (0, "LINEAR_EXACT", False),
        (0.5, "LINEAR_EXACT", True),
    ],
)
def test_a_window_without_width_is_not_used(
    tmp_path: Path, width: float | list[float], function: str, used: bool
) -> None:
    centre = 1000 if isinstance(width, int | float) else [1000, 1000]
    path = saved(tmp_path, small(WindowCenter=centre, WindowWidth=width, VOILUTFunction=function))
    wanted = np.arange(64) * 64 > 1000 if used else np.arange(64) / 63
    assert np.abs(read(path).ravel() / 65535 - wanted).max() < 1e-4
    assert dicom_header.read(path).narrow is not used


def test_a_table_of_the_viewer(tmp_path: Path) -> None:
    item = pydicom.dataset.Dataset()
    item.LUTDescriptor = [4096, 0, 8]
    item.LUTData = bytes(255 - min(i // 16, 255) for i in range(4096))
    item["LUTData"].VR = "OW"
    made = small(VOILUTSequence=pydicom.sequence.Sequence([item]))
    item.LUTDescriptor = [4096, 0, 16]
    item.LUTData = (65535 - np.arange(4096, dtype=np.uint16) * 16).tobytes()
    seen = read(saved(tmp_path, made))
    assert np.abs(seen.ravel().astype(int) - (65535 - np.arange(64) * 64 * 16)).max() <= 1


def test_a_given_window_and_percentiles(tmp_path: Path) -> None:
    path = saved(tmp_path, small(RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=0, WindowWidth=10))
    x = np.arange(64) * 64.0 - 1024
    assert np.abs(read(path, "40/400").ravel() / 65535 - np.clip((x + 160) / 400, 0, 1)).max() < 1e-4
    assert np.abs(read(path, "range").ravel() / 65535 - np.arange(64) / 63).max() < 1e-4
    assert np.abs(read(path, "25-75").ravel() / 65535 - np.clip((np.arange(64) - 15) / 32, 0, 1)).max() < 1e-4


def test_percentiles_of_counted_values_are_those_of_all(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-50, 50, 1000)
    numbers, counts = np.unique(values, return_counts=True)
    for low, high in ((0, 100), (1, 99), (12.5, 60)):
        window = Window("percentile", low, high)
        assert span(numbers, counts, window) == span(values, None, window)


def test_padding_is_outside_the_range(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.int16) + 100
    values[:8] = -2000
    made = small(PixelRepresentation=1, BitsStored=16, HighBit=15, PixelData=values.tobytes())
    made.add_new(0x00280120, "SS", -2000)
    seen = read(saved(tmp_path, made)).ravel()
    assert seen[:9].tolist() == [0] * 9  # padding, and the least value of the image itself
    assert np.abs(seen[8:] / 65535 - np.arange(56) / 55).max() < 1e-4


def group(centre: float, slope: float) -> Any:
    """How one frame of many is seen."""
    made, window, scale = (pydicom.dataset.Dataset() for _ in range(3))
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = centre, 100, "LINEAR_EXACT"
    scale.RescaleSlope, scale.RescaleIntercept = slope, 0
    made.FrameVOILUTSequence = pydicom.sequence.Sequence([window])
    made.PixelValueTransformationSequence = pydicom.sequence.Sequence([scale])
    return made


def test_frames_with_windows_of_their_own(tmp_path: Path) -> None:
    values = np.tile(np.arange(64, dtype=np.uint16), 2)
    made = small(NumberOfFrames=2, PixelData=values.tobytes())
    made.PerFrameFunctionalGroupsSequence = pydicom.sequence.Sequence([group(50, 1), group(100, 2)])
    first, second = (image[:, :, 0].ravel() / 65535 for image in dicom.frames(saved(tmp_path, made)))
    assert np.abs(first - np.clip(np.arange(64) / 100, 0, 1)).max() < 1e-4
    assert np.abs(second - np.clip((2 * np.arange(64) - 50) / 100, 0, 1)).max() < 1e-4


@pytest.mark.parametrize("at", [0, 1])
def test_a_frame_without_a_window_beside_one_with_its_own_shows_its_range(tmp_path: Path, at: int) -> None:
    made = small(NumberOfFrames=2, PixelData=np.tile(np.arange(64, dtype=np.uint16), 2).tobytes())
    groups = [group(50, 1), group(50, 1)]
    del groups[at].FrameVOILUTSequence
    made.PerFrameFunctionalGroupsSequence = pydicom.sequence.Sequence(groups)
    seen = [image[:, :, 0].ravel() / 65535 for image in dicom.frames(saved(tmp_path, made))]
    assert np.abs(seen[at] - np.arange(64) / 63).max() < 1e-4
    assert np.abs(seen[1 - at] - np.arange(64) / 100).max() < 1e-4


def test_colour_keeps_its_depth(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    made = small(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsStored=16, HighBit=15)
    made.PixelData = values.tobytes()
    (image,) = dicom.frames(saved(tmp_path, made))
    assert np.array_equal(image, values)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("used", [10, 12, 16])
def test_bits_that_mean_nothing_are_left_out(tmp_path: Path, sign: int, used: int) -> None:
    values = np.random.default_rng(used).integers(0, 65536, 64, dtype=np.uint16)
    tags = {"BitsStored": used, "HighBit": used - 1, "PixelRepresentation": sign, "PixelData": values.tobytes()}
    path = saved(tmp_path, small(WindowCenter=100, WindowWidth=900, VOILUTFunction="LINEAR_EXACT", **tags))
    stored = pydicom.dcmread(path).pixel_array.astype(float)
    assert np.abs(read(path) / 65535 - np.clip((stored - 100) / 900 + 0.5, 0, 1)).max() < 1e-4


def test_a_text_taken_as_it_lies_in_the_file_is_what_pydicom_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = real_files()
    for at, value in enumerate([" a\\b ", "M\xfcller", "0 ", "", "a~b"]):
        paths.append(saved(tmp_path, small(SpecificCharacterSet="ISO_IR 100", PatientID=value), f"{at}.dcm"))
    quick = [dicom_header.read_or_none(path) for path in paths]
    monkeypatch.setattr(dicom_header, "PLAIN_KINDS", ())
    assert quick == [dicom_header.read_or_none(path) for path in paths]
    assert sum(header is not None and header.study is not None for header in quick) >= 40


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("SliceThickness", value) for value in ("5 mm", r"5\5", "nan", "1e999")),
        *(("InstanceNumber", value) for value in ("first", "1.5", r"1\2")),
        *(("PixelSpacing", "wide"), ("ImageOrientationPatient", "up"), ("WindowWidth", "wide")),
    ],
)
def test_a_value_that_is_none_costs_no_other(tmp_path: Path, name: str, value: str) -> None:
    path = saved(tmp_path, small(StudyInstanceUID="1.2", PixelSpacing=[0.5, 0.5], SeriesInstanceUID="1.2.1"))
    dataset = pydicom.dcmread(path)
    tag, text = pydicom.tag.Tag(name), value.encode() + b" " * (len(value) % 2)
    kind = pydicom.datadict.dictionary_VR(tag)
    dataset._dict[tag] = pydicom.dataelem.RawDataElement(tag, kind, len(text), text, 0, False, True)
    dataset.save_as(path)
    header = dicom_header.read_or_none(path)
    assert header is not None
    assert (header.patient, header.study, header.series) == ("4711", "1.2", "1.2.1")
    assert header.order is None
    assert header.facts is not None
    assert header.facts["spacing"] == (None if name == "PixelSpacing" else "0.5 x 0.5")


@pytest.mark.parametrize(
    ("between", "thick", "told"), [(3, 5, "3"), (0, 5, "5"), (None, 5, "5"), (-2, None, "-2"), (0, None, None)]
)
def test_the_spacing_of_slices(tmp_path: Path, between: float | None, thick: float | None, told: str | None) -> None:
    tags = {"SpacingBetweenSlices": between, "SliceThickness": thick}
    header = dicom_header.read(saved(tmp_path, small(PixelSpacing=[0.5, 0.7], **tags)))
    assert header.facts is not None
    assert header.facts["spacing"] == "0.5 x 0.7" + (f" x {told}" if told else "")


def test_files_between_each_other_are_read_as_alone(tmp_path: Path) -> None:
    """What was worked out for a file must not be used for another that says something else, or holds other values."""
    wide, rng = {"WindowCenter": 2000, "WindowWidth": 4000}, np.random.default_rng(0)
    said: list[dict[str, Any]] = [
        wide, {**wide, "WindowWidth": 500}, {**wide, "RescaleIntercept": -1024, "RescaleSlope": 1},
        {**wide, "PhotometricInterpretation": "MONOCHROME1"}, {**wide, "Rows": 4, "Columns": 16}, {},
    ]  # fmt: skip
    paths = []
    for k in range(3):
        for tags in said:
            pixels = (rng.integers(100 * k, 1200 * (k + 1), 64, dtype=np.uint16)).tobytes()
            paths.append(saved(tmp_path, small(**{**tags, "PixelData": pixels}), f"{len(paths)}.dcm"))
    alone = []
    for path in paths:
        dicom_form._last.clear()
        alone.append((read(path), read(path, "40/400"), read(path, "range")))
    orders = [list(range(len(paths))), list(range(0, len(paths), len(said))), [0, 6, 12, 0, 1, 7, 13, 1, 6, 0]]
    for order in orders:
        for k in order:
            for window, wanted in zip(("file", "40/400", "range"), alone[k], strict=True):
                assert np.array_equal(read(paths[k], window), wanted)


def test_a_series_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    whole = dicom_form._form
    monkeypatch.setattr(dicom_form, "_form", lambda dataset: made.append(dataset) or whole(dataset))
    dicom_form._last.clear()
    for k in range(4):
        tags = {"InstanceNumber": k, "WindowCenter": 2000, "WindowWidth": 4000}
        read(saved(tmp_path, small(**tags), f"{k}.dcm"))
    assert len(made) == 1


# what is no image ------------------------------------------------------------


def test_no_pixels_and_a_pdf_are_named(tmp_path: Path) -> None:
    made = small()
    del made.PixelData
    with pytest.raises(Unreadable, match="is DICOM without pixels"):
        list(dicom.frames(saved(tmp_path, made)))
    letter = small(SOPClassUID=PDF, EncapsulatedDocument=b"%PDF-1.4 nothing", MIMETypeOfEncapsulatedDocument="a")
    letter.file_meta.MediaStorageSOPClassUID = PDF
    with pytest.raises(Unreadable, match="is a PDF in DICOM"):
        dicom.count(saved(tmp_path, letter, "letter.dcm"))


def test_a_header_beyond_belief_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    many = saved(tmp_path, small(NumberOfFrames=10**9))
    with pytest.raises(Unreadable, match="claims 1,000,000,000 frames"):
        dicom.count(many)
    wide = saved(tmp_path, small(Rows=65535, Columns=65535))
    assert MEMORY < 65535 * 65535 * 2
    with pytest.raises(Unreadable, match="claims frames of 65535 x 65535 pixels"):
        list(dicom.frames(wide))
    with pytest.raises(Unreadable, match="is cut short"):
        list(dicom.frames(saved(tmp_path, small(Rows=4000, Columns=4000))))


def test_rows_of_a_thousand_million_are_refused(tmp_path: Path) -> None:
    made = small()
    del made.Rows
    made.add_new(0x00280010, "UL", 10**9)  # a wrong type, as only a damaged or a made-up file has
    with pytest.raises(Unreadable, match="claims 8 x 1000000000 pixels"):
        list(dicom.frames(saved(tmp_path, made)))


def test_an_unknown_transfer_syntax_is_named(tmp_path: Path) -> None:
    made = small()
    path = saved(tmp_path, made)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"))
    with pytest.raises(Unreadable, match=r"unknown transfer syntax|is damaged|is not DICOM"):
        dicom.count(path)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    whole = saved(tmp_path, small()).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Unreadable):
        list(dicom.frames(tmp_path / "cut.dcm"))


def test_a_missing_plugin_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(path for path in real_files() if path.name == "JPEGLSNearLossless_08.dcm")
    decoder = pydicom.pixels.get_decoder(pydicom.uid.JPEGLSNearLossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(Unreadable, match=r"JPEG-LS .*pip install pylibjpeg pylibjpeg-libjpeg"):
        list(dicom.frames(path))


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_what_pillow_alone_does_not_decode_is_named_with_its_package(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = next(path for path in real_files() if path.name == name)
    decoder = pydicom.pixels.get_decoder(pydicom.uid.JPEGExtended12Bit)
    monkeypatch.setattr(decoder, "_available", {key: run for key, run in decoder._available.items() if key == "pillow"})
    monkeypatch.setattr(decoder, "_unavailable", {"pylibjpeg": ("pylibjpeg>=2.0", "pylibjpeg-libjpeg>=2.1")})
    with pytest.raises(Unreadable, match=r"JPEG Extended .*needs a plugin.*pip install pylibjpeg pylibjpeg-libjpeg"):
        list(dicom.frames(path))
    monkeypatch.setattr(decoder, "_unavailable", {})
    with pytest.raises(Unreadable, match="cannot be decoded"):
        list(dicom.frames(path))


def test_a_name_is_in_no_message(tmp_path: Path) -> None:
    for tags in ({"Rows": 0}, {"BitsAllocated": 7}, {"PixelData": b""}, {"PhotometricInterpretation": "HUES"}):
        path = saved(tmp_path, small(**tags))
        with pytest.raises(Unreadable) as caught:
            list(dicom.frames(path))
        assert "Nachname" not in str(caught.value)
        assert "4711" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("window", ["file", "1/2"])
def test_floats_that_are_not_finite_are_refused(tmp_path: Path, value: float, window: str) -> None:
    values = np.linspace(0, 1, 64, dtype="<f4")
    made = small(BitsAllocated=32, FloatPixelData=values.tobytes())
    del made.PixelData
    assert read(saved(tmp_path, made), window).max() > 0
    values[27] = value
    made.FloatPixelData = values.tobytes()
    with pytest.raises(Unreadable, match=r"has 1 pixels that are NaN or infinite.*nan_to_num"):
        read(saved(tmp_path, made), window)


@pytest.mark.parametrize("text", ["bone", "99-1", "40/0", "1-101", "40/-3", ""])
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"data\.medical\.window"):
        parse(text)
