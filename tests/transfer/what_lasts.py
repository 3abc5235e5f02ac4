"""What of a result is the same on every machine."""

from __future__ import annotations

from typing import Any

OF_THE_MACHINE = ("seconds", "peak_memory_bytes", "training_seconds")


def lasting(value: Any) -> Any:
    """``value`` without what a machine took for it."""
    if isinstance(value, dict):
        kept = {name: lasting(item) for name, item in value.items() if name not in OF_THE_MACHINE}
        return kept | ({"curve": [[step, score] for step, _, score in value["curve"]]} if "curve" in value else {})
    return [lasting(item) for item in value] if isinstance(value, list) else value
