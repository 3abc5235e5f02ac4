"""What is known to fail in a pipeline before any of its steps is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from foretell.data.domains import rows_of
from foretell.data.table import many
from foretell.encoders import build_encoder
from foretell.encoders.weights import WEIGHTS, fit, locate
from foretell.errors import InputError
from foretell.recipe import Recipe
from foretell.verbs import common, image_pretraining, pretraining
from foretell.verbs.image_pretraining import Setting
from foretell.verbs.kept_split import learnt_before
from foretell.verbs.pipeline_comparison import check_labelled, check_same
from foretell.verbs.pipeline_plan import Plan, Step

ALONE = (
    "what is for this step alone stands under its [step.set] in a copy of the pipeline's file; --set is for every step and "
    "overrules it"
)


def weights_key(place: str) -> str:
    """A hash of a weights file's content; "" for none. Raises InputError when there is no such file."""
    if not place:
        return ""
    file = locate(place)
    with (file / WEIGHTS if file.is_dir() else file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Checks:
    """The checks of one plan; ``recipe_of(step, weights)`` is a step's recipe, with the weights that it starts from."""

    def __init__(self, plan: Plan, recipe_of: Callable[[Step, str | None], Recipe]) -> None:
        self.plan = plan
        self.recipe_of = recipe_of
        # pretraining steps, as they would begin but for weights that are yet to be trained
        self._ready: dict[str, Setting] = {}

    def run(self) -> list[str]:
        """What to tell of the unit that is judged, each once.

        Raises InputError for weights that are not there, for labels, splits and domains that no comparison or classifier could
        use, for a pretraining that could not begin (its batch, its objective on its data, the network that it starts from) and
        for what cannot be compared.
        """
        notes: dict[str, None] = {}
        for step in self.plan.step:
            weights_key(step.weights)
        for step in self.plan.step:
            if step.kind in ("compare", "finetune"):
                notes |= dict.fromkeys(self._labels(step))
        for step in self.plan.step:
            if step.kind == "pretrain":
                self._ready[step.name] = self._pretraining(step)
        for step in self.plan.step:
            if step.kind == "compare":
                self._comparison(step)
                notes |= dict.fromkeys(self._seen(step))
        return list(notes)

    def _labels(self, step: Step) -> list[str]:
        """Notes on the labels of a comparison or a classifier."""
        own = next(one for one in self.plan.step if one.name == self._judged(step))
        data = self.recipe_of(own, None).data
        return check_labelled(common.open_data(data), data, self.recipe_of(step, None).transfer, step.shift)

    def _seen(self, step: Step) -> list[str]:
        """Notes on the starts of a comparison that learnt from images of the domain that it judges."""
        if step.shift is None:
            return []
        store = self._ready[str(self._judged(step))].store
        hashes = store.hashes[rows_of(store, step.shift, "--shift")]
        chains = [one for name in step.of for one in self.plan.chain(name) if one.weights]
        found = {one.weights: learnt_before([Path(one.weights)], hashes) for one in chains}
        return [
            f"{weights}: learnt from {many(count, 'image')} of {step.shift} too, without labels; to judge where nothing was "
            "learnt from, start from weights that have not seen them"
            for weights, count in found.items()
            if count
        ]

    def _judged(self, step: Step) -> str | None:
        """The pretraining on whose data a comparison or a classifier is made."""
        return step.after if step.kind == "finetune" else self.plan.like(self.plan.steps_of(step)[0], step)

    def _pretraining(self, step: Step) -> Setting:
        """The step as it would begin; after another pretraining with that one's untrained network."""
        before = self._ready.get(step.after or "")
        try:
            setting, _ = image_pretraining.settled_on(*image_pretraining.opened(self._recipe(step, before)))
            if before is not None:
                _fits(setting, before, str(step.after))
        except InputError as error:
            raise InputError(f"step {step.name}: {error}") from None
        try:
            pretraining.check_setting(setting)
        except InputError as error:
            raise InputError(f"step {step.name}: {error}; {ALONE}") from None
        return setting

    def _recipe(self, step: Step, before: Setting | None) -> Recipe:
        """The step's recipe; its encoder is that of ``before`` where it names none, as it will be of that run's weights."""
        starts = {one.name: one.weights for one in self.plan.step}
        recipe = self.recipe_of(step, starts[step.after] or None if step.after else None)
        if before is None or recipe.encoder.name != "auto":
            return recipe
        found = before.recipe.encoder
        same = {
            "name": found.name,
            "stem": found.stem,
            "norm": found.norm,
            "patch": recipe.encoder.patch or found.patch,
        }
        return recipe.model_copy(update={"encoder": recipe.encoder.model_copy(update=same)})

    def _comparison(self, step: Step) -> None:
        """Raise InputError for steps that see other images than each other, and for weights that fit no network compared."""
        steps = self.plan.steps_of(step)
        own = [one.name for one in steps if self.plan.like(one, step) == one.name]
        check_same({f"step {name}": (self._ready[name].store, self._ready[name].parts) for name in own})
        for one in steps:
            like = self._ready[self.plan.like(one, step)]
            try:
                if one.weights:
                    chosen = like.recipe.encoder.model_copy(update={"weights": one.weights})
                    build_encoder(chosen, like.store.channels, like.encoder.side)
                elif one.elsewhere:
                    _fits(like, self._ready[one.name], one.name)
            except InputError as error:
                raise InputError(f"step {step.name}: {error}") from None


def _fits(setting: Setting, before: Setting, name: str) -> None:
    """Raise InputError unless the network of ``setting`` takes the weights of ``before``, the step ``name``."""
    fit(setting.encoder.net, before.encoder.net.state_dict(), Path(f"the encoder of step {name}"), setting.encoder.name)
