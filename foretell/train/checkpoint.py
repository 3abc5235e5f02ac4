"""Checkpoints: one file each, written aside and renamed, so that a reader or a crash never meets half a file."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from foretell.errors import ForetellError, InputError, first_line
from foretell.run import Run

FORMAT = 1
BEST = "best.pt"
# Settings that do not change what is learnt beyond rounding.
FREE = {"chunk", "device", "checkpoint_every", "health_every", "keep", "tensorboard", "mlflow"}
_NAME = re.compile(r"(\d{8})\.pt")


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` steps is."""
    return folder / f"{step:08d}.pt"


def all_in(folder: Path) -> list[Path]:
    """The checkpoints of a run by step, without ``BEST``."""
    return sorted(path for path in folder.glob("*.pt") if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def latest(folder: Path) -> Path | None:
    """The checkpoint with the most steps."""
    found = all_in(folder)
    return found[-1] if found else None


def of_weights(run: Run) -> Path | None:
    """The checkpoint of the weights that ``run`` exports and reports: that of its best round where it has ended with those
    (``training.patience``), else the last one; None before the first.
    """
    folder = run.path / "checkpoints"
    ended = (run.read_json("facts.json") or {}).get("ended", {})
    if run.state() == "finished" and ended.get("weights") not in (None, ended.get("steps")):
        return folder / BEST
    return latest(folder)


class _Sink:
    """A file that remembers why it could not be written: torch's writer reports only that it could not."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        try:
            rest = memoryview(data)
            while rest:  # a full disk may take a part of the data first
                rest = rest[self.file.write(rest) :]
            return len(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self.file.flush()


def save(path: Path, payload: dict[str, Any]) -> None:
    """Write ``payload`` (tensors and plain values) to ``path``.

    Raises ForetellError when the disk is full or cannot be written; an earlier file at ``path``, and every other
    checkpoint, is left as it was.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    sink: _Sink | None = None
    try:
        path.parent.mkdir(exist_ok=True)
        with open(aside, "wb", buffering=0) as file:
            sink = _Sink(file)
            torch.save({"format": FORMAT, **payload}, sink)  # type: ignore[arg-type]
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except BaseException as error:
        _remove(aside)
        cause = _first_cause(error, sink)
        if not isinstance(cause, OSError):
            raise cause from None
        raise ForetellError(
            f"{path}: the checkpoint could not be written ({cause.strerror}); earlier checkpoints are kept. Make room "
            "on the disk and go on with --resume"
        ) from error


def _first_cause(error: BaseException, sink: _Sink | None) -> BaseException:
    """What stopped a write, of which torch tells in other words as it closes its archive: no room, or an interruption."""
    if sink is not None and sink.error is not None:
        return sink.error
    known: BaseException | None = error
    while known is not None and isinstance(known, Exception):
        known = known.__context__
    return error if known is None else known


def _remove(aside: Path) -> None:
    with contextlib.suppress(OSError):
        aside.unlink()


def _sync_folder(folder: Path) -> None:
    # the rename itself must survive a power cut
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: Path) -> dict[str, Any]:
    """The payload, on the CPU. Nothing in the file is executed. Raises InputError when it is no checkpoint."""
    try:
        payload = _read(path)
        if not isinstance(payload, dict) or payload.get("format") != FORMAT:
            raise ValueError(f"not in format {FORMAT}")
        step, name = payload.get("step"), _NAME.fullmatch(path.name)
        if type(step) is not int or step < 0 or (name is not None and step != int(name[1])):
            raise ValueError(f"its step is {step!r}, which its name does not say")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such checkpoint") from None
    except Exception as error:
        raise unusable(path, f"not a readable checkpoint ({first_line(error).partition('. ')[0]})") from error
    return payload


def unusable(path: Path | str, reason: str) -> InputError:
    return InputError(f"{path}: {reason}; delete it: --resume then goes on from the one before it, or from the start")


@contextlib.contextmanager
def restoring(path: Path | str) -> Iterator[None]:
    """While the content of ``path`` is put in its place: what does not fit there is an ``InputError`` that names it."""
    try:
        yield
    except ForetellError:
        raise
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise unusable(path, f"not what a run writes ({type(error).__name__}: {first_line(error)[:120]})") from error


def finite(value: Any) -> bool:
    """Whether every number is that is in the tensors of ``value``: a tensor, or a table or list of such."""
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, Mapping):
        return all(map(finite, value.values()))
    return all(map(finite, value)) if isinstance(value, list | tuple) else True


def load_bytes(content: IO[bytes]) -> dict[str, Any]:
    """The payload of a checkpoint that was sent here by a process that has loaded it."""
    payload: dict[str, Any] = _read(content)
    return payload


def _read(file: Path | IO[bytes]) -> Any:
    return torch.load(file, map_location="cpu", weights_only=True)


def prune(folder: Path, keep: int) -> None:
    """Delete all but the last ``keep`` checkpoints, and what writers that were killed left behind."""
    for path in all_in(folder)[:-keep]:
        path.unlink(missing_ok=True)
    for path in folder.glob(".*.pt.*.tmp"):
        path.unlink(missing_ok=True)


def drop_after(folder: Path, step: int) -> None:
    """Delete the checkpoints of more than ``step`` steps: resuming from an earlier one makes them anew."""
    for path in all_in(folder):
        if path.name > path_of(folder, step).name:
            path.unlink(missing_ok=True)


def check_same(saved: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> None:
    """Refuse to resume with other settings than the run was begun with.

    Compares nested tables key by key, leaving out ``training`` settings that change nothing beyond rounding (FREE).
    Raises InputError naming the first key that differs.
    """
    for key in sorted(saved.keys() | now.keys()):
        name = f"{where}.{key}" if where else key
        if where == "training" and key in FREE:
            continue
        before, after = saved.get(key), now.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            check_same(before, after, name)
        elif _plain(before) != _plain(after):
            raise InputError(
                f"{name} was {before!r} when this run began and is {after!r} now; resume with the run's own recipe, "
                "or start a new one with another --out"
            )


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
