"""The work behind ``foretell check --shortcuts``: whether places leak, from photographs or from a run's views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.store import ImageStore
from foretell.errors import InputError
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.transfer.images.lens import colour_shift
from foretell.transfer.images.place_leak import SWITCHES, Shortcuts
from foretell.transfer.images.shortcuts import probe_images, probe_objective
from foretell.verbs import common, kept_split, kinds
from foretell.verbs.progress import counting, say

FILE = "results/shortcuts.json"


def of_images(store: ImageStore) -> dict[str, Any]:
    """The radial shift between the colours of ``store``, the probe on patches as they lie in its images, and both said."""
    shifts: list[dict[str, Any]] = []
    if store.channels == 3:
        try:
            found = colour_shift(store)
        except InputError as reason:
            say(f"  colours: not measured: {str(reason).removeprefix(f'{store.source}: ')}")
        else:
            for one in found:
                k = one.k
                word = "moved against" if one.found else "not measurably moved against"
                say(
                    f"  lens: green is {word} {one.channel}: {100 * k.mean:+.3f}% of the radius "
                    f"({100 * k.low:+.3f}% to {100 * k.high:+.3f}%, {one.used} images)"
                )
            shifts = [one.record() for one in found]
    probe = probe_images(store, progress=counting("probing for shortcuts"))
    tell(probe)
    return {"colour_shift": shifts, "probe": probe.record()}


def of_run(place: Path) -> dict[str, Any]:
    """The probe on the views of a run, kept in its folder; its report is written anew. Raises InputError."""
    from foretell.report import build as build_report
    from foretell.verbs import image_pretraining

    run = Run.read(place)
    recipe = Recipe.load(run.path / "recipe.toml")
    kinds.check_kind(place, recipe, "image")
    kept = kept_split.read(place)
    if kept is None:
        raise InputError(f"{place}: was stopped before training began, so that it has no views to probe")
    store = common.open_data(recipe.data)
    parts = kept.of(store.fingerprint, len(store))
    if parts is None:
        raise InputError(
            f"{place}: the images of {store.source} have changed since the run was trained; put them back, or give images to "
            "probe instead of a run"
        )
    found = of_objective(image_pretraining.build(recipe, store, parts).objective)
    if found is None:
        raise InputError(
            f"{place}: {recipe.objective.name} shows its encoder no part of an image that has a place of its own (or there "
            "are fewer than 24 images): give images to probe instead of a run"
        )
    keep(run, found)
    say(f"report: {build_report(run.path)}")
    return found.record()


def of_objective(objective: Any) -> Shortcuts | None:
    """The probe on what an image objective shows its encoder, said; None where that has no place."""
    from foretell.objectives.image import ImageObjective

    if not isinstance(objective, ImageObjective):
        return None
    found = probe_objective(objective)
    if found is not None:
        tell(found)
    return found


def keep(run: Run, found: Shortcuts) -> None:
    run.write_json(FILE, found.record())


def tell(found: Shortcuts) -> None:
    """The verdict, and a line for each switch that was tried."""
    score = found.open
    best, constant = float(np.mean(score.best)), float(np.mean(score.best_constant))
    say(f"  shortcuts: {found.verdict}")
    say(
        f"    root mean squared distance {np.mean(score.rmse):.3f} of a side, a constant {np.mean(score.constant):.3f}; on "
        f"the best tenth of the images {best:.3f}, a constant {constant:.3f} ({found.images:,} images, {score.gain.n} seeds)"
    )
    for name, closed in found.closed.items():
        gain = closed.gain
        say(
            f"    with {SWITCHES[name].words}: {gain.mean:.1%} better than a constant ({gain.low:.1%} to {gain.high:.1%}): "
            f"{found.judged(name)}"
        )
