"""A fine-tuned model of text as a folder, in transformers' layout where there is one for the task, and read back to be
applied.

``BertForSequenceClassification`` and its like put a dense layer and tanh before the classifier, which Foretell's head
has not. Written there, that layer is a small multiple of the identity, where tanh is as good as linear, and the
classifier is divided by it: a power of two, so that reading back is exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foretell.data.text.tokenizer import read_tokenizer, templated
from foretell.encoders.public import load_public, read_config, read_weights, save_public, weights_file
from foretell.encoders.weights import usable
from foretell.errors import InputError
from foretell.tasks.answering import Answering
from foretell.tasks.base import TextTask
from foretell.tasks.choice import Choice
from foretell.tasks.classification import Classification
from foretell.tasks.heads import SummaryHead, TokenHead
from foretell.tasks.layout import Layout
from foretell.tasks.read import CLASSES
from foretell.tasks.read_spans import SPANS
from foretell.tasks.squad import Question
from foretell.tasks.tagging import Entities, Tagging
from foretell.tasks.tags_files import Tagged
from foretell.transfer.text.tuning import TextTuner
from foretell.transfer.text_config import TextTuning

SMALL = 2.0**-12
TITLES = {"bert": "Bert", "roberta": "Roberta", "gpt2": "GPT2", "openai-gpt": "OpenAIGPT"}
SECTION = "foretell"


@dataclass(frozen=True)
class Place:
    """Where a head is in a public layout: the class of transformers ("" for none), its classifier, and the dense layer
    before it ("" for none)."""

    architecture: str
    classifier: str
    dense: str = ""


def place_of(layout: str, task: str, reads: str = "summary") -> Place:
    """The place of the head of ``task`` in ``layout``; transformers reads the summary token alone."""
    if task in (*SPANS, Entities.name):
        kind, classifier = (
            ("QuestionAnswering", "qa_outputs") if task == Answering.name else ("TokenClassification", "classifier")
        )
        # the first GPT has no such class
        return Place("" if layout == "openai-gpt" else f"{TITLES[layout]}For{kind}", classifier)
    if reads == "mean":
        return Place("", "score")
    classes = task in ("classification", "entailment")
    if layout == "bert" and (classes or task == "choice"):
        kind = "SequenceClassification" if classes else "MultipleChoice"
        return Place(f"BertFor{kind}", "classifier", "bert.pooler.dense")
    if layout == "roberta" and classes:
        return Place("RobertaForSequenceClassification", "classifier.out_proj", "classifier.dense")
    if layout == "roberta" and task == "choice":
        return Place("RobertaForMultipleChoice", "classifier", "roberta.pooler.dense")
    if classes:
        return Place(f"{TITLES[layout]}ForSequenceClassification", "score")
    return Place("", "score")


def _head_tensors(head: SummaryHead | TokenHead, place: Place, width: int) -> dict[str, Tensor]:
    weight = head.out.weight.detach().cpu().float()
    if not place.dense:
        return {
            f"{place.classifier}.{name}": value.detach().cpu().float() for name, value in head.out.named_parameters()
        }
    bias = weight.new_zeros(len(weight)) if head.out.bias is None else head.out.bias.detach().cpu().float()
    return {
        f"{place.dense}.weight": torch.eye(width) * SMALL,
        f"{place.dense}.bias": torch.zeros(width),
        f"{place.classifier}.weight": weight / SMALL,
        f"{place.classifier}.bias": bias.clone(),
    }


def save_text(tuner: TextTuner, folder: str | Path, *, extra: Mapping[str, Any] | None = None) -> Path:
    """Write the model, its head and its tokenizer to ``folder``, all of it or nothing.

    Raises ForetellError when it cannot be written.
    """
    task, model = tuner.task, tuner.model
    assert isinstance(tuner.head, SummaryHead | TokenHead)
    laid = task.layout
    place = place_of(model.layout, task.name, laid.reads)
    own = {
        "task": task.name,
        "classes": task.classes,
        "length": task.layout.length,
        "reads": task.layout.reads,
        **task.settings(),
        **(extra or {}),
    }
    config: dict[str, Any] = {SECTION: own}
    if place.architecture:
        config["architectures"] = [place.architecture]
    names = task.tags if isinstance(task, Tagging) else task.classes
    if names:
        config |= {
            "id2label": {str(code): name for code, name in enumerate(names)},
            "label2id": {name: code for code, name in enumerate(names)},
        }
    if task.classes:
        config["problem_type"] = "single_label_classification"
    if model.shape.causal:
        # the class of transformers looks for the last token that is not padding
        config["pad_token_id"] = model.specials.get("end", task.layout.pad)
    return save_public(
        model,
        folder,
        templated(laid.tokenizer, laid.lead, laid.between, laid.trail, second=0 if laid.last else 1),
        readme=_readme(place, task, Path(folder).resolve().name),
        config=config,
        tensors=_head_tensors(tuner.head, place, model.dim),
    )


@dataclass
class TextClassifier:
    """A fine-tuned model read back: ``predict`` applies it to new texts. ``facts``: what was saved with it."""

    tuner: TextTuner
    facts: dict[str, Any]

    @property
    def task(self) -> str:
        return self.tuner.task.name

    @property
    def classes(self) -> list[str]:
        return self.tuner.task.classes

    def predict(self, texts: Sequence[str] | Sequence[Sequence[str]]) -> list[dict[str, float]]:
        """The probability of each class for each text or pair of texts; for a choice, (context, answer, answer, ...),
        of each answer. Texts that are too long are cut as in training.

        Raises InputError for one text that is not in a list, and for another number of texts than the task takes.
        """
        _several(texts, "texts")
        if not isinstance(self.tuner.task, Classification | Choice):
            raise InputError(f"this model was fine-tuned for {self.task}: use its method tags or answers")
        rows = [(one,) if isinstance(one, str) else tuple(one) for one in texts]
        kind = CLASSES.get(self.task)
        for number, row in enumerate(rows, 1):
            if kind is None and len(row) < 3:
                raise InputError(
                    f"text {number}: a choice takes a context and two answers or more, not {len(row)} texts"
                )
            if kind is not None and len(row) != kind.parts:
                raise InputError(f"text {number}: {self.task} takes {kind.parts} text(s), not {len(row)}")
        task = self._task(rows)
        found = self.tuner.predictions(task)
        names = [self.classes] * len(rows) if kind is not None else [list(row[1:]) for row in rows]
        return [_summed(name, one.tolist()) for name, one in zip(names, found, strict=True)]

    def tags(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tag of each word of each sentence, given as its words. Raises InputError for a sentence that is not a list of
        words, and for a model that tags no words.
        """
        _several(sentences, "sentences")
        task = self.tuner.task
        if not isinstance(task, Tagging):
            raise InputError(f"this model was fine-tuned for {self.task} and tags no words: use its method predict")
        for number, words in enumerate(sentences, 1):
            if isinstance(words, str):
                raise InputError(f"sentence {number}: expected a list of its words, not the text {words[:40]!r}")
        tagged = [
            Tagged(list(words), [""] * len(words), f"sentence {number}") for number, words in enumerate(sentences, 1)
        ]
        return self.tuner.predictions(type(task).of(task.layout, tagged, task.tags))

    def answers(self, questions: Sequence[tuple[str, str]]) -> list[str]:
        """The answer to each (question, text), a piece of the text, "" where it holds none. Raises InputError for what is no
        such pair, and for a model that answers no questions.
        """
        _several(questions, "pairs of question and text")
        task = self.tuner.task
        if not isinstance(task, Answering):
            raise InputError(
                f"this model was fine-tuned for {self.task} and answers no questions: use its method predict"
            )
        for number, pair in enumerate(questions, 1):
            if isinstance(pair, str) or len(pair) != 2:
                raise InputError(f"question {number}: expected a pair of question and text, not {str(pair)[:40]!r}")
        asked = [Question(str(number), question, text) for number, (question, text) in enumerate(questions)]
        found = self.tuner.predictions(Answering.of(task.layout, asked, longest=task.longest))
        return [one.given(task.threshold) for one in found]

    def _task(self, rows: list[tuple[str, ...]]) -> TextTask:
        none, layout = np.zeros(len(rows), np.int64), self.tuner.task.layout
        kind = CLASSES.get(self.task)
        return Choice.of(layout, rows, none) if kind is None else kind.of(layout, rows, none, self.classes)


def _several(given: object, what: str) -> None:
    """Raises InputError for one text where a list of ``what`` is expected: its letters would be taken for them."""
    if isinstance(given, str):
        raise InputError(f"expected a list of {what}, not the text {given[:40]!r}; put it into a list")


def _summed(names: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    """Name -> its probability; equal answers of a choice are one."""
    found = dict.fromkeys(names, 0.0)
    for name, probability in zip(names, probabilities, strict=True):
        found[name] += probability
    return found


def load_text(folder: str | Path) -> TextClassifier:
    """What ``save_text`` wrote, to be applied. Raises InputError when the folder holds no fine-tuned model of text."""
    path = Path(folder)
    own = read_config(path).get(SECTION)
    if not isinstance(own, dict) or "task" not in own:
        raise InputError(f"{path}: not a fine-tuned model of text; make one with: foretell finetune RUN --data FILE")
    model, text = load_public(path)
    try:
        layout = Layout.of(model, read_tokenizer(text, str(path / "tokenizer.json")), int(own["length"]), str(path))
        layout.reads = own.get("reads", "summary")
        classes = [str(name) for name in own["classes"]]
        task = _empty(str(own["task"]), layout, classes, own, path)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}/config.json: its '{SECTION}' is not what foretell finetune writes ({type(error).__name__}: {error}); write "
            "the folder again"
        ) from None
    tuner = TextTuner(TextTuning(auxiliary=0.0), model, task, None)
    file = weights_file(path)
    tensors = read_weights(file)
    place = place_of(model.layout, task.name, task.layout.reads)
    scale = SMALL if place.dense else 1.0
    assert isinstance(tuner.head, SummaryHead | TokenHead)
    for name, parameter in tuner.head.out.named_parameters():
        value = tensors.get(f"{place.classifier}.{name}")
        if value is None or value.shape != parameter.shape:
            raise InputError(
                f"{file}: its '{place.classifier}.{name}' does not fit the task; write the folder "
                "again with foretell finetune"
            )
        with torch.no_grad():
            parameter.copy_(usable(value, name, file) * (scale if name == "weight" else 1.0))
    return TextClassifier(tuner.eval(), own)


def _empty(name: str, layout: Layout, classes: list[str], own: Mapping[str, Any], path: Path) -> TextTask:
    none = np.zeros(0, np.int64)
    for kind in (Tagging, Entities):
        if name == kind.name:
            return kind.of(layout, [], [str(tag) for tag in own["tags"]])
    if name == Answering.name:
        threshold = float("inf") if own["threshold"] is None else float(own["threshold"])
        return replace(Answering.of(layout, [], longest=int(own["longest"])), threshold=threshold)
    if name == Choice.name:
        return Choice.of(layout, [], none)
    if name not in CLASSES:
        raise InputError(f"{path}: fine-tuned for '{name}', which this version does not apply to new texts")
    return CLASSES[name].of(layout, [], none, classes)


def _readme(place: Place, task: TextTask, folder: str) -> str:
    name = json.dumps(folder, ensure_ascii=False)
    names, kind = (task.tags, "tags") if isinstance(task, Tagging) else (task.classes, "classes")
    what = f"{task.name} of {len(names)} {kind}" if names else task.name
    ours = f"""# A model of text fine-tuned with Foretell: {what}

```python
from foretell.transfer.text.saved import load_text

model = load_text({name})  # the name of this folder
model.{_example(task)}
```
"""
    if not place.architecture:
        return ours
    return f"""{ours}
With transformers alone:

```python
from transformers import AutoTokenizer, {place.architecture}

model = {place.architecture}.from_pretrained({name})
tokenizer = AutoTokenizer.from_pretrained({name})
```
"""


def _example(task: TextTask) -> str:
    if isinstance(task, Tagging):
        return 'tags([["The", "words", "of", "a", "sentence"]])'
    if isinstance(task, Answering):
        return 'answers([("What is asked?", "A text that may hold the answer.")])'
    if isinstance(task, Choice):
        return 'predict([("What is asked?", "one answer", "another")])'
    return 'predict(["a text"])' if CLASSES[task.name].parts == 1 else 'predict([("one text", "another")])'
