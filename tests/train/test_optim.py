from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from foretell.encoders.channelwise import ChannelwiseLinear
from foretell.objectives.base import Player
from foretell.train.config import TrainingConfig
from foretell.train.optim import LARS, make_optimizer, set_rate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 4, 5))


def named(module: nn.Module, **settings) -> Player:
    return Player(list(module.named_parameters()), **settings)


def slow_lars(w, gradients, rates, *, decay, adapt, momentum=0.9, trust=0.001, nesterov=False):
    """SimCLR's lars_optimizer.py, in float64, one tensor."""
    v = np.zeros_like(w)
    for g, lr in zip(gradients, rates, strict=True):
        g = g + decay * w if adapt else g
        ratio = 1.0
        if adapt:
            w_norm, g_norm = np.linalg.norm(w), np.linalg.norm(g)
            ratio = (trust * w_norm / g_norm if g_norm > 0 else 1.0) if w_norm > 0 else 1.0
        scaled = lr * ratio
        v = momentum * v + scaled * g
        w = w - ((momentum * v + scaled * g) if nesterov else v)
    return w


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_lars_is_the_reference(monkeypatch, nesterov, many):
    if many:
        # the path of a GPU, on the CPU
        monkeypatch.setattr(
            LARS,
            "_one",
            lambda self, group, w, g, v: LARS._many(group, [w], [g], [v]),
        )
    model = network()
    nn.init.zeros_(model[3].weight)  # a weight of norm zero has ratio 1
    config = TrainingConfig(optimizer="lars", weight_decay=0.05, nesterov=nesterov)
    optimizer = make_optimizer(named(model), config)
    before = {name: p.detach().double().numpy().copy() for name, p in model.named_parameters()}
    rates = [0.3, 1.2, 0.7, 0.01, 2.0]
    gradients: dict[str, list] = {name: [] for name in before}
    generator = torch.Generator().manual_seed(1)
    for step, rate in enumerate(rates):
        for name, p in model.named_parameters():
            p.grad = torch.randn(p.shape, generator=generator) * (0 if step == 3 else 10.0 ** (step - 2))
            gradients[name].append(p.grad.double().numpy())
        set_rate(optimizer, rate)
        optimizer.step()
    for name, p in model.named_parameters():
        expected = slow_lars(before[name], gradients[name], rates, decay=0.05, adapt=p.ndim > 1, nesterov=nesterov)
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=2e-5, atol=1e-6, err_msg=name)


def test_lars_moves_a_weight_by_its_norm_whatever_the_gradient():
    for size in (1e-6, 1.0, 1e6):
        w = nn.Parameter(torch.full((2, 2), 3.0))
        w.grad = torch.full((2, 2), size)
        LARS([w], lr=1.0).step()
        assert float((w.detach() - 3).norm()) == pytest.approx(0.001 * 6.0, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["lars", "sgd", "adamw"])
def test_biases_norms_and_excluded_parameters_do_not_decay(optimizer):
    model = network()
    config = TrainingConfig(optimizer=optimizer, weight_decay=0.1)
    made = make_optimizer(named(model), config, exclude=lambda name, parameter: name.startswith("3."))
    decay = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    decays = {name: decay[id(p)] for name, p in model.named_parameters()}
    assert decays.pop("0.weight") == 0.1
    assert set(decays.values()) == {0.0}
    if optimizer == "lars":
        adapt = {id(p): group["adapt"] for group in made.param_groups for p in group["params"]}
        assert [name for name, p in model.named_parameters() if adapt[id(p)]] == ["0.weight"]


def test_rates_of_players_and_parameters():
    model = network()
    player = named(model, rate=2.0, scales={"0.weight": 0.25})
    made = make_optimizer(player, TrainingConfig(optimizer="sgd", momentum=0.0, weight_decay=0.0))
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    set_rate(made, 0.1)
    made.step()
    moved = [float((a - b.detach()).abs().max()) for a, b in zip(before, model.parameters(), strict=True)]
    assert moved == pytest.approx([0.05] + [0.2] * (len(moved) - 1), rel=1e-4)


def test_a_bias_of_a_layer_of_its_own_shape_is_left_alone():
    layer = ChannelwiseLinear(3, (2, 2))
    made = make_optimizer(named(layer), TrainingConfig(weight_decay=0.1))
    told = {group["params"][0]: (group["weight_decay"], group["adapt"]) for group in made.param_groups}
    assert told == {layer.weight: (0.1, True), layer.bias: (0.0, False)}


def test_a_player_overrides_betas_of_adam():
    made = make_optimizer(named(network(), betas=(0.5, 0.9)), TrainingConfig(optimizer="adamw"))
    assert {group["betas"] for group in made.param_groups} == {(0.5, 0.9)}


def test_fused_adam_equals_the_plain_one_in_channels_last():
    models = [network().to(memory_format=torch.channels_last) for _ in range(2)]
    fused = make_optimizer(named(models[0]), TrainingConfig(optimizer="adamw", weight_decay=0.01))
    assert fused.defaults["fused"]
    plain = torch.optim.AdamW(
        [
            {"params": [p for p in models[1].parameters() if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in models[1].parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=0.01,
        fused=False,
    )
    set_rate(fused, 0.01)
    x = torch.rand(6, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    for _ in range(5):
        for model, optimizer in zip(models, (fused, plain), strict=True):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            model[0].bias.grad.zero_()  # before a batch norm it is rounding alone, which Adam would blow up
            optimizer.step()
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
