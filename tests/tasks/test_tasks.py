from __future__ import annotations

import numpy as np
import pytest
import torch
from task_models import BOTH, encoder_and_layout

from foretell.tasks.base import TextTask, by_length
from foretell.tasks.choice import Choice
from foretell.tasks.classification import Classification, Entailment, Similarity

SINGLE = [("the cat sits here",), ("a dog runs",), ("now",), ("red and blue",), ("a big cat",)]
PAIRS = [("the cat sits", "a dog"), ("now", "red and blue and small"), ("the dog", "the dog"), ("a", "the"), ("a", "b")]
CHOICES = [("the cat", "sits here", "runs", "now"), ("a dog", "eats", "sleeps there"), ("red", "blue", "a", "the", "b")]
CODES = np.array([0, 1, 2, 1, 0])


def task_of(kind: str, layout) -> TextTask:  # type: ignore[no-untyped-def]
    if kind == "choice":
        return Choice.of(layout, CHOICES, np.array([2, 0, 3]))
    found = {"classification": Classification, "entailment": Entailment, "similarity": Similarity}[kind]
    texts = SINGLE if kind == "classification" else PAIRS
    return found.of(layout, texts, CODES, ["x", "y", "z"], groups=np.array([0, 0, 1, 2, -1]))


KINDS = ("classification", "entailment", "similarity", "choice")


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_starts_at_zero_uses_up_no_draw(kind: str) -> None:
    model, layout = encoder_and_layout()
    before = torch.get_rng_state()
    head = task_of(kind, layout).head(model.dim, 0.0)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(parameter, torch.zeros_like(parameter)) for parameter in head.parameters())


def random_head(task: TextTask, width: int, dropout: float = 0.0) -> torch.nn.Module:
    head = task.head(width, dropout)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return head.eval()


def foretold(task: TextTask, model, head, positions=None):  # type: ignore[no-untyped-def]
    positions = np.arange(len(task)) if positions is None else positions
    inputs = task.inputs(positions)
    with torch.no_grad():
        return task.predictions(task.scores(head, inputs.states(model.eval()), inputs), inputs, positions)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", BOTH)
def test_a_loss_has_a_gradient_for_head_and_encoder_and_falls(kind: str, network: str) -> None:
    model, layout = BOTH[network]()
    task = task_of(kind, layout)
    head = task.head(model.dim, 0.0)
    optimizer = torch.optim.Adam([*model.net.parameters(), *head.parameters()], lr=3e-3)
    positions = np.arange(len(task))
    losses = []
    for _ in range(120):
        inputs = task.inputs(positions)
        loss = task.loss(task.scores(head, inputs.states(model), inputs), task.targets(positions), inputs)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 4
    assert head.out.weight.grad is not None
    assert model.net.tokens.weight.grad is not None
    score = task.score()
    score.add(foretold(task, model, head), task, positions)
    assert score.result()[task.metric] == 1.0
    assert set(task.metrics) <= set(score.result())


@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_head_foretells_evenly(kind: str) -> None:
    model, layout = encoder_and_layout()
    task = task_of(kind, layout)
    for found in foretold(task, model, task.head(model.dim, 0.0).eval()):
        assert found == pytest.approx(np.full(len(found), 1 / len(found)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_a_task_is_that_part(kind: str) -> None:
    model, layout = encoder_and_layout()
    task = task_of(kind, layout)
    head = random_head(task, model.dim)
    whole = foretold(task, model, head)
    part = task.take(np.array([2, 0]))
    for found, expected in zip(foretold(part, model, head), (whole[2], whole[0]), strict=True):
        assert found == pytest.approx(expected, abs=1e-6)
    assert part.index.tolist() == [2, 0]
    assert part.take(np.array([1])).texts == [task.texts[0]]
    for name, value in part.targets(np.array([0, 1])).items():
        assert value.tolist() == task.targets(np.array([2, 0]))[name].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_streams(kind: str) -> None:
    model, layout = encoder_and_layout()
    task = task_of(kind, layout)
    head = random_head(task, model.dim)
    at_once, streamed = task.score(), task.score()
    everything = np.arange(len(task))
    at_once.add(foretold(task, model, head), task, everything)
    for positions in by_length(task, tokens=8):
        streamed.add(foretold(task, model, head, positions), task, positions)
    assert streamed.result() == pytest.approx(at_once.result())


@pytest.mark.parametrize("network", BOTH)
def test_swapping_two_texts_changes_no_bit_of_their_similarity(network: str) -> None:
    model, layout = BOTH[network]()
    task = task_of("similarity", layout)
    swapped = Similarity.of(layout, [(b, a) for a, b in PAIRS], CODES, ["x", "y", "z"])
    head = random_head(task, model.dim)
    assert np.array_equal(foretold(task, model, head), foretold(swapped, model, head))
    ordered = Entailment.of(layout, PAIRS, CODES, ["x", "y", "z"])
    turned = Entailment.of(layout, [(b, a) for a, b in PAIRS], CODES, ["x", "y", "z"])
    assert not np.allclose(foretold(ordered, model, head), foretold(turned, model, head), atol=1e-4)


@pytest.mark.parametrize("network", BOTH)
def test_permuting_answers_permutes_probabilities_and_changes_no_bit(network: str) -> None:
    model, layout = BOTH[network]()
    task = task_of("choice", layout)
    orders = [[2, 0, 1], [1, 0], [3, 1, 0, 2]]
    texts = [(one[0], *(one[1 + at] for at in order)) for one, order in zip(CHOICES, orders, strict=True)]
    answer = np.array([order.index(right) for order, right in zip(orders, (2, 0, 3), strict=True)])
    permuted = Choice.of(layout, texts, answer)
    head = random_head(task, model.dim)
    for found, expected, order in zip(
        foretold(permuted, model, head), foretold(task, model, head), orders, strict=True
    ):
        assert found.tolist() == expected[order].tolist()
        assert found.sum() == pytest.approx(1)
    assert task.targets(np.arange(3))["right"].tolist() == permuted.targets(np.arange(3))["right"].tolist()


def test_the_answers_of_an_example_share_one_dropout_mask() -> None:
    _, layout = encoder_and_layout()
    head = task_of("choice", layout).head(16, 0.5).train()
    torch.nn.init.ones_(head.out.weight)
    torch.manual_seed(0)
    found = head(torch.ones(6, 16), torch.tensor([0, 0, 0, 1, 1, 2])).squeeze(1)
    assert found[0] == found[1] == found[2]
    assert found[3] == found[4]
    assert len({round(value, 4) for value in found.tolist()}) > 1


def test_a_task_is_known_by_its_texts_classes_and_groups() -> None:
    _, layout = encoder_and_layout()
    names = ["x", "y", "z"]
    made = [
        Classification.of(layout, SINGLE, CODES, names),
        Classification.of(layout, [(text.upper(),) for (text,) in SINGLE], CODES, names),  # the same tokens
        Classification.of(layout, SINGLE, CODES[::-1].copy(), names),
        Classification.of(layout, SINGLE, np.array([0, 1, 2, 1, 1]), names),
        Classification.of(layout, SINGLE, CODES, names, groups=np.array([0, 0, 1, 1, 2])),
    ]
    assert made[0].content() == Classification.of(layout, SINGLE, CODES, names).content()
    assert len({task.content() for task in made}) == 4  # the codes are the same in both directions
    assert (
        Choice.of(layout, CHOICES, np.array([2, 0, 3])).content()
        != Choice.of(layout, CHOICES, np.array([1, 0, 3])).content()
    )


def test_a_score_of_choices_counts_right_answers_and_chance() -> None:
    _, layout = encoder_and_layout()
    task = task_of("choice", layout)
    score = task.score()
    score.add([np.array([0, 0, 1.0]), np.array([0.2, 0.8]), np.array([0.1, 0.1, 0.1, 0.7])], task, np.arange(3))
    assert score.result() == pytest.approx({"accuracy": 2 / 3, "chance": (1 / 3 + 1 / 2 + 1 / 4) / 3})
