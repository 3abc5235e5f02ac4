"""A text with gaps as token ids: those that training shows, where [MASK] stands in place of one token.

A token of a byte-level or a SentencePiece vocabulary holds the blank before its word, so that behind [MASK] the blank is
hidden with it; and what follows goes on from there, as if no text began anew.
"""

from __future__ import annotations

import re

from tokenizers import Tokenizer

from foretell.data.text.tokenizer import continuation_prefix

BLANKS = ("Ġ", "▁", " ")  # a blank in the name of a token: of bytes, of SentencePiece, as it is
BEFORE = "1a.|"  # characters to stand before what goes on; one that forms no token with it is taken

Span = tuple[int, int]


def holds_blanks(tokenizer: Tokenizer) -> bool:
    """Whether tokens hold the blank before their word."""
    if continuation_prefix(tokenizer) is not None:
        return False
    tokens = tokenizer.encode("a a", add_special_tokens=False).tokens
    return any(token.startswith(BLANKS) for token in tokens) and any(
        name.startswith(BLANKS) and not name[1:].startswith(BLANKS) and len(name) > 1 for name in tokenizer.get_vocab()
    )


def encode_gaps(tokenizer: Tokenizer, text: str, mask: int) -> tuple[list[int], list[Span]]:
    """(ids of ``text``, special tokens left out; where in it the gaps are). A gap is the name of the token ``mask``."""
    name = str(tokenizer.id_to_token(mask))
    if not holds_blanks(tokenizer):
        encoded = tokenizer.encode(text, add_special_tokens=False)
        return encoded.ids, [span for span, token in zip(encoded.offsets, encoded.ids, strict=True) if token == mask]
    first, *others = text.split(name)
    ids = tokenizer.encode(first.rstrip(), add_special_tokens=False).ids
    for part in others:
        ids += [mask, *_going_on(tokenizer, part.rstrip())]
    return ids, [found.span() for found in re.finditer(re.escape(name), text)]


def _going_on(tokenizer: Tokenizer, part: str) -> list[int]:
    """The ids of ``part`` behind other text: a tokenizer may put a blank before what a text begins with."""
    for before in BEFORE if part else "":
        encoded = tokenizer.encode(before + part, add_special_tokens=False)
        count = sum(start < len(before) for start, _ in encoded.offsets)
        if all(end <= len(before) for _, end in encoded.offsets[:count]):
            return list(encoded.ids[count:])
    return list(tokenizer.encode(part, add_special_tokens=False).ids)
