"""What is wrong with a set is found, and said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pictures import fill, picture, save
from PIL import Image, ImageEnhance

from foretell.data.audit import audit, render
from foretell.data.duplicates import DISTANCE, candidate_pairs, clusters, exact_groups, near_pairs
from foretell.data.store import ImageStore, open_images
from foretell.errors import InputError


def test_pairs_are_those_of_comparing_all_with_all() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 600, dtype=np.uint64)
    for i in range(200):  # pairs 1 to 12 bits apart
        hashes[400 + i] = hashes[i]
        for bit in rng.choice(64, 1 + i % 12, replace=False):
            hashes[400 + i] ^= np.uint64(1) << np.uint64(bit)
    every = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= DISTANCE
    expected = {(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(every, 1)), strict=True)}
    assert len(expected) > 100
    assert {tuple(pair) for pair in candidate_pairs(hashes).tolist()} == expected


def test_a_large_cluster_stays_linear_and_joined() -> None:
    hashes = np.full(3000, 12345, np.uint64)
    pairs = candidate_pairs(hashes)
    assert len(pairs) <= 4 * 8 * 3000
    assert clusters(3000, [(int(a), int(b)) for a, b in pairs]) == [list(range(3000))]


def test_exact_groups() -> None:
    hashes = np.zeros((6, 16), np.uint8)
    hashes[:, 3] = [5, 1, 5, 2, 1, 5]
    assert exact_groups(hashes) == [[0, 2, 5], [1, 4]]


def changed(image: np.ndarray, how: str) -> np.ndarray:
    picture_ = Image.fromarray(image)
    if how == "half":
        return np.asarray(picture_.resize((image.shape[1] // 2, image.shape[0] // 2), Image.Resampling.BICUBIC))
    if how == "brighter":
        return np.asarray(ImageEnhance.Brightness(picture_).enhance(1.1))
    if how == "jpeg":
        stream = io.BytesIO()
        picture_.save(stream, "JPEG", quality=50)
        return np.asarray(Image.open(stream))
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("how", ["half", "brighter", "noise", "jpeg"])
def test_alike_images_are_found_and_others_are_not(how: str) -> None:
    images = [picture(i, 64, 80) for i in range(60)]
    twins = [changed(images[i], how) for i in range(20)]
    near, flat = near_pairs(ImageStore.of([*images, *twins]))
    found = {(a, b) for a, b, _ in near}
    assert not flat
    assert found <= {(i, 60 + i) for i in range(20)}
    assert len(found) >= 19


def test_one_shape_in_two_colours_is_not_alike() -> None:
    image = picture(3, 64, 64)
    other = image[:, :, [2, 0, 1]].copy()
    near, _ = near_pairs(ImageStore.of([image, other]))
    assert not near


def test_images_of_one_shade_are_counted_not_paired() -> None:
    shades = [np.full((30, 30, 3), value, np.uint8) for value in (0, 90, 255)]
    near, flat = near_pairs(ImageStore.of([*shades, picture(0, 30, 30)]))
    assert (near, flat) == ([], 3)


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    fill(tmp_path, 40, height=48, width=48)
    save(tmp_path / "copy.png", picture(0, 48, 48))
    save(tmp_path / "alike.jpg", picture(1, 48, 48), quality=90)
    save(tmp_path / "forgotten.png", picture(77, 48, 48))
    (tmp_path / "text.jpg").write_text("hello")
    rows = [f"{i:03d}.png,{'ab'[i % 2] if i != 5 else ''},p{i // 4},{'train' if i < 30 else 'test'}" for i in range(40)]
    rows += ["copy.png,b,q1,test", "alike.jpg,b,q2,test", "text.jpg,a,q3,test", "gone.png,a,p0,test"]
    (tmp_path / "table.csv").write_text("path,label,group,split\n" + "\n".join(rows) + "\n")
    return tmp_path / "table.csv"


def test_everything_wrong_is_found(messy: Path) -> None:
    found = audit(messy)
    assert found.count == 42
    assert found.missing == ["gone.png"]
    assert found.unreadable == [("text.jpg", "is text, not an image (it begins 'hello')")]
    assert found.extra == ["forgotten.png"]
    assert found.unlabelled == ["005.png"]
    assert found.equal == [["000.png", "copy.png"]]
    assert found.alike == [["001.png", "alike.jpg"]]
    assert found.labels == {"b": 21, "a": 20}
    assert found.splits == {"train": 30, "test": 12}
    leaks = {leak.what: leak for leak in found.leaks}
    assert set(leaks) == {"equal", "equal across groups", "labels disagree", "alike", "alike across groups", "group"}
    assert leaks["equal"].names == ["000.png", "copy.png"]
    assert leaks["alike"].names == ["001.png", "alike.jpg"]
    assert leaks["alike across groups"].names == ["001.png", "alike.jpg"]
    assert leaks["alike across groups"].where == ["p0", "q2"]
    assert found.doubted == []
    assert leaks["group"].names == ["p7"]
    assert not found.clean
    assert found.missing == ["gone.png"]


def test_alike_images_are_compared_by_their_groups_and_labels(tmp_path: Path) -> None:
    fill(tmp_path, 12, height=48, width=48)
    for place in range(3):
        save(tmp_path / f"alike{place}.jpg", picture(place, 48, 48), quality=90)
    rows = [f"{i:03d}.png,{'ab'[i % 2]},p{i}" for i in range(12)]
    rows += ["alike0.jpg,a,p0", "alike1.jpg,a,p1", "alike2.jpg,a,q2"]
    (tmp_path / "table.csv").write_text("path,label,group\n" + "\n".join(rows) + "\n")
    found = audit(tmp_path / "table.csv")
    assert [(leak.what, leak.where, leak.names) for leak in found.leaks] == [
        ("alike across groups", ["p2", "q2"], ["002.png", "alike2.jpg"])
    ]
    assert [(doubt.where, doubt.names) for doubt in found.doubted] == [(["a", "b"], ["001.png", "alike1.jpg"])]
    told = "images alike to the eye with different labels: look at them: 1\n    001.png, alike1.jpg (a and b)"
    assert told in render(found)
    rows[-1] = "alike2.jpg,a,p2"
    (tmp_path / "table.csv").write_text("path,label,group\n" + "\n".join(rows) + "\n")
    found = audit(tmp_path / "table.csv")
    assert found.clean
    assert len(found.doubted) == 1


@pytest.mark.parametrize(("column", "several"), [("group", "groups"), ("case", "cases"), ("study", "studies")])
def test_what_two_splits_divide_is_told(tmp_path: Path, column: str, several: str) -> None:
    fill(tmp_path, 12, height=48, width=48)
    rows = [f"{i:03d}.png,{'ab'[i % 2]},c{i // 3},{'train' if i < 7 else 'test'}" for i in range(11)]
    rows.append("011.png,,c3,unlabeled")  # in no part that is learnt from by its label or tested
    (tmp_path / "table.csv").write_text(f"path,label,{column},split\n" + "\n".join(rows) + "\n")
    text = render(audit(tmp_path / "table.csv"))
    assert f"LEAK: {several} in two splits: 1\n    c2 (test and train)" in text
    assert "nothing wrong was found" not in text


def test_a_case_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    fill(tmp_path, 12, height=48, width=48)
    save(tmp_path / "copy.png", picture(0, 48, 48))
    rows = [f"{i:03d}.png,{'ab'[i % 2]},c{i // 3},{'train' if i < 7 else 'test'}" for i in range(12)]
    (tmp_path / "table.csv").write_text("path,label,case,split\n" + "\n".join([*rows, "copy.png,a,c9,train"]) + "\n")
    found = audit(tmp_path / "table.csv")
    assert {leak.what: (leak.where, leak.names) for leak in found.leaks} == {
        "case": (["test", "train"], ["c2"]), "equal across groups": (["c0", "c9"], ["000.png", "copy.png"]),
    }  # fmt: skip
    assert "LEAK: cases in two splits: 1\n    c2 (test and train)" in render(found)


def test_the_text_says_it(messy: Path) -> None:
    text = render(audit(messy))
    for words in (
        "42 images (manifest), colour, 8-bit",
        "all 48 x 48 pixels",
        "labels: 2 classes over 41 images: b 21, a 20",
        "unreadable: 1\n    text.jpg is text, not an image",
        "rows for files that are not there: 1\n    gone.png",
        "image files that the table does not name: 1\n    forgotten.png",
        "images without a label: 1\n    005.png",
        "equal images: 1 (1 copy)\n    000.png = copy.png",
        "groups of images alike to the eye: 1\n    001.png ~ alike.jpg",
        "LEAK: equal images in two splits: 1\n    000.png, copy.png (test and train)",
        "LEAK: images alike to the eye in two splits: 1",
        "images alike to the eye in two groups, cases or studies: is the grouping whole?: 1\n    001.png, alike.jpg (p0 and q2)",
        "LEAK: groups in two splits: 1\n    p7 (test and train)",
        "equal images with different labels: 1\n    000.png, copy.png (a and b)",
    ):
        assert words in text, words


def test_a_clean_folder_and_one_class(tmp_path: Path) -> None:
    fill(tmp_path, 12, height=48, width=48)
    clean = audit(tmp_path)
    assert clean.clean
    assert render(clean).endswith("nothing wrong was found")
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"{i:03d},cat\n" for i in range(12)) + "gone,cat\n")
    one = audit(tmp_path, labels=tmp_path / "labels.csv")
    assert one.missing == ["gone"]
    assert "one class only ('cat', 12 images); a task needs at least two" in render(one)


def test_sizes_that_differ_are_told_with_their_median(tmp_path: Path) -> None:
    fill(tmp_path, 3, height=64, width=64)
    fill(tmp_path, 3, start=3, height=128, width=128)
    text = render(audit(tmp_path))
    assert "  size: from 64 x 64 to 128 x 128 pixels (width x height), median 96 x 96\n" in text
    assert "usually" not in text  # no image has that size


def test_folders_are_no_labels_beside_a_table_that_has_none(tmp_path: Path) -> None:
    for at, name in enumerate("ab"):
        fill(tmp_path / "d" / name, 4, start=4 * at)
    save(tmp_path / "d" / "b" / "copy.png", picture(0))
    files = sorted(path.relative_to(tmp_path / "d").as_posix() for path in (tmp_path / "d").rglob("*.png"))
    table = tmp_path / "t.csv"
    table.write_text("path,diagnosis\n" + "".join(f"{file},ill\n" for file in files))
    found = audit(tmp_path / "d", labels=table)
    assert found.labels is None
    assert {leak.what for leak in found.leaks} == set()
    text = render(found)
    assert f"no classes in {table}: no column 'label' among path, diagnosis; is it 'diagnosis'?" in text
    assert "labels: none" in text
    assert "understood as classes" not in text
    assert "9 images (folder)" in text
    named = audit(tmp_path / "d", labels=table, columns={"label": "diagnosis"})
    assert named.labels == {"ill": 9}
    assert "understood as classes" not in render(named)
    assert "9 images (folder)" in render(named)
    assert "2 folders are understood as classes" in render(audit(tmp_path / "d"))
    own = tmp_path / "own.csv"
    own.write_text("path,label\n" + "".join(f"d/{file},{file[0]}\n" for file in files))
    beside = tmp_path / "beside.csv"
    beside.write_text("path,ward\n" + "".join(f"d/{file},1\n" for file in files))
    assert audit(own, labels=beside).labels == {"b": 5, "a": 4}  # a manifest's own are no names of folders


def test_findings_are_counted_in_place_of_classes(tmp_path: Path) -> None:
    for at, name in enumerate("ab"):
        fill(tmp_path / "d" / name, 3, start=3 * at)
    files = sorted(path.relative_to(tmp_path / "d").as_posix() for path in (tmp_path / "d").rglob("*.png"))
    said = ["1,0", "yes,-1", "0.0,u", ",no", ",1", "true,false"]
    table = tmp_path / "t.csv"
    table.write_text("path,mass,rib\n" + "".join(f"{file},{own}\n" for file, own in zip(files, said, strict=True)))
    found = audit(tmp_path / "d", labels=table, findings=["mass", "rib"])
    assert found.findings == {
        "mass": {"there": 3, "not there": 1, "uncertain": 0, "not known": 2},
        "rib": {"there": 1, "not there": 3, "uncertain": 2, "not known": 0},
    }
    text = render(found)
    assert "  finding mass: 3 there, 1 not there, 0 uncertain, 2 not known\n" in text
    assert "labels:" not in text
    assert "classes" not in text
    with pytest.raises(InputError, match=r"unknown column of transfer\.findings 'ribs'; did you mean 'rib'"):
        audit(tmp_path / "d", labels=table, findings=["ribs"])
    table.write_text(table.read_text().replace("yes", "maybe"))
    assert f"no findings: mass of '{files[1]}' is 'maybe': expected 1 or 0" in render(
        audit(tmp_path / "d", labels=table, findings=["mass"])
    )


def test_findings_of_a_manifest_have_a_meaning(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    table = tmp_path / "t.csv"
    table.write_text("path,mass,,rib\n" + "".join(f"{at:03d}.png,1,{at},0\n" for at in range(3)))
    assert "columns without a meaning here: mass, (no name), rib" in render(audit(table))
    assert "columns without a meaning here: (no name)\n" in render(audit(table, findings=["mass", "rib"]))
    table.write_text(table.read_text().replace("mass,,rib", "mass,order,rib"))
    assert "without a meaning" not in render(audit(table, findings=["mass", "rib"]))


def test_a_link_to_nothing_is_no_row_of_a_table(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    (tmp_path / "dead.png").symlink_to(tmp_path / "away.png")
    found = audit(tmp_path)
    assert found.missing == []
    assert "unreadable: 1\n    dead.png is a link to a file that does not exist" in render(found)


def test_uneven_labels(tmp_path: Path) -> None:
    fill(tmp_path / "often", 20)
    fill(tmp_path / "seldom", 2, start=20)
    text = render(audit(open_images(tmp_path)))
    assert "labels are uneven: the commonest class holds 91%" in text
    assert "classes of fewer than 10 images: 1\n    seldom" in text


def test_mostly_unreadable_is_a_report_not_an_error(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    for i in range(8):
        (tmp_path / f"bad{i}.jpg").write_text("x")
    assert len(audit(tmp_path).unreadable) == 8
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images in this folder"):
        audit(tmp_path / "empty")
