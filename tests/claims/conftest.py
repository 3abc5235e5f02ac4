"""Volumes that are small enough to learn from in seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_volumes import PATIENTS

from foretell.claims.medical import volume_slices, volume_tiles, volumes


@pytest.fixture
def patients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Volumes of a few slabs in the place of the four patients, in small tiles."""
    monkeypatch.setattr(volumes, "PATIENTS", PATIENTS)
    monkeypatch.setattr(volume_tiles, "TILE", 16)
    monkeypatch.setattr(volume_tiles, "CASES", 2)
    volume_slices.slices.cache_clear()
    yield
    volume_slices.slices.cache_clear()
