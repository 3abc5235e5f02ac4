"""``foretell neighbours``: the images, or the words, that an encoder finds most alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from foretell.options import Arg, Overrides, Where


def neighbours(
    run: Annotated[Where, Arg("the run folder, an exported encoder, or a file of word vectors")],
    image: Annotated[
        Where | None,
        Arg(
            "an image file, or the name of an image of the data, of a film its first frame (default: a few at random); of word vectors a word, or "
            "three words in quotes for an analogy"
        ),
    ] = None,
    *,
    k: Annotated[int, Arg("how many neighbours", "K", "-k")] = 8,
    by: Annotated[
        Literal["image", "case", "study", "group"],
        Arg("what is found: images, or cases, studies or groups (patients) of several, by these columns of the table"),
    ] = "image",
    apart: Annotated[
        Literal["auto", "image", "case", "study", "group"],
        Arg(
            "what of an image of the data is no neighbour of it: image, itself alone; case, study or group, all images of "
            "its own; auto: what no split divides (its group, else case or study), and its own of --by"
        ),
    ] = "auto",
    data: Annotated[Where | None, Arg("the images to search (default: the run's own)", "DATA")] = None,
    out: Annotated[
        Where | None,
        Arg("write the pictures here (default: of images, without IMAGE, RUN/exhibits/neighbours.png)", "PNG", "-o"),
    ] = None,
    device: Annotated[str, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = "auto",
    set: Annotated[Overrides, Arg("a setting, as data.columns.case=lesion; may be repeated", "KEY=VALUE", "-s")] = (),
) -> list[dict[str, Any]]:
    """Find the images or the words that are most alike to one.

    Images are printed, and written as one picture; without IMAGE those of a few at random. Cases of several images are
    found by --by: a case stands for the mean of its images' embeddings, each of length 1, and is shown by its image nearest
    to the query. Words, of a run of word2vec, are printed: those nearest to one, or the answer of an analogy.

    Returns [{"query", "neighbours": [{"name", "similarity", "label"}]}], best first, similarity the cosine. Of cases "name"
    is the image that is shown, "case" what the case is called, "images" how many it has, and "label" that of all of them
    (None where they differ). Raises InputError for an image that cannot be read, a column that is not there, a query that
    leaves nothing to find, and a word that is not known.
    """  # fmt: skip
    from foretell.errors import InputError
    from foretell.verbs import word_vectors

    file = word_vectors.vectors_of(Path(run))
    if file is not None:
        given = (("--data", data, None), ("--out", out, None), ("--by", by, "image"), ("--apart", apart, "auto"))
        for option, value, usual in given:
            if value != usual:
                raise InputError(f"{option} {value}: is for images; words are printed")
        return word_vectors.neighbours(file, image, k)
    from foretell.verbs import neighbouring

    return neighbouring.neighbours(
        Path(run), image, k, by=by, apart=apart, data=data, out=None if out is None else Path(out), device=device,
        overrides=set,
    )  # fmt: skip
