"""Which frames of a video are sound, from the packets that went into a decoder and the frames that came out of it.

A frame is told by its time of presentation, which its packet has too. It builds on frames that were decoded before it,
back to a key frame, so that damage reaches from a frame to the next key frame, and to those shown before that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from foretell.data.pixels import Unreadable

FARTHEST = 64  # packets after which a frame that has not come never will: no format reorders as many

BUILT_ON = "is damaged (it builds on a damaged frame)"
PARTLY = "is damaged (a part of it cannot be decoded)"
NOTHING = "is damaged (nothing of it can be decoded)"
TOO_EARLY = "cannot be decoded (it builds on frames before the beginning of the file)"


@dataclass(eq=False)
class _Fed:
    """A packet: ``key`` is the number of the last key frame up to it, ``leads`` whether it is shown before that one."""

    number: int
    pts: int
    key: int
    leads: bool
    shown: bool
    frame: Any = None
    damage: str = ""
    settled: bool = False  # its frame has come, or never will


class InOrder:
    """Frames in the order they are shown, each given once all that were decoded before it are known to be sound or not.

    ``one_each``: every packet holds a picture of its own that builds on no other.
    """

    def __init__(self, one_each: bool = False) -> None:
        self.one_each = one_each
        self.timed = True  # False: times do not tell a frame's packet, and frames are taken as they come
        self._fed: list[_Fed] = []  # in the order of decoding; what was given, and all before it, leaves
        self._number = self._key = 0
        self._key_pts: int | None = None
        self._first: int | None = None  # the time of the first key frame
        self._last: int | None = None  # of the last frame that came
        self._ended = False
        self._broken: dict[int, int] = {}  # key -> the first packet up to the next key that is damaged
        self._loose: list[Any] = []

    def feed(self, pts: int | None, key: bool, shown: bool = True) -> None:
        """A packet is about to be decoded; one not ``shown`` is only built on. Raises Unreadable as ``fail``."""
        if pts is None and self.timed:
            self._as_they_come()
        if not self.timed or pts is None:
            return
        for fed in self._fed:
            if not fed.settled and fed.number < self._number - FARTHEST:
                self._absent(fed)
        if key:
            self._key, self._key_pts = self._key + 1, pts
            self._first = pts if self._first is None else self._first
        leads = self._key_pts is not None and pts < self._key_pts
        self._fed.append(_Fed(self._number, pts, self._key, leads, shown))
        self._number += 1

    def fail(self, damage: str) -> None:
        """The decoder has refused the packet that was fed last. Raises Unreadable where what follows cannot be told."""
        if not self.timed:
            raise Unreadable(damage)
        self._settle(self._fed[-1], damage)

    def come(self, frame: Any) -> None:
        """The decoder has given ``frame``. Raises Unreadable where it is damaged and what follows cannot be told."""
        damage = PARTLY if frame.is_corrupt else ""
        fed = next((fed for fed in self._fed if fed.pts == frame.pts), None) if self.timed else None
        if fed is not None and fed.damage:
            return
        if self.timed and (fed is None or fed.settled or (self._last is not None and fed.pts <= self._last)):
            if self._broken:
                return  # a decoder that has lost its place
            self._as_they_come()
        if fed is None or not self.timed:
            if damage:
                raise Unreadable(damage)
            self._loose.append(frame)
            return
        self._last = fed.pts
        fed.frame = frame
        self._settle(fed, damage)
        for other in self._fed:
            if not other.settled and other.pts < fed.pts:
                self._absent(other)

    def end(self, damage: str = "") -> None:
        """Nothing more will come, by ``damage`` where there is any. Raises Unreadable as ``fail``."""
        if damage and not self.timed:
            raise Unreadable(damage)
        self._ended = True
        for fed in self._fed:
            if fed.settled:
                continue
            if damage:
                self._settle(fed, damage)
            else:
                self._absent(fed)

    def ready(self) -> Iterator[Any]:
        """The frames that can be given, Unreadable for a damaged one."""
        yield from self._given()
        loose, self._loose = self._loose, []
        yield from loose

    def _given(self) -> Iterator[Any]:
        while self._fed:
            first = min(self._fed, key=lambda fed: fed.pts)
            if not (self._passed(first) and all(fed.settled for fed in self._fed if fed.number <= first.number)):
                return
            self._fed.remove(first)
            damage = first.damage or (BUILT_ON if self._builds_on_damage(first) else "")
            if first.shown and (damage or first.frame is not None):
                yield Unreadable(damage) if damage else first.frame

    def _passed(self, fed: _Fed) -> bool:
        """Whether no packet to come can be shown before it."""
        late = self._number - fed.number > FARTHEST
        return self._ended or late or (self._last is not None and fed.pts <= self._last)

    def _settle(self, fed: _Fed, damage: str) -> None:
        fed.settled, fed.damage = True, damage
        if damage:
            self._broken.setdefault(fed.key, fed.number)

    def _absent(self, fed: _Fed) -> None:
        """Its frame will never come. A sound packet may have none, as the second field of a picture."""
        if self._first is not None and fed.pts < self._first:
            fed.settled, fed.damage = True, TOO_EARLY
        else:
            self._settle(fed, NOTHING if self.one_each or self._broken else "")

    def _builds_on_damage(self, fed: _Fed) -> bool:
        return self._broken.get(fed.key, fed.number) < fed.number or (fed.leads and fed.key - 1 in self._broken)

    def _as_they_come(self) -> None:
        """From here on without times: frames that have come are given in that order."""
        if self._broken:
            raise Unreadable(NOTHING)
        self.timed = False
        self._loose = [fed.frame for fed in sorted(self._fed, key=lambda fed: fed.pts) if fed.frame is not None]
        self._fed = []
