"""The run folder: everything about one run, readable while it runs and after it died.

recipe.toml      the resolved recipe; `foretell pretrain --recipe` runs it again
facts.json       data fingerprint, versions, machine, measured choices (precision, layout, threads, steps), cost, the
                 settings of data and objective that it began with, and how training ended: {"state": "finished" | "early" |
                 "stopped", "steps", "weights": the step that they are of}
metrics.jsonl    one JSON object a line: {"kind": "step" | "health" | "monitor" | ..., "step": n, ...}
status.json      {"state": "running" | "finished" | "failed" | "stopped", "step", "steps", "heartbeat", "pid", ...}
split.json, learnt.npy  which samples are learnt from and which held out; hashes of the images that are learnt from
checkpoints/     last and best, written aside and renamed
encoder/         the encoder in timm's format (safetensors and config)
search.db        the trials of searches that several processes may share
results/         what the encoder is worth, one JSON a kind of evaluation
exhibits/        pictures
report.html, report.json, MODEL_CARD.md
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO

from foretell.errors import ForetellError, InputError
from foretell.json_files import parsed, read_object

FOLDERS = ("checkpoints", "results", "exhibits")  # of a run, made when it begins


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A file beside ``path``, flushed to disk and renamed after the block: a reader never sees half a file.

    Raises ForetellError when it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # below a file there is nothing to unlink either
            aside.unlink()
        if not isinstance(error, OSError):
            raise
        left = "the earlier version is kept" if path.exists() else "make room on the disk, or choose another place"
        raise ForetellError(f"{path}: could not be written ({error.strerror}); {left}") from error


def write_aside(path: Path, content: bytes | str) -> None:
    """``written_aside`` with all of ``content``; bytes of a file's name that are no UTF-8 are escaped, as JSON has them."""
    with written_aside(path) as file:
        file.write(_bytes(content))


def write_together(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write ``files`` (name -> content, as ``write_aside`` takes it) to ``folder``, which is made where there is none.

    All of them or none: they are put in place, in their order, when the last is on the disk. Earlier versions are taken
    away before the first is, so that even after a kill no folder has parts of two writes. Raises ForetellError when they
    cannot be written.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ForetellError(f"{folder}: cannot make the folder ({error.strerror}); choose another place") from error
    try:
        with contextlib.ExitStack() as renames:  # they run when it closes, from the last entered to the first
            for name in reversed(list(files)):
                file = renames.enter_context(written_aside(folder / name))
                file.write(_bytes(files[name]))
                file.flush()
                os.fsync(file.fileno())
            for name in files:
                (folder / name).unlink(missing_ok=True)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _bytes(content: bytes | str) -> bytes:
    return content.encode(errors="backslashreplace") if isinstance(content, str) else content


def _append(file: BinaryIO, data: bytes) -> None:
    """Write all of ``data`` at the end of an unbuffered ``file``; where there is no room for it, leave it as it was."""
    size = os.fstat(file.fileno()).st_size
    rest = memoryview(data)
    try:
        while rest:  # a full disk may take a part first
            rest = rest[file.write(rest) :]
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(size)
        raise


def _unwritten(path: Path, error: OSError) -> ForetellError:
    return ForetellError(
        f"{path}: could not be written ({error.strerror}); checkpoints are kept. Make room on the disk and go on with "
        "--resume"
    )


def _plain(value: Any) -> Any:
    """JSON has no NaN: not-finite floats become None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return value


def _event(line: str) -> dict[str, Any] | None:
    """A line of metrics.jsonl, None where it is none: an object with its kind, and with a whole step if any."""
    try:
        event = parsed(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
        return None
    return event if isinstance(event.get("step", 0), int) else None


def _before_recipe(child: Path) -> bool:
    """Whether ``child`` of a run folder may be there before recipe.toml is: nothing is lost with it."""
    if child.name in FOLDERS:
        return child.is_dir() and not any(child.iterdir())
    written = ("recipe.toml", "facts.json")
    return child.name in (".lock", "facts.json") or any(fnmatch(child.name, f".{name}.*.tmp") for name in written)


class InUse(InputError):
    """A run folder that another process holds."""


def json_text(value: Any) -> str:
    """``value`` as the text of a JSON file."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False) + "\n"


class Run:
    """A run folder held by this process. Open it with ``create``, ``resume`` or ``read``."""

    def __init__(self, path: Path, lock: BinaryIO | None) -> None:
        self.path = path
        self._lock = lock
        self._metrics: BinaryIO | None = None

    # opening ---------------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str | Path) -> Run:
        """A new run in ``path``, which must not exist, be empty, or hold what a run that died before it had a recipe left.

        Raises InputError otherwise.
        """
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path}: cannot make the run folder ({error.strerror}); choose another --out") from error
        resumed = ", or go on with it by --resume" if (path / "recipe.toml").is_file() else ""
        not_empty = InputError(f"{path}: not empty; choose another --out{resumed}")
        if any(path.iterdir()) and not (path / ".lock").exists():  # a folder of something else: no lock is left in it
            raise not_empty
        lock = cls._take(path, "wait for it or choose another --out")
        if not all(_before_recipe(child) for child in path.iterdir()):
            lock.close()
            raise not_empty
        try:
            (path / "facts.json").unlink(missing_ok=True)
            for name in FOLDERS:
                (path / name).mkdir(exist_ok=True)
        except OSError as error:
            lock.close()
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
        return cls(path, lock)

    @classmethod
    def resume(cls, path: str | Path) -> Run:
        """An existing run, to write to. Raises InputError when it is no run, InUse when another process holds it."""
        run = cls.read(path)
        run._lock = cls._take(run.path)
        return run

    @classmethod
    def read(cls, path: str | Path) -> Run:
        """An existing run, to read from."""
        path = Path(path)
        if not (path / "recipe.toml").is_file():
            raise InputError(f"{path}: not a run folder (it has no recipe.toml); give the --out of an earlier run")
        return cls(path, None)

    @classmethod
    def remove(cls, path: Path) -> None:
        """Remove what is in ``path``, which may be a run that has not begun. Raises InUse where a process holds it."""
        lock = cls._take(path)
        try:
            shutil.rmtree(path)
        finally:
            lock.close()

    @staticmethod
    def _take(path: Path, do: str = "wait for it") -> BinaryIO:
        try:
            # Held for the life of the run. Without a buffer, as closing it on a full disk must not fail.
            lock = open(path / ".lock", "ab+", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().decode(errors="replace").strip() or "another process"
            lock.close()
            raise InUse(f"{path}: in use by {holder}; {do}") from None
        with contextlib.suppress(OSError):  # on a full disk the lock holds all the same, without saying whose it is
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        return lock

    def close(self) -> None:
        """Give the folder free. Raises ForetellError, when all is closed, if the system could not keep what was
        written.
        """
        failed: list[tuple[str, OSError]] = []
        for name, file in (("metrics.jsonl", self._metrics), (".lock", self._lock)):
            try:
                if file is not None:
                    file.close()
            except OSError as error:
                failed.append((name, error))
        self._metrics = self._lock = None
        if failed:
            name, first = failed[0]
            raise _unwritten(self.path / name, first) from first

    # writing ---------------------------------------------------------------------------------------------------------

    def check_there(self) -> None:
        """Raise ForetellError where the folder that this process holds is no longer in its place, or another one is."""
        if self._lock is None:
            return
        try:
            there = os.path.samestat(os.stat(self.path / ".lock"), os.fstat(self._lock.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            there = False
        if not there:
            raise ForetellError(
                f"{self.path}: was removed or moved while this process wrote to it; begin anew with another --out"
            )

    def write_json(self, name: str, value: Any) -> None:
        """Write ``value`` to ``name`` (relative, with its suffix) aside and rename."""
        self.check_there()
        target = self.path / name
        try:
            target.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise _unwritten(target, error) from error
        write_aside(target, json_text(value))

    def log(self, kind: str, **values: Any) -> None:
        """Append one line to metrics.jsonl: all of it or, raising ForetellError, nothing."""
        line = json.dumps(_plain({"kind": kind, "time": time.time(), **values})) + "\n"
        path = self.path / "metrics.jsonl"
        self.check_there()
        try:
            if self._metrics is None:
                self._metrics = open(path, "ab", buffering=0)  # noqa: SIM115 (what is kept in a buffer may be lost)
            _append(self._metrics, line.encode())
        except OSError as error:
            raise _unwritten(path, error) from error

    def cut_metrics(self, step: int) -> None:
        """Drop lines after ``step`` (what a killed process logged past its last checkpoint)."""
        self.check_there()
        lines = [line for line in self.metrics() if not ("step" in line and line["step"] > step)]
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None
        write_aside(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    def status(self, state: str, **values: Any) -> None:
        """Write the heartbeat."""
        self.write_json(
            "status.json",
            {
                "state": state,
                "heartbeat": time.time(),
                "pid": os.getpid(),
                "host": socket.gethostname(),
                **values,
            },
        )

    # reading ---------------------------------------------------------------------------------------------------------

    def held(self) -> bool:
        """Whether a process has the run, to write to it."""
        try:
            with open(self.path / ".lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no lock, or a file system without locks
            return False
        return False

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The object in the file, or None when the run has none. Raises InputError when it is damaged."""
        target = self.path / name
        return read_object(target) if target.exists() else None

    def state(self) -> str | None:
        """ "running", "finished", "failed" or "stopped"; None where status.json is not there or damaged."""
        try:
            status = self.read_json("status.json") or {}
        except InputError:  # a heartbeat, which the next start writes anew
            return None
        return str(status["state"]) if "state" in status else None

    def metrics(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line cut short by a crash, and any that no run wrote, is left out."""
        target = self.path / "metrics.jsonl"
        if not target.is_file():
            return
        with open(target, encoding="utf-8", errors="replace") as file:
            for line in file:
                event = _event(line)
                if event is not None and kind in (None, event["kind"]):
                    yield event
