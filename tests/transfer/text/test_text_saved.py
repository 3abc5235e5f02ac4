"""A fine-tuned model is read back bit by bit, and transformers gives its numbers where it has a class for the task."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import largest_file
from text_topics import QUICK, goes_on, knowing_encoder, same_topic, small_decoder, tokenizer_of, topics

from foretell.data.text.tokenizer import specials_of
from foretell.encoders.language import LanguageModel, NetworkConfig, Shape
from foretell.errors import ForetellError, InputError
from foretell.tasks.classification import Entailment
from foretell.tasks.layout import Layout
from foretell.transfer.text.saved import load_text, save_text
from foretell.transfer.text.tuning import TextStart, tune
from foretell.transfer.trials import Trial


def roberta() -> tuple[LanguageModel, Layout]:
    tokenizer = tokenizer_of("<s>", "<pad>", "</s>", "<mask>")  # RoBERTa counts positions from its padding token's id
    torch.manual_seed(0)
    network = NetworkConfig(layers=1, width=32, heads=2)
    shape = Shape.of(network, tokenizer.get_vocab_size(), 48, segments=1, first_position=2)
    made = LanguageModel(shape, "roberta", specials=specials_of(tokenizer))
    return made.eval(), Layout.of(made, tokenizer, 32)


def entails(layout: Layout, count: int, seed: int) -> Entailment:
    pairs = same_topic(layout, count, seed)
    return Entailment.of(layout, pairs.texts, pairs.codes, pairs.classes, index=pairs.index)


NETWORKS = {"bert": knowing_encoder, "roberta": roberta, "gpt2": small_decoder}
TASKS = {"classification": topics, "entailment": entails, "similarity": same_topic, "choice": goes_on}


def tuned(network: str, kind: str):  # type: ignore[no-untyped-def]
    model, layout = NETWORKS[network]()
    data = TASKS[kind](layout, 24, 1)
    return tune(TextStart(model), data, config=QUICK, trial=Trial(3e-3, 8, 0.01), seed=0).tuner, data


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_saved_is_read_back(network: str, kind: str, tmp_path: Path) -> None:
    tuner, data = tuned(network, kind)
    loaded = load_text(save_text(tuner, tmp_path / "classifier", extra={"labels": 24}))
    assert torch.equal(loaded.tuner.head.out.weight, tuner.head.out.weight)
    assert loaded.facts["labels"] == 24
    assert (loaded.task, loaded.classes) == (kind, data.classes)
    texts = [one[0] for one in data.texts] if kind == "classification" else data.texts
    for found, expected in zip(loaded.predict(texts), tuner.predictions(data), strict=True):
        assert list(found.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert loaded.predict([]) == []


@pytest.mark.parametrize("kind", TASKS)
def test_a_head_on_the_mean_of_the_tokens_is_read_back(kind: str, tmp_path: Path) -> None:
    model, layout = knowing_encoder()
    layout.reads = "mean"
    data = TASKS[kind](layout, 24, 1)
    tuner = tune(TextStart(model), data, config=QUICK, trial=Trial(3e-3, 8, 0.01), seed=0).tuner
    folder = save_text(tuner, tmp_path / "classifier")
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["BertModel"]
    texts = [one[0] for one in data.texts] if kind == "classification" else data.texts
    loaded = load_text(folder)
    assert loaded.tuner.task.layout.reads == "mean"
    found, expected = loaded.predict(texts), tuner.predictions(data)
    layout.reads = "summary"
    others = tuner.predictions(data)
    for one, same, other in zip(found, expected, others, strict=True):
        assert list(one.values()) == pytest.approx(same.tolist(), abs=1e-6)
        assert list(one.values()) != pytest.approx(other.tolist(), abs=1e-6)


@pytest.mark.parametrize("kind", ["classification", "entailment", "choice"])
@pytest.mark.parametrize("network", NETWORKS)
def test_transformers_gives_the_same_probabilities(network: str, kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tuner, data = tuned(network, kind)
    folder = save_text(tuner, tmp_path / "classifier")
    config = json.loads((folder / "config.json").read_text())
    name = config["architectures"][0]
    if (network, kind) == ("gpt2", "choice"):
        assert not name.endswith("Choice")
        return
    peer = getattr(transformers, name).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for number in range(4):
        if kind == "choice":
            context, *answers = data.texts[number]
            given = tokenizer([context] * len(answers), answers, return_tensors="pt", padding=True)
            with torch.no_grad():
                found = peer(**{name: value[None] for name, value in given.items()}).logits.softmax(1)[0]
        else:
            given = tokenizer(*data.texts[number], return_tensors="pt")
            with torch.no_grad():
                found = peer(**given).logits.softmax(1)[0]
            assert peer.config.id2label[1] == data.classes[1]
        assert found.numpy() == pytest.approx(tuner.predictions(data)[number], abs=1e-4)


def test_a_write_that_fails_leaves_the_earlier_model_whole(tmp_path: Path) -> None:
    first, data = tuned("bert", "classification")
    other, _ = tuned("bert", "entailment")
    folder = save_text(first, tmp_path / "classifier")
    texts = [one[0] for one in data.texts]
    before = load_text(folder).predict(texts)
    with largest_file(20_000), pytest.raises(ForetellError, match=r"model\.safetensors: could not be written"):
        save_text(other, folder)
    assert load_text(folder).predict(texts) == before
    with largest_file(20_000), pytest.raises(ForetellError, match=r"model\.safetensors: could not be written"):
        save_text(other, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["classifier"]


def test_equal_answers_of_a_choice_are_one(tmp_path: Path) -> None:
    tuner, data = tuned("bert", "choice")
    loaded = load_text(save_text(tuner, tmp_path / "classifier"))
    context, first, second = data.texts[0][:3]
    found = loaded.predict([(context, first, second, first)])[0]
    assert list(found) == [first, second]
    assert sum(found.values()) == pytest.approx(1)


def test_what_cannot_be_applied_is_said(tmp_path: Path) -> None:
    tuner, _ = tuned("bert", "entailment")
    loaded = load_text(save_text(tuner, tmp_path / "classifier"))
    with pytest.raises(InputError, match=r"text 2: entailment takes 2 text\(s\), not 1"):
        loaded.predict([("a", "b"), ("a",)])
    for give in (loaded.predict, loaded.tags, loaded.answers):
        with pytest.raises(InputError, match=r"expected a list of .*, not the text 'a good dog'; put it into a list"):
            give("a good dog")
    from foretell.encoders.public import save_public

    save_public(tuner.model, tmp_path / "bare", tuner.task.layout.tokenizer.to_str())
    with pytest.raises(InputError, match="not a fine-tuned model of text"):
        load_text(tmp_path / "bare")
    assert np.isfinite([value for one in loaded.predict([("", "")]) for value in one.values()]).all()
