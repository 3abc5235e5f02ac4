"""Seeds of claims worked out side by side, in processes that share a lab."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from foretell.side_by_side import Process, share_out, spoken, threads_for


@dataclass(frozen=True)
class Piece:
    """One seed of one claim, to be worked out in ``folder``; ``deadline``: ``time.monotonic``, one clock for all processes."""

    claim: str
    seed: int
    folder: str
    device: str
    deadline: float | None
    jobs: int

    @property
    def title(self) -> str:
        return f"{self.claim}, seed {self.seed}"


class _Pieces:
    """Pieces in their order; what is said of them goes to ``say``."""

    def __init__(self, pieces: Sequence[Piece], say: Callable[[str], None]) -> None:
        self.waiting, self.say = deque(pieces), say
        self.done, self.total = 0, len(pieces)

    def take(self) -> Piece | None:
        return self.waiting.popleft() if self.waiting else None

    def ask(self, process: Process, piece: Piece) -> Iterator[str]:
        return (answer["say"] for answer in process.ask(asdict(piece), piece.title))

    def told(self, piece: Piece, answer: str) -> None:
        self.say(f"{piece.title}: {answer}")

    def ended(self, piece: Piece) -> None:
        self.done += 1
        self.say(f"{piece.title}: ended ({self.done} of {self.total})")


def work_ahead(pieces: Sequence[Piece], jobs: int, say: Callable[[str], None]) -> None:
    """Work ``pieces`` out in their order, ``jobs`` at a time; returns when all are done or their time is over.

    Ctrl-C and SIGTERM end it with KeyboardInterrupt, once the trainings in progress have kept what they have. Raises what
    stops a piece, InputError or ForetellError, after ending the others in the same way.
    """
    count = min(jobs, len(pieces))
    say(f"{len(pieces)} pieces of work (a claim, a seed), {spoken(count)}")
    share_out(
        _Pieces(pieces, say), [Process("foretell.claims.worker", threads=threads_for(count)) for _ in range(count)]
    )
