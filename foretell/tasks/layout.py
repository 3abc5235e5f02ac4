"""How texts become the sequences of one model: special tokens, truncation, and tokens that a decoder lacks.

Encoders (Devlin et al. 2018): [CLS] a [SEP] b [SEP], the summary token first. Decoders (Radford et al. 2018): start a
delimiter b extract, the summary token last, so that it has seen all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from foretell.counters import seed_of
from foretell.data.text.tokenizer import ROLES, specials_of, with_specials
from foretell.encoders.bag import is_bag
from foretell.encoders.language import LanguageModel
from foretell.errors import InputError
from foretell.tasks.inputs import Index, Sequences

# the tokens of Radford et al. 2018, section 3.3, by the names they get here
START, DELIMITER, EXTRACT = "<|start|>", "<|delimiter|>", "<|extract|>"
AT_ONCE = 10_000  # texts tokenised at a time
Reading = Literal["summary", "mean"]


def extended(model: LanguageModel, tokenizer: Tokenizer, seed: int = 0) -> tuple[LanguageModel, Tokenizer]:
    """A decoder and its tokenizer with start, delimiter and extract tokens; an encoder, or one that has them, as it is.

    ``model`` is changed in place: its table of tokens grows by the rows it lacks, drawn from N(0, 0.02) by ``seed``. Where
    the tokenizer has an end of text, start begins as that token is: so began every document of the pretraining, and what a
    frozen decoder makes of a text is what it learnt to make of it. The tokenizer that comes back is another object.
    """
    names = (START, DELIMITER, EXTRACT)
    if not model.shape.causal or all(tokenizer.token_to_id(name) is not None for name in names):
        return model, tokenizer
    grown = with_specials(tokenizer, names)
    have, added = model.shape.vocabulary, _ids(grown, *names)
    wanted = max(have, max(added) + 1)
    old = model.net.tokens.weight.detach()
    table = old.new_empty(wanted, model.dim)
    table[:have] = old
    generator = torch.Generator().manual_seed(seed_of(seed, "special tokens"))
    fresh = sorted({*range(have, wanted), *added})
    table[fresh] = (torch.randn(len(fresh), model.dim, generator=generator) * 0.02).to(old)
    end = specials_of(tokenizer).get("end")
    if end is not None and tokenizer.token_to_id(START) is None:
        table[added[0]] = old[end]
    model.net.tokens = nn.Embedding(wanted, model.dim, _weight=table)
    model.net.shape = model.shape.model_copy(update={"vocabulary": wanted})
    return model, grown


def _ids(tokenizer: Tokenizer, *names: str) -> list[int]:
    found = []
    for name in names:
        number = tokenizer.token_to_id(name)
        if number is None:
            raise ValueError(f"the tokenizer has no {name}; extend it first")
        found.append(number)
    return found


@dataclass
class Layout:
    """Texts to sequences for one model. ``length``: the most tokens of a sequence, special ones too.

    ``laid`` counts the sequences so far, ``cut`` those that were truncated: a text at its end; of a pair tokens of the
    longer text, until both fit; where the beginning matters less (``tail``), the first text of a pair at its beginning.
    ``reads``: what stands for a sequence, the state of its summary token or the mean of its tokens' states.
    """

    tokenizer: Tokenizer
    length: int
    lead: list[int]
    between: list[int]
    trail: list[int]
    last: bool
    pad: int
    specials: frozenset[int]
    reads: Reading = "summary"
    cut: int = field(default=0, compare=False)
    laid: int = field(default=0, compare=False)

    @classmethod
    def of(
        cls, model: LanguageModel, tokenizer: Tokenizer, length: int | None = None, where: str = "the model"
    ) -> Layout:
        """The layout of ``model``, a decoder with its special tokens (``extended``).

        ``length`` default: the model's positions. Raises InputError, naming ``where``, for a tokenizer without [CLS]
        and [SEP], and for a ``length`` beyond the positions or too short for any text.
        """
        most = model.shape.positions
        length = length or most
        if not 8 <= length <= most:
            raise InputError(
                f"{where}: texts of up to {length} tokens; expected 8 to {most}, the positions it was trained with"
            )
        if model.shape.causal:
            start, delimiter, extract = _ids(tokenizer, START, DELIMITER, EXTRACT)
            tokens = ([start], [delimiter], [extract])
        else:
            found = specials_of(tokenizer)
            for role in ("cls", "sep"):
                if role not in found:
                    raise InputError(
                        f"{where}: its tokenizer has no {ROLES[role][0]}, which a labelled task needs; add it with "
                        "tokenizer.add_special_tokens and train again"
                    )
            joint = [found["sep"]] * (2 if model.layout == "roberta" else 1)
            tokens = ([found["cls"]], joint, [found["sep"]])
        known = specials_of(tokenizer)
        # a word that is not known says nothing; a piece of one that is not known says at least where it was
        content = () if is_bag(model) else ("unk",)
        special = {token for part in tokens for token in part} | {known[role] for role in known if role not in content}
        return cls(tokenizer, length, *tokens, model.shape.causal, known.get("pad", 0), frozenset(special))

    def encoded(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        found: list[list[int]] = []
        for start in range(0, len(texts), AT_ONCE):
            part = self.tokenizer.encode_batch_fast(list(texts[start : start + AT_ONCE]), add_special_tokens=False)
            found += [one.ids for one in part]
        return found

    def singles(self, texts: Sequence[str]) -> Sequences:
        """lead text trail, one sequence a text."""
        room = self.length - len(self.lead) - len(self.trail)
        made = []
        self.laid += len(texts)
        for tokens in self.encoded(texts):
            self.cut += len(tokens) > room
            made.append(tokens[:room])
        return self.alone(made)

    def alone(self, texts: Sequence[Sequence[int]]) -> Sequences:
        """``singles`` of texts that are tokenised and fit."""
        made = [[*self.lead, *tokens, *self.trail] for tokens in texts]
        return self._sequences(made, [len(one) for one in made])

    def pairs(self, first: Sequence[str], second: Sequence[str], *, tail: bool = False) -> Sequences:
        """lead first between second trail, one sequence a pair; ``first`` and ``second`` are of equal length."""
        texts = list(dict.fromkeys([*first, *second]))  # answers of a choice share their context
        tokens = dict(zip(texts, self.encoded(texts), strict=True))
        return self.joined([tokens[text] for text in first], [tokens[text] for text in second], tail=tail)

    def joined(
        self, first: Sequence[Sequence[int]], second: Sequence[Sequence[int]], *, tail: bool = False
    ) -> Sequences:
        """``pairs`` of texts that are tokenised."""
        room = self.length - len(self.lead) - len(self.between) - len(self.trail)
        made, seconds = [], []
        self.laid += len(first)
        for a, b in zip(first, second, strict=True):
            keep_a, keep_b = shares(len(a), len(b), room)
            self.cut += keep_a < len(a) or keep_b < len(b)
            kept = a[len(a) - keep_a :] if tail else a[:keep_a]
            head = [*self.lead, *kept, *self.between]
            seconds.append(len(head))
            made.append([*head, *b[:keep_b], *self.trail])
        return self._sequences(made, seconds)

    def _sequences(self, made: list[list[int]], second: list[int]) -> Sequences:
        return Sequences.of(made, second, [len(one) - 1 if self.last else 0 for one in made])


def shares(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens two texts of ``first`` and ``second`` keep so that both fit ``room``: the longer one loses
    first."""
    if first + second <= room:
        return first, second
    half = room // 2
    if second <= half:
        return room - second, second
    if first <= room - half:
        return first, room - first
    return room - half, half


def numbered(counts: Index) -> Index:
    """[2, 1] -> [0, 0, 1]: which example each of its sequences belongs to."""
    return np.repeat(np.arange(len(counts)), counts)
