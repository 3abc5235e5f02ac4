"""Extractive question answering: windows, targets, spans and thresholds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from task_models import BOTH, WORDS, encoder_and_layout
from task_training import foretold, learnt, loss_of, random_head

from foretell.errors import InputError
from foretell.tasks.answer_score import best_threshold
from foretell.tasks.answer_spans import best_spans
from foretell.tasks.answering import Answering, Found
from foretell.tasks.base import by_length
from foretell.tasks.squad import Answer, Question


def long_one(words: int, seed: int = 0) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def asked(question: str, context: str, answer: str = "", number: int = 0) -> Question:
    answers = (Answer(answer, context.index(answer)),) if answer else ()
    return Question(f"q{number}", question, context, answers, not answer)


LONG = long_one(50)
QUESTIONS = [
    asked("the cat", "the cat sits here", "sits here", 0),
    asked("a dog", "the cat sits here and a dog runs", "runs", 1),
    asked("a dog now", "the cat sits here", "", 2),
    asked("red", f"{LONG} the red cat sleeps", "sleeps", 3),
    asked("", "now", "now", 4),
    asked("big", "", "", 5),
]


@pytest.mark.parametrize("network", BOTH)
def test_it_learns_and_the_loss_is_a_mean_over_examples(network: str) -> None:
    model, layout = BOTH[network](length=20)
    task = Answering.of(layout, QUESTIONS)
    assert (np.diff(task.first) > 1).tolist() == [False, False, False, True, False, False]
    head, losses = learnt(task, model, 300)
    assert losses[-1] < losses[0] / 4
    found = foretold(task, model, head)
    assert [one.given(0.0) for one in found] == ["sits here", "runs", "", "sleeps", "now", ""]
    score = task.score()
    score.add(found, task, np.arange(len(task)))
    assert score.result()["f1"] == score.result()["exact"] == 1.0
    assert set(task.metrics) <= set(score.result())
    assert task.metric == "f1"
    with torch.no_grad():
        parts = [float(loss_of(task, model, head, np.array(part))) * len(part) for part in ([0, 3], [4, 1, 2, 5])]
        whole = float(loss_of(task, model, head, np.arange(6)))
    assert sum(parts) / 6 == pytest.approx(whole, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("network", BOTH)
@pytest.mark.parametrize("stride", [None, 3])
def test_windows_hold_the_text_and_the_answer_where_they_say(network: str, stride: int | None) -> None:
    _, layout = BOTH[network](length=20)
    task = Answering.of(layout, QUESTIONS, stride=stride)
    for number, question in enumerate(QUESTIONS):
        pieces = task.contexts[task.context[number]]
        begins = np.zeros(len(pieces), int)
        for s in range(int(task.first[number]), int(task.first[number + 1])):
            tokens, second = task.sequences.tokens(s), int(task.sequences.second[s])
            piece, size = int(task.piece[s]), int(task.size[s])
            assert len(tokens) <= 20
            assert tokens[second : second + size] == pieces.ids[piece : piece + size]
            assert tokens[second + size :] == layout.trail
            own = task.own[s] - second + piece
            begins[own[0] : own[1]] += 1
            first, last = task.target[s]
            if first == task.sequences.summary[s]:
                assert last == first
                continue
            shift = piece - second
            assert pieces.text(question.context, first + shift, last + shift) == question.answers[0].text
        assert (begins == 1).all()  # an answer may begin at each place, in one window
        there = (
            task.target[task.first[number] : task.first[number + 1], 0]
            != task.sequences.summary[task.first[number] : task.first[number + 1]]
        )
        assert there.any() == (not question.impossible)


def test_the_best_span_is_the_best_of_all() -> None:
    generator = torch.Generator().manual_seed(0)
    begin, finish = torch.randn(40, 9, generator=generator), torch.randn(40, 9, generator=generator)
    own, inside = (torch.rand(40, 9, generator=generator) < share for share in (0.4, 0.7))
    for longest in (1, 3, 20):
        score, first, last = best_spans(begin, finish, own, inside, longest)
        for row in range(40):
            every = {
                (i, j): float(begin[row, i] + finish[row, j])
                for i in range(9)
                for j in range(i, min(i + longest, 9))
                if own[row, i] and inside[row, j]
            }
            if not every:
                assert (float(score[row]), int(first[row]), int(last[row])) == (-math.inf, 0, 0)
                continue
            best = max(every, key=lambda span: every[span])
            assert (int(first[row]), int(last[row])) == best
            assert float(score[row]) == pytest.approx(every[best])


def test_an_answer_is_never_outside_the_text_nor_too_long() -> None:
    model, layout = encoder_and_layout(length=20)
    task = Answering.of(layout, QUESTIONS, longest=2)
    for seed in range(5):
        torch.manual_seed(seed)
        head = torch.nn.Linear(model.dim, 2)
        with torch.no_grad():
            head.weight *= 20
        for found, question in zip(foretold(task, model, head), QUESTIONS, strict=True):
            assert found.text in question.context
            assert len(found.text.split()) <= 2
            assert bool(found.text) == bool(question.context)


@pytest.mark.parametrize("network", BOTH)
def test_a_part_is_that_part_and_scores_stream(network: str) -> None:
    model, layout = BOTH[network](length=20)
    task = Answering.of(layout, QUESTIONS)
    head = random_head(task, model.dim)
    whole = foretold(task, model, head)
    part = task.take(np.array([3, 0]))
    for found, expected in zip(foretold(part, model, head), (whole[3], whole[0]), strict=True):
        assert found.text == expected.text
        assert (found.score, found.margin) == pytest.approx((expected.score, expected.margin), abs=1e-5)
    assert [question.id for question in part.take(np.array([1])).questions] == ["q0"]
    for name, value in part.targets(np.array([0, 1])).items():
        assert value.tolist() == task.targets(np.array([3, 0]))[name].tolist()
    at_once, streamed = task.score(), task.score()
    at_once.add(whole, task, np.arange(len(task)))
    for positions in by_length(task, tokens=8):
        streamed.add(foretold(task, model, head, positions), task, positions)
    assert streamed.result() == pytest.approx(at_once.result())


def test_the_threshold() -> None:
    _, layout = encoder_and_layout()
    assert Answering.of(layout, QUESTIONS[:2]).threshold == math.inf
    task = Answering.of(layout, QUESTIONS[:3])
    assert task.threshold == 0.0
    found = [Found("sits here", 1.0, 0.5), Found("wrong", 1.0, 2.5), Found("cat", 1.0, 1.5)]
    chosen = replace(task, threshold=best_threshold(task.margins(found)))
    assert chosen.threshold == 1.0
    score = chosen.score()
    score.add(found, chosen, np.arange(3))
    assert score.result() == {"exact": 2 / 3, "f1": 2 / 3, "answerable_f1": 0.5, "impossible_f1": 1.0}
    assert chosen.take(np.array([0])).threshold == 1.0


def test_the_content_changes_with_what_is_judged() -> None:
    _, layout = encoder_and_layout()
    first, second = asked("the cat", "the cat sits here", "sits"), asked("the cat", "the cat sits here", "sits here")
    both = replace(first, answers=(*first.answers, *second.answers))
    as_written = [replace(first, text="The cat"), replace(first, context="The cat sits here")]  # of the same tokens
    others = [first, second, both, replace(first, text="a cat"), *as_written]
    assert len({Answering.of(layout, [one]).content() for one in others}) == 6
    assert (
        Answering.of(layout, QUESTIONS).take(np.array([0])).content() == Answering.of(layout, QUESTIONS[:1]).content()
    )


def test_questions_that_are_too_long_are_cut_and_counted() -> None:
    _, layout = encoder_and_layout(length=20)
    task = Answering.of(layout, [asked(LONG, LONG, "cat"), QUESTIONS[0]])
    assert layout.cut == 1
    assert (task.sequences.length <= 20).all()
    assert (task.size[: task.first[1]] >= 8).all()
    with pytest.raises(InputError, match="stride = 40: expected 1 to"):
        Answering.of(layout, QUESTIONS, stride=40)


def test_many_questions_are_laid_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    _, layout = encoder_and_layout(length=20)
    whole = Answering.of(layout, QUESTIONS)
    monkeypatch.setattr("foretell.tasks.answering.AT_ONCE", 4)
    parts = Answering.of(layout, QUESTIONS)
    for s in range(len(whole.sequences)):
        assert parts.sequences.tokens(s) == whole.sequences.tokens(s)
    assert parts.target.tolist() == whole.target.tolist()
