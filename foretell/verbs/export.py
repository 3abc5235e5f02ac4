"""``foretell export``: the encoder for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from foretell.options import Arg, Where


def export(
    run: Annotated[Where, Arg("the run folder, or an exported encoder")],
    out: Annotated[Where, Arg("a folder (timm) or a file (onnx)")],
    *,
    format: Annotated[Literal["timm", "onnx"], Arg("timm: safetensors and config; onnx: one file")] = "timm",
) -> Path:
    """Export a run's encoder of images for timm or as ONNX.

    timm: a folder with safetensors and a config; onnx: one file that takes pixels in [0, 1]. The ONNX file
    normalises pixels itself and is compared with torch before it is written. A run on text needs no export: its folder
    encoder/ is as transformers (of word2vec: gensim) loads it.

    Returns the path written. Raises InputError when there is no encoder, ForetellError when ``out`` cannot be written.
    """
    from foretell.encoders import load_encoder, save_encoder
    from foretell.errors import InputError
    from foretell.verbs import common
    from foretell.verbs.text_transfer import reads_text

    if reads_text(Path(run)):
        folder = Path(run) / "encoder" if (Path(run) / "encoder").is_dir() else Path(run)
        raise InputError(f"{run}: is of text, which other programs load from {folder} as it is; copy that")
    encoder, facts = load_encoder(run)
    target = Path(out)
    if format == "timm":
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target}: exists already; give a new folder")
        known = ("side", "channels", "mean", "std", "interpolation", "crop")
        extra = {key: value for key, value in facts.items() if key not in known}
        save_encoder(
            encoder, target, mean=facts["mean"], std=facts["std"], extra=extra,
            interpolation=facts["interpolation"], crop=facts["crop"],
        )  # fmt: skip
        print(f"encoder: {target} (its README.md says how timm loads it)")
        return target
    from foretell.encoders.export import to_onnx

    if target.is_dir():
        raise InputError(f"{target}: is a folder; give a file, as encoder.onnx")
    common.make_place(target)
    difference = to_onnx(encoder, target, mean=facts["mean"], std=facts["std"])
    print(f"encoder: {target} (largest difference from torch: {difference:.1e} of the largest feature)")
    return target
