"""A process of ``transfer.ahead``: takes a comparison over from a file, and works out the pieces of it that come."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from foretell.side_by_side import Message, serve
from foretell.transfer.ahead import Piece, taken_over, worked_out


def main(path: Path) -> None:
    engine, fractions = taken_over(path)

    def work(message: Message, answer: Callable[[Message], None]) -> None:
        answer({"entries": worked_out(engine, fractions, Piece(**message["piece"]), message["entries"])})

    if serve(work):  # nobody else is left to remove what was handed over
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
