"""``foretell export``: the encoder for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from foretell.options import Arg, Where

OF_HEAD = ("classes", "findings", "pooling")  # what a classifier's config says of its head
SUFFIX = ".onnx"


def export(
    run: Annotated[Where, Arg("the run folder, or an exported encoder")],
    out: Annotated[Where, Arg("a new folder (timm), or a new file that ends in .onnx")],
    *,
    format: Annotated[Literal["timm", "onnx"], Arg("timm: safetensors and config; onnx: one file")] = "timm",
) -> Path:
    """Export a run's encoder of images for timm or as ONNX.

    timm: a folder with safetensors and a config; onnx: one file that takes pixels in [0, 1]. The ONNX file
    normalises pixels itself and is compared with torch before it is written; a file of the same name that ends in .md says
    how an image becomes these pixels. Of a classifier the encoder alone is exported. A run on text needs no export: its
    folder encoder/ is as transformers (of word2vec: gensim) loads it.

    Returns the path written. Raises InputError when there is no encoder, or ``out`` exists already, ForetellError when it
    cannot be written.
    """
    from dataclasses import fields

    from foretell.encoders import load_encoder, save_encoder
    from foretell.encoders.entrance import Entrance, resizing_told, values_told
    from foretell.encoders.weights import locate
    from foretell.errors import InputError
    from foretell.transfer.images.saved import HEAD
    from foretell.verbs.text_transfer import reads_text

    if reads_text(Path(run)):
        folder = Path(run) / "encoder" if (Path(run) / "encoder").is_dir() else Path(run)
        raise InputError(f"{run}: is of text, which other programs load from {folder} as it is; copy that")
    target = Path(out)
    _check_free(target, format)
    encoder, facts = load_encoder(run)
    entry = Entrance(**{field.name: facts[field.name] for field in fields(Entrance)})
    known = [field.name for field in fields(Entrance)]
    head = locate(run) / HEAD
    if head.is_file():
        print(f"the encoder alone is exported: the classifier's head stays in {head}")
        known += OF_HEAD
    if format == "timm":
        extra = {name: value for name, value in facts.items() if name not in known}
        save_encoder(
            encoder, target, mean=entry.mean, std=entry.std, extra=extra,
            interpolation=entry.interpolation, crop=entry.crop,
        )  # fmt: skip
        print(f"encoder: {target} (its README.md says how timm loads it)")
    else:
        from foretell.encoders.export import onnx_metadata, onnx_readme, to_onnx

        difference = to_onnx(
            encoder, target, mean=entry.mean, std=entry.std, metadata=onnx_metadata(entry, facts),
            readme=onnx_readme(encoder, entry, facts, target.name),
        )  # fmt: skip
        print(f"encoder: {target} (largest difference from torch: {difference:.1e} of the largest feature)")
        print(f"how an image enters it: {target.with_suffix('.md')}")
    for line in (*values_told(facts), resizing_told(entry)):
        print(f"  {line}")
    return target


def _check_free(target: Path, format: str) -> None:
    """Raises InputError where ``target`` exists already, or cannot be written as it is asked for."""
    from foretell.errors import InputError
    from foretell.verbs import common

    if format == "timm":
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target}: exists already; give a new folder")
        return
    if target.is_dir():
        raise InputError(f"{target}: is a folder; give a file, as encoder.onnx")
    if target.suffix.lower() != SUFFIX:
        raise InputError(f"{target}: unknown suffix '{target.suffix}'; expected {SUFFIX}")
    for file in (target, target.with_suffix(".md")):
        if file.exists():
            raise InputError(f"{file}: exists already; give a new file")
    common.make_place(target)
