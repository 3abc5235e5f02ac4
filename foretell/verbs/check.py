"""``foretell check``: what is wrong with data before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foretell.options import Arg, Overrides, Where

if TYPE_CHECKING:
    from foretell.data.audit import Audit
    from foretell.data.text.audit import TextAudit
    from foretell.recipe import DataConfig


def check(
    data: Annotated[
        Where,
        Arg(
            "a folder of images or text, table (CSV, JSONL, Parquet), array or text file, @animals, @emoji; with --shortcuts "
            "also a run"
        ),
    ],
    *,
    labels: Annotated[Where | None, Arg("CSV with the columns path and label", "CSV")] = None,
    shortcuts: Annotated[bool, Arg("also measure whether a patch shows where in its image it lies")] = False,
    strict: Annotated[
        bool, Arg("fail (exit status 1) where a leak, unreadable file or row without its file is found")
    ] = False,
    set: Annotated[
        Overrides,
        Arg(
            "a data setting, as data.columns.label=diagnosis, or transfer.findings; may be repeated", "KEY=VALUE", "-s"
        ),
    ] = (),
) -> Audit | TextAudit | dict[str, Any]:
    """Say what is understood of the data, and what is wrong with it.

    Of images: unreadable, equal and alike images, label balance (or what is said of each of transfer.findings), and leakage
    between splits or groups. Of text:
    sizes, languages, encodings, odd characters, equal and alike documents, and text that two splits share. Nothing is
    trained and no data is changed. --shortcuts trains small networks to foretell the place of a patch, says through
    which cue it shows (lens aberration, vignetting, sharpness, a frame) and which switch closes it; for a run, it
    probes what its pretext task shows the encoder, and adds that to the report. What is found fails no command unless
    --strict says so.

    Returns the findings as an ``Audit`` or ``TextAudit``, or for a run as a dict. Raises InputError when there is
    nothing that can be read, and with ``strict`` ForetellError where the findings are not ``clean``.
    """
    from foretell.data.audit import audit, render
    from foretell.data.text.source import holds_text
    from foretell.errors import InputError
    from foretell.recipe import Recipe
    from foretell.verbs import common
    from foretell.verbs.progress import counting

    if shortcuts and (Path(data).expanduser() / "recipe.toml").is_file():
        from foretell.verbs.shortcuts import of_run

        if strict:
            raise InputError(f"{data}: is a run; --strict is for data")
        return of_run(Path(data).expanduser())
    options = {"data.source": common.absolute(str(data)), "data.labels": str(labels) if labels else None}
    asked = Recipe.load(options=options, overrides=set)
    chosen = asked.data
    assert chosen.source is not None
    if holds_text(Path(chosen.source), chosen.columns, chosen.encoding):
        if shortcuts or labels is not None:
            raise InputError(f"{data}: is text; --shortcuts and --labels are for images")
        of_text = _check_text(chosen)
        _hold(of_text, strict)
        return of_text
    found = audit(
        chosen.source,
        **chosen.reading(),
        findings=asked.transfer.findings,
        progress=counting("reading and comparing images"),
    )
    print(render(found), flush=True)
    if shortcuts:
        from foretell.verbs.shortcuts import of_images

        found.shortcuts = of_images(common.open_data(chosen.model_copy(update={"max_unreadable": 0.999999})))
    _hold(found, strict)
    return found


def _hold(found: Audit | TextAudit, strict: bool) -> None:
    """Raises ForetellError with ``strict`` where what was found is not clean."""
    from foretell.data.table import many
    from foretell.errors import ForetellError

    if strict and not found.clean:
        count = len(found.leaks) + len(found.unreadable) + len(getattr(found, "missing", ()))
        raise ForetellError(
            f"{found.source}: {many(count, 'finding')} of leaks, of labels that disagree, of files that are unreadable or not "
            "there; --strict expects none: mend the data, or leave --strict out"
        )


def _check_text(data: DataConfig) -> TextAudit:
    from foretell.data.text.audit import audit_text
    from foretell.data.text.audit_words import render_text
    from foretell.verbs.progress import counting_up
    from foretell.verbs.text_data import corpus_of

    found = audit_text(corpus_of(data), counting_up("checking", "documents"))
    print(render_text(found), flush=True)
    return found
