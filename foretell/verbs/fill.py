"""``foretell fill``: words for the gaps of a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from foretell.options import Arg, Where
from foretell.verbs.outcomes import Filled

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def fill(
    run: Annotated[Where, Arg("the run folder of a bert or a cbow, or a folder with a BERT or RoBERTa checkpoint")],
    text: Annotated[str, Arg("a text with [MASK] where a word is missing", "TEXT")],
    *,
    top: Annotated[int, Arg("how many candidates are shown for each gap")] = 5,
) -> Filled:
    """Foretell the words behind [MASK] in a text.

    Several gaps are filled each by itself, from the words around all of them. A gap is one token: a long or rare word may
    be several. The words of a cbow (word2vec) are whole, and told by those within its window alone.

    Returns a ``Filled``. Raises InputError for a text without [MASK] or longer than the model's positions, and a model
    without a head for masked words.
    """
    from foretell.errors import InputError
    from foretell.verbs import word_filling
    from foretell.verbs.word_vectors import vectors_of

    if top < 1:
        raise InputError(f"--top {top}: expected 1 or more")
    place = Path(run)
    filled = _by_encoder(place, text, top) if vectors_of(place) is None else word_filling.fill(place, text, top)
    _say(filled)
    return filled


def _by_encoder(run: Path, text: str, top: int) -> Filled:
    from foretell.data.text.gaps import encode_gaps
    from foretell.data.text.tokenizer import unused_ids
    from foretell.errors import InputError
    from foretell.verbs.text_run import read_text

    read = read_text(run)
    if read.model.head is None:
        kind = (
            "a decoder, which writes on: foretell generate"
            if read.model.shape.causal
            else "trained without masked words"
        )
        raise InputError(f"{run}: cannot fill gaps, it is {kind}")
    cls, sep, mask = read.need("cls", "sep", "mask")
    shown = text.replace("[MASK]", read.tokenizer.id_to_token(mask) or "[MASK]")
    tokens, spans = encode_gaps(read.tokenizer, shown, mask)
    ids = [cls, *tokens, sep]
    gaps = [place for place, token in enumerate(ids) if token == mask]
    if not gaps:
        raise InputError(f"no [MASK] in '{text}'; write one where a word is missing")
    logits = read.model.logits(read.states(ids)[gaps]).float()
    never = {*read.specials.values(), *unused_ids(read.tokenizer, logits.shape[1])}
    logits[:, list(never)] = float("-inf")
    best = logits.softmax(1).topk(min(top, logits.shape[1] - len(never)))
    found = [
        [(_word(read.tokenizer.decode([token])), value) for token, value in zip(tokens, values, strict=True)]
        for tokens, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    read.tell_unknown(text)
    return Filled(_filled(shown, spans, _words(read.tokenizer, best.indices[:, 0].tolist())), found)


def _say(filled: Filled) -> None:
    from foretell.verbs.progress import say

    for number, candidates in enumerate(filled.gaps, 1):
        before = f"gap {number}: " if len(filled.gaps) > 1 else ""
        say(before + ", ".join(f"{token} {share:.1%}" for token, share in candidates))
    say(filled.text)


def _word(token: str) -> str:
    return token.strip() or token


def _words(tokenizer: Tokenizer, tokens: list[int]) -> list[tuple[str, bool | None]]:
    """The text of each token, and whether a blank stands before it; None: where there is one in the text."""
    from foretell.data.text.gaps import BLANKS, holds_blanks
    from foretell.data.text.tokenizer import continuation_prefix

    prefix, blanks = continuation_prefix(tokenizer), holds_blanks(tokenizer)
    made: list[tuple[str, bool | None]] = []
    for token in tokens:
        word, name = _word(tokenizer.decode([token])), str(tokenizer.id_to_token(token))
        if prefix and word.startswith(prefix):
            made.append((word.removeprefix(prefix), False))
        else:
            made.append((word, name.startswith(BLANKS) if blanks else None))
    return made


def _filled(text: str, spans: list[tuple[int, int]], words: list[tuple[str, bool | None]]) -> str:
    """``text`` with ``words`` in place of its ``spans``, each behind a blank, joined to what is before, or as it stands."""
    made, last = "", 0
    for (start, end), (word, blank) in zip(spans, words, strict=True):
        space = " " if text[start:end][:1].isspace() else ""  # some tokenizers count the space before to a gap
        made += text[last:start] + space
        if blank is False:
            made = made.rstrip()
        elif blank and made and not made[-1].isspace():
            made += " "
        made += word
        last = end
    return made + text[last:]
