"""The claims on word vectors end to end at toy sizes, and what their own measures answer where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from working import works_out

from foretell import claims
from foretell.claims.chance import chi_square
from foretell.claims.lab import Lab
from foretell.claims.words import (
    runs,
    word2vec_analogy,
    word2vec_classes,
    word2vec_exact,
    word2vec_pmi,
    word2vec_subsampling,
)
from foretell.data.text.words import END, WordStore

NAMES = [name for name in claims.names() if name.startswith("word2vec-")]
TOPICS = {
    "sea": ["wave", "shore", "salt", "tide", "reef", "gull"],
    "sky": ["cloud", "wind", "star", "moon", "owl", "eagle"],
}


def some_texts() -> runs.Texts:
    """Documents that are of one topic each, and of common words."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(120):
        known = [*list(TOPICS.values())[number % 2], "the", "and"]
        found.append([[str(word) for word in rng.choice(known, 9)] for _ in range(3)])
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory):
    patch = pytest.MonkeyPatch()
    patch.setenv("FORETELL_CACHE", str(tmp_path_factory.mktemp("cache")))
    texts = some_texts()
    for module, name, value in (
        (runs, "texts", lambda: texts),
        (runs, "labels", lambda: [list(TOPICS)[number % 2] for number in range(len(texts))]),
        (runs, "DIM", 16),
        (runs, "EPOCHS", 2),
        (word2vec_subsampling, "RARE", 1000),
        (word2vec_analogy, "PAIRS", {"place and thing": "wave cloud, shore wind, salt star"}),
        (word2vec_pmi, "OFTEN", 1.0),
        (word2vec_pmi, "NEAREST", 3),
        (word2vec_pmi, "STEPS", 5),
        (word2vec_exact, "SENTENCES", 400),
    ):
        patch.setattr(module, name, value)
    yield runs.know(Lab(tmp_path_factory.mktemp("lab"), device="cpu"))
    patch.undo()


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_works_out(name: str, lab: Lab) -> None:
    works_out(name, lab, minutes=10)


def test_the_kernels_are_exact_without_training(lab: Lab) -> None:
    """These are facts of the code, not of what is learnt: they hold at any size."""
    outcomes = {finding.what: finding.outcome for finding in claims.get("word2vec-exact")(seeds=(0, 1, 2)).work(lab)}
    assert set(outcomes.values()) == {"holds"}, outcomes


def test_a_radius_is_read_off_the_outputs(lab: Lab) -> None:
    store = lab.any_store(runs.FREQUENT)
    assert isinstance(store, WordStore)
    drawn, expected = word2vec_exact.radii_drawn(store, 0)
    assert drawn.sum() == expected.sum() == word2vec_exact.SENTENCES
    assert (drawn > 0).all()


def test_noise_of_other_chances_is_found_out(lab: Lab) -> None:
    store = lab.any_store(runs.FREQUENT)
    assert isinstance(store, WordStore)
    drawn, _ = word2vec_exact.noise_drawn(store, 0)
    assert drawn.sum() > 1000
    flat = np.full(len(drawn), drawn.sum() / len(drawn))
    flat[0] *= 1.5
    statistic, bound = chi_square(drawn, flat * drawn.sum() / flat.sum())
    assert statistic > bound


def test_classes_are_the_topics_of_words(lab: Lab) -> None:
    store = lab.any_store(runs.SOURCE)
    assert isinstance(store, WordStore)
    rows, codes = runs.classes(store.words)
    names = sorted(TOPICS)
    assert {store.words[row]: names[code] for row, code in zip(rows, codes, strict=True)} == {
        word: topic for topic, known in TOPICS.items() for word in known
    }


def test_the_gap_and_agreement_of_known_vectors() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    codes = np.array([0, 0, 1, 1])
    assert word2vec_classes.gap(vectors, codes) == pytest.approx(100)
    assert runs.agreement(vectors, codes) == 100
    assert word2vec_classes.gap(vectors, np.array([0, 1, 0, 1])) == pytest.approx(-50)
    assert runs.agreement(vectors, np.array([0, 1, 0, 1])) == 0
    assert runs.agreement(vectors, np.array([0, 0, 0, 1]), np.array([True, True, False, False])) == 100


def test_shuffling_keeps_words_and_lengths() -> None:
    texts = some_texts()
    mixed = runs.shuffled(texts)
    assert [[len(s) for s in d] for d in mixed] == [[len(s) for s in d] for d in texts]
    flat = [sorted(w for d in some for s in d for w in s) for some in (texts, mixed)]
    assert flat[0] == flat[1]
    assert mixed != texts


def test_pairs_of_a_window_are_counted_by_distance() -> None:
    ids = np.array([0, 1, 2, END, 2, 0, END], np.int32)
    store = WordStore("made", "x", ids, ids[:0], ["a", "b", "c"], np.array([2, 1, 2]), 5, {})
    found = word2vec_pmi.together(store, 2)
    assert np.array_equal(found, [[0, 1, 1.5], [1, 0, 1], [1.5, 1, 0]])
    information = word2vec_pmi.shifted(found, store.counts, 1)
    noise = np.array([2, 1, 2]) ** 0.75
    assert information[0, 1] == pytest.approx(np.log(1 / (2.5 * 1 / noise.sum())))
    assert information[0, 0] == -np.inf


def test_questions_are_of_every_two_pairs() -> None:
    known = {"france": 0, "french": 1, "spain": 2, "spanish": 3}
    asked = word2vec_analogy.questions("france french, spain spanish, egypt egyptian", known)
    assert asked.tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    unit = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    assert word2vec_analogy.nearest(unit, asked[:, :3]).tolist() == [3, 1]
