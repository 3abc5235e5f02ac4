"""Cases as the unit of labels and of scores: whole cases get a label, weigh alike, and are judged as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from digit_samples import Digits, new_encoder

from foretell.counters import Rows
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.errors import InputError
from foretell.measures.metrics import score
from foretell.measures.probe import fit_probe
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import fractions_of
from foretell.transfer.images import cases
from foretell.transfer.images.compare import compare, held_out, judged_parts
from foretell.transfer.images.evaluate import at_most
from foretell.transfer.images.fit import finetune_once
from foretell.transfer.images.labelled import Labelled
from foretell.transfer.images.monitors import KnnMonitor
from foretell.transfer.protocol import Protocol
from foretell.transfer.turns import case_turns, members_of
from foretell.views.config import ViewConfig

BY_CASE = TransferConfig(device="cpu", steps=8, batch=16, curve_points=0, rates=(1e-3, 3e-3), unit="case")
SIZES = (1, 2, 3, 6)


def in_cases(digits: Digits, per_class: int = 12) -> tuple[ImageStore, np.ndarray, np.ndarray]:
    """Digits of one class gathered in cases of ``SIZES`` images, named by their class and number; training and test rows."""
    rows, named = [], []
    for code in range(10):
        own = iter(np.flatnonzero(digits.codes == code))
        for number in range(per_class):
            size = SIZES[number % len(SIZES)]
            rows += [next(own) for _ in range(size)]
            named += [f"{code}-{number}"] * size
    store = digits.store.subset(rows)
    table = store.table.with_column("case", named)
    numbers = np.array([int(name.split("-")[1]) for name in named])
    return store.with_table(table), np.flatnonzero(numbers < 8), np.flatnonzero(numbers >= 8)


@pytest.fixture(scope="module")
def grouped(digits: Digits) -> tuple[ImageStore, np.ndarray, np.ndarray]:
    return in_cases(digits)


def names_of(store: ImageStore, data: Labelled) -> list[str | None]:
    return [store.table.column("case")[row] for row in data.index]


def test_a_label_holds_for_all_images_of_its_case() -> None:
    pixels = np.zeros((6, 8, 8, 1), np.uint8)
    table = Table({"label": ["a", None, None, "b", None, None], "case": ["1", "1", "1", "2", "2", "3"]})
    data = cases.labelled_cases(ImageStore.of(pixels, table), np.arange(6))
    assert data.index.tolist() == [0, 1, 2, 3, 4]
    assert [data.classes[code] for code in data.codes] == ["a", "a", "a", "b", "b"]
    assert cases.count(data) == 2
    assert data.unlabelled == 1


def test_a_case_of_one_patient_is_not_that_of_another() -> None:
    pixels = np.zeros((4, 8, 8, 1), np.uint8)
    table = Table({"label": ["a", "b", None, None], "case": ["1", "1", "1", "1"], "group": ["p", "q", "p", "q"]})
    data = cases.labelled_cases(ImageStore.of(pixels, table), np.arange(4))
    assert [data.classes[code] for code in data.codes] == ["a", "b", "a", "b"]


def test_unusable_cases_are_refused_in_words(grouped) -> None:
    store, train, test = grouped
    twice = store.table.with_column("label", ["0", "1", *store.table.column("label")[2:]])
    doubled = store.with_table(twice.with_column("case", ["x", "x", *store.table.column("case")[2:]]))
    with pytest.raises(InputError, match=r"one case has two labels: .* is 0, .* is 1; give all images of a case one"):
        cases.labelled_cases(doubled, np.arange(len(store)))
    bare = store.with_table(Table({"label": store.table.column("label")}))
    with pytest.raises(InputError, match="needs a column case or group"):
        held_out(bare, train, test, config=BY_CASE)
    with pytest.raises(InputError, match=r"case.* both in the training and in the test part .*keep every case in one"):
        held_out(store, [*train, test[-1]], test[:-1], config=BY_CASE)
    with pytest.raises(ValueError, match="leave label_unit at image"):
        TransferConfig(unit="case", label_unit="group")


def test_fractions_are_counted_in_cases_nested_and_balanced(grouped) -> None:
    store, train, test = grouped
    fit, _, _ = held_out(store, train, test, config=BY_CASE)
    fractions, notes = fractions_of(fit, (1, 4, 100, None), (0, 1), BY_CASE, fit.cases)
    assert notes == ["100 a class: 10 of 10 classes have fewer and give what they have", "all: no label more than before, left out"]  # fmt: skip
    held: set[str | None] = set()
    for fraction, per_class in zip(fractions, (1, 4, 8), strict=True):
        part = fit.take(fraction.positions[0])
        names = names_of(store, part)
        assert cases.count(part) == 10 * per_class
        assert np.bincount(part.codes[cases.firsts(part)]).tolist() == [per_class] * 10
        assert all((np.array(names_of(store, fit)) == name).sum() == names.count(name) for name in set(names))
        assert held < set(names)
        held = set(names)
    assert set(names_of(store, fit.take(fractions[0].positions[1]))) != set(
        names_of(store, fit.take(fractions[0].positions[0]))
    )


def test_validation_holds_out_whole_cases_within_the_budget(grouped) -> None:
    store, train, test = grouped
    fit, _, _ = held_out(store, train, test, config=BY_CASE)
    few = fit.take(fractions_of(fit, (4,), (0,), BY_CASE, fit.cases)[0][0].positions[0])
    pairs, how = cases.splits(few, BY_CASE, 0)
    assert how == "2-fold cross-validation on 40 labels, each of a case"
    assert few.cases is not None
    for learnt, valid in pairs:
        assert not set(few.cases[learnt]) & set(few.cases[valid])
        assert len(learnt) + len(valid) == len(few)
        assert np.bincount(few.codes[valid][np.unique(few.cases[valid], return_index=True)[1]]).tolist() == [2] * 10
    one = fit.take(fractions_of(fit, (1,), (0,), BY_CASE, fit.cases)[0][0].positions[0])
    assert cases.splits(one, BY_CASE, 0)[0] == []  # though a case has several images


def test_cases_take_turns_and_so_do_the_images_of_each() -> None:
    numbers = np.array([7, 7, 7, 7, 3, 9, 9, 3])
    seen = np.concatenate([case_turns(members_of(numbers), 0, step, Rows.of_rank(6)) for step in range(4)])
    assert np.bincount(numbers[seen])[[3, 7, 9]].tolist() == [8, 8, 8]
    counts = np.bincount(seen, minlength=8)
    assert counts[numbers == 7].tolist() == [2, 2, 2, 2]
    assert counts[numbers == 3].tolist() == [4, 4]
    halves = [case_turns(members_of(numbers), 0, 1, Rows(start, start + 3, 6)) for start in (0, 3)]
    assert np.concatenate(halves).tolist() == case_turns(members_of(numbers), 0, 1, Rows.of_rank(6)).tolist()


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_pooling_is_what_a_slow_loop_finds(grouped, pooling: str) -> None:
    store, train, test = grouped
    _, held, _ = held_out(store, train, test, config=BY_CASE)
    order = np.random.default_rng(0).permutation(len(held))  # images of a case need not lie together
    held = held.take(order)
    p = np.random.default_rng(1).dirichlet(np.ones(10), len(held)).astype(np.float32)
    assert held.cases is not None
    expected, codes = [], []
    for case in np.unique(held.cases):
        own = p[held.cases == case]
        row = own.mean(axis=0) if pooling == "mean" else own.max(axis=0) / own.max(axis=0).sum()
        expected.append(row)
        codes.append(held.codes[held.cases == case][0])
    found, truth, groups = cases.judged(held, p, pooling)
    assert np.allclose(found, expected, atol=1e-6)
    assert truth.tolist() == codes
    assert groups is not None
    assert len(set(groups.tolist())) == len(codes)
    tally = cases.tally_of(held, pooling)
    for start in range(0, len(held), 7):
        tally.add(p[start : start + 7], held.codes[start : start + 7])
    result = tally.result()
    assert result["accuracy"] == pytest.approx(score(found, truth)["accuracy"])
    assert result["image_accuracy"] == pytest.approx(score(p, held.codes)["accuracy"])
    assert tally.matrix.sum() == len(codes)


def test_a_case_weighs_as_much_as_another_however_many_images_it_has(digits) -> None:
    x, y = digits.flat[:60], digits.codes[:60]
    once = fit_probe(x, y, 10, 1e-2)
    data = Labelled(digits.store, np.arange(60), y, [str(n) for n in range(10)], cases=np.arange(60))
    rows = np.repeat(np.arange(60), np.arange(60) % 3 + 1)
    repeated = data.take(rows)
    weights = cases.weights(repeated)
    assert weights is not None
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    per_case = np.bincount(rows, weights)
    assert np.allclose(per_case, per_case[0], atol=1e-4)
    # the standardisation sees the repeated rows; undo it by comparing what is foretold
    weighed = fit_probe(x[rows], y[rows], 10, 1e-2, weights=weights)
    plain = fit_probe(x[rows], y[rows], 10, 1e-2)
    near, far = (np.abs(one.probabilities(x) - once.probabilities(x)).max() for one in (weighed, plain))
    assert near < far / 2


def test_cases_of_no_group_are_kept_whole_where_images_are_judged(grouped) -> None:
    store, train, test = grouped
    by_image = BY_CASE.model_copy(update={"unit": "image"})
    with pytest.raises(InputError, match=r"1 case both in the training and in the test part .*keep every case in one"):
        held_out(store, [*train, test[-1]], test[:-1], config=by_image)
    fit, held, _ = held_out(store, train, test, config=by_image)
    assert fit.cases is None
    assert fit.groups is not None
    named = np.array(names_of(store, fit))
    pairs, _ = cases.splits(fit, by_image, 0)
    monitor = KnnMonitor(fit, ViewConfig(side=8, mean=(0.5,), std=(0.5,)), every=1)
    for learnt, asked in (*pairs, *[[np.isin(fit.index, part.index) for part in (monitor.known, monitor.asked)]]):
        assert len(named[asked])
        assert not set(named[learnt]) & set(named[asked])
    (fraction,) = fractions_of(fit, (8,), (0,), by_image)[0]
    assert len(set(named[fraction.positions[0]])) == 80  # every case once before one is visited again
    p = np.random.default_rng(0).dirichlet(np.ones(10), len(held)).astype(np.float32)
    for data in (held, held_out(store, train, test, config=BY_CASE)[1]):
        tally = cases.tally_of(data, "mean", drawn="accuracy")
        tally.add(p, data.truth)
        assert len(set(tally.result()["draws"])) > 1


def test_who_judges_images_of_cases_with_one_label_is_told_once(grouped) -> None:
    store, train, test = grouped
    by_image = BY_CASE.model_copy(update={"unit": "image"})
    (note,) = judged_parts(store, train, test, config=by_image).notes
    assert note == "every case has one label: transfer.unit=case judges cases; now each image is judged by itself"
    assert judged_parts(store, train, test, config=BY_CASE).notes == []
    rows, table = range(len(store)), store.table
    of_patients = Table({"label": table.column("label"), "group": table.column("case")})
    assert cases.unit_notes(store.with_table(of_patients), rows, by_image)[0].startswith(
        "every group (patient) has one"
    )
    alone = table.with_column("case", [str(row) for row in rows])
    bare = Table({"label": table.column("label")})
    several = table.with_column(
        "label", ["other" if row == 2 else own for row, own in enumerate(table.column("label"))]
    )
    for other in (alone, bare, several):
        assert cases.unit_notes(store.with_table(other), rows, by_image) == []


def test_a_limited_test_part_keeps_cases_whole(grouped) -> None:
    store, train, test = grouped
    _, held, _ = held_out(store, train, test, config=BY_CASE)
    some = at_most(held, len(held) // 2)
    assert some.cases is not None
    assert held.cases is not None
    assert len(some) < len(held)
    assert all((held.cases == case).sum() == (some.cases == case).sum() for case in np.unique(some.cases))


def test_a_comparison_by_case_counts_and_judges_cases(grouped, views: ViewConfig) -> None:
    store, train, test = grouped
    found = compare(
        new_encoder(), store, train=train, test=test, views=views,
        protocol=Protocol(per_class=(1, 2), seeds=(0, 1), trials=2), training=BY_CASE,
    )  # fmt: skip
    assert {row["labels"] for row in found["rows"]} == {10, 20}
    assert found["test"] == {"samples": 40, "split": "", "images": len(test), "groups": 40}
    assert all(row["group_low"] <= row["mean"] <= row["group_high"] for row in found["summary"] if row["metric"] == "accuracy")  # fmt: skip
    assert np.sum(found["confusion"]["matrix"]) == 40
    assert {entry["labels"] for entry in found["search"]} == {10, 20}
    assert all(0 <= row["image_accuracy"] <= 1 for row in found["rows"])
    assert any(row["image_accuracy"] != row["accuracy"] for row in found["rows"])
    assert {"accuracy", "image_accuracy"} <= {row["metric"] for row in found["summary"]}
    assert found["knn"]["pretrained"]["labels"] == 80


def test_fine_tuning_once_tells_of_cases(grouped, views: ViewConfig) -> None:
    store, train, test = grouped
    fit, held, _ = held_out(store, train, test, config=BY_CASE)
    _, facts = finetune_once(new_encoder(), fit, views=views, config=BY_CASE, test=held, trials=1)
    assert facts["labels"] == 80
    assert facts["test"]["samples"] == 40
    assert np.sum(facts["test"]["confusion"]) == 40


def test_images_of_their_own_are_judged_as_before(digits) -> None:
    data = Labelled(digits.store, digits.test, digits.codes[digits.test], [str(n) for n in range(10)])
    p = np.random.default_rng(0).dirichlet(np.ones(10), len(data)).astype(np.float32)
    found, codes, groups = cases.judged(data, p, "mean")
    assert found is p
    assert codes is data.codes
    assert groups is None
    assert score(p, data.codes).items() <= cases.scores(data, p, "mean").items()
    assert cases.weights(replace(data, cases=None)) is None
