"""``foretell embed``: features of images or texts, as a file other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from foretell.options import Arg, Overrides, Where

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def embed(
    run: Annotated[Where, Arg("the run folder, or an exported encoder")],
    data: Annotated[Where | None, Arg("the images or texts (default: the run's own)")] = None,
    *,
    out: Annotated[
        Where | None,
        Arg(
            "features.npz, .npy or .parquet (default: RUN/features.npz; of data that is not the run's, features.npz here)",
            "FILE",
            "-o",
        ),
    ] = None,
    device: Annotated[str, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = "auto",
    set: Annotated[Overrides, Arg("a setting, as data.columns.text=body; may be repeated", "KEY=VALUE", "-s")] = (),
) -> NDArray[np.float32]:
    """Write the encoder's features of images or texts to a file.

    .npz holds features, path (of a text: where it is), label and group; .parquet one row a sample; .npy the features
    alone. With a run's own images the map of the embeddings in its report is drawn anew. Of a text the mean state of its
    tokens is taken; what is longer than the positions of the network is cut.

    Returns the features, float32 (samples, dimensions), in the order of the data. Raises InputError for an unknown suffix
    and data that cannot be read.
    """
    from foretell.verbs import embedding

    return embedding.embed(Path(run), data, None if out is None else Path(out), device, set)
