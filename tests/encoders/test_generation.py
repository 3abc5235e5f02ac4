"""Generation with and without kept keys and values, and how tokens are chosen."""

from __future__ import annotations

import pytest
import torch

from foretell.encoders.attention import Cache
from foretell.encoders.generation import FixedStep, Sampling, generate, probabilities
from foretell.encoders.language import LanguageModel, Shape
from foretell.errors import InputError


def model(**settings: object) -> LanguageModel:
    torch.manual_seed(0)
    shape = Shape(
        **{
            "vocabulary": 60,
            "layers": 3,
            "width": 32,
            "heads": 4,
            "inner": 64,
            "positions": 40,
            "causal": True,
            "norm": "pre",
            "embedding_norm": False,
            "activation": "gelu_tanh",
            **settings,
        }
    )
    made = LanguageModel(shape, "gpt2")
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_cache_changes_nothing(norm: str, temperature: float) -> None:
    made, sampling = model(norm=norm), Sampling(temperature)
    with_it = list(generate(made, [3, 4, 5], 30, sampling, seed=1))
    without = list(generate(made, [3, 4, 5], 30, sampling, seed=1, cached=False))
    assert with_it == without
    assert len(with_it) == 30


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_step_of_fixed_size_gives_the_logits_of_the_whole_text(norm: str) -> None:
    made = model(norm=norm)
    ids = torch.randint(60, (20,), generator=torch.Generator().manual_seed(1))
    cache = Cache(20)
    with torch.no_grad():
        wanted = made.logits(made.net(ids[None]))[0]
        made.net(ids[None, :7], cache=cache)
        for keys, values in cache.pairs.values():
            keys[:, :, 7:], values[:, :, 7:] = float("nan"), float("nan")  # what is not filled is never looked at
        step = FixedStep(made, cache, torch.device("cpu"))
        for place in range(7, 20):
            assert (step(int(ids[place]), place) - wanted[place]).abs().max() < 1e-4


def test_a_prompt_in_two_parts_gives_the_same_states() -> None:
    made = model()
    ids = torch.randint(60, (2, 20), generator=torch.Generator().manual_seed(1))
    whole = made.net(ids)
    cache = Cache(20)
    parts = torch.cat([made.net(ids[:, :7], cache=cache), made.net(ids[:, 7:], cache=cache)], dim=1)
    assert (whole - parts).abs().max() < 1e-5


def test_causality_is_exact() -> None:
    made = model()
    ids = torch.randint(60, (1, 20), generator=torch.Generator().manual_seed(1))
    other = ids.clone()
    other[0, 12] = (ids[0, 12] + 1) % 60
    with torch.no_grad():
        one, two = made.logits(made.net(ids)), made.logits(made.net(other))
    assert torch.equal(one[:, :12], two[:, :12])
    assert not torch.equal(one[:, 12:], two[:, 12:])


def test_it_stops_at_the_last_position() -> None:
    assert len(list(generate(model(), [1, 2, 3], 1000))) == 37


def test_who_reads_the_tokens_may_train_meanwhile_and_read_another_text() -> None:
    made = model()
    first, second = generate(made, [1, 2, 3], 10), generate(made, [1, 2, 3], 10)
    told = [next(first), next(second)]
    assert not torch.is_inference_mode_enabled()
    made.net(torch.tensor([[1, 2]])).sum().backward()
    first.close()
    assert [told[1], *second] == list(generate(made, [1, 2, 3], 10))
    assert not torch.is_inference_mode_enabled()


def test_top_k_and_top_p() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert torch.allclose(probabilities(logits, Sampling()), logits.exp())
    assert torch.allclose(probabilities(logits, Sampling(top_k=2)), torch.tensor([0.625, 0.375, 0, 0]))
    assert torch.allclose(probabilities(logits, Sampling(top_p=0.8)), torch.tensor([0.625, 0.375, 0, 0]), atol=1e-6)
    assert torch.allclose(probabilities(logits, Sampling(top_p=0.01)), torch.tensor([1.0, 0, 0, 0]))
    assert torch.allclose(probabilities(logits, Sampling(0.0)), torch.tensor([1.0, 0, 0, 0]))
    colder = probabilities(logits, Sampling(0.5))
    assert torch.allclose(colder, logits.exp() ** 2 / (logits.exp() ** 2).sum())


def test_bad_input() -> None:
    with pytest.raises(InputError, match="the prompt is empty"):
        next(generate(model(), [], 3))
    with pytest.raises(InputError, match="40 tokens, the model 40 positions"):
        next(generate(model(), [1] * 40, 3))
    with pytest.raises(InputError, match="cannot write on; train one with --objective gpt"):
        next(generate(model(causal=False), [1], 3))
    cold = probabilities(torch.tensor([1.0, 3.0, 2.0]), Sampling(1e-45))
    assert cold.tolist() == [0.0, 1.0, 0.0]
    for wrong in ({"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}):
        with pytest.raises(InputError, match="expected"):
            Sampling(**wrong)
