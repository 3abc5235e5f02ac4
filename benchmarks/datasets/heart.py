"""A beating heart: one ultrasound film.

INSIDE: pydicom's further test files, 64 of them; one is `color3d_jpeg_baseline.dcm`, 120 frames of 480 x 640 in colour
(YBR, JPEG), an apical view of a heart over some four beats. Only the fan is taken: what is written around it is left out.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, unpack
from foretell.data.medical.dicom import frames
from foretell.data.table import Table

NAME = "pydicom-data"
VERSION = "1.0.0"
SHA256 = "622ac97265f1d91f76b5120b5bd6eb0f57737c392ef863b72c71779c91e33637"
LICENCE = "MIT"
PACKAGE = Package("pypi", NAME, VERSION, SHA256, LICENCE)
FILE = "color3d_jpeg_baseline.dcm"
TOP, LEFT, SIDE = 45, 140, 370  # the fan
SMALL = 64


def _rename(name: str) -> str | None:
    return FILE if name.endswith("/" + FILE) else None


def load(side: int = SMALL) -> Loaded:
    """Images (120, side, side, 1) uint8; columns path, group (the film), order. Needs pydicom (extra ``medical``)."""
    film = np.stack(list(frames(unpack(PACKAGE, _rename) / FILE)))
    fan = torch.from_numpy(film[:, TOP : TOP + SIDE, LEFT : LEFT + SIDE]).float().mean(-1)[:, None]
    small = F.interpolate(fan, (side, side), mode="bilinear", antialias=True, align_corners=False)
    images = small.round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    count = len(images)
    table = Table(
        {
            "path": [f"heart[{i}]" for i in range(count)],
            "group": ["heart"] * count,
            "order": [str(i) for i in range(count)],
        }
    )
    return Loaded(table, images=images)
