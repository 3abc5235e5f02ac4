"""The search of a fine-tuning's settings on labels held out of the label budget; the same for every arm.

``trials`` says what is tried; ``study`` holds the searches that several processes share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from foretell.errors import ForetellError, InputError
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.trials import Judge, Keep, Remember, Space, Trial, answer_of, grid, listed, no_memory


def adding_up(progress: Callable[[int, int, str], None] | None, total: int) -> Callable[[int], None]:
    """What adds up the trainings of a search and the one after it, ``total`` in all, for ``progress``."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total, "choosing settings" if done < total else "fine-tuning")

    return advance


def choose(
    candidates: Sequence[Trial],
    judge: Judge,
    *,
    seed: int,
    remember: Remember = no_memory,
    tried: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """The record of each of ``candidates``, judged one after the other; ``tried`` is told after each."""
    records: list[dict[str, Any]] = []
    for trial in candidates:
        key = {"kind": "trial", **trial.record(), "seed": seed}
        answer = remember(key, lambda trial=trial: answer_of(judge, trial))  # type: ignore[misc]
        records.append({**trial.record(), **answer})
        tried()
    return records


def _rank(record: Mapping[str, Any]) -> tuple[float, float]:
    loss = record["validation_loss"]
    return record["validation"], -np.inf if loss is None else -loss


def best(records: Sequence[Mapping[str, Any]]) -> Trial:
    """The settings with the highest validation score, then the lowest validation loss.

    Raises ForetellError when every trial failed.
    """
    valid = [record for record in records if record["validation"] is not None]
    if not valid:
        reason = records[0].get("failed", "no validation") if records else "none was made"
        raise ForetellError(f"every one of {len(records)} trials failed ({reason}); lower transfer.rates")
    found = max(valid, key=_rank)
    limits = found.get("thresholds")
    trial = Trial(found["rate"], found["steps"], found["weight_decay"])
    return trial if limits is None else replace(trial, thresholds=tuple(limits))


def require(config: SearchConfig) -> None:
    """Raises InputError where the search needs optuna and it is not installed."""
    if not config.in_study:
        return
    try:
        import optuna  # noqa: F401
    except ImportError:
        asked = next(
            f"{name} = '{value}'"
            for name, value in (("pruning", config.pruning), ("storage", config.storage), ("method", config.method))
            if value not in (None, "none")
        )
        raise InputError(
            f"transfer.search.{asked} needs optuna: pip install 'foretell[search]', or search a grid without pruning and "
            "storage"
        ) from None


def searched(
    space: Space,
    judge: Judge,
    *,
    config: SearchConfig,
    trials: int,
    seed: int,
    keep: Keep | None = None,
    tried: Callable[[], None] = lambda: None,
) -> tuple[Trial, dict[str, Any]]:
    """The trial that validates best, and the record of the search: "method", "trials" and "chosen"; of a study also
    "workers", "pruning" and "budget".

    ``trials`` as ``trials_of`` counts them; a single one is not judged, whatever the method: it takes the geometric mean of
    the rates. ``tried`` is told once for each trial of the search. Where ``keep`` wants one trial of a grid alone, that is
    judged and nothing is chosen. Raises InputError for a storage that cannot be opened or
    a missing optuna, ForetellError when every trial failed.
    """
    keep = keep or Keep()
    if trials == 1:
        chosen = grid(space.rates, space.steps, 1, space.weight_decay)[0]
        return chosen, {"method": config.method, "trials": [], "chosen": chosen.record()}
    if config.in_study:
        require(config)
        from foretell.transfer.study import shared

        records, facts = shared(space, judge, config=config, trials=trials, seed=seed, keep=keep, tried=tried)
    else:
        candidates, facts = listed(config, space, trials), {}
        if keep.only is not None:
            candidates = candidates[keep.only : keep.only + 1]
            records = choose(candidates, judge, seed=seed, remember=keep.remember, tried=tried)
            return candidates[0], {"method": config.method, "trials": records, "chosen": None}
        records = choose(candidates, judge, seed=seed, remember=keep.remember, tried=tried)
    chosen = best(records)
    return chosen, {"method": config.method, "trials": records, "chosen": chosen.record(), **facts}
