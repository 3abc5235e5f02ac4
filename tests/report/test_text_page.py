"""The report of runs on text and on words, from run folders whose numbers are made up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import FOUND, dump, errors, laid_out
from made_up_run import comparison, write

from foretell.report import build, lines
from foretell.report.exhibits import write_map
from foretell.run import Run

needs_chromium = pytest.mark.skipif(FOUND is None, reason="no Chromium is installed")

ODD = "<b>a & b</b>"
GAP = {"text": " garden", "guesses": [["garden", 0.62], ["school", 0.2], [ODD, 0.1]], "share": 0.62, "right": True}
MISSED = {"text": " sings", "guesses": [["learns", 0.4], ["sings", 0.3]], "share": 0.3, "right": False}
PASSAGE = [{"text": "In"}, {"text": " the"}, GAP, {"text": f" {ODD}"}, MISSED, {"text": "."}]
SURPRISE = [{"text": f" word{i}", "share": i / 60, "guesses": [["other", 0.3]]} for i in range(56)]


def text_run(path: Path, *, causal: bool = False, held: bool = True) -> Path:
    path.mkdir(parents=True)
    name = "gpt" if causal else "bert"
    (path / "recipe.toml").write_text(f'[data]\nsource = "notes.txt"\n[objective]\nname = "{name}"\nlength = 64\n')
    data = {"source": "notes.txt", "kind": "text", "count": 200, "sentences": 900, "tokens": 9000, "vocabulary": 500}
    data |= {"rows": 150, "filled": 0.9, "notes": ["1 file"], "train": 190, "test": 10, "split": "10 held out"}
    write(
        path / "facts.json",
        {
            "data": data,
            "objective": {"name": name, "kind": "text", "hides": "words", "foretells": "which", "paper": "a paper"},
            "encoder": {"name": name, "dim": 128, "parameters": 1000},
            "cost": {"seconds": 50.0, "samples": 1000},
        },
    )
    write(path / "status.json", {"state": "finished", "step": 100, "steps": 100})
    write(path / "encoder" / "config.json", {})
    logged = [
        {"kind": "step", "step": step, "total": 5.0 - step / 50, "samples_per_second": 20.0} for step in range(1, 101)
    ]
    logged += [
        {"kind": "sample", "step": s, "given": "In the [MASK]", "foretold": f"guess {s}"} for s in (0, 50, 50, 100)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in logged))
    if held:
        found: dict[str, Any] = {"documents": 10}
        found["words"] = {"perplexity": 35.2, "right": 0.43, "guess": {"perplexity": 812.0, "right": 0.05}}
        if not causal:
            found["sentences"] = {"right": 0.81, "guesses": {"base": 0.52, "length": 0.55, "topic": 0.77}}
        write(path / "results" / "text.json", found)
    reading = {"held_out": held, **({"surprise": [SURPRISE]} if causal else {"masked": [PASSAGE, PASSAGE]})}
    if not causal:
        pairs = [{"first": "Once home", "second": ODD, "follows": True, "share": 0.9}]
        reading["pairs"] = [*pairs, {"first": "A", "second": "B", "follows": False, "share": 0.8}]
    write(path / "results" / "reading.json", reading)
    write(path / "results" / "completions.json", {"held_out": held, "examples": [["Once upon", "a time it was"]]})
    return path


def words_run(path: Path, *, measured: bool = True) -> Path:
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text('[data]\nsource = "notes.txt"\n[objective]\nname = "word2vec"\n')
    objective = {
        "name": "word2vec",
        "kind": "words",
        "hides": "a word",
        "foretells": "which",
        "paper": "a paper",
        "shown": "Left what is shown.",
        "examples": [["shown", "foretold"], ["cat", ODD]],
    }
    data = {
        "source": "notes.txt",
        "kind": "text",
        "count": 200,
        "tokens": 9000,
        "vocabulary": 500,
        "filled": 0.8,
        "split": "4 held out",
    }
    cost = {"seconds": 50.0, "samples": 45000}
    write(path / "facts.json", {"data": data, "objective": objective, "encoder": {"dim": 100}, "cost": cost})
    write(path / "status.json", {"state": "finished", "step": 100, "steps": 100})
    write(path / "encoder" / "vectors.bin", {})
    (path / "metrics.jsonl").write_text("")
    found: dict[str, Any] = {"held_out_loss": 2.4, "chance": 4.16, "words_per_second": 900.0}
    found["neighbours"] = [{"word": "river", "neighbours": [["sea", 0.8], [ODD, 0.7]]}]
    if measured:
        bounds = {"mean": 0.512, "low": 0.41, "high": 0.6, "n": 117}
        found["similarity"] = {
            "file": "wordsim353.tsv",
            "pairs": 353,
            "known": 117,
            "spearman": bounds,
            "pearson": bounds,
        }
        section = {"name": "family", "questions": 506, "known": 90, "accuracy": {"mean": 0.25, "low": 0.2, "high": 0.3}}
        none = {"name": "currency", "questions": 866, "known": 0, "accuracy": {"mean": None, "low": None, "high": None}}
        found["analogies"] = {
            "file": "q.txt",
            "sections": [section, none],
            "kinds": [],
            "total": {**section, "name": "all"},
        }
    write(path / "results" / "words.json", found)
    rng = np.random.default_rng(0)
    names = [f"word{i}" if i % 7 else ODD for i in range(90)]
    write_map(Run.read(path), rng.normal(size=(90, 12)), np.arange(90) % 4, ["a", "b", "c", "d"], names=names)
    return path


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="([^"]+)"', page)


def test_hidden_words_are_shown_with_what_was_foretold(tmp_path: Path) -> None:
    page = build(text_run(tmp_path / "run")).read_text()
    assert sections(page)[:4] == ["foretold", "passages", "growth", "pairs"]
    head = page[: page.index("<main")]
    assert "it foretells 43.0% of the hidden words, where the most frequent one is right in 5.0%" in head
    assert (
        "tells rightly in 81.0% of the pairs; topics alone tell it in 77.0% and the more frequent answer tells it in 52.0%."
        in head
    )
    assert "<span>77.0% by topics alone, 52.0% by the more frequent answer</span>" in head
    assert "Of those shown, half stand so in a document" in page
    assert "1,150" in head, "tokens a second: rows of 64, nine tenths full"
    body = page[page.index("<main") :]
    assert 'title="garden 62%, school 20%, &lt;b&gt;a &amp; b&lt;/b&gt; 10%">garden<small dir="ltr">62%</small>' in body
    assert '<span class="gap wrong" style="--p:0.4" title="learns 40%, sings 30%">learns' in body
    assert '<s class="was" title="its probability: 30.0%">sings</s>' in body
    assert ODD not in page
    assert "90% that it follows; it does" in re.sub(r"<[^>]+>", "", body)
    assert "80% that it follows; it is from elsewhere" in re.sub(r"<[^>]+>", "", body)
    steps = re.findall(r"<dt>step (\d+)</dt><dd[^>]*>guess (\d+)</dd>", body)
    assert steps == [("0", "0"), ("50", "50"), ("100", "100")]
    for part in ("label-efficiency", "neighbours", "written"):
        assert f'id="{part}"' not in page
    assert "Images" not in page
    assert " image" not in page[page.index("<main") :]
    assert "run --data posts.csv</code> would add it" in page
    told = lines(tmp_path / "run")
    assert "Hidden words foretold: 43.0%" in told
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "pipeline_tag: fill-mask" in card
    assert "text of at most 64 tokens, of a vocabulary of 500" in card


@pytest.mark.parametrize("causal", [False, True])
def test_a_text_runs_from_the_side_that_its_letters_say(causal: bool, tmp_path: Path) -> None:
    page = build(text_run(tmp_path / "run", causal=causal)).read_text()
    texts = re.findall(r'<p class="passage[^>]*>|<li[^>]*><b>|<dd[^>]*>guess|<p[^>]*>Once home', page)
    assert len(texts) >= 5
    assert all('dir="auto"' in tag for tag in texts), texts


def test_the_title_names_what_was_learnt_from_and_what_labels_judged(tmp_path: Path) -> None:
    for labelled, title in (
        ("in/posts.csv", "What pretraining on notes.txt was worth on posts.csv"),
        ("in/notes.txt", "What pretraining was worth on notes.txt"),
    ):
        run = text_run(tmp_path / labelled.rpartition("/")[2])
        write(run / "results" / "comparison.json", comparison(["a", "b"]) | {"data": labelled})
        assert f"{title}</h1>" in build(run).read_text()


def test_a_decoder_shows_how_likely_each_token_was_and_writes_on(tmp_path: Path) -> None:
    page = build(text_run(tmp_path / "run", causal=True)).read_text()
    assert sections(page)[:4] == ["foretold", "passages", "written", "growth"]
    assert 'style="--p:0.707" title="50.0%; foretold: other 30%">word30</span>' in page
    assert '<b class="new">a time it was</b>' in page
    assert "foretells 43.0% of the next tokens" in page
    assert "pipeline_tag: text-generation" in (tmp_path / "run" / "MODEL_CARD.md").read_text()


def test_what_was_not_held_out_is_said(tmp_path: Path) -> None:
    page = build(text_run(tmp_path / "run", held=False)).read_text()
    assert "Passages that it has learnt from: none was held out." in page
    assert 'id="foretold"' not in page
    assert "Pretraining finished 100 steps in 50 s" in page


def test_words_are_shown_with_their_neighbours_on_a_map(tmp_path: Path) -> None:
    page = build(words_run(tmp_path / "run")).read_text()
    assert re.search(r"36,000 in all,\s+ends of sentences left out", page)
    assert sections(page)[:3] == ["near-words", "word-map", "analogies"]
    assert "a rank correlation of 0.51 over 117 pairs of wordsim353.tsv" in page
    assert "sea 0.8, &lt;b&gt;a &amp; b&lt;/b&gt; 0.7" in page
    assert page.count(">word8</text>") == 2, "on the map of a wide and of a narrow screen"
    assert ODD not in page
    assert 'id="embedding-map"' not in page
    assert 'id="missing"' not in page
    assert "From this text, with the widest window" in page
    assert "KeyedVectors.load_word2vec_format" in page
    numbers = json.loads((tmp_path / "run" / "report.json").read_text())
    assert numbers["words"]["similarity"]["known"] == 117
    less = build(words_run(tmp_path / "less", measured=False)).read_text()
    assert "less --similarity wordsim353.tsv" in less
    assert "less --analogies questions-words.txt" in less


@needs_chromium
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["masked", "causal", "words"])
def test_pages_fit_their_screen(kind: str, width: int, tmp_path: Path) -> None:
    run = words_run(tmp_path / "run") if kind == "words" else text_run(tmp_path / "run", causal=kind == "causal")
    page = build(run)
    assert errors(dump(page, width)) == ""
    found = laid_out(page, width)
    assert found["outside"] == []
    assert found["broken"] == []
    assert found["wide"] <= found["shown"]
