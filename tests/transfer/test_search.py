from __future__ import annotations

import math
import sys

import pytest

from foretell.errors import ForetellError, InputError
from foretell.recipe import Recipe
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.search import best, choose, require, searched
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.trials import Judged, Keep, Report, Space, Trial, answer_of, grid, looking, published, trials_of
from foretell.transfer.watch import Watch
from foretell.views.config import ViewConfig

SPACE = Space((1e-4, 1e-1), 40, 1e-4)


def peak(trial: Trial, report: Report | None = None) -> Judged:
    """Best at a rate of 0.01."""
    score = 1 - abs(math.log10(trial.rate) + 2) / 4
    return Judged(score, 1 - score, 0.01)


@pytest.mark.parametrize("trials", [1, 2, 4, 6, 8, 9])
def test_every_arm_gets_the_same_number_of_trials(trials: int) -> None:
    found = grid((1e-4, 1e-2), 60, trials, 1e-4)
    assert len(set(found)) == trials
    assert max(trial.steps for trial in found) == 60
    assert {trial.steps for trial in found} == ({30, 60} if trials >= 6 else {60})
    rates = sorted({trial.rate for trial in found})
    if trials == 1:
        assert rates == [pytest.approx(1e-3)]
    else:
        assert (rates[0], rates[-1]) == (pytest.approx(1e-4), pytest.approx(1e-2))


def test_the_published_grid_has_the_values_of_the_paper() -> None:
    found = published(Space((1e-4, 1e-2), 50, 0.3, "sgd"))
    assert len(set(found)) == 28 == trials_of(SearchConfig(method="published"), 8)
    rates = sorted({trial.rate for trial in found})
    assert [math.log10(rate) for rate in rates] == pytest.approx([-3.5, -3, -2.5, -2, -1.5, -1, -0.5], abs=1e-3)
    assert sorted({trial.weight_decay for trial in found}) == [0, 1e-5, 1e-4, 1e-3]
    assert {trial.steps for trial in found} == {50}


def test_for_adamw_a_step_of_the_published_grid_shrinks_weights_as_much() -> None:
    ours, theirs = (published(Space((1e-4, 1e-2), 50, 0.0, name)) for name in ("adamw", "sgd"))
    for adamw, sgd in zip(ours, theirs, strict=True):
        # momentum 0.9 sums ten steps of SGD's decay
        assert adamw.rate * adamw.weight_decay == pytest.approx(10 * sgd.rate * sgd.weight_decay, rel=1e-3)
        assert adamw.rate == pytest.approx(sgd.rate / 10, rel=1e-3)


def test_ties_are_broken_by_cross_entropy_and_failures_lose() -> None:
    scores = [(0.5, 1.2), (0.5, 1.1), (0.4, 0.9), (None, None)]
    records = [
        {**trial.record(), "validation": score, "validation_loss": loss}
        for trial, (score, loss) in zip(grid((1e-4, 1e-1), 10, 4, 0.0), scores, strict=True)
    ]
    records[3]["failed"] = "nan"
    assert best(records) == Trial(records[1]["rate"], 10, 0.0)
    with pytest.raises(ForetellError, match=r"every one of 4 trials failed \(nan\); lower transfer\.rates"):
        best(records[3:] * 4)


def test_what_a_trial_came_to_is_kept_once(tmp_path) -> None:
    asked = []

    def judge(trial: Trial, report: Report | None) -> Judged:
        asked.append(trial)
        if trial.rate > 0.05:
            raise ForetellError("loss is not finite")
        return peak(trial)

    def search() -> list[dict]:
        keep = Keep.of(Cache(tmp_path / "trials.jsonl"), {"of": "this"}, SearchConfig(), None)
        return choose(grid(SPACE.rates, 40, 4, 1e-4), judge, seed=0, remember=keep.remember)

    records = search()
    assert [record["state"] for record in records] == ["complete", "complete", "complete", "failed"]
    assert records[3]["failed"] == "loss is not finite"
    assert all(record["seconds"] >= 0 for record in records)
    assert best(records).rate == pytest.approx(1e-2)
    assert search() == records
    assert len(asked) == 4


def test_a_single_trial_is_not_judged() -> None:
    for method in ("grid", "random", "tpe"):
        chosen, record = searched(
            SPACE, lambda trial, report: 1 / 0, config=SearchConfig(method=method), trials=1, seed=0
        )
        assert chosen.rate == pytest.approx(math.sqrt(1e-5))
        assert record["trials"] == []


def test_a_watch_reports_a_quarter_half_and_three_quarters_through() -> None:
    told: list[tuple[int, float, float]] = []
    made = looking(lambda *one: told.append(one), Trial(0.1, 10, 0), 1, 2, lambda one: one, Watch)
    assert made is not None
    watch = made()
    for step in range(1, 11):
        if step % watch.every == 0 or step == 10:
            watch(step / 10, step)  # type: ignore[arg-type]
    assert told == [(4, 0.6, 0.2), (5, 0.7, 0.4), (6, 0.8, 0.6)]
    assert looking(None, Trial(0.1, 10, 0), 0, 1, lambda one: one, Watch) is None


def test_a_trial_without_a_score_is_no_number() -> None:
    answer = answer_of(lambda trial, report: Judged(math.nan, 1.0, 0.0), Trial(0.1, 1, 0))
    assert answer["validation"] is None
    assert answer["state"] == "complete"


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="rates: give a lowest and a highest"):
        TransferConfig(rates=(1e-2, 1e-3))
    config = TransferConfig(layer_decay=0.5, freeze_norm=True, head="probe")
    scratch = config.classifier(scratch=True)
    assert (scratch.layer_decay, scratch.freeze_norm, scratch.head) == (1.0, False, "zero")
    assert config.classifier().layer_decay == 0.5
    assert [config.steps_for(n) for n in (10, 500, 10**6)] == [100, 447, 5000]
    assert [config.batch_for(n) for n in (10, 50, 500)] == [16, 50, 64]
    bags = config.model_copy(update={"pooling": "attention", "bag": 6})
    assert [bags.batch_for(n) for n in (10, 50, 500)] == [18, 54, 66]
    assert bags.model_copy(update={"bag": 40}).batch_for(10) == 80, "two bags, so that a step has more than one case"


def test_search_settings_are_checked() -> None:
    with pytest.raises(InputError, match=r"transfer\.search\.method=tpee: .* not 'tpee'; did you mean 'tpe'\?"):
        Recipe.load(None, {}, ["transfer.search.method=tpee"])
    with pytest.raises(
        InputError, match=r"unknown key 'transfer\.search\.methd'; did you mean 'transfer\.search\.method'"
    ):
        Recipe.load(None, {}, ["transfer.search.methd=tpe"])
    with pytest.raises(InputError, match=r"^--set transfer\.search\.budget=5m: the grid of method = 'grid' is tried"):
        Recipe.load(None, {}, ["transfer.search.method=grid", "transfer.search.budget=5m"])
    with pytest.raises(InputError, match=r"^--set transfer\.search\.budget=5 apples: '5 apples' is not a time"):
        Recipe.load(None, {}, ["transfer.search.method=tpe", "transfer.search.budget=5 apples"])
    assert not TransferConfig().search.in_study
    assert not SearchConfig(method="published").in_study
    assert SearchConfig(pruning="median").in_study


def test_a_missing_optuna_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    require(SearchConfig(method="published"))
    with pytest.raises(
        InputError, match=r"transfer\.search\.method = 'tpe' needs optuna: pip install 'foretell\[search\]'"
    ):
        searched(SPACE, peak, config=SearchConfig(method="tpe"), trials=4, seed=0)
    with pytest.raises(InputError, match=r"transfer\.search\.pruning = 'median' needs optuna"):
        require(SearchConfig(pruning="median"))


def test_fine_tuning_views_are_milder_unless_they_are_given() -> None:
    strong = ViewConfig(
        side=28, scale=(0.2, 1.0), contrast=0.4, rotation=20, flip=0.0, blur=0.5, mean=(0.5,), std=(0.2,)
    )
    milder = TransferConfig().views_after(strong)
    assert milder.scale == (0.6, 1.0)
    assert (milder.contrast, milder.blur, milder.grey) == (0.2, 0.0, 0.0)
    assert (milder.rotation, milder.flip, milder.side, milder.mean) == (20, 0.0, 28, (0.5,))
    chosen = TransferConfig(views=ViewConfig(side=99, scale=(0.9, 1.0), contrast=0.1))
    own = chosen.views_after(strong.model_copy(update={"interpolation": "bicubic"}))
    assert (own.scale, own.contrast, own.side, own.std, own.interpolation) == ((0.9, 1.0), 0.1, 28, (0.2,), "bicubic")
