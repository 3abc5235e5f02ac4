"""The claims that begin at a supervised network: its weights, what each plan learns from, and what figures conclude."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from test_micle_claims import small_units
from torch import Tensor
from working import works_out

from foretell import claims
from foretell.claims.base import overall
from foretell.claims.encoders import kept_encoder
from foretell.claims.fetch import Unsafe
from foretell.claims.lab import Lab
from foretell.claims.medical import imagenet, micle, micle_natural_start, scans, staged
from foretell.claims.medical.micle_natural_start import ALONE, BOTH, PLANS, RATES, START, WHOLE, averaged
from foretell.encoders import EncoderConfig, build_encoder

SMALL = "resnet_tiny"  # in the place of the network that learnt natural images
NAMES = ["micle-natural-start", "micle-natural-start-volumes"]


def small_state() -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return build_encoder(EncoderConfig(name=SMALL), 3, 16).net.state_dict()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patients: None) -> Lab:
    quick = {"objective.views.side": 16, "training.batch": 8, "transfer.steps": 1}
    for module in (micle, scans):
        monkeypatch.setattr(module, "SETTINGS", {**module.SETTINGS, **quick})
    monkeypatch.setattr(micle, "open_units", small_units)
    monkeypatch.setattr(micle, "DRAWS", 1)
    monkeypatch.setattr(micle_natural_start, "SIDE", 16)
    monkeypatch.setattr(micle_natural_start, "TUNING_RATES", (1e-3, 2e-3))
    monkeypatch.setattr(imagenet, "TIMM_NAME", SMALL)
    monkeypatch.setattr(imagenet, "state", small_state)
    for name in ("MICLeNaturalStart", "MICLeNaturalStartVolumes"):
        monkeypatch.setattr(getattr(micle_natural_start, name), "steps", (1, 1))
    return Lab(tmp_path, device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_worked_out_from_beginning_to_end(name: str, lab: Lab) -> None:
    works_out(name, lab, minutes=170, seeds=(0,))
    runs = len(list((lab.folder / "runs").iterdir()))
    assert runs == 7  # a first stage of either start at either rate, and the second ones of three plans
    said: list[str] = []
    again = Lab(lab.folder, device="cpu", say=said.append)
    claims.get(name)(seeds=(0,)).work(again)
    assert said == []  # all of it was found in the lab


def parts(lab: Lab) -> Any:
    claim = claims.get("micle-natural-start")(seeds=(0,))
    return claim, {name: claim._stages(lab, 0, plan, RATES[0]) for name, plan in PLANS.items()}


def test_the_supervised_start_begins_at_its_weights_and_is_what_others_go_on_from(lab: Lab) -> None:
    claim, stages = parts(lab)
    assert stages[START] == []
    target = claim.recipe(lab, 0, "simclr", 1, natural=True)
    begun = staged.arrived(lab, target, []).encoder.net.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in small_state().items())
    first = lab.build(stages[BOTH][0]).encoder.net.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(first[name], value) for name, value in begun.items())
    alone = lab.build(stages[ALONE][0]).encoder.net.state_dict()  # type: ignore[union-attr]
    assert any(not torch.equal(alone[name], value) for name, value in begun.items())


def test_plans_differ_in_what_they_are_named_for_alone(lab: Lab) -> None:
    claim, stages = parts(lab)
    assert stages[BOTH][0] == stages[WHOLE][0]
    assert [made.objective.name for made in stages[WHOLE]] == ["simclr", "micle"]
    assert [made.objective.name for made in stages[BOTH]] == ["simclr", "simclr"]
    assert stages[ALONE] == [stages[BOTH][0].changed({"encoder.weights": None}), stages[BOTH][1]]
    assert stages[WHOLE][1].training == stages[BOTH][1].training
    second = staged.arrived(lab, claim.recipe(lab, 0, "simclr", 1, natural=False), stages[WHOLE][:1])
    kept = kept_encoder(lab, stages[BOTH][0])
    assert second.encoder.name == SMALL
    assert (kept / "model.safetensors").is_file()


def test_rates_are_chosen_on_held_back_training_cases(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, _ = parts(lab)
    judged = []

    def compared(lab: Lab, target: Any, stages: Any, arms: Any, per_class: Any, **how: Any) -> Any:
        judged.append(target.data.source)
        score = stages[0].training.rate if stages else -how["rate"]
        return [{"arm": arm, "per_class": n, "accuracy": score} for arm in arms for n in per_class]

    monkeypatch.setattr(staged, "compared", compared)
    assert claim._rate(lab, natural=True) == RATES[1]
    for natural in (True, False):
        assert claim._tuning_rate(lab, natural, None) == micle_natural_start.TUNING_RATES[0]
    assert len(set(judged)) == 1
    store, whole = lab.store(judged[0]), lab.store("units-0")
    tested = {whole.table.column("group")[row] for row in lab.split("units-0")[1]}
    seen = {
        part: {store.table.column("group")[row] for row in rows}
        for part, rows in zip(("train", "test"), lab.split(judged[0]), strict=True)
    }
    assert not (seen["train"] | seen["test"]) & tested
    assert not seen["train"] & seen["test"]
    assert len(seen["test"]) == 6  # two of the six training units of each of three classes


def test_seeds_that_share_a_lab_try_the_rates_from_both_ends(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(seed: int) -> list[Any]:
        order: list[Any] = []

        def compared(lab: Lab, target: Any, stages: Any, arms: Any, per_class: Any, **how: Any) -> Any:
            order.append(([made.training.rate for made in stages], target.encoder.weights, arms, per_class, how))
            return [{"arm": arm, "per_class": n, "accuracy": 1.0} for arm in arms for n in per_class]

        monkeypatch.setattr(staged, "compared", compared)
        claims.get("micle-natural-start")(seeds=(seed,))._try_rates(lab)
        return order

    assert tried(1) == tried(0)[::-1]
    assert tried(2) == tried(0)
    assert len(tried(0)) == 12  # two starts, each with 2 rates of SimCLR and 2 of fine-tuning few and more cases


def figures(better: dict[str, float]):  # type: ignore[no-untyped-def]
    """What ``compared`` finds: the score of a plan, a little more with more labels and for a later split."""

    def compared(
        lab: Lab, target: Any, stages: Any, arms: Sequence[str], per_class: Sequence[int | None], **how: Any
    ) -> Any:
        natural = any("efficientnet" in str(made.encoder.weights) for made in (target, *stages))
        then = stages[-1].objective.name if len(stages) > 1 else None
        name = next((name for name, plan in PLANS.items() if (plan.natural, plan.then) == (natural, then)), ALONE)
        rows = []
        for n in per_class:
            for draw in range(how.get("draws", 1)):
                score = better[name] + 0.01 * (n or 8) + 0.001 * target.training.seed + 0.002 * draw
                labels = 11 * (n or 10)
                rows += [
                    {
                        "arm": arm,
                        "per_class": n,
                        "labels": labels,
                        "seed": draw,
                        "accuracy": score - 0.3 * (arm == "scratch"),
                    }
                    for arm in arms
                ]
        return rows

    return compared


RIGHT = {START: 0.5, ALONE: 0.45, BOTH: 0.6, WHOLE: 0.7}
WRONG = {START: 0.1, ALONE: 0.15, BOTH: 0.2, WHOLE: -0.05}


@pytest.mark.parametrize("name", NAMES)
def test_figures_as_published_hold_and_their_opposite_does_not(
    name: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staged, "compared", figures(RIGHT))
    claim = claims.get(name)(seeds=(0, 1, 2))
    findings = claim.work(lab)
    assert overall(findings) == "holds"
    assert any(
        f"{WHOLE[1:]} needs fewer than 11 labels for the accuracy that {START} has with all 110 (58.1%); no interval, as the "
        "difference is the same in all 3 seeds" in note
        for note in claim.notes
    )
    monkeypatch.setattr(staged, "compared", figures(WRONG))
    opposite = claims.get(name)(seeds=(0, 1, 2)).work(lab)
    against = [finding.outcome for finding in opposite if f"{START} over scratch" not in finding.what]
    assert set(against) == {"does not hold"}


def test_draws_of_a_split_are_one_row() -> None:
    rows = [
        {"arm": arm, "per_class": n, "labels": 10 if n is None else n, "seed": draw, "accuracy": value + 0.1 * draw}
        for arm, value in (("pretrained", 0.5), ("scratch", 0.2))
        for n in (1, None)
        for draw in (0, 1)
    ]
    found = averaged(rows, {"pretrained": "ours", "scratch": "scratch"}, 4)
    assert [(row["arm"], row["per_class"], row["labels"], row["seed"]) for row in found] == [
        ("ours", 1, 1, 4),
        ("ours", None, 10, 4),
        ("scratch", 1, 1, 4),
        ("scratch", None, 10, 4),
    ]
    assert [row["accuracy"] for row in found] == pytest.approx([0.55, 0.55, 0.25, 0.25])


def archive_of(tensors: dict[str, Tensor]) -> bytes:
    stream = io.BytesIO()
    torch.save(tensors, stream)
    return stream.getvalue()


def test_the_weights_are_timms_in_its_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = timm.create_model(imagenet.TIMM_NAME).state_dict()
    given = {f"w{at}": torch.full(value.shape, float(at)) for at, value in enumerate(shapes.values())}
    given["w0"] = given["w0"].to(memory_format=torch.channels_last)
    monkeypatch.setattr(imagenet, "member", lambda package, name: archive_of(given))
    found = imagenet.state()
    assert list(found) == list(shapes)
    assert [float(value.flatten()[0]) for value in found.values()] == list(range(len(shapes)))
    lab = Lab(tmp_path, device="cpu")
    kept = imagenet.kept_weights(lab)
    weights = build_encoder(EncoderConfig(name=imagenet.TIMM_NAME, weights=str(kept)), 3, 64).net.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in weights.items())
    given.pop("w3")
    with pytest.raises(Unsafe, match="not those of timm's 'tf_efficientnet_lite0'"):
        imagenet.state()
