"""How likely a decoder finds texts: exact against one text at a time, whatever is batched together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import matthews_corrcoef
from task_models import decoder_and_layout, encoder_and_layout

from foretell.errors import InputError
from foretell.tasks import zero_shot
from foretell.tasks.zero_shot import (
    acceptability,
    acceptability_threshold,
    choice_scores,
    likelihoods,
    log_probabilities,
    matthews,
)

PAIRS = [
    ("the cat", "sits here"),
    ("", "a dog runs"),
    ("a big red dog and a cat", "now"),
    ("the", "cat"),
    ("", "now"),
    ("the cat", "sits there and eats"),
]


@pytest.fixture(scope="module")
def decoder():  # type: ignore[no-untyped-def]
    model, layout = decoder_and_layout()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.1
    return model, layout.tokenizer


def slowly(model, tokenizer, context: str, text: str) -> tuple[float, int]:  # type: ignore[no-untyped-def]
    end = tokenizer.token_to_id("<|endoftext|>")
    before = [end, *tokenizer.encode(context, add_special_tokens=False).ids]
    after = tokenizer.encode(text, add_special_tokens=False).ids
    with torch.no_grad():
        found = model.logits(model.net(torch.tensor([[*before, *after]])))[0].log_softmax(1)
    return sum(float(found[len(before) - 1 + at, token]) for at, token in enumerate(after)), len(after)


@pytest.mark.parametrize("batch", [1, 12, 8192])
def test_equal_to_one_text_at_a_time(decoder, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(zero_shot, "AT_ONCE", 4)
    monkeypatch.setattr(zero_shot, "LOGITS", 40)
    found = list(likelihoods(*decoder, iter(PAIRS), batch=batch))
    assert len(found) == len(PAIRS)
    for one, pair in zip(found, PAIRS, strict=True):
        total, tokens = slowly(*decoder, *pair)
        assert (one.tokens, one.cut) == (tokens, 0)
        assert one.total == pytest.approx(total, abs=1e-4)
        assert one.mean == pytest.approx(total / tokens, abs=1e-4)


def test_texts_are_streamed(decoder, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(zero_shot, "AT_ONCE", 2)
    read: list[int] = []

    def reading():  # type: ignore[no-untyped-def]
        for number, pair in enumerate(PAIRS):
            read.append(number)
            yield pair

    next(likelihoods(*decoder, reading()))
    assert read == [0, 1]


def test_permuting_candidates_permutes_scores(decoder) -> None:  # type: ignore[no-untyped-def]
    examples = [("the cat", ["sits here", "runs", "eats now"]), ("", ["a dog", "dog a"]), ("red", ["blue"])]
    found = list(choice_scores(*decoder, iter(examples)))
    assert [len(scores) for scores in found] == [3, 2, 1]
    turned = list(choice_scores(*decoder, [(context, texts[::-1]) for context, texts in examples]))
    for scores, other in zip(found, turned, strict=True):
        assert other[::-1] == pytest.approx(scores, abs=1e-5)
    total, tokens = slowly(*decoder, "the cat", "eats now")
    assert found[0][2] == pytest.approx(total / tokens, abs=1e-4)


def test_a_long_context_loses_its_beginning(decoder) -> None:  # type: ignore[no-untyped-def]
    model, tokenizer = decoder
    words = ["cat", "dog", "red"] * 15
    (found,) = likelihoods(model, tokenizer, [(" ".join(words), "now here")])
    assert (found.tokens, found.cut) == (2, 1 + 45 + 2 - 32)
    ids = tokenizer.encode(" ".join([*words[-30:], "now here"]), add_special_tokens=False).ids
    with torch.no_grad():
        logs = model.logits(model.net(torch.tensor([ids])))[0].log_softmax(1)
    assert found.total == pytest.approx(float(logs[29, ids[30]] + logs[30, ids[31]]), abs=1e-4)


def test_what_cannot_be_scored(decoder) -> None:  # type: ignore[no-untyped-def]
    model, layout = encoder_and_layout()
    with pytest.raises(InputError, match="cannot tell how likely a text is; train one with --objective gpt"):
        next(likelihoods(model, layout.tokenizer, PAIRS))
    with pytest.raises(InputError, match="text 2: no token of it can be scored"):
        list(likelihoods(*decoder, [PAIRS[0], ("the cat", " ")]))
    with pytest.raises(InputError, match="text 1: 32 tokens are longer than the 32 positions"):
        list(likelihoods(*decoder, [("", "cat " * 32)]))
    assert next(likelihoods(*decoder, [("", "cat " * 31)])).tokens == 31


def test_log_probabilities_equal_log_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero_shot, "LOGITS", 50)
    states, weight, bias = torch.randn(17, 8), torch.randn(20, 8), torch.randn(20)
    target = torch.randint(20, (17,))
    expected = (states @ weight.T + bias).log_softmax(1)[torch.arange(17), target]
    assert torch.allclose(log_probabilities(states, weight, bias, target), expected, atol=1e-5)


def test_acceptability(decoder) -> None:  # type: ignore[no-untyped-def]
    found = list(acceptability(*decoder, ["the cat sits", "now"]))
    total, tokens = slowly(*decoder, "", "the cat sits")
    assert found[0] == pytest.approx(total / tokens, abs=1e-4)


def test_matthews_equals_scikit_learn_and_its_best_threshold_is_found() -> None:
    chance = np.random.default_rng(0)
    truth = chance.random(60) < 0.6
    scores = chance.integers(-5, 6, 60) + 3.0 * truth
    for threshold in (-0.5, 1.0, 4.5):
        assert matthews(scores > threshold, truth) == pytest.approx(matthews_corrcoef(truth, scores > threshold))
    assert matthews(np.ones(60, bool), truth) == 0.0
    chosen = acceptability_threshold(scores.tolist(), truth.tolist())
    best = max(matthews_corrcoef(truth, scores > at) for at in np.arange(-5.5, 8))
    assert matthews(scores > chosen, truth) == pytest.approx(best)
    with pytest.raises(ValueError, match="two different scores"):
        acceptability_threshold([1.0, 1.0], [True, False])
