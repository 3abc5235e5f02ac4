"""Seeds of claims worked out side by side, in processes that share a lab."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from foretell.side_by_side import Message, Process, share_out, spoken, threads_for


@dataclass(frozen=True)
class Piece:
    """One seed of one claim, to be worked out in ``folder``; ``deadline``: ``time.monotonic``, one clock for all processes.

    One that is not ``patient`` is put off where another process works at what it needs.
    """

    claim: str
    seed: int
    folder: str
    device: str
    deadline: float | None
    jobs: int
    patient: bool = True

    @property
    def title(self) -> str:
        return f"{self.claim}, seed {self.seed}"


class _Pieces:
    """Pieces in their order; what is said of them goes to ``say``.

    A piece that needs what another process works at is put off while there are others, and tried again whenever one has
    ended: claims share runs, and a core that waited for one would have nothing to do.
    """

    def __init__(self, pieces: Sequence[Piece], say: Callable[[str], None]) -> None:
        self.waiting, self.say = deque(pieces), say
        self.put_off: deque[Piece] = deque()
        self.busy: set[Piece] = set()
        self.done, self.total = 0, len(pieces)

    def take(self) -> Piece | None:
        if self.waiting:
            piece = self.waiting.popleft()
            return replace(piece, patient=not (self.waiting or self.put_off))
        return replace(self.put_off.popleft(), patient=True) if self.put_off else None

    def ask(self, process: Process, piece: Piece) -> Iterator[Message]:
        return process.ask(asdict(piece), piece.title)

    def told(self, piece: Piece, answer: Message) -> None:
        if "busy" in answer:
            self.busy.add(piece)
        else:
            self.say(f"{piece.title}: {answer['say']}")

    def ended(self, piece: Piece) -> None:
        if piece in self.busy:
            self.busy.remove(piece)
            self.put_off.append(piece)
            return
        self.done += 1
        self.say(f"{piece.title}: ended ({self.done} of {self.total})")
        self.waiting.extendleft(reversed(self.put_off))
        self.put_off.clear()


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
