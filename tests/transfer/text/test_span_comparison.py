"""Tagging and question answering in the comparison: every arm, the task's baseline, thresholds from labels held out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from span_tasks import MAKERS, questions, tags
from text_topics import QUICK, knowing_encoder, small_decoder, topics

from foretell.errors import InputError
from foretell.run import Run
from foretell.tasks.base import TextTask
from foretell.transfer.protocol import Protocol
from foretell.transfer.text.answer_threshold import chosen_threshold
from foretell.transfer.text.compare import compare_text
from foretell.transfer.text.span_engine import SPAN_ARMS
from foretell.transfer.text.tuning import TextStart, tune
from foretell.transfer.trials import Trial

CONFIG = QUICK.model_copy(update={"steps": 40})


@pytest.fixture(scope="module", params=MAKERS)
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    model, layout = knowing_encoder()
    train, test = MAKERS[request.param](layout, 60, 1), MAKERS[request.param](layout, 24, 2)
    run = Run.create(tmp_path_factory.mktemp("spans") / request.param)

    def again() -> dict[str, Any]:
        return compare_text(
            model,
            train=train,
            test=test,
            protocol=Protocol(per_class=[20, None], seeds=[0, 1], trials=2),
            training=CONFIG,
            run=run,
        )

    yield request.param, again(), run, again
    run.close()


def test_every_arm_is_there_with_its_cost(compared) -> None:  # type: ignore[no-untyped-def]
    kind, result, run, _ = compared
    assert set(result["arms"]) == set(SPAN_ARMS)
    assert result["task"] == kind
    assert len(result["rows"]) == 5 * 2 * 2
    metric = {"tagging": "accuracy", "answering": "f1"}[kind]
    assert result["metric"] == metric
    for row in result["rows"]:
        assert 0 <= row[metric] <= 1
        assert row["labels"] in (20, 60)
        assert (row["flops"] == 0) == (row["arm"] == "baseline")
        assert row["seconds"] >= 0
        assert row["tokens"] > 0
    searches = {(one["arm"], one["labels"]): one for one in result["search"]}
    assert {len(one["trials"]) for (arm, _), one in searches.items() if arm != "baseline"} == {2}
    spent = {row["arm"]: row["flops"] for row in result["rows"] if row["labels"] == 60 and row["seed"] == 0}
    assert spent["probe"] == spent["random"] == pytest.approx(spent["scratch"] / 3)
    title = {"tagging": "commonest tag of the word", "answering": "sliding window"}[kind]
    assert result["arms"]["baseline"]["title"] == title
    assert f"{title}, beside pretraining".lower() in result["verdict"].lower()
    assert json.loads((run.path / "results" / "comparison.json").read_text())["metric"] == metric


def test_a_comparison_goes_on_where_it_was(compared) -> None:  # type: ignore[no-untyped-def]
    _, result, _, goes_on = compared
    repeated = goes_on()
    assert repeated["rows"] == result["rows"]
    assert repeated["cost"]["reused"] > 0


def test_thresholds_are_settled_on_labels_held_out(compared) -> None:  # type: ignore[no-untyped-def]
    kind, result, _, _ = compared
    told = ["threshold" in row for row in result["rows"]]
    assert all(told) if kind == "answering" else not any(told)


def test_an_unknown_arm_is_named() -> None:
    model, layout = knowing_encoder()
    with pytest.raises(InputError, match="unknown arm 'tfidf'"):
        compare_text(model, train=tags(layout, 9, 1), test=tags(layout, 9, 2), protocol=Protocol(arms=["tfidf"]))
    with pytest.raises(InputError, match="unknown arm 'baseline'"):
        compare_text(model, train=topics(layout, 9, 1), test=topics(layout, 9, 2), protocol=Protocol(arms=["baseline"]))


@pytest.mark.parametrize("maker", [knowing_encoder, small_decoder])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_frozen_network_stays_as_it_is_and_its_head_learns(kind: str, maker) -> None:  # type: ignore[no-untyped-def]
    model, layout = maker()
    data = MAKERS[kind](layout, 60, 1)
    fitted = tune(TextStart(model, frozen=True), data, config=CONFIG, trial=Trial(1e-2, 60, 0.0), seed=0)
    own = dict(fitted.tuner.model.named_parameters())
    assert all(torch.equal(parameter, own[name]) for name, parameter in model.named_parameters() if name in own)
    assert fitted.tuner.head.out.weight.abs().max() > 0.01
    still = tune(TextStart(model, frozen=True), data, config=CONFIG, trial=Trial(1e-9, 1, 0.0), seed=0)
    losses = [one.tuner.judged(data, data.score()) for one in (fitted, still)]
    assert losses[0] < losses[1] - 0.05


def test_the_threshold_is_chosen_on_what_was_not_learnt_from() -> None:
    _, layout = knowing_encoder()
    data = questions(layout, 30, 1)
    seen: list[tuple[set[int], set[int]]] = []

    def fitted(part: TextTask):  # type: ignore[no-untyped-def]
        from foretell.tasks.baselines import baseline_of

        def answers(held: TextTask) -> list[object]:
            seen.append((set(part.index.tolist()), set(held.index.tolist())))
            return baseline_of(part)(held)

        return answers

    splits = [(np.arange(20), np.arange(20, 30)), (np.arange(10, 30), np.arange(10))]
    assert np.isfinite(chosen_threshold(data, splits, fitted))
    assert all(not a & b for a, b in seen)
    assert len(seen) == 2
    assert chosen_threshold(data, [], fitted) == 0.0
    assert chosen_threshold(questions(layout, 9, 1, answered=True), splits, fitted) == float("inf")
    assert len(seen) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here, or FORETELL_TEST_CUDA is not 1")
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("maker", [knowing_encoder, small_decoder])
def test_a_gpu_gives_what_the_cpu_gives(kind: str, maker) -> None:  # type: ignore[no-untyped-def]
    model, layout = maker()
    data = MAKERS[kind](layout, 60, 1)
    tuner = tune(TextStart(model), data, config=CONFIG, trial=Trial(1e-2, 60, 0.0), seed=0).tuner
    losses, scores = [], []
    for device in ("cpu", "cuda"):
        score = data.score()
        losses.append(tuner.to(device).judged(data, score))
        scores.append(score.result())
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert scores[1] == pytest.approx(scores[0], abs=0.02)
