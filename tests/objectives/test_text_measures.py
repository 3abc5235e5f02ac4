"""What is measured on documents held out: a fair sample of them, and the guesses on the same pairs as the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from contract_text import made

from foretell.data.text.corpus import open_corpus
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import MASKED, TokenizerConfig, trained
from foretell.objectives.text import TextObjective
from foretell.objectives.text_measures import HeldOut, pair_guesses, word_guesses
from foretell.views.tokens import NOT_CHOSEN

ROWS = 120


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> TextObjective:
    """Pairs of documents of two to twelve sentences."""
    folder = tmp_path_factory.mktemp("documents")
    rng = np.random.default_rng(0)
    nouns = ["wave", "shore", "cloud", "star", "root", "clay", "owl", "elm"]
    with (folder / "documents.jsonl").open("w") as file:
        for _ in range(900):
            sentences = [f"There is a {' '.join(rng.choice(nouns, 4))}." for _ in range(int(rng.integers(2, 13)))]
            file.write(json.dumps({"text": "\n".join(sentences)}) + "\n")
    corpus = open_corpus(folder / "documents.jsonl", sentences="line")
    tokenizer = trained(corpus, TokenizerConfig(vocabulary=60), MASKED, folder)
    return made("bert pairs", open_tokens(corpus, tokenizer, cache=folder))


def test_the_rows_measured_are_like_all_of_them(objective: TextObjective) -> None:
    plan = objective.rows_of(0, 0)
    held = HeldOut(objective, objective.store, 1, ROWS)
    assert len(plan) > 4 * ROWS
    assert len(held.rows) == len(set(held.rows.tolist())) == ROWS
    for of in (plan.lengths, plan.examples.label):
        error = of.std() / np.sqrt(len(held.examples))
        assert abs(of[held.examples].mean() - of.mean()) < 3 * error
    # packing puts the longest into the first rows
    assert plan.lengths[plan.examples_of(np.arange(ROWS))].mean() > plan.lengths.mean() + 9 * plan.lengths.std() / ROWS
    assert np.array_equal(HeldOut(objective, objective.store, 1, ROWS).rows, held.rows)
    fewer = HeldOut(objective, objective.store, 1, ROWS // 2)
    assert set(fewer.rows.tolist()) < set(held.rows.tolist())


def test_all_rows_are_measured_where_there_are_not_more(objective: TextObjective) -> None:
    rows = len(objective.rows_of(0, 0))
    assert HeldOut(objective, objective.store, 1, rows + 1).rows.tolist() == list(range(rows))


def test_guesses_are_judged_on_the_pairs_of_the_network(objective: TextObjective) -> None:
    held = HeldOut(objective, objective.store, 1, ROWS)
    pairs = held.task(0, ROWS, next(objective.parameters()).device).hidden["pairs"]
    asked = pairs[pairs != NOT_CHOSEN].numpy()
    assert np.array_equal(np.sort(asked), np.sort(objective.rows_of(0, 0).examples.label[held.examples]))
    majority = int(objective.rows_of(0, 0).examples.label.mean() >= 0.5)
    guesses = pair_guesses(objective, held)
    assert guesses["base"] == pytest.approx((asked == majority).mean())
    assert set(guesses) == {"base", "length", "topic"}


def test_the_words_foretold_are_those_of_the_loss(objective: TextObjective) -> None:
    held = HeldOut(objective, objective.store, 1, ROWS)
    device = next(objective.parameters()).device
    parts = [held.task(start, start + 40, device).hidden["words"] for start in range(0, ROWS, 40)]
    assert np.array_equal(np.concatenate(parts), held.words())


def test_frequencies_of_a_decoder_know_the_end_of_documents(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [
        " ".join(rng.choice(["wave", "shore", "cloud", "star", "root"], int(rng.integers(1, 70)))) for _ in range(300)
    ]
    (tmp_path / "lines.txt").write_text("\n".join(words))
    corpus = open_corpus(tmp_path / "lines.txt", documents="line")
    tokenizer = trained(corpus, TokenizerConfig(vocabulary=270), ("end",), tmp_path)
    gpt = made("gpt", open_tokens(corpus, tokenizer, cache=tmp_path))
    foretold = HeldOut(gpt, gpt.store, 1, len(gpt.rows_of(0, 0))).words()
    asked = foretold[foretold != NOT_CHOSEN].numpy()
    assert (asked == gpt.store.specials["end"]).sum() > 250
    counts = 1 + np.bincount(asked, minlength=gpt.store.vocabulary)
    guess = word_guesses(gpt, foretold)
    assert guess["perplexity"] == pytest.approx(np.exp(-np.log(counts / counts.sum())[asked].mean()))
    assert guess["right"] == pytest.approx((asked == counts.argmax()).mean())
    assert 0 < sum(map(len, gpt.asked(2))) < len(asked)


def test_frequencies_of_an_encoder_are_those_of_its_text(objective: TextObjective) -> None:
    counts = 1 + np.bincount(objective.store.ids, minlength=objective.store.vocabulary)
    every = torch.from_numpy(objective.store.ids[:500].astype(np.int64))
    guess = word_guesses(objective, every)
    assert guess["perplexity"] == pytest.approx(np.exp(-np.log(counts / counts.sum())[every].mean()))
