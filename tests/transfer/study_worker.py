"""A search whose trials take a moment and train nothing, for processes that share, leave and are killed."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

from foretell.transfer.search import searched
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.trials import Judged, Keep, Report, Space, Trial

SPACE = Space((1e-4, 1e-1), 40, 1e-4)


def judged(trial: Trial) -> float:
    """Best at a rate of 0.01 and many steps."""
    return 1 - abs(math.log10(trial.rate) + 2) / 4 - 0.1 * (1 - trial.steps / 40)


def lines(log: Path, what: str) -> list[str]:
    """Process, rate and steps of each trial begun or done."""
    if not log.is_file():
        return []
    return [line.split(" ", 1)[1] for line in log.read_text().splitlines() if line.startswith(what)]


def search(
    storage: Path | str | None,
    log: Path,
    seconds: float = 0.0,
    trials: int = 6,
    seed: int = 0,
    name: str = "toy",
    together: int = 1,
    **settings: Any,
) -> tuple[Trial, dict[str, Any]]:
    """Every trial that is begun and that is done leaves a line in ``log``: begun or done, process, rate, steps.

    No trial goes on before ``together`` processes have begun one.
    """

    def judge(trial: Trial, report: Report | None) -> Judged:
        def note(what: str) -> None:
            with open(log, "a") as file:
                file.write(f"{what} {os.getpid()} {trial.rate} {trial.steps}\n")

        note("begun")
        while len({line.split(" ")[0] for line in lines(log, "begun")}) < together:
            time.sleep(0.02)
        for look in range(4):
            time.sleep(seconds / 4)
            if report is not None and look < 3:
                report(look, (look + 1) / 4, judged(trial) * (look + 1) / 4)
        note("done")
        return Judged(judged(trial), 1 - judged(trial), seconds)

    config = SearchConfig(**{"method": "random", **settings})
    keep = Keep(name=name, storage=None if storage is None else str(storage))
    return searched(SPACE, judge, config=config, trials=trials, seed=seed, keep=keep)
