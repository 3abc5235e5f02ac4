"""What the claims on MICLe share: game units as cases, an encoder that SimCLR began, and its two ways on from there.

Each seed draws its own test units, weights and batches. "simclr" and "micle" begin at one encoder, which SimCLR trained for
``FIRST`` steps, and go on for ``THEN`` equal steps, with the same views, batch, rate and temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from foretell.claims.encoders import compared_encoder, kept_encoder
from foretell.claims.lab import Lab
from foretell.claims.medical.units import OTHER_CAMERA, STRENGTH, open_units, with_other_camera
from foretell.objectives.image import ImageObjective
from foretell.recipe import Recipe
from foretell.transfer.config import TransferConfig
from foretell.transfer.images.arms import TUNED

Arm = Literal["simclr", "micle"]

FIRST = 200
THEN = 600
PENALTIES = 2  # tried for each linear probe, chosen on labelled training cases
# Of a fine-tuning: on training cases of one split that were held back, the arm from scratch gained nothing from 600 steps.
MOST_STEPS = 350
SMALL, LARGE = 2e-3, 3.5e-3  # rates of fine-tuning, see ``rate``
TUNED_ON = "training cases held back"
DRAWS = 5  # of the labelled cases, for frozen encoders
SETTINGS: dict[str, Any] = {  # every one of the objective's: those of the recipe are SimCLR's alone
    "objective.temperature": 0.2,
    "objective.head_dim": 64,
    "objective.views.side": 32,
    "objective.views.scale": [0.3, 1.0],
    "objective.views.brightness": 0.4,
    "objective.views.contrast": 0.4,
    "objective.views.blur": 0.0,
    "objective.views.saturation": 0.4,
    "objective.views.hue": 0.1,
    "training.batch": 64,
    "transfer.unit": "case",
    "transfer.batch": 16,
    "transfer.most_steps": MOST_STEPS,
}
WHERE = "units of a strategy game (Debian wesnoth-1.16-data, GPL: fetched by name, never shipped)"


def source_of(lab: Lab, seed: int, *, single: bool = False, shifted: bool = False) -> str:
    """The name of the frames with the test units of ``seed``; ``single``: one frame of each unit; ``shifted``: the
    labelled frames, those of test units by another camera too.
    """
    name = f"units-{seed}{'-single' if single else ''}{'-shifted' if shifted else ''}"
    lab.add(name, lambda: with_other_camera(open_units(seed)) if shifted else open_units(seed, single=single))
    return name


def recipe(lab: Lab, seed: int, arm: Arm, steps: int, *, single: bool = False, weights: Path | None = None) -> Recipe:
    """The packaged recipe ``claims`` for units."""
    changes = {
        **SETTINGS,
        "data.source": source_of(lab, seed, single=single),
        "objective.name": arm,
        "training.seed": seed,
        "training.steps": steps,
        "encoder.weights": None if weights is None else str(weights),
    }
    return Recipe.load("claims", changes)


def pretrained(lab: Lab, seed: int, arm: Arm, *, single: bool = False) -> ImageObjective:
    """The objective of ``arm``, trained; with ``single`` its last ``THEN`` steps see one frame of each unit."""
    first = recipe(lab, seed, "simclr", FIRST)  # what every arm begins at
    objective = lab.trained(recipe(lab, seed, arm, THEN, single=single, weights=kept_encoder(lab, first)))
    assert isinstance(objective, ImageObjective)
    return objective


def compared(
    lab: Lab,
    seed: int,
    arm: Arm,
    arms: Sequence[str],
    per_class: Sequence[int | None],
    *,
    draws: int = 1,
    single: bool = False,
    shifted: bool = False,
) -> list[dict[str, Any]]:
    """The rows of a comparison by case of the encoder of ``arm``, with ``draws`` draws of the labelled cases.

    ``single`` trains on one frame of each unit; what is judged is the same. ``shifted`` also judges the test units as
    another camera shows them.
    """
    made = recipe(lab, seed, arm, THEN, single=single)
    seeds = tuple(range(1000 * seed, 1000 * seed + draws))
    transfer, trials = searched(made.transfer, arms, per_class)
    key = {
        "recipe": lab.key(made), "first": FIRST, "arms": list(arms), "per_class": list(per_class), "seeds": list(seeds),
        "trials": trials, "rates": transfer.rates, "shifted": STRENGTH if shifted else None,
    }  # fmt: skip

    def work() -> dict[str, Any]:
        objective = pretrained(lab, seed, arm, single=single)
        lab.say(f"{arm}, split {seed}: {', '.join(arms)}")
        name = source_of(lab, seed, shifted=shifted)
        return compared_encoder(
            lab,
            objective,
            transfer,
            name,
            arms=arms,
            per_class=per_class,
            seeds=seeds,
            trials=trials,
            shift=OTHER_CAMERA if shifted else None,
        )

    rows: list[dict[str, Any]] = lab.result("micle-compared", key, work)["rows"]
    return rows


def rate(per_class: int | None) -> float:
    """The rate of fine-tuning on so many cases a class, the same for every arm.

    On training cases of two splits that were held back, of 1e-3, 2e-3, 3.5e-3 and 6e-3: with all cases scratch came to 42, 51,
    58 and 60%, with two a class to 37, 36, 34 and 30%; what SimCLR had begun to 62%, and to 39 to 41%, with any.
    """
    return SMALL if per_class is not None and per_class <= 2 else LARGE


def searched(
    transfer: TransferConfig, arms: Sequence[str], per_class: Sequence[int | None], given: float | None = None
) -> tuple[TransferConfig, int]:
    """(how ``arms`` learn, how many settings are tried for each): where some are fine-tuned one rate, ``given`` or the ``rate``
    that all of ``per_class`` have; of linear probes ``PENALTIES``.
    """
    if not set(arms) & set(TUNED):
        return transfer, PENALTIES
    (own,) = {given or rate(n) for n in per_class}
    return transfer.model_copy(update={"rates": (own, own)}), 1


def pace(most: int = MOST_STEPS) -> str:
    """How long fine-tuning takes, for a note."""
    return (
        "fine-tuning, from scratch too, takes 20 steps times the square root of the number of labelled images, from 100 to "
        f"{most}, of {SETTINGS['transfer.batch']} images each"
    )


def tuning(chosen_on: str = TUNED_ON) -> str:
    """How fine-tuning is done at one rate, for a note."""
    return (
        f"{pace()}; its rate is the same in every arm: {SMALL:g} up to 2 cases a class, {LARGE:g} above, with which scratch is "
        f"within 2 points of the best of 0.001, 0.002, 0.0035 and 0.006 on {chosen_on}"
    )


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def accuracy(rows: Sequence[dict[str, Any]], arm: str, per_class: int | None, metric: str = "accuracy") -> float:
    """The mean of ``metric`` over the draws of labels, in percent."""
    return mean([100 * row[metric] for row in rows if row["arm"] == arm and row["per_class"] == per_class])
