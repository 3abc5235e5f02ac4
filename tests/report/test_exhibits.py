"""Picture grids, neighbours and the map: what is where, and that only the arguments decide."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from foretell.errors import ForetellError
from foretell.report.exhibits import (
    GAP,
    OTHER,
    SAME,
    colours,
    fitted,
    neighbours_grid,
    picture_grid,
    write_map,
    write_neighbours,
)
from foretell.run import Run


class Digits:
    """A part of scikit-learn's digits as a store: 8x8, grey."""

    def __init__(self, count: int) -> None:
        found = load_digits()
        self.pixels = (found.images[:count] * (255 / 16)).astype(np.uint8)[..., None]
        self.codes = found.target[:count].astype(np.int64)
        self.usual_side = 8

    def __len__(self) -> int:
        return len(self.pixels)

    def image(self, i: int) -> np.ndarray:
        return self.pixels[i]

    def features(self) -> np.ndarray:
        return self.pixels.reshape(len(self), -1).astype(np.float32)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "recipe.toml").write_text("")
    return Run.read(tmp_path)


def test_any_number_of_channels_is_shown_and_said() -> None:
    four = torch.rand(2, 4, 3, 3)
    shown, note = colours(four)
    assert torch.equal(shown, four[:, :3])
    assert note == "shown: the first three of 4 channels as red, green and blue"
    two = torch.rand(2, 2, 3, 3)
    shown, note = colours(two)
    assert torch.allclose(shown[:, 0], two.mean(1))
    assert "mean of the 2 channels" in note
    assert colours(torch.rand(2, 1, 3, 3))[0].shape == (2, 3, 3, 3)
    assert colours(torch.rand(2, 3, 3, 3))[1] == ""


def test_a_grid_has_a_column_a_panel_and_a_row_a_sample(tmp_path: Path) -> None:
    left, right = torch.zeros(2, 3, 10, 10), torch.ones(2, 3, 10, 10)
    left[1, 0] = 1.0
    note = picture_grid([("", left), ("", right)], tmp_path / "deep" / "grid.png", scale=2, blocks=1)
    sheet = Image.open(tmp_path / "deep" / "grid.png")
    assert note == ""
    assert sheet.size == (2 * 20 + GAP, 2 * 20 + GAP)
    assert sheet.getpixel((5, 5)) == (0, 0, 0, 255)
    assert sheet.getpixel((20 + GAP + 5, 5)) == (255, 255, 255, 255)
    assert sheet.getpixel((5, 20 + GAP + 5)) == (255, 0, 0, 255)
    assert sheet.getpixel((21, 5))[3] == 0, "gutters are transparent"


def test_many_samples_are_wrapped_to_a_wide_sheet(tmp_path: Path) -> None:
    panels = [(name, torch.rand(12, 1, 16, 16)) for name in ("image", "view 1", "view 2")]
    picture_grid(panels, tmp_path / "grid.png", scale=2)
    sheet = Image.open(tmp_path / "grid.png")
    assert 1.2 < sheet.width / sheet.height < 3.5
    assert sheet.info["Panels"] == "image, view 1 and view 2"


def test_a_grid_of_five_channels_says_so_in_the_picture(tmp_path: Path) -> None:
    note = picture_grid([("a", torch.rand(1, 5, 40, 400))], tmp_path / "grid.png", scale=1)
    sheet = Image.open(tmp_path / "grid.png")
    assert "first three of 5" in note
    assert sheet.info["Description"] == note
    below = np.asarray(sheet)[-14:, :, 3]
    assert (below > 0).any()
    picture_grid([("a", torch.rand(1, 5, 40, 100))], tmp_path / "narrow.png", scale=1)
    wrapped = np.asarray(Image.open(tmp_path / "narrow.png"))[:, :, 3]
    assert len(wrapped) > sheet.height, "a note that does not fit goes on in the next line"
    assert (wrapped[-18:] > 0).any()


def test_values_that_are_not_finite_or_out_of_range_are_drawn(tmp_path: Path) -> None:
    picture = torch.tensor([[float("nan"), 2.0], [-1.0, 0.5]])[None, None]
    picture_grid([("", picture)], tmp_path / "grid.png", scale=1)
    assert np.asarray(Image.open(tmp_path / "grid.png"))[:, :, 0].tolist() == [[0, 255], [0, 128]]


def test_nothing_to_show_and_nowhere_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pictures"):
        picture_grid([("a", torch.rand(0, 3, 4, 4))], tmp_path / "grid.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(ForetellError, match="could not be written"):
        picture_grid([("a", torch.rand(1, 3, 4, 4))], tmp_path / "file" / "grid.png")


def test_frames_tell_the_same_class_by_colour_and_by_shape(tmp_path: Path) -> None:
    same = [[True, False]]
    neighbours_grid(torch.zeros(1, 1, 48, 48), torch.zeros(1, 2, 1, 48, 48), same, tmp_path / "n.png", scale=1)
    pixels = np.asarray(Image.open(tmp_path / "n.png"))
    full = (pixels == np.array(SAME)).all(-1)
    corners = (pixels == np.array(OTHER)).all(-1)
    frame_rows = np.flatnonzero(full.any(1))
    top = full[frame_rows[0]]
    assert top.sum() == 48 + 2 * 2, "a whole side"
    left_of_other = np.flatnonzero(corners.any(0))[0]
    side = corners[:, left_of_other]
    assert 0 < side.sum() < 0.6 * 52, "corners only"
    neighbours_grid(torch.zeros(1, 1, 48, 48), torch.zeros(1, 2, 1, 48, 48), None, tmp_path / "m.png", scale=1)
    neighbours_grid(torch.zeros(1, 1, 48, 48), torch.zeros(1, 2, 1, 48, 48), [[None] * 2], tmp_path / "o.png", scale=1)
    for name in ("m.png", "o.png"):
        bare = np.asarray(Image.open(tmp_path / name))
        assert not any((bare == np.array(colour)).all(-1).any() for colour in (SAME, OTHER))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_image_is_fitted_whole(dtype: type) -> None:
    peak = np.iinfo(dtype).max
    tall = np.full((40, 10, 3), peak, dtype)
    shown = fitted(tall, 20)
    assert shown.shape == (3, 20, 20)
    assert torch.allclose(shown[:, :, 8:12], torch.ones(3, 20, 4), atol=1e-3)
    assert torch.equal(shown[:, :, :7], torch.full((3, 20, 7), 0.5))
    assert fitted(np.zeros((1, 1), dtype), 4).shape == (1, 4, 4)


def test_neighbours_are_the_nearest_by_cosine_and_never_oneself(run: Run) -> None:
    store = Digits(200)
    features = store.features()
    written = write_neighbours(run, store, features, store.codes, queries=10, k=5)
    assert written == json.loads((run.path / "results" / "neighbours.json").read_text())
    assert sorted(int(store.codes[row["query"]]) for row in written["rows"]) == list(range(10)), "one of each class"
    unit = features.astype(np.float64) / np.linalg.norm(features, axis=1, keepdims=True)
    for row in written["rows"]:
        query = row["query"]
        likeness = unit @ unit[query]
        likeness[query] = -1
        assert query not in row["neighbours"]
        assert row["similarity"] == pytest.approx(sorted(likeness, reverse=True)[:5], abs=1e-3)
        assert row["same"] == [bool(store.codes[j] == store.codes[query]) for j in row["neighbours"]]
    assert written["share"] > 0.8
    assert Image.open(run.path / "exhibits" / "neighbours.png").width > 6 * 72


def test_no_neighbour_is_of_the_group_of_its_query(run: Run) -> None:
    store = Digits(40)
    group = np.arange(40) % 4
    written = write_neighbours(run, store, store.features(), store.codes, apart=group, queries=8, k=35)
    assert written["apart"] is True
    for row in written["rows"]:
        assert sorted(row["neighbours"]) == [j for j in range(40) if group[j] != group[row["query"]]]
    assert write_neighbours(run, store, store.features(), store.codes)["apart"] is False
    with pytest.raises(ValueError, match="that are apart"):
        write_neighbours(run, store, store.features(), store.codes, apart=np.zeros(40, dtype=np.int64))


def test_neighbours_without_labels_and_with_missing_ones(run: Run) -> None:
    store = Digits(60)
    bare = write_neighbours(run, store, torch.from_numpy(store.features()), None, queries=3, k=200)
    assert bare["share"] is None
    assert all(row["same"] is None and len(row["neighbours"]) == 59 for row in bare["rows"])
    codes = np.where(np.arange(60) < 50, -1, store.codes)
    some = write_neighbours(run, store, store.features(), codes, queries=4)
    assert all(row["query"] >= 50 for row in some["rows"]), "only labelled images ask"
    seen = [(hit, codes[i]) for row in some["rows"] for hit, i in zip(row["same"], row["neighbours"], strict=True)]
    assert all((hit is None) == (code < 0) for hit, code in seen)
    hits = [hit for hit, _ in seen if hit is not None]
    assert 0 < len(hits) < len(seen)
    assert some["share"] == sum(hits) / len(hits)
    with pytest.raises(ValueError, match="59 rows of features for 60 images"):
        write_neighbours(run, store, store.features()[:59], None)


def test_a_map_is_deterministic_balanced_and_keeps_neighbours(run: Run) -> None:
    store = Digits(400)
    names = [str(digit) for digit in range(10)]
    first = write_map(run, store.features(), store.codes, names, most=150)
    again = write_map(run, store.features(), store.codes, names, most=150)
    assert first == again == json.loads((run.path / "results" / "map.json").read_text())
    assert len(first["x"]) == len(first["y"]) == len(first["label"]) == 150
    assert {first["label"].count(code) for code in range(10)} == {15}
    assert first["label"] == store.codes[first["index"]].tolist()
    assert first["trustworthiness"] > 0.9
    assert "t-SNE" in first["method"]
    assert first["count"] == 400


def test_a_map_of_few_rows_few_dimensions_or_no_labels(run: Run) -> None:
    rng = np.random.default_rng(0)
    assert write_map(run, rng.standard_normal((5, 8)))["method"] == "PCA"
    flat = write_map(run, np.stack([np.arange(12.0), np.ones(12)], 1), None)
    assert flat["classes"] == []
    assert flat["label"] == [-1] * 12
    alike = write_map(run, np.ones((20, 6), np.float32), np.zeros(20, np.int64), ["one"])
    assert np.isfinite(alike["x"]).all(), "a collapsed encoder still has a map"
    with pytest.raises(ValueError, match="3 samples"):
        write_map(run, np.ones((2, 6)))
    with pytest.raises(ValueError, match="4 labels for 5 rows"):
        write_map(run, np.ones((5, 6)), np.zeros(4, np.int64), ["one"])
