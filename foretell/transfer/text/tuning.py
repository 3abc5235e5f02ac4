"""Fine-tuning on text: a transformer with the head of a labelled task, trained by the one loop.

Devlin et al. 2018 (section 3.2) for encoders; Radford et al. 2018 (section 3.2) for decoders, with the auxiliary loss
of the next word on the labelled texts, weighted by lambda.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foretell.counters import Rng, Rows, seed_of
from foretell.encoders.attention import Attention
from foretell.encoders.language import LanguageModel
from foretell.errors import InputError
from foretell.objectives.base import Player, Task, Trainable
from foretell.tasks.base import Score, Targets, TextTask, by_length
from foretell.tasks.inputs import Index, Inputs
from foretell.train.config import NEVER, TrainingConfig
from foretell.train.cost import PeakMemory
from foretell.transfer.config import TransferConfig
from foretell.transfer.networks import copied, device_of, evaluating
from foretell.transfer.text.cost import forward_flops, training_flops
from foretell.transfer.text_config import TextTuning
from foretell.transfer.trials import Trial
from foretell.transfer.turns import turns
from foretell.transfer.watch import Watch
from foretell.vocabulary_loss import linear_cross_entropy

_AT_ONCE = 8192  # tokens of a forward pass without gradient
GPT_LAMBDA = 0.5


@dataclass
class LabelledTexts:
    """The sequences of a step's examples and what is to be foretold of them."""

    inputs: Inputs
    targets: Targets
    count: int

    def __len__(self) -> int:
        return self.count

    def to(self, device: Any) -> LabelledTexts:
        moved = {name: value.to(device, non_blocking=True) for name, value in self.targets.items()}
        return LabelledTexts(self.inputs.to(device), moved, self.count)

    def rows(self, start: int, stop: int) -> LabelledTexts:
        raise NotImplementedError("sequences of several examples share a row")


def auxiliary_of(config: TextTuning, model: LanguageModel) -> float:
    """lambda for ``model``. Raises InputError where an encoder is to foretell next words."""
    if config.auxiliary is None:
        return GPT_LAMBDA if model.shape.causal else 0.0
    if config.auxiliary and not model.shape.causal:
        raise InputError(
            f"transfer.text.auxiliary = {config.auxiliary}: an encoder sees the words that come next, so there is "
            "none to "
            "foretell; leave it out, or fine-tune a gpt"
        )
    return config.auxiliary


class TextTuner(Trainable):
    """``model`` under the head of ``task``; both are changed in place. ``data`` is what it learns from, None to apply
    it.

    ``frozen`` trains the head alone.
    """

    accumulation = "none"

    def __init__(
        self,
        config: TextTuning,
        model: LanguageModel,
        task: TextTask,
        data: TextTask | None,
        *,
        scratch: bool = False,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.task, self.data = config, task, data
        self.scratch, self.frozen = scratch, frozen
        self.model = model
        self.auxiliary = 0.0 if frozen else auxiliary_of(config, model)
        for part in model.modules():
            if isinstance(part, nn.Dropout):
                part.p = config.inner_dropout
            elif isinstance(part, Attention):
                part.dropout = config.inner_dropout
        for parameter in model.parameters():
            parameter.requires_grad_(not frozen)
        self.head = task.head(model.dim, config.dropout).to(device_of(model))

    # what the loop asks -----------------------------------------------------------------------------------------------

    def _data(self) -> TextTask:
        if self.data is None or not len(self.data):
            raise InputError("this model was loaded without labelled texts; give some to train it")
        return self.data

    def streams(self) -> dict[str, float]:
        return {"labelled": 1.0}

    def steps_per_epoch(self, batch: int) -> int:
        return max(1, -(-len(self._data()) // batch))

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> LabelledTexts:
        data = self._data()
        at = turns(len(data), seed, step, rows)
        return LabelledTexts(data.inputs(at), data.targets(at), len(at))

    def hide(self, batch: LabelledTexts, rng: Rng) -> Task:
        count = torch.arange(len(batch), device=batch.inputs.ids.device)
        return Task({"example": count, **batch.inputs.named()}, dict(batch.targets))

    def players(self) -> dict[str, Player]:
        """One player, with the rate of each layer ``layer_decay`` times that of the layer after it; embeddings come
        first. The head's is ``head_rate`` times that of the last layer, unless it is trained alone."""
        factor = 1.0 if self.frozen else self.config.head_rate
        scales = {f"head.{name}": factor for name, _ in self.head.named_parameters()}
        decay = 1.0 if self.scratch else self.config.layer_decay
        layers = self.model.shape.layers
        for name, _ in self.model.named_parameters():
            parts = name.split(".")
            depth = int(parts[2]) + 1 if parts[:2] == ["net", "layers"] else 0
            if name.startswith("net.norm."):
                depth = layers
            scales[f"model.{name}"] = decay ** (layers - depth)
        parameters = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        return {"all": Player(parameters, scales=scales)}

    def train(self, mode: bool = True) -> TextTuner:
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        """``task``: the labelled task's own loss; ``words``: mean -log probability of the next token, where lambda >
        0."""
        inputs = Inputs(**{name: value for name, value in task.visible.items() if name != "example"})
        states = inputs.states(self.model)
        own = self.task.loss(self.task.scores(self.head, states, inputs), task.hidden, inputs)
        if not self.auxiliary:
            return {"total": own, "task": own.detach()}
        words = next_words(self.model, states, inputs)
        return {"total": own + self.auxiliary * words, "task": own.detach(), "words": words.detach()}

    # applying ---------------------------------------------------------------------------------------------------------

    def judged(self, task: TextTask, score: Score) -> float:
        """Add the predictions of all of ``task`` to ``score``; returns the mean loss."""
        total = 0.0
        for positions, scores, inputs in self._scores(task):
            targets = {name: value.to(scores.device) for name, value in task.targets(positions).items()}
            total += float(task.loss(scores, targets, inputs)) * len(positions)
            score.add(task.predictions(scores, inputs, positions), task, positions)
        return total / max(len(task), 1)

    def predictions(self, task: TextTask) -> list[Any]:
        """One prediction an example, in their order."""
        found: list[Any] = [None] * len(task)
        for positions, scores, inputs in self._scores(task):
            for position, one in zip(positions.tolist(), task.predictions(scores, inputs, positions), strict=True):
                found[position] = one
        return found

    def _scores(self, task: TextTask) -> Any:
        where = device_of(self)
        for positions in by_length(task, _AT_ONCE) if len(task) else ():
            with evaluating(self):
                inputs = task.inputs(positions).to(where)
                scores = task.scores(self.head, inputs.states(self.model), inputs)
            yield positions, scores, inputs


def next_words(model: LanguageModel, states: Tensor, inputs: Inputs) -> Tensor:
    """-log probability of the next tokens, delimiter and extract token among them; padding is none.

    The mean over each sequence's tokens, and of these the mean over the sequences (of two tokens or more): a long text
    counts as much as a short one.
    """
    number, ids = inputs.sequence.flatten(), inputs.ids.flatten()
    at = ((number[1:] == number[:-1]) & (number[1:] > 0)).nonzero().squeeze(1)
    foretold = (inputs.length - 1).clamp(min=0)
    shares = 1 / (foretold[number[at] - 1].double() * (foretold > 0).sum())
    loss, _ = linear_cross_entropy(*model.prepared(states.flatten(0, 1)[at]), ids[at + 1], shares)
    return loss


# one fine-tuning ------------------------------------------------------------------------------------------------------


@dataclass
class TextFitted:
    """A trained model and what training took; ``seconds`` leave out looks at the test set."""

    tuner: TextTuner
    seconds: float
    samples: int
    tokens: int
    flops: float
    peak_memory_bytes: int
    curve: list[tuple[int, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class TextStart:
    """Where a fine-tuning starts: a model to copy, or (``scratch``) its architecture with fresh weights.

    ``frozen``: only the head is trained.
    """

    model: LanguageModel
    scratch: bool = False
    frozen: bool = False


def fresh_model(like: LanguageModel, seed: int) -> LanguageModel:
    """The architecture of ``like`` with newly drawn weights; the global generators are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = LanguageModel(like.shape, like.layout, specials=like.specials)
    return made.to(device_of(like))


def bare(model: LanguageModel) -> LanguageModel:
    """A copy to train, without the heads of pretraining."""
    head, pair = model.head, model.pair
    model.head = model.pair = None
    try:
        return copied(model)
    finally:
        model.head, model.pair = head, pair


def batch_for(config: TransferConfig, labels: int) -> int:
    """Examples of a step: with very few labels a batch holds one several times, under other dropout."""
    return min(config.text.batch, max(8, labels))


def training_of(config: TransferConfig, labels: int, trial: Trial, seed: int, precision: Any) -> TrainingConfig:
    """The settings of the loop for one fine-tuning."""
    own = config.text
    return TrainingConfig(
        seed=seed_of(seed, "finetune") % (1 << 31),
        batch=batch_for(config, labels),
        steps=trial.steps,
        optimizer="adamw",
        rate=trial.rate,
        weight_decay=trial.weight_decay,
        warmup=own.warmup,
        schedule="linear",
        clip=own.clip,
        device=config.device,
        precision=precision,
        layout="contiguous",
        threads=torch.get_num_threads(),
        checkpoint_every=NEVER,
        health_every=NEVER,
    )


def tune(
    start: TextStart,
    data: TextTask,
    *,
    config: TransferConfig,
    trial: Trial,
    seed: int,
    precision: str = "float32",
    look: Callable[[], Watch] | None = None,
) -> TextFitted:
    """Train on ``data`` with the settings of ``trial``; ``start.model`` is left as it was.

    Which examples a step sees depends on ``seed`` and the step only, so every arm sees the same. Raises ForetellError
    when the loss is not finite.
    """
    from foretell.train import fit

    began = time.perf_counter()
    watch = look() if look is not None else None
    with PeakMemory(device_of(start.model)) as making:
        model = fresh_model(start.model, seed_of(seed, "scratch")) if start.scratch else bare(start.model)
        tuner = TextTuner(config.text, model, data, data, scratch=start.scratch, frozen=start.frozen)
    training = training_of(config, len(data), trial, seed, precision)
    if watch is not None:
        watch.start(tuner, device_of(start.model))
    trained = fit(tuner, training, monitors=[watch] if watch is not None else [])
    tuner.eval()
    spent = time.perf_counter() - began - (watch.spent if watch is not None else 0.0)
    lengths = _seen(data, training)
    work = forward_flops if start.frozen else training_flops
    return TextFitted(
        tuner,
        spent,
        trained.samples,
        int(lengths.sum()),
        work(model.shape, lengths, words=tuner.auxiliary > 0),
        max(making.bytes, trained.peak_memory_bytes),
        watch.curve if watch is not None else [],
    )


def _seen(data: TextTask, training: TrainingConfig) -> Index:
    """The length of every sequence that the steps read."""
    steps, batch = training.steps or 0, training.batch
    drawn = np.concatenate([turns(len(data), training.seed, step, Rows.of_rank(batch)) for step in range(steps)])
    times = np.bincount(drawn, minlength=len(data))
    found: Index = np.repeat(data.sequences.length, np.repeat(times, np.diff(data.first)))
    return found


def settled_precision(model: LanguageModel, data: TextTask, config: TransferConfig) -> str:
    """float32 or bfloat16: as set, or the faster one of them here, measured on a few examples of ``data``."""
    from foretell.train import measure

    if config.text.precision != "auto":
        return config.text.precision
    tuner = TextTuner(config.text, bare(model), data, data)
    tuner.train()
    trial = Trial(config.text.rates[0], 1, config.text.weight_decay)
    training = training_of(config, len(data), trial, 0, "auto")
    where = device_of(model)
    chosen, _ = measure.choose(tuner, training, Rows.of_rank(training.batch), where, lambda text: None)
    return chosen
