"""Pieces of work shared out over subprocesses, each with its part of the cores.

Plain subprocesses: nothing is forked from a process that runs torch's threads, and one whose parent is gone ends as by
SIGTERM. Pieces go to them, and answers come back, as lines of JSON.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from foretell.errors import ForetellError, InputError

Piece = TypeVar("Piece")
Message = dict[str, Any]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_for(jobs: int) -> int:
    """Threads of each of ``jobs`` processes: its part of the cores, at least one."""
    return max(1, usable_cores() // jobs)


def spoken(jobs: int) -> str:
    """What ``jobs`` processes have of the cores, in words."""
    each = threads_for(jobs)
    return f"{jobs} side by side, each on {each} {'core' if each == 1 else 'cores'}"


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that what is under way is put in order. In the main thread alone."""

    def interrupted(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, interrupted) if here else None
    try:
        yield
    finally:
        if here:
            signal.signal(signal.SIGTERM, before)


# the process that shares the work out ---------------------------------------------------------------------------------


class Process:
    """A subprocess ``python -m MODULE ARGUMENTS``, started when it is first asked."""

    def __init__(self, module: str, *arguments: str, threads: int) -> None:
        self._command = ["-m", module, *arguments]
        self._threads = str(threads)
        self._process: subprocess.Popen[str] | None = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            package = str(Path(__file__).resolve().parents[1])
            paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
            own = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), self._threads)
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **own, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the process that shares the work out
            )
        return self._process

    def ask(self, message: Message, what: str) -> Iterator[Message]:
        """The answers to ``message``, until it is done. Raises what stopped it; ``what`` says in words what that was."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer: Message = json.loads(line)
                if "wrong" in answer:
                    raise InputError(answer["wrong"])
                if "failed" in answer:
                    raise ForetellError(answer["failed"])
                if "end" in answer:
                    return
                yield answer
        status = process.wait()
        raise ForetellError(
            f"the process that worked at {what} ended (status {status}); what it finished is kept: the same command goes on "
            "from here, with fewer --jobs if memory was short"
        )

    def stop(self) -> None:
        """End the process; a training that writes a run first keeps what it has."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        if self._process is not None:
            self._process.wait()


class Work(Protocol, Generic[Piece]):
    """What is shared out. All of it is called in the main thread but ``ask``."""

    def take(self) -> Piece | None:
        """The next piece that can be begun; None where there is none now, or none any more."""

    def ask(self, process: Process, piece: Piece) -> Iterator[Any]:
        """Have ``piece`` worked out, in a thread of its own; what it yields goes to ``told``."""

    def told(self, piece: Piece, answer: Any) -> None: ...

    def ended(self, piece: Piece) -> None: ...


def share_out(work: Work[Piece], processes: Sequence[Process]) -> None:
    """Have every piece worked out, as many at a time as there are processes; returns when all are done.

    Ctrl-C and SIGTERM end it with KeyboardInterrupt. Raises what stops a piece, InputError or ForetellError, after ending the
    others.
    """
    events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    idle, running = list(reversed(processes)), 0

    def serve(process: Process, piece: Piece) -> None:
        error: Exception | None = None
        try:
            for answer in work.ask(process, piece):
                events.put(lambda answer=answer: work.told(piece, answer))  # type: ignore[misc]
        except Exception as found:
            error = found
        events.put(lambda: ending(process, piece, error))

    def ending(process: Process, piece: Piece, error: Exception | None) -> None:
        nonlocal running
        if error is not None:
            raise error
        running -= 1
        idle.append(process)
        work.ended(piece)

    try:
        with sigterm_interrupts():
            while True:
                while idle and (piece := work.take()) is not None:
                    running += 1
                    threading.Thread(target=serve, args=(idle.pop(), piece), daemon=True).start()
                if not running:
                    return
                events.get()()
    finally:
        for process in processes:
            process.stop()
        for process in processes:
            process.wait()


# a process that works -------------------------------------------------------------------------------------------------


def serve(work: Callable[[Message, Callable[[Message], None]], None]) -> bool:
    """Give each message that comes to ``work``, with a function that answers, until none comes any more.

    A message that fails is told, and is the last. KeyboardInterrupt ends it, as SIGTERM does; it is raised in ``work``, too,
    where the process that shares the work out is gone, which the answer says.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # what else is printed must not come between the answers
    messages = _Messages()

    def answer(what: Message) -> None:
        try:
            print(json.dumps(what), file=answers, flush=True)
        except BrokenPipeError:  # nobody reads them any more; what is left of them is not to be tried again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), answers.fileno())
            messages.gone = True
            raise KeyboardInterrupt from None

    def work_on() -> None:
        while (message := messages.take()) is not None:
            try:
                work(message, answer)
            except InputError as error:
                return answer({"wrong": str(error)})
            except ForetellError as error:
                return answer({"failed": str(error)})
            answer({"end": True})

    with suppress(KeyboardInterrupt), sigterm_interrupts():
        messages.listen()
        work_on()
    return messages.gone


class _Messages:
    """What comes by the standard input, read by a thread of its own, which notices its end in the middle of a piece, too:
    then SIGTERM goes to this process.
    """

    def __init__(self) -> None:
        self.gone = False
        self._come: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._read = self._taken = self._done = 0

    def listen(self) -> None:
        threading.Thread(target=self._listen, args=(sys.stdin.fileno(),), daemon=True).start()

    def _listen(self, place: int) -> None:
        rest = b""
        while block := os.read(place, 1 << 16):  # not by sys.stdin: a process cannot end while a thread waits in that
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._read += 1
                self._come.put(json.loads(line))
        self.gone = True
        if self._read > self._done:
            os.kill(os.getpid(), signal.SIGTERM)
        self._come.put(None)

    def take(self) -> Message | None:
        """The next message, None after the last; those that were taken are done."""
        self._done = self._taken
        message = self._come.get()
        self._taken += 1
        return message
