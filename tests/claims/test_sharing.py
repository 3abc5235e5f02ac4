"""Several processes in one lab: a piece of work is done once, and another that wants it waits for it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from foretell import claims
from foretell.claims import encoders
from foretell.claims import lab as labs
from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab, OutOfBudget
from foretell.claims.locks import held
from foretell.claims.reproduce import named, reproduce
from foretell.errors import ForetellError, InputError
from foretell.recipe import Recipe
from foretell.verbs import reproduce as verbs
from foretell.verbs.reproduce import seeds_of

QUICK = {"objective.views.side": 12, "training.batch": 8, "training.steps": 2, "objective.head_dim": 4}


def together(*works: Any) -> None:
    """Threads with a lab each: a lock is one of an open file, and shuts out another of the same process too."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_two_labs(folder: Path, work: Callable[[Lab], Any]) -> list[Any]:
    """What ``work`` gives in two labs of one folder that begin it at once."""
    both = threading.Barrier(2)
    found = []

    def one() -> None:
        lab = Lab(folder, device="cpu")
        lab.store("@animals")
        both.wait()
        found.append(work(lab))

    together(one, one)
    return found


def test_a_result_that_two_want_is_worked_out_once(tmp_path: Path) -> None:
    both = threading.Barrier(2)
    made: list[float] = []
    found: list[dict[str, Any]] = []

    def work() -> dict[str, Any]:
        time.sleep(0.3)
        made.append(1.0)
        return {"value": float(len(made))}

    def one() -> None:
        lab = Lab(tmp_path, device="cpu")
        both.wait()
        found.append(lab.result("figure", {"seed": 0}, work))

    together(one, one)
    assert found == [{"value": 1.0}] * 2
    assert [path.suffix for path in (tmp_path / "results").iterdir()] == [".json"]  # nothing half written is left


def test_who_waits_says_so_and_no_longer_than_its_time(tmp_path: Path) -> None:
    said: list[str] = []
    lab = Lab(tmp_path, device="cpu", deadline=time.monotonic() + 0.3, say=said.append)
    name = next(iter(_names(lab)))
    with held(tmp_path / "locks" / f"{name}.lock"), pytest.raises(OutOfBudget):
        lab.result("figure", {}, dict)
    assert said == [f"another process works at {name}: waiting for it"]


def _names(lab: Lab) -> set[str]:
    """The names of the results that ``lab`` would make for {}."""
    other = Lab(lab.folder / "other", device="cpu")
    other.result("figure", {}, dict)
    return {path.stem for path in (other.folder / "results").iterdir()}


def test_a_run_that_two_want_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Path] = []
    fit = labs.fit

    def counted(objective: Any, config: Any, run: Any, *, resume: bool) -> Any:
        trained.append(run.path)
        time.sleep(0.3)
        return fit(objective, config, run, resume=resume)

    monkeypatch.setattr(labs, "fit", counted)
    recipe = Recipe.load("claims", QUICK)
    weights = in_two_labs(tmp_path, lambda lab: lab.trained(recipe).state_dict())
    assert len(trained) == 1
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_what_a_process_left_before_its_recipe_is_begun_anew(tmp_path: Path) -> None:
    lab = Lab(tmp_path, device="cpu")
    recipe = Recipe.load("claims", QUICK)
    left = lab.run_of(recipe)
    (left / "checkpoints").mkdir(parents=True)
    lab.trained(recipe)
    assert (left / "recipe.toml").is_file()


def test_a_run_that_a_signal_stops_is_not_taken_for_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path, device="cpu")
    recipe = Recipe.load("claims", {**QUICK, "training.steps": 4})
    fit = labs.fit

    def stopped(objective: Any, *given: Any, **more: Any) -> Any:
        hide, hidden = objective.hide, []

        def told(*task: Any) -> Any:
            hidden.append(task)
            if len(hidden) == 2:  # once: a second signal ends a process that has begun to stop
                os.kill(os.getpid(), signal.SIGTERM)
            return hide(*task)

        monkeypatch.setattr(objective, "hide", told)
        return fit(objective, *given, **more)

    monkeypatch.setattr(labs, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        lab.trained(recipe)
    monkeypatch.setattr(labs, "fit", fit)
    lab.trained(recipe)
    status = json.loads((lab.run_of(recipe) / "status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 4)


def test_how_a_run_is_used_afterwards_trains_nothing_anew_but_is_another_result(tmp_path: Path) -> None:
    lab = Lab(tmp_path, device="cpu")
    recipe = Recipe.load("claims", QUICK)
    tuned_longer = recipe.changed({"transfer.most_steps": 7})
    lab.trained(recipe)
    lab.trained(tuned_longer)
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert lab.run_of(recipe) == lab.run_of(tuned_longer)
    assert lab.key(recipe) != lab.key(tuned_longer)
    assert lab.run_of(recipe) != lab.run_of(recipe.changed({"training.rate": 1e-5}))


def test_where_the_lab_lies_changes_no_key(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "other"):
        lab = Lab(tmp_path / name, device="cpu")
        keys.add(lab.key(Recipe.load("claims", {**QUICK, "encoder.weights": str(tmp_path / name / "begun" / "abc")})))
    assert len(keys) == 1
    assert lab.key(Recipe.load("claims", {**QUICK, "encoder.weights": "begun/abd"})) not in keys


def test_a_lock_is_free_when_its_holder_has_ended(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "a.lock"
    with pytest.raises(ValueError, match="broken"), held(lock):
        raise ValueError("broken")
    with open(lock, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_where_there_can_be_no_lock_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ForetellError, match=r"/file/locks/figure-\w+\.lock: cannot be made or locked \(Not a directory\)"
    ):
        Lab(tmp_path / "file", device="cpu").result("figure", {}, dict)

    def flock(lock: Any, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(ForetellError, match=r"\(No locks available\); .* on a file system with locks"):
        Lab(tmp_path, device="cpu").result("figure", {}, dict)


class Figures(Claim):
    name = "figures"
    statement = "Each seed is worked out once."
    source = "nobody"
    data = "none"
    minutes = 1.0
    done: tuple[int, ...] = ()

    def work(self, lab: Lab) -> list[Finding]:
        def work(seed: int) -> dict[str, float]:
            Figures.done += (seed,)
            time.sleep(0.1)
            return {"value": 1.0 + 0.01 * seed}

        values = [lab.result(self.name, {"seed": seed}, lambda seed=seed: work(seed))["value"] for seed in self.seeds]
        return [Finding("value", "above", values, [0.0] * len(values))]


def test_seeds_worked_out_apart_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Figures, "done", ())
    monkeypatch.setattr(claims, "get", lambda name: Figures)
    monkeypatch.setattr(claims, "names", lambda: ["figures"])
    said: list[str] = []
    for seed in (4, 1):
        made = reproduce(["figures"], tmp_path, seeds=(seed,), device="cpu", say=said.append)
        assert made.outcomes == {"figures": None}
        assert "a call with all seeds tells what came out" in said[-1]
    assert not (tmp_path / "outcomes.json").exists()
    assert Figures.done == (4, 1)
    made = reproduce(["figures"], tmp_path, seeds=(1, 4), device="cpu", say=said.append)
    assert made.outcomes == {"figures": "holds"}
    assert Figures.done == (4, 1)
    record = json.loads((tmp_path / "outcomes.json").read_text())["figures"]
    assert record["seeds"] == [1, 4]
    assert record["command"] == "foretell reproduce figures --seeds 1,4 --device cpu"
    assert record["seconds"] >= 0.2  # of all calls, not of the last, which found both


@pytest.mark.parametrize(
    ("seeds", "option"),
    [
        ((0, 1, 2), ""),
        (range(10), " --seeds 10"),
        ((0,), " --seeds 0,"),
        ((0, 4), " --seeds 0,4"),
        ((7,), " --seeds 7,"),
    ],
)
def test_the_option_names_the_seeds(seeds: Sequence[int], option: str) -> None:
    assert named(seeds) == option
    assert not option or seeds_of(option.removeprefix(" --seeds ")) == tuple(seeds)


def test_an_interrupted_call_says_how_to_go_on_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Figures, "work", stopped)
    monkeypatch.setattr(claims, "get", lambda name: Figures)
    with pytest.raises(KeyboardInterrupt) as caught:
        verbs.reproduce(["figures"], out=tmp_path, seeds="4,", device="cpu")
    assert caught.value.__notes__ == [
        f"go on with: foretell reproduce figures --out {tmp_path} --seeds 4, --device cpu"
    ]


def test_what_came_of_other_claims_is_kept_while_several_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {name: type(name, (Figures,), {"name": name}) for name in ("one", "two", "three")}
    monkeypatch.setattr(claims, "get", kinds.__getitem__)
    monkeypatch.setattr(claims, "names", lambda: list(kinds))
    works = [
        lambda name=name: reproduce([name], tmp_path, seeds=(0, 1), device="cpu", say=lambda text: None)
        for name in kinds
    ]
    together(*works)
    assert set(json.loads((tmp_path / "outcomes.json").read_text())) == set(kinds)
    assert all(f"## {name}: holds" in (tmp_path / "RESULTS.md").read_text() for name in kinds)


def test_seeds_are_a_number_or_names() -> None:
    assert seeds_of(3) == seeds_of("3") == (0, 1, 2)
    assert seeds_of("0, 4,7") == (0, 4, 7)
    assert seeds_of("4,") == (4,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1", "expected at least 2"),
        ("two", "expected how many, as 3, or which, as 0,4,7"),
        ("", "expected how many"),
        ("0,,1", "expected how many"),
        ("-1", "expected how many"),
        ("0,4,0", "names a seed twice"),
    ],
)
def test_other_seeds_are_refused(given: str, message: str) -> None:
    with pytest.raises(InputError, match=f"--seeds {given}: .*{message}"):
        seeds_of(given)


def test_an_encoder_that_two_begin_at_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, saved = encoders.save_encoder, []

    def slowly(encoder: Any, target: Path, **norms: Any) -> None:
        saved.append(target)
        save(encoder, target, **norms)
        time.sleep(0.3)

    monkeypatch.setattr(encoders, "save_encoder", slowly)
    recipe = Recipe.load("claims", QUICK)
    found = in_two_labs(tmp_path, lambda lab: encoders.kept_encoder(lab, recipe))
    assert found == saved * 2
    assert (found[0] / "model.safetensors").is_file()


@pytest.mark.parametrize("content", ["{", "[]", '{"simclr-head": []}', '{"simclr-head": {"outcome": "holds"}}'])
def test_outcomes_that_were_edited_are_told_before_the_work(tmp_path: Path, content: str) -> None:
    (tmp_path / "outcomes.json").write_text(content)
    with pytest.raises(InputError, match=r"outcomes.json: .*delete it: the same commands take what came out"):
        reproduce(["simclr-head"], tmp_path, say=lambda text: None)
    assert [path.name for path in tmp_path.iterdir()] == ["outcomes.json"]


def test_a_result_that_was_cut_is_named(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert lab.result("one", {}, lambda: {"a": 1}) == {"a": 1}
    (path,) = (tmp_path / "results").glob("one-*.json")
    path.write_text('{"a"')
    with pytest.raises(InputError, match=r"one-\w+.json: not valid JSON .*; delete it: the same command works it out"):
        lab.result("one", {}, lambda: {"a": 2})
