"""``foretell check``: what is wrong with data before anything is trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from foretell.options import Arg, Overrides, Where

if TYPE_CHECKING:
    from foretell.data.audit import Audit


def check(
    data: Annotated[Where, Arg("a folder, manifest (CSV, JSONL, Parquet), array file, @animals or @emoji")],
    *,
    labels: Annotated[Where | None, Arg("CSV with the columns path and label", "CSV")] = None,
    set: Annotated[Overrides, Arg("a data setting, as data.columns.label=diagnosis", "KEY=VALUE")] = (),
) -> Audit:
    """Say what is understood of the data, and what is wrong with it.

    Unreadable, equal and alike images, label balance, and leakage between splits or groups. Nothing is trained and no
    image is changed.

    Returns the findings as an ``Audit``. Raises InputError when there is nothing that can be read.
    """
    from foretell.data.audit import audit, render
    from foretell.recipe import Recipe
    from foretell.verbs import common

    options = {"data.source": common.absolute(str(data)), "data.labels": str(labels) if labels else None}
    chosen = Recipe.load(options=options, overrides=set).data
    assert chosen.source is not None
    found = audit(
        chosen.source,
        columns=chosen.columns,
        labels=chosen.labels,
        side=chosen.side,
        channels=chosen.channels,
        frames=chosen.frames,
        workers=chosen.workers,
        progress=common.counting("reading and comparing images"),
    )
    print(render(found))
    return found
