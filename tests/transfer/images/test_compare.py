from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from sklearn.datasets import load_digits

from foretell.data.splits import Parts
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.errors import InputError
from foretell.measures.metrics import METRICS
from foretell.run import Run
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import amounts, fractions_of
from foretell.transfer.images import engine
from foretell.transfer.images.compare import compare, held_out
from foretell.transfer.images.frozen import judgement
from foretell.transfer.images.labelled import labelled
from foretell.transfer.protocol import Protocol
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.trials import Trial
from foretell.verbs import worth

QUICK = TransferConfig(device="cpu", steps=12, batch=16, curve_points=3, rates=(1e-3, 3e-3))


def small(digits, views, encoder, **more):
    given = {"per_class": (1, 4), "seeds": (0, 1, 2), "trials": 2, "training": QUICK, **more}
    protocol = Protocol(**{field.name: given.pop(field.name) for field in fields(Protocol) if field.name in given})
    return compare(encoder, digits.store, train=digits.train, test=digits.test, views=views, protocol=protocol, **given)


@pytest.fixture(scope="module")
def result(digits, views, trained, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("compared") / "run"
    made = Run.create(path)
    told: list[tuple[int, int]] = []
    found = small(
        digits,
        views,
        trained,
        run=made,
        split="at random",
        progress=lambda done, total, what: told.append((done, total)),
    )
    made.close()
    return found, json.loads((path / "results" / "comparison.json").read_text()), told


def test_an_encoder_that_knows_the_digits_is_found_to_be_worth_it(result) -> None:
    found, _, _ = result
    means = {(row["arm"], row["labels"]): row["mean"] for row in found["summary"] if row["metric"] == "accuracy"}
    for labels in (10, 40):
        assert means["pretrained", labels] > 0.85 > means["scratch", labels] + 0.2
        assert means["probe", labels] > means["random", labels] + 0.1
    assert found["verdict"].startswith("Pretraining was worth it with 10 and 40 labels")
    assert "had not ended at 40 labels" in found["verdict"]
    assert all(point["equals_scratch_with"] is None for point in found["labels_saved"]["points"])
    assert all(entry["steps"]["pretrained"] <= entry["steps"]["scratch"] for entry in found["to_reach_scratch"]["all"])
    assert found["knn"]["pretrained"]["accuracy"] > found["knn"]["pixels"]["accuracy"] - 0.02
    assert found["linear_probe"]["pretrained"]["accuracy"] > found["linear_probe"]["random"]["accuracy"]


def test_the_file_has_what_the_report_reads(result) -> None:
    _, found, _ = result
    assert {
        "metric", "classes", "test", "seeds", "trials", "arms", "rows", "summary", "paired", "search", "labels_saved",
        "to_reach_scratch", "confusion", "knn", "linear_probe", "cost", "verdict",
    } <= found.keys()  # fmt: skip
    assert len(found["rows"]) == 4 * 2 * 3
    for row in found["rows"]:
        assert {
            "arm",
            "per_class",
            "labels",
            "seed",
            *METRICS,
            "steps",
            "seconds",
            "samples",
            "rate",
            "curve",
        } <= row.keys()
        assert 50e6 < row["peak_memory_bytes"] < 10e9
    assert {(entry["arm"], entry["labels"], len(entry["trials"])) for entry in found["search"]} == {
        (arm, labels, 2) for arm in ("pretrained", "scratch", "probe", "random") for labels in (10, 40)
    }
    assert all(
        {"rate", "steps", "weight_decay"} <= e["chosen"].keys() for e in found["search"] if e["arm"] == "scratch"
    )
    assert np.sum(found["confusion"]["matrix"]) == 300
    assert found["confusion"]["labels"] == 40
    assert found["test"] == {"samples": 300, "split": "at random"}
    assert found["knn"]["random"]["k"] == 20
    assert [len(row["curve"]) for row in found["rows"] if row["arm"] == "scratch"] == [4, 0, 0, 4, 0, 0]


def test_every_training_is_counted(result) -> None:
    _, found, _ = result
    # 2 tuned and 2 frozen arms, 2 amounts of labels, 3 seeds; 2 trials on 1 (of one label a class) and on 2 parts
    work = found["cost"]["work"]
    assert {name: work[name] for name in work if name != "seconds"} == {
        "fine_tunings": 12, "in_searches": 2 * 2 * (1 + 2), "linear": 12,
    }  # fmt: skip
    assert sum(row["seconds"] for row in found["rows"]) < work["seconds"] < found["cost"]["seconds"]


def test_arms_are_treated_alike(result) -> None:
    _, found, _ = result
    by_arm = {arm: [row for row in found["rows"] if row["arm"] == arm] for arm in ("pretrained", "scratch")}
    for ours, others in zip(*by_arm.values(), strict=True):
        assert [ours[key] for key in ("labels", "seed", "steps", "samples")] == [
            others[key] for key in ("labels", "seed", "steps", "samples")
        ]


def test_the_work_of_every_arm_is_counted(result, trained) -> None:
    _, found, _ = result
    layers: list[float] = []  # a layer's forward pass on one image

    def note(module, given, made) -> None:
        layers.append(2 * module.weight.numel() * made[0, 0].numel())

    hooks = [m.register_forward_hook(note) for m in trained.modules() if isinstance(m, torch.nn.Conv2d)]
    trained.eval()
    with torch.no_grad():
        trained(torch.zeros(1, 1, 8, 8))
    for hook in hooks:
        hook.remove()
    forward = sum(layers)
    head = 2 * trained.dim * 10
    step = 3 * (forward + head) - layers[0]  # no gradient of the image
    for row in found["rows"]:
        if row["arm"] in ("pretrained", "scratch"):
            # the probe that the pretrained head starts from, and batch norm measured again
            embedded = (row["labels"] if row["arm"] == "pretrained" else 0) + 256
            counted = row["samples"] * step + embedded * forward
            # the resizing of the views is a matrix product, too
            assert 0 < row["flops"] - counted < 1e-3 * counted
        else:
            assert row["flops"] == row["labels"] * forward


def test_arms_are_looked_at_after_the_same_steps_however_many_they_choose(
    digits, views, trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_for_pretrained(start, data, *, keep, **given):
        chosen = Trial(1e-3, 12 if start.scratch else 6, 0.0)
        return chosen, {"how": "given", "method": "grid", "trials": [], "chosen": chosen.record()}

    monkeypatch.setattr(engine, "search", short_for_pretrained)
    found = small(
        digits, views, trained, arms=("pretrained", "scratch"), per_class=(2,), seeds=(0,), all_labels=False,
        training=QUICK.model_copy(update={"curve_samples": 100}),
    )  # fmt: skip
    steps = {row["arm"]: [point[0] for point in row["curve"]] for row in found["rows"]}
    assert steps == {"pretrained": [0, 4, 6], "scratch": [0, 4, 8, 12]}
    reached = found["to_reach_scratch"]
    assert 90 < reached["samples"] <= 100
    assert reached["all"][0]["every"] == 4
    assert reached["all"][0]["steps"]["pretrained"] == 0, (
        "the probe it starts from is better than training from scratch"
    )


def test_progress_ends_where_it_said_it_would(result) -> None:
    found, _, told = result
    few, more = (QUICK.samples_for(n) for n in sorted({row["labels"] for row in found["rows"]}))
    # 3 frozen looks with all labels, and for both fractions: 2 arms of 2 trials (of 1 and 2 fits) and 3 seeds, 2 frozen arms
    trainings = 2 * (2 + 3) * few + 2 * (2 * 2 + 3) * more
    assert {total for _, total in told} == {trainings + 1000 * (3 + 2 * 2)}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]


def test_an_interrupted_comparison_goes_on(digits, views, trained, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = 0
    real = engine.ImageEngine._fit

    def counted(self, *args):
        nonlocal fits
        fits += 1
        if fits == 3:
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(engine.ImageEngine, "_fit", counted)
    settings = {"arms": ("pretrained", "scratch"), "per_class": (2,), "seeds": (0, 1), "trials": 1, "run": run}
    with pytest.raises(KeyboardInterrupt):
        small(digits, views, trained, **settings)
    with open(run.path / "results" / "comparison.jsonl", "a") as file:
        file.write('{"key": "cut sho')  # what a crash leaves
    resumed = small(digits, views, trained, **settings)
    assert fits == 5
    assert resumed["cost"]["reused"] > 0
    whole = small(digits, views, trained, **{**settings, "run": None})
    assert fits == 9
    for ours, others in zip(resumed["rows"], whole["rows"], strict=True):
        assert {m: ours[m] for m in METRICS} == pytest.approx({m: others[m] for m in METRICS})
    again = small(digits, views, trained, **settings)
    assert fits == 9
    assert again["cost"]["work"] == resumed["cost"]["work"], "what lies in the run took what it took"
    assert again["cost"]["seconds"] < again["cost"]["work"]["seconds"]
    assert again["summary"] == resumed["summary"]
    small(digits, views, trained, **{**settings, "training": QUICK.model_copy(update={"batch": 24}), "seeds": (0,)})
    assert fits == 11, "other settings are other fits"


def test_a_drawn_search_is_the_same_for_every_arm_and_lies_in_the_run(digits, views, trained, run: Run) -> None:
    config = QUICK.model_copy(update={"search": SearchConfig(method="random", pruning="median")})
    given = {"arms": ("pretrained", "scratch"), "per_class": (4,), "seeds": (0,), "trials": 4, "training": config}
    found = small(digits, views, trained, run=run, **given)
    ours, theirs = found["search"]
    assert len(ours["trials"]) == len(theirs["trials"]) == found["trials"] == 4
    for name in ("rate", "steps", "weight_decay"):
        assert [trial[name] for trial in ours["trials"]] == [trial[name] for trial in theirs["trials"]]
    tried = sum(trial["seconds"] for entry in found["search"] for trial in entry["trials"])
    assert found["cost"]["work"]["seconds"] > tried
    assert ours["pruning"]["spared"] == theirs["pruning"]["spared"] == 3
    assert {trial["state"] for trial in ours["trials"]} <= {"complete", "pruned"}
    best = max(trial["validation"] for trial in ours["trials"] if trial["state"] == "complete")
    chosen = next(t for t in ours["trials"] if {**t, **ours["chosen"]} == t)
    assert chosen["validation"] == best
    studies = optuna.get_all_study_summaries(f"sqlite:///{run.path / 'search.db'}")
    assert [study.n_trials for study in studies] == [4, 4]
    (run.path / "results" / "comparison.jsonl").unlink()
    again = small(digits, views, trained, run=run, **given)
    assert again["search"] == found["search"], "no trial is made again"


def test_another_process_takes_part_in_the_searches_alone(digits, views, trained, run: Run) -> None:
    config = QUICK.model_copy(update={"search": SearchConfig(method="random")})
    given = {"arms": ("pretrained", "probe"), "per_class": (2,), "seeds": (0,), "trials": 2, "training": config}
    told: list[tuple[int, int]] = []
    joined = small(
        digits,
        views,
        trained,
        run=run,
        join=True,
        **given,
        progress=lambda done, total, what: told.append((done, total)),
    )
    assert not list((run.path / "results").iterdir())
    assert told[-1][0] == told[-1][1]
    whole = small(digits, views, trained, run=run, **given)
    assert joined["search"] == [entry for entry in whole["search"] if entry["arm"] == "pretrained"]


def test_the_published_grid_is_that_of_every_arm(digits, views, trained) -> None:
    config = QUICK.model_copy(update={"steps": 1, "search": SearchConfig(method="published")})
    found = small(digits, views, trained, arms=("pretrained", "probe"), per_class=(1,), seeds=(0,), training=config)
    assert [len(entry["trials"]) for entry in found["search"]] == [28, 28]
    assert found["trials"] == 28


def test_no_fit_of_other_labels_or_groups_is_taken_for_these() -> None:
    labels, groups = ["a", "b"] * 4, [str(n // 2) for n in range(8)]
    other = store_with([*labels[:6], "b", "a"], groups)
    found = {
        labelled(store, np.arange(8)).content()
        for store in (
            store_with(labels),
            store_with(labels, groups),
            other,
            store_with(labels, groups[::-1]),
            store_with(labels),
        )
    }
    assert len(found) == 3, "the order of the names of groups means nothing"


def test_a_supervised_start_is_an_arm(digits, views, trained, encoder) -> None:
    arms = ("pretrained", "supervised")
    found = small(digits, views, encoder, supervised=trained, arms=arms, per_class=(2,), seeds=(0,), trials=1)
    scores = {row["arm"]: row["accuracy"] for row in found["rows"]}
    assert scores["supervised"] > scores["pretrained"] + 0.2
    assert {(row["arm"], row["against"]) for row in found["paired"]} == {("pretrained", "supervised")}
    assert list(
        small(digits, views, encoder, arms=("probe", "supervised"), per_class=(2,), seeds=(0,), trials=1)["arms"]
    ) == ["probe"]


def test_the_headline_is_what_is_chosen_by_compared_and_told(digits, views, trained) -> None:
    asked = {"arms": ("pretrained", "scratch"), "per_class": (4,), "trials": 2}
    by_accuracy = small(digits, views, trained, **asked)
    found = small(digits, views, trained, training=QUICK.model_copy(update={"metric": "macro_f1"}), **asked)
    assert (by_accuracy["metric"], found["metric"]) == ("accuracy", "macro_f1")
    tried = [
        [trial["validation"] for trial in record["trials"]] for record in (*found["search"], *by_accuracy["search"])
    ]
    assert tried[:2] != tried[2:]
    assert "macro-F1" in found["verdict"]


def test_a_score_to_choose_by_is_the_one_that_was_asked_for() -> None:
    truth = np.array([0] * 9 + [1])
    always = np.tile(np.array([[0.8, 0.2]], np.float32), (10, 1))
    told_apart = np.array([[0.6, 0.4]] * 6 + [[0.4, 0.6]] * 4, np.float32)
    scores = {
        metric: [judgement([(p, truth)], metric, None)[0] for p in (always, told_apart)]
        for metric in ("accuracy", "balanced_accuracy", "auroc")
    }
    assert scores["accuracy"] == pytest.approx([0.9, 0.7])
    assert scores["balanced_accuracy"] == pytest.approx([0.5, (6 / 9 + 1) / 2])
    assert scores["auroc"][0] == 0.5 < scores["auroc"][1]
    assert judgement([(always[:3], truth[:3])], "auroc", None)[0] == 0.5  # of one class it is not defined
    findings = np.stack([truth, truth], axis=1).astype(np.float32)
    assert (
        judgement([(told_apart, findings)], "balanced_accuracy", None)[0]
        != judgement([(told_apart, findings)], "auroc", None)[0]
    )


def test_fractions_that_add_nothing_are_left_out_in_words(digits) -> None:
    data = labelled(digits.store, digits.train)
    found, notes = fractions_of(data, (1, None, 40, 500, 600), (0, 1), TransferConfig())
    assert [fraction.per_class for fraction in found] == [1, 40, 500]
    assert [fraction.labels(0) for fraction in found] == [10, found[1].labels(0), 400]
    short = sum(np.bincount(data.codes) < 40)
    assert notes == [
        f"40 a class: {short} of 10 classes have fewer and give what they have",
        "500 a class: 10 of 10 classes have fewer and give what they have",
        "600 a class: no label more than before, left out",
        "all: no label more than before, left out",
    ]
    assert set(found[0].positions[0]) < set(found[1].positions[0]) < set(found[2].positions[0])


def test_shares_of_each_class_are_nested_fractions(digits) -> None:
    data = labelled(digits.store, digits.train)
    found, notes = fractions_of(data, amounts("30%, 10%,all", "--per-class"), (0, 1), TransferConfig())
    assert ([fraction.per_class for fraction in found], notes) == ([0.1, 0.3, None], [])
    for fraction, share in zip(found[:2], (0.1, 0.3), strict=True):
        counts = np.bincount(data.codes[fraction.positions[1]])
        assert counts.tolist() == [max(1, round(share * n)) for n in np.bincount(data.codes)]
    assert set(found[0].positions[0]) < set(found[1].positions[0]) < set(found[2].positions[0])


def store_with(labels: list[str | None], groups: list[str | None] | None = None) -> ImageStore:
    images = (load_digits().images[: len(labels)] * 15.9).astype(np.uint8)[..., None]
    columns: dict[str, list[str | None]] = {"label": labels}
    if groups is not None:
        columns["group"] = groups
    return ImageStore.of(images, Table(columns), source="photos")


def test_bad_labels_have_their_own_messages() -> None:
    index = np.arange(4)
    with pytest.raises(
        InputError, match=r"photos: one class only \('a', 4 samples\); a classifier needs labels of at least"
    ):
        labelled(store_with(["a"] * 6), index)
    with pytest.raises(InputError, match="photos: none of 4 samples has a label; label some"):
        labelled(store_with([None] * 4 + ["a", "b"]), index)
    with pytest.raises(InputError, match="photos: no 'label' column"):
        labelled(ImageStore.of(np.zeros((4, 8, 8), np.uint8), source="photos"), index)


def test_what_is_left_out_is_counted() -> None:
    store = store_with(["a", "b", None, "a", "b", "c", None, "a"])
    train, test, notes = held_out(store, np.arange(4), np.arange(4, 8))
    assert (train.index.tolist(), test.index.tolist()) == ([0, 1, 3], [4, 7])
    assert notes == [
        "1 training sample without a label left out",
        "1 test sample without a label left out",
        "1 test sample left out: no training label names c",
    ]


def test_a_test_part_without_a_training_label_is_refused() -> None:
    store = store_with(["a", "b", "a", "b", "c", "d", "c", "d"])
    with pytest.raises(InputError, match="photos: no training label names c, d, the labels of all test samples; give"):
        held_out(store, np.arange(4), np.arange(4, 8))


def test_samples_and_groups_in_both_parts_are_refused() -> None:
    store = store_with(["a", "b"] * 4, ["p", "q", "r", "s", "s", "t", "u", None])
    with pytest.raises(InputError, match=r"1 sample both in .*'photos\[3\]'"):
        held_out(store, [0, 1, 3], [3, 4])
    with pytest.raises(InputError, match=r"1 group both in .*'s'"):
        held_out(store, [0, 1, 2, 3], [4, 5, 6, 7])


def test_an_unknown_arm_names_the_nearest(digits, views, encoder) -> None:
    with pytest.raises(InputError, match="unknown arm 'scrach'; did you mean 'scratch'"):
        small(digits, views, encoder, arms=("scrach",))
    with pytest.raises(InputError, match="at least one seed"):
        small(digits, views, encoder, seeds=())


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "comparison.jsonl")
    with pytest.raises(Exception, match="could not be written"):
        cache.get({"a": 1}, lambda: {"x": float("nan")})


def test_evaluation_of_a_frozen_encoder_has_intervals(digits, views, trained) -> None:
    groups = np.arange(len(digits.store)).astype(str)
    groups[digits.test] = np.char.add("test ", (np.arange(len(digits.test)) // 3).astype(str))
    store = digits.store.with_table(digits.store.table.with_column("group", groups.tolist()))
    parts = Parts(digits.train, digits.test, "at random")
    found = worth.frozen(trained, store, parts, views=views, config=TransferConfig(device="cpu"), trials=3)
    for way in ("knn", "linear_probe"):
        scores = found[way]["pretrained"]
        low, high = scores["intervals"]["accuracy"]
        assert low <= scores["accuracy"] <= high
        assert 0 < high - low < 0.1
        assert scores["accuracy"] > 0.9
    retrieval = found["retrieval"]["pretrained"]
    assert retrieval["class"]["recall"]["1"] > 0.9
    assert retrieval["class"]["map"] > retrieval["group"]["map"]
