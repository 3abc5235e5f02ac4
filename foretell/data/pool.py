"""Worker processes that decode shards in parallel, watched: one that a damaged file kills is started again past it.

Plain subprocesses rather than ``multiprocessing``: nothing is forked from a process that runs torch's threads, and a
script that calls ``open_images`` needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from foretell.data.medical.window import parse
from foretell.data.worker import decode_shard
from foretell.errors import ForetellError

IN_PROCESS = 384  # files: below this a process's start takes longer than it saves


class _Worker:
    """One subprocess, started when it is first needed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.log: IO[bytes] | None = None

    def start(self, packages: Sequence[str] = ()) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            package = str(Path(__file__).resolve().parents[2])
            paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
            if self.log is not None:
                self.log.close()
            self.log = tempfile.TemporaryFile()  # noqa: SIM115 (open for as long as the process)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "foretell.data.worker", *packages],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                text=True,
                env=environment,
            )
        return self.process

    def last_words(self) -> str:
        """The last line of what the process said beside its answers."""
        assert self.log is not None
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.log is not None:
            self.log.close()


class Crew:
    """Up to ``count`` processes that decode; they end with the ``with`` block."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.workers = [_Worker() for _ in range(count if count > 1 else 0)]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, files: int, *packages: str) -> None:
        """Start the processes where so many files will need them, with ``packages``, and go on while they do."""
        if files >= IN_PROCESS:
            for worker in self.workers:
                worker.start(packages)

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()


def decode_all(
    crew: Crew,
    work: Path,
    root: Path,
    shards: Sequence[tuple[int, list[str]]],
    side: int,
    window: str,
    report: Callable[[int, int, int], None],
) -> None:
    """Decode every (number, names) of ``shards`` into ``work``; ``report(shard, done, unreadable)`` from this thread.

    ``report`` may raise to stop. Raises ForetellError when a shard cannot be written.
    """
    if not crew.workers or sum(len(names) for _, names in shards) < IN_PROCESS:
        for number, names in shards:
            try:
                decode_shard(work, number, root, names, side, parse(window), {}, partial(report, number))
            except OSError as error:
                raise ForetellError(
                    f"{work}: cannot be written ({error.strerror or error}); the finished parts are kept: make room, "
                    "or set FORETELL_CACHE to another folder, and run again"
                ) from None
        return
    waiting: queue.SimpleQueue[tuple[int, list[str]]] = queue.SimpleQueue()
    for shard in shards:
        waiting.put(shard)
    events: queue.SimpleQueue[tuple[int, int, int] | Exception | None] = queue.SimpleQueue()
    job = {"work": str(work), "root": str(root), "side": side, "window": window}
    stopping = threading.Event()
    threads = [
        threading.Thread(target=_serve, args=(worker, job, waiting, events, stopping), daemon=True)
        for worker in crew.workers[: len(shards)]
    ]
    try:
        for thread in threads:
            thread.start()
        running = len(threads)
        while running:
            event = events.get()
            if event is None:
                running -= 1
            elif isinstance(event, Exception):
                raise event
            else:
                report(*event)
    finally:
        stopping.set()
        crew.stop()
        for thread in threads:
            thread.join()


def _serve(
    worker: _Worker,
    job: dict[str, object],
    waiting: queue.SimpleQueue[tuple[int, list[str]]],
    events: queue.SimpleQueue[tuple[int, int, int] | Exception | None],
    stopping: threading.Event,
) -> None:
    try:
        while not stopping.is_set():
            try:
                shard, names = waiting.get_nowait()
            except queue.Empty:
                break
            _one_shard(worker, job, shard, names, events, stopping)
    except Exception as error:
        events.put(error)
    events.put(None)


def _one_shard(
    worker: _Worker,
    job: dict[str, object],
    shard: int,
    names: list[str],
    events: queue.SimpleQueue[tuple[int, int, int] | Exception | None],
    stopping: threading.Event,
) -> None:
    skip: dict[int, str] = {}
    careful = False
    while not stopping.is_set():
        process = worker.start()
        assert process.stdin is not None
        assert process.stdout is not None
        at = 0
        try:
            process.stdin.write(
                json.dumps({**job, "shard": shard, "names": names, "skip": skip, "careful": careful}) + "\n"
            )
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if "error" in answer:
                    raise ForetellError(
                        f"{job['work']}: a part of the store cannot be written ({answer['error']}); the finished parts "
                        "are kept: make room, or set FORETELL_CACHE to another folder, and run again"
                    )
                if "end" in answer:
                    return
                at = answer["done"]
                events.put((shard, at, answer["bad"]))
        except BrokenPipeError:
            pass
        if stopping.is_set():
            return
        status = process.wait()
        if careful:  # the last report named the file
            if at >= len(names):
                raise ForetellError(f"{job['work']}: a decoding process ended (status {status}) {worker.last_words()}")
            skip[at] = f"killed the decoding process (status {status})"
        elif status > 0:
            raise ForetellError(f"a decoding process failed: {worker.last_words() or f'status {status}'}")
        careful = True
