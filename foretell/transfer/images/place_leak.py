"""What the shortcut probe finds: whether the place of a patch shows, through which cue, and which switch closes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from foretell.measures.intervals import Interval, paired, t_interval

LEAST = 0.01  # gain below which a leak is too small to learn from
SHARE = 0.3  # of the gain that closing a cue must take away for the cue to be named


@dataclass(frozen=True)
class Switch:
    """A countermeasure: the ``cue`` it closes, its ``settings`` in ``PatchConfig`` and how a person turns it on.

    ``names``: whether a difference it makes says that this cue is there. Dropping colours takes away two thirds of all
    that a patch shows, and so weakens every other cue too. ``unless``: a switch that, where it closes the leak too, names
    the cue instead: a border is darkest or least sharp, and away from it every such cue is weaker.
    """

    cue: str
    words: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inset: bool = False
    colour: bool = False
    names: bool = True
    unless: str = ""


SWITCHES = {
    "projection": Switch("lens aberration", "colour projection", {"colour": "projection"}, colour=True),
    "dropping": Switch("lens aberration", "colour dropping", {"colour": "drop"}, colour=True, names=False),
    "contrast": Switch("brightness or vignetting", "contrast normalisation", {"contrast": True}),
    "resample": Switch("sharpness or resampling", "down- and up-sampling of every patch", {"resample": 1.0}),
    "border": Switch(
        "a frame or padding at the border", "keeping half a patch off the border", inset=True, unless="contrast"
    ),
    "all": Switch("", "all of these", {"colour": "drop", "contrast": True, "resample": 1.0}, inset=True, names=False),
}


@dataclass
class Score:
    """Root mean squared distances, in shares of an image's side, one a seed, on images not trained on.

    ``best`` and ``best_constant``: on the tenth of the images whose places are foretold best. That tenth is chosen on one
    half of each image's patches and measured on the other: chosen and measured on the same ones, pure chance would look
    like foresight.
    """

    rmse: list[float] = field(default_factory=list)
    constant: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    best_constant: list[float] = field(default_factory=list)

    @property
    def gains(self) -> list[float]:
        """1 - rmse / constant of each seed: 0 tells nothing of the place, 1 all."""
        return [1 - own / other for own, other in zip(self.rmse, self.constant, strict=True)]

    @property
    def gain(self) -> Interval:
        return t_interval(self.gains)

    @property
    def leaks(self) -> bool:
        """Whether the 95% interval of the gain over seeds lies above 0, and the gain is no trifle (1% or more)."""
        return self.gain.low > 0 and self.gain.mean >= LEAST

    def record(self) -> dict[str, Any]:
        return {
            "rmse": t_interval(self.rmse).record(),
            "constant": t_interval(self.constant).record(),
            "best": t_interval(self.best).record(),
            "best_constant": t_interval(self.best_constant).record(),
            "gain": self.gain.record(),
            "leaks": self.leaks,
        }


def _gain_over(gain: float, share: float) -> float:
    """The gain of a cue over a ``share`` of the range of places, where over all of it ``gain`` is its gain.

    For a cue that follows the place in a line, with noise that is the same everywhere: the variance of the places, and with it
    the ratio of signal and noise, is smaller by the square of ``share``.
    """
    ratio = (1 - gain) ** -2 - 1
    return 1 - 1 / math.sqrt(1 + share**2 * ratio)


@dataclass
class Shortcuts:
    """The probe's findings: ``open`` with nothing closed, and ``closed`` with each switch, where the place leaks."""

    what: str
    images: int
    patch: int
    open: Score
    closed: dict[str, Score] = field(default_factory=dict)

    @property
    def leaks(self) -> bool:
        return self.open.leaks

    def effect(self, name: str) -> Interval:
        """How much of the gain a switch takes away, paired over seeds, beside what its range of places alone does.

        Off the border places lie closer together, so that a cue that is everywhere tells less of them.
        """
        closed = self.closed[name]
        shares = [own / whole for own, whole in zip(closed.constant, self.open.constant, strict=True)]
        expected = [_gain_over(gain, share) for gain, share in zip(self.open.gains, shares, strict=True)]
        return paired(expected, closed.gains)

    def judged(self, name: str) -> str:
        """ "closes it", "narrows it" or "no difference": what a switch does to the leak."""
        if not self.effect(name).low > 0:
            return "no difference"
        return "narrows it" if self.closed[name].leaks else "closes it"

    def _closes(self, name: str) -> bool:
        return name in self.closed and self.judged(name) == "closes it"

    @property
    def cues(self) -> list[str]:
        """The cues whose switch takes away a good part of the gain, the largest first."""
        felt = [
            name
            for name in self.closed
            if SWITCHES[name].cue
            and SWITCHES[name].names
            and self.judged(name) != "no difference"
            and self.effect(name).mean >= SHARE * self.open.gain.mean
            and not self._closes(SWITCHES[name].unless)
        ]
        felt.sort(key=lambda name: -self.effect(name).mean)
        return list(dict.fromkeys(SWITCHES[name].cue for name in felt))

    @property
    def verdict(self) -> str:
        """One or two sentences for a person."""
        gain = self.open.gain
        if not self.leaks and gain.low > 0:
            return (
                f"The place of {self.what} hardly shows: a network foretells it {gain.mean:.1%} better than a constant "
                f"({gain.low:.1%} to {gain.high:.1%}), under the {LEAST:.0%} that counts as a leak."
            )
        if not self.leaks:
            return (
                f"The place of {self.what} does not show: a network foretells it no better than a constant "
                f"(gain {gain.mean:.1%}, {gain.low:.1%} to {gain.high:.1%})."
            )
        text = (
            f"The place of {self.what} shows: a network foretells it {gain.mean:.1%} better than a constant "
            f"({gain.low:.1%} to {gain.high:.1%})."
        )
        if not self.closed:
            return text
        cues = self.cues
        if not cues:
            return f"{text} No single switch takes away much of it: it is the layout of the pictures, several cues at once, or one without a switch."
        closing = [n for n in self.closed if self._closes(n) and SWITCHES[n].cue in cues]
        by = " or ".join(SWITCHES[n].words for n in closing)
        text += f" It shows through {', '.join(cues)}" + (
            f"; {by} closes it." if by else ", which no single switch closes."
        )
        if "all" in self.closed and self.closed["all"].leaks:
            text += (
                f" With everything closed {self.closed['all'].gain.mean:.1%} remain: the layout of the pictures, or a cue "
                "without a switch."
            )
        return text

    def record(self) -> dict[str, Any]:
        closed = {
            name: {
                "switch": SWITCHES[name].words,
                "cue": SWITCHES[name].cue,
                "effect": self.effect(name).record(),
                "judged": self.judged(name),
                **score.record(),
            }
            for name, score in self.closed.items()
        }
        return {
            "what": self.what,
            "images": self.images,
            "patch": self.patch,
            "leaks": self.leaks,
            "verdict": self.verdict,
            "cues": self.cues,
            "open": self.open.record(),
            "closed": closed,
        }
