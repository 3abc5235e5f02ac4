"""Another domain: held out of all training, judged by every arm, its drop and the gain of each level of pretraining."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from digit_samples import Digits, new_encoder

from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.errors import InputError
from foretell.transfer.config import TransferConfig
from foretell.transfer.images.compare import compare
from foretell.transfer.images.labelled import Labelled, group_codes
from foretell.transfer.images.shift import apart, drops, gains, lines, unlike
from foretell.transfer.protocol import Protocol
from foretell.views.config import ViewConfig

QUICK = TransferConfig(device="cpu", steps=8, batch=16, curve_points=0, rates=(1e-3, 3e-3))


def store_of(**columns: list[str | None]) -> ImageStore:
    count = len(next(iter(columns.values())))
    return ImageStore.of(np.zeros((count, 8, 8, 1), np.uint8), Table(columns))


def test_nothing_of_it_is_left_in_training_or_test_and_no_group_is_in_both() -> None:
    store = store_of(
        domain=["A", "A", "B", "B", "A", "B"],
        group=["p", "q", "p", "r", "s", "s"],
        label=["0", "1", "0", "1", "0", "0"],
    )
    train, test, other, notes = apart(store, "domain=B", np.array([0, 1, 2]), np.array([3, 4, 5]))
    assert (train.tolist(), test.tolist(), other.tolist()) == ([0, 1], [4], [3, 5])
    assert notes == ["1 images of domain=B left out: their group has training images in another domain"]
    cases = store_of(domain=["A", "A", "B", "B", "A"], case=["p", "q", "p", "r", "s"])
    _, _, other, notes = apart(cases, "domain=B", np.array([0, 1, 2]), np.array([3, 4]))
    assert other.tolist() == [3]
    assert notes == ["1 images of domain=B left out: their case has training images in another domain"]
    with pytest.raises(InputError, match="every test row is of that domain"):
        apart(store, "domain=B", np.array([0, 1]), np.array([2, 3]))
    with pytest.raises(InputError, match="nothing is left to test"):
        apart(store_of(domain=["A", "A", "B"], group=["p", "q", "p"]), "domain=B", np.array([0]), np.array([1]))


def test_a_group_has_the_same_number_in_every_part() -> None:
    store = store_of(group=["p", None, "q", "p", None, "r"])
    home, away = group_codes(store, np.array([0, 1, 2])), group_codes(store, np.array([5, 4, 3]))
    assert home is not None
    assert away is not None
    assert away[2] == home[0]
    assert len({*home.tolist(), *away.tolist()}) == 5  # the two without a group are two
    assert group_codes(store_of(label=["a"]), np.array([0])) is None


def made_up() -> list[dict[str, Any]]:
    values = {"scratch": (0.6, 0.2), "probe": (0.7, 0.4), "pretrained": (0.8, 0.7)}
    return [
        {
            "arm": arm,
            "per_class": 1,
            "labels": 10,
            "seed": seed,
            "accuracy": at_home + 0.01 * seed,
            "shift_accuracy": away,
        }
        for arm, (at_home, away) in values.items()
        for seed in range(3)
    ]


def test_drops_and_gains_are_paired_by_seed() -> None:
    lost = {row["arm"]: row for row in drops(made_up(), "accuracy")}
    assert lost["scratch"]["drop"]["mean"] == pytest.approx(0.41)
    assert lost["pretrained"]["drop"]["mean"] == pytest.approx(0.11)
    assert lost["pretrained"]["drop"]["low"] < 0.11 < lost["pretrained"]["drop"]["high"]
    won = {row["arm"]: row for row in gains(made_up(), "accuracy")}
    assert set(won) == {"probe", "pretrained"}
    assert won["probe"]["in"]["mean"] == pytest.approx(0.1)
    assert won["probe"]["out"]["mean"] == pytest.approx(0.2)
    assert won["pretrained"]["more"]["mean"] == pytest.approx(0.3)
    titles = {"scratch": "from scratch", "probe": "probe", "pretrained": "tuned"}
    said = lines({"domain": "domain=B", "drops": [*lost.values()], "gains": [*won.values()]}, titles)
    assert said[0] == "  from scratch, 10 labels: 61.0% at home, 20.0% on domain=B: drop +41.0 points (+38.5 to +43.5)"
    assert "  tuned over from scratch, 10 labels: +20.0 points (all seeds alike) at home, +50.0 points" in said[-1]


def test_a_comparison_judges_the_other_domain_without_training_on_it(digits: Digits, views: ViewConfig) -> None:
    some = np.concatenate([digits.train[:150], digits.test[:100], digits.spare[:80]])
    store = digits.store.subset(some)
    dark = store.read(np.arange(len(store))).pixels.numpy().transpose(0, 2, 3, 1)
    dark[250:] //= 3
    domain: list[str | None] = ["dark" if row >= 250 else "light" for row in range(len(store))]
    shifted = ImageStore.of(dark, store.table.with_column("domain", domain))
    found = compare(
        new_encoder(), shifted, train=np.r_[0:150, 250:290], test=np.r_[150:250, 290:330], views=views,
        protocol=Protocol(per_class=(2,), seeds=(0, 1), arms=("pretrained", "scratch", "probe"), trials=1),
        training=QUICK, all_labels=False, shift="domain=dark",
    )  # fmt: skip
    assert found["test"]["samples"] == 100
    assert found["shift"]["samples"] == 80
    assert {row["arm"] for row in found["shift"]["drops"]} == {"pretrained", "scratch", "probe"}
    assert {row["arm"] for row in found["shift"]["gains"]} == {"pretrained", "probe"}
    assert "shift_accuracy" in {row["metric"] for row in found["paired"]}
    assert any(row["shift_accuracy"] != row["accuracy"] for row in found["rows"])
    at_home = compare(
        new_encoder(), shifted, train=np.arange(150), test=np.arange(150, 250), views=views,
        protocol=Protocol(per_class=(2,), seeds=(0, 1), arms=("probe",), trials=1), training=QUICK, all_labels=False,
    )  # fmt: skip
    assert [row["accuracy"] for row in at_home["rows"]] == [
        row["accuracy"] for row in found["rows"] if row["arm"] == "probe"
    ]


def labelled(codes: list[int], targets: list[list[float]] | None = None) -> Labelled:
    found = None if targets is None else np.array(targets, np.float32)
    index = np.arange(len(codes))
    return Labelled(
        ImageStore.of(np.zeros((len(codes), 4, 4, 1), np.uint8)), index, np.array(codes), ["a", "b", "c"], targets=found
    )


def test_means_over_other_classes_or_findings_are_told() -> None:
    home, away = labelled([0, 1, 2, 0]), labelled([0, 2, 2])
    assert unlike(home, away, "accuracy", "domain=B") == []
    assert unlike(home, home, "macro_f1", "domain=B") == []
    (note,) = unlike(home, away, "macro_f1", "domain=B")
    assert note.startswith(
        "domain=B: macro-F1 is a mean over other classes than at home; judged in one place alone: b (at home)"
    )
    nan = float("nan")
    both = labelled([0, 0], [[1, 0, 1], [0, 1, 0]])
    less = labelled([0, 0, 0], [[1, 0, 1], [0, nan, 0], [1, 0, nan]])
    (note,) = unlike(both, less, "auroc", "domain=B")
    assert "AUROC is a mean over other findings than at home; judged in one place alone: b (at home)" in note
    assert unlike(less, less, "accuracy", "domain=B") == []
