"""Attention over the images of a case: learnt where one image of many tells, and a plain mean where all tell alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from foretell.counters import Rows
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import InputError
from foretell.measures.probe import fit_probe
from foretell.transfer.config import TransferConfig
from foretell.transfer.images import cases
from foretell.transfer.images.attention import fit_attention, weighed
from foretell.transfer.images.cases import Pool
from foretell.transfer.images.compare import compare, held_out
from foretell.transfer.images.features import PlainViews
from foretell.transfer.images.findings import AttentionFindings, fit_findings, labelled_findings
from foretell.transfer.images.finetune import attended, probabilities
from foretell.transfer.images.fit import Start, TestSet, fine_tune
from foretell.transfer.images.frozen import probe_of
from foretell.transfer.images.labelled import Labelled
from foretell.transfer.images.saved import load_classifier, predict, predict_cases, save_classifier
from foretell.transfer.protocol import Protocol
from foretell.transfer.trials import Trial
from foretell.transfer.turns import bag_turns, case_turns, members_of
from foretell.views.config import ViewConfig


def needles(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cases of six images of which one tells the class (features 0 and 1) and is marked (feature 2); the others are noise."""
    rng = np.random.default_rng(seed)
    codes = np.arange(count) % 2
    x = rng.normal(size=(count, 6, 5))
    at = rng.integers(0, 6, count)
    x[np.arange(count), at, 0] = 2.0 * codes - 1
    x[np.arange(count), at, 1] = 1.0 - 2.0 * codes
    x[:, :, 2] = 0.1 * rng.normal(size=(count, 6))
    x[np.arange(count), at, 2] += 1
    return x.reshape(-1, 5).astype(np.float32), np.repeat(codes, 6), np.repeat(np.arange(count), 6)


def accuracy(x: np.ndarray, y: np.ndarray, of: np.ndarray, p: np.ndarray, pooling: str) -> float:
    data = Labelled(None, np.arange(len(y)), y, ["a", "b"], cases=of)  # type: ignore[arg-type]
    pooled, truth, _ = cases.judged(data, p, pooling)
    assert pooled.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert cases.scores(data, p, pooling)["accuracy"] == np.mean(pooled.argmax(axis=1) == truth)
    return float(np.mean(pooled.argmax(axis=1) == truth))


def test_it_finds_the_image_that_tells() -> None:
    x, y, of = needles(120, 0)
    held_x, held_y, held_of = needles(200, 1)
    weights = np.ones(len(y), np.float32)
    head = fit_attention(x, y, of, 2, 1e-3, weights)
    plain = fit_probe(x, y, 2, 1e-3)
    with_attention = accuracy(held_x, held_y, held_of, head.probabilities(held_x), "attention")
    with_mean = accuracy(held_x, held_y, held_of, plain.probabilities(held_x), "mean")
    assert with_attention > 0.95
    assert with_attention > with_mean + 0.1
    assert head.attention[0, 2] > 5 * np.abs(head.attention[0, [0, 1, 3, 4]]).max()


def of_two_findings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(features, targets, cases): one image tells finding "a" (features 0, 1) and another "b" (3, 4), each marked by its own
    feature (2, 5); some targets of cases are not known.
    """
    first, a, of = needles(count, seed)
    second, b, _ = needles(count, seed + 10)
    rng = np.random.default_rng(seed)
    flip = rng.integers(0, 2, count).repeat(6)  # so that "b" is not "a"
    second[:, :2] *= (1 - 2 * flip)[:, None]
    targets = np.stack([a, np.where(flip == 1, 1 - b, b)], axis=1).astype(np.float32)
    targets[rng.integers(0, 8, count).repeat(6) == 0, 0] = np.nan
    return np.concatenate([first[:, :3], second[:, :3]], axis=1), targets, of


def findings_right(targets: np.ndarray, of: np.ndarray, p: np.ndarray, pooling: str) -> list[float]:
    """Share of the cases of which each finding is right, of the known."""
    data = Labelled(None, np.arange(len(of)), of * 0, ["a", "b"], targets=targets, cases=of)  # type: ignore[arg-type]
    pooled, truth, _ = cases.judged(data, p, pooling)
    return [float(np.mean((pooled[:, at] > 0.5) == truth[:, at], where=~np.isnan(truth[:, at]))) for at in range(2)]


def test_each_finding_has_the_image_that_tells_it() -> None:
    x, targets, of = of_two_findings(160, 0)
    held_x, held_targets, held_of = of_two_findings(200, 1)
    head, plain = fit_findings(x, targets, 1e-3, attended=of), fit_findings(x, targets, 1e-3)
    assert isinstance(head, AttentionFindings)
    assert head.probabilities(held_x).shape == (len(held_x), 4)
    with_attention = findings_right(held_targets, held_of, head.probabilities(held_x), "attention")
    with_mean = findings_right(held_targets, held_of, plain.probabilities(held_x), "mean")
    assert min(with_attention) > 0.95
    assert min(with_attention) > max(with_mean) + 0.1
    for own, (mark, other) in zip(head.attention, ((2, 5), (5, 2)), strict=True):
        assert own[mark] > 5 * abs(own[other])


def test_a_finding_that_is_always_there_has_no_attention() -> None:
    x, targets, of = of_two_findings(20, 0)
    targets[:, 1] = 1
    head = fit_findings(x, targets, 1e-3, attended=of)
    assert isinstance(head, AttentionFindings)
    assert not head.attention[1].any()
    p = head.probabilities(x)
    assert (p[:, 1] > 0.99).all()
    assert findings_right(targets, of, p, "attention")[1] == 1


def test_views_of_the_training_images_are_judged_by_their_classes() -> None:
    x, y, of = needles(20, 0)
    data = Labelled(None, np.arange(len(y)), y, ["a", "b"], cases=of)  # type: ignore[arg-type]
    config = TransferConfig(unit="case", pooling="attention", strengths=(1e-2, 1e-1))
    fresh_x, fresh_y, _ = needles(30, 1)
    fresh_x[:, 2] += 50  # marked all over: as logarithms of weights far above every probability
    _, records = probe_of(data, x, [], config=config, trials=2, fresh=lambda: (fresh_x, fresh_y))
    for record in records:
        head = fit_attention(x, y, of, 2, record["strength"], np.ones(len(y), np.float32) / 6)
        classes = head.probabilities(fresh_x)[:, :2].argmax(axis=1)
        assert record["validation"] == pytest.approx(float((classes == fresh_y).mean()), abs=0.02)
        assert record["validation"] > 0.4


def test_images_without_weights_count_alike() -> None:
    _, y, of = needles(10, 0)
    p = np.random.default_rng(0).dirichlet(np.ones(2), len(y)).astype(np.float32)
    data = Labelled(None, np.arange(len(y)), y, ["a", "b"], cases=of)  # type: ignore[arg-type]
    assert cases.judged(data, p, "attention")[0] == pytest.approx(cases.judged(data, p, "mean")[0])
    alike = np.concatenate([p, np.full((len(p), 1), 3, np.float32)], axis=1)
    assert cases.judged(data, alike, "attention")[0] == pytest.approx(cases.judged(data, p, "mean")[0], abs=1e-6)


def test_it_is_for_cases() -> None:
    with pytest.raises(ValueError, match="is for cases: set unit to case"):
        TransferConfig(pooling="attention")


# fine-tuned -----------------------------------------------------------------------------------------------------------


def test_a_bag_is_of_one_case_and_every_case_and_image_has_its_turn() -> None:
    cases_of = np.repeat([7, 3, 9], [2, 6, 5])
    seen, bags = [], []
    for step in range(30):
        at, bag = bag_turns(members_of(cases_of), 4, 1, step, Rows.of_rank(8))
        seen.append(at)
        bags.append(bag)
    at, bag = np.concatenate(seen), np.concatenate(bags)
    assert bag.tolist() == np.repeat(np.arange(60), 4).tolist()
    own = cases_of[at].reshape(60, 4)
    assert (own == own[:, :1]).all()
    assert np.unique(own[:, 0], return_counts=True)[1].tolist() == [20, 20, 20]
    counts = np.bincount(at, minlength=13)
    assert set(counts[:2]) == {40}
    assert set(counts[2:8]) == {13, 14}
    assert set(counts[8:]) == {16}
    halves = [bag_turns(members_of(cases_of), 4, 1, 2, Rows(start, start + 4, 8)) for start in (0, 4)]
    whole = bag_turns(members_of(cases_of), 4, 1, 2, Rows.of_rank(8))
    assert [np.concatenate(part).tolist() for part in zip(*halves, strict=True)] == [part.tolist() for part in whole]


def test_one_image_a_bag_has_the_cases_in_turn_and_each_of_their_images_in_theirs() -> None:
    cases_of = np.repeat([0, 1, 2], [2, 6, 5])
    at = np.concatenate([case_turns(members_of(cases_of), 3, step, Rows.of_rank(5)) for step in range(18)])
    assert (np.sort(cases_of[at].reshape(30, 3), axis=1) == [0, 1, 2]).all()
    for case in range(3):
        own = at[cases_of[at] == case]
        members = np.flatnonzero(cases_of == case)
        assert (np.sort(own.reshape(-1, len(members)), axis=1) == members).all()


def test_the_loss_is_that_of_the_weighted_mean_of_a_slow_loop() -> None:
    torch.manual_seed(0)
    logits, scores = torch.randn(9, 3, requires_grad=True), torch.randn(9, 1, requires_grad=True)
    bags = torch.tensor([4, 4, 4, 5, 6, 6, 6, 6, 4])  # a number that comes back is another bag
    found, first = attended(logits, scores, bags)
    shares = found.exp()
    parts = [slice(0, 3), slice(3, 4), slice(4, 8), slice(8, 9)]
    slow = torch.stack([scores[at, 0].softmax(0) @ logits[at].softmax(1) for at in parts])
    assert torch.allclose(shares, slow, atol=1e-6)
    assert first.tolist() == [0, 3, 4, 8]
    one, other = (torch.autograd.grad(value[:, 1].log().sum(), (logits, scores)) for value in (shares, slow))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))


def test_the_loss_of_findings_is_that_of_each_weighted_mean_of_a_slow_loop() -> None:
    torch.manual_seed(0)
    logits, scores = torch.randn(9, 3, requires_grad=True), torch.randn(9, 3, requires_grad=True)
    bags = torch.tensor([4, 4, 4, 5, 6, 6, 6, 6, 4])
    odds, first = attended(logits, scores, bags, findings=True)
    parts = [slice(0, 3), slice(3, 4), slice(4, 8), slice(8, 9)]
    slow = torch.stack([(scores[at].softmax(0) * logits[at].sigmoid()).sum(0) for at in parts])
    assert torch.allclose(odds.sigmoid(), slow, atol=1e-6)
    assert first.tolist() == [0, 3, 4, 8]
    there = torch.rand(4, 3)
    one = F.binary_cross_entropy_with_logits(odds, there)
    other = F.binary_cross_entropy(slow, there)
    slopes = [torch.autograd.grad(loss, (logits, scores)) for loss in (one, other)]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*slopes, strict=True))


def test_a_case_that_is_surely_wrong_has_the_gradient_of_cross_entropy() -> None:
    logits = torch.tensor([[40.0, -40.0], [40.0, -40.0]], requires_grad=True)
    found, _ = attended(logits, torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
    loss = F.cross_entropy(found, torch.tensor([1]))
    assert loss.item() == pytest.approx(80.0)
    (slope,) = torch.autograd.grad(loss, logits)
    assert slope.sum(0).tolist() == pytest.approx([1.0, -1.0])
    odds, _ = attended(logits, torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), findings=True)
    loss = F.binary_cross_entropy_with_logits(odds, torch.tensor([[0.0, 1.0]]), reduction="sum")
    assert loss.item() == pytest.approx(80.0)
    (slope,) = torch.autograd.grad(loss, logits)
    assert slope.sum(0).tolist() == pytest.approx([1.0, -1.0])


@pytest.mark.parametrize("weights", [1, 3])
@pytest.mark.parametrize("offset", [0.0, -300.0, 300.0])
def test_cases_are_pooled_as_they_were_learnt_whatever_all_weights_share(offset: float, weights: int) -> None:
    torch.manual_seed(0)
    of = torch.tensor([0, 1, 0, 2, 1, 0, 1, 3, 1, 0])
    logits, scores = torch.randn(10, 3), 20 * torch.randn(10, weights)
    right = weighed(logits.log_softmax(1), scores, of, 4).exp().numpy()
    given = torch.cat([logits.softmax(1), scores + offset], 1).numpy()
    for exclusive in (True, False) if weights == 1 else (False,):
        pool = Pool(of.numpy(), 3, "attention", exclusive=exclusive)
        for start in range(0, 10, 3):
            pool.add(given[start : start + 3])
        assert pool.probabilities() == pytest.approx(right, abs=1e-4)


@pytest.fixture(scope="module")
def marked() -> tuple[ImageStore, np.ndarray, np.ndarray]:
    """Cases of four pictures: one is bright and tells by its half, left or right; the others are dim noise with false halves."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (240, 12, 12, 1), dtype=np.uint8)
    labels = [f"side {case % 2}" for case in range(60) for _ in range(4)]
    for case in range(60):
        tells = 4 * case + int(rng.integers(4))
        for row in range(4 * case, 4 * case + 4):
            side = case % 2 if row == tells else int(rng.integers(2))
            half = slice(0, 6) if side == 0 else slice(6, 12)
            pixels[row, :, half] += 60
            if row == tells:
                pixels[row, :3] = 255
    table = Table({"label": labels, "group": [f"c{case}" for case in range(60) for _ in range(4)]})
    return ImageStore.of(pixels, table, source="marked"), np.arange(160), np.arange(160, 240)


def test_it_is_fine_tuned_kept_and_used(marked: tuple[ImageStore, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    store, train, test = marked
    views = ViewConfig(side=12, mean=(0.3,), std=(0.3,), flip=0.0, scale=(0.9, 1.0))
    config = TransferConfig(unit="case", pooling="attention", steps=120, batch=32, device="cpu", head="zero")
    fit, held, _ = held_out(store, train, test, config=config)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 12)
    trial = Trial(3e-3, 120, 1e-4)
    tuned = fine_tune(Start(encoder, scratch=True), fit, views=views, config=config, trial=trial, seed=0)
    classifier = tuned.classifier
    right = TestSet.of(held, views, config).tally(classifier).result()["accuracy"]
    assert right > 0.9
    p = np.concatenate(list(probabilities(classifier, PlainViews(store, held.index, views).batches())))
    bright = np.array([store.read([row]).pixels.max() == 255 for row in held.index])
    heaviest = p[:, 2].reshape(20, 4).argmax(axis=1)
    assert np.mean(heaviest == bright.reshape(20, 4).argmax(axis=1)) > 0.8
    folder = save_classifier(classifier, tmp_path / "kept", extra={"pooling": "attention"})
    assert "predict_cases" in (folder / "README.md").read_text()
    again, facts = load_classifier(folder)
    numbers, shares = predict_cases(again, store, held.index, held.cases, pooling=facts["pooling"])
    truth = held.codes[[int(np.flatnonzero(held.cases == number)[0]) for number in numbers]]
    assert np.mean(shares.argmax(1) == truth) == right
    assert predict(again, store, held.index).shape == (80, 2)
    with pytest.raises(InputError, match="pooling mean: this classifier was fine-tuned for attention; give that"):
        predict_cases(again, store, held.index, held.cases)
    with pytest.raises(
        InputError, match=r"cases: expected the number of the case of each image, 3 of them .*, found 4"
    ):
        predict_cases(again, store, held.index[:3], held.cases[:4], pooling=facts["pooling"])


def test_a_comparison_of_cases_by_attention_has_tuned_arms(marked: tuple[ImageStore, np.ndarray, np.ndarray]) -> None:
    store, train, test = marked
    views = ViewConfig(side=12, mean=(0.3,), std=(0.3,))
    config = TransferConfig(unit="case", pooling="attention", steps=3, batch=16, device="cpu", curve_points=0)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 12)
    found = compare(
        encoder,
        store,
        train=train,
        test=test,
        views=views,
        protocol=Protocol(per_class=(1, 4), seeds=(0, 1), trials=2),
        training=config,
    )
    assert {row["arm"] for row in found["rows"]} == {"pretrained", "probe", "scratch", "random"}
    assert all("image_accuracy" in row for row in found["rows"])


@pytest.fixture(scope="module")
def found_in_cases(marked: tuple[ImageStore, np.ndarray, np.ndarray]) -> ImageStore:
    """The cases of ``marked``, whose side is a finding of one of their images, beside one of which little is known."""
    store, _, _ = marked
    labels = store.table.column("label")
    right: list[str | None] = [
        {"side 1": "1", "side 0": "0"}[str(label)] if row % 4 == 2 else None for row, label in enumerate(labels)
    ]
    other: list[str | None] = [str(row // 4 // 2 % 2) if row // 4 % 5 == 0 else None for row in range(len(labels))]
    return store.with_table(store.table.with_column("right", right).with_column("other", other))


def test_findings_of_cases_are_fine_tuned_kept_and_used(
    found_in_cases: ImageStore, marked: tuple[ImageStore, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    store, (_, train, test) = found_in_cases, marked
    names = ["right", "other"]
    views = ViewConfig(side=12, mean=(0.3,), std=(0.3,), flip=0.0, scale=(0.9, 1.0))
    config = TransferConfig(
        unit="case", pooling="attention", findings=names, steps=150, batch=32, device="cpu", head="zero"
    )
    fit, held = (labelled_findings(store, rows, names, by_case=True) for rows in (train, test))
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 12)
    tuned = fine_tune(
        Start(encoder, scratch=True), fit, views=views, config=config, trial=Trial(3e-3, 150, 1e-4), seed=0
    )
    classifier = tuned.classifier
    assert classifier.attention is not None
    assert classifier.attention.weight.shape == (2, encoder.dim)
    right = TestSet.of(held, views, config).tally(classifier).result()["auroc right"]
    assert right > 0.9
    p = np.concatenate(list(probabilities(classifier, PlainViews(store, held.index, views).batches())))
    assert p.shape == (80, 4)
    bright = np.array([store.read([row]).pixels.max() == 255 for row in held.index])
    assert np.mean(p[:, 2].reshape(20, 4).argmax(axis=1) == bright.reshape(20, 4).argmax(axis=1)) > 0.8
    folder = save_classifier(classifier, tmp_path / "kept", extra={"pooling": "attention"})
    again, facts = load_classifier(folder)
    assert held.cases is not None
    numbers, shares = predict_cases(again, store, held.index, held.cases, pooling=facts["pooling"])
    assert numbers.tolist() == np.unique(held.cases).tolist()
    pool = Pool(held.cases, 2, "attention", exclusive=False)
    pool.add(p)
    assert shares == pytest.approx(pool.probabilities(), abs=1e-5)
    assert predict(again, store, held.index).shape == (80, 2)


def test_a_comparison_of_findings_by_attention_has_all_arms(
    found_in_cases: ImageStore, marked: tuple[ImageStore, np.ndarray, np.ndarray]
) -> None:
    _, train, test = marked
    config = TransferConfig(
        unit="case", pooling="attention", findings=["right", "other"], steps=3, batch=16, device="cpu", curve_points=0
    )
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 12)
    views = ViewConfig(side=12, mean=(0.3,), std=(0.3,))
    found = compare(
        encoder, found_in_cases, train=train, test=test, views=views,
        protocol=Protocol(per_class=(2, None), seeds=(0, 1), trials=2), training=config,
    )  # fmt: skip
    assert {row["arm"] for row in found["rows"]} == {"pretrained", "probe", "scratch", "random"}
    assert all("image_auroc" in row for row in found["rows"])
