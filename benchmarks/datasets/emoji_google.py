"""Google's emoji, in colour.

INSIDE: 3,786 images of 64 x 64 with alpha: 1,911 concepts, of which 323 have 5 or 25 skin tones beside the plain form
(the same concept: a group that must not be split). Nine categories and 98 subcategories; five colour swatches of the
category 'Component' have no label here.
"""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image

from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, member, members
from foretell.data.table import Table

NAME = "emoji-datasource-google"
VERSION = "16.0.0"
SHA256 = "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438"
LICENCE = "Apache-2.0 (images), MIT (names)"
PACKAGE = Package("npm", NAME, VERSION, SHA256, LICENCE)
_IMAGES = "package/img/google/64/"
_TABLE = "package/emoji.json"


def load() -> Loaded:
    """Images (3786, 64, 64, 4) uint8 RGBA; columns path, label, group, subcategory, name.

    Rows are in the order of the package's table, the plain form of a concept before its skin tones.
    """
    found = dict(members(PACKAGE, lambda name: name == _TABLE or name.startswith(_IMAGES)))
    table = _table(found[_TABLE])
    pictures = (found[f"{_IMAGES}{path}"] for path in table.column("path"))
    images = [np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")) for content in pictures]
    return Loaded(table, images=np.stack(images))


def load_table() -> Table:
    """The table of ``load``, without the images."""
    return _table(member(PACKAGE, _TABLE))


def _table(content: bytes) -> Table:
    rows: list[tuple[str, str | None, str, str, str]] = []
    for concept in json.loads(content):
        forms = [concept, *concept.get("skin_variations", {}).values()]
        label = None if concept["category"] == "Component" else concept["category"]
        rows += [
            (form["image"], label, concept["short_name"], concept["subcategory"], concept["name"])
            for form in forms
            if form["has_img_google"]
        ]
    names = ("path", "label", "group", "subcategory", "name")
    return Table({name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})


def on_white(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 4) uint8 with alpha to (N, H, W, 3) uint8 on white, rounded to the nearest."""
    alpha = images[..., 3:].astype(np.uint32)
    drawn = (images[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return drawn.astype(np.uint8)
