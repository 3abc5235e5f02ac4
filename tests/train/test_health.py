from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from train_toys import Classes, Pairs, digits, new_run, same, weights

from foretell.train import TrainingConfig, fit
from foretell.train.health import Health, Verdict, alignment, deviation, rankme, uniformity


def z(n=200, d=16, seed=0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


# measures ---------------------------------------------------------------------------------------------------------------


def test_rankme_is_the_published_formula():
    x = digits()[0][:100]
    values = np.linalg.svd(x.double().numpy(), compute_uv=False)
    p = values / values.sum() + 1e-7
    assert rankme(x) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-9)


def test_rankme_counts_directions():
    orthogonal = torch.linalg.qr(z(64, 8)).Q
    assert rankme(orthogonal) == pytest.approx(8, rel=1e-4)
    assert rankme(orthogonal[:, :3] @ z(3, 8)) < 3.001
    assert rankme(torch.ones(50, 8)) == pytest.approx(1, abs=1e-3)
    assert rankme(torch.zeros(50, 8)) == 1.0
    assert rankme(1000 * z()) == pytest.approx(rankme(z()), rel=1e-6)
    assert math.isnan(rankme(torch.full((4, 4), float("nan"))))


def test_deviation_of_a_sphere_and_of_a_point():
    assert deviation(z(20000, 64)) == pytest.approx(1 / math.sqrt(64), rel=0.01)
    assert deviation(torch.ones(10, 4)) == 0
    one_way = torch.ones(10, 4) * torch.arange(1.0, 11)[:, None]
    assert deviation(one_way) == pytest.approx(0, abs=1e-9)


def test_deviation_follows_the_mean_cosine():
    x = z(500, 128) + 2.0
    unit = x / x.norm(dim=1, keepdim=True)
    assert deviation(x) * math.sqrt(128) == pytest.approx(math.sqrt(1 - float((unit @ unit.T).mean())), rel=0.01)


def test_alignment_and_uniformity_against_slow_ones():
    a, b = z(30, 5), z(30, 5, seed=1)
    unit = lambda x: (x / x.norm(dim=1, keepdim=True)).double().numpy()
    u, v = unit(a), unit(b)
    assert alignment(a, b) == pytest.approx(((u - v) ** 2).sum(1).mean(), rel=1e-6)
    pairs = [math.exp(-2 * ((u[i] - u[j]) ** 2).sum()) for i in range(30) for j in range(i)]
    assert uniformity(a) == pytest.approx(math.log(np.mean(pairs)), rel=1e-6)
    assert alignment(a, 3 * a) == pytest.approx(0, abs=1e-9)
    assert alignment(a, -a) == pytest.approx(4)
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-9)
    assert math.isnan(uniformity(a[:1]))


# the verdict --------------------------------------------------------------------------------------------------------------


def told(values, **more) -> list[str]:
    verdict = Verdict()
    return [verdict.judge(step, rank, spread, **more) for step, rank, spread in values]


EARLY = "too early to judge"


def test_a_healthy_run():
    assert told([(100, 4.0, 0.1), (200, 30.0, 0.5), (300, 25.0, 0.45)]) == [EARLY, EARLY, "healthy"]


def test_what_lies_nearly_in_one_point_is_not_healthy():
    for more in ({"uniform": -0.004}, {"uniform": -0.09}):
        assert told([(n, 9.0, 0.2) for n in (1, 2, 3)], **more) == ["nearly alike since step 1"] * 3
    assert told([(n, 1.4, 0.2) for n in (1, 2, 3)]) == ["nearly alike since step 1"] * 3
    assert told([(n, 9.0, 0.2) for n in (1, 2, 3)], uniform=-1.9)[-1] == "healthy"


def test_views_that_are_all_alike_are_seen():
    class Together(Pairs):
        def embed(self, task):
            return torch.ones_like(super().embed(task)) + 1e-3 * super().embed(task)

    health = Health(Together(), 0, torch.device("cpu"), None)
    found = [health(step, loss=1.0, chance=None, warm=True) for step in (10, 20, 30)]
    assert found[0]["uniformity"] > -0.1
    assert found[-1]["verdict"] == "nearly alike since step 10"


def test_collapse_is_said_since_when():
    said = told([(100, 30.0, 0.5), (200, 8.0, 0.45), (300, 2.0, 0.1), (400, 1.0, 0.001), (500, 20.0, 0.4)])
    assert said == [
        EARLY,
        "collapsing since step 200",
        "collapsing since step 200",
        "collapsed since step 200",
        "healthy",
    ]


def test_spread_alone_shows_it():
    assert told([(100, 3.0, 0.5), (200, 3.0, 0.1)])[1] == "collapsing since step 200"
    assert told([(100, 3.0, 0.005)]) == ["collapsed since step 100"]


def test_a_loss_at_chance():
    verdict = Verdict()
    assert verdict.judge(100, 9.0, 0.5, loss_at_chance=True) == EARLY
    assert verdict.judge(200, 9.0, 0.5, loss_at_chance=True) == "collapsing since step 100"
    assert verdict.judge(300, 9.0, 0.5, loss_at_chance=False) == "healthy"
    assert verdict.judge(400, 9.0, 0.5, loss_at_chance=True) == "healthy"


def test_a_loss_at_chance_while_the_embeddings_spread_is_no_collapse():
    verdict = Verdict()
    grown = [verdict.judge(100 * n, 2.0 * n, 0.1 * n, loss_at_chance=True) for n in (1, 2, 3, 4)]
    assert grown == [EARLY, EARLY, "healthy", "healthy"]
    told = [verdict.judge(100 * n, 8.0, 0.1 * n, loss_at_chance=True) for n in (5, 6, 7)]
    assert told == ["healthy", "collapsing since step 500", "collapsing since step 500"]


def test_a_loss_above_chance_is_no_collapse():
    above = "the loss has been above its chance value (4.84) since step 100: lower the rate or train longer"
    verdict = Verdict()
    assert verdict.judge(100, 9.0, 0.5, exceeded=4.844) == EARLY
    assert verdict.judge(200, 9.0, 0.5, exceeded=4.844) == above
    verdict = Verdict(**verdict.state())
    assert verdict.judge(300, 9.0, 0.5, exceeded=4.844) == above
    assert verdict.judge(400, 1.0, 0.5, exceeded=4.844) == "collapsed since step 400"
    assert verdict.judge(500, 9.0, 0.5) == "healthy"
    assert verdict.judge(600, 9.0, 0.5, exceeded=4.844) == "healthy"


def test_embeddings_that_are_no_numbers():
    assert told([(100, 9.0, 0.5), (200, float("nan"), float("nan"))])[1] == "not finite since step 200"


def test_the_verdict_survives_its_state():
    first = Verdict()
    first.judge(100, 30.0, 0.5)
    first.judge(200, 3.0, 0.5)
    second = Verdict(**first.state())
    assert second.last == "collapsing since step 200"
    assert second.judge(300, 1.0, 0.0) == first.judge(300, 1.0, 0.0) == "collapsed since step 200"


# on trainables ---------------------------------------------------------------------------------------------------------------


def test_it_judges_one_fixed_batch_and_leaves_everything_alone():
    toy = Pairs(norm=True, dropout=0.5)
    toy.train()
    toy.head.eval()
    before, state = weights(toy), torch.get_rng_state()
    health = Health(toy, 0, torch.device("cpu"), None)
    first = health(10, loss=1.0, chance=None, warm=True)
    second = health(10, loss=1.0, chance=None, warm=True)
    assert first == second
    assert len(health.batch) == 512
    assert same(weights(toy), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert toy.training
    assert not toy.head.training
    assert first["alignment"] < 1
    assert "alignment" not in Health(Classes(), 0, torch.device("cpu"), None)(1, loss=1.0, chance=None, warm=True)
    assert len(Health(Classes(count=40), 0, torch.device("cpu"), None).batch) == 40


def test_a_run_that_collapses_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))

    class Attracts(Pairs):
        """Only pulls together, which a constant solves."""

        def loss_from(self, embedded, task):
            spread = self.encoder(torch.cat([task.visible["a"], task.visible["b"]])).var(0).sum()
            return {"total": (embedded[:, 0] - embedded[:, 1]).square().sum(1).mean() + spread}

    config = TrainingConfig(
        batch=64,
        steps=120,
        optimizer="adamw",
        rate=0.05,
        weight_decay=0.0,
        precision="float32",
        layout="contiguous",
        device="cpu",
        health_every=20,
    )
    with new_run(tmp_path / "run") as run:
        fit(Attracts(), config, run)
        verdicts = [line["verdict"] for line in run.metrics("health")]
        events = [line["text"] for line in run.metrics("event")]
    assert verdicts[-1].startswith("collaps")
    assert any("since step" in text for text in events)
    with new_run(tmp_path / "good") as run:
        fit(Pairs(), config, run)
        verdicts = [line["verdict"] for line in run.metrics("health")]
        assert verdicts == [EARLY, EARLY] + ["healthy"] * (len(verdicts) - 2)
        assert not [line["text"] for line in run.metrics("event") if "healthy" in line["text"] or EARLY in line["text"]]


ABOVE = "the loss has been above its chance value (2.08) since step 30: lower the rate or train longer"
COLLAPSING = "collapsing since step 30"


@pytest.mark.parametrize(
    ("loss", "told"),
    [(5.0, ABOVE), (1.02, ABOVE), (1.004, COLLAPSING), (1.0, COLLAPSING), (0.996, COLLAPSING), (0.99, "healthy")],
)
def test_a_loss_no_better_than_chance_is_not_healthy(loss, told):
    chance = math.log(8)
    health = Health(Pairs(), 0, torch.device("cpu"), None)
    early = [health(step, loss=loss * chance, chance=chance, warm=False)["verdict"] for step in (10, 20)]
    late = [health(step, loss=loss * chance, chance=chance, warm=True)["verdict"] for step in (30, 40)]
    assert early == [EARLY, EARLY]
    assert late == ["healthy", told]


def test_a_loss_stuck_at_chance_is_seen_in_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))

    class Blind(Pairs):
        def loss_from(self, embedded, task):
            return super().loss_from(torch.ones_like(embedded) + 0 * embedded, task)

    config = TrainingConfig(
        batch=64, steps=60, optimizer="adamw", precision="float32", layout="contiguous", device="cpu", health_every=10
    )
    with new_run(tmp_path / "run") as run:
        fit(Blind(), config, run)
        verdicts = [line["verdict"] for line in run.metrics("health")]
        assert run.read_json("facts.json")["chance_loss"] == pytest.approx(math.log(127))
    assert verdicts == [EARLY] + ["collapsing since step 10"] * 5
