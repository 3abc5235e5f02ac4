"""Video through PyAV, an extra: ``pip install 'foretell[video]'``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.pixels import Pixels, Unreadable


def _av() -> Any:
    try:
        return import_module("av")
    except ImportError:
        raise Unreadable("is a video, which needs PyAV: pip install 'foretell[video]'") from None


def count(path: Path) -> int:
    """Frames of the first video stream: its packets, counted without decoding. Raises Unreadable."""
    av = _av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable("has no video stream")
            return sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))
    except av.FFmpegError as error:
        raise Unreadable(f"is damaged ({error.strerror or error})") from None


def frames(path: Path) -> Iterator[Pixels]:
    """(H, W, 3) uint8 of each frame in the order they are shown; (H, W, 1) of a grey video. Raises Unreadable."""
    av = _av()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.format.name.startswith("gray"):
                    yield np.ascontiguousarray(frame.to_ndarray(format="gray"))[:, :, None]
                else:
                    yield frame.to_ndarray(format="rgb24")
    except av.FFmpegError as error:
        raise Unreadable(f"is damaged ({error.strerror or error})") from None
