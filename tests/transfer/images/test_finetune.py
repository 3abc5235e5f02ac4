from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from digit_samples import new_encoder  # type: ignore[import-not-found]
from full_disk import largest_file  # type: ignore[import-not-found]
from safetensors.torch import save_file

from foretell.counters import Rng, Rows
from foretell.encoders import build_encoder, load_encoder, save_encoder
from foretell.encoders.base import EncoderConfig
from foretell.errors import ForetellError, InputError
from foretell.measures.probe import fit_probe
from foretell.transfer.cache import Cache
from foretell.transfer.config import ClassifierConfig, TransferConfig
from foretell.transfer.fractions import subset
from foretell.transfer.images.engine import ImageEngine
from foretell.transfer.images.features import PlainViews, embed, extract, fresh_encoder, random_encoder
from foretell.transfer.images.finetune import Classifier, LabelledBatch, blocks
from foretell.transfer.images.fit import (
    Look,
    Start,
    TestSet,
    fine_tune,
    finetune_once,
    search,
    search_once,
    search_probe,
)
from foretell.transfer.images.labelled import labelled, views_key
from foretell.transfer.images.saved import load_classifier, predict, save_classifier
from foretell.transfer.networks import weights_hash
from foretell.transfer.protocol import Protocol
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.trials import Trial
from foretell.views import plain

CPU = TransferConfig(device="cpu", batch=32)


def few(digits, per_class: int = 5, seed: int = 0):
    data = labelled(digits.store, digits.train)
    return data.take(subset(data.codes, per_class=per_class, seed=seed))


def make(digits, views, encoder, **settings):
    config = ClassifierConfig(**{"head": "zero", **settings})
    data = few(digits)
    return Classifier(config, encoder, data, views, data.classes)


@pytest.mark.parametrize(("name", "count"), [("resnet_tiny", 5), ("resnet18", 9), ("vit_tiny_patch16_224", 14)])
def test_blocks_cover_every_parameter_once_from_first_to_last(name: str, count: int) -> None:
    encoder = build_encoder(EncoderConfig(name=name), 3, 32)
    found = blocks(encoder)
    assert [name for block in found for name in block] == [name for name, _ in encoder.named_parameters()]
    assert len(found) == count


def test_the_rate_falls_from_block_to_block(digits, views, encoder) -> None:
    classifier = make(digits, views, encoder, layer_decay=0.5, head_rate=3.0)
    scales = classifier.players()["all"].scales
    first, last = blocks(encoder)[0][0], blocks(encoder)[-1][0]
    assert scales[f"encoder.{first}"] == pytest.approx(0.5**4)
    assert scales[f"encoder.{last}"] == 1
    assert scales["head.weight"] == 3
    assert set(scales) <= {name for name, _ in classifier.named_parameters()}


def test_each_labelled_image_is_seen_once_an_epoch_at_any_batch(digits, views, encoder) -> None:
    classifier = make(digits, views, encoder)
    for batch in (16, 50, 64):
        drawn = np.concatenate([classifier.positions(3, step, Rows.of_rank(batch))[0] for step in range(50)])
        epochs = drawn[: 50 * (len(drawn) // 50)].reshape(-1, 50)
        assert (np.sort(epochs, axis=1) == np.arange(50)).all()
        assert not np.array_equal(epochs[0], epochs[1])
    whole = classifier.positions(0, 7, Rows.of_rank(32))[0]
    halves = [classifier.positions(0, 7, Rows.of_rank(32, rank, 2))[0] for rank in range(2)]
    assert np.array_equal(whole, np.concatenate(halves))


def test_views_and_labels_belong_together(digits, views, encoder) -> None:
    classifier = make(digits, views, encoder)
    batch = classifier.draw("labelled", 0, 0, Rows.of_rank(16))
    assert batch.codes.tolist() == digits.codes[batch.images.index.numpy()].tolist()
    rng = Rng(0, 0, Rows.of_rank(16))
    task = classifier.hide(batch, rng)
    assert torch.equal(task.visible["view"], classifier.hide(batch, rng).visible["view"])
    assert task.visible["view"].shape == (16, 1, 8, 8)
    assert len(classifier.show(batch, rng).panels) == 2
    assert classifier.health(batch).shape == (16, encoder.dim)


def test_frozen_batch_norm_keeps_its_statistics_and_a_frozen_encoder_its_weights(digits, views, trained) -> None:
    data, trial = few(digits), Trial(1e-3, 5, 0.0)

    def after(**settings: object):
        config = CPU.model_copy(update={"recalibrate": False, **settings})
        return fine_tune(Start(trained), data, views=views, config=config, trial=trial, seed=0).classifier.encoder

    def same(encoder, kind: str) -> bool:
        ours, theirs = dict(getattr(encoder, kind)()), dict(getattr(trained, kind)())
        return all(torch.equal(ours[name], theirs[name]) for name in ours)

    kept = after(freeze_norm=True)
    assert same(kept, "named_buffers")
    assert not same(kept, "named_parameters")
    assert not same(after(freeze_norm=False), "named_buffers")
    assert same(after(freeze_encoder=True), "named_parameters")


def test_probe_then_tune_starts_at_the_probe(digits, views, trained) -> None:
    data = few(digits)
    x = extract(trained, digits.store, data.index, views)
    probe = fit_probe(x, data.codes, 10, 1e-2)
    classifier = Classifier(ClassifierConfig(head="probe"), trained, data, views, data.classes, probe=probe)
    p = predict(classifier, digits.store, digits.test)
    tests = extract(trained, digits.store, digits.test, views)
    assert np.allclose(p, probe.probabilities(tests), atol=1e-4)
    with pytest.raises(ValueError, match="linear probe"):
        Classifier(ClassifierConfig(head="probe"), trained, data, views, data.classes)


def test_training_learns_and_leaves_the_start_alone(digits, views, trained) -> None:
    before = weights_hash(trained)
    data, held = few(digits), labelled(digits.store, digits.test)
    test = TestSet.of(held, views, TransferConfig())
    fitted = fine_tune(
        Start(trained),
        data,
        views=views,
        config=CPU,
        trial=Trial(1e-3, 20, 0.0),
        seed=0,
        look=lambda: Look(10, lambda classifier: test.scored(classifier, "accuracy"), from_start=True),
    )
    assert weights_hash(trained) == before
    assert [point[0] for point in fitted.curve] == [0, 10, 20]
    assert fitted.curve[0][2] > 0.8, "the head starts from the probe"
    assert fitted.curve[-1][2] == pytest.approx(test.tally(fitted.classifier).result()["accuracy"])
    assert fitted.curve[-1][2] > 0.9
    assert 0 < fitted.curve[0][1] < fitted.curve[1][1] <= fitted.seconds
    assert fitted.samples == 20 * 32


def test_looking_does_not_change_the_training(digits, views, encoder) -> None:
    data, test = few(digits), TestSet.of(labelled(digits.store, digits.test), views, TransferConfig())
    hashes = {
        weights_hash(
            fine_tune(
                Start(encoder, scratch=True),
                data,
                views=views,
                config=CPU,
                trial=Trial(1e-3, 6, 0.0),
                seed=1,
                look=look,
            ).classifier
        )
        for look in (None, lambda: Look(2, lambda classifier: test.scored(classifier, "accuracy"), from_start=True))
    }
    assert len(hashes) == 1


def test_scratch_is_new_weights_of_the_same_architecture(trained) -> None:
    state = torch.get_rng_state()
    a, b, again = fresh_encoder(trained, 1), fresh_encoder(trained, 2), fresh_encoder(trained, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert {n: p.shape for n, p in a.named_parameters()} == {n: p.shape for n, p in trained.named_parameters()}
    assert len({weights_hash(module) for module in (trained, a, b, again)}) == 3


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(name="resnet_tiny", norm="group"),
        EncoderConfig(name="vit_mini", patch=2),
        EncoderConfig(name="resnet18", stem="small"),
        EncoderConfig(name="resnet18", stem="standard", norm="group"),
    ],
    ids=lambda config: f"{config.name}-{config.stem}-{config.norm}-{config.patch}",
)
def test_scratch_has_the_norm_the_patch_and_the_stem_of_what_it_is_compared_with(
    config: EncoderConfig, tmp_path
) -> None:
    made = build_encoder(config, 1, 28)
    saved = save_encoder(made, tmp_path / "encoder", mean=[0.5], std=[0.25])
    for like in (made, load_encoder(saved)[0]):
        fresh = fresh_encoder(like, 3)
        assert {n: t.shape for n, t in fresh.state_dict().items()} == {n: t.shape for n, t in made.state_dict().items()}
        assert [type(part) for part in fresh.modules()] == [type(part) for part in like.modules()]
        assert (fresh.norm, fresh.patch, fresh.stem, fresh.untrained) == (like.norm, like.patch, like.stem, True)


def test_random_features_have_measured_norms(digits, views, trained) -> None:
    encoder = random_encoder(trained, 0, digits.store, digits.train, views)
    assert not encoder.training
    norms = [part for part in encoder.modules() if getattr(part, "running_mean", None) is not None]
    assert all(part.momentum == 0.1 for part in norms)
    plain = PlainViews(digits.store, digits.test, views)
    x = embed(encoder, plain)
    assert x.shape == (300, encoder.dim)
    assert 0.05 < x.std() < 20
    assert not np.allclose(x, embed(fresh_encoder(trained, 0), plain))


def test_a_search_judges_on_the_labels_it_was_given_alone(digits, views, trained) -> None:
    data = few(digits, 2)
    seen: set[int] = set()

    class Watched:
        def read(self, index):
            seen.update(int(row) for row in index)
            return digits.store.read(index)

    data.reader = Watched()
    trial, record = search(
        Start(trained), data, views=views, config=CPU.model_copy(update={"steps": 4}), trials=2, seed=0
    )
    assert seen == set(data.index.tolist())
    assert len(record["trials"]) == 2
    assert record["how"].startswith("2-fold")
    assert record["chosen"]["rate"] == trial.rate
    ones = few(digits, 1)
    _, record = search(Start(trained), ones, views=views, config=CPU.model_copy(update={"steps": 4}), trials=2, seed=0)
    assert "fresh views" in record["how"]


def test_a_rate_that_breaks_training_loses_the_search(digits, views, encoder) -> None:
    config = TransferConfig(
        device="cpu", batch=16, steps=8, rates=(1e-3, 1e30), optimizer="sgd", freeze_norm=False, head="zero", warmup=0
    )
    trial, record = search(Start(encoder), few(digits, 2), views=views, config=config, trials=2, seed=0)
    assert trial.rate == pytest.approx(1e-3)
    assert record["trials"][1]["validation"] is None
    assert "step" in record["trials"][1]["failed"]


def test_the_model_a_person_keeps_survives_the_disk(digits, views, trained, tmp_path: Path) -> None:
    data, held = few(digits, 10), labelled(digits.store, digits.test)
    steps = CPU.model_copy(update={"steps": 15})
    told: list[tuple[int, int]] = []
    classifier, facts = finetune_once(
        trained,
        data,
        views=views,
        config=steps,
        test=held,
        trials=2,
        progress=lambda done, total, what: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert facts["labels"] == 100
    assert facts["test"]["accuracy"] > 0.9
    assert np.sum(facts["test"]["confusion"]) == 300
    p = predict(classifier, digits.store, digits.test)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (p.argmax(axis=1) == held.codes).mean() == pytest.approx(facts["test"]["accuracy"])
    save_classifier(classifier, tmp_path / "kept", extra={"labels": 100})
    told = (tmp_path / "kept" / "README.md").read_text()
    assert 'load_classifier("kept")' in told
    assert 'load_encoder("kept")' in told
    assert 'open_images("photos", **read_like(facts))' in told
    loaded, told_back = load_classifier(tmp_path / "kept")
    assert loaded.classes == [str(digit) for digit in range(10)]
    assert told_back["labels"] == 100
    assert np.allclose(predict(loaded, digits.store, digits.test), p, atol=1e-5)
    with pytest.raises(InputError, match="without labelled images"):
        loaded.draw("labelled", 0, 0, Rows.of_rank(4))
    (tmp_path / "kept" / "head.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match=r"head\.safetensors: not a readable safetensors file"):
        load_classifier(tmp_path / "kept")
    save_file({"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, tmp_path / "kept" / "head.safetensors")
    with pytest.raises(InputError, match="does not fit 10 classes"):
        load_classifier(tmp_path / "kept")
    with pytest.raises(InputError, match="not a fine-tuned classifier"):
        load_classifier(tmp_path)


def test_a_write_that_fails_leaves_the_earlier_classifier_whole(digits, views, trained, tmp_path: Path) -> None:
    settled = views.model_copy(update={"mean": [0.3], "std": [0.3]})
    folder = save_classifier(make(digits, settled, trained), tmp_path / "kept")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = make(digits, settled, trained)
    other.classes = [f"digit {name}" for name in other.classes]
    for place in (folder, tmp_path / "new"):
        with largest_file(20_000), pytest.raises(ForetellError, match=r"model\.safetensors: could not be written"):
            save_classifier(other, place)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_extraction_does_not_depend_on_the_batch_and_keeps_the_mode(digits, views, encoder) -> None:
    encoder.train()
    before = copy.deepcopy(encoder.state_dict())
    told: list[int] = []
    x = extract(encoder, digits.store, digits.test, views, batch=77, progress=lambda done, total: told.append(done))
    assert told == [77, 154, 231, 300]
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert np.allclose(x, extract(encoder, digits.store, digits.test, views, batch=300), atol=1e-5)
    assert np.allclose(x[[5, 3]], extract(encoder, digits.store, digits.test[[5, 3]], views), atol=1e-5)
    assert extract(encoder, digits.store, None, views).shape == (1797, encoder.dim)


def test_new_encoders_of_one_seed_are_equal() -> None:
    assert weights_hash(new_encoder(3)) == weights_hash(new_encoder(3)) != weights_hash(new_encoder(4))


def test_pruning_changes_no_trial_that_is_complete(digits, views, encoder) -> None:
    data = few(digits, 6)
    found = {}
    for pruning in ("none", "median"):
        own = SearchConfig(method="random", pruning=pruning)
        config = CPU.model_copy(update={"steps": 12, "search": own})
        chosen, record = search(Start(encoder, scratch=True), data, views=views, config=config, trials=8, seed=0)
        assert chosen.record() == record["chosen"]
        found[pruning] = record["trials"]
    assert len(found["none"]) == len(found["median"]) == 8
    states = [trial["state"] for trial in found["median"]]
    assert set(states) <= {"complete", "pruned"}
    assert states[:3] == ["complete"] * 3
    for whole, trial in zip(found["none"], found["median"], strict=True):
        assert [whole[name] for name in ("rate", "steps")] == [trial[name] for name in ("rate", "steps")]
        if trial["state"] == "complete":
            assert trial["validation"] == whole["validation"]
            assert trial["validation_loss"] == pytest.approx(whole["validation_loss"])
            assert 0 < trial["training_seconds"] < trial["seconds"]
        else:
            assert 0 < trial["share"] < 1


@pytest.mark.parametrize("per_class", [1, 10])
def test_the_model_a_person_keeps_starts_at_the_probe_that_does_best(digits, views, trained, per_class: int) -> None:
    data = few(digits, per_class)
    config = CPU.model_copy(update={"steps": 2, "strengths": (1e-5, 1e-4)})
    start, _, record = search_once(trained, data, views=views, config=config, trials=3)
    x = embed(trained, PlainViews(data.reader, data.index, views))
    found = search_probe(trained, data, x, views=views, config=config, trials=3, seed=0)
    assert start.strength == record["strength"] == found["chosen"]["strength"] <= 1e-4
    best = max(found["trials"], key=lambda one: (one["validation"], -one["validation_loss"]))
    assert best["strength"] == start.strength
    without = CPU.model_copy(update={"steps": 2, "strengths": (1e-5, 1e-4), "head": "zero"})
    assert search_once(trained, data, views=views, config=without, trials=2)[0].strength == Start(trained).strength


def test_the_search_of_the_model_a_person_keeps_goes_on(digits, views, trained, tmp_path: Path) -> None:
    data = few(digits, 3)
    steps = CPU.model_copy(update={"steps": 4})

    def made() -> tuple[int, dict]:
        cache = Cache(tmp_path / "finetune.jsonl")
        _, facts = finetune_once(trained, data, views=views, config=steps, trials=2, cache=cache)
        return cache.reused, facts["search"]

    first, search = made()
    again, same = made()
    assert (first, again) == (0, 2)
    assert same == search
    assert search["method"] == "grid"


def test_images_are_judged_as_the_views_are_resized(digits, views, tmp_path: Path) -> None:
    encoder = build_encoder(EncoderConfig(name="resnet_tiny"), 1, 12).eval()
    resized = {"side": 12, "mean": [0.3], "std": [0.3], "interpolation": "bicubic"}
    chosen = views.model_copy(update=resized)
    rows, images = digits.test[:8], digits.store.read(digits.test[:8])
    seen = plain(images, 12, [0.3], [0.3], interpolation="bicubic")
    assert not torch.allclose(seen, plain(images, 12, [0.3], [0.3]), atol=0.05)
    assert torch.equal(torch.cat(list(PlainViews(digits.store, rows, chosen).batches())), seen)
    classifier = make(digits, chosen, encoder).eval()
    torch.nn.init.normal_(classifier.head.weight)
    with torch.no_grad():
        assert np.allclose(extract(encoder, digits.store, rows, chosen), encoder.pooled(seen).numpy(), atol=1e-5)
        batch = LabelledBatch(images, torch.zeros(8, dtype=torch.long))
        assert torch.allclose(classifier.health(batch), encoder.pooled(seen), atol=1e-5)
        expected = classifier(seen).softmax(1).numpy()
    loaded, _ = load_classifier(save_classifier(classifier, tmp_path / "kept"))
    assert np.allclose(predict(loaded, digits.store, rows), expected, atol=1e-5)


def test_answers_of_images_that_were_judged_bilinearly_keep_their_keys(views) -> None:
    assert views_key(views) == {"views": views.model_dump(mode="json")}
    bicubic = views.model_copy(update={"interpolation": "bicubic"})
    assert views_key(bicubic) == {"views": bicubic.model_dump(mode="json"), "plain": "bicubic"}


def test_a_comparison_is_kept_apart_from_one_that_judged_by_other_pixels(digits, views, trained) -> None:
    def base(chosen):
        data = few(digits)
        work = ImageEngine(
            encoder=trained, supervised=None, store=digits.store, train=data, test=data, views=chosen,
            protocol=Protocol(seeds=(0,), trials=2), config=CPU, cache=Cache(None), progress=None,
        )  # fmt: skip
        return work.key()

    assert "plain" not in base(views)
    assert base(views.model_copy(update={"interpolation": "bicubic"}))["plain"] == "bicubic"
