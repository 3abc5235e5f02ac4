"""What holds on a GPU: run with FORETELL_TEST_CUDA=1 where there is one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from foretell import objectives
from foretell.counters import Rng, Rows
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.encoders.generation import Sampling, generate
from foretell.encoders.language import NetworkConfig
from foretell.objectives.base import Objective
from foretell.objectives.gpt import Gpt
from foretell.train import fit
from foretell.train.config import TrainingConfig

sys.path.insert(0, str(Path(__file__).parent / "objectives"))
import contract_text
from contract_data import animals, fitting

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here, or FORETELL_TEST_CUDA is not 1")
IMAGES = [name for name in objectives.names() if objectives.get(name).kind == "image"]


def image_task(name: str) -> Objective:
    torch.manual_seed(0)
    kind = objectives.get(name)
    store = fitting(kind, animals(96))
    encoder = build_encoder(EncoderConfig(name="vit_mini" if kind.transformer else "resnet_tiny"), store.channels, 28)
    return kind(kind.Config(), encoder, store)


def text_task(case: str, cache: Path) -> Objective:
    return contract_text.made(case, contract_text.store_for(contract_text.CASES[case][0], cache))


def gradients(task: Objective, device: str) -> tuple[float, torch.Tensor]:
    """Loss and gradient of the first player on one batch, hidden and worked out on ``device``."""
    rows = Rows.of_rank(32)
    stream, player = next(iter(task.streams())), next(iter(task.players()))
    task.to(device).train()
    task.zero_grad(set_to_none=True)
    batch = task.draw(stream, 0, 0, rows).to(torch.device(device))
    loss = task.loss(task.hide(batch, Rng(0, 0, rows, torch.device(device))), player)["total"]
    loss.backward()
    grads = [parameter.grad.flatten().cpu() for parameter in task.parameters() if parameter.grad is not None]
    return float(loss.detach()), torch.cat(grads)


def same_on_both(task: Objective) -> None:
    torch.backends.cudnn.allow_tf32 = False
    here, there = gradients(task, "cpu"), gradients(task, "cuda")
    assert there[0] == pytest.approx(here[0], rel=2e-3)
    assert float((there[1] - here[1]).norm() / here[1].norm()) < 3e-2


def trained(task: Objective, precision: str) -> None:
    before = {name: parameter.detach().cpu().clone() for name, parameter in task.named_parameters()}
    config = TrainingConfig(batch=32, steps=4, optimizer="adamw", rate=1e-3, device="cuda", precision=precision)
    result = fit(task, config)
    assert result.loss is not None
    assert np.isfinite(result.loss)
    after = dict(task.named_parameters())
    assert all(parameter.is_cuda for parameter in after.values())
    assert any(not torch.equal(before[name], after[name].cpu()) for name in before)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_task_gives_the_loss_and_gradient_of_the_cpu(name: str) -> None:
    same_on_both(image_task(name))


@pytest.mark.parametrize("case", list(contract_text.CASES))
def test_a_text_task_gives_the_loss_and_gradient_of_the_cpu(case: str, tmp_path: Path) -> None:
    same_on_both(text_task(case, tmp_path))


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_task_trains(name: str, precision: str) -> None:
    trained(image_task(name), precision)


@pytest.mark.parametrize("case", list(contract_text.CASES))
def test_a_text_task_trains(case: str, tmp_path: Path) -> None:
    trained(text_task(case, tmp_path), "bfloat16")


def test_text_written_by_a_recorded_step_is_that_of_the_whole_network() -> None:
    torch.manual_seed(0)
    config = Gpt.Config(length=80, network=NetworkConfig(size="tiny"))
    model = Gpt.model(config, 500, {"end": 0}).to("cuda").double()
    greedy = Sampling(temperature=0.0)
    found = list(generate(model, [1, 2, 3], 70, greedy))
    assert found == list(generate(model, [1, 2, 3], 70, greedy, cached=False))
    assert len(set(found)) > 1


def test_words_are_learned_on_the_cpu(tmp_path: Path) -> None:
    from foretell import pretrain

    text = tmp_path / "a.txt"
    text.write_text("the cat sat on the mat while the dog sat on the log\n" * 400)
    made = pretrain(
        text, objective="word2vec", out=tmp_path / "run", set=["training.epochs=1", "objective.min_count=1"]
    )
    assert made.steps > 0


def test_the_command_line_from_images_to_a_report(tmp_path: Path) -> None:
    from foretell import evaluate, pretrain

    made = pretrain("@animals", objective="simclr", out=tmp_path / "run", set=["training.steps=6"])
    found = evaluate(made.run, compare=True, per_class="2", seeds=2, trials=2, set=["transfer.most_steps=5"])
    assert set(found["comparison"]["arms"]) == {"pretrained", "probe", "scratch", "random"}
    assert (tmp_path / "run" / "report.html").is_file()
