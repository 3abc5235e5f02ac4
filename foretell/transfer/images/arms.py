"""The arms of a comparison: what each one is, in words a report can print."""

from __future__ import annotations

from collections.abc import Iterable

from foretell.errors import unknown

ARMS: dict[str, dict[str, str]] = {
    "pretrained": {
        "title": "pretrained, fine-tuned",
        "what": "the pretrained encoder with a linear head; every layer is tuned on the labels",
    },
    "probe": {
        "title": "pretrained, linear probe",
        "what": "logistic regression on the pretrained encoder's frozen features",
    },
    "scratch": {
        "title": "from scratch",
        "what": "the same architecture from random weights, with the same views, search, batch and most steps",
    },
    "random": {
        "title": "random frozen features",
        "what": "logistic regression on the frozen features of the same architecture with random weights",
    },
    "supervised": {
        "title": "supervised start, fine-tuned",
        "what": "an encoder that was trained with labels elsewhere, fine-tuned as the pretrained one",
    },
}

DEFAULT_ARMS = ("pretrained", "probe", "scratch", "random")
TUNED = ("pretrained", "scratch", "supervised")


def check_arms(arms: tuple[str, ...], known: Iterable[str] = tuple(ARMS)) -> tuple[str, ...]:
    """``arms`` without repetition. Raises InputError for one that is not among the ``known``."""
    for arm in arms:
        if arm not in known:
            raise unknown("arm", arm, known)
    return tuple(dict.fromkeys(arms))
