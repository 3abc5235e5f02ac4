"""Video through PyAV, an extra: ``pip install 'foretell[video]'``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.pixels import Pixels, Unreadable, over_white, turn
from foretell.data.video_order import PARTLY, InOrder

# by default these decoders go on after an error, without a word: the others mark what they could not decode
LENIENT = frozenset(("hevc", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2"))
STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}
CONSTANT = 0.8  # the share of steps in time that are alike, from which on a longer one is a leap
LEAP = 1.5  # a step of more than this many usual ones


def _av() -> Any:
    try:
        return import_module("av")
    except ImportError:
        raise Unreadable("is a video, which needs PyAV: pip install 'foretell[video]'") from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """(container, its first video stream). Raises Unreadable."""
    av = _av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable("has no video stream")
            if container.streams.video[0].codec_context is None:
                raise Unreadable("is of a codec that PyAV cannot decode; save it as another")
            yield container, container.streams.video[0]
    except av.FFmpegError as error:
        raise Unreadable(_damage(error)) from None


def _damage(error: Any) -> str:
    return f"is damaged ({error.strerror or error})"


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of ``stream``, then the error beyond which the file cannot be followed, if there is one."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except IndexError:  # of PyAV at the end, where damage looked like one more stream
        return
    except _av().FFmpegError as error:
        yield error


def _shown(packet: Any, stream: Any) -> bool:
    """Whether a frame of its own is shown: an edit list discards some, and VP8 has some that are only built on."""
    return not packet.is_discard and not (stream.codec_context.name == "vp8" and not bytes(packet)[0] & 16)


def places(path: Path) -> list[int]:
    """The place of each frame of the first video stream, by its packets, without decoding: 0, 1, 2 ...

    Where the rate is constant but for a few leaps in time, a leap is one of as many places: what lay between is
    missing. Raises Unreadable.
    """
    times: list[int | None] = []
    with _opened(path) as (container, stream):
        for packet in _packets(container, stream):
            if isinstance(packet, Exception):
                if not times:
                    raise packet
                return [*_places(times), _places(times)[-1] + 1]  # to be reported when it is read
            if _shown(packet, stream):
                times.append(packet.pts)
    return _places(times)


def _places(times: list[int | None]) -> list[int]:
    known = np.sort(np.array([time for time in times if time is not None], np.int64))
    steps = np.diff(known)
    usual = float(np.median(steps)) if len(steps) else 0.0
    alike = np.abs(steps - usual) <= 1 + usual / 100  # a container may count in milliseconds
    if len(known) < len(times) or usual <= 0 or alike.mean() < CONSTANT:
        return list(range(len(times)))
    whole = np.where(steps > LEAP * usual, np.rint(steps / usual), 1)
    return [0, *np.cumsum(whole).astype(int).tolist()]


def frames(path: Path) -> Iterator[Pixels | Unreadable]:
    """Each frame in the order they are shown, Unreadable in place of one that is damaged or builds on such a one.

    (H, W, 3) uint8; (H, W, 1) of a grey video; uint16 of one of 16 bits, and of a grey one of more than 8. Upright,
    alpha composited over white. Raises Unreadable where nothing more can be told.
    """
    av = _av()
    with _opened(path) as (container, stream):
        context = stream.codec_context
        context.thread_count = 1  # beside others a frame comes late, and an error later than what it spoils
        if context.codec.intra_only or context.name in LENIENT:
            context.options = STRICT
        # FFV1 goes on in the statistics of the frame before
        alone = context.codec.intra_only and context.name != "ffv1"
        order = InOrder(one_each=alone)
        lost = ""
        for packet in _packets(container, stream):
            if isinstance(packet, Exception):
                lost = _damage(packet)
                break
            order.feed(packet.pts, packet.is_keyframe or alone, _shown(packet, stream))
            try:
                with _listening(context) as complaints:
                    for frame in stream.decode(packet):
                        order.come(frame)
                if complaints:
                    order.fail(PARTLY)
            except av.FFmpegError as error:
                order.fail(_damage(error))
            yield from map(_pixels, order.ready())
        try:
            for frame in stream.decode(None):
                order.come(frame)
            order.end()
        except av.FFmpegError as error:
            order.end(_damage(error))
        yield from map(_pixels, order.ready())
        if lost:
            raise Unreadable(lost)


@contextlib.contextmanager
def _listening(context: Any) -> Iterator[list[Any]]:
    """What FFmpeg's log says of FFV1, and nothing else: a frame of a wrong checksum comes patched and unmarked."""
    if context.name != "ffv1":
        yield []
        return
    log = _av().logging
    level = log.get_level()
    log.set_level(log.ERROR)
    try:
        with log.Capture() as messages:
            yield messages
    finally:
        log.set_level(level)


def _pixels(frame: Any) -> Pixels | Unreadable:
    if isinstance(frame, Unreadable):
        return frame
    kind, parts = frame.format, frame.format.components
    grey = kind.name.startswith(("gray", "ya"))
    deepest = max(part.bits for part in parts)
    # grey of 10 or 12 bits is measured, and kept; colour of as many is a camera's, whose last bits are noise, and half
    # of the store
    deep = deepest >= 16 or (grey and deepest > 8)
    if kind.has_palette or any(part.is_alpha for part in parts):
        pixels = frame.to_ndarray(format="rgba64le" if deep else "rgba")
        opaque = np.iinfo(pixels.dtype).max
        pixels = pixels[:, :, :3] if (pixels[:, :, 3] == opaque).all() else over_white(pixels)
        pixels = pixels[:, :, :1] if grey else pixels
    elif grey:
        pixels = frame.to_ndarray(format="gray16le" if deep else "gray")[:, :, None]
    else:
        pixels = frame.to_ndarray(format="rgb48le" if deep else "rgb24")
    return np.ascontiguousarray(turn(pixels, _orientation(frame)))


def _orientation(frame: Any) -> int:
    """The EXIF orientation that says the same as a video's display matrix; 1 without one."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1
    matrix = np.frombuffer(bytes(data), np.int32)
    (a, b), (c, d) = matrix[0:2].tolist(), matrix[3:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return {(False, False): 1, (True, False): 2, (True, True): 3, (False, True): 4}[a < 0, d < 0]
    return {(False, False): 5, (True, False): 6, (True, True): 7, (False, True): 8}[c < 0, b < 0]
