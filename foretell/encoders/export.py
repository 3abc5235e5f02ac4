"""An encoder as ONNX, checked against onnxruntime."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foretell.encoders.base import Encoder
from foretell.encoders.entrance import Entrance, reading, resizing_told, values_told
from foretell.errors import ForetellError, InputError, reason
from foretell.run import write_together

OPSET = 18


class _Pooled(nn.Module):
    """``pooled`` as a module's ``forward``, with normalisation inside where mean and deviation are given."""

    def __init__(self, encoder: Encoder, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean: Tensor
        self.std: Tensor
        shape = (1, -1, 1, 1)
        self.register_buffer("mean", torch.tensor(mean or (0.0,)).view(shape))
        self.register_buffer("std", torch.tensor(std or (1.0,)).view(shape))

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder.pooled((images - self.mean) / self.std)


def to_onnx(
    encoder: Encoder,
    path: str | Path,
    *,
    opset: int = OPSET,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    tolerance: float = 1e-4,
    metadata: Mapping[str, str] | None = None,
    readme: str = "",
) -> float:
    """Write ``pooled`` as ONNX: ``images`` float32 (batch, channels, side, side) to ``features`` (batch, dim).

    With ``mean`` and ``std`` (one a channel, in [0, 1]) the graph normalises pixels in [0, 1] itself; without, it takes
    normalised images as the encoder does. The batch size is free. ``metadata`` joins the file's own (``metadata_props``), and
    ``readme`` is written beside it, called as it is with the ending ``.md``. Returns the largest difference between onnxruntime
    and torch on two batches, relative to the largest feature. Raises InputError when the extra is not installed and
    ForetellError when the graph cannot be made or differs by more than ``tolerance``; then nothing is written.
    """
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
        importlib.import_module("onnxscript")
    except ImportError as error:
        raise InputError(
            f"ONNX export needs the package {error.name}; install it with: pip install 'foretell[export]'"
        ) from error
    path = Path(path)
    model = _Pooled(copy.deepcopy(encoder), mean, std).cpu().float().eval()
    example = torch.rand(2, encoder.channels, encoder.side, encoder.side, generator=torch.Generator().manual_seed(0))
    try:
        program = torch.onnx.export(
            model,
            (example,),
            input_names=["images"],
            output_names=["features"],
            opset_version=opset,
            dynamo=True,
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    except Exception as error:  # the exporter raises many kinds; all mean that this network has no ONNX form
        raise ForetellError(f"encoder '{encoder.name}' cannot be written as ONNX ({reason(error)})") from error
    assert program is not None
    proto = program.model_proto
    for key, value in (metadata or {}).items():
        proto.metadata_props.add(key=key, value=value)
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (2, 3):
        images = torch.rand(
            batch, encoder.channels, encoder.side, encoder.side, generator=torch.Generator().manual_seed(batch)
        )
        with torch.no_grad():
            expected = model(images).numpy()
        found = session.run(None, {"images": images.numpy()})[0]
        worst = max(worst, float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12)))
    if not worst <= tolerance:
        raise ForetellError(
            f"{path}: the ONNX graph of '{encoder.name}' differs from torch by {worst:.1e} (at most {tolerance:.0e}); "
            "not written"
        )
    beside = {path.with_suffix(".md").name: readme} if readme else {}
    write_together(path.parent, {**beside, path.name: content})
    return worst


def onnx_metadata(entry: Entrance, facts: Mapping[str, Any]) -> dict[str, str]:
    """How images enter an ONNX file, as its metadata: JSON values by the names that config.json has for them.

    ``facts``: ``scale`` of 16-bit values and ``window`` as the encoder's run had them, each where it is known.
    """
    own = {name: facts[name] for name in ("scale", "window") if facts.get(name) is not None}
    values = {
        "side": entry.side, "channels": entry.channels, "crop": entry.crop, "interpolation": entry.interpolation,
        "mean": list(entry.mean), "std": list(entry.std), **own,
    }  # fmt: skip
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def onnx_readme(encoder: Encoder, entry: Entrance, facts: Mapping[str, Any], file: str) -> str:
    """What lies beside an ONNX ``file``: how an image enters it, and how onnxruntime runs it."""
    values = "\n".join(f"   - {line}" for line in values_told(facts))
    return f"""# {file}

An image encoder trained with Foretell ({encoder.name}): `images`, float32 (batch, {entry.channels}, {entry.side}, {entry.side}) in
[0, 1], to `features` (batch, {encoder.dim}). How an image enters:

1. Its values become pixels in [0, 1]:
{values}
2. {resizing_told(entry)}

The graph itself subtracts the mean {list(entry.mean)} and divides by the deviation {list(entry.std)}. The file's
metadata say the same.

```python
{reading(entry, facts.get("scale"))}
import onnxruntime

session = onnxruntime.InferenceSession({json.dumps(file, ensure_ascii=False)})
(features,) = session.run(None, {{"images": pixels.numpy()}})
```
"""
