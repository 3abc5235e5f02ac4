"""``foretell evaluate``: what a pretrained encoder is worth, frozen, and what it saves when it is fine-tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from foretell.options import Arg, Overrides, Where


def evaluate(
    run: Annotated[
        Where, Arg("the run folder of an earlier pretrain, or a folder with a BERT, RoBERTa or GPT checkpoint")
    ],
    data: Annotated[Where | None, Arg("other labelled data (default: the run's own)")] = None,
    *,
    labels: Annotated[Where | None, Arg("CSV with the columns path and label", "CSV")] = None,
    compare: Annotated[bool, Arg("also fine-tune at growing numbers of labels, beside training from scratch")] = False,
    per_class: Annotated[
        str,
        Arg("numbers of labels a class to compare at, or shares as 10%,30%; 'all' is every label", "N,N,..."),
    ] = "1,5,10,50",
    seeds: Annotated[int, Arg("seeds of the comparison")] = 3,
    trials: Annotated[int, Arg("settings searched, the same for every arm")] = 8,
    arms: Annotated[
        str,
        Arg(
            "arms of the comparison, of pretrained, probe, scratch, random; of text also tfidf (default: all)",
            "ARM,ARM,...",
        ),
    ] = "",
    shift: Annotated[
        str | None,
        Arg("with --compare: hold the images of another domain out and judge every arm on them", "COLUMN=VALUE"),
    ] = None,
    similarity: Annotated[
        Where | None, Arg("of word vectors: people's scores of pairs, lines of word, word, score", "FILE")
    ] = None,
    analogies: Annotated[
        Where | None, Arg("of word vectors: lines of four words, under ': NAME' of their section", "FILE")
    ] = None,
    task: Annotated[
        str | None,
        Arg(
            "of text: classification, entailment, similarity, choice, tagging or answering (default: by file and columns)",
            "TASK",
        ),
    ] = None,
    jobs: Annotated[
        int | None, Arg("trainings side by side, each with its part of the cores (default: as many as pay)", "N")
    ] = None,
    device: Annotated[str | None, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = None,
    set: Annotated[Overrides, Arg("a setting, as transfer.steps=200; may be repeated", "KEY=VALUE", "-s")] = (),
) -> dict[str, Any]:
    """Measure what a run's frozen encoder is worth on labelled data.

    Nearest neighbours, linear probe and retrieval, beside random features and raw pixels; of text beside TF-IDF.
    --compare adds the label-efficiency curve: every arm with equal augmentation, search and steps. The results are put
    into the run and its report; with other data they are only printed. With --shift domain=B the tuned models are applied
    to the images of that domain with no training: what each arm loses there, and what pretraining gains. Small networks are
    trained side by side, as --jobs says. Word vectors (of a run or a file) are measured
    by --similarity and --analogies, or as encoders of labelled texts, which are the mean of their words.

    Returns the scores, {"knn": {arm: scores}, "linear_probe": ..., "retrieval": ..., "comparison": ...}. Raises
    InputError for labels that cannot be used.
    """
    from foretell.errors import InputError
    from foretell.verbs import common, image_transfer, text_transfer, word_evaluation

    if word_evaluation.asked(Path(run), similarity, analogies) and data is None and labels is None:
        return word_evaluation.evaluate(Path(run), similarity, analogies)
    if similarity is not None or analogies is not None:
        raise InputError("--similarity and --analogies take no labelled texts: evaluate these by themselves")
    if shift is not None and not compare:
        raise InputError(f"--shift {shift}: the arms that it judges are those of --compare; give that too")
    protocol = common.protocol_of(per_class, seeds, trials, arms, jobs)
    place = Path(run)
    work = text_transfer.evaluate if text_transfer.reads_text(place) else image_transfer.evaluate
    return work(
        place, data, labels=labels, compare=compare, protocol=protocol, domain=shift, task=task, device=device,
        overrides=set,
    )  # fmt: skip
