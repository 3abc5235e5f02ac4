"""A run folder whose numbers are made up from a seed: a fixture to render the report with, never a result."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foretell.report.exhibits import neighbours_grid, picture_grid, write_map
from foretell.run import Run
from foretell.transfer.images.place_leak import Score, Shortcuts

ANIMALS = ["bear", "bird", "cat", "cow", "deer", "dog", "fish", "frog", "horse", "rabbit"]
ARMS = {
    "pretrained": {"title": "pretrained, fine-tuned", "what": "the pretrained encoder, probe first, then all of it"},
    "scratch": {"title": "from scratch", "what": "the same encoder from random weights, equal views, search and steps"},
    "probe": {"title": "linear probe", "what": "a linear classifier on the frozen pretrained encoder"},
    "random": {"title": "random frozen features", "what": "a linear classifier on the frozen, untrained encoder"},
}
CURVES = {"pretrained": (0.70, 0.13), "scratch": (0.42, 0.297), "probe": (0.68, 0.09), "random": (0.31, 0.13)}

RECIPE = """\
[data]
source = "@animals"

[objective]
name = "simclr"
temperature = 0.5

[objective.views]
scale = [0.3, 1.0]

[encoder]
name = "auto"

[training]
time = "5m"
batch = 256
"""


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def score(arm: str, per_class: int) -> float:
    start, slope = CURVES[arm]
    return min(0.965, start + slope * math.log10(per_class))


def pictures(count: int, side: int = 28, channels: int = 1, seed: int = 0) -> torch.Tensor:
    """Soft blobs, (count, channels, side, side)."""
    random = torch.Generator().manual_seed(seed)
    place = torch.linspace(-1, 1, side)
    at = torch.rand(count, 3, 2, 1, generator=random) * 1.4 - 0.7
    wide = torch.rand(count, 3, 1, 1, generator=random) * 0.1 + 0.02
    across = torch.exp(-((place[None, None, None] - at[:, :, :1]) ** 2) / wide)
    up = torch.exp(-((place[None, None, None] - at[:, :, 1:]) ** 2) / wide)
    blobs = (up.transpose(2, 3) * across).sum(1, keepdim=True).clamp(0, 1)
    tint = torch.rand(count, channels, 1, 1, generator=random) * 0.6 + 0.4 if channels > 1 else torch.ones(1)
    return blobs * tint


def facts(classes: list[str] | None) -> dict[str, Any]:
    return {
        "data": {
            "source": "@animals", "kind": "embedded", "fingerprint": "9f2c4b7e11d05a63c8", "count": 9716,
            "unreadable": 0, "channels": 1, "side": 28, "train": 7773, "test": 1943, "split": "a fifth, by class, seed 0", "classes": classes, "mean": [0.2104], "std": [0.3381],
        },
        "versions": {"foretell": "0.1.0", "torch": "2.14.1", "timm": "1.0.12", "python": "3.11.2"},
        "machine": {
            "cpu": "an ordinary processor", "cores": 2, "threads": 2, "float32_flops": 1.9e11,
            "bfloat16_flops": 3.1e11, "copy_bytes_per_s": 1.1e10, "device": "cpu",
        },
        "measured": {
            "precision": "float32", "layout": "channels_last", "threads": 2, "steps": 1840, "seconds_per_step": 0.158,
            "flops_per_sample": 5.1e7,
        },
        "objective": {
            "name": "simclr", "hides": "which two views show the same image",
            "foretells": "the partner of each view among all views of the batch", "needs": "image",
            "paper": "Chen et al. 2020, arXiv 2002.05709",
        },
        "encoder": {"name": "resnet9_small", "dim": 256, "parameters": 2_431_000, "flops_per_image": 8.4e6},
        "cost": {"seconds": 291.4, "samples": 471_040, "peak_memory_bytes": 6.1e8, "flops": 2.4e13},
    }  # fmt: skip


def comparison(classes: list[str], fractions: tuple[int, ...] = (1, 2, 5, 10, 20, 50)) -> dict[str, Any]:
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    summary, paired, searched = [], [], []
    for per_class in fractions:
        labels = per_class * len(classes)
        scores: dict[str, list[float]] = {}
        for arm in ARMS:
            spread = 0.028 / math.sqrt(per_class) + 0.004
            scores[arm] = [min(0.99, score(arm, per_class) + spread * random.standard_normal()) for _ in range(5)]
            for seed, value in enumerate(scores[arm]):
                steps = 300
                delay = 22 if arm == "pretrained" else 70
                curve = [
                    [step, step * 0.031, 0.1 + (value - 0.1) * (1 - math.exp(-step / delay))]
                    for step in range(0, steps + 1, 10)
                ]
                rows.append(
                    {
                        "arm": arm, "per_class": per_class, "labels": labels, "seed": seed, "accuracy": value,
                        "balanced_accuracy": value, "macro_f1": value - 0.01, "auroc": 0.9, "steps": steps,
                        "seconds": {"probe": 1.4, "random": 1.3}.get(arm, 9.4), "samples": steps * 64,
                        "flops": {"probe": labels, "random": labels}.get(arm, 3 * steps * 64) * 8.4e6,
                        "peak_memory_bytes": 5.2e8, "rate": 0.003, "curve": [] if seed or arm in ("probe", "random") else curve,
                    }
                )  # fmt: skip
            half = 2.776 * float(np.std(scores[arm], ddof=1)) / math.sqrt(5)
            middle = float(np.mean(scores[arm]))
            summary += [
                {"arm": arm, "per_class": per_class, "labels": labels, "metric": metric, "mean": middle - less,
                 "low": middle - less - half, "high": middle - less + half, "n": 5}
                for metric, less in (("accuracy", 0.0), ("balanced_accuracy", 0.02))
            ]  # fmt: skip
            trials = [
                {"rate": rate, "steps": 300, "weight_decay": 1e-4, "validation": middle - 0.05 * abs(math.log10(rate / 0.003))}
                for rate in (0.0003, 0.001, 0.003, 0.01, 0.03)
            ]  # fmt: skip
            searched.append({"arm": arm, "labels": labels, "trials": trials, "chosen": trials[2]})
        gap = np.subtract(scores["pretrained"], scores["scratch"])
        middle, half = float(gap.mean()), 2.776 * float(gap.std(ddof=1)) / math.sqrt(5)
        verdict = "better" if middle - half > 0 else "worse" if middle + half < 0 else "undecided"
        paired.append(
            {"per_class": per_class, "labels": labels, "arm": "pretrained", "against": "scratch", "metric": "accuracy",
             "difference": middle, "low": middle - half, "high": middle + half, "verdict": verdict}
        )  # fmt: skip
    size = len(classes)
    matrix = random.poisson(2.2, (size, size)) * (random.random((size, size)) < 0.4)
    np.fill_diagonal(matrix, random.integers(70, 96, size))
    n = len(classes)
    return {
        "metric": "accuracy", "classes": classes, "test": {"samples": 1943, "split": "a fifth, stratified, seed 0"},
        "seeds": [0, 1, 2, 3, 4], "trials": 8, "arms": ARMS, "rows": rows, "summary": summary, "paired": paired,
        "search": searched,
        "labels_saved": {
            "arm": "pretrained", "against": "scratch",
            "points": [
                {"labels": n, "equals_scratch_with": 11.7 * n}, {"labels": 2 * n, "equals_scratch_with": 17 * n},
                {"labels": 5 * n, "equals_scratch_with": 27 * n}, {"labels": 10 * n, "equals_scratch_with": 39 * n},
                {"labels": 20 * n, "equals_scratch_with": None, "reading": "more than", "most_tried": 50 * n},
            ],
        },
        "to_reach_scratch": {
            "arm": "pretrained", "against": "scratch", "samples": 500,
            "all": [
                {"labels": labels, "per_class": labels // n, "score": score, "steps": {"pretrained": own, "scratch": 300},
                 "seconds": {"pretrained": own and own * 0.031, "scratch": 9.3}, "every": 10}
                for labels, score, own in ((n, 0.42, 10), (5 * n, 0.60, 30), (50 * n, 0.95, None))
            ],
        },
        "confusion": {"arm": "pretrained", "labels": 10 * n, "matrix": matrix.tolist()},
        "knn": {
            "pretrained": {"accuracy": 0.938, "k": 5, "intervals": {"accuracy": [0.927, 0.948]}}, "random": {"accuracy": 0.707, "k": 5},
            "pixels": {"accuracy": 0.898, "k": 5},
        },
        "linear_probe": {
            "pretrained": {"accuracy": 0.951, "balanced_accuracy": 0.949, "macro_f1": 0.95, "auroc": 0.996},
            "random": {"accuracy": 0.742, "balanced_accuracy": 0.74, "macro_f1": 0.735, "auroc": 0.951},
            "pixels": {"accuracy": 0.768, "balanced_accuracy": 0.765, "macro_f1": 0.761, "auroc": 0.958},
        },
        "retrieval": {
            arm: {"class": {"recall": {"1": top, "5": top + 0.03}, "map": top - 0.2}, "group": None}
            for arm, top in (("pretrained", 0.93), ("random", 0.71), ("pixels", 0.88))
        },
        "cost": {
            "seconds": 3.0, "evaluations": 60,
            "work": {"seconds": 71.0, "fine_tunings": 30, "in_searches": 60, "linear": 30},
        },
        "verdict": "Pretraining was worth it with 10, 20, 50, 100 and 200 labels: with 10, accuracy is 70.1% after "
        "pretraining and 42.4% from scratch (+27.7 points, 95% interval +24.1 to +31.4 over 5 seeds). The advantage "
        "ends between 200 and 500 labels: with 500 the difference is within its spread (+0.3 points, 95% interval −0.7 "
        "to +1.4), so there pretraining was not shown to be worth it.",
    }  # fmt: skip


def metrics(path: Path, steps: int, upto: int) -> None:
    random = np.random.default_rng(1)
    lines: list[dict[str, Any]] = []
    for step in range(0, upto, 10):
        loss = 3.9 + 2.3 * math.exp(-step / 260) + 0.05 * random.standard_normal()
        warm = min(1.0, step / (0.1 * steps))
        rate = 1.2 * warm * (1 if warm < 1 else 0.5 * (1 + math.cos(math.pi * (step / steps - 0.1) / 0.9)))
        lines.append(
            {"kind": "step", "step": step, "total": loss, "accuracy": 0.62 - 0.5 * math.exp(-step / 300), "rate": rate,
             "samples_per_second": 1610 + 40 * random.standard_normal(), "share_of_peak": 0.44 + 0.01 * random.standard_normal()}
        )  # fmt: skip
        if step % 100 == 0:
            rise = 1 - math.exp(-step / 400)
            lines.append(
                {"kind": "health", "step": step, "rankme": 12 + 91 * rise, "deviation": 0.031 + 0.026 * rise,
                 "alignment": 0.61 - 0.3 * rise, "uniformity": -1.6 - 1.7 * rise, "verdict": "healthy"}
            )  # fmt: skip
        if step % 200 == 0:
            lines.append(
                {
                    "kind": "monitor",
                    "step": step,
                    "name": "kNN accuracy",
                    "value": 0.70 + 0.24 * (1 - math.exp(-step / 500)),
                }
            )
    lines.append({"kind": "event", "step": 0, "text": "chose float32 and channels_last by measurement"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def shortcuts() -> Shortcuts:
    """A leak that one switch closes and another leaves as it was."""

    def score(rmse: float) -> Score:
        errors = [rmse, rmse + 0.002, rmse - 0.002]
        return Score(errors, [0.29] * 3, [error - 0.02 for error in errors], [0.28] * 3)

    closed = {"projection": score(0.29), "contrast": score(0.25)}
    return Shortcuts("views of simclr", 1_000, 14, score(0.25), closed)


def end_early(run: Path, *, steps: int = 1_010, weights: int = 400) -> Path:
    """The finished ``run`` as one that ``training.patience`` ended after ``steps``, with the weights of an earlier step."""
    for name, change in (
        ("facts.json", {"ended": {"state": "early", "steps": steps, "weights": weights}}),
        ("status.json", {"step": steps}),
    ):
        write(run / name, {**json.loads((run / name).read_text()), **change})
    metrics(run / "metrics.jsonl", 1840, steps)
    return run


def make(
    path: Path,
    *,
    state: str = "finished",
    classes: list[str] | None = None,
    compared: bool = True,
    channels: int = 1,
    exhibits: bool = True,
    heartbeat: float | None = None,
) -> Path:
    """The folder ``path``. ``classes`` empty: no labels at all. Running and failed runs have no results yet."""
    classes = ANIMALS if classes is None else classes
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text(RECIPE)
    for name in ("results", "exhibits", "checkpoints"):
        (path / name).mkdir()
    done = state == "finished"
    known = facts(classes or None)
    if not done:
        del known["cost"]
    write(path / "facts.json", known)
    status = {
        "state": state,
        "step": 1840 if done else 610,
        "steps": 1840,
        "heartbeat": 1_750_000_000.0 if heartbeat is None else heartbeat,
    }
    if state == "failed":
        status["message"] = "the loss is not finite at step 610; try a smaller training.rate or a longer warm-up"
    write(path / "status.json", status)
    metrics(path / "metrics.jsonl", 1840, 1840 if done else 610)
    if exhibits:
        panels = [
            (name, pictures(12, channels=channels, seed=seed))
            for seed, name in enumerate(("image", "view 1", "view 2"))
        ]
        picture_grid(panels, path / "exhibits" / "views.png", scale=3)
    if not done:
        return path
    shape = [channels, 28, 28]
    known = {"input_size": shape, "mean": [0.21] * channels, "std": [0.34] * channels}
    write(
        path / "encoder" / "config.json",
        {"architecture": "resnet18", "num_classes": 0, "num_features": 512, "pretrained_cfg": known},
    )
    if exhibits:
        found = pictures(80, channels=channels).unflatten(0, (10, 8))
        same = torch.rand(10, 8, generator=torch.Generator().manual_seed(0)) < 0.85
        neighbours_grid(
            pictures(10, channels=channels, seed=7), found, same.tolist() if classes else None,
            path / "exhibits" / "neighbours.png", 3,
        )  # fmt: skip
        rows = [
            {"query": q, "neighbours": list(range(8)), "same": same[q].tolist() if classes else None} for q in range(10)
        ]
        write(path / "results" / "neighbours.json", {"rows": rows})
        random = np.random.default_rng(3)
        count = max(len(classes), 1)
        codes = np.arange(240) % count
        centres = random.standard_normal((count, 24)) * 0.8
        features = centres[codes] + random.standard_normal((240, 24))
        write_map(Run.read(path), features, codes if classes else None, classes)
        write(path / "results" / "shortcuts.json", shortcuts().record())
    if classes and compared:
        write(path / "results" / "comparison.json", comparison(classes))
    return path
