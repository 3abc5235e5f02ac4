"""Seeds of claims worked out side by side: subprocesses that share a lab, each with its part of the cores.

Plain subprocesses, as for decoding: nothing is forked from a process that runs torch's threads, and one whose parent is
gone ends with its piece.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from foretell.data.store import usable_cores
from foretell.errors import ForetellError, InputError


@dataclass(frozen=True)
class Piece:
    """One seed of one claim, to be worked out in ``folder``; ``deadline``: ``time.monotonic``, one clock for all processes."""

    claim: str
    seed: int
    folder: str
    device: str
    deadline: float | None
    jobs: int


Event = str | Piece | Exception | None  # what is said, what is done, what stopped a piece; a worker has no more


def threads_for(jobs: int) -> int:
    """Threads of each of ``jobs`` processes: its part of the cores, at least one."""
    return max(1, usable_cores() // jobs)


class _Worker:
    """One subprocess that takes pieces one after another, and is started when it gets its first."""

    def __init__(self, jobs: int) -> None:
        self.threads = str(threads_for(jobs))
        self.process: subprocess.Popen[str] | None = None

    def started(self) -> subprocess.Popen[str]:
        if self.process is None:
            package = str(Path(__file__).resolve().parents[2])
            paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
            own = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), self.threads)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "foretell.claims.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **own, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the process that shares the work out
            )
        return self.process

    def work(self, piece: Piece, told: Callable[[Event], None]) -> None:
        """Have ``piece`` worked out; what is said meanwhile goes to ``told``. Raises what stopped it."""
        process = self.started()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(piece)) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if "wrong" in answer:
                    raise InputError(answer["wrong"])
                if "failed" in answer:
                    raise ForetellError(answer["failed"])
                if "end" in answer:
                    return
                told(f"{piece.claim}, seed {piece.seed}: {answer['say']}")
        status = process.wait()
        raise ForetellError(
            f"the process that worked at {piece.claim}, seed {piece.seed}, ended (status {status}); what it finished is "
            "kept: the same command goes on from here, with fewer --jobs if memory was short"
        )

    def stop(self) -> None:
        """End the process: a training in it first keeps what it has."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        if self.process is not None:
            self.process.wait()


def work_ahead(pieces: Sequence[Piece], jobs: int, say: Callable[[str], None]) -> None:
    """Work ``pieces`` out in their order, ``jobs`` at a time; returns when all are done or their time is over.

    Ctrl-C and SIGTERM end it with KeyboardInterrupt, once the trainings in progress have kept what they have. Raises what
    stops a piece, InputError or ForetellError, after ending the others in the same way.
    """
    waiting: queue.SimpleQueue[Piece] = queue.SimpleQueue()
    for piece in pieces:
        waiting.put(piece)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    ending = threading.Event()
    workers = [_Worker(jobs) for _ in range(min(jobs, len(pieces)))]
    threads_each = threads_for(jobs)
    say(
        f"{len(pieces)} pieces of work (a claim, a seed), {len(workers)} side by side, each on {threads_each} "
        f"{'core' if threads_each == 1 else 'cores'}"
    )

    def serve(worker: _Worker) -> None:
        try:
            while not ending.is_set():
                try:
                    piece = waiting.get_nowait()
                except queue.Empty:
                    break
                worker.work(piece, events.put)
                events.put(piece)
        except Exception as error:
            events.put(error)
        events.put(None)

    threads = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in workers]
    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupted) if here else None
    try:
        for thread in threads:
            thread.start()
        running, done = len(threads), 0
        while running:
            event = events.get()
            if event is None:
                running -= 1
            elif isinstance(event, Exception):
                raise event
            elif isinstance(event, Piece):
                done += 1
                say(f"{event.claim}, seed {event.seed}: ended ({done} of {len(pieces)})")
            else:
                say(event)
    finally:
        ending.set()
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.wait()
        if here:
            signal.signal(signal.SIGTERM, before)


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt
