"""The run folder: who may have it, and what a full disk leaves of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from full_disk import largest_file

from foretell.errors import ForetellError, InputError
from foretell.run import Run, write_aside, write_together, written_aside
from foretell.verbs.common import check_free

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full on this system")


def new(path: Path) -> Run:
    run = Run.create(path)
    (path / "recipe.toml").write_text("")
    return run


def test_a_line_for_which_there_is_no_room_leaves_no_half(tmp_path: Path) -> None:
    run = new(tmp_path / "run")
    run.log("step", step=1)
    whole = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with largest_file(len(whole) + 20), pytest.raises(ForetellError) as raised:
        run.log("step", step=2)
    text = str(raised.value)
    assert "metrics.jsonl: could not be written (File too large); checkpoints are kept" in text
    assert "--resume" in text
    assert "\n" not in text
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == whole
    run.log("step", step=3)  # there is room again
    with largest_file(0):
        run.close()
    assert [line["step"] for line in run.metrics()] == [1, 3]


@needs_full
def test_a_run_on_a_full_disk_closes(tmp_path: Path) -> None:
    run = new(tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").symlink_to(FULL)
    for _ in range(2):
        with pytest.raises(ForetellError, match=r"metrics.jsonl: could not be written \(No space left on device\)"):
            run.log("step", step=1)
    run.close()
    Run.resume(tmp_path / "run").close()


def test_a_disk_that_fails_only_on_closing_is_told_when_all_is_closed(tmp_path: Path) -> None:
    run = new(tmp_path / "run")
    run.log("step", step=1)

    class Late:
        def close(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run._metrics.close()
    run._metrics = Late()
    with pytest.raises(ForetellError) as raised:
        run.close()
    assert str(raised.value).startswith(f"{tmp_path / 'run' / 'metrics.jsonl'}: could not be written (No space left")
    assert "\n" not in str(raised.value)
    run.close()
    Run.resume(tmp_path / "run").close()  # the lock is free


def test_a_run_that_died_before_it_had_a_recipe_keeps_its_folder_from_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Run.create(folder).close()
    (folder / ".recipe.toml.4711.tmp").write_text("[data]")  # killed in the middle of writing it
    check_free(folder)
    run = Run.create(folder)
    assert run.held()
    run.close()
    (folder / "results" / "mine.json").write_text("{}")
    for take in (check_free, Run.create):
        with pytest.raises(InputError, match="not empty; choose another --out"):
            take(folder)


def test_whether_a_run_is_held_is_known_without_taking_it(tmp_path: Path) -> None:
    run = new(tmp_path / "run")
    assert Run.read(tmp_path / "run").held()
    run.close()
    assert not Run.read(tmp_path / "run").held()
    (tmp_path / "run" / ".lock").unlink()
    assert not Run.read(tmp_path / "run").held()


@pytest.mark.parametrize("another", [False, True])
def test_a_run_whose_folder_was_removed_is_not_written_to(tmp_path: Path, another: bool) -> None:
    run = new(tmp_path / "run")
    run.log("step", step=1)
    shutil.rmtree(tmp_path / "run")
    other = new(tmp_path / "run") if another else None
    writes: list[Callable[[], None]] = [
        run.check_there,
        lambda: run.status("running", step=2),
        lambda: run.write_json("results/map.json", {}),
        lambda: run.log("step", step=2),
        lambda: run.cut_metrics(1),
    ]
    for write in writes:
        with pytest.raises(ForetellError, match=rf"^{tmp_path / 'run'}: was removed or moved while this process wrote"):
            write()
    assert (tmp_path / "run").exists() == another
    if other is not None:
        assert not (tmp_path / "run" / "metrics.jsonl").exists()
        other.status("running", step=0)
    run.close()


def test_a_run_is_not_removed_while_a_process_holds_it(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    with pytest.raises(InputError, match=rf"in use by process {os.getpid()} on .*; wait for it"):
        Run.remove(tmp_path / "run")
    assert (tmp_path / "run").exists()
    run.close()
    Run.remove(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_held_even_where_its_holder_cannot_be_noted(tmp_path: Path) -> None:
    new(tmp_path / "run").close()
    (tmp_path / "run" / ".lock").write_bytes(b"")
    with largest_file(0):
        run = Run.resume(tmp_path / "run")
    with pytest.raises(InputError, match=r"in use by another process; wait for it$"):
        Run.resume(tmp_path / "run")
    run.close()


def test_what_is_written_aside_keeps_the_earlier_version(tmp_path: Path) -> None:
    target = tmp_path / "facts.json"
    write_aside(target, "{}")
    with largest_file(100), pytest.raises(ForetellError, match=r"facts.json: could not be written \(File too large\)"):
        write_aside(target, json.dumps(list(range(1000))))
    assert target.read_text() == "{}"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(ForetellError, match=r"below.json: could not be written \(Not a directory\)"):
        write_aside(target / "below.json", "{}")


def test_a_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    run = new(tmp_path / "run")
    assert run.read_json("facts.json") is None
    for content, reason in (
        (b'{"data": ', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 200_000, r"not valid JSON \(nested too deeply\)"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[1]", "a JSON object was expected"),
    ):
        (tmp_path / "run" / "facts.json").write_bytes(content)
        with pytest.raises(InputError, match=rf"facts.json: {reason}.*; delete it and run the verb"):
            run.read_json("facts.json")
    (tmp_path / "run" / "results" / "map.json").mkdir()
    with pytest.raises(InputError, match=r"map.json: cannot be read \(Is a directory\)"):
        run.read_json("results/map.json")


def test_a_damaged_heartbeat_says_nothing_of_the_state(tmp_path: Path) -> None:
    run = new(tmp_path / "run")
    assert run.state() is None
    run.status("stopped", step=1)
    assert run.state() == "stopped"
    for content in ('{"state": "fin', "[]", "{}"):
        (tmp_path / "run" / "status.json").write_text(content)
        assert run.state() is None


def test_lines_that_no_run_wrote_are_left_out_of_the_metrics(tmp_path: Path) -> None:
    run = new(tmp_path / "run")
    foreign = (b"\xff\xfe", b"hello", b'"x"', b"[1]", b'{"a": 1}', b'{"kind": "step", "step": "x"}', b'{"kind": []}')
    for step in (1, 2):
        run.log("step", step=step)
    with open(tmp_path / "run" / "metrics.jsonl", "ab") as file:
        file.write(b"\n".join([*foreign, b"[" * 200_000, b'{"kind": "ste']))
    assert [line["step"] for line in run.metrics("step")] == [1, 2]
    run.cut_metrics(1)
    run.log("step", step=2)
    assert [line["step"] for line in run.metrics()] == [1, 2]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    run = new(tmp_path / "run")
    (tmp_path / "run" / "results").rmdir()
    (tmp_path / "run" / "results").write_text("")
    with pytest.raises(ForetellError, match=r"results/map.json: could not be written \(File exists\)"):
        run.write_json("results/map.json", {})


def test_what_was_there_before_is_told_only_where_it_was(tmp_path: Path) -> None:
    with (
        largest_file(0),
        pytest.raises(ForetellError, match=r"new: could not be written \(.*\); make room on the disk"),
    ):
        write_aside(tmp_path / "new", "text")
    write_aside(tmp_path / "old", "text")
    with (
        largest_file(0),
        pytest.raises(ForetellError, match=r"old: could not be written .* the earlier version is kept"),
    ):
        write_aside(tmp_path / "old", "other")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "text"


def _half(path: Path) -> None:
    with written_aside(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_an_interruption_leaves_no_file_that_is_half_written(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _half(tmp_path / "one")
    assert not list(tmp_path.iterdir())


def test_files_that_belong_together_are_written_all_or_none(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    old, new = {"names": "old", "weights": b"old"}, {"names": "new", "weights": bytes(1000)}
    for before in ({}, old):
        if before:
            write_together(folder, before)
        with largest_file(100), pytest.raises(ForetellError, match=r"weights: could not be written \(File too large\)"):
            write_together(folder, new)
        assert folder.exists() == bool(before)
        assert [path.name for path in folder.glob("*")] == list(before)
    assert (folder / "names").read_text() == "old"


def test_a_kill_leaves_no_folder_with_parts_of_two_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_together(tmp_path, {"names": "old", "weights": b"old"})
    replace = os.replace

    def killed_after_the_first(source: Path, target: Path) -> None:
        if target.name == "weights":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        write_together(tmp_path, {"names": "new", "weights": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["names"]
