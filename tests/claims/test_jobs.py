"""Seeds worked out side by side: what comes out is what one process finds, and what stops it is told in a line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foretell import __version__, claims, side_by_side
from foretell.claims import jobs
from foretell.claims.lab import Busy, Lab
from foretell.claims.reproduce import options_of, reproduce
from foretell.errors import ForetellError, InputError
from foretell.side_by_side import threads_for

QUICK = "context-encoder-channelwise"


def test_jobs_find_what_one_process_finds(tmp_path: Path) -> None:
    said: list[str] = []
    made = reproduce([QUICK], tmp_path / "two", device="cpu", jobs=2, say=said.append)
    assert made.outcomes == reproduce([QUICK], tmp_path / "one", device="cpu", say=lambda text: None).outcomes
    both = [json.loads((tmp_path / name / "outcomes.json").read_text())[QUICK] for name in ("two", "one")]
    assert both[0]["findings"] == both[1]["findings"]
    assert both[0]["command"] == f"foretell reproduce {QUICK} --device cpu --jobs 2"
    assert said[0].startswith("3 pieces of work (a claim, a seed), 2 side by side")
    ended = [line.split(": ")[1] for line in said if "ended" in line]
    assert ended == [f"ended ({number} of 3)" for number in (1, 2, 3)]


def test_the_pieces_are_worked_out_before_they_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[str] = []
    work_ahead = jobs.work_ahead

    def seen(*given: object) -> None:
        work_ahead(*given)  # type: ignore[arg-type]
        gathered.extend(sorted(path.name for path in (tmp_path / "work").iterdir()))

    monkeypatch.setattr("foretell.claims.reproduce.work_ahead", seen)
    reproduce(["autoencoder-copying"], tmp_path, device="cpu", jobs=2, budget=0.001, say=lambda text: None)
    assert "spent.json" in gathered


def test_what_stops_a_piece_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "spent.json").write_text("{")
    with pytest.raises(InputError, match=r"spent.json: not valid JSON .*; delete it"):
        reproduce([QUICK], tmp_path, device="cpu", jobs=2, say=lambda text: None)
    (tmp_path / "work" / "spent.json").unlink()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ForetellError, match=rf"worked at {QUICK}, seed \d ended \(status 1\); .* with fewer --jobs"):
        reproduce([QUICK], tmp_path, device="cpu", jobs=2, say=lambda text: None)


def piece(claim: str) -> jobs.Piece:
    return jobs.Piece(claim, 0, "lab", "cpu", None, 2)


def test_a_piece_that_needs_what_another_works_at_is_put_off_and_tried_again() -> None:
    pieces = jobs._Pieces([piece(name) for name in ("a", "b", "c")], lambda text: None)
    first, second = pieces.take(), pieces.take()
    assert first is not None
    assert second is not None
    assert (first.claim, first.patient, second.claim, second.patient) == ("a", False, "b", False)
    pieces.told(second, {"busy": "run of a"})
    pieces.ended(second)
    third = pieces.take()
    assert third is not None
    assert (third.claim, third.patient) == ("c", False)  # b is left to be done in its place
    pieces.ended(first)
    again = pieces.take()
    assert again is not None
    assert (again.claim, again.patient) == ("b", True)  # nothing else is left
    assert pieces.take() is None
    pieces.ended(third)
    pieces.ended(again)
    assert pieces.done == pieces.total == 3


def test_where_nothing_else_is_left_what_was_put_off_waits() -> None:
    pieces = jobs._Pieces([piece(name) for name in ("a", "b", "c")], lambda text: None)
    pieces.take()
    for _ in range(2):
        taken = pieces.take()
        assert taken is not None
        pieces.told(taken, {"busy": "run of a"})
        pieces.ended(taken)
    waits = pieces.take()
    assert waits is not None
    assert (waits.claim, waits.patient) == ("b", True)


def test_a_lab_that_is_not_patient_says_what_it_would_wait_for(tmp_path: Path) -> None:
    one, other = Lab(tmp_path), Lab(tmp_path, patient=False)
    with one.alone("run x"), pytest.raises(Busy, match="run x"), other.alone("run x"):
        pass
    with other.alone("run x"):
        pass


def test_no_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--jobs 0: expected how many processes"):
        reproduce([QUICK], tmp_path, jobs=0, say=lambda text: None)
    assert not list(tmp_path.iterdir())


def test_each_job_has_its_part_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 8)
    assert [threads_for(count) for count in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert options_of((0, 1, 2), "auto", 1) == ""
    assert options_of((0, 1), "cuda", 4) == " --seeds 2 --device cuda --jobs 4"


def _heeds_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "foretell", "reproduce", "simclr-head", "--out", str(tmp_path), "--jobs", "2"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=_heeds_interrupts,
    ) as process:
        assert process.stdout is not None
        begun: set[str] = set()
        for line in process.stdout:
            if "training simclr" in line:
                begun.add(line.split(":")[0])
            if len(begun) == 2:
                break
        runs = tmp_path / "work" / "runs"
        until = time.monotonic() + 120
        while len(list(runs.glob("*/metrics.jsonl"))) < 2 and time.monotonic() < until:
            time.sleep(0.2)
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"go on with: foretell reproduce simclr-head --out {tmp_path} --jobs 2" in told
    states = [json.loads(path.read_text())["state"] for path in runs.glob("*/status.json")]
    assert states == ["stopped"] * 2


def test_a_worker_that_is_ended_puts_its_work_in_order(tmp_path: Path) -> None:
    with begun_worker(tmp_path) as one:
        one.terminate()
        ended(one, gone=False)
    assert (tmp_path / "kept").exists()


def test_a_worker_whose_parent_is_gone_ends_soon_and_puts_its_work_in_order(tmp_path: Path) -> None:
    with begun_worker(tmp_path) as one:
        assert one.stdin is not None
        one.stdin.close()
        ended(one, gone=True)
    assert (tmp_path / "kept").exists()


def test_a_worker_whose_answers_nobody_reads_ends_without_a_traceback(tmp_path: Path) -> None:
    script = """
import os, sys
from foretell.side_by_side import serve
gone = serve(lambda message, answer: answer({"as": "before"}))
os.write(2, str(gone).encode())
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        assert one.stderr is not None
        one.stdout.close()
        one.stdin.write(b"{}\n")
        one.stdin.flush()
        assert one.wait(timeout=60) == 0
        assert one.stderr.read() == b"True"


def ended(one: subprocess.Popen[str], *, gone: bool) -> None:
    assert one.wait(timeout=60) == 0
    assert one.stdout is not None
    assert one.stderr is not None
    assert (one.stdout.read(), one.stderr.read()) == (f"{gone}\n", "")


@contextmanager
def begun_worker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker with a piece of 100 s under way; it makes the file "kept" when that is stopped, and prints its answer."""
    script = f"""
import time
from pathlib import Path
from foretell.side_by_side import serve
import sys

folder, out = Path({str(folder)!r}), sys.stdout

def work(message, answer):
    try:
        (folder / "begun").touch()
        time.sleep(100)
    finally:
        (folder / "kept").touch()

print(serve(work), file=out)
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], text=True, **pipes) as one:
        assert one.stdin is not None
        one.stdin.write("{}\n")
        one.stdin.flush()
        until = time.monotonic() + 60
        while not (folder / "begun").exists() and time.monotonic() < until:
            time.sleep(0.05)
        yield one


def test_the_time_of_a_claim_that_is_ended_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(claim: object, lab: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(claims.get(QUICK), "work", ended)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        reproduce([QUICK], tmp_path, device="cpu", say=lambda text: None)
    assert signal.getsignal(signal.SIGTERM) == before
    assert list(json.loads((tmp_path / "work" / "spent.json").read_text())) == [f"{QUICK} {__version__}"]
