"""What is concluded from the numbers: where the advantage ends, labels saved, cost, the verdict without a comparison."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_run import ANIMALS, comparison, make, write

from foretell.report import about, analysis, headline
from foretell.report.about import method, missing
from foretell.report.gather import gather
from foretell.report.saving import saved
from foretell.run import Run


def pairs(*verdicts: str) -> list[analysis.Difference]:
    labels = (10, 50, 100, 500)
    return [
        analysis.Difference("pretrained", "scratch", n, n // 10, 0.1, 0.0, 0.2, verdict)  # type: ignore[arg-type]
        for n, verdict in zip(labels, verdicts, strict=False)
    ]


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        (
            ("better", "better", "undecided", "undecided"),
            "Pretraining is ahead of training from scratch up to 50 labels (5 a class); at 100 labels (10 a class) the "
            "difference is undecided.",
        ),
        (
            ("better", "undecided", "undecided", "worse"),
            "Pretraining is ahead of training from scratch up to 10 labels (1 a class); at 50 labels (5 a class) the "
            "difference is undecided and worse from 500 labels on.",
        ),
        (
            ("better", "worse"),
            "Pretraining is ahead of training from scratch up to 10 labels (1 a class); from 50 labels (5 a class) on "
            "training from scratch is better.",
        ),
        (
            ("better", "better"),
            "Pretraining is ahead of training from scratch up to 50 labels (5 a class), the most that was measured: "
            "where the advantage ends was not reached.",
        ),
        (
            ("worse", "worse"),
            "Training from scratch is better already at 10 labels (1 a class): here pretraining was not worth it.",
        ),
        (
            ("undecided", "better"),
            "With the fewest labels the difference is undecided; pretraining is ahead at 50 labels (5 a class).",
        ),
        (
            ("undecided", "undecided"),
            "At no number of labels is pretraining clearly ahead of training from scratch.",
        ),
        (
            ("undecided", "worse"),
            "At no number of labels is pretraining clearly ahead of training from scratch; from 50 labels on it is "
            "behind.",
        ),
        ((), ""),
    ],
)
def test_where_the_advantage_ends(verdicts: tuple[str, ...], sentence: str) -> None:
    assert analysis.advantage_sentence(pairs(*verdicts)) == sentence


def test_stretches_of_one_verdict() -> None:
    found = analysis.advantage(pairs("better", "better", "undecided", "worse"))
    assert found.runs == [(10, 50, "better"), (100, 100, "undecided"), (500, 500, "worse")]
    assert found.until is not None
    assert found.until.labels == 50


def test_the_few_labels_of_the_key_figures_follow_one_rule() -> None:
    assert analysis.few_labels(comparison(ANIMALS)) == (50, 5)
    assert analysis.few_labels(comparison(ANIMALS, (1, 10))) == (100, 10)
    assert analysis.few_labels(comparison(ANIMALS, (1, 50))) == (10, 1)
    assert analysis.few_labels({}) is None


def test_labels_saved_says_why_there_is_no_number() -> None:
    found = comparison(ANIMALS)
    saved = analysis.savings(found)
    assert [(s.labels, s.equals, s.bound) for s in saved[:1]] == [(10, 117.0, "")]
    assert (saved[-1].labels, saved[-1].bound, saved[-1].most) == (200, "above", 500)
    found["labels_saved"]["points"] = [{"labels": 10, "equals_scratch_with": None, "reading": "fewer than"}]
    assert analysis.savings(found)[0].bound == "below"
    found["labels_saved"] = None
    assert analysis.savings(found) == []


def test_labels_saved_are_hedged_where_the_difference_is_undecided(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    found = comparison(ANIMALS)

    def told(better: set[int]) -> str:
        for row in found["paired"]:
            row["verdict"] = "better" if row["labels"] in better else "undecided"
        write(run / "results" / "comparison.json", found)
        return str((saved(gather(run)) or {})["sentence"])

    assert told({10, 50, 200}) == (
        "At best, 10 labels with pretraining do as well as 117 from scratch, 12 times as many. "
        "Training from scratch does not reach the score of 200 pretrained labels with all 500 that were tried."
    )
    assert told({50}).startswith(
        "At best, 50 labels with pretraining do as well as 270 from scratch, 5.4 times as many. On"
    )
    assert told(set()) == (
        "On the mean, 10 labels with pretraining do as well as 117 from scratch, 12 times as many; the difference there is "
        "undecided. On the mean, training from scratch does not reach the score of 200 pretrained labels with all 500 that "
        "were tried; the difference there is undecided."
    )


def saved_points(*points: tuple[int, int | None, str]) -> dict[str, Any]:
    kept = [
        {"labels": labels, "equals_scratch_with": equals, "reading": reading, "most_tried": 500}
        for labels, equals, reading in points
    ]
    return {"arm": "pretrained", "against": "scratch", "points": kept}


SAVES, FEWER, BELOW = (10, 117, "about"), (50, 20, "about"), (20, None, "fewer than")
MORE, AS_MANY, NOT_TRIED = (200, None, "more than"), (100, 104, "about"), (5, None, "fewer than")
ALL_SAVED = "At best, 10 labels with pretraining do as well as 117 from scratch, 12 times as many."
NOT_REACHED = "Training from scratch does not reach the score of 200 pretrained labels with all 500 that were tried."
NONE_AT_ALL = "Pretraining saves no labels here: training from scratch does as well with as many or fewer."
NONE = (
    "On the mean, pretraining saves none with {}: there training from scratch does as well with about as many or fewer."
)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ([SAVES, MORE], f"{ALL_SAVED} {NOT_REACHED}"),
        ([SAVES, BELOW, FEWER], f"{ALL_SAVED} {NONE.format('20 and 50 labels')}"),
        ([FEWER, MORE], f"{NOT_REACHED} {NONE.format('50 labels')}"),
        ([SAVES, AS_MANY], f"{ALL_SAVED} {NONE.format('100 labels')}"),
        ([BELOW, FEWER, AS_MANY], NONE_AT_ALL),
        ([BELOW], NONE_AT_ALL),
        (
            [NOT_TRIED, SAVES],
            f"{ALL_SAVED} Whether it saves any with 5 labels is not known: training from scratch was tried with 10 or more, "
            "which do better.",
        ),
    ],
)
def test_labels_saved_are_told_with_where_none_are(tmp_path: Path, points, sentence: str) -> None:
    run = make(tmp_path / "run", exhibits=False)
    found = comparison(ANIMALS)
    found["labels_saved"] = saved_points(*points)
    for row in found["paired"]:
        row["verdict"] = "better" if row["labels"] in (10, 200) else "undecided"
    write(run / "results" / "comparison.json", found)
    told = saved(gather(run))
    assert told is not None
    assert told["sentence"] == sentence
    for labels, _, _ in points:
        assert f"{labels} labels" in told["chart"]
    assert ("fewer than 10 from scratch" in told["chart"]) == any(reading == "fewer than" for _, _, reading in points)


def test_where_training_from_scratch_is_better_no_label_is_saved_for_sure(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    found = comparison(ANIMALS)
    found["labels_saved"] = saved_points(SAVES, FEWER)
    for row in found["paired"]:
        row["verdict"] = "better" if row["labels"] == 10 else "worse"
    write(run / "results" / "comparison.json", found)
    told = saved(gather(run))
    assert told is not None
    assert " Pretraining saves none with 50 labels: there" in told["sentence"]
    assert "20 from scratch<" in told["chart"]


def test_the_verdict_says_on_how_few_test_samples_it_is(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    found = comparison(ANIMALS)
    assert "All of it is on" not in headline.verdict(gather(run))
    write(run / "results" / "comparison.json", {**found, "test": {"samples": 24}})
    assert " All of it is on 24 test images: " in headline.verdict(gather(run))
    write(run / "results" / "comparison.json", {**found, "test": {"samples": 4, "images": 12}})
    assert " All of it is on 4 test cases: " in headline.verdict(gather(run))


def test_costs_take_the_mean_over_seeds(tmp_path: Path) -> None:
    run = gather(make(tmp_path / "run", exhibits=False))
    found = {cost.key: cost for cost in analysis.costs(run)}
    assert list(found) == ["pretraining", "pretrained", "scratch", "probe", "random", "comparison"]
    assert found["pretraining"].flops == 2.4e13
    assert found["pretraining"].share == pytest.approx(0.44, abs=0.01)
    assert found["scratch"].seconds == pytest.approx(9.4)
    assert found["scratch"].flops == pytest.approx(3 * 8.4e6 * 19200)
    assert found["scratch"].share == pytest.approx(3 * 8.4e6 * 19200 / 9.4 / 1.9e11)
    assert found["probe"].flops == pytest.approx(50 * 8.4e6)
    assert found["pretrained"].memory == found["comparison"].memory == 5.2e8
    assert found["comparison"].seconds == 71.0


def test_trainings_side_by_side_have_their_part_of_the_peak(tmp_path: Path) -> None:
    found = comparison(ANIMALS)
    alone = {cost.key: cost.share for cost in analysis.costs(gather(make(tmp_path / "alone", exhibits=False)))}
    for row in found["rows"]:
        if row["arm"] in ("pretrained", "scratch"):
            row["threads"] = 1
    run = make(tmp_path / "run", exhibits=False)
    write(run / "results" / "comparison.json", found)
    beside = {cost.key: cost.share for cost in analysis.costs(gather(run))}
    assert beside["scratch"] == pytest.approx(2 * alone["scratch"])
    assert [beside[key] for key in ("pretraining", "probe")] == [alone[key] for key in ("pretraining", "probe")]
    told = about.cost(gather(run))
    assert told is not None
    assert "side by side, each on 1 core where pretraining had 2" in told["beside"]
    for row in found["rows"]:
        row["threads"] = 2
    write(run / "results" / "comparison.json", found)
    told = about.cost(gather(run))
    assert told is not None
    assert told["beside"] == ""


def test_seeds_that_drew_other_numbers_of_images_are_in_the_mean(tmp_path: Path) -> None:
    found = comparison(ANIMALS)
    for row in found["rows"]:
        row["labels"] += row["seed"]  # a label is one of a whole group
        row["seconds"] = float(row["seed"])
    for row in found["rows"]:
        row["curve"] = row["curve"] or ([[0, 0.0, 0.1], [10, 1.0, 0.5]] if row["seed"] == 1 else [])
    run = make(tmp_path / "run", compared=False)
    write(run / "results" / "comparison.json", found)
    by_key = {cost.key: cost for cost in analysis.costs(gather(run))}
    assert by_key["scratch"].seconds == 2.0, "the mean over seeds 0 to 4"
    assert analysis.rows_at(found, "scratch", 50) == [
        row for row in found["rows"] if row["arm"] == "scratch" and row["per_class"] == 5
    ]
    found["rows"] = [row for row in found["rows"] if row["seed"]]
    assert analysis.curves_at(found, 50)["scratch"] == [(0, 0.1), (10, 0.5)]


def test_the_verdict_before_a_comparison_says_what_is_known(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    assert headline.verdict(gather(run)) == (
        "Pretraining finished 1,840 steps in 4 min 51 s, and its embeddings are healthy. "
        "What it is worth with few labels has not been measured yet."
    )
    above = "the loss has been above its chance value (4.84) since step 30: lower the rate or train longer"
    line = {"kind": "health", "step": 1840, "rankme": 9.0, "verdict": above}
    told_above = replace(gather(run), health=[line])
    assert headline.verdict(told_above).startswith(f"Pretraining finished 1,840 steps in 4 min 51 s, but {above}. What")
    knn: dict[str, Any] = {"pretrained": {"accuracy": 0.9}, "random": {"accuracy": 0.7}, "pixels": {"accuracy": 0.8}}
    write(run / "results" / "comparison.json", {"classes": ANIMALS, "knn": knn})
    assert headline.verdict(gather(run)).endswith(
        "Nearest neighbours name the right class of 90.0% of the test images, against 70.0% with random features and "
        "80.0% with raw pixels; what it is worth with few labels has not been measured yet."
    )
    assert next(command.split()[1] for _, command in missing(gather(run))) == "finetune"


def test_scores_of_cases_are_not_said_to_be_of_images(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    told = {**comparison(ANIMALS), "test": {"samples": 4, "images": 12}}
    write(run / "results" / "comparison.json", told)
    assert "Every score of the comparison is on the same 4 test cases, never trained on." in method(gather(run))
    knn = {"pretrained": {"accuracy": 0.9}}
    write(run / "results" / "comparison.json", {"classes": ANIMALS, "knn": knn, "test": told["test"]})
    assert "90.0% of the test cases;" in headline.verdict(gather(run))


def test_a_silent_run_is_said_to_have_broken_off(tmp_path: Path) -> None:
    run = make(tmp_path / "run", state="running", exhibits=False, heartbeat=1_750_000_000.0)
    assert "broke off at step 610 of 1,840: it was last heard of on 15 June 2025" in headline.verdict(gather(run))


def test_a_run_whose_process_is_gone_is_said_to_have_broken_off_at_its_last_step(tmp_path: Path) -> None:
    path = make(tmp_path / "run", state="running", exhibits=False)
    status = {"state": "running", "step": 600, "steps": 1840, "heartbeat": time.time(), "host": socket.gethostname()}
    write(path / "status.json", status)
    last = f"{gather(path).steps[-1]['step']:,}"
    held = Run.resume(path)
    assert gather(path).state == "running"
    assert f"Pretraining is at step {last} of 1,840" in headline.verdict(gather(path))
    held.close()
    assert gather(path).state == "broken"
    assert f"Pretraining broke off at step {last} of 1,840: it was last heard of on" in headline.verdict(gather(path))
    write(path / "status.json", {**status, "host": "another"})
    assert gather(path).state == "running"  # whether it is held there is not known here


def test_a_run_that_was_killed_before_its_encoder_was_written_is_gone_on_with(tmp_path: Path) -> None:
    path = make(tmp_path / "run", exhibits=False)
    (path / "encoder" / "config.json").unlink()
    name, command = missing(gather(path))[0]
    assert (name, command) == ("Its encoder, which was not written yet", f"foretell pretrain --resume {path}")
    held = Run.resume(path)
    assert missing(gather(path))[0][0] != name  # it is being written
    held.close()


def test_mistakes_are_listed_by_how_often_they_happen() -> None:
    found = analysis.most_confused([[5, 3, 0], [1, 9, 0], [0, 4, 0]], ["a", "b", "c"])
    assert found == [("c", "b", 4, 1.0), ("a", "b", 3, 3 / 8), ("b", "a", 1, 0.1)]
