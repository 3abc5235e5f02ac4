"""What the one training loop knows of whatever it trains: a pretext task or a supervised head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn

from foretell.counters import Rng, Rows
from foretell.settings import Settings


class Batch(Protocol):
    """This process's rows of a global batch, without labels (``data.images.Images`` is one)."""

    def __len__(self) -> int: ...
    def to(self, device: Any) -> Batch: ...
    def rows(self, start: int, stop: int) -> Batch: ...


@dataclass(frozen=True)
class Player:
    """Parameters that one optimiser owns. ``rate`` multiplies the schedule; ``betas`` overrides Adam's.

    ``scales`` (parameter name -> factor) multiplies the rate of single parameters (learning rate by layer).
    """

    parameters: Sequence[tuple[str, nn.Parameter]]
    rate: float = 1.0
    scales: Mapping[str, float] = field(default_factory=dict)
    betas: tuple[float, float] | None = None


@dataclass
class Task:
    """What ``hide`` made of a batch: every tensor has one row a sample, first.

    ``visible`` goes into the encoder, ``hidden`` is what is foretold; of two views ``a`` and ``b`` health measures the
    alignment and the uniformity. ``cache`` may hold a forward pass that two players of one step share; the loop clears it
    after each step.
    """

    visible: dict[str, Tensor]
    hidden: dict[str, Tensor] = field(default_factory=dict)
    cache: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return next(iter(self.visible.values())).shape[0]

    def rows(self, start: int, stop: int) -> Task:
        return Task(
            {name: tensor[start:stop] for name, tensor in self.visible.items()},
            {name: tensor[start:stop] for name, tensor in self.hidden.items()},
        )


@dataclass
class Exhibit:
    """Pictures for a person. ``panels``: (caption, (B, C, H, W) float32 in [0, 1]); one grid column a panel.

    ``name`` is the stem of its file in the run folder, and ``table`` the figures that go with it, the head first. ``headline``:
    how well the pretext task is done, beside the guess to beat, in a sentence that stands first on the page; "" of all else.
    """

    title: str
    caption: str
    panels: list[tuple[str, Tensor]] = field(default_factory=list)
    name: str = ""
    table: list[tuple[str, ...]] = field(default_factory=list)
    headline: str = ""


class Trainable(nn.Module):
    """All the one loop knows. Subclasses are pretext tasks (``Objective``) and supervised heads alike.

    ``accumulation``: how chunks of a batch make its gradient. "mean": the loss is a mean over samples, chunks may be averaged;
    "cached": the loss sees the whole batch, ``embed`` and ``loss_from`` are used with cached gradients; "none": not at all.
    """

    class Config(Settings):
        """Published defaults, with units and ranges in the field descriptions."""

    accumulation: ClassVar[Literal["mean", "cached", "none"]] = "mean"

    def streams(self) -> dict[str, float]:
        """Name of each kind of step -> its share of the steps; which one a step is of is a function of (seed, step)."""
        return {"image": 1.0}

    def steps_per_epoch(self, batch: int) -> int:
        """Steps of a global batch that visit every sample once (the incomplete last batch is left out).

        Raises InputError when there are fewer samples than ``batch``.
        """
        raise NotImplementedError

    @property
    def visits_per_epoch(self) -> float:
        """How often an epoch visits each sample: once, but where a sample is several images of which a visit takes one pair."""
        return 1.0

    def draw(self, stream: str, seed: int, step: int, rows: Rows) -> Batch:
        """This process's rows of the global batch of ``step``: random access on the host, no iterator state."""
        raise NotImplementedError

    def hide(self, batch: Any, rng: Rng) -> Task:
        """The automatic labels, for the whole batch, on its device: no gradient, no label read, no weights used."""
        raise NotImplementedError

    def players(self) -> dict[str, Player]:
        """Name -> parameters; they take their steps in this order. One by default."""
        return {"all": Player([(n, p) for n, p in self.named_parameters() if p.requires_grad])}

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        """Scalars: "total" (with gradient) and named parts (detached)."""
        raise NotImplementedError

    def update(self, task: Task, rate: float) -> dict[str, float]:
        """One step where compiled kernels do the work: it takes the place of ``loss`` and the optimiser.

        Changes the parameters in place and returns the loss parts, "total" among them. Only those that learn so have it;
        they also have ``work``, have no players, and are trained in one process.
        """
        raise NotImplementedError

    def work(self) -> float:
        """Floating-point operations a sample, of one that has ``update``: no counter sees into compiled kernels."""
        raise NotImplementedError

    @property
    def updates(self) -> bool:
        """Whether ``update`` takes the place of loss and optimiser."""
        return type(self).update is not Trainable.update

    def chance_loss(self, batch: int) -> float | None:
        """The loss of foretelling nothing, in a global batch of ``batch`` samples; None where it is not known.

        The verdict on health asks it: a loss that stays there after the warm-up says that nothing is learnt.
        """
        return None

    def notice(self, parts: dict[str, float]) -> str | None:
        """What a person should know of a step's loss parts, such as a player that has won; asked after every step."""
        return None

    def health(self, batch: Any) -> Tensor:
        """(B, D) embeddings to judge without labels."""
        raise NotImplementedError

    def show(self, batch: Any, rng: Rng) -> Exhibit:
        """What is hidden and what is to be foretold, for a person: made before training, so that it shows no answers of
        the network. (Those are ``findings``.)
        """
        raise NotImplementedError


class Objective(Trainable):
    """A pretext task. One file each; registered by name in ``foretell.objectives``.

    ``encoder`` is what is kept after pretraining. ``hides``, ``foretells``, ``needs`` and ``good_for`` are what ``foretell
    objectives`` prints, and an instance may say the first two of its own settings; ``paper`` is its source.
    ``transformer``: it embeds a part of an image's positions, which vision transformers can, so that encoder "auto" is one.
    ``columns``: those of the table that say which images belong together (never what they show), where the task needs
    that; with "order" among them, files are read frame by frame.

    ``kind``: what its store holds, "image", "text" (tokens) or "words".
    ``usual_training``: settings of training that are published for it, taken where no optimiser is given.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    hides: str
    foretells: str
    needs: ClassVar[str]
    good_for: ClassVar[str]
    kind: ClassVar[str] = "image"
    transformer: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...]] = ()

    usual_training: ClassVar[dict[str, Any]] = {}

    encoder: nn.Module

    @classmethod
    def samples(cls, config: Any, store: Any) -> tuple[int, str]:
        """How many samples of ``store`` an epoch draws from, and what they are: (9716, "images")."""
        return len(store), "images"

    @property
    def notes(self) -> list[str]:
        """What a person should know of how this task takes the data, one line each."""
        return []

    def for_transfer(self) -> nn.Module:
        """The encoder as it is measured, kept and handed on."""
        return self.encoder

    def findings(self, store: Any, rows: Any, seed: int) -> list[Exhibit]:
        """Exhibits of what was learnt, made once after training from ``rows`` of ``store``; labels may be read here."""
        return []


class Contrastive(Objective):
    """An objective whose loss sees the whole batch at once, so that accumulation needs cached gradients."""

    accumulation = "cached"

    def embed(self, task: Task) -> Tensor:
        """(B, ...) what the loss compares, one row a sample."""
        raise NotImplementedError

    def loss_from(self, embedded: Tensor, task: Task) -> dict[str, Tensor]:
        """The loss of the whole batch from ``embed``'s rows, gathered from all processes with gradient."""
        raise NotImplementedError

    def loss(self, task: Task, player: str) -> dict[str, Tensor]:
        return self.loss_from(self.embed(task), task)
