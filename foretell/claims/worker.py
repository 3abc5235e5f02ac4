"""A process of ``claims.jobs``: pieces of work come as lines of JSON, and what is said of them goes back as such lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from foretell.claims.jobs import Piece
from foretell.claims.lab import Lab
from foretell.claims.reproduce import worked_out
from foretell.errors import ForetellError, InputError


def main() -> None:
    """Work out what comes until nothing comes any more. A piece that fails is told, and is the last."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what else is printed must not come between the answers

    def answer(**what: str) -> None:
        print(json.dumps(what), file=answers, flush=True)

    for line in sys.stdin:
        piece = Piece(**json.loads(line))
        lab = Lab(
            Path(piece.folder) / "work", device=piece.device, deadline=piece.deadline, say=lambda text: answer(say=text)
        )
        try:
            worked_out(lab, piece.claim, (piece.seed,), share=1 / piece.jobs)
        except KeyboardInterrupt:  # a training has kept what it has
            return None
        except InputError as error:
            return answer(wrong=str(error))
        except ForetellError as error:
            return answer(failed=str(error))
        answer(end="")


if __name__ == "__main__":
    main()
