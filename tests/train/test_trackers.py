"""Runs that are logged to TensorBoard or MLflow, too."""

from __future__ import annotations

import json
import sys

import pytest
from train_toys import Classes, Score, Terminated, new_run, old_run, settings

from foretell.errors import InputError
from foretell.train import fit, trackers


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(steps=5, tensorboard=True), run, monitors=[Score([0.25])])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("step/total")] == [1, 2, 3, 4, 5]
    assert events.Scalars("monitor/score")[0].value == 0.25


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
        told = [line["text"] for line in run.metrics("event")]
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


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_what_cannot_be_tracked_any_more_does_not_end_a_run(name, tmp_path, monkeypatch):
    class Gone:
        title = "The server"

        def __init__(self, run, step):
            pass

        @staticmethod
        def imported():
            return None

        def log(self, step, values):
            raise ConnectionError("refused\nin many lines")

        def close(self, state):
            raise ConnectionError

    monkeypatch.setitem(trackers.KINDS, name, Gone)
    with new_run(tmp_path / "run") as run:
        assert fit(Classes(), settings(steps=5, **{name: True}), run).state == "finished"
    logged = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    told = [line["text"] for line in logged if line["kind"] == "event"]
    assert "step 1: The server is not written to any more (refused)" in told
