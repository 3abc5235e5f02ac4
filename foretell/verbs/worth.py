"""What a frozen encoder is worth on labelled data, beside random features and raw pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.store import ImageStore
from foretell.encoders.base import Encoder
from foretell.measures.knn import knn
from foretell.measures.metrics import METRICS, with_intervals
from foretell.report.exhibits import write_map, write_neighbours
from foretell.run import Run
from foretell.transfer import labels
from foretell.transfer.config import TransferConfig
from foretell.transfer.images import cases
from foretell.transfer.images.compare import held_out
from foretell.transfer.images.evaluate import at_most, judge_frozen, retrievals
from foretell.transfer.images.features import extract, pixels, random_encoder
from foretell.transfer.images.labelled import Index
from foretell.transfer.images.nearby import kept_whole
from foretell.verbs.common import FEATURES, Parts, score_lines
from foretell.views.config import Crop, ViewConfig

Features = NDArray[np.float32]
PIXELS_SIDE = 32
SHOWN = 5000  # images the map and the neighbours are drawn from, where there are more
FROZEN = ("knn", "linear_probe", "retrieval")
FINDINGS = "findings are judged by a comparison (foretell evaluate RUN --compare), not by neighbours"


def frozen(
    encoder: Encoder,
    store: ImageStore,
    parts: Parts,
    *,
    views: ViewConfig,
    config: TransferConfig,
    probe: bool = True,
    trials: int = 8,
    seed: int = 0,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Scores of the test part by kNN (and the linear probe, and retrieval) on labels of the training part.

    {"classes", "labels_fingerprint", "metric", "train", "test", "commonest", "notes", "knn": {arm: {metrics, "k",
    "intervals"}}, "linear_probe": the same, "retrieval": {arm: {"class", "group"}}} for the arms pretrained, random (frozen
    random weights) and pixels. Raises InputError for unusable labels.
    """
    train, test, notes = held_out(store, parts.train, parts.test, config=config)
    whole = cases.count(test)
    train, test = at_most(train, config.probe_samples), at_most(test, config.test_samples)
    result: dict[str, Any] = {
        "classes": train.classes,
        labels.KEY: labels.labels_fingerprint(store, config),
        "metric": config.headline,
        "train": {"samples": cases.count(train), "unlabelled": train.unlabelled},
        "test": {"samples": cases.count(test), "unlabelled": test.unlabelled, "split": parts.how},
        "commonest": cases.commonest_of(test),
        "notes": notes,
        "knn": {},
        "linear_probe": {},
        "retrieval": {},
    }

    if test.cases is not None:
        result["test"]["images"] = len(test)
    if cases.count(test) < whole:
        result["test"]["of"] = whole

    def judge(arm: str, features: Callable[[Index], Features]) -> None:
        tell(f"{arm}: embedding")
        train_x, test_x = features(train.index), features(test.index)
        if probe:
            tell(f"{arm}: neighbours and linear probe")
            found = judge_frozen(train_x, train, test_x, config=config, trials=trials, seed=seed)
        else:
            votes = knn(train_x, train.codes, test_x, k=config.neighbours, classes=len(train.classes))
            found = {"knn": votes.cpu().numpy()}
        for name, probabilities in found.items():
            result[name][arm] = with_intervals(*cases.judged(test, probabilities, config.pooling), seed=seed)
            result[name][arm]["labels"] = cases.count(train)
        result["knn"][arm]["k"] = min(config.neighbours, len(train))
        if probe:
            result["retrieval"][arm] = retrievals(test_x, test)

    if config.findings:  # neighbours vote for one class; the probe of findings is an arm of a comparison
        return result
    judge("pretrained", lambda rows: extract(encoder, store, rows, views, crop=config.crop))
    untrained = random_encoder(encoder, seed, store, train.index, views)
    judge("random", lambda rows: extract(untrained, store, rows, views, crop=config.crop))
    judge("pixels", lambda rows: pixels(store, rows, min(PIXELS_SIDE, encoder.side)))
    return result


def keep(run: Run, result: dict[str, Any]) -> bool:
    """Write results/evaluation.json, and put its scores into the comparison that the report reads; those of ``FROZEN`` that
    the ``result`` lacks, and were measured before on its test part by its labels, stay in both.

    "frozen_test" of the comparison says on which test images the scores of ``FROZEN`` are, and "frozen_labels" of which labels,
    where these are others than the comparison's, whose own "test", "classes" and "commonest" stay; the answer is whether they
    are. What is no comparison yet is that of the ``result`` alone.
    """
    comparison = run.read_json("results/comparison.json") or {}
    earlier = earlier_frozen(comparison, result)
    run.write_json(
        "results/evaluation.json", {**result, **{name: earlier[name] for name in earlier if not result[name]}}
    )
    scores = {name: result[name] for name in FROZEN if result[name]}
    test = {name: result["test"][name] for name in ("samples", "split", "images", "of") if name in result["test"]}
    scores = {**earlier, **scores, "frozen_test": test}
    own = {name: result[name] for name in ("classes", labels.KEY)}
    comparison = {name: value for name, value in comparison.items() if name not in (*FROZEN, labels.FROZEN)}
    if not comparison.get("summary"):
        comparison = {**own, "test": test, "commonest": result["commonest"]}
    same = labels.same_labels(comparison, result)
    if not same:
        scores[labels.FROZEN] = own
    elif all((comparison.get("test") or {}).get(name) == test[name] for name in ("samples", "split")):
        comparison["commonest"] = result["commonest"]
    run.write_json("results/comparison.json", {**comparison, **scores})
    return not same


def earlier_frozen(comparison: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The scores of ``FROZEN`` in ``comparison`` that are on the test part and of the labels of a new ``result``."""
    before = comparison.get("frozen_test") or comparison.get("test") or {}
    same = all(before.get(name) == result["test"][name] for name in ("samples", "split"))
    if not same or not labels.same_labels(labels.of_frozen(comparison), result):
        return {}
    return {name: comparison[name] for name in FROZEN if comparison.get(name)}


def table(result: dict[str, Any]) -> list[str]:
    """The scores as lines for a person, the headline and another one, in percent with their intervals."""
    first = str(result.get("metric") or METRICS[0])
    second = METRICS[0] if first != METRICS[0] else "macro_f1"
    lines = score_lines(result, first, second, linear="linear probe", lead="95% interval ")
    for identity in ("class", "group"):
        for arm, found in (result.get("retrieval") or {}).items():
            if found.get(identity):
                recall = found[identity]["recall"]["1"]
                title = f"retrieval by {identity}"
                lines.append(
                    f"  {title:<28} {FEATURES[arm]:<16} Recall@1 {recall:.1%}, mAP {found[identity]['map']:.1%}"
                    f"{_counted(result['test'], found[identity])}"
                )
    return lines


def _counted(test: dict[str, Any], found: dict[str, Any]) -> str:
    """Of a ``test`` part of cases that retrieval counts images; and which are not ``found``. "" where neither holds."""
    counted = f"of {found['samples']:,} images" if "images" in test else ""
    apart = "a query's own group left out" if found["apart"] else ""
    told = ", ".join(part for part in (counted, apart) if part)
    return f" ({told})" if told else ""


def draw(
    run: Run,
    encoder: Encoder,
    store: ImageStore,
    views: ViewConfig,
    rows: Index,
    seed: int = 0,
    *,
    findings: Sequence[str] = (),
    crop: Crop = 1.0,
    part: str | None = None,
) -> None:
    """Write the map and the neighbours of ``rows``, of at most ``SHOWN`` of them; an image of a query's own group is none.
    ``part`` of the data they are: "train" or "test".

    Both show the classes of the labels; none with ``findings``, beside which a label is no class, as of a hospital's folder.
    """
    if len(rows) < 3:
        return
    if len(rows) > SHOWN:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:SHOWN])
    shown = store.subset(rows)
    features = extract(encoder, store, rows, views, crop=crop)
    codes: Any = None
    classes: Sequence[str] | None = None
    if "label" in shown.table and not findings:
        codes, classes = shown.table.codes("label")
    write_map(run, features, codes, classes, names=shown.names, seed=seed, part=part)
    by = None if codes is None else labels.labels_fingerprint(store, TransferConfig())
    whole = kept_whole(shown)
    write_neighbours(run, shown, features, codes, apart=whole, seed=seed, labels_fingerprint=by, part=part)
