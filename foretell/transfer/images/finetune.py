"""Fine-tuning: an encoder with a linear head, trained by the one loop on labelled images.

Options follow Chen et al. (SimCLR, 2002.05709, appendix B.5: all layers tuned, zero-initialised head), Bao et al.
(BEiT, 2106.08254: rate by layer) and Kumar et al. (2202.10054: probe, then tune).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foretell.counters import Rng, Rows, seed_of
from foretell.data.images import Images
from foretell.encoders.base import Encoder
from foretell.errors import InputError
from foretell.measures.probe import Probe
from foretell.objectives.base import Exhibit, Player, Task, Trainable
from foretell.transfer.config import ClassifierConfig
from foretell.transfer.images.attention import AttentionProbe, weighed
from foretell.transfer.images.cases import firsts
from foretell.transfer.images.findings import AttentionFindings, masked_loss, positive_weights
from foretell.transfer.images.labelled import Index, Labelled
from foretell.transfer.networks import device_of, evaluating
from foretell.transfer.turns import bag_turns, case_turns, members_of, turns
from foretell.views.config import ViewConfig


@dataclass
class LabelledBatch:
    """Images with their class codes (B,) int64, or their findings (B, L) float32: 1, 0 or NaN.

    ``bags`` (B,) int64 numbers the bag of each where several images of a case are learnt from together.
    """

    images: Images
    codes: Tensor
    bags: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: Any) -> LabelledBatch:
        bags = None if self.bags is None else self.bags.to(device)
        return LabelledBatch(self.images.to(device), self.codes.to(device), bags)

    def rows(self, start: int, stop: int) -> LabelledBatch:
        bags = None if self.bags is None else self.bags[start:stop]
        return LabelledBatch(self.images.rows(start, stop), self.codes[start:stop], bags)


def blocks(encoder: nn.Module) -> list[list[str]]:
    """Names of the encoder's parameters in blocks from the first layer to the last, in order of definition.

    A block is a repeated unit (``layer1.0``, ``blocks.3``) or a module of its own; norms join the block before
    them, and loose parameters (a class token) the first.
    """
    found: dict[str, list[str]] = {}
    last = ""
    modules = dict(encoder.named_modules())
    for name, _ in encoder.named_parameters():
        parts = name.split(".")[:-1]
        numbers = [at for at, part in enumerate(parts) if part.isdigit()]
        key = ".".join(parts[: numbers[0] + 1] if numbers else parts)
        module = modules[key]
        if last and "norm" in type(module).__name__.lower():
            key = last
        found.setdefault(key, []).append(name)
        last = key
    return list(found.values())


def balanced_weights(data: Labelled) -> NDArray[np.float32]:
    """(classes,) weights of the loss: every class counts alike, or with findings there as much as not there."""
    one = data.take(firsts(data))
    if one.targets is not None:
        return positive_weights(one.targets)
    counts = np.bincount(one.codes, minlength=len(one.classes))
    found: NDArray[np.float32] = (len(one) / (counts > 0).sum() / np.maximum(counts, 1)).astype(np.float32)
    return found


class Classifier(Trainable):
    """``logits = head(encoder.pooled(view))``, trained by cross-entropy on randomly augmented labelled images.

    ``data`` gives images and codes; ``views`` must have side, mean and std settled; ``probe`` starts the head where
    ``config.head`` is "probe". With ``findings`` (taken from ``data`` where there is some) each class is there or not by
    itself, and the loss is binary cross-entropy of the known. The encoder is changed in place.

    ``bag``: as many images of a case are learnt from together, and their probabilities are averaged with weights that
    ``attention`` gives each (Ilse, Tomczak and Welling, arXiv 1802.04712, with one linear score, of findings one each); 0 for
    images by themselves.
    """

    class Config(ClassifierConfig, Trainable.Config):
        """See ``ClassifierConfig``."""

    def __init__(
        self,
        config: ClassifierConfig,
        encoder: Encoder,
        data: Labelled | None,
        views: ViewConfig,
        classes: list[str],
        *,
        probe: Probe | None = None,
        seed: int = 0,
        findings: bool = False,
        bag: int = 0,
    ) -> None:
        super().__init__()
        if views.side is None:
            raise ValueError("the views' side must be settled; see labelled.resolved")
        if config.head == "probe" and probe is None:
            raise ValueError("head='probe' starts from a linear probe; give one, or head='zero'")
        self.config, self.data, self.views, self.classes = config, data, views, classes
        self.encoder = encoder
        # its weights are set below: no draw of the caller's is used up
        self.head = nn.utils.skip_init(nn.Linear, encoder.dim, len(classes))  # type: ignore[no-untyped-call]
        with torch.no_grad():
            if config.head == "probe" and probe is not None:
                self.head.weight.copy_(torch.from_numpy(probe.weight))
                # A class no label names must stay unlikely, yet able to move.
                self.head.bias.copy_(torch.from_numpy(probe.bias).clamp(min=-20.0))
            elif config.head == "zero":
                nn.init.zeros_(self.head.weight)
                nn.init.zeros_(self.head.bias)
            else:
                bound = encoder.dim**-0.5
                generator = torch.Generator().manual_seed(seed_of(seed, "head"))
                self.head.weight.uniform_(-bound, bound, generator=generator)
                self.head.bias.zero_()
        self.findings = findings if data is None else data.targets is not None
        self.bag = bag
        self.attention: nn.Linear | None = None
        if bag:
            scores = len(classes) if self.findings else 1
            self.attention = nn.utils.skip_init(nn.Linear, encoder.dim, scores, bias=False)  # type: ignore[no-untyped-call]
            with torch.no_grad():
                if isinstance(probe, AttentionProbe | AttentionFindings):
                    self.attention.weight.copy_(torch.from_numpy(probe.attention))
                else:
                    nn.init.zeros_(self.attention.weight)
            self.attention.to(next(encoder.parameters()).device)
        self.head.to(next(encoder.parameters()).device)
        self.class_weights: Tensor | None = None
        if data is not None and config.class_weights:
            self.class_weights = torch.from_numpy(balanced_weights(data)).to(self.head.weight.device)
        for parameter in encoder.parameters():
            parameter.requires_grad_(not config.freeze_encoder)

    # what the loop asks -----------------------------------------------------------------------------------------

    def streams(self) -> dict[str, float]:
        return {"labelled": 1.0}

    def _labelled(self) -> Labelled:
        if self.data is None or len(self.data) == 0:
            raise InputError("this classifier was loaded without labelled images; give some to train it")
        return self.data

    def steps_per_epoch(self, batch: int) -> int:
        return max(1, -(-len(self._labelled()) // batch))

    @cached_property
    def _members(self) -> list[Index]:
        """The positions in ``data`` of each case's images."""
        cases = self._labelled().cases
        assert cases is not None
        return members_of(cases)

    def positions(self, seed: int, step: int, rows: Rows) -> tuple[Index, Index | None]:
        """(positions in ``data`` of a step's rows, their bags where there are some); a batch larger than the number of images
        holds several views of one.

        Where cases have the labels, they take turns, so that each counts alike however many images it has.
        """
        data = self._labelled()
        if data.cases is None:
            return turns(len(data), seed, step, rows), None
        if self.bag:
            return bag_turns(self._members, self.bag, seed, step, rows)
        return case_turns(self._members, seed, step, rows), None

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> LabelledBatch:
        data = self._labelled()
        at, bags = self.positions(seed, step, rows)
        codes = torch.from_numpy(data.truth[at])
        return LabelledBatch(data.images(at), codes, None if bags is None else torch.from_numpy(bags))

    def hide(self, batch: LabelledBatch, rng: Rng) -> Task:
        from foretell.views import augment

        hidden = {"codes": batch.codes} if batch.bags is None else {"codes": batch.codes, "bags": batch.bags}
        return Task({"view": augment(batch.images, self.views, rng, "finetune")}, hidden)

    def players(self) -> dict[str, Player]:
        """One player, with the rate of each encoder block ``layer_decay`` times that of the block after it."""
        config = self.config
        scales: dict[str, float] = {}
        if config.layer_decay < 1 and not config.freeze_encoder:
            names = blocks(self.encoder)
            for depth, block in enumerate(names):
                factor = config.layer_decay ** (len(names) - 1 - depth)
                scales.update({f"encoder.{name}": factor for name in block})
        if config.head_rate != 1:
            scales.update(dict.fromkeys(("head.weight", "head.bias"), config.head_rate))
            if self.attention is not None:
                scales["attention.weight"] = config.head_rate
        parameters = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        return {"all": Player(parameters, scales=scales)}

    def train(self, mode: bool = True) -> Classifier:
        super().train(mode)
        if mode and self.config.freeze_encoder:
            self.encoder.eval()
        elif mode and self.config.freeze_norm:
            for module in self.encoder.modules():
                if getattr(module, "running_mean", None) is not None:
                    module.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        """(B, dim) of normalised images (B, C, side, side)."""
        if self.config.freeze_encoder:
            with torch.no_grad():
                return self.encoder.pooled(x)
        return self.encoder.pooled(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, classes) logits of normalised images (B, C, side, side)."""
        return self.head(self.features(x))  # type: ignore[no-any-return]

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        features, codes = self.features(task.visible["view"]), task.hidden["codes"]
        logits = self.head(features).float()
        if self.attention is not None:
            scores = self.attention(features).float()
            logits, first = attended(logits, scores, task.hidden["bags"], findings=self.findings)
            codes = codes[first]
        if self.findings:
            known = ~torch.isnan(codes)
            hits = ((logits.detach() > 0) == (codes > 0.5))[known].float().mean()
            return {"total": masked_loss(logits, codes, self.class_weights), "training accuracy": hits}
        total = F.cross_entropy(logits, codes, self.class_weights, label_smoothing=self.config.label_smoothing)
        hits = (logits.detach().argmax(dim=1) == codes).float().mean()
        return {"total": total, "training accuracy": hits}

    def health(self, batch: LabelledBatch) -> Tensor:
        from foretell.views import plain_view

        return self.encoder.pooled(plain_view(batch.images, self.views))

    def show(self, batch: LabelledBatch, rng: Rng) -> Exhibit:
        from foretell.views import denormalise, plain

        assert self.views.side is not None
        view = self.hide(batch, rng).visible["view"]
        return Exhibit(
            "fine-tuning",
            "labelled images and the random views the classifier is trained on",
            [
                ("image", plain(batch.images, self.views.side)),
                ("view", denormalise(view, self.views.mean, self.views.std)),
            ],
        )


def attended(logits: Tensor, scores: Tensor, bags: Tensor, *, findings: bool = False) -> tuple[Tensor, Tensor]:
    """((bags, classes) logits of bags, (bags,) the first row of each).

    Those of classes are their log probabilities, those of ``findings`` their log-odds, both by ``attention.weighed``.
    ``logits`` (B, classes), ``scores`` (B, 1), of findings (B, classes), ``bags`` (B,) with equal numbers side by side.
    """
    _, of, sizes = torch.unique_consecutive(bags, return_inverse=True, return_counts=True)
    first = sizes.cumsum(0) - sizes
    if not findings:
        return weighed(logits.log_softmax(dim=1), scores, of, len(sizes)), first
    there, absent = (weighed(F.logsigmoid(signed), scores, of, len(sizes)) for signed in (logits, -logits))
    return there - absent, first


def augmented(
    data: Labelled, views: ViewConfig, seed: int, rounds: int, batch: int = 128
) -> Iterator[tuple[Tensor, NDArray[Any]]]:
    """``rounds`` random views of every labelled image, drawn apart from those of training: (views, codes or findings)."""
    from foretell.views import augment

    for turn in range(rounds):
        for start in range(0, len(data), batch):
            at = np.arange(start, min(start + batch, len(data)))
            rng = Rng(seed, turn * len(data) + start, Rows(0, len(at), len(at)))
            yield augment(data.images(at), views, rng, "fresh"), data.truth[at]


def probabilities(classifier: Classifier, batches: Iterator[Tensor]) -> Iterator[NDArray[np.float32]]:
    """(B, classes) probabilities for each batch of normalised views; those of findings do not sum to 1.

    With attention the logarithm of each image's weight follows, (B, classes + 1); of findings one each, (B, 2 classes).
    """
    where = device_of(classifier)
    with evaluating(classifier):
        for x in batches:
            x = x.to(where, non_blocking=True).to(memory_format=torch.channels_last)
            features = classifier.features(x)
            logits = classifier.head(features).float()
            p = logits.sigmoid() if classifier.findings else logits.softmax(dim=1)
            if classifier.attention is not None:
                p = torch.cat([p, classifier.attention(features).float()], dim=1)
            yield p.cpu().numpy()
