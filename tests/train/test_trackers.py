"""Runs that are logged to TensorBoard or MLflow, too."""

from __future__ import annotations

import json
import os
import sys
import time

import pytest
from train_toys import Classes, Score, Terminated, new_run, old_run, settings

from foretell.errors import InputError
from foretell.train import checkpoint, fit, trackers


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in ("MLFLOW_TRACKING_URI", *trackers.MLFLOW_SETTINGS):  # set first, so that it is taken back afterwards
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def cut_off(folder, step):
    """What a process leaves that was killed between the checkpoint of ``step`` and the next one."""
    for path in checkpoint.all_in(folder / "checkpoints"):
        if path.name > checkpoint.path_of(folder, step).name:
            path.unlink()


def events(run):
    return [line["text"] for line in run.metrics("event")]


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(steps=5, tensorboard=True), run, monitors=[Score([0.25])])
    shown = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in shown.Scalars("step/total")] == [1, 2, 3, 4, 5]
    assert shown.Scalars("monitor/score")[0].value == 0.25


@pytest.mark.parametrize("step", [0, 4])
def test_tensorboard_of_a_run_that_was_killed_has_every_step_once(step, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    given = settings(steps=6, keep=9, checkpoint_every=2, tensorboard=True)
    with new_run(tmp_path / "run") as run:
        fit(Classes(), given, run)
    cut_off(tmp_path / "run", step)
    with old_run(tmp_path / "run") as run:
        fit(Classes(), given, run, resume=True)
    shown = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in shown.Scalars("step/total")] == [1, 2, 3, 4, 5, 6]


def test_a_tensorboard_that_cannot_be_written(tmp_path):
    pytest.importorskip("tensorboard")
    with new_run(tmp_path / "new") as run:
        (tmp_path / "new" / "tensorboard").write_text("")
        with pytest.raises(InputError, match=r"training\.tensorboard: .*/new/tensorboard cannot be written \(.*exists"):
            fit(Classes(), settings(steps=2, tensorboard=True), run)
    with new_run(tmp_path / "old") as run:
        fit(Terminated(), settings(steps=12), run)
    (tmp_path / "old" / "tensorboard").write_text("")
    with old_run(tmp_path / "old") as run:
        assert fit(Classes(), settings(steps=12, tensorboard=True), run, resume=True).state == "finished"
        told = events(run)
    assert any(line.startswith("step 8: TensorBoard is not written to any more (") for line in told), told


def test_mlflow_neither_reports_its_use_nor_waits_for_minutes(monkeypatch):
    given = []
    monkeypatch.setattr(trackers, "import_module", lambda _: given.append(dict(os.environ)))
    trackers.MLflow.imported()
    assert given[0]["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert (given[0]["MLFLOW_HTTP_REQUEST_MAX_RETRIES"], given[0]["MLFLOW_HTTP_REQUEST_TIMEOUT"]) == ("4", "10")
    own = {"MLFLOW_DISABLE_TELEMETRY": "false", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    trackers.MLflow.imported()
    assert own.items() <= given[1].items(), "what a person sets stays"


def test_the_server_that_is_asked_is_named(monkeypatch):
    assert trackers.MLflow.asked() is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host:5000")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    told = "MLflow: asking http://...@host:5000 (waits 3 s at most, and tries 4 times again)"
    assert trackers.MLflow.asked() == told


def test_passwords_are_masked(monkeypatch):
    for text, masked in (
        ("sqlite:////home/me@work/a.db", "sqlite:////home/me@work/a.db"),
        ("postgresql://me:a/b@c@host/db: refused", "postgresql://...@host/db: refused"),
        ("mysql://host/db?user=me&Password=secret&ssl=1", "mysql://host/db?user=me&Password=...&ssl=1"),
    ):
        assert trackers.masked(text) == masked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:a secret@host/db")
    assert trackers.masked("no postgresql://me:a secret@host/db/ here") == "no postgresql://...@host/db/ here"


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")])
def test_a_tracker_that_is_missing(name, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with new_run(tmp_path / "run") as run, pytest.raises(InputError, match=r"pip install 'foretell\[track\]'"):
        fit(Classes(), settings(**{name: True}), run)


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")])
def test_a_run_goes_on_without_a_tracker_that_is_missing(name, module, tmp_path, monkeypatch):
    with new_run(tmp_path / "run") as run:
        fit(Terminated(), settings(steps=12), run)
    monkeypatch.setitem(sys.modules, module, None)
    with old_run(tmp_path / "run") as run:
        assert fit(Classes(), settings(steps=12, **{name: True}), run, resume=True).state == "finished"
        told = events(run)
    title = trackers.KINDS[name].title
    assert any(line.startswith(f"step 8: {title} is not written to any more (") for line in told), told


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'server.db'}")
    with new_run(tmp_path / "run") as run:
        fit(Terminated(), settings(steps=12, mlflow=True), run, monitors=[Score([0.25])])
    with old_run(tmp_path / "run") as run:
        fit(Classes(seed=5), settings(steps=12, mlflow=True), run, monitors=[Score([0.25])], resume=True)
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("foretell").experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    history = client.get_metric_history(found.info.run_id, "step/total")
    assert {one.step for one in history} == set(range(1, 13))
    assert found.data.metrics["monitor/score"] == 0.25


def test_a_run_that_was_moved_or_killed_goes_on_in_its_own_mlflow(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    given = settings(steps=6, keep=9, checkpoint_every=2, mlflow=True)
    with new_run(tmp_path / "run") as run:
        fit(Classes(), given, run, monitors=[Score([0.25])])
    cut_off(tmp_path / "run", 4)
    (tmp_path / "run").rename(tmp_path / "moved")
    with old_run(tmp_path / "moved") as run:
        fit(Classes(), given, run, monitors=[Score([0.5])], resume=True)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'moved' / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("foretell").experiment_id])
    steps = {
        name: [one.step for one in client.get_metric_history(found.info.run_id, name)] for name in found.data.metrics
    }
    assert sorted(steps["step/total"]) == [1, 2, 3, 4, 5, 6]
    assert all(len(set(logged)) == len(logged) for logged in steps.values()), steps


@pytest.mark.parametrize("resumed", [False, True])
def test_a_servers_password_stays_out_of_the_run(resumed, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    folder = tmp_path / "run"
    if resumed:
        with new_run(folder) as run:
            fit(Terminated(), settings(steps=12), run)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with old_run(folder) if resumed else new_run(folder) as run:
        if resumed:
            fit(Classes(), settings(steps=12, mlflow=True), run, resume=True)
        else:
            with pytest.raises(InputError, match=r"http://\.\.\.@127\.0\.0\.1:9 cannot be used") as told:
                fit(Classes(), settings(steps=12, mlflow=True), run)
            assert "secret" not in str(told.value)
        assert any("http://...@127.0.0.1:9" in line for line in events(run))
    assert not [path for path in folder.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


def test_an_mlflow_that_cannot_be_used(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite://me:secret@/{tmp_path}/none/at/all.db")
    with (
        new_run(tmp_path / "run") as run,
        pytest.raises(InputError, match=r"training\.mlflow: .* cannot be used") as told,
    ):
        fit(Classes(), settings(mlflow=True), run)
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


class Server:
    """A tracker that asks a server, and does not write to it."""

    title = "The server"

    def __init__(self, run, step):
        pass

    @staticmethod
    def imported():
        return None

    @staticmethod
    def asked():
        return "asking the server"


def test_what_is_waited_for_a_tracker_is_told_and_is_no_training(tmp_path, monkeypatch):
    class Slow(Server):
        def __init__(self, run, step):
            time.sleep(1.1)

        def log(self, step, values):
            time.sleep(1.1)
            raise ConnectionError("refused")

    class Said:
        def __init__(self):
            self.said = []

        def start(self, step, steps):
            self.said.append("start")

        def update(self, step, values):
            pass

        def event(self, text):
            self.said.append(text)

        def close(self, text):
            pass

    monkeypatch.setitem(trackers.KINDS, "mlflow", Slow)
    progress = Said()
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(steps=1, mlflow=True), run, progress=progress)
        (line,) = run.metrics("step")
    lost = "step 1: The server is not written to any more (refused; waited 1 s for it)"
    assert progress.said[-3:] == ["asking the server", "start", lost]
    assert line["samples_per_second"] > 64 / 1.1


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_what_cannot_be_tracked_any_more_does_not_end_a_run(name, tmp_path, monkeypatch):
    class Gone(Server):
        def log(self, step, values):
            raise ConnectionError("http://me:secret@host: refused\nin many lines")

        def close(self, state):
            raise ConnectionError

    monkeypatch.setitem(trackers.KINDS, name, Gone)
    with new_run(tmp_path / "run") as run:
        assert fit(Classes(), settings(steps=5, **{name: True}), run).state == "finished"
    logged = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    told = [line["text"] for line in logged if line["kind"] == "event"]
    assert "step 1: The server is not written to any more (http://...@host: refused)" in told
