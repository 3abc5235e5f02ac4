from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from text_topics import QUICK, goes_on, knowing_encoder, same_topic, small_decoder, topics

from foretell.encoders.language import LanguageModel
from foretell.errors import InputError
from foretell.run import Run
from foretell.tasks.base import TextTask
from foretell.tasks.inputs import Sequences, lay
from foretell.transfer.cache import Cache
from foretell.transfer.protocol import Protocol
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.text.arms import TEXT_ARMS
from foretell.transfer.text.compare import compare_text
from foretell.transfer.text.cost import forward_flops, training_flops
from foretell.transfer.text.features import Bank, embed_units, readings_of
from foretell.transfer.text.linear import fit_choice, fit_dense, fit_sparse, search_linear
from foretell.transfer.text.once import finetune_text, search_text
from foretell.transfer.text.tfidf import KINDS, TfIdf, _vectorisers
from foretell.transfer.text.tuning import TextStart, TextTuner, next_words, tune
from foretell.transfer.text_config import TextTuning
from foretell.transfer.trials import Trial

TRIAL = Trial(3e-3, 40, 0.01)
MAKERS = {"classification": topics, "similarity": same_topic, "choice": goes_on}


@pytest.fixture(scope="module")
def encoder():  # type: ignore[no-untyped-def]
    return knowing_encoder()


def accuracy(tuner: TextTuner, task: TextTask) -> float:
    score = task.score()
    tuner.judged(task, score)
    return score.result()["accuracy"]


def quick(**changes):  # type: ignore[no-untyped-def]
    return QUICK.model_copy(update={"text": QUICK.text.model_copy(update=changes)})


@pytest.mark.parametrize("kind", MAKERS)
def test_a_tuned_model_foretells_what_it_has_not_seen(kind: str, encoder) -> None:
    model, layout = encoder
    train, test = MAKERS[kind](layout, 240, 1), MAKERS[kind](layout, 60, 2)
    before = model.net.tokens.weight.clone()
    fitted = tune(TextStart(model), train, config=QUICK, trial=Trial(3e-3, 300, 0.01), seed=0)
    chance = {"classification": 1 / 3, "similarity": 1 / 2, "choice": 5 / 12}[kind]
    assert accuracy(fitted.tuner, test) > chance + 0.2
    assert torch.equal(model.net.tokens.weight, before)
    assert model.head is not None
    assert fitted.samples == 4800


def test_tuning_is_a_function_of_the_seed(encoder) -> None:
    model, layout = encoder
    config = quick(inner_dropout=0.1)
    runs = [tune(TextStart(model), topics(layout, 30, 1), config=config, trial=TRIAL, seed=s) for s in (0, 0, 1)]
    weights = [torch.cat([p.detach().flatten() for p in run.tuner.parameters()]) for run in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(("inner", "equal"), [(0.0, True), (0.1, False)])
def test_dropout_within_the_network_is_that_of_the_setting_in_attention_too(inner: float, equal: bool, encoder) -> None:
    model, layout = encoder
    kept = LanguageModel(
        model.shape.model_copy(update={"dropout": 0.5, "attention_dropout": 0.4}), "bert", specials=model.specials
    )
    data = topics(layout, 6, 1)
    tuner = TextTuner(quick(inner_dropout=inner).text, kept, data, data).train()
    for part in kept.modules():
        if isinstance(part, torch.nn.Dropout):
            assert part.p == inner
            part.p = 0.0  # what is left is that of attention
    inputs = data.inputs(np.arange(6))
    torch.manual_seed(0)
    first, second = (inputs.states(tuner.model) for _ in range(2))
    assert torch.equal(first, second) == equal
    assert kept.net.layers[0].attention.dropout == inner


def test_scratch_starts_from_weights_of_its_own(encoder) -> None:
    model, layout = encoder
    still = Trial(1e-9, 1, 0.0)
    found = [
        tune(TextStart(model, scratch=True), topics(layout, 30, 1), config=QUICK, trial=still, seed=s)
        for s in (0, 0, 1)
    ]
    tables = [one.tuner.model.net.tokens.weight.detach() for one in found]
    assert torch.equal(tables[0], tables[1])
    assert not torch.allclose(tables[0], tables[2])
    assert not torch.allclose(tables[0], model.net.tokens.weight)


def test_layers_further_down_are_slower_and_gains_are_not_decayed(encoder) -> None:
    from foretell.train.optim import make_optimizer
    from foretell.transfer.text.tuning import bare, training_of

    model, layout = encoder
    data = topics(layout, 30, 1)
    tuner = TextTuner(quick(layer_decay=0.5).text, bare(model), data, data)
    player = tuner.players()["all"]
    assert player.scales["model.net.tokens.weight"] == 0.5
    assert player.scales["model.net.layers.0.wide.weight"] == 1.0
    assert player.scales["head.out.weight"] == TextTuning().head_rate
    optimizer = make_optimizer(player, training_of(QUICK, 30, TRIAL, 0, "float32"))
    for group in optimizer.param_groups:
        assert (group["weight_decay"] == 0.0) == (group["params"][0].ndim == 1)
    assert {group["scale"] for group in optimizer.param_groups} == {0.5, 1.0, TextTuning().head_rate}


def test_the_auxiliary_loss_is_that_of_each_next_token(encoder) -> None:
    model, layout = small_decoder()
    data = topics(layout, 5, 1)
    inputs = data.inputs(np.arange(5))
    with torch.no_grad():
        states = inputs.states(model)
        found = next_words(model, states, inputs)
        expected = []
        for number in range(5):
            ids = torch.tensor(data.sequences.tokens(number))
            logits = model.logits(model.net(ids[None])[0])
            expected.append(float(torch.nn.functional.cross_entropy(logits[:-1], ids[1:])))
    assert float(found) == pytest.approx(np.mean(expected), abs=1e-4)
    assert ids[-1] == layout.trail[0]


def test_a_long_text_counts_as_much_as_a_short_one_in_the_auxiliary_loss() -> None:
    like, _ = small_decoder()
    model = LanguageModel(like.shape.model_copy(update={"positions": 64}), "gpt2").eval()
    torch.nn.init.normal_(model.net.tokens.weight, std=0.5)
    sequences = Sequences.of([[5, 6, 7], [3 + (7 * at) % 40 for at in range(64)]], [3, 64], [2, 63])
    laid = [lay(sequences.take(np.array(which)), np.arange(len(which)), 0) for which in ([0], [1], [0, 1])]
    with torch.no_grad():
        short, long, both = (float(next_words(model, inputs.states(model), inputs)) for inputs in laid)
    assert abs(short - long) > 0.1
    assert both == pytest.approx((short + long) / 2, abs=1e-5)


def test_a_decoder_learns_words_beside_its_task_and_an_encoder_cannot(encoder) -> None:
    model, layout = small_decoder()
    data = topics(layout, 30, 1)
    for weight, expected in ((None, 0.5), (0.0, 0.0), (0.2, 0.2)):
        assert TextTuner(quick(auxiliary=weight).text, model, data, data).auxiliary == expected
    with_words = tune(TextStart(model), data, config=QUICK, trial=TRIAL, seed=0).tuner
    without = tune(TextStart(model), data, config=quick(auxiliary=0.0), trial=TRIAL, seed=0).tuner
    inputs = data.inputs(np.arange(30))
    with torch.no_grad():
        losses = [float(next_words(t.model, inputs.states(t.model), inputs)) for t in (with_words, without)]
    assert losses[0] < losses[1] - 0.5
    own, layout = encoder
    with pytest.raises(InputError, match=r"transfer.text.auxiliary = 0.5: an encoder sees"):
        TextTuner(quick(auxiliary=0.5).text, own, topics(layout, 6, 1), None)


@pytest.mark.parametrize("kind", MAKERS)
def test_features_are_those_of_each_example_alone_and_read_once(kind: str, encoder) -> None:
    model, layout = encoder
    task = MAKERS[kind](layout, 12, 1)
    bank = Bank(model)
    some = task.take(np.array([7, 2]))
    first = bank.of(some, "mean")
    whole = {reading: bank.of(task, reading) for reading in readings_of(bank.model)}
    alone = embed_units(model, task.take(np.array([7])))
    for reading in readings_of(bank.model):
        size = len(alone[reading])
        assert bank.of(some, reading)[:size] == pytest.approx(alone[reading], abs=1e-5)
        assert whole[reading].shape == (len(whole["mean"]), 32)
    assert first == pytest.approx(bank.of(some, "mean"))
    assert np.abs(whole["mean"] - whole["summary"]).max() > 0.1


@pytest.mark.parametrize("kind", MAKERS)
def test_tasks_of_two_tables_do_not_share_features(kind: str, encoder) -> None:
    model, layout = encoder
    one, other = (replace(MAKERS[kind](layout, 6, seed), index=np.arange(6)) for seed in (1, 2))
    bank = Bank(model)
    bank.of(one, "mean")
    assert np.array_equal(bank.of(other, "mean"), Bank(model).of(other, "mean"))


@pytest.mark.parametrize("kind", MAKERS)
def test_linear_models_on_features_and_on_words(kind: str, encoder) -> None:
    model, layout = encoder
    train, test = MAKERS[kind](layout, 120, 1), MAKERS[kind](layout, 90, 2)
    chance = {"classification": 1 / 3, "similarity": 1 / 2, "choice": 5 / 12}[kind]
    bank = Bank(model)
    fitted = fit_dense(bank.of(train, "mean"), train, 0.01)
    score = test.score()
    score.add(fitted.predictions(bank.of(test, "mean"), test), test, np.arange(90))
    if kind == "classification":  # a linear model on a sum or on one side of a pair cannot tell whether two are alike
        assert score.result()["accuracy"] > 0.9
    for grams in KINDS:
        make = TfIdf(grams).fitted(train)
        found = fit_sparse(make(train), train, 1.0).predictions(make(train), train)
        score = train.score()
        score.add(found, train, np.arange(120))
        assert score.result()["accuracy"] > chance + 0.3
        assert all(abs(one.sum() - 1) < 1e-5 for one in found)


def test_a_linear_model_on_words_is_the_same_whatever_was_drawn_before(encoder) -> None:
    _, layout = encoder
    task = topics(layout, 60, 1)
    x = TfIdf("words").fitted(task)(task)
    found = []
    for seed in range(3):
        np.random.seed(seed)
        before = np.random.get_state()[2]
        found.append(fit_sparse(x, task, 1.0).predictions(x, task))
        assert np.random.get_state()[2] == before
    assert all(np.array_equal(one, other) for one, other in zip(found[0], found[1], strict=True))
    assert all(np.array_equal(one, other) for one, other in zip(found[0], found[2], strict=True))


def test_words_of_every_script_are_whole_and_accents_alone_are_left_out() -> None:
    words = _vectorisers("words")[0].build_analyzer()
    assert words("Café पृथ्वी, न्याय น้ำ x_1")[:5] == ["cafe", "पृथ्वी", "न्याय", "น้ํา", "x_1"]


def test_a_conditional_logit_finds_the_weights_of_a_made_up_choice(encoder) -> None:
    _, layout = encoder
    task = goes_on(layout, 600, 1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(task.sequences), 3)).astype(np.float32)
    utility = x @ np.array([2.0, -1.0, 0.0]) + rng.gumbel(size=len(x))
    counts = np.diff(task.first)
    for number in range(len(task)):
        own = slice(task.first[number], task.first[number + 1])
        task.answer[number] = task.place[own][utility[own].argmax()]
    weight = fit_choice(x, task, 1e-4).weight
    assert weight == pytest.approx([2.0, -1.0, 0.0], abs=0.3)
    assert counts.max() == 3


def test_the_search_of_linear_models_shares_out_its_trials(encoder) -> None:
    _, layout = encoder
    task = topics(layout, 60, 1)
    splits = [(np.arange(40), np.arange(40, 60))]
    kinds = {name: TfIdf(name) for name in KINDS}
    chosen, records = search_linear(kinds, fit_sparse, task, splits, 8, (0.1, 10.0))
    assert [sum(record["features"] == name for record in records) for name in KINDS] == [3, 3, 2]
    best = max(records, key=lambda record: (record["validation"], -record["validation_loss"]))
    assert chosen == {"features": best["features"], "strength": best["strength"]}
    assert search_linear(kinds, fit_sparse, task, [], 8, (0.1, 10.0)) == (
        {"features": "words and characters", "strength": pytest.approx(1.0)},
        [],
    )


def test_every_kind_of_ngrams_is_tried_with_two_penalties(encoder, monkeypatch) -> None:
    model, layout = encoder
    asked: dict[str, list[str]] = {}
    real = Cache.get

    def noted(self, key, work):  # type: ignore[no-untyped-def]
        if key["kind"] == "probe search":
            asked.setdefault(f"{key['weights'] == 'tfidf'} {key['trials']}", []).append(key.get("tried", "as asked"))
        return real(self, key, work)

    monkeypatch.setattr(Cache, "get", noted)
    for trials, each in ((1, 0), (2, 2), (6, 2)):
        found = compare_text(
            model, train=topics(layout, 30, 1), test=topics(layout, 6, 2),
            protocol=Protocol(per_class=(5,), seeds=(0,), arms=("probe",), trials=trials), training=QUICK,
        )  # fmt: skip
        tried = [one["features"] for search in found["search"] if search["arm"] == "tfidf" for one in search["trials"]]
        assert [tried.count(name) for name in KINDS] == [each] * 3
    for name, keys in asked.items():
        assert set(keys) == ({6} if name == "True 2" else {"as asked"})


def test_operations_are_those_that_torch_counts(encoder) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from foretell.train.cost import count_flops

    model, layout = encoder
    data = topics(layout, 1, 1)
    with sdpa_kernel(SDPBackend.MATH):
        counted = count_flops(lambda: data.inputs(np.arange(1)).states(model))
    assert forward_flops(model.shape, data.sequences.length) == pytest.approx(counted, rel=1e-6)
    assert training_flops(model.shape, data.sequences.length) == 3 * forward_flops(model.shape, data.sequences.length)


@pytest.fixture(scope="module")
def result(encoder, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    model, layout = encoder
    run = Run.create(tmp_path_factory.mktemp("compared") / "run")
    (run.path / "recipe.toml").write_text("")
    told: list[tuple[int, int]] = []
    given = {
        "train": topics(layout, 120, 1),
        "test": topics(layout, 60, 2),
        "protocol": Protocol((2, 10), trials=2),
        "split": "by hand",
    }
    given |= {"training": QUICK.model_copy(update={"text": QUICK.text.model_copy(update={"rates": (1e-3, 1e-2)})})}
    found = compare_text(model, **given, run=run, progress=lambda done, total, what: told.append((done, total)))
    again = compare_text(model, **given, run=run)
    return found, json.loads((run.path / "results" / "comparison.json").read_text()), told, again


def test_a_comparison_has_every_arm_with_intervals_costs_and_a_verdict(result) -> None:
    found, kept, told, again = result
    assert list(found["arms"]) == list(TEXT_ARMS)
    assert len(found["rows"]) == 5 * 2 * 3
    means = {(row["arm"], row["labels"]): row["mean"] for row in found["summary"] if row["metric"] == "accuracy"}
    assert means["probe", 6] > means["random", 6] + 0.2
    assert means["probe", 6] > means["tfidf", 6] + 0.2
    assert means["pretrained", 30] > means["scratch", 30]
    assert all(row["low"] <= row["mean"] <= row["high"] for row in found["summary"])
    assert {("pretrained", "tfidf"), ("probe", "tfidf")} <= {(row["arm"], row["against"]) for row in found["paired"]}
    assert "TF-IDF, linear model, beside pretraining: with 6 labels" in found["verdict"]
    for row in found["rows"]:
        assert row["seconds"] > 0
        assert row["peak_memory_bytes"] > 0
        assert (row["flops"] > 0) == (row["arm"] != "tfidf")
    tuned = next(row for row in found["rows"] if row["arm"] == "pretrained")
    assert tuned["steps"] == 30
    assert tuned["samples"] == 30 * 8
    assert tuned["tokens"] == 240 * 12
    assert kept["task"] == "classification"
    assert kept["test"] == {"samples": 60, "split": "by hand"}
    assert kept["knn"]["pretrained"]["accuracy"] > 0.9
    assert set(kept["linear_probe"]) == {"pretrained", "random", "tfidf"}
    assert kept["linear_probe"]["pretrained"]["intervals"]["accuracy"][0] > 0.8
    assert np.array(kept["confusion"]["matrix"]).sum() == 60
    assert told[-1][0] == told[-1][1] == max(done for done, _ in told)
    assert again["cost"]["reused"] >= again["cost"]["evaluations"]
    assert again["summary"] == found["summary"]


def test_a_choice_is_compared_without_classes(encoder) -> None:
    model, layout = encoder
    found = compare_text(
        model, train=goes_on(layout, 40, 1), test=goes_on(layout, 30, 2),
        protocol=Protocol(per_class=(20, None), seeds=(0, 1), arms=("pretrained", "probe"), trials=2), training=QUICK,
    )  # fmt: skip
    assert {row["labels"] for row in found["rows"]} == {20, 40}
    assert {row["arm"] for row in found["rows"]} == {"pretrained", "probe", "tfidf"}
    assert found["search"][0]["how"] == "stratified hold-out of 5 of 20 labels"
    assert found["knn"] == {}
    assert found["classes"] == []


def test_the_headline_of_text_is_what_is_chosen_by_compared_and_told(encoder) -> None:
    model, layout = encoder
    train, test = topics(layout, 60, 1), topics(layout, 30, 2)
    asked = QUICK.model_copy(update={"metric": "auroc"})
    found = compare_text(
        model,
        train=train,
        test=test,
        protocol=Protocol(per_class=(5,), seeds=(0, 1), arms=("pretrained", "scratch"), trials=2),
        training=asked,
    )
    assert found["metric"] == "auroc"
    assert "AUROC" in found["verdict"]
    part = train.led_by("auroc").take(np.arange(10))
    assert (part.metric, train.metric, len(part)) == ("auroc", "accuracy", 10)
    with pytest.raises(InputError, match=r"metric=auroc: choice is told in accuracy, chance; give one of these"):
        compare_text(model, train=goes_on(layout, 8, 1), test=goes_on(layout, 8, 2), training=asked)


def test_unknown_arms_are_named(encoder) -> None:
    model, layout = encoder
    with pytest.raises(InputError, match="unknown arm 'pixels'"):
        compare_text(model, train=topics(layout, 6, 1), test=topics(layout, 6, 2), protocol=Protocol(arms=("pixels",)))


def test_an_interrupted_comparison_keeps_what_is_finished(encoder, tmp_path: Path, monkeypatch) -> None:
    from foretell.transfer.text.engine import TextEngine

    model, layout = encoder
    run = Run.create(tmp_path / "run")
    (run.path / "recipe.toml").write_text("")
    real, fits = TextEngine._fit, []

    def counted(self, *args):  # type: ignore[no-untyped-def]
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(TextEngine, "_fit", counted)
    given = {
        "train": topics(layout, 30, 1),
        "test": topics(layout, 30, 2),
        "protocol": Protocol((2,), (0, 1), ("pretrained",), trials=1),
    }
    given |= {"training": QUICK, "run": run}
    with pytest.raises(KeyboardInterrupt):
        compare_text(model, **given)
    compare_text(model, **given)
    assert len(fits) == 3


def test_a_drawn_search_of_text_is_kept_and_goes_on(encoder, tmp_path: Path) -> None:
    model, layout = encoder
    train, test = topics(layout, 60, 1), topics(layout, 30, 2)
    config = QUICK.model_copy(update={"steps": 8, "search": SearchConfig(method="random", pruning="median")})
    _, facts = finetune_text(model, train, config=config, test=test, trials=5, folder=tmp_path)
    record = facts["search"]
    assert len(record["trials"]) == 5
    assert record["pruning"]["spared"] == 3
    assert {trial["state"] for trial in record["trials"]} <= {"complete", "pruned"}
    assert search_text(model, train, config=config, trials=5, folder=tmp_path).record == record
    found = compare_text(
        model,
        train=train,
        test=test,
        protocol=Protocol(per_class=(4,), seeds=(0,), arms=("pretrained", "scratch"), trials=3),
        training=config,
    )
    ours, theirs = (entry for entry in found["search"] if entry["arm"] != "tfidf")
    assert [t["rate"] for t in ours["trials"]] == [t["rate"] for t in theirs["trials"]]
    published = QUICK.model_copy(update={"search": SearchConfig(method="published")})
    with pytest.raises(InputError, match=r"published': is the grid of fine-tuning on images; of text choose"):
        finetune_text(model, train, config=published, trials=2)
