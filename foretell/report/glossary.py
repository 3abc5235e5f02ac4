"""The report's words, in plain language, for a reader who does not train networks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

COMPARED = ("efficiency",)
FROZEN = ("probe", "neighbours", "retrieval")

# (word, sections of the page that use it (empty: every page), meaning)
WORDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Pretraining", (),
        "Learning from data alone: the network foretells a hidden part of what it is given, and learns from no label. Labels may "
        "choose after which step it ends; where they did, the page says how many.",
    ),
    (
        "Encoder, embedding", (),
        "What is kept, and the row of numbers it makes of a sample. Samples with similar numbers are alike to it.",
    ),
    ("Label", COMPARED, "The class a person gave to {a_sample}. 5 a class: five labelled {samples} of every class."),
    ("Fine-tuning", COMPARED, "Training the whole network further, on the labelled {samples}."),
    (
        "From scratch", COMPARED,
        "The same network, labelled {samples} and training, without the pretraining: what one would do otherwise.",
    ),
    (
        "Linear probe", (*COMPARED, "probe"),
        "The simplest classifier (a weighted sum of the embedding), with the encoder left as it is: what it knows already.",
    ),
    (
        "Random features", (*COMPARED, *FROZEN),
        "The same network untrained, its embedding used as it is: what the network's build alone is worth.",
    ),
    (
        "Seed", COMPARED,
        "One repetition, with other {samples} labelled and other random numbers. Their spread shows how much is chance.",
    ),
    (
        "95% interval", COMPARED,
        "A range made so that 95 of 100 such ranges hold the true mean. Where that of a difference holds zero, the "
        "difference may be chance: undecided.",
    ),
    ("Accuracy", (*COMPARED, *FROZEN), "The share of test {samples} whose class is named rightly."),
    (
        "Balanced accuracy", ("probe", "measures"),
        "The accuracy within each class (its sensitivity), averaged over classes, so that a rare class counts as much.",
    ),
    (
        "Macro-F1", ("probe", "measures"),
        "For each class, how many of its {samples} are found and how many so named are right, in one number (their harmonic "
        "mean); averaged over classes.",
    ),
    (
        "AUROC", ("probe", "measures"),
        "How often {a_sample} of a class gets a higher score for it than {a_sample} of another class: 50% is guessing.",
    ),
    (
        "Sensitivity, specificity", ("measures",),
        "The share of {samples} of a class that are found, and of the others that are left alone, above a score (threshold) that "
        "was fixed on held-out labels; averaged over classes.",
    ),
    (
        "Brier score, calibration error (ECE)", ("measures",),
        "How far the foretold probabilities are from what came true, and how far the certainty is from the share of right "
        "answers. Lower is better.",
    ),
    (
        "Trial, validation", ("search",),
        "One choice of settings, tried on a part of the labels and judged on the rest (validation), never on test {samples}. "
        "What was best on the first seed's labels serves the other seeds, too. Pruned: given up on the way.",
    ),
    (
        "Nearest neighbours", ("neighbours",),
        "The labelled {samples} whose embeddings are most similar; they vote on the class.",
    ),
    (
        "Recall@k, mAP", ("retrieval",),
        "Searching by {a_sample}: how often one of its kind is among the first k found; and how far to the front all of its "
        "kind come (mean average precision).",
    ),
    (
        "Loss", ("training",),
        "How wrong the network is at foretelling what was hidden. It should fall; its size means little by itself.",
    ),
    (
        "Token, vocabulary", ("passages", "scores"),
        "Text is cut into words and pieces of rare words; the vocabulary is all that the model knows.",
    ),
    (
        "Perplexity", ("scores",),
        "Among how many equally likely tokens the model is, on average, as unsure. Comparable only where text is cut alike.",
    ),
    (
        "Cosine", ("near_words",),
        "How alike two vectors point: 1 in the same direction, 0 in unrelated ones.",
    ),
    (
        "RankMe, collapse", ("health",),
        "In how many independent ways embeddings differ. Collapse: nearly the same embedding for every sample, so that "
        "nothing was learnt.",
    ),
    (
        "FLOP", ("cost",),
        "One addition or multiplication. GFLOP: a billion; TFLOP: a million millions; FLOP/s: as many in a second.",
    ),
)  # fmt: skip


BESIDE = ("style", "script", "pre")  # elements whose text is none of the report's words


def spoken_of(glossary: Sequence[tuple[str, str]], page: str) -> list[tuple[str, str]]:
    """Those entries of ``glossary`` of which a word stands on ``page``, the HTML without them."""
    for element in BESIDE:
        page = re.sub(rf"<{element}\b.*?</{element}>", " ", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", page).lower()
    return [entry for entry in glossary if any(part in text for part in _parts(entry[0]))]


def _parts(word: str) -> list[str]:
    """ "Recall@k, mAP" -> "recall@", "map"; "calibration error (ECE)" -> "calibration error"."""
    return [part.split(" (")[0].removesuffix("k" if part.endswith("@k") else "").lower() for part in word.split(", ")]


def glossary(shown: Mapping[str, object], noun: str) -> list[tuple[str, str]]:
    """The words that the sections of ``shown`` (name -> what is shown, or nothing) use, and their meanings.

    ``noun``: what a sample is called, "image" or "text".
    """
    names = {"samples": f"{noun}s", "a_sample": f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"}
    return [
        (word, meaning.format(**names))
        for word, sections, meaning in WORDS
        if not sections or any(shown.get(name) for name in sections)
    ]
