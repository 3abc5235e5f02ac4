"""What is special about context encoders: zero gradient where pixels are seen, two players, settings, measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from foretell.counters import Rng, Rows
from foretell.data.store import ImageStore, open_images
from foretell.encoders import build_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import ForetellWarning, InputError
from foretell.losses import hole_error
from foretell.objectives.base import Task
from foretell.objectives.context_encoder import ContextEncoder
from foretell.objectives.context_networks import Discriminator, Won
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.train import fit
from foretell.train.config import TrainingConfig
from foretell.train.step import Stepper
from foretell.views.masks import MaskConfig

SIDE = 32


@pytest.fixture(scope="module")
def store() -> ImageStore:
    return open_images("@emoji").subset(np.arange(0, 1800, 30))


def make(
    store: ImageStore, *, norm: str = "batch", mask: MaskConfig | None = None, **settings: object
) -> ContextEncoder:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet_tiny", norm=norm), store.channels, SIDE)
    views = ContextEncoder.Config().views.model_copy(update={"side": SIDE})
    given = {"views": views, "width": 8, "discriminator_width": 8, "mask": mask or MaskConfig(), **settings}
    return ContextEncoder(ContextEncoder.Config(**given), encoder, store)


def task_of(objective: ContextEncoder, count: int = 8, step: int = 0) -> Task:
    rows = Rows.of_rank(count)
    return objective.hide(objective.draw("image", 0, step, rows), Rng(0, step, rows))


def stepper(objective: ContextEncoder, count: int = 8) -> Stepper:
    config = TrainingConfig(batch=count, steps=10, optimizer="adamw", rate=1e-3, warmup=0, schedule="constant")
    return Stepper(
        objective, config, Rows.of_rank(count), steps=10, device=torch.device("cpu"), precision="float32", layout="contiguous"
    )  # fmt: skip


# the hole ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["centre", "block", "region"])
def test_hidden_pixels_are_the_datas_mean_and_others_are_seen(store: ImageStore, kind: str) -> None:
    objective = make(store, mask=MaskConfig(kind=kind))
    task = task_of(objective)
    context, clean, mask = task.visible["context"], task.hidden["clean"], task.hidden["mask"]
    hidden = mask.expand_as(clean) == 1
    # normalised by the data's own mean, which is therefore 0
    assert context[hidden].eq(0).all()
    assert torch.equal(context[~hidden], clean[~hidden])
    assert objective.views.mean == store.statistics()[0]
    assert not torch.equal(context, clean)


@pytest.mark.parametrize("kind", ["block", "region"])
def test_the_gradient_is_exactly_zero_on_seen_pixels(store: ImageStore, kind: str) -> None:
    objective = make(store, mask=MaskConfig(kind=kind), adversarial=0.0)
    _check_gradient(objective, where=lambda mask: mask)


def test_the_overlap_of_the_centre_has_ten_times_the_gradient(store: ImageStore) -> None:
    objective = make(store, mask=MaskConfig(kind="centre", overlap=2), adversarial=0.0)

    def square(mask: Tensor) -> Tensor:
        grown = torch.zeros_like(mask)
        grown[..., 8:24, 8:24] = 1
        return grown

    grad, task, picture = _check_gradient(objective, where=square)
    error = picture.detach() - task.hidden["clean"]
    pull = grad / error / (2 * objective.filler.std) ** 2
    inner, border = pull[..., 16, 16], pull[..., 9, 16]
    torch.testing.assert_close(border / inner, torch.full_like(inner, 10.0), rtol=1e-3, atol=0)
    assert inner.allclose(inner[0, 0])


def _check_gradient(objective: ContextEncoder, where) -> tuple[Tensor, Task, Tensor]:
    task = task_of(objective)
    picture = torch.randn_like(task.hidden["clean"], requires_grad=True)
    objective.foretell = lambda context: picture  # type: ignore[method-assign]
    objective.loss(task, "generator")["total"].backward()
    assert picture.grad is not None
    inside = where(task.hidden["mask"]).expand_as(picture) == 1
    assert picture.grad[~inside].eq(0).all()
    assert picture.grad[inside].ne(0).float().mean() > 0.99
    return picture.grad, task, picture


def test_hole_error_against_a_slow_version() -> None:
    torch.manual_seed(0)
    foretold, truth = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    weights = torch.zeros(2, 1, 4, 4)
    weights[0, 0, 1:3, 1:3], weights[1, 0, 0, 0] = 1, 10
    slow = []
    for sample in range(2):
        values = [
            float(weights[sample, 0, y, x]) * float((foretold - truth)[sample, c, y, x]) ** 2
            for c in range(3)
            for y in range(4)
            for x in range(4)
            if weights[sample, 0, y, x] > 0
        ]
        slow.append(sum(values) / len(values))
    assert float(hole_error(foretold, truth, weights)) == pytest.approx(sum(slow) / 2, rel=1e-5)


# the two players -----------------------------------------------------------------------------------------------------------


def test_rates_and_betas_of_the_players(store: ImageStore) -> None:
    objective = make(store)
    players = objective.players()
    assert list(players) == ["discriminator", "generator"]
    assert players["generator"].rate == pytest.approx(10 * players["discriminator"].rate)
    assert players["generator"].betas == players["discriminator"].betas == (0.5, 0.999)
    names = {name: {n.split(".")[0] for n, _ in player.parameters} for name, player in players.items()}
    assert names == {"discriminator": {"discriminator"}, "generator": {"encoder", "filler"}}


@pytest.mark.parametrize(
    ("reconstruction", "adversarial", "parts"),
    [
        (1.0, 0.0, {"total", "l2"}),
        (0.999, 0.001, {"total", "l2", "adversarial"}),
        (0.0, 1.0, {"total", "l2", "adversarial"}),
    ],
)
def test_the_three_settings_of_lambda(
    store: ImageStore, reconstruction: float, adversarial: float, parts: set[str]
) -> None:
    objective = make(store, reconstruction=reconstruction, adversarial=adversarial)
    assert ("discriminator" in objective.players()) == (adversarial > 0)
    losses = {name: loss.detach() for name, loss in objective.loss(task_of(objective), "generator").items()}
    assert set(losses) == parts
    expected = reconstruction * float(losses["l2"]) + adversarial * float(losses.get("adversarial", 0))
    assert float(losses["total"]) == pytest.approx(expected, rel=1e-5)
    outcome = stepper(objective)(0, objective.draw("image", 0, 0, Rows.of_rank(8)))
    assert all(np.isfinite(value) for value in outcome.parts.values())


def test_both_lambdas_zero_is_refused() -> None:
    settings = {"objective.name": "context_encoder", "objective.reconstruction": 0.0, "objective.adversarial": 0.0}
    with pytest.raises(InputError, match="nothing would be learnt"):
        Recipe.load(None, settings)


def test_a_step_moves_each_player_by_its_own_loss(store: ImageStore) -> None:
    """The generator's step leaves the discriminator alone, and its adversarial loss is that of the updated one."""
    objective = make(store)
    players = stepper(objective)
    batch = objective.draw("image", 0, 0, Rows.of_rank(8))
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    outcome = players(0, batch)
    task = players.task(0, batch)
    after = {name: value.clone() for name, value in objective.state_dict().items()}
    objective.load_state_dict({n: v if n.startswith("discriminator") else before[n] for n, v in after.items()})
    again = objective.loss(task, "generator")
    assert float(again["adversarial"]) == pytest.approx(outcome.parts["generator.adversarial"], rel=1e-4)
    assert any(not torch.equal(after[n], before[n]) for n in before if n.startswith("discriminator."))


def test_the_generator_is_run_once_a_step(store: ImageStore) -> None:
    objective = make(store)
    calls = []
    foretell = objective.foretell
    objective.foretell = lambda context: calls.append(1) or foretell(context)  # type: ignore[method-assign, func-returns-value]
    stepper(objective)(0, objective.draw("image", 0, 0, Rows.of_rank(8)))
    assert len(calls) == 1


@pytest.mark.parametrize("kind", ["centre", "region"])
def test_the_discriminator_never_sees_the_context(store: ImageStore, kind: str) -> None:
    """What it is shown of two pictures that differ only around the hole is the same; conditioned, it is not."""
    objective = make(store, mask=MaskConfig(kind=kind))
    task = task_of(objective)
    outside = 1 - task.hidden["mask"]
    if kind == "centre":  # the overlap belongs to what is foretold
        outside[..., 8:24, 8:24] = 0
    other = Task(task.visible, {**task.hidden, "clean": task.hidden["clean"] + outside})
    assert torch.equal(objective.judged(other.hidden["clean"], other), objective.judged(task.hidden["clean"], task))
    knowing = make(store, mask=MaskConfig(kind=kind), conditioned=True)
    shown = knowing.judged(torch.zeros_like(task.hidden["clean"]), task)
    assert not torch.equal(shown, knowing.judged(torch.zeros_like(task.hidden["clean"]), other))
    assert shown.shape[-1] == SIDE
    assert objective.judged(task.hidden["clean"], task).shape[-1] == (SIDE // 2 if kind == "centre" else SIDE)


def test_real_and_filled_content_do_not_share_statistics(store: ImageStore) -> None:
    objective = make(store)
    assert objective.discriminator is not None
    seen: list[Tensor] = []
    objective.discriminator.register_forward_hook(lambda module, args, out: seen.append(args[0].detach()))
    task = task_of(objective)
    first = float(objective.loss(task, "discriminator")["total"])
    real, filled = seen
    torch.testing.assert_close(real, objective.judged(task.hidden["clean"], task))
    assert not torch.allclose(real, filled)
    alone = F.softplus(-objective.discriminator(real)).mean() + F.softplus(objective.discriminator(filled)).mean()
    assert float(alone) == pytest.approx(first, rel=1e-5)
    # no running statistics: evaluation judges as training does
    torch.testing.assert_close(objective.discriminator.eval()(real), objective.discriminator.train()(real))


@pytest.mark.parametrize("side", [4, 14, 16, 28, 32, 64, 128])
def test_discriminators_of_any_side(side: int) -> None:
    judge = Discriminator(3, side, width=4, norm="batch")
    assert judge(torch.randn(2, 3, side, side)).shape == (2,)
    widths = [part.out_channels for part in judge.steps if isinstance(part, torch.nn.Conv2d)]
    if side == 128:
        assert widths == [4, 4, 8, 16, 32, 1]
    if side == 64:
        assert widths == [4, 8, 16, 32, 1]


# a discriminator that has won ----------------------------------------------------------------------------------------------


def test_a_discriminator_that_has_won_is_told_once_with_what_to_change() -> None:
    won = Won()
    told = [won.notice(0.001, 0.1) for _ in range(10 * Won.LONG)]
    (text,) = [line for line in told if line]
    assert Won.LONG < told.index(text) < 5 * Won.LONG
    for part in ("discriminator has won", "objective.discriminator_rate (now 0.1)", "objective.adversarial = 0"):
        assert part in text
    healthy = Won()
    assert not any(healthy.notice(0.001 if step % 5 else 0.5, 0.1) for step in range(10 * Won.LONG))


def test_that_it_was_told_is_kept_in_checkpoints(store: ImageStore) -> None:
    before, after = make(store), make(store)
    parts = {"total": 1.0, "discriminator.total": 0.0, "generator.total": 1.0}
    assert sum(before.notice(parts) is not None for _ in range(10 * Won.LONG)) == 1
    saved = before.state_dict()
    after.load_state_dict(saved)
    assert after.won.mean == before.won.mean
    assert not any(after.notice(parts) for _ in range(10 * Won.LONG))
    del saved["won._extra_state"]  # an earlier version's
    make(store).load_state_dict(saved)


def test_notice_reads_the_discriminators_loss(store: ImageStore) -> None:
    objective = make(store)
    parts = {"total": 1.0, "discriminator.total": 0.0, "generator.total": 1.0}
    assert sum(objective.notice(parts) is not None for _ in range(10 * Won.LONG)) == 1
    assert not any(make(store, adversarial=0.0).notice({"total": 0.0}) for _ in range(10 * Won.LONG))


def test_the_loop_tells_it(store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an event of the run; as a warning where there is none."""
    monkeypatch.setattr(Won, "LOW", 1e9)
    settings = {"batch": 8, "steps": 4, "optimizer": "adamw", "precision": "float32", "layout": "contiguous"}
    run = Run.create(tmp_path / "run")
    (run.path / "recipe.toml").write_text("")
    fit(make(store), TrainingConfig(**settings), run)
    run.close()
    told = [line["text"] for line in Run.read(run.path).metrics("event")]
    assert [text for text in told if text.startswith("step 1: the discriminator has won")]
    with pytest.warns(ForetellWarning, match="step 1: the discriminator has won"):
        fit(make(store), TrainingConfig(**settings))


# encoders and settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "side"), [("resnet18", 32), ("vit_tiny_patch16_224", 48), ("mobilenetv3_small_050", 64)]
)
def test_over_any_encoder_with_a_map(store: ImageStore, name: str, side: int) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name=name), 3, side)
    views = ContextEncoder.Config().views.model_copy(update={"side": side})
    objective = ContextEncoder(ContextEncoder.Config(views=views, width=8, discriminator_width=8), encoder, store)
    task = task_of(objective, 4)
    picture = objective.foretell(task.visible["context"])
    assert picture.shape == task.hidden["clean"].shape
    pixels = picture * objective.filler.std + objective.filler.mean
    assert pixels.min() >= -1e-5
    assert pixels.max() <= 1 + 1e-5
    assert all(torch.isfinite(loss) for loss in objective.loss(task, "generator").values())


def test_without_the_channelwise_layer_far_pixels_cannot_reach_the_middle(store: ImageStore) -> None:
    """Group norm's statistics would carry them too, so a network in evaluation with batch norm is looked at."""
    reached = {}
    for channelwise in (True, False):
        torch.manual_seed(0)
        encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 3, 128)
        views = ContextEncoder.Config().views.model_copy(update={"side": 128})
        config = ContextEncoder.Config(views=views, width=8, adversarial=0, channelwise=channelwise)
        objective = ContextEncoder(config, encoder, store).eval()
        x = torch.randn(1, 3, 128, 128, requires_grad=True)
        objective.foretell(x)[0, :, 63:65, 63:65].sum().backward()
        assert x.grad is not None
        reached[channelwise] = bool(x.grad[..., :4, :4].abs().sum() > 0)
    assert reached == {True: True, False: False}


def test_group_norm_throughout_allows_chunks(store: ImageStore) -> None:
    objective = make(store, norm="group")
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in objective.modules())
    whole, parts = make(store, norm="group"), make(store, norm="group")
    settings = {
        "batch": 8,
        "steps": 2,
        "optimizer": "sgd",
        "rate": 0.01,
        "precision": "float32",
        "layout": "contiguous",
    }
    fit(whole, TrainingConfig(**settings))
    fit(parts, TrainingConfig(**settings, chunk=4))
    for (name, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5), name


def test_a_mask_that_leaves_nothing_names_its_setting(store: ImageStore) -> None:
    with pytest.raises(InputError, match=r"objective\.mask: an overlap of 8 px leaves nothing"):
        make(store, mask=MaskConfig(kind="centre", overlap=8))
