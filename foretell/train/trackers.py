"""Where a run's numbers also go, for people who compare runs in TensorBoard or MLflow (extra: track)."""

from __future__ import annotations

import os
import re
import time
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from foretell.errors import ForetellError, InputError, first_line
from foretell.run import Run
from foretell.train.config import TrainingConfig

EXPERIMENT = "foretell"
_MOST = 5000  # characters of a parameter's value that MLflow takes
_AT_ONCE = 100  # parameters that it takes in one call
# MLflow's own settings, where the environment has none of them. By itself it reports its use to its makers, and asks a server
# that does not answer for four minutes, in which nothing is trained.
_RETRIES, _TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
MLFLOW_SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", _RETRIES: "4", _TIMEOUT: "10"}
_USER = re.compile(r"://(?!/)\S*@")  # of an address; the path of a file has a third slash
_SECRET = re.compile(r"([?&][\w-]*(?:pass|pwd|token|secret|key)[\w-]*=)[^&\s]*", re.IGNORECASE)


class Tracker(Protocol):
    """Takes numbers while a run trains; ``log`` and ``close`` may raise what the tracker's own library raises."""

    title: str

    @staticmethod
    def asked() -> str | None:
        """What a person is told before it is made, None where it does not ask a server."""
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self, state: str) -> None:
        """``state``: finished, stopped or failed."""


def needed(module: str, setting: str, title: str) -> Any:
    """``module``. Raises InputError naming the extra, and the ``setting`` of training that asks for it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"training.{setting} needs {title}: pip install 'foretell[track]', or set training.{setting} = false"
        ) from error


def server() -> str | None:
    """The MLflow server of MLFLOW_TRACKING_URI, without a user and password; None where none is named."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return masked(named) if named else None


def masked(text: str) -> str:
    """``text`` without the users and passwords of addresses in it, which stay out of the run.

    >>> masked("http://me:secret@host:5000/api failed")
    'http://...@host:5000/api failed'
    """
    user = re.search(r"://(?!/)(.*@)", os.environ.get("MLFLOW_TRACKING_URI", ""))  # here a password may have spaces
    if user:
        text = text.replace(user[1], "...@")
    return _SECRET.sub(r"\1...", _USER.sub("://...@", text))


class TensorBoard:
    """Files in the run's folder ``tensorboard``; what was written after ``step`` by an earlier try is passed over.

    Raises InputError where they cannot be written when training begins.
    """

    title = "TensorBoard"

    def __init__(self, run: Run, step: int) -> None:
        writer, folder = self.imported().SummaryWriter, run.path / "tensorboard"
        try:
            self._writer = writer(str(folder), purge_step=step + 1)
        except Exception as error:
            raise InputError(
                f"training.tensorboard: {folder} cannot be written ({first_line(error)}); make room for it, or set "
                "training.tensorboard = false"
            ) from error

    @staticmethod
    def asked() -> str | None:
        return None

    @staticmethod
    def imported() -> Any:
        """The module that writes. Raises InputError naming the extra when it is not installed."""
        return needed("torch.utils.tensorboard", "tensorboard", "TensorBoard")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, state: str) -> None:
        self._writer.close()


class MLflow:
    """A run of the experiment "foretell" on the server of MLFLOW_TRACKING_URI, else in the run's own ``mlflow.db``.

    A run that is resumed goes on under the same name: which it is lies in ``mlflow.json``. Values that MLflow has already,
    of steps after the checkpoint that a run goes on from, are not logged again: it cannot take them back. The recipe's
    settings are its parameters. Raises InputError where the server cannot be used when training begins.
    """

    title = "MLflow"

    def __init__(self, run: Run, step: int) -> None:
        self._entities = self.imported().entities
        own = run.path / "mlflow.db"
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own.absolute()}"
        begun = server() or own.name  # without the folder, which may be moved
        try:
            self._client = self.imported().MlflowClient(tracking_uri=place)
            kept = run.read_json("mlflow.json")
            if kept is None or kept["server"] != begun:
                kept = {"server": begun, "run": self._begun(run.path)}
                run.write_json("mlflow.json", kept)
            self._id = kept["run"]
            self._client.update_run(self._id, status="RUNNING")
            logged = self._client.get_run(self._id).data.metrics
            self._last = {name: self._last_step(name) for name in logged}
        except ForetellError:
            raise
        except Exception as error:
            raise InputError(
                f"training.mlflow: {server() or own} cannot be used ({masked(first_line(error))}); set MLFLOW_TRACKING_URI to "
                "a server that can, or training.mlflow = false"
            ) from error

    @staticmethod
    def imported() -> Any:
        """The module that writes, with ``MLFLOW_SETTINGS``. Raises InputError naming the extra when it is not installed."""
        for name, value in MLFLOW_SETTINGS.items():  # before the import, which starts what reports
            os.environ.setdefault(name, value)
        return needed("mlflow", "mlflow", "MLflow")

    @staticmethod
    def asked() -> str | None:
        named = server()
        if named is None:
            return None
        if not named.startswith("http"):
            return f"MLflow: asking {named}"
        settings = {**MLFLOW_SETTINGS, **os.environ}
        return (
            f"MLflow: asking {named} (waits {settings[_TIMEOUT]} s at most, and tries {settings[_RETRIES]} times again)"
        )

    def _last_step(self, name: str) -> int:
        return max(int(one.step) for one in self._client.get_metric_history(self._id, name))

    def _begun(self, folder: Path) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)
        made: str = self._client.create_run(experiment, run_name=folder.name).info.run_id
        recipe = folder / "recipe.toml"
        settings = flat(tomllib.loads(recipe.read_text(encoding="utf-8"))) if recipe.is_file() else ()
        parameters = [self._entities.Param(name, str(value)[:_MOST]) for name, value in settings]
        for start in range(0, len(parameters), _AT_ONCE):
            self._client.log_batch(made, params=parameters[start : start + _AT_ONCE])
        return made

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        new = {name: value for name, value in values.items() if step > self._last.get(name, -1)}
        if new:
            self._client.log_batch(
                self._id, [self._entities.Metric(name, value, now, step) for name, value in new.items()]
            )

    def close(self, state: str) -> None:
        self._client.set_terminated(self._id, {"finished": "FINISHED", "stopped": "KILLED"}.get(state, "FAILED"))


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of nested tables.

    >>> list(flat({"a": {"b": 1, "c": {"d": 2}}}))
    [('a.b', 1), ('a.c.d', 2)]
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


KINDS: dict[str, type[TensorBoard] | type[MLflow]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


def wanted(config: TrainingConfig) -> list[type[TensorBoard] | type[MLflow]]:
    """The trackers that ``config`` asks for."""
    return [kind for name, kind in KINDS.items() if getattr(config, name)]


def check(config: TrainingConfig) -> None:
    """Raise InputError where a tracker that ``config`` asks for is not installed."""
    for kind in wanted(config):
        kind.imported()
