"""The first sentences of a page, where there is no comparison; and what the sections say beside them, of runs made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from made_up_run import ANIMALS, comparison, make, write
from test_text_page import text_run, words_run

from foretell.report import about, analysis, build, elsewhere, headline, measures, results, saving, told, words
from foretell.report.gather import Gathered, gather
from foretell.report.glossary import spoken_of
from foretell.report.kept import kept_model

CHANCE = 3.135494  # nats: of 23 that are as likely


def judged(run: Path, verdict: str) -> str:
    return headline.verdict(replace(gather(run), health=[{"step": 2, "verdict": verdict}]))


def test_a_run_that_was_hardly_measured_is_not_called_healthy(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    assert "in 4 min 51 s; it is too early to judge its embeddings. " in judged(run, "too early to judge")
    assert ", and its embeddings are nearly alike since step 2. " in judged(run, "nearly alike since step 2")


def test_the_pretext_score_stands_beside_its_guess(tmp_path: Path) -> None:
    run = gather(make(tmp_path / "run", exhibits=False, compared=False))

    def said(right: float, **results: Any) -> str:
        steps = [{"step": step, "total": 3.0, "accuracy": right} for step in range(9)]
        return headline.verdict(replace(run, steps=steps, facts={**run.facts, "chance_loss": CHANCE}, results=results))

    assert "rightly, where guessing is right in 4.3%: no better than chance. What it is worth" in said(0.0)
    assert "answered 62.0% of what it was asked rightly, where guessing is right in 4.3%. What" in said(0.62)
    shown = {"findings": [{"name": "saliency"}, {"name": "foretold", "headline": "It is no better than flat patches."}]}
    assert " It is no better than flat patches. What it is worth" in said(0.62, findings=shown)


def test_words_that_are_foretold_no_better_than_the_commonest_are_said_to_be(tmp_path: Path) -> None:
    run = text_run(tmp_path / "run")
    text = json.loads((run / "results" / "text.json").read_text())
    assert "no better" not in told.sentence(gather(run))
    text["words"] |= {"right": 0.04, "perplexity": 14.04}
    text["sentences"] = {"right": 0.52, "guesses": {"base": 0.52}}
    write(run / "results" / "text.json", text)
    said = told.sentence(gather(run))
    assert "right in 5.0%: no better than that guess; it is as unsure as among 14.0 equally" in said
    assert said.endswith("tells it in 52.0%: no better than that guess.")


def test_of_analogies_that_are_all_wrong_none_is_right(tmp_path: Path) -> None:
    run = gather(words_run(tmp_path / "run"))
    found = {"name": "all", "known": 2, "questions": 3, "accuracy": {"mean": 0.0, "low": None, "high": None}}
    run = replace(run, results={**run.results, "words": {"analogies": {"total": found, "sections": [], "kinds": []}}})
    assert told.words_sentence(run) == "Of 2 analogies it answers none rightly."
    from foretell.report.reading import analogies

    shown = analogies(run)
    assert shown is not None
    assert shown["caption"] == "Share of right answers"


def with_frozen(path: Path) -> Gathered:
    run = make(path, exhibits=False, compared=False)
    test = {"samples": 1000, "of": 1849, "split": "drawn"}
    arms = {"pretrained": {"accuracy": 0.9, "labels": 7867, "k": 5}, "random": {"accuracy": 0.7, "labels": 7867}}
    write(run / "results" / "comparison.json", {"classes": ANIMALS, "knn": arms, "linear_probe": arms, "test": test})
    return gather(run)


def test_scores_of_frozen_features_are_told_with_their_labels_and_images(tmp_path: Path) -> None:
    run = with_frozen(tmp_path / "run")
    on = "with 7,867 labels, on 1,000 test images drawn of 1,849"
    assert results.frozen_on(run) == on
    assert f"Nearest neighbours ({on}) name the right class of 90.0% of the test images" in headline.verdict(run)
    nearest = next(one for one in results.key_figures(run) if one.title == "Nearest neighbours")
    assert nearest.note.startswith("with 7,867 labels; random features 70.0%")
    assert f"A linear classifier on frozen features, {on}" in build(run.path).read_text()


def test_a_model_that_is_kept_is_told_with_its_scores(tmp_path: Path) -> None:
    run = text_run(tmp_path / "run")
    assert kept_model(gather(run)) is None
    test = {"samples": 12, "unit": "question", "f1": 0.415, "exact": 0.25}
    write(
        run / "results" / "finetune.json",
        {"task": "answering", "data": "squad.json", "labels": 48, "classes": [], "test": test},
    )
    shown = kept_model(gather(run))
    assert shown is not None
    assert shown["sentence"] == "Fine-tuned on 48 labels; tested on 12 test questions."
    assert [(row[0].main, row[1].main) for row in shown["table"].rows] == [("F1", "41.5%"), ("exact match", "25.0%")]
    assert about.missing(gather(run)) == [
        ("What it is worth with few labels, beside training from scratch and a plain baseline",
         f"foretell finetune {run} --data squad.json")
    ]  # fmt: skip
    assert '<section id="kept-model"' in build(run).read_text()


def alike(value: float) -> dict[str, Any]:
    """A comparison in which training from scratch scores ``value`` with every number of labels."""
    found = comparison(ANIMALS)
    for row in found["summary"]:
        if row["arm"] == "scratch":
            row["mean"] = value
    metrics = {"accuracy": 0.1}
    return {**found, "commonest": {"class": ANIMALS[0], "share": 0.1, "metrics": metrics}}


def test_where_scratch_learnt_nothing_there_is_no_score_to_reach(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    write(run / "results" / "comparison.json", alike(0.2))
    assert saving.nothing_to_reach(gather(run)) == ""
    assert saving.saved(gather(run)) is not None
    write(run / "results" / "comparison.json", alike(0.1))
    assert saving.nothing_to_reach(gather(run)).startswith("Training from scratch learnt nothing beyond guessing")
    assert saving.saved(gather(run)) is saving.reaching(gather(run)) is elsewhere.crossing(gather(run)) is None
    assert '<section id="nothing-to-reach"' in build(run).read_text()


def test_a_score_that_is_no_more_than_guessing_is_not_there_to_be_reached(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    found = alike(0.4)
    entries = found["to_reach_scratch"]["all"]
    entries[0]["score"] = 0.1
    write(run / "results" / "comparison.json", found)
    shown = saving.reaching(gather(run))
    assert shown is not None
    assert len(shown["table"].rows) == len(entries) - 1
    labels = words.count(entries[0]["labels"])
    assert shown["sentence"].endswith(
        f" With {labels} labels it ended no higher than guessing: there is nothing to reach."
    )


def test_labels_of_a_task_without_classes_are_not_so_many_a_class(tmp_path: Path) -> None:
    found = {**comparison(ANIMALS), "classes": []}
    cells = analysis.summary_of(found)["pretrained"]
    assert analysis.labels_phrase(cells[0].labels, cells[0].per_class) == words.counted(cells[0].labels, "label")
    run = make(tmp_path / "run", exhibits=False)
    write(run / "results" / "comparison.json", {**found, "test": {"samples": 12, "unit": "sentence", "words": 60}})
    assert " All of it is on 12 test sentences: " in headline.verdict(gather(run))
    assert "is on the same 12 test sentences (60 words)" in " ".join(about.method(gather(run)))
    assert "a class<" not in build(run).read_text()


def test_no_interval_is_spoken_of_where_there_is_none(tmp_path: Path) -> None:
    found = comparison(ANIMALS)
    more = [{**row, "metric": "macro_f1"} for row in found["summary"]]
    found["summary"] = [{**row, "low": None, "high": None} for row in found["summary"] + more]
    run = make(tmp_path / "run", exhibits=False)
    write(run / "results" / "comparison.json", found)
    shown = measures.measures(found, ["pretrained"], lambda arm: results.Cell(arm))
    assert shown is not None
    assert not shown["intervals"]
    assert "; mean and 95% interval over the seeds" not in build(run).read_text()


def test_the_glossary_explains_words_that_stand_on_the_page() -> None:
    entries = [
        ("Recall@k, mAP", "a"),
        ("Seed", "b"),
        ("RankMe, collapse", "c"),
        ("Brier score, calibration error (ECE)", "d"),
    ]
    page = "<style>seed</style><p>Recall@5 <b>rankme</b></p><pre id=x>seed</pre>"
    assert spoken_of(entries, page) == [entries[0], entries[2]]


def test_numbers_that_are_read_are_short_and_sentences_end_once() -> None:
    assert [words.rate(value) for value in (1_497_082, 1483.2, 4.2137, None)] == ["1,500,000", "1,480", "4.21", "–"]
    assert words.closed("1., 2. and 3.") == "1., 2. and 3."
    assert words.closed("first and second") == "first and second."
