"""``foretell pretrain``: from images or text without labels to an encoder, and what it is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from foretell.options import Arg, Overrides, Where
from foretell.verbs.outcomes import Pretraining


def pretrain(
    data: Annotated[
        Where | None,
        Arg(
            "a folder, manifest (CSV, JSONL, Parquet), array file, text file, @animals or @emoji; with --resume: the run "
            "folder"
        ),
    ] = None,
    *,
    objective: Annotated[
        str | None, Arg("the pretext task, see 'foretell objectives' (default: simclr; bert for text)", "NAME")
    ] = None,
    out: Annotated[Where | None, Arg("the run folder (default: runs/DATA-OBJECTIVE-DATE-TIME)", "RUN", "-o")] = None,
    budget: Annotated[
        str | None,
        Arg(
            "90s, 5m, 2h, '50 epochs' or '3000 steps' (default: 100 epochs; 10 of text, 5 for word2vec)", "BUDGET", "-b"
        ),
    ] = None,
    recipe: Annotated[Where | None, Arg("a TOML file, a run folder, or a packaged recipe by name", "RECIPE")] = None,
    encoder: Annotated[
        str | None, Arg("a small Foretell encoder or any timm name (default: chosen by size and device)", "NAME")
    ] = None,
    weights: Annotated[
        Where | None,
        Arg("start from the encoder of a run, an exported encoder, safetensors or a folder of transformers'", "PATH"),
    ] = None,
    labels: Annotated[Where | None, Arg("CSV with path and label: to measure by, never to pretrain on", "CSV")] = None,
    side: Annotated[
        int | None, Arg("pixels a side that the encoder sees (default: as the data, at most 96 on CPU, 224 on GPU)")
    ] = None,
    batch: Annotated[
        int | None, Arg("images or rows of text in a batch (default: 256, 64 for text; fewer when there are few)")
    ] = None,
    seed: Annotated[int | None, Arg("of weights, views and order (default: 0)")] = None,
    device: Annotated[str | None, Arg("auto, cpu, cuda or cuda:N (default: auto)", "DEVICE")] = None,
    set: Annotated[
        Overrides, Arg("any other setting, as training.weight_decay=1e-4; may be repeated", "KEY=VALUE", "-s")
    ] = (),
    resume: Annotated[bool, Arg("go on with a run that was stopped or killed")] = False,
) -> Pretraining:
    """Pretrain on images or text without labels, and report.

    Labels, where there are some (class folders, a manifest or --labels), only measure: the test part is held out of
    pretraining, which learns from no label; with training.patience those of the training part choose which step of a run on
    images is kept. Ctrl-C stops after the step in progress; --resume goes on, bit-equal; with --set data.source=PLACE where the
    data has moved.

    Returns a ``Pretraining``. Raises InputError for unusable data and settings and a run folder in use, ForetellError
    when training fails; checkpoints are kept.
    """
    from foretell.errors import InputError
    from foretell.verbs import pretraining

    if resume:
        given: dict[str, Any] = {
            "objective": objective,
            "budget": budget,
            "recipe": recipe,
            "encoder": encoder,
            "weights": weights,
        }
        given |= {"labels": labels, "side": side, "batch": batch, "seed": seed, "device": device}
        extra = [f"--{name}" for name, value in given.items() if value is not None]
        if data is not None and out is not None:
            raise InputError("--resume goes on with one run: give its folder once, as foretell pretrain --resume RUN")
        place = out if out is not None else data
        if place is None:
            raise InputError("--resume: which run? Give its folder, as foretell pretrain --resume RUN")
        if extra:
            raise InputError(f"--resume goes on with the run's own recipe; leave out {', '.join(extra)}")
        return pretraining.go_on(Path(place), set)
    options: dict[str, Any] = {
        "data.source": None if data is None else str(data),
        "data.labels": None if labels is None else str(labels),
        "objective.name": objective,
        "objective.views.side": side,
        "encoder.name": encoder,
        "encoder.weights": None if weights is None else str(weights),
        "training.batch": batch,
        "training.seed": seed,
        "training.device": device,
    }
    return pretraining.start(options, recipe=recipe, budget=budget, overrides=set, out=out)
