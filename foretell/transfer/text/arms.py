"""The arms of a comparison on text, in words a report can print."""

from __future__ import annotations

TEXT_ARMS: dict[str, dict[str, str]] = {
    "pretrained": {
        "title": "pretrained, fine-tuned",
        "what": "the pretrained network with a linear head; every layer is tuned on the labels",
    },
    "probe": {
        "title": "pretrained, linear probe",
        "what": "a linear model on the pretrained network's frozen features, of the summary token or the mean of all",
    },
    "scratch": {
        "title": "from scratch",
        "what": "the same network from random weights, with the same tokenizer, search, batch and most steps",
    },
    "random": {
        "title": "random frozen features",
        "what": "a linear model on the frozen features of the same network with random weights",
    },
    "tfidf": {
        "title": "TF-IDF, linear model",
        "what": "a linear model on counts of word and character n-grams, weighted by how rare they are",
    },
}

TEXT_TUNED = ("pretrained", "scratch")
