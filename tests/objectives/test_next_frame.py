"""Next frame: what is seen and hidden, the copy it begins as, and a motion it can learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from foretell.counters import Rng, Rows
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError
from foretell.objectives.frame_measures import FrameErrors, measured
from foretell.objectives.next_frame import NextFrame, shifted
from foretell.recipe import Recipe
from foretell.train import fit
from foretell.train.config import TrainingConfig
from foretell.verbs.common import divide

SIDE = 24
STILL = {"side": SIDE, "scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0}


def pans(count: int, length: int = 6, step: int = 2) -> ImageStore:
    """A camera that pans over each of the first emoji of 32 px, to the right, ``step`` px a frame."""
    store = open_images("@emoji")
    images, groups, orders = [], [], []
    for row in range(count):
        whole = store.image(row)
        top = (whole.shape[0] - SIDE) // 2
        for frame in range(length):
            left = min(frame * step, whole.shape[1] - SIDE)
            images.append(np.ascontiguousarray(whole[top : top + SIDE, left : left + SIDE]))
            groups.append(f"pan {row}")
            orders.append(str(frame))
    return ImageStore.of(images, Table({"group": groups, "order": orders}))


def made(store: ImageStore, **settings: object) -> NextFrame:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, SIDE)
    return NextFrame(NextFrame.Config(**{"views": STILL, "width": 64, **settings}), encoder, store)


@pytest.fixture(scope="module")
def store() -> ImageStore:
    return pans(40, length=5)


def test_the_frame_after_those_seen_is_hidden(store: ImageStore) -> None:
    task = made(store, frames=3)
    rows = Rows.of_rank(4)
    batch = task.draw("frames", 0, 0, rows)
    hidden = task.hide(batch, Rng(0, 0, rows))
    order = [int(store.table.column("order")[int(row)]) for row in batch.images.index]
    assert all(order[at : at + 4] in ([0, 1, 2, 3], [1, 2, 3, 4]) for at in range(0, 16, 4))
    assert hidden.visible["frames"].shape == (4, 3, 3, SIDE, SIDE)
    plain = task.plain(batch)
    torch.testing.assert_close(hidden.hidden["frame"], plain.hidden["frame"], rtol=0, atol=1e-5)
    torch.testing.assert_close(hidden.visible["frames"], plain.visible["frames"], rtol=0, atol=1e-5)


def test_past_is_the_same_window_read_backwards(store: ImageStore) -> None:
    future, past = made(store, frames=2), made(store, frames=2, direction="past")
    batch = future.draw("frames", 0, 0, Rows.of_rank(4))
    forwards, backwards = future.plain(batch), past.plain(batch)
    assert torch.equal(backwards.hidden["frame"], forwards.visible["frames"][:, 0])
    assert torch.equal(backwards.visible["frames"][:, -1], forwards.visible["frames"][:, 1])  # the nearest is the last
    assert torch.equal(backwards.visible["frames"][:, 0], forwards.hidden["frame"])


def test_one_view_is_drawn_for_a_window() -> None:
    """Eight copies of one image as a sequence stay copies under a random view."""
    image = open_images("@emoji").image(3)
    still = ImageStore.of([image] * 8, Table({"group": ["a"] * 8, "order": list("01234567")}))
    views = {"side": SIDE, "scale": (0.2, 0.6), "flip": 0.5, "jitter": 1.0}
    task = made(still, frames=3, views=views)
    rows = Rows.of_rank(4)
    hidden = task.hide(task.draw("frames", 0, 0, rows), Rng(0, 0, rows))
    frames = torch.cat([hidden.visible["frames"], hidden.hidden["frame"][:, None]], 1)
    torch.testing.assert_close(frames, frames[:, :1].expand_as(frames), rtol=0, atol=1e-6)
    assert not torch.allclose(frames[0], frames[1], atol=1e-2)


def test_the_encoder_sees_one_frame_at_a_time(store: ImageStore) -> None:
    task = made(store, frames=3).eval()
    seen: list[tuple[int, ...]] = []
    both = task.encoder.both
    task.encoder.both = lambda x: seen.append(tuple(x.shape)) or both(x)  # type: ignore[method-assign]
    task.foretell(torch.zeros(2, 3, 3, SIDE, SIDE))
    assert seen == [(6, 3, SIDE, SIDE)]


def test_shifting_looks_up_pixels_so_far_away() -> None:
    image = torch.rand(1, 2, 9, 11)
    shift = torch.zeros(1, 2, 9, 11)
    shift[:, 0], shift[:, 1] = 2, -1
    moved = shifted(image, shift)
    torch.testing.assert_close(moved[:, :, 1:, :-2], image[:, :, :-1, 2:], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[:, :, 1:, -1], image[:, :, :-1, -1], rtol=0, atol=1e-5)  # the border goes on
    torch.testing.assert_close(shifted(image, torch.zeros_like(shift)), image, rtol=0, atol=1e-6)


@pytest.mark.parametrize("carry", ["warp", "change"])
def test_it_begins_close_to_copying(store: ImageStore, carry: str) -> None:
    task = made(store, frames=2, carry=carry)
    with torch.no_grad():
        parts = task.loss(task.plain(task.draw("frames", 0, 0, Rows.of_rank(8))), "all")
    assert float(parts["error"]) == pytest.approx(float(parts["copy"]), rel=0.02)
    assert float(parts["total"]) == pytest.approx(float(parts["error"]), rel=1e-5)


def test_the_loss_with_gradients_is_the_slow_one(store: ImageStore) -> None:
    task = made(store, frames=2, error="absolute", gradients=0.5).eval()
    given = task.plain(task.draw("frames", 0, 0, Rows.of_rank(3)))
    found = task.foretell(given.visible["frames"]).detach().double().numpy()
    true = given.hidden["frame"].double().numpy()
    off = found - true
    expected = np.abs(off).mean()
    for axis in (2, 3):
        expected += 0.25 * np.abs(np.diff(off, axis=axis)).mean()
    assert float(task.loss(given, "all")["total"]) == pytest.approx(expected, rel=1e-4)


def test_a_pan_is_learnt_better_than_copying_on_sequences_not_seen() -> None:
    store = pans(120, length=5)
    task = made(store.subset(np.arange(100 * 5)), frames=2)
    config = {"batch": 32, "steps": 60, "rate": 3e-3, "optimizer": "adamw", "precision": "float32"}
    fit(task, TrainingConfig(**config, layout="contiguous"))
    found = task.skill(store, np.arange(100 * 5, 120 * 5))
    assert found["sequences"] == 20
    assert found["windows"] == 60
    assert found["skill"]["low"] > 0.1
    assert found["mse"] < found["copy_mse"]
    exhibit = task.findings(store, np.arange(100 * 5, 120 * 5), 0)[0]
    assert [caption for caption, _ in exhibit.panels] == ["frame -2", "frame -1", "foretold", "true", "nearest, copied"]
    assert [row[0] for row in exhibit.table[1:]] == ["Foretold", "Nearest frame, copied", "Going on in a straight line"]
    assert "of that of copying (95% interval " in exhibit.caption
    assert exhibit.headline.startswith("It foretells the hidden frame. Its squared error is ")
    assert exhibit.table[0][3] == "Squared error lower by (95% interval)", "beside a root of it"
    assert "no better" not in exhibit.caption


def test_the_error_of_copying_is_measured_and_not_learnt(store: ImageStore) -> None:
    task = made(store, frames=2)
    windows, errors = measured(task, store)  # type: ignore[misc]
    rows = windows.rows[0]
    last, hidden = (store.image(int(row)).astype(float) / 255 for row in rows[1:])
    assert errors.copied[0] == pytest.approx(np.square(last - hidden).mean(), abs=1e-6)
    before = store.image(int(rows[0])).astype(float) / 255
    line = np.clip(2 * last - before, 0, 1)
    assert errors.line[0] == pytest.approx(np.square(line - hidden).mean(), abs=1e-6)


def test_few_sequences_say_nothing_of_others() -> None:
    """Windows of one sequence overlap and are alike: what is drawn again are stretches, and no guess is called better."""
    own = np.repeat([0.90, 0.95, 0.91, 0.94], 4)

    def errors(sequence: np.ndarray, foretold: np.ndarray = own, span: int = 4) -> FrameErrors:
        count = len(foretold)
        return FrameErrors(foretold, np.ones(count), np.full(count, np.nan), sequence, "future", span)

    few = errors(np.repeat([0, 1], 8))
    assert few.sentence == (
        "Its squared error is 92.5% of that of copying (95% interval 90.5% to 94.7% over windows of 2 sequences; other "
        "sequences may differ), in 16 windows of 2 sequences: too few sequences to call it better."
    )
    assert few.table()[0][3] == "Squared error lower by (95% interval over windows)"
    windows = errors(np.repeat([0, 1], 8), span=1)
    assert few.skill(few.copied)[1] < windows.skill(few.copied)[1], "wider than windows by themselves would have it"
    assert "too few" not in errors(np.arange(16) // 3).sentence
    worse = errors(np.repeat([0, 1], 8), own + 0.07)
    assert worse.sentence.endswith("in 16 windows of 2 sequences: no better than copying.")
    alone = errors(np.zeros(5, np.int64), own[:5])
    assert alone.sentence.endswith("of copying, in 5 windows of 1 sequence: too few for an interval.")
    assert alone.table()[2][3] == "9.0%"


def test_frames_that_do_not_move_leave_nothing_to_gain() -> None:
    image = open_images("@emoji").image(3)
    still = ImageStore.of([image] * 6, Table({"group": ["a"] * 6, "order": list("012345")}))
    _, errors = measured(made(still, frames=1), still)  # type: ignore[misc]
    assert errors.copied.max() == 0
    assert "copying is exact" in errors.sentence
    assert len(errors.table()) == 3  # one frame gives no straight line


def test_too_short_and_no_sequences_are_input_errors(store: ImageStore) -> None:
    with pytest.raises(
        InputError, match=r"no sequence has 7 frames without a cut \(40 sequences, the longest of 5 frames\)"
    ):
        made(store, frames=6)
    with pytest.raises(InputError, match=r"no column group nor order.*numbered frames"):
        made(open_images("@emoji").subset(np.arange(9)).with_table(Table({"path": ["x"] * 9})))
    rows = np.concatenate([np.arange(20), [25]])  # five frames of four sequences, one of another
    told = made(store.subset(rows), frames=2).notes
    assert told[0] == "4 sequences, 12 windows of 3 frames"
    assert made(store.subset(np.arange(5)), frames=2).notes[0] == "1 sequence, 3 windows of 3 frames"
    assert "1 of 5 sequences have fewer than 3 frames in a row and are passed over: pan 5 (1)" in told[1]


def test_whole_sequences_are_held_out(store: ImageStore) -> None:
    data = Recipe.load(None, {"objective.name": "next_frame", "data.frames": 1}).data
    parts = divide(store, data)
    groups = np.array(store.table.column("group"))
    assert not set(groups[parts.train]) & set(groups[parts.test])
    assert len(set(groups[parts.test])) == 8
    few = store.subset(np.arange(15))
    ends = divide(few, data)
    assert ends.test.tolist() == [4, 9, 14]
    assert "the last 20% of each sequence" in ends.how


def test_pretraining_on_a_folder_of_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    import foretell

    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    made_of = pans(6, length=6)
    for row in range(len(made_of)):
        group, order = made_of.table.column("group")[row], made_of.table.column("order")[row]
        path = tmp_path / "clips" / str(group).replace(" ", "-") / f"{order}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(made_of.image(row)).save(path)
    done = foretell.pretrain(
        tmp_path / "clips", objective="next_frame", encoder="resnet_tiny", side=SIDE, budget="2 steps",
        out=tmp_path / "run", set=["objective.frames=2", "objective.width=32"],
    )  # fmt: skip
    recipe = Recipe.load(done.run / "recipe.toml")
    assert recipe.data.frames == 1
    assert recipe.training.batch == 4, "of the 24 windows that there are"
    assert (done.run / "exhibits" / "views.png").is_file()
    page = (done.run / "report.html").read_text()
    assert "Frames it has foretold" in page
    assert "Nearest frame, copied" in page
