"""The table of the search on the page and in the JSON, of runs made up of known numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

from made_up_run import ANIMALS, comparison, make, write

from foretell.report import build
from foretell.report.gather import gather
from foretell.report.searching import KEPT, method, searches, section


def trial(rate: float, validation: float | None, state: str = "complete", **more) -> dict:
    return {
        "rate": rate,
        "steps": 40,
        "weight_decay": 0.01,
        "validation": validation,
        "state": state,
        "seconds": 2.0,
        **more,
    }


def searched(run: Path, **more) -> Path:
    trials = [
        trial(1e-3, 0.71), trial(3e-3, 0.82), trial(1e-2, None, "pruned", share=0.25),
        trial(1e-1, None, "failed", failed="step 3: loss is not finite"),
    ]  # fmt: skip
    record = {
        "how": "hold-out", "method": "tpe", "trials": trials, "workers": 2,
        "chosen": {"rate": 3e-3, "steps": 40, "weight_decay": 0.01},
        "pruning": {"pruner": "median", "spared": 3, "pruned": 1, "seconds_saved": 6.0}, **more,
    }  # fmt: skip
    found = comparison(ANIMALS, fractions=(5,))
    probe = {
        "arm": "probe",
        "labels": 50,
        "chosen": {"strength": 0.1},
        "trials": [{"strength": 0.1, "validation": 0.8}],
    }
    found["search"] = [{"arm": "pretrained", "labels": 50, **record}, probe]
    write(run / "results" / "comparison.json", found)
    write(run / "results" / "finetune.json", {"labels": 900, "search": record})
    return run


def test_every_trial_is_told_and_the_chosen_one_marked(tmp_path: Path) -> None:
    run = searched(make(tmp_path / "run", exhibits=False, compared=False))
    page = build(run).read_text()
    table = page[page.index('<table id="search-table"') :]
    table = table[: table.index("</table>")]
    rows = [
        [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)[1:]
    ]
    assert len(rows) == 4 + 4 + 1
    assert rows[1] == [KEPT, "900", "2 chosen", "rate 0.003, steps 40, decay 0.01", "complete", "82.0%", "2 s"]
    assert rows[2][2:] == ["3", "rate 0.01, steps 40, decay 0.01", "pruned at 25%", "–", "2 s"]
    assert rows[3][4] == "failed step 3: loss is not finite"
    assert sum("chosen" in row[2] for row in rows) == 3
    assert rows[8][2:] == ["1 chosen", "strength 0.1", "complete", "80.0%", "–"]
    assert "drawn by tpe (which learns from earlier trials) with 8 trials for every arm" in page
    assert "That was so of 2 trials and saved about 12 s. Up to 2 processes shared a search." in page


def test_the_json_has_the_same_table(tmp_path: Path) -> None:
    run = searched(make(tmp_path / "run", exhibits=False, compared=False), budget="5m")
    build(run)
    found = json.loads((run / "report.json").read_text())["search"]
    assert [(entry["arm"], entry["labels"], len(entry["trials"])) for entry in found] == [
        (KEPT, 900, 4), ("pretrained", 50, 4), ("linear probe", 50, 1),
    ]  # fmt: skip
    assert [one["chosen"] for one in found[0]["trials"]] == [False, True, False, False]
    assert found[0]["trials"][1] == {
        "trial": 2, "rate": 3e-3, "steps": 40, "weight_decay": 0.01, "validation": 0.82, "state": "complete", "seconds": 2.0,
        "chosen": True,
    }  # fmt: skip
    told = section(gather(run))
    assert told is not None
    assert "began no more trials once they had taken 5m together" in told["sentence"]


def test_a_single_setting_and_no_search(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    assert searches(gather(run)) == []
    assert section(gather(run)) is None
    single = {"method": "grid", "trials": [], "chosen": {"rate": 1e-3, "steps": 9, "weight_decay": 0.0}}
    write(run / "results" / "finetune.json", {"labels": 8, "search": single})
    page = build(run).read_text()
    assert re.search(r'<table id="search-table".*not searched', page, re.S)


def test_the_classifier_of_another_task_is_none_of_the_comparison(tmp_path: Path) -> None:
    run = searched(make(tmp_path / "run", exhibits=False, compared=False))
    for name, more in (
        ("comparison", {"task": "classification", "data": "posts.csv"}),
        ("finetune", {"task": "tagging"}),
    ):
        file = run / "results" / f"{name}.json"
        write(file, {**json.loads(file.read_text()), **more})
    assert [entry["arm"] for entry in searches(gather(run))] == ["pretrained", "linear probe"]
    write(file, {**json.loads(file.read_text()), "task": "classification", "data": "posts.csv"})
    assert searches(gather(run))[0]["arm"] == KEPT


def test_the_classifier_of_other_labels_is_none_of_the_comparison(tmp_path: Path) -> None:
    run = searched(make(tmp_path / "run", exhibits=False, compared=False))
    file = run / "results" / "finetune.json"
    one_class = {"classes": ["no", "yes"], "test": {"confusion": [[0, 9], [0, 5]]}}
    write(file, {**json.loads(file.read_text()), **one_class})  # of an earlier version, known by its classes
    assert [entry["arm"] for entry in searches(gather(run))] == ["pretrained", "linear probe"]
    assert "answers one class only" not in build(run).read_text()
    for name, fingerprint in (("comparison", "a"), ("finetune", "b")):
        file = run / "results" / f"{name}.json"
        write(file, {**json.loads(file.read_text()), "classes": ["no", "yes"], "labels_fingerprint": fingerprint})
    assert "answers one class only" not in build(run).read_text()
    write(file, {**json.loads(file.read_text()), "labels_fingerprint": "a"})
    assert "answers one class only" in build(run).read_text()


def test_one_trial_is_no_search(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    write(run / "results" / "comparison.json", {**comparison(ANIMALS, fractions=(5,)), "trials": 1})
    page = build(run).read_text()
    assert "No settings were searched, since 1 trial leaves no choice" in page
    assert "label budget" not in page


def test_the_page_says_whose_labels_chose_the_settings() -> None:
    found = {**comparison(ANIMALS, fractions=(5,)), "trials": 2}
    once = "once, on labels of the first seed that come out of its label budget."
    assert method({**found, "seeds": [0]}).endswith(once)
    told = method({**found, "seeds": [0, 1]})
    assert f"with 2 trials for every arm and number of labels, {once} The other seeds reuse them" in told
    assert told.endswith("the intervals over seeds leave out how much that choice varies.")
    tried = [{"features": "words", "strength": 1.0, "validation": 0.5}] * 6
    arms = {"tfidf": {"title": "TF-IDF, linear model", "short": "TF-IDF"}}
    more = method({**found, "arms": arms, "search": [{"arm": "tfidf", "labels": 15, "trials": tried}]})
    assert "for every arm and number of labels (TF-IDF 6), once" in more
