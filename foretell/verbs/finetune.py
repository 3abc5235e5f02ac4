"""``foretell finetune``: a classifier from a pretrained encoder and few labels, and what the pretraining was worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from foretell.options import Arg, Overrides, Where
from foretell.verbs.outcomes import Finetuned


def finetune(
    run: Annotated[
        Where, Arg("the run folder of an earlier pretrain, or a folder with a BERT, RoBERTa or GPT checkpoint")
    ],
    *,
    labels: Annotated[Where | None, Arg("CSV with path and label (default: the labels of the data)", "CSV")] = None,
    data: Annotated[Where | None, Arg("other labelled data (default: the run's own)", "DATA")] = None,
    out: Annotated[
        Where | None,
        Arg("folder of the classifier (default: RUN/classifier; to be given with other images)", "FOLDER", "-o"),
    ] = None,
    compare: Annotated[bool, Arg("compare with training from scratch at growing numbers of labels")] = True,
    per_class: Annotated[
        str,
        Arg("numbers of labels a class to compare at, or shares as 10%,30%; 'all' is every label", "N,N,..."),
    ] = "1,5,10,50",
    saliency: Annotated[bool, Arg("show of a few test images which pixels the answer depends on")] = True,
    seeds: Annotated[int, Arg("seeds of the comparison")] = 3,
    trials: Annotated[int, Arg("settings searched, the same for every arm")] = 8,
    task: Annotated[
        str | None,
        Arg(
            "of text: classification, entailment, similarity, choice, tagging or answering (default: by file and columns)",
            "TASK",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        Arg("trainings of the comparison side by side, each with its part of the cores (default: as many as pay)", "N"),
    ] = None,
    device: Annotated[str | None, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = None,
    set: Annotated[Overrides, Arg("a setting, as transfer.steps=200; may be repeated", "KEY=VALUE", "-s")] = (),
) -> Finetuned:
    """Fine-tune a classifier, and report what pretraining was worth.

    Of images, or of a run on text: one text, a pair or a choice of answers by the columns of the table (text, text_a and
    text_b, context and choice_..., label); tagged words of a file of sentences, and answers to questions of files in the
    format of SQuAD.
    The classifier is trained on all labels of the training part, with settings chosen within them, and tested on the
    held-out part. The comparison is with training from scratch, with equal augmentation, search and steps; --no-compare
    leaves it out. Of images, the report and saliency.png beside the classifier show which pixels of a few test images its
    answers depend on; --no-saliency leaves that out. With other images than the run's own nothing is written into the run, so
    that --out must be given, and the results are only printed. Of text with --data and --out the results are kept beside the
    model, as finetune.json and comparison.json; those of the run and its report stay.

    How settings are searched is transfer.search; with a method that shares its trials, the same command
    in a second process takes part in the search.

    Returns a ``Finetuned``. Raises InputError for labels that cannot be used, ForetellError when training fails.
    """
    from foretell.errors import InputError
    from foretell.verbs import common, image_transfer, text_transfer
    from foretell.verbs.word_vectors import vectors_of

    protocol = common.protocol_of(per_class, seeds, trials, jobs=jobs)
    place = Path(run)
    if text_transfer.is_text(place):
        return text_transfer.finetune(
            place, data, labels=labels, out=out, compare=compare, protocol=protocol, task=task, device=device,
            overrides=set,
        )  # fmt: skip
    if vectors_of(place) is not None:
        raise InputError(
            f"{run}: word vectors are not kept as a classifier; what they are worth to one says: foretell evaluate {run} "
            "TABLE --compare"
        )
    return image_transfer.finetune(
        place, data, labels=labels, out=out, compare=compare, protocol=protocol, saliency=saliency, task=task,
        device=device, overrides=set,
    )  # fmt: skip
