"""A head in computed tomography, with masks of bone and of soft tissue; see ``claims.medical.cranium``.

INSIDE: 108 axial slices of 256 x 256 pixels, and the class of each pixel.
"""

from __future__ import annotations

import numpy as np

from benchmarks.datasets.loaded import Segmented
from foretell.claims.medical.cranium import CLASSES, PACKAGE, SLAB, volume
from foretell.data.medical.window import parse, share
from foretell.data.table import Table

NAME, VERSION, SHA256, LICENCE = PACKAGE.name, PACKAGE.version, PACKAGE.sha256, PACKAGE.licence


def load(window: str = "40/400") -> Segmented:
    """Images (108, 256, 256, 1) uint16 through ``window``, and masks; columns path, group (slabs), order, spacing."""
    values, masks = volume()
    chosen = parse(window)
    images = np.rint(share(values, chosen.low, chosen.high) * 65535).astype(np.uint16)[..., None]
    count = len(images)
    table = Table(
        {
            "path": [f"cranium[axial {i}]" for i in range(count)],
            "group": [f"slab {i // SLAB}" for i in range(count)],
            "order": [str(i) for i in range(count)],
            "spacing": ["0.957 x 0.957 x 1.5"] * count,
        }
    )
    return Segmented(table, images=images, masks=masks, classes=CLASSES)
