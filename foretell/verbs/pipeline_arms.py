"""The arms of a pipeline's comparison put together: what stands beside what, and how much better it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foretell.measures.crossing import crossing
from foretell.measures.intervals import paired
from foretell.measures.redrawn import settled, spread
from foretell.measures.summary import verdict_of
from foretell.transfer.images.shift import drops, gains

Row = dict[str, Any]
SHARED = ("metric", "classes", "findings", "test", "seeds", "trials", "notes")
BASELINES = {"scratch": "training from scratch", "random": "random features, frozen"}
COSTS = ("seconds", "flops", "peak_memory_bytes")


@dataclass(frozen=True)
class Compared:
    """A candidate's own comparison, with the arms pretrained, probe, scratch and random of its ``encoder``."""

    name: str
    title: str
    encoder: str
    result: dict[str, Any]
    start: bool = False


@dataclass(frozen=True)
class _Arms:
    """Which arm of the whole each arm of each candidate is."""

    parts: Sequence[Compared]

    @property
    def encoders(self) -> list[str]:
        return list(dict.fromkeys(part.encoder for part in self.parts))

    def of(self, part: Compared, arm: str) -> str:
        if arm == "pretrained":
            return part.name
        if arm == "probe":
            return f"{part.name}, frozen"
        return self.baseline(arm, part.encoder)

    def baseline(self, arm: str, encoder: str) -> str:
        """Training from scratch and random features are one arm for each encoder."""
        return arm if len(self.encoders) == 1 else f"{arm}, {encoder}"

    def about(self) -> dict[str, dict[str, Any]]:
        """arm -> {"title", "encoder", "step" (None for a baseline), "frozen", "start"}: baselines first, tuned before frozen."""
        found: dict[str, dict[str, Any]] = {}
        for frozen, own, base in ((False, "pretrained", "scratch"), (True, "probe", "random")):
            for encoder in self.encoders:
                many = f", {encoder}" if len(self.encoders) > 1 else ""
                about = {"title": BASELINES[base] + many, "encoder": encoder, "step": None, "frozen": frozen}
                found[self.baseline(base, encoder)] = {**about, "start": False}
            for part in self.parts:
                title = f"{part.title}, frozen" if frozen else part.title
                about = {"title": title, "encoder": part.encoder, "step": part.name, "frozen": frozen}
                found[self.of(part, own)] = {**about, "start": part.start}
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """(arm, what it is measured against): from scratch and every earlier one of its encoder, and the one of the same place
        of the first encoder.
        """
        found = []
        of_encoder = {name: [part for part in self.parts if part.encoder == name] for name in self.encoders}
        first = of_encoder[self.encoders[0]]
        for encoder, own in of_encoder.items():
            for at, part in enumerate(own):
                found.append((part.name, self.baseline("scratch", encoder)))
                found += [(part.name, other.name) for other in own[:at]]
                if own is not first and len(own) == len(first):
                    found.append((part.name, first[at].name))
        return found


def merged(parts: Sequence[Compared]) -> dict[str, Any]:
    """One comparison of all candidates.

    {"arms": ``_Arms.about``, "rows", "summary", "paired", "crossing", "shift" (where a domain was judged), "tuning": what a
    fit costs, "search": what was tried for each arm, "metric", "test", "seeds", ...}. An arm is named by its step, a frozen one
    ends in ", frozen".
    """
    arms = _Arms(parts)
    about = arms.about()
    rows, summary, redrawn = (_renamed(arms, key) for key in ("rows", "summary", "redrawn"))
    first = parts[0].result
    metric = str(first["metric"])
    pairs = arms.pairs()
    found = {
        **{key: first.get(key) for key in SHARED},
        "arms": about,
        "rows": rows,
        "summary": summary,
        "paired": [row for arm, other in pairs for row in differences(rows, arm, other, metric, redrawn)],
        "crossing": _crossings(rows, pairs, metric, redrawn),
        "tuning": _costs(rows),
        "search": _renamed(arms, "search"),
        "fits": sum(part.result["cost"]["evaluations"] for part in parts),
    }
    if first.get("shift"):
        found["shift"] = {
            "domain": first["shift"]["domain"],
            "samples": first["shift"]["samples"],
            "drops": drops(rows, metric, redrawn),
            "gains": [row for part in parts for row in _gains(arms, part, rows, metric, redrawn)],
        }
    return found


def _renamed(arms: _Arms, key: str) -> list[Row]:
    """The rows of all candidates under the names of the whole, those of a shared baseline once."""
    found: list[Row] = []
    taken: set[str] = set()
    for part in arms.parts:
        own = [{**row, "arm": arms.of(part, row["arm"])} for row in part.result[key]]
        found += [row for row in own if row["arm"] not in taken]
        taken |= {row["arm"] for row in own}
    return found


def _gains(arms: _Arms, part: Compared, rows: list[Row], metric: str, redrawn: list[Row]) -> list[Row]:
    own = (arms.of(part, "pretrained"), arms.of(part, "probe"))
    return gains(rows, metric, arms.baseline("scratch", part.encoder), arms=own, redrawn=redrawn)


def _crossings(rows: list[Row], pairs: Iterable[tuple[str, str]], metric: str, redrawn: list[Row]) -> list[Row]:
    found = (crossing(rows, arm, against, metric, redrawn) for arm, against in pairs)
    return [row for row in found if row is not None]


def _costs(rows: list[Row]) -> list[Row]:
    """What one fit of each arm takes at each amount of labels, means over seeds."""
    points: dict[tuple[str, Any], list[Row]] = {}
    for row in rows:
        points.setdefault((row["arm"], row["per_class"]), []).append(row)
    return [
        {
            "arm": arm, "per_class": per_class, "labels": own[0]["labels"],
            **{name: float(np.mean([row[name] for row in own])) for name in COSTS},
        }
        for (arm, per_class), own in points.items()
    ]  # fmt: skip


def _scores(rows: list[Row], arm: str, per_class: Any, metric: str) -> dict[int, float]:
    own = [row for row in rows if row["arm"] == arm and row["per_class"] == per_class and row[metric] is not None]
    return {int(row["seed"]): float(row[metric]) for row in own}


def differences(rows: list[Row], arm: str, against: str, metric: str, redrawn: Sequence[Row] = ()) -> list[Row]:
    """``arm`` minus ``against`` at each amount of labels, with the 95% t interval over paired seeds and that over test groups."""
    found = []
    for per_class in dict.fromkeys(row["per_class"] for row in rows):
        ours, others = _scores(rows, arm, per_class, metric), _scores(rows, against, per_class, metric)
        seeds = sorted(ours.keys() & others.keys())
        if not seeds:
            continue
        interval = paired([ours[seed] for seed in seeds], [others[seed] for seed in seeds]).within(-1, 1)
        labels = next(row["labels"] for row in rows if row["arm"] == arm and row["per_class"] == per_class)
        found.append(
            {
                "arm": arm, "against": against, "metric": metric, "per_class": per_class, "labels": labels,
                "difference": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n,
                "verdict": verdict_of(interval, metric),
                **spread(redrawn, per_class, (arm, metric), (against, metric)),
            }
        )  # fmt: skip
        found[-1]["verdict"] = settled(found[-1])
    return found
