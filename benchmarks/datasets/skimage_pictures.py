"""Natural and scientific pictures, one of each kind.

INSIDE: 29 files: astronaut, camera, cat (chelsea), coffee, coins, retina, tissue (ihc), moon, textures (brick, grass,
gravel), a pair of stereo pictures, pages of text, and small files for readers (a TIFF of several pages, an animated GIF).
"""

from __future__ import annotations

from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, unpack
from foretell.data.table import Table

NAME = "scikit-image"
VERSION = "0.26.0"
SHA256 = "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"
LICENCE = "BSD-3-Clause"
# the data is the same on every machine: one wheel is pinned, whatever the machine that reads it
PACKAGE = Package("pypi", NAME, VERSION, SHA256, LICENCE, ("manylinux_2_28_x86_64", "manylinux_2_24_x86_64"))
_IMAGES = "skimage/data/"


def _rename(name: str) -> str | None:
    return (
        name.removeprefix(_IMAGES)
        if name.startswith(_IMAGES) and name.endswith((".png", ".jpg", ".tif", ".gif"))
        else None
    )


def load() -> Loaded:
    """A folder of pictures; column path."""
    folder = unpack(PACKAGE, _rename)
    return Loaded(Table({"path": sorted(path.name for path in folder.iterdir())}), folder=folder)
