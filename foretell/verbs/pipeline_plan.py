"""What a pipeline file says: its steps, what each comes after, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from foretell.data.domains import column_and_value
from foretell.errors import InputError
from foretell.recipe import read_toml
from foretell.settings import Settings, each_once
from foretell.transfer.fractions import amounts

Kind = Literal["start", "pretrain", "compare", "finetune"]


class Step(Settings):
    """One step of a pipeline."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="letters, digits, - and _")
    title: str = Field("", description="how the report calls it; default: its name")
    kind: Kind = Field(
        description="start: weights from elsewhere; pretrain; compare: fine-tuning at growing numbers of labels, of "
        "several steps; finetune: a classifier"
    )
    after: str | None = Field(None, description="the step whose encoder this one starts from; none: random weights")
    of: Annotated[tuple[str, ...], AfterValidator(each_once)] = Field(
        (), description="the starts and pretraining steps that are compared"
    )
    weights: str = Field("", description="of a start: a timm checkpoint, a run, an exported encoder; empty: random")
    needed: bool = Field(False, description="of a start: the pipeline makes no sense without its weights")
    recipe: str | None = Field(None, description="of a pretraining: a recipe file, or a packaged one by name")
    set: dict[str, Any] = Field({}, description="settings of a recipe, dotted; with data.source on other data")
    per_class: str = Field(
        "1,5,10,all", description="of a comparison: numbers of labels a class, or shares as 10%,30%,all"
    )
    seeds: int = Field(3, ge=1, description="of a comparison")
    trials: int = Field(8, ge=1, description="settings searched in fine-tuning, the same for every arm")
    shift: str | None = Field(
        None,
        description="of a comparison: the domain that nothing is trained on and every arm is judged on, as domain=B",
    )

    @property
    def called(self) -> str:
        return self.title or self.name

    @property
    def elsewhere(self) -> bool:
        """Whether it learns from other data than the pipeline's."""
        return "data.source" in self.set


def _option(name: str) -> str:
    return name.replace("_", "-")


ALWAYS = {"name", "title", "kind"}
FIELDS: Mapping[Kind, set[str]] = {
    "start": {"weights", "needed"},
    "pretrain": {"after", "recipe", "set"},
    "compare": {"of", "per_class", "seeds", "trials", "shift", "set"},
    "finetune": {"after", "trials", "set"},
}


class Plan(Settings):
    """A whole pipeline file."""

    shared: dict[str, Any] = Field({}, description="settings of every step")
    step: tuple[Step, ...] = Field(min_length=1)

    def with_weights(self, weights: str, where: str) -> Plan:
        """The plan whose first step starts from ``weights``. Raises InputError when that is no start."""
        first, *others = self.step
        if first.kind != "start":
            raise InputError(f"--weights: the first step of {where} is no start; expected kind = 'start'")
        return self.model_copy(update={"step": (first.model_copy(update={"weights": weights}), *others)})

    def with_settings(self, given: Mapping[str, Any], where: str) -> Plan:
        """The plan whose comparisons (and classifiers, as far as they have them) have the settings ``given``: per_class, seeds,
        trials, shift. Raises InputError where there is no comparison, and for values that make no sense.
        """
        if not given:
            return self
        if not any(step.kind == "compare" for step in self.step):
            raise InputError(f"--{_option(min(given))}: {where} has no step of kind 'compare' that it is for")
        for name in ("seeds", "trials"):
            if given.get(name, 1) < 1:
                raise InputError(f"--{name} {given[name]}: expected at least 1")
        if "per_class" in given:
            amounts(given["per_class"], "--per-class")
        if "shift" in given:
            column_and_value(given["shift"], "--shift")
        changed = []
        for step in self.step:
            own = {name: value for name, value in given.items() if name in FIELDS[step.kind]}
            changed.append(step.model_copy(update=own))
        return self.model_copy(update={"step": tuple(changed)})

    @property
    def domains(self) -> list[str]:
        """The domains that comparisons judge, and that nothing is trained on."""
        return sorted({step.shift for step in self.step if step.shift is not None})

    def steps_of(self, step: Step) -> list[Step]:
        """The steps that a comparison compares, in its order."""
        by_name = {one.name: one for one in self.step}
        return [by_name[name] for name in step.of]

    def like(self, one: Step, comparison: Step) -> str:
        """The pretraining on the pipeline's data whose run ``one`` is compared in: itself, the first one after it, or
        the first.

        ``one`` is of ``comparison``.
        """
        own = [other.name for other in self.steps_of(comparison) if other.kind == "pretrain" and not other.elsewhere]
        users = [name for name in own if one in self.chain(name)]
        return one.name if one.name in own else (users or own)[0]

    def chain(self, name: str) -> list[Step]:
        """The step ``name`` and those that it builds on, the first one first."""
        by_name = {step.name: step for step in self.step}
        found = [by_name[name]]
        while (before := found[0].after) is not None:
            found.insert(0, by_name[before])
        return found


def read_plan(place: str | Path) -> Plan:
    """The steps of a file, or of a packaged pipeline by its name. Raises InputError naming step and key."""
    where, tree = read_toml(place, "pipeline")
    try:
        plan = Plan.model_validate(tree)
    except ValidationError as error:
        found = error.errors()[0]
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in found["loc"])
        raise InputError(f"{where}: {key}: {found['msg'].lower()}; a step has {', '.join(Step.model_fields)}") from None
    kinds: dict[str, Kind] = {}
    for step in plan.step:
        _check(step, kinds, plan, str(where))
        kinds[step.name] = step.kind
    return plan


def check_weights(plan: Plan, where: str) -> None:
    """Raise InputError for a start without the weights that it needs."""
    for step in plan.step:
        if step.needed and not step.weights:
            raise InputError(f"{where}: step {step.name} needs weights to start from; give --weights FILE")


def _check(step: Step, kinds: Mapping[str, Kind], plan: Plan, where: str) -> None:
    """Raise InputError where ``step`` makes no sense after the steps of ``kinds``."""
    if step.name in kinds:
        raise InputError(f"{where}: two steps are named {step.name}; give each its own name")
    odd = step.model_fields_set - ALWAYS - FIELDS[step.kind]
    if odd:
        raise InputError(
            f"{where}: step {step.name}: '{min(odd)}' is no setting of kind {step.kind}; it has "
            f"{', '.join(sorted(FIELDS[step.kind]))}"
        )
    foreign = [key for key in step.set if key.partition(".")[0] != "transfer"]
    if foreign and step.kind in ("compare", "finetune"):
        raise InputError(
            f"{where}: step {step.name}: set: '{min(foreign)}' is no setting of kind {step.kind}, whose [step.set] takes those of "
            "transfer alone; set it in a pretraining step, or under [shared]"
        )
    for other in (*step.of, *([step.after] if step.after else [])):
        if other not in kinds:
            raise InputError(f"{where}: step {step.name} comes after '{other}', which is no earlier step")
    if step.kind == "finetune" and (step.after is None or kinds[step.after] != "pretrain"):
        raise InputError(f"{where}: step {step.name}: after: expected the name of an earlier step of kind pretrain")
    if step.kind == "pretrain" and step.after and kinds[step.after] not in ("start", "pretrain"):
        raise InputError(f"{where}: step {step.name}: after: expected the name of a start or a pretrain step")
    if step.kind != "compare":
        return
    amounts(step.per_class, f"{where}: step {step.name}: per_class")
    if step.shift is not None:
        column_and_value(step.shift, f"{where}: step {step.name}: shift")
    if any(kinds[other] not in ("start", "pretrain") for other in step.of):
        raise InputError(
            f"{where}: step {step.name}: of: expected the names of earlier steps of kind start or pretrain"
        )
    if not any(kinds[name] == "pretrain" and not plan.chain(name)[-1].elsewhere for name in step.of):
        raise InputError(
            f"{where}: step {step.name}: of: expected one step of kind pretrain on the pipeline's data or more"
        )
