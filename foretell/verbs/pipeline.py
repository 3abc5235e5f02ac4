"""``foretell pipeline``: several steps of training, each kept and used again, and one report over all of them."""

from __future__ import annotations

from typing import Annotated

from foretell.options import Arg, Overrides, Where
from foretell.verbs.outcomes import Pipeline


def pipeline(
    recipe: Annotated[
        Where,
        Arg(
            "a TOML file of steps, or a packaged pipeline by name: medical, medical_starts, medical_widths", "PIPELINE"
        ),
    ],
    data: Annotated[Where | None, Arg("a folder or zip of DICOM, NIfTI or other images, or a manifest")] = None,
    *,
    labels: Annotated[
        Where | None, Arg("CSV with label, and path, patient, study or series: never pretrained on", "CSV")
    ] = None,
    weights: Annotated[
        Where | None, Arg("what the first step starts from: a timm checkpoint, a run, an exported encoder", "PATH")
    ] = None,
    shift: Annotated[
        str | None,
        Arg(
            "a domain that nothing is trained on and every arm is judged on, as domain=B: a column and its value",
            "COLUMN=VALUE",
        ),
    ] = None,
    per_class: Annotated[
        str | None,
        Arg("amounts of labels of the comparison: numbers a class, or shares as 10%,30%,all", "N,N,..."),
    ] = None,
    seeds: Annotated[int | None, Arg("seeds of the comparison")] = None,
    trials: Annotated[int | None, Arg("settings searched in fine-tuning, the same for every arm")] = None,
    out: Annotated[
        Where | None, Arg("folder of the steps and the report (default: runs/DATA-PIPELINE)", "FOLDER", "-o")
    ] = None,
    device: Annotated[str | None, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = None,
    set: Annotated[
        Overrides, Arg("a setting of every step, as encoder.name=resnet50; may be repeated", "KEY=VALUE", "-s")
    ] = (),
) -> Pipeline:
    """Pretrain in steps, compare them, and write one report.

    Each step starts from the one it comes after.

    A step whose settings, data and earlier steps have not changed is not done again; one that was killed goes on. The same
    command does both.

    Returns a ``Pipeline``. Raises InputError for a pipeline that makes no sense and data that cannot be used.
    """
    from foretell.verbs import pipelining

    return pipelining.run(
        recipe, data, labels=labels, weights=weights, out=out,
        comparison={"shift": shift, "per_class": per_class, "seeds": seeds, "trials": trials}, device=device, overrides=set
    )  # fmt: skip
