"""A process of ``claims.jobs``: works out the pieces that come, and tells what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foretell.claims.jobs import Piece
from foretell.claims.lab import Busy, Lab
from foretell.claims.reproduce import worked_out
from foretell.side_by_side import Message, serve


def work(message: Message, answer: Callable[[Message], None]) -> None:
    """Work one piece out, or answer what it is ``busy`` for. KeyboardInterrupt where it was asked to end: a training has kept
    what it has.
    """
    piece = Piece(**message)
    lab = Lab(
        Path(piece.folder) / "work",
        device=piece.device,
        deadline=piece.deadline,
        patient=piece.patient,
        say=lambda text: answer({"say": text}),
    )
    try:
        worked_out(lab, piece.claim, (piece.seed,), share=1 / piece.jobs)
    except Busy as wanted:
        answer({"busy": str(wanted)})


if __name__ == "__main__":
    serve(work)
