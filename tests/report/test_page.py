"""The report as Chromium renders it: its parts, its layout, and no script error."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from chromium import FOUND, dump, errors, laid_out
from made_up_run import ANIMALS, comparison, end_early, make, write

from foretell.errors import InputError
from foretell.report import build, page
from foretell.report.about import versions
from foretell.report.charts import curve
from foretell.report.gather import gather
from foretell.report.glossary import WORDS

needs_chromium = pytest.mark.skipif(FOUND is None, reason="no Chromium is installed")

ODD = ["<script>alert(1)</script>", "a long name " + "x" * 68, 'tabby & "tom" \' cats', "日本語の猫"]
FIFTY = [f"class {place:02d} of fifty" for place in range(50)]
RESULTS = ("label-efficiency", "measures", "labels-saved", "reaching-scratch", "confusion-matrix")
PARTS = (
    *RESULTS, "data", "hidden", "training", "shortcuts", "neighbours", "embedding-map", "cost", "method", "words", "use",
)  # fmt: skip


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="([^"]+)"', page)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(make(tmp_path_factory.mktemp("report") / "animals"))


@needs_chromium
def test_every_part_is_rendered_in_order_and_no_script_fails(whole: Path) -> None:
    dom = dump(whole)
    assert errors(dom) == ""
    order = [
        "label-efficiency", "measures", "labels-saved", "reaching-scratch", "data", "hidden", "training", "shortcuts",
        "neighbours", "embedding-map", "confusion-matrix", "cost", "method", "words", "use",
    ]  # fmt: skip
    assert sections(dom) == order
    head = dom[: dom.index("<main")]
    assert "What pretraining was worth on animals</h1>" in head
    assert "Pretraining was worth it with 10, 20, 50, 100 and 200 labels" in head
    assert head.count("<dt ") == 5
    for name in (
        "efficiency", "efficiency-narrow", "saved", "reaching", "loss", "rate", "speed", "health-rankme", "health-deviation",
        "health-alignment", "health-uniformity", "monitor-0", "knn", "map", "confusion", "spent",
    ):  # fmt: skip
        assert re.search(rf'<svg id="{name}"[^>]*role="img"[^>]*>\s*<title id="{name}-title">[^<]+</title>', dom), name
    assert 'id="views" src="data:image/png;base64,' in dom
    assert 'id="neighbours-picture" src="data:image/png;base64,' in dom
    for name in ("efficiency", "reaching", "probe", "retrieval", "confused", "cost", "search", "shortcuts"):
        assert f'<table id="{name}-table"' in dom
    assert "temperature = 0.5" in dom
    assert "timm.create_model" in dom


@needs_chromium
@pytest.mark.parametrize("width", [1280, 500])
def test_nothing_is_cut_off_or_overlaps(whole: Path, width: int) -> None:
    found = laid_out(whole, width)
    assert found["outside"] == []
    assert found["broken"] == []
    assert found["wide"] <= found["shown"] <= width
    assert found["names"] == 4
    assert found["touching"] == 0
    assert found["verdict"] < 700, "the verdict is what is seen first"


@needs_chromium
def test_a_failing_script_and_a_foreign_one_are_seen(whole: Path, tmp_path: Path) -> None:
    text = whole.read_text()
    (tmp_path / "refused.html").write_text(text.replace("</main>", "<script>window.ran = 1</script></main>"))
    assert "refused: script-src" in errors(dump(tmp_path / "refused.html"))
    opened = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    broken = "<script>throw new Error('planted')</script>"
    (tmp_path / "broken.html").write_text(opened.replace("</main>", f"{broken}</main>"))
    assert "planted" in errors(dump(tmp_path / "broken.html"))


@needs_chromium
def test_names_from_data_are_text_and_long_ones_fit(tmp_path: Path) -> None:
    page = build(make(tmp_path / "run", classes=ODD))
    found = laid_out(page, 500)
    assert len(re.findall(r"<script\b", found["dom"])) == 2, "the page's own script and the one that measures"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found["dom"]
    assert found["outside"] == []
    assert found["wide"] <= found["shown"]


@needs_chromium
def test_fifty_classes_fit(tmp_path: Path) -> None:
    page = build(make(tmp_path / "run", classes=FIFTY))
    found = laid_out(page, 500)
    assert found["wide"] <= found["shown"]
    text = page.read_text()
    assert text.count('class="spots ') == 50
    assert len(re.findall(r'<li class="g\d+"', text)) == 50


@needs_chromium
@pytest.mark.parametrize("state", ["running", "failed"])
def test_an_unfinished_run_shows_what_it_has(tmp_path: Path, state: str) -> None:
    page = build(make(tmp_path / "run", state=state, heartbeat=time.time()))
    dom = dump(page)
    assert errors(dom) == ""
    assert sections(dom) == ["data", "hidden", "training", "words", "missing", "use"]
    assert f"foretell pretrain --resume {tmp_path / 'run'}" in dom
    assert "timm.create_model" not in dom, "there is no encoder yet"
    told = {"running": "Pretraining is at step 610 of 1,840", "failed": "the loss is not finite at step 610"}
    assert told[state] in dom[: dom.index("<main")]


def test_a_run_that_ended_early_says_so_and_of_which_step_its_weights_are(tmp_path: Path) -> None:
    page = build(end_early(make(tmp_path / "run", exhibits=False, compared=False)))
    text = page.read_text()
    assert ">stopped early at step 1,010 of 1,840; weights of step 400</span>" in text
    assert "Pretraining stopped early at step 1,010 of 1,840 in 4 min 51 s, and its embeddings are healthy. " in text
    assert "Its weights are those of step 400, the best round." in text
    assert "83.2% at step 400, whose weights are kept; 90.8% at the end" in text
    told = json.loads((page.parent / "report.json").read_text())
    assert told["steps"] == "1,010 of 1,840, stopped early; weights of step 400"
    assert told["health"]["step"] == 400
    assert told["monitors"]["kNN accuracy"] == pytest.approx(0.832, abs=0.001)
    assert (
        "- steps: 1,010 of 1,840, stopped early; weights of step 400\n" in (page.parent / "MODEL_CARD.md").read_text()
    )


def test_a_run_that_was_interrupted_is_not_said_to_have_stopped_early(tmp_path: Path) -> None:
    text = build(make(tmp_path / "run", state="stopped", exhibits=False)).read_text()
    assert ">interrupted, can be resumed</span>" in text
    assert "stopped early" not in text


def test_measured_figures_are_rounded_and_those_not_known_left_out(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    facts = json.loads((run / "facts.json").read_text())
    facts["measured"] |= {"seconds_per_step": None, "flops_per_sample": 153547264.0}
    (run / "facts.json").write_text(json.dumps(facts))
    rows = dict(versions(gather(run)))
    assert "measured: seconds per step" not in rows
    assert (rows["measured: flops per sample"], rows["measured: steps of the budget"]) == ("153,547,264", "1,840")


def test_the_words_that_a_page_uses_are_explained(whole: Path, tmp_path: Path) -> None:
    def explained(page: Path) -> set[str]:
        text = page.read_text()
        told = text[text.index('<dl class="words">') :]
        return set(re.findall(r"<dt>([^<]+)</dt>", told[: told.index("</dl>")]))

    every = explained(whole)
    of_text = {"passages", "scores", "near_words"}
    absent = {
        "Sensitivity, specificity",
        "Brier score, calibration error (ECE)",
    }  # measures that this comparison has not
    assert every == {word for word, sections, _ in WORDS if not set(sections) & of_text} - absent
    assert {"From scratch", "95% interval", "AUROC", "Recall@k, mAP", "FLOP"} <= every
    few = explained(build(make(tmp_path / "run", classes=[])))
    assert {"Pretraining", "RankMe, collapse", "FLOP"} <= few
    assert not few & {"From scratch", "95% interval", "AUROC", "Recall@k, mAP"}


def test_a_run_without_labels_names_the_commands_that_add_the_rest(tmp_path: Path) -> None:
    page = build(make(tmp_path / "my run", classes=[])).read_text()
    assert set(sections(page)) == {
        "data",
        "hidden",
        "training",
        "shortcuts",
        "neighbours",
        "embedding-map",
        "cost",
        "words",
        "missing",
        "use",
    }
    assert "finetune &#39;" in page, "a path with a space is quoted"
    assert "--labels labels.csv" in page
    assert "What it is worth with few labels has not been measured yet." in page


def test_what_is_there_is_not_called_missing(whole: Path) -> None:
    assert "missing" not in sections(whole.read_text())
    assert json.loads((whole.parent / "report.json").read_text())["missing"] == []


@pytest.mark.parametrize(
    ("gone", "section", "command"),
    [
        ("results/map.json", "embedding-map", "foretell embed"),
        ("results/comparison.json", "label-efficiency", "foretell finetune"),
        ("results/shortcuts.json", "shortcuts", None),
        ("exhibits/views.png", None, "foretell pretrain --recipe"),
        ("exhibits/neighbours.png", None, "foretell neighbours"),
        ("facts.json", "data", None),
        ("metrics.jsonl", "training", None),
    ],
)
def test_a_missing_part_is_left_out_and_named(
    whole: Path, tmp_path: Path, gone: str, section: str | None, command: str | None
) -> None:
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(whole.parent, copy)
    (copy / gone).unlink()
    page = build(copy).read_text()
    if section is not None:
        assert section not in sections(page)
    if command is not None:
        assert f"<code>{command} {copy}" in page


def test_the_page_needs_nothing_from_elsewhere(whole: Path) -> None:
    text = whole.read_text()
    links = re.findall(r"""(?:src|href|srcset|data|action)\s*=\s*["']([^"']*)["']""", text)
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert not re.search(r"url\(|@import|@font-face", text)
    assert "default-src 'none'" in text.replace("&#39;", "'")
    assert whole.stat().st_size < 2_000_000


def test_the_json_beside_the_page_holds_its_numbers(whole: Path) -> None:
    told = json.loads((whole.parent / "report.json").read_text())
    source = json.loads((whole.parent / "results" / "comparison.json").read_text())
    assert told["summary"] == source["summary"]
    assert told["verdict"] == source["verdict"]
    assert told["key_labels"] == 50
    pretrained = next(
        row for row in source["summary"] if (row["arm"], row["labels"], row["metric"]) == ("pretrained", 50, "accuracy")
    )
    assert told["figures"][0] == {
        "title": "Pretrained",
        "value": f"{100 * pretrained['mean']:.1f}%",
        "note": f"{100 * pretrained['low']:.1f} to {100 * pretrained['high']:.1f} (5 seeds); "
        "accuracy with 50 labels (5 a class)",
    }


def test_what_another_test_part_or_one_seed_says_is_named(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    found: dict[str, Any] = comparison(ANIMALS)
    found["test"] = {"samples": 27, "split": "at random", "unlabelled": 43}
    found["frozen_test"] = {"samples": 70, "split": "at random"}
    (run / "results" / "comparison.json").write_text(json.dumps(found))
    text = re.sub(r"\s+", " ", build(run).read_text())
    assert "Every score of the comparison is on the same 27 test images (at random), never" in text
    assert "the same 27 test images (at random), never trained on; 43 more have no label and are left out." in text
    assert "retrieval were evaluated apart from that, on 70 test images (at random)." in text
    assert "The score that training from scratch ends at in the first seed: fine-tuning" in text
    assert "arm with 100 labels in the first seed, on the test images" in text
    assert "lines: 95% intervals over the test images" in text


def test_an_accuracy_of_a_player_is_no_loss(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    step = {"kind": "step", "total": 2.0, "discriminator.total": 1.9, "discriminator.accuracy": 0.4}
    (run / "metrics.jsonl").write_text("".join(json.dumps({**step, "step": at}) + "\n" for at in (1, 2)))
    text = build(run).read_text()
    assert "<b>Foretold rightly (pretext task)</b>" in text
    assert text.index("discriminator</text>") < text.index("discriminator right</text>")
    assert "discriminator.total" not in text


def test_the_loss_stands_beside_that_of_foretelling_nothing(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    assert "foretelling nothing costs" not in build(run).read_text()
    facts = json.loads((run / "facts.json").read_text())
    (run / "facts.json").write_text(json.dumps({**facts, "chance_loss": 2.0794}))
    assert re.search(r"<b>Loss</b> foretelling nothing costs 2\.08", build(run).read_text())


def test_a_share_has_whole_ticks_that_are_possible(tmp_path: Path) -> None:
    for values, expected in (([0.979, 0.979], ["96%", "97%", "98%", "99%"]), ([1.0, 1.0], ["99%", "100%"])):
        lines = [{"step": step, "value": value} for step, value in enumerate(values)]
        drawn = str(curve("probe", "probe", lines, {"value": "probe"}, share=True, until=1))
        assert re.findall(r">(\d+%)<", drawn) == expected
        assert re.findall(r">(\d+)<", drawn) == ["0", "1"]


def test_every_number_of_labels_says_whether_scratch_is_reached(whole: Path) -> None:
    section = whole.read_text().partition('<section id="reaching-scratch"')[2].partition("</section>")[0]
    assert "reaches it with 10 and 50 labels and does not reach it with 500 labels" in section
    rows = re.findall(r"<tr><th scope=\"row\">([^<]*)</th>(.*?)</tr>", section.replace("\n", ""))
    assert [(name, "not reached" in cells) for name, cells in rows] == [("10", False), ("50", False), ("500", True)]
    assert "With 50 labels." in section
    assert "and at the end on 500 of the 1,943 test images" in section
    assert "the looks during a fit are on 500 of them" in whole.read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"classes": [f"kind {number}" for number in range(65)]},
            "The confusion matrix: one of 65 classes is too large",
        ),
        ({"metric": "auroc", "knn": {}, "linear_probe": {}}, "The confusion matrix: images have several findings here"),
        ({"metric": "macro_f1", "findings": True, "knn": {}, "linear_probe": {}}, "images have several findings here"),
    ],
)
def test_what_no_command_would_add_is_said_with_its_reason(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    write(run / "results" / "comparison.json", {**comparison(ANIMALS), "confusion": None, **change})
    page = build(run).read_text()
    assert said in page
    told = json.loads((run / "report.json").read_text())
    offered = [entry["part"].lower() for entry in told["missing"]]
    assert not [part for part in offered if "confusion" in part or ("metric" in change and "scores" in part)]
    assert told["left_out"]


def test_classes_led_by_auroc_are_not_taken_for_findings(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    for kept in ({}, {"findings": False}):
        write(run / "results" / "comparison.json", {**comparison(ANIMALS), "metric": "auroc", **kept})
        page = build(run).read_text()
        assert "several findings" not in page
        assert "Auroc" not in page


def test_one_seed_and_one_number_of_labels(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    found: dict[str, Any] = comparison(ANIMALS, fractions=(5,))
    for row in found["summary"] + found["paired"]:
        row |= {"low": None, "high": None, "n": 1}
    for row in found["paired"]:
        row["verdict"] = "undecided"
    found |= {"seeds": [0], "labels_saved": None, "to_reach_scratch": None, "confusion": None, "search": []}
    write(run / "results" / "comparison.json", found)
    page = build(run).read_text()
    assert "One seed was run, so that no interval can be given" in page
    assert 'id="efficiency"' in page
    assert "NaN" not in page
    assert not {"labels-saved", "reaching-scratch", "confusion-matrix"} & set(sections(page))


def test_a_report_is_a_function_of_the_run(whole: Path) -> None:
    first = whole.read_bytes()
    assert build(whole.parent).read_bytes() == first


def test_not_a_run_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        build(tmp_path)
    run = make(tmp_path / "run", exhibits=False)
    (run / "results" / "comparison.json").write_text('{"metric": ')
    with pytest.raises(InputError, match=r"comparison\.json: not valid JSON .*delete it"):
        build(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results/comparison.json", {"summary": "x", "rows": "x", "test": "x"}),
        ("results/neighbours.json", {"queries": [1], "rows": [1]}),
        ("status.json", {"heartbeat": 1e300}),
    ],
)
def test_a_file_of_another_form_is_named_and_the_report_stays(
    tmp_path: Path, name: str, content: dict[str, object]
) -> None:
    run = make(tmp_path / "run", exhibits=False)
    before = build(run).read_bytes()
    kept = json.loads((run / name).read_text()) if (run / name).is_file() else {}
    (run / name).write_text(json.dumps({**{key: [1] for key in kept}, **content}))
    with pytest.raises(
        InputError, match=rf"{name}: no report can be made .*; where it was edited, delete it and run the verb"
    ) as raised:
        build(run)
    assert "\n" not in str(raised.value)
    assert (run / "report.html").read_bytes() == before
    (run / name).unlink()
    build(run)


def test_a_fault_of_the_report_itself_is_not_put_on_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise TypeError("a fault")

    monkeypatch.setattr(page, "model_card", faulty)
    with pytest.raises(TypeError, match="a fault"):
        build(make(tmp_path / "run", exhibits=False))


def test_the_commonest_class_stands_beside_accuracies(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    found: dict[str, Any] = {
        **comparison(["no", "yes"]),
        "confusion": {"arm": "pretrained", "matrix": [[0, 13], [0, 24]]},
    }
    write(run / "results" / "comparison.json", found)
    write(run / "results" / "finetune.json", {"classes": ["no", "yes"], "test": {"confusion": [[0, 13], [0, 24]]}})
    page = build(run).read_text()
    assert "the commonest class alone, yes, has accuracy 64.9%</caption>" in page
    assert "The classifier kept answers one class only on the test part: yes." in page
    write(run / "results" / "comparison.json", {**found, "commonest": {"class": "no", "share": 0.7}, "confusion": {}})
    write(run / "results" / "finetune.json", {"classes": ["no", "yes"], "test": {"confusion": [[1, 12], [0, 24]]}})
    page = build(run).read_text()
    assert "the commonest class alone, no, has accuracy 70.0%</caption>" in page
    led = {**found, "metric": "balanced_accuracy"}
    write(run / "results" / "comparison.json", led)
    assert "the commonest class alone, yes, has balanced accuracy 50.0%</caption>" in build(run).read_text()
    assert "answers one class only" not in page


def test_neighbours_drawn_before_labels_were_given_say_so(tmp_path: Path) -> None:
    run = make(tmp_path / "run", classes=[])
    assert "No labels were given, so only the eye can judge." in build(run).read_text()
    write(run / "results" / "comparison.json", comparison(ANIMALS))
    page = build(run).read_text()
    assert "It was drawn before labels were given, so only the eye can judge." in page
    assert "No labels were given" not in page


def test_neighbours_without_a_label_are_not_counted(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    row = {"query": 0, "neighbours": [1, 2, 3], "same": [True, None, False]}
    write(run / "results" / "neighbours.json", {"rows": [row]})
    page = build(run).read_text()
    assert "1 of the 2 labelled neighbours shown have the class of their query." in page
    assert "Four orange corners: another class. No frame: no label." in page


def test_scores_while_training_say_on_what_they_are(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    said = "These scores are on labelled images of the training part, from which pretraining learns too"
    assert said not in build(run).read_text()
    lines = [json.dumps({"kind": "monitor", "step": step, "name": "knn", "value": 0.3}) for step in (0, 1840)]
    with (run / "metrics.jsonl").open("a") as log:
        log.write("\n".join(lines) + "\n")
    assert said in build(run).read_text()


def test_pictures_of_images_that_were_learnt_from_say_so(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    few = "They are images of the training part, from which pretraining learnt: few are held out."
    most = "They are of all the images of the run, from most of which pretraining learnt."
    for part, said in ((None, (0, 0)), ("test", (0, 0)), ("train", (2, 0)), ("all", (1, 1))):
        for name, of in (("neighbours", part), ("map", "train" if part == "all" else part)):
            found = json.loads((run / "results" / f"{name}.json").read_text())
            write(run / "results" / f"{name}.json", {**found, "part": of})
        page = build(run).read_text()
        assert (page.count(few), page.count(most)) == said, part


def test_retrieval_that_leaves_out_a_group_says_so(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    found: dict[str, Any] = comparison(ANIMALS)
    said = "Finding images of the same kind by cosine similarity"
    for apart, more in (
        (False, ""),
        (True, ". By class, images of a query&#39;s own group (patient or case) are left out"),
    ):
        for one in found["retrieval"].values():
            one["class"]["apart"] = apart
        write(run / "results" / "comparison.json", found)
        assert f"{said}{more}</caption>" in build(run).read_text()
