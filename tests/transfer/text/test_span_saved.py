"""Taggers and question answerers are read back bit by bit, and transformers gives their numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from span_tasks import MAKERS
from test_text_saved import NETWORKS
from text_topics import QUICK

from foretell.errors import InputError
from foretell.transfer.text.saved import load_text, save_text
from foretell.transfer.text.tuning import TextStart, tune
from foretell.transfer.trials import Trial


def tuned(network: str, kind: str):  # type: ignore[no-untyped-def]
    model, layout = NETWORKS[network]()
    data = MAKERS[kind](layout, 24, 1)
    return tune(TextStart(model), data, config=QUICK, trial=Trial(1e-2, 30, 0.01), seed=0).tuner, data


@pytest.mark.parametrize("network", NETWORKS)
def test_a_tagger_is_read_back(network: str, tmp_path: Path) -> None:
    tuner, data = tuned(network, "tagging")
    folder = save_text(tuner, tmp_path / "tagger")
    loaded = load_text(folder)
    assert torch.equal(loaded.tuner.head.out.weight, tuner.head.out.weight)
    words = [sentence.words for sentence in data.sentences]
    found = loaded.tags(words)
    assert found == tuner.predictions(data)
    assert len({tag for tags in found for tag in tags}) > 1
    assert loaded.tags([]) == []
    readme = (folder / "README.md").read_text()
    assert "model.tags([[" in readme
    assert 'load_text("tagger")' in readme
    with pytest.raises(InputError, match="sentence 2: expected a list of its words, not the text 'a cat'"):
        loaded.tags([["a"], "a cat"])
    for wrong in (loaded.predict, loaded.answers):
        with pytest.raises(InputError, match="fine-tuned for tagging"):
            wrong([("a", "b")])


@pytest.mark.parametrize("network", NETWORKS)
def test_an_answerer_is_read_back_with_its_threshold(network: str, tmp_path: Path) -> None:
    tuner, data = tuned(network, "answering")
    margins = sorted(found.margin for found in tuner.predictions(data))
    tuner.task = replace(data, threshold=(margins[11] + margins[12]) / 2)
    loaded = load_text(save_text(tuner, tmp_path / "classifier"))
    asked = [(question.text, question.context) for question in data.questions]
    expected = [found.given(tuner.task.threshold) for found in tuner.predictions(data)]
    assert loaded.answers(asked) == expected
    assert expected.count("") == 12
    tuner.task = replace(data, threshold=float("inf"))
    every = load_text(save_text(tuner, tmp_path / "every"))
    assert "" not in every.answers(asked)
    assert json.loads((tmp_path / "every" / "config.json").read_text())["foretell"]["threshold"] is None
    with pytest.raises(InputError, match="question 1: expected a pair of question and text, not 'ab'"):
        loaded.answers(["ab"])
    with pytest.raises(InputError, match="fine-tuned for answering"):
        loaded.tags([["a"]])


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_transformers_gives_the_same_logits(network: str, kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tuner, data = tuned(network, kind)
    folder = save_text(tuner, tmp_path / "classifier")
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    assert name.endswith({"tagging": "ForTokenClassification", "answering": "ForQuestionAnswering"}[kind])
    peer = getattr(transformers, name).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for number in range(3):
        if kind == "tagging":
            text = (" ".join(data.sentences[number].words),)
        else:
            text = (data.questions[number].text, data.questions[number].context)
        given = tokenizer(*text, return_tensors="pt")
        inputs = data.take(torch.tensor([number]).numpy()).inputs(torch.tensor([0]).numpy())
        with torch.no_grad():
            states = inputs.states(tuner.model)
            ours = tuner.head(states)[0]
            out = peer(**given)
        assert given["input_ids"][0].tolist() == inputs.ids[0].tolist()
        theirs = out.logits[0] if kind == "tagging" else torch.stack([out.start_logits[0], out.end_logits[0]], 1)
        assert (ours - theirs).abs().max() < 1e-4
    if kind == "tagging":
        assert peer.config.id2label[1] == data.tags[1]
