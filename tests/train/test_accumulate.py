from __future__ import annotations

import pytest
import torch
from train_toys import Classes, Pairs, Rivals, weights

from foretell.errors import InputError
from foretell.train import TrainingConfig, fit

PLAIN = {"precision": "float32", "layout": "contiguous", "device": "cpu"}


def trained(cls, chunk=None, batch=96, steps=8, **settings):
    toy = cls(**settings)
    config = TrainingConfig(batch=batch, steps=steps, optimizer="sgd", rate=0.5, chunk=chunk, **PLAIN)
    result = fit(toy, config)
    return toy, result


@pytest.mark.parametrize("cls", [Classes, Pairs, Rivals])
@pytest.mark.parametrize("chunk", [32, 40, 1])
def test_chunks_equal_the_whole_batch(cls, chunk):
    whole, result = trained(cls)
    parts, in_parts = trained(cls, chunk)
    assert in_parts.loss == pytest.approx(result.loss, abs=1e-5)
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(parts.state_dict()[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_cached_gradients_embed_again_with_the_same_dropout(monkeypatch):
    seen = []
    embed = Pairs.embed

    def noted(self, task):
        out = embed(self, task)
        seen.append(out.detach().clone())
        return out

    monkeypatch.setattr(Pairs, "embed", noted)
    trained(Pairs, 32, steps=1, dropout=0.5)
    assert len(seen) == 6
    for first, again in zip(seen[:3], seen[3:], strict=True):
        assert torch.equal(first, again)
    assert not torch.equal(seen[0], seen[1])


def test_a_learnt_temperature_is_trained_in_chunks():
    toy, _ = trained(Pairs, 32)
    assert toy.heat.item() != 0


@pytest.mark.parametrize("cls", [Classes, Pairs])
def test_chunks_are_refused_with_batch_norm(cls):
    with pytest.raises(InputError, match=r"training.chunk = 32: batch norm sees only the 32 samples of a chunk"):
        trained(cls, 32, norm=True)


def test_frozen_batch_norm_may_be_cut():
    class Frozen(Classes):
        def train(self, mode=True):
            super().train(mode)
            self.encoder[1].eval()
            return self

    trained(Frozen, 32, norm=True)


def test_chunks_are_refused_where_the_loss_cannot_be_cut():
    class Whole(Classes):
        accumulation = "none"

    with pytest.raises(InputError, match="loss of Whole cannot be computed in chunks; leave"):
        trained(Whole, 32)
    trained(Whole, 96)


def test_a_batch_of_one():
    with pytest.raises(InputError, match=r"training.batch = 1: Pairs compares the samples of a batch.*2 or more"):
        trained(Pairs, batch=1)
    with pytest.raises(InputError, match=r"training.batch = 1: batch norm needs at least two samples"):
        trained(Classes, batch=1, norm=True)
    trained(Classes, batch=1)


def test_fewer_samples_than_a_batch():
    with pytest.raises(InputError, match="50 samples are fewer than a batch of 96"):
        trained(Classes, count=50)
