"""``foretell inpaint``: holes in a picture, filled by a context encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from foretell.options import Arg, Where
from foretell.verbs.outcomes import Inpainting


def inpaint(
    run: Annotated[Where, Arg("the run folder of a context_encoder")],
    image: Annotated[Where, Arg("the picture")],
    *,
    mask: Annotated[
        Where | None,
        Arg("a picture of the same size, white where the hole is, black or transparent elsewhere", "PNG", "-m"),
    ] = None,
    box: Annotated[
        str | None, Arg("or the hole as a rectangle in pixels, its left upper corner and its size", "X,Y,W,H")
    ] = None,
    out: Annotated[Where | None, Arg("the filled picture (default: RUN/filled/IMAGE.png)", "FILE", "-o")] = None,
    device: Annotated[str, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = "auto",
) -> Inpainting:
    """Fill a hole in a picture from what surrounds it.

    The picture keeps its size, and no pixel outside the hole is changed. Next to it, in FILE-beside.png, lie the picture,
    the hole and the filling side by side.

    Returns an ``Inpainting``. Raises InputError for a run of another objective, a picture that cannot be read, a mask of
    another size, and a hole that is empty, everything or outside the picture.
    """
    from foretell.verbs import inpainting

    return inpainting.inpaint(Path(run), Path(image), mask, box, None if out is None else Path(out), device)
