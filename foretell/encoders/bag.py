"""Word vectors as an encoder of texts: a network without layers, whose tokens are words and whose mean stands for a text.

It is read, probed and fine-tuned as any other; fine-tuned it is the classifier of Joulin et al. 2016 (arXiv 1607.01759)
that begins at vectors from unlabelled text (there without n-grams).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from foretell.data.text.letters import MARKS
from foretell.data.text.tokenizer import ROLES
from foretell.data.text.words import WORD, WordsConfig
from foretell.encoders.language import LanguageModel, Shape
from foretell.encoders.vectors import Floats

LAYOUT = "words"
LENGTH = 8192  # words of a text, special tokens too; longer ones are cut
SPECIALS = {role: ROLES[role][0] for role in ("pad", "unk", "cls", "sep")}


def bag_of(words: Sequence[str], vectors: Floats, config: WordsConfig) -> tuple[LanguageModel, Tokenizer]:
    """The encoder of ``words`` with their ``vectors`` (V, D), and the tokenizer that finds words as ``config`` does.

    Special tokens, words that are not known among them, have a vector of 0.
    """
    names = [*SPECIALS.values(), *(word for word in words if word not in SPECIALS.values())]
    rows = [row for row, word in enumerate(words) if word not in SPECIALS.values()]
    shape = Shape(
        vocabulary=len(names), layers=0, width=vectors.shape[1], heads=1, inner=1, positions=LENGTH, ordered=False,
        embedding_norm=False,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # its first weights are replaced: no draw of the caller's is used up
        model = LanguageModel(shape, LAYOUT, specials={role: number for number, role in enumerate(SPECIALS)})
    with torch.no_grad():
        model.net.tokens.weight[: len(SPECIALS)] = 0
        model.net.tokens.weight[len(SPECIALS) :] = torch.from_numpy(vectors[rows])
    return model.eval(), tokenizer_of(names, config)


def tokenizer_of(names: Sequence[str], config: WordsConfig) -> Tokenizer:
    """A word a token, as ``split_words`` finds them; ``names`` in the order of their ids."""
    made = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, SPECIALS["unk"]))
    if config.lower:
        made.normalizer = normalizers.Lowercase()
    # this library counts marks among the letters, so that one alone would begin a word
    letters = pre_tokenizers.Split(Regex(rf"(?![{MARKS}]){WORD}"), behavior="removed", invert=True)
    made.pre_tokenizer = letters if config.words == "letters" else pre_tokenizers.WhitespaceSplit()
    return made


def is_bag(model: LanguageModel) -> bool:
    """Whether ``model`` is one of word vectors: the mean is all there is to read of it."""
    return model.layout == LAYOUT
