"""Images of other data that a run was pretrained on: they are known by their content, and told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from cli_words import Said, refused

from foretell.recipe import DataConfig
from foretell.verbs import common

Call = Callable[..., Said]


def test_images_that_pretraining_learnt_from_are_counted_among_those_tested(run: Path, pictures: Path) -> None:
    read, data = common.read_run(run), DataConfig(source=str(pictures))
    store = common.open_data(common.data_for(read, None))
    learnt = json.loads((run / "split.json").read_text())["train"]
    all_seen = common.divide_again(read, store.subset(learnt[:100]), data)
    assert all_seen.how.endswith("; pretraining saw these images too, without labels")
    some = common.divide_again(read, store.subset(range(190)), data)
    known = {store.hashes[row].tobytes() for row in learnt}
    seen = sum(store.hashes[row].tobytes() in known for row in some.test)
    assert 0 < seen < len(some.test)
    assert some.how.endswith(f"; pretraining saw {seen} of the {len(some.test)} images too, without labels")


def test_what_was_learnt_from_may_be_unknown_but_not_damaged(
    foretell: Call, run: Path, pictures: Path, tmp_path: Path
) -> None:
    mine, more = shutil.copytree(run, tmp_path / "run"), shutil.copytree(pictures, tmp_path / "more")
    first = next(more.glob("*/*.png"))
    (first.parent / "copy.png").write_bytes(first.read_bytes())
    (mine / "learnt.npy").write_bytes(b"cut")
    refused(foretell("evaluate", mine, more), f"{mine}/learnt.npy: damaged", "put back a copy")
    (mine / "learnt.npy").unlink()  # as of an earlier version
    read = common.read_run(mine)
    data = common.data_for(read, more)
    assert "pretraining saw" not in common.divide_again(read, common.open_data(data), data).how
