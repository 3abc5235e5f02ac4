"""``foretell neighbours``: the images, or the words, that an encoder finds most alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from foretell.options import Arg, Where


def neighbours(
    run: Annotated[Where, Arg("the run folder, an exported encoder, or a file of word vectors")],
    image: Annotated[
        Where | None,
        Arg(
            "an image file, or the name of an image of the data (default: a few at random); of word vectors a word, or "
            "three words in quotes for an analogy"
        ),
    ] = None,
    *,
    k: Annotated[int, Arg("how many neighbours", "K", "-k")] = 8,
    data: Annotated[Where | None, Arg("the images to search (default: the run's own)", "DATA")] = None,
    out: Annotated[
        Where | None, Arg("write the pictures here (default: RUN/exhibits/neighbours.png)", "PNG", "-o")
    ] = None,
    device: Annotated[str, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = "auto",
) -> list[dict[str, Any]]:
    """Find the images or the words that are most alike to one.

    Images are printed, and written as one picture; without IMAGE those of a few at random. Words, of a run of word2vec, are
    printed: those nearest to one, or the answer of an analogy.

    Returns [{"query", "neighbours": [{"name", "similarity", "label"}]}], best first. Raises InputError for an image
    that cannot be read and a word that is not known.
    """  # fmt: skip
    from foretell.errors import InputError
    from foretell.verbs import word_vectors

    file = word_vectors.vectors_of(Path(run))
    if file is not None:
        for option, value in (("--data", data), ("--out", out)):
            if value is not None:
                raise InputError(f"{option} {value}: is for images; words are printed")
        return word_vectors.neighbours(file, image, k)
    from foretell.verbs import embedding

    return embedding.neighbours(Path(run), image, k, data, None if out is None else Path(out), device)
