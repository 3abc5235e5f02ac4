"""``foretell next-sentence``: which sentence follows which."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from foretell.options import Arg, Where

MOST = 60  # sentences: every ordered pair of them is scored


@dataclass
class Ordered:
    """``scores[i][j]``: probability that sentence j comes right after sentence i; nan on the diagonal."""

    sentences: list[str]
    scores: list[list[float]]


def next_sentence(
    run: Annotated[Where, Arg("the run folder of a bert trained with next sentences, or such a BERT checkpoint")],
    file: Annotated[Where, Arg("a text file, one sentence a line")],
) -> Ordered:
    """Score every ordered pair of sentences: which follows which?

    The sentences of FILE are numbered as they stand. The answer of the model is as good as its training: how often it is
    right on text that it has not seen, beside a guess from topics alone, is in the run's report.

    Returns an ``Ordered``. Raises InputError for a file of fewer than two sentences or more than 60, a pair longer than
    the model's positions, and a model without a head for pairs.
    """
    import math

    from foretell.data.table import many
    from foretell.errors import InputError
    from foretell.verbs.progress import say
    from foretell.verbs.text_run import read_text

    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); expected a text file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is not UTF-8; expected a text file") from None
    numbered = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    sentences = list(numbered.values())
    if not 2 <= len(sentences) <= MOST:
        raise InputError(f"{file}: {many(len(sentences), 'sentence')}; expected 2 to {MOST}, one a line")
    read = read_text(Path(run))
    if read.model.pair is None:
        raise InputError(
            f"{run}: was not trained to tell next sentences; train with: foretell pretrain DATA --objective bert -s "
            "objective.tasks=both"
        )
    if read.model.shape.segments < 2:
        raise InputError(
            f"{run}: tells no segments apart (type_vocab_size = {read.model.shape.segments}), so that it cannot tell a pair of "
            "sentences; expected a BERT with two"
        )
    cls, sep = read.need("cls", "sep")
    tokens = [encoded.ids for encoded in read.tokenizer.encode_batch(sentences, add_special_tokens=False)]
    (first_line, one), (other_line, two) = sorted(
        sorted(zip(numbered, map(len, tokens), strict=True), key=lambda line: -line[1])[:2]
    )
    longest, most = one + two + 3, read.model.shape.positions
    if longest > most:
        raise InputError(
            f"{file}: lines {first_line} and {other_line} make a pair of {longest} tokens, special ones too; expected at most "
            f"{most}, the positions of the model: shorten them"
        )
    scores = [[math.nan] * len(sentences) for _ in sentences]
    for i, first in enumerate(tokens):
        for j, second in enumerate(tokens):
            if i != j:
                ids = [cls, *first, sep, *second, sep]
                segment = [0] * (len(first) + 2) + [1] * (len(second) + 1)
                scores[i][j] = float(read.model.pair(read.states(ids, segment)[:1]).float().softmax(1)[0, 0])
    read.tell_unknown("\n".join(sentences))
    for number, sentence in enumerate(sentences, 1):
        say(f"{number}  {sentence}")
    pairs = [(i, j) for i in range(len(sentences)) for j in range(len(sentences)) if i != j]
    say("probability that the second follows the first, likeliest pairs first:")
    for i, j in sorted(pairs, key=lambda pair: -scores[pair[0]][pair[1]])[:20]:
        say(f"  {i + 1} then {j + 1}: {scores[i][j]:.1%}")
    return Ordered(sentences, scores)
