from __future__ import annotations

import json
import platform
import threading

import numpy as np
import pytest
import torch
from torch import nn
from train_toys import Classes, Pairs

from foretell.counters import Rows
from foretell.encoders import EncoderConfig, build_encoder
from foretell.errors import InputError
from foretell.train import TrainingConfig, cost, machine, measure
from foretell.train.machine import Limits, checked_limits, describe, limits

CPU = torch.device("cpu")


def test_limits_are_measured_once(tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "a" / "b"))
    first = limits()
    (file,) = (tmp_path / "a" / "b").iterdir()
    stored = json.loads(file.read_text())
    assert stored["threads"] == torch.get_num_threads()
    assert stored["torch"] == torch.__version__
    monkeypatch.setattr(machine, "_product_rate", lambda dtype, device: 7.0)
    assert limits() == first
    assert limits(refresh=True).float32_flops == 7.0
    file.write_text("{")
    assert limits().float32_flops == 7.0


def test_a_limit_of_a_busy_machine_does_not_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "_copy_rate", lambda device: 3.0)
    monkeypatch.setattr(machine, "_product_rate", lambda dtype, device: 7.0)
    assert limits().float32_flops == 7.0
    monkeypatch.setattr(machine, "_checked", set())
    monkeypatch.setattr(machine, "_product_rate", lambda dtype, device: 9.0)
    assert checked_limits().float32_flops == 9.0
    monkeypatch.setattr(machine, "_product_rate", lambda dtype, device: 99.0)
    assert checked_limits().float32_flops == 9.0  # once a process


def test_limits_are_plausible(tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path))
    found = limits()
    assert 1e9 < found.float32_flops < 1e14
    assert 1e7 < found.bfloat16_flops < 1e15
    assert 1e8 < found.copy_bytes_per_s < 1e13
    assert found.flops("bfloat16") == found.bfloat16_flops
    a = torch.rand(512, 512)
    seconds = machine._fastest(lambda: a @ a, CPU, 0.1)
    assert 2 * 512**3 / seconds < 10 * found.float32_flops


def test_an_unwritable_cache_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(machine, "_product_rate", lambda dtype, device: 7.0)
    monkeypatch.setattr(machine, "_copy_rate", lambda device: 3.0)
    assert limits() == Limits(7.0, 7.0, 3.0)
    assert describe()["float32_flops"] == 7.0


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("FORETELL_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.cache_folder() == tmp_path / ".cache" / "foretell"


def test_operations_of_a_linear_layer():
    layer = nn.Linear(30, 20)
    x = torch.rand(8, 30, requires_grad=True)
    assert cost.count_flops(lambda: layer(x)) == 2 * 8 * 30 * 20
    assert cost.count_flops(lambda: layer(x).sum().backward()) == 3 * 2 * 8 * 30 * 20


def test_operations_of_a_step_are_counted_once_a_shape():
    config = TrainingConfig(batch=64, optimizer="sgd")
    rows = Rows(0, 64, 64)
    toy = Classes(width=24)
    before = {name: tensor.clone() for name, tensor in toy.state_dict().items()}
    count = measure.flops_per_sample(toy, config, rows, CPU)
    assert count == 2 * (2 * 64 * 24 + 3 * 24 * 10)
    assert all(torch.equal(tensor, before[name]) for name, tensor in toy.state_dict().items())
    assert toy.head.weight.grad is None
    toy.loss = None  # a second count would fail
    assert measure.flops_per_sample(toy, config, rows, CPU) == count
    frozen = Classes(width=24)
    frozen.encoder.requires_grad_(False)
    assert measure.flops_per_sample(frozen, config, rows, CPU) == 2 * (64 * 24 + 2 * 24 * 10)


def test_cached_gradients_cost_one_forward_more():
    rows = Rows(0, 64, 64)
    whole = measure.flops_per_sample(Pairs(), TrainingConfig(batch=64), rows, CPU)
    parts = measure.flops_per_sample(Pairs(), TrainingConfig(batch=64, chunk=16), rows, CPU)
    assert parts - whole == pytest.approx(2 * 2 * (64 * 16 + 16 * 8))


def test_peak_memory_is_the_most_that_was_held_in_the_block(tmp_path):
    big = 100_000_000
    np.save(tmp_path / "file.npy", np.ones(big, np.float32))
    with cost.PeakMemory(CPU) as before:
        pass
    with cost.PeakMemory(CPU) as within:
        held = torch.ones(big)
        seen = within.bytes
        del held
    assert seen - before.bytes == pytest.approx(4 * big, rel=0.05)
    assert within.bytes == seen
    with cost.PeakMemory(CPU) as mapped:
        assert np.load(tmp_path / "file.npy", mmap_mode="r").sum() == big
    assert mapped.bytes - before.bytes < big


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to give memory back")
def test_what_earlier_work_freed_is_not_counted():
    pieces = [torch.ones(20_000) for _ in range(2000)]  # 80 kB each: from the heap, which stays as high as its top
    full = cost._in_use()
    pieces = pieces[::100]
    with cost.PeakMemory(CPU) as after:
        pass
    assert full - after.bytes > 100e6
    del pieces


def test_memory_is_looked_at_while_the_block_works(monkeypatch):
    looks = iter([5, 5, 9, 4, 4])
    looked = threading.Event()

    def in_use():
        value = next(looks, 4)
        if value == 9:
            looked.set()
        return value

    monkeypatch.setattr(cost, "_in_use", in_use)
    with cost.PeakMemory(CPU) as memory:
        assert looked.wait(10)
    assert memory.bytes == 9


def test_operations_of_embedding_an_image():
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 32).train()
    shapes = []
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda module, given, made: shapes.append((module.weight.numel(), made[0, 0].numel()))
            )
    count = cost.forward_flops(encoder, 32)
    assert count == sum(2 * weights * places for weights, places in shapes) > 1e6
    assert encoder.training
    seen = len(shapes)
    assert cost.forward_flops(encoder, 32) == count
    assert len(shapes) == seen, "a shape is counted once"
    assert cost.forward_flops(encoder, 64) == 4 * count


def test_operations_are_told_apart_where_parameters_are_alike():
    coarse, fine = (build_encoder(EncoderConfig(name="resnet_tiny"), 1, 32) for _ in range(2))
    for module in fine.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    shapes = [[(name, p.shape) for name, p in encoder.named_parameters()] for encoder in (coarse, fine)]
    assert shapes[0] == shapes[1]
    assert cost.forward_flops(fine, 32) > 2 * cost.forward_flops(coarse, 32)


def test_the_size_of_a_trial():
    assert measure._trial_size(1e-5, 2.5, 2) == (64, 4)
    assert measure._trial_size(0.08, 2.5, 2) == (16, 1)
    assert measure._trial_size(0.02, 2.5, 3) == (64, 1)
    assert measure._trial_size(30.0, 2.5, 2) == (4, 1)
    assert measure._seconds_a_trial(TrainingConfig()) == 2.5
    assert measure._seconds_a_trial(TrainingConfig(time="10s")) == 0.2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpu", "unknown device 'gpu'; expected auto, cpu, cuda or cuda:N"),
        ("mps", "unknown device 'mps'; expected auto, cpu, cuda or cuda:N"),
        ("cuda:99", "device 'cuda:99': this machine has no such GPU that torch can use; give cpu or auto"),
    ],
)
def test_a_device_that_is_not_there_is_said(name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        machine.named_device(name)
    assert str(caught.value) == said
