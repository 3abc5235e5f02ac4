"""The registry of pretext tasks: one file each, one line each here."""

from __future__ import annotations

from pkgutil import resolve_name

from foretell.errors import unknown
from foretell.objectives.base import Objective

_WHERE = {
    "simclr": "foretell.objectives.simclr:SimCLR",
    "micle": "foretell.objectives.micle:MICLe",
    "autoencoder": "foretell.objectives.autoencoder:Autoencoder",
    "masked_autoencoder": "foretell.objectives.masked_autoencoder:MaskedAutoencoder",
    "patch_localization": "foretell.objectives.patch_localization:PatchLocalization",
    "context_encoder": "foretell.objectives.context_encoder:ContextEncoder",
    "next_frame": "foretell.objectives.next_frame:NextFrame",
    "word2vec": "foretell.objectives.word2vec:Word2Vec",
    "bert": "foretell.objectives.bert:Bert",
    "gpt": "foretell.objectives.gpt:Gpt",
}


def names() -> list[str]:
    """The registered pretext tasks."""
    return list(_WHERE)


def get(name: str) -> type[Objective]:
    """The class of a pretext task. Raises InputError with the nearest name when there is none."""
    if name not in _WHERE:
        raise unknown("objective", name, _WHERE)
    found: type[Objective] = resolve_name(_WHERE[name])
    return found
