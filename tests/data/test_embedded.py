"""The embedded sets: what their docstrings and notices promise."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from foretell.data import embedded
from foretell.errors import ForetellError, InputError

CLASSES = ("animals", "emoji")


@pytest.fixture(scope="module", params=CLASSES)
def loaded(request):
    return request.param, *embedded.load(request.param)


def test_shapes_and_counts():
    images, table = embedded.load("animals")
    assert images.shape == (9716, 28, 28, 1)
    assert images.dtype == np.uint8
    assert set(Counter(table.column("label")).values()) == {812, 937, 985, 992, 996, 997, 1000}
    images, table = embedded.load("emoji")
    assert images.shape == (3762, 64, 64, 3)
    assert images.dtype == np.uint8
    assert len(set(table.column("label"))) == 9
    assert len(set(table.column("subcategory"))) == 98
    assert len(set(table.column("group"))) == 1892


def test_every_image_once_with_a_name_of_its_own(loaded):
    _, images, table = loaded
    assert len({image.tobytes() for image in images}) == len(images) == len(table)
    assert len(set(table.column("path"))) == len(table)
    assert None not in table.column("label")


def test_rows_belong_to_their_images():
    images, table = embedded.load("emoji")
    row = table.column("path").index("1f34e.png")
    assert (table.column("group")[row], table.column("label")[row]) == ("apple", "Food & Drink")
    assert images[row, 0, 0].tolist() == [255, 255, 255]
    red, green, blue = images[row, 40, 32].tolist()
    assert red > 180
    assert max(green, blue) < 100
    hands = images[[i for i, group in enumerate(table.column("group")) if group == "+1"]]
    assert len(hands) == 6
    # the same outline in six colours, the plain form first and yellow
    drawn = (hands < 250).any(axis=3)
    assert (drawn == drawn[0]).mean() > 0.98
    assert hands[0, 40, 32, 0] > hands[0, 40, 32, 2] + 100

    images, table = embedded.load("animals")
    grey = ((images > 60) & (images < 200)).mean(axis=(1, 2, 3))
    label = np.array(table.column("label"))
    means = {name: grey[label == name].mean() for name in set(label)}
    assert max(means, key=means.get) == "zebra"  # the one animal that is not a silhouette


def test_a_fifth_of_every_class_is_for_testing_and_no_group_is_on_both_sides(loaded):
    _, _, table = loaded
    split = table.column("split")
    assert set(split) == {"train", "test"}
    of_class = Counter(table.column("label"))
    testing = Counter(label for label, part in zip(table.column("label"), split, strict=True) if part == "test")
    for label, count in of_class.items():
        # A fifth, less what moved to training for a near duplicate there.
        assert count * 0.13 < testing[label] < count * 0.21
    if "group" in table:
        pairs = set(zip(table.column("group"), split, strict=True))
        assert len(pairs) == len(set(table.column("group")))


def test_the_split_is_the_one_its_rule_gives(loaded):
    from benchmarks.datasets.make_embedded import with_split, without_leaks

    _, images, table = loaded
    without = embedded.Table({name: values for name, values in table.columns.items() if name != "split"})
    assert without_leaks(images, with_split(without)).columns == table.columns


def test_no_near_duplicate_is_in_both_parts(loaded):
    from foretell.data.duplicates import near_pairs
    from foretell.data.store import open_images

    name, _, table = loaded
    split = table.column("split")
    pairs, _ = near_pairs(open_images(f"@{name}"))
    assert len(pairs) > 100
    assert not [(a, b) for a, b, _ in pairs if split[a] != split[b]]


def test_table_alone_and_description(loaded):
    name, images, table = loaded
    assert embedded.table(name).columns == table.columns
    said = embedded.describe(name)
    for part in (f"@{name}", f"{len(images)} images", embedded.SETS[name].licence, f"{name}.LICENSE.txt"):
        assert part in said


def test_the_film_is_one_sequence_in_order():
    images, table = embedded.load("heart")
    assert images.shape == (120, 64, 64, 1)
    assert table.column("order") == [str(i) for i in range(120)]
    assert set(table.column("group")) == {"heart"}
    values = images.astype(float)
    steps = np.square(np.diff(values, axis=0)).mean((1, 2, 3))
    far = np.square(values[30:] - values[:-30]).mean()
    assert np.count_nonzero(steps == 0) == 7  # the film itself repeats a frame now and then; every other one moves
    assert steps.max() < far  # and is nearer to the next than to one far away
    for part in ("@heart", "120 frames", "MIT", "heart.LICENSE.txt"):
        assert part in embedded.describe("heart")


def test_files_are_small_and_come_with_their_notices():
    files = sorted(path.name for path in embedded.FOLDER.iterdir())
    assert files == [f"{name}.{end}" for name in sorted(embedded.names()) for end in ("LICENSE.txt", "npz")]
    assert sum(path.stat().st_size for path in embedded.FOLDER.glob("*.npz")) < 12e6
    animals, emoji, heart = ((embedded.FOLDER / f"{name}.LICENSE.txt").read_text() for name in embedded.names())
    assert "Permission is hereby granted" in heart
    assert "Changed here" in heart
    assert "Copyright (c) 2025 SinaSR-6" in animals
    assert "Permission is hereby granted" in animals
    assert "Apache License" in emoji
    assert "Changed here" in emoji  # section 4b of the licence
    assert "Copyright (c) 2013 Cal Henderson" in emoji


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"'animal'; did you mean 'animals'\?"):
        embedded.load("animal")


@pytest.mark.parametrize("damage", ["missing", "cut", "other", "strip"])
def test_a_damaged_installation_says_so(monkeypatch, tmp_path, damage):
    content = (embedded.FOLDER / "animals.npz").read_bytes()
    if damage == "cut":
        (tmp_path / "animals.npz").write_bytes(content[: len(content) // 2])
    elif damage == "other":
        np.savez(tmp_path / "animals.npz", pictures=np.zeros(3))
    elif damage == "strip":
        at = content.index(b"WEBPVP8L")
        (tmp_path / "animals.npz").write_bytes(content[:at] + b"x" * 64 + content[at + 64 :])
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    with pytest.raises(ForetellError, match=r"animals\.npz: .*install foretell again"):
        embedded.load("animals")
