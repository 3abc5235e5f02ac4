"""Several findings of one image: unknown and uncertain values, the loss, the probe, the metrics, a comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from digit_samples import Digits, new_encoder
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.errors import InputError
from foretell.measures import multilabel
from foretell.measures.probe import fit_probe
from foretell.transfer.config import TransferConfig
from foretell.transfer.images import cases, findings
from foretell.transfer.images.compare import compare, held_out
from foretell.transfer.images.finetune import balanced_weights
from foretell.transfer.images.fit import finetune_once
from foretell.transfer.images.labelled import Labelled
from foretell.transfer.images.saved import load_classifier, predict, save_classifier
from foretell.transfer.protocol import Protocol
from foretell.views.config import ViewConfig

NAN = math.nan
FINDINGS = ["odd", "large", "round"]
BY_FINDING = TransferConfig(device="cpu", steps=8, batch=16, curve_points=0, rates=(1e-3, 3e-3), findings=FINDINGS)


def store_of(**columns: list[str | None]) -> ImageStore:
    count = len(next(iter(columns.values())))
    return ImageStore.of(np.zeros((count, 8, 8, 1), np.uint8), Table(columns))


@pytest.fixture(scope="module")
def found(digits: Digits) -> ImageStore:
    """The digits with three findings each; every seventh value of "large" is not known, every ninth is uncertain."""
    there = {"odd": digits.codes % 2 == 1, "large": digits.codes > 6, "round": np.isin(digits.codes, (0, 6, 8, 9))}
    columns: dict[str, list[str | None]] = {name: [str(int(one)) for one in values] for name, values in there.items()}
    columns["large"] = [
        None if at % 7 == 0 else "-1" if at % 9 == 0 else value for at, value in enumerate(columns["large"])
    ]
    return digits.store.with_table(Table(columns))


def test_values_are_there_or_not_or_not_known() -> None:
    store = store_of(a=["1.0", "0.0", None, "-1.0", None], b=["yes", "No", "0", "uncertain", None])
    for uncertain, value in (("ignore", NAN), ("zeros", 0.0), ("ones", 1.0)):
        data = findings.labelled_findings(store, np.arange(5), ["a", "b"], uncertain=uncertain)
        rows = 4 if uncertain != "ignore" else 3
        expected = [[1, 1], [0, 0], [NAN, 0], [value, value]][:rows]
        assert data.targets is not None
        assert np.array_equal(data.targets, np.array(expected, np.float32), equal_nan=True)
        assert (data.unlabelled, data.classes) == (5 - rows, ["a", "b"])
        assert data.take(np.array([1])).targets.tolist() == [[0, 0]]  # type: ignore[union-attr]


def test_what_is_not_understood_is_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"a of 'memory\[1\]' is 'maybe': expected 1 or 0"):
        findings.labelled_findings(store_of(a=["1", "maybe"]), np.arange(2), ["a"])
    for other in ("2", "0.5", "nan", "inf", "-1.5", "1,0"):
        with pytest.raises(InputError, match=rf"a of 'memory\[1\]' is '{other}': expected 1 or 0"):
            findings.labelled_findings(store_of(a=["1", other]), np.arange(2), ["a"])
    with pytest.raises(InputError, match=r"column of transfer\.findings"):
        findings.labelled_findings(store_of(a=["1", "0"]), np.arange(2), ["b"])
    with pytest.raises(InputError, match="none of 2 samples has a value of a"):
        findings.labelled_findings(store_of(a=[None, "-1"]), np.arange(2), ["a"])
    with pytest.raises(InputError, match="no finding is there in some samples and not there in others"):
        findings.labelled_findings(store_of(a=["1", "1"]), np.arange(2), ["a"])


def test_a_finding_of_one_image_is_one_of_its_case() -> None:
    store = store_of(case=["p", "p", "q", "q", "r"], a=["0", "1", "0", None, None], b=[None, None, "0", "0", "1"])
    data = findings.labelled_findings(store, np.arange(5), ["a", "b"], by_case=True)
    assert data.targets is not None
    expected = np.array([[1, NAN], [1, NAN], [0, 0], [0, 0], [NAN, 1]], np.float32)
    assert np.array_equal(data.targets, expected, equal_nan=True)
    p = np.array([[0.2, 0.1], [0.6, 0.3], [0.1, 0.9], [0.3, 0.5], [0.5, 0.5]], np.float32)
    assert cases.judged(data, p, "mean")[0] == pytest.approx(np.array([[0.4, 0.2], [0.2, 0.7], [0.5, 0.5]]))
    highest, truth, _ = cases.judged(data, p, "max")
    assert highest == pytest.approx(np.array([[0.6, 0.3], [0.3, 0.9], [0.5, 0.5]]))
    assert np.array_equal(truth, expected[[0, 2, 4]], equal_nan=True)
    result = cases.scores(data, p, "mean")
    assert {"auroc", "image_auroc", "auroc a", "image_auroc b"} <= result.keys()


def test_strata_are_the_rarest_finding_that_is_there() -> None:
    targets = np.array([[1, 1], [1, 0], [0, NAN], [1, NAN]], np.float32)
    assert findings.strata(targets).tolist() == [1, 0, 2, 0]


def test_the_loss_reads_what_is_known_alone() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([[1, 0, NAN], [NAN, NAN, NAN], [0, 1, 1], [1, NAN, 0]])
    loss = findings.masked_loss(logits, targets)
    known = ~torch.isnan(targets)
    assert loss.item() == pytest.approx(
        F.binary_cross_entropy_with_logits(logits[known], targets[known]).item(), abs=1e-6
    )
    loss.backward()
    assert logits.grad is not None
    assert torch.all(logits.grad[~known] == 0)
    assert torch.all(logits.grad[known] != 0)
    assert findings.masked_loss(logits, torch.full_like(targets, NAN)).item() == 0
    twice = findings.masked_loss(logits[:1, :1], targets[:1, :1], torch.tensor([2.0]))
    assert twice.item() == pytest.approx(2 * findings.masked_loss(logits[:1, :1], targets[:1, :1]).item())


def test_class_weights_make_every_class_count_alike(digits: Digits) -> None:
    targets = np.array([[1, NAN], [0, 1], [0, 1], [0, NAN]], np.float32)
    assert findings.positive_weights(targets).tolist() == [3, 1]
    data = Labelled(digits.store, np.arange(6), np.array([0, 0, 0, 0, 1, 1]), ["a", "b"])
    weights = balanced_weights(data)
    assert weights[0] * 4 == weights[1] * 2 == 3
    by_case = Labelled(
        digits.store, np.arange(6), np.array([0, 0, 0, 0, 1, 1]), ["a", "b"], cases=np.array([0, 0, 0, 0, 1, 2])
    )
    assert balanced_weights(by_case).tolist() == [1.5, 0.75]


def test_the_probe_of_a_finding_is_that_of_its_known_samples(digits: Digits) -> None:
    x = digits.flat[:80]
    targets = np.stack([digits.codes[:80] % 2, digits.codes[:80] > 4, np.ones(80)], axis=1).astype(np.float32)
    targets[::3, 1] = NAN
    probe = findings.fit_findings(x, targets, 1e-2)
    p = probe.probabilities(digits.flat[80:120])
    for at in (0, 1):
        known = ~np.isnan(targets[:, at])
        own = fit_probe(x[known], targets[known, at].astype(np.int64), 2, 1e-2).probabilities(digits.flat[80:120])
        assert p[:, at] == pytest.approx(own[:, 1], abs=1e-5)
    assert p[:, 2] == pytest.approx(80.5 / 81, abs=1e-6)


def test_metrics_are_scikit_learns_over_what_is_known() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((200, 3)).astype(np.float32)
    targets = (rng.random((200, 3)) < p).astype(np.float32)
    targets[rng.random((200, 3)) < 0.2] = NAN
    targets[:, 2] = np.where(np.isnan(targets[:, 2]), NAN, 1)  # always there: no AUROC
    tally = multilabel.FindingsTally(["a", "b", "c"])
    for start in range(0, 200, 33):
        tally.add(p[start : start + 33], targets[start : start + 33])
    result = tally.result()
    known = [~np.isnan(targets[:, at]) for at in range(2)]
    areas = [roc_auc_score(targets[rows, at], p[rows, at]) for at, rows in enumerate(known)]
    assert result["auroc"] == pytest.approx(np.mean(areas))
    assert [result["auroc a"], result["auroc b"]] == pytest.approx(areas)
    assert math.isnan(result["auroc c"])
    for name, metric in (("balanced_accuracy", balanced_accuracy_score), ("macro_f1", f1_score)):
        own = [metric(targets[rows, at], p[rows, at] >= 0.5) for at, rows in enumerate(known)]
        assert result[name] == pytest.approx(np.mean(own))
    everything = ~np.isnan(targets)
    assert result["brier"] == pytest.approx(np.mean((p[everything] - targets[everything]) ** 2), abs=1e-6)


def test_a_comparison_of_findings(digits: Digits, found: ImageStore, views: ViewConfig) -> None:
    result = compare(
        new_encoder(), found, train=digits.train, test=digits.test, views=views,
        protocol=Protocol(per_class=(4, None), seeds=(0, 1), trials=2),
        training=BY_FINDING.model_copy(update={"curve_points": 2}),
    )  # fmt: skip
    assert result["metric"] == "auroc"
    curves = {
        (row["arm"], row["per_class"]): (row["curve"][-1][2], row["auroc"])
        for row in result["rows"]
        if row.get("curve")
    }
    assert {arm for arm, _ in curves} == {"pretrained", "scratch"}
    assert all(last == pytest.approx(headline, abs=1e-6) for last, headline in curves.values())
    assert result["classes"] == FINDINGS
    probe = [row["auroc"] for row in result["rows"] if row["arm"] == "probe" and row["per_class"] is None]
    assert min(probe) > 0.7
    assert {"auroc odd", "auroc large", "auroc round"} <= result["rows"][0].keys()
    assert {row["labels"] for row in result["rows"]} == {16, 400}  # the three rarest findings and none
    of_each = {f"auroc {name}" for name in FINDINGS}
    for told in (result["summary"], result["paired"]):
        assert of_each <= {row["metric"] for row in told}
    for row in result["summary"]:
        if row["metric"] in of_each:
            assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
    assert result["settings"]["findings"] == FINDINGS
    assert "device" not in result["settings"]
    assert result["knn"] == {}


def test_findings_that_are_few_are_not_called_classes(digits: Digits, found: ImageStore, views: ViewConfig) -> None:
    result = compare(
        new_encoder(), found, train=digits.train, test=digits.test, views=views,
        protocol=Protocol(per_class=(300,), seeds=(0,), arms=("probe",), trials=1), training=BY_FINDING,
    )  # fmt: skip
    assert "300 a class: 4 of 4 kinds of sample (each by its rarest finding, or none) have fewer" in result["notes"][-1]


def test_the_model_that_is_kept_foretells_each_finding_by_itself(
    digits: Digits, found: ImageStore, views: ViewConfig, tmp_path
) -> None:
    config = BY_FINDING.model_copy(update={"class_weights": True})
    train, test, _ = held_out(found, digits.train, digits.test, config=config)
    classifier, facts = finetune_once(new_encoder(), train, views=views, config=config, test=test, trials=1)
    assert facts["test"]["auroc"] > 0.5
    folder = save_classifier(classifier, tmp_path / "kept")
    again, _ = load_classifier(folder)
    p = predict(again, found, digits.test[:20])
    assert p.shape == (20, 3)
    assert np.ptp(p.sum(axis=1)) > 0.01
    assert p == pytest.approx(predict(classifier, found, digits.test[:20]), abs=1e-5)
