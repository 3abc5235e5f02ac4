"""Token tagging: every word is foretold once, by its first piece, however its sentence is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from task_models import BOTH, WORDS, encoder_and_layout
from task_training import foretold, learnt, loss_of, random_head

from foretell.errors import InputError
from foretell.tasks.base import by_length
from foretell.tasks.layout import Layout
from foretell.tasks.tagging import UNSEEN, Entities, Tagging
from foretell.tasks.tags_files import Tagged

NOUNS, VERBS = {"cat", "dog"}, {"sits", "runs", "eats", "sleeps"}


def tagged(text: str, number: int = 0) -> Tagged:
    words = text.split()
    tags = ["N" if word in NOUNS else "V" if word in VERBS else "X" for word in words]
    return Tagged(words, tags, f"a.txt, line {number}")


def long_one(words: int, seed: int = 0) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


SENTENCES = [
    tagged(text, number)
    for number, text in enumerate(["the cat sits here", "a dog runs", "now", "red dog and blue cat", long_one(60)])
]


def task_of(layout: Layout, sentences: list[Tagged] = SENTENCES, **more: object) -> Tagging:
    return Tagging.of(layout, sentences, ["N", "V", "X"], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", BOTH)
def test_it_learns_and_the_loss_is_a_mean_over_examples(network: str) -> None:
    model, layout = BOTH[network]()
    task = task_of(layout)
    head, losses = learnt(task, model)
    assert losses[0] == pytest.approx(np.log(3), rel=1e-5)  # an untrained head foretells evenly
    assert losses[-1] < losses[0] / 4
    score = task.score()
    score.add(foretold(task, model, head), task, np.arange(len(task)))
    assert score.result()["accuracy"] == 1.0
    assert set(task.metrics) <= set(score.result())
    with torch.no_grad():
        parts = [float(loss_of(task, model, head, np.array(part))) * len(part) for part in ([0, 3], [4, 1, 2])]
        whole = float(loss_of(task, model, head, np.arange(5)))
    assert sum(parts) / 5 == pytest.approx(whole, rel=1e-4)


def test_windows_answer_for_each_word_once_where_it_has_most_context() -> None:
    _, layout = encoder_and_layout(length=12)
    task = task_of(layout)
    room = 12 - 2
    assert task.lengths().tolist() == [6, 5, 3, 7, 11 * 12]
    assert np.diff(task.words).tolist() == [4, 3, 1, 5, 60]
    of_last = slice(int(task.words[4]), None)
    window, place = task.window[of_last], task.place[of_last]
    starts = np.array([min(5 * number, 60 - room) for number in range(11)])
    assert (starts[window] + place - 1).tolist() == list(range(60))  # each word is where it stands
    context = np.minimum(place - 1, room - place)
    inner = slice(room // 2, -(room // 2))
    assert (context[inner] >= 2).all()
    tokens = task.sequences.tokens(int(task.first[4]) + 3)
    assert tokens[1:-1] == layout.encoded([" ".join(SENTENCES[4].words)])[0][15:25]


@pytest.mark.parametrize("network", BOTH)
def test_an_overlong_sentence_is_foretold_from_its_windows(network: str) -> None:
    """What a window says of its words is what it says alone."""
    model, layout = BOTH[network](length=12)
    task = task_of(layout)
    head = random_head(task, model.dim)
    found = foretold(task, model, head)[4]
    assert len(found) == 60
    words = SENTENCES[4].words
    room = 12 - len(layout.lead) - len(layout.trail)
    step = room // 2
    alone = foretold(task_of(layout, [tagged(" ".join(words[step : step + room]))]), model, head)[0]
    window = task.window[int(task.words[4]) :]
    owned = np.flatnonzero(window == 1)
    assert len(owned) > 2
    assert [found[at] for at in owned] == [alone[at - step] for at in owned]


@pytest.mark.parametrize("network", BOTH)
def test_a_part_is_that_part_and_scores_stream(network: str) -> None:
    model, layout = BOTH[network](length=12)
    task = task_of(layout)
    head = random_head(task, model.dim)
    whole = foretold(task, model, head)
    part = task.take(np.array([4, 0]))
    assert foretold(part, model, head) == [whole[4], whole[0]]
    assert [sentence.place for sentence in part.sentences] == ["a.txt, line 4", "a.txt, line 0"]
    assert part.take(np.array([1])).sentences == [SENTENCES[0]]
    for name, value in part.targets(np.array([0, 1])).items():
        assert value.tolist() == task.targets(np.array([4, 0]))[name].tolist()
    at_once, streamed = task.score(), task.score()
    at_once.add(whole, task, np.arange(5))
    for positions in by_length(task, tokens=8):
        streamed.add(foretold(task, model, head, positions), task, positions)
    assert streamed.result() == pytest.approx(at_once.result())


def test_pieces_after_the_first_and_unseen_tags_leave_the_loss_alone() -> None:
    model, layout = encoder_and_layout()
    # a word of three tokens of this tokenizer
    task = Tagging.of(layout, [Tagged(["cat-dog", "runs"], ["N", "new"], "a")], ["N", "V"])
    assert task.place.tolist() == [1, 4]
    assert task.tag.tolist() == [0, UNSEEN]
    head = random_head(task, model.dim)
    scores = torch.zeros(1, 6, 2)
    inputs, targets = task.inputs(np.array([0])), task.targets(np.array([0]))
    before = task.loss(scores, targets, inputs)
    scores[0, [0, 2, 3, 4, 5]] = 9.0 * torch.randn(5, 2)
    assert task.loss(scores, targets, inputs) == before
    scores[0, 1, 1] = 3.0
    assert task.loss(scores, targets, inputs) > before
    score = task.score()
    score.add(foretold(task, model, head), task, np.array([0]))
    assert score.result()["unseen_words"] == 0.5
    assert score.result()["accuracy"] <= 0.5


def test_the_content_changes_with_what_is_judged() -> None:
    _, layout = encoder_and_layout()
    one = Tagging.of(layout, [Tagged(["cat", "runs"], ["N", "new"], "a")], ["N", "V"])
    other = Tagging.of(layout, [Tagged(["cat", "runs"], ["N", "newer"], "a")], ["N", "V"])
    assert len({one.content(), other.content(), task_of(layout).content()}) == 3
    as_written = Tagging.of(layout, [Tagged(["Cat", "runs"], ["N", "new"], "a")], ["N", "V"])
    assert as_written.content() != one.content()  # the tokens are the same, what is foretold by the words alone is not
    part = task_of(layout).take(np.array([3, 0]))
    assert part.content() == task_of(layout, [SENTENCES[3], SENTENCES[0]]).content()


def test_entities_are_the_headline_of_bio_tags() -> None:
    _, layout = encoder_and_layout()
    assert task_of(layout).metric == "accuracy"
    task = Entities.of(layout, [Tagged(["cat", "runs"], ["B-A", "O"], "a")], ["B-A", "O"])
    assert task.metric == "entity_f1"
    score = task.score()
    score.add([["B-A", "O"]], task, np.array([0]))
    assert {score.result()[name] for name in task.metrics} == {1.0}


def test_a_sentence_without_tokens_is_refused() -> None:
    _, layout = encoder_and_layout()
    with pytest.raises(InputError, match="line 7: the tokenizer makes no token of this sentence; leave it out"):
        Tagging.of(layout, [tagged("a cat"), Tagged(["\u2028"], ["X"], "a.txt, line 7")], ["X"])
