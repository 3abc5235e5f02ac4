"""The one training loop and what belongs to it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foretell.train.config import TrainingConfig
    from foretell.train.loop import FitResult, fit
    from foretell.train.monitor import Monitor
    from foretell.train.progress import Progress

__all__ = ["FitResult", "Monitor", "Progress", "TrainingConfig", "fit"]

_WHERE = {
    "FitResult": "foretell.train.loop",
    "Monitor": "foretell.train.monitor",
    "Progress": "foretell.train.progress",
    "TrainingConfig": "foretell.train.config",
    "fit": "foretell.train.loop",
}


def __getattr__(name: str) -> Any:
    # the settings are read by the command line, which must not wait for torch
    if name not in _WHERE:
        raise AttributeError(f"module 'foretell.train' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
