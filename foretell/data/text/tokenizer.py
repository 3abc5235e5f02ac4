"""Tokenizers: trained on a person's own text with the ``tokenizers`` library, or any tokenizer.json there is.

WordPiece (Devlin et al. 2018), byte-pair encoding on bytes (Sennrich et al. 2016, arXiv 1508.07909; Radford et al. 2019)
and Unigram (Kudo 2018, arXiv 1804.10959).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from foretell.data.store import cache_folder
from foretell.data.stores import alone, whole
from foretell.data.text.corpus import Corpus
from foretell.errors import InputError
from foretell.run import write_aside
from foretell.settings import Settings

# what each role is called in the tokenizers there are
ROLES: dict[str, tuple[str, ...]] = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
    "end": ("<|endoftext|>", "</s>", "[SEP]", "<eos>"),
}
MASKED = ("pad", "unk", "cls", "sep", "mask")  # the roles of an encoder; a decoder needs "end" alone
FORMAT = 2  # of how one is trained: one more makes older ones in the cache be trained anew
AT_ONCE = 1 << 20  # characters handed over at a time
WORDS_AN_ENTRY = 200  # "auto" takes one vocabulary entry for so many words of text
AUTO = (1_000, 30_000)
UNSPACED, SHORT = 12, 3  # characters a space, above which words have no spaces between them; and of such a word
# on letters of other scripts a mark is part of the spelling: a vowel, or another letter
ACCENTS = r"(?<=[\p{Latin}\p{Greek}])\p{Mn}+"


class TokenizerConfig(Settings):
    """How text becomes tokens."""

    file: str | None = Field(None, description="an existing tokenizer.json; default: one is trained on the text")
    kind: Literal["wordpiece", "bpe", "unigram"] | None = Field(
        None, description="of one that is trained; default: wordpiece for an encoder, bpe for a decoder"
    )
    vocabulary: int | Literal["auto"] = Field(
        "auto", description="entries of one that is trained; auto: one for every 200 words of text, 1,000 to 30,000"
    )
    lowercase: bool | None = Field(
        None,
        description="lower-case, and strip the accents of Latin and Greek letters (default: for wordpiece); else both are kept",
    )
    sample: int = Field(64, ge=1, description="megabytes of text, spread over all of it, that one is trained on")


def specials_of(tokenizer: Tokenizer) -> dict[str, int]:
    """Role -> id of the special tokens it has, by their usual names."""
    found = {}
    for role, names in ROLES.items():
        for name in names:
            number = tokenizer.token_to_id(name)
            if number is not None:
                found[role] = number
                break
    return found


def id_space(tokenizer: Tokenizer) -> int:
    """One more than the largest id: how many tokens there are, and the ids between theirs that no token has."""
    return max(tokenizer.get_vocab().values(), default=-1) + 1


def used_ids(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """The ids that tokens have, rising."""
    return np.unique(np.fromiter(tokenizer.get_vocab().values(), np.int64))


def unused_ids(tokenizer: Tokenizer, size: int) -> list[int]:
    """The ids below ``size``, the vocabulary of a network, that no token has: they are not to be written."""
    unused: list[int] = np.setdiff1d(np.arange(size), used_ids(tokenizer)).tolist()
    return unused


def with_specials(tokenizer: Tokenizer, names: Sequence[str]) -> Tokenizer:
    """A copy that has the special tokens ``names``, too; each new one gets an id that no token has."""
    text = tokenizer.to_str()
    if id_space(tokenizer) > tokenizer.get_vocab_size():  # the library would give an id that may be a token's
        fields = json.loads(text)
        lacking = [name for name in names if tokenizer.token_to_id(name) is None]
        fields["model"]["vocab"] |= {name: number for number, name in enumerate(lacking, id_space(tokenizer))}
        text = json.dumps(fields)
    made = Tokenizer.from_str(text)
    made.add_special_tokens([AddedToken(name, special=True) for name in names])
    return made


ADD = "add it with tokenizer.add_special_tokens, or leave objective.tokenizer.file out and let one be trained"


def missing_role(found: Mapping[str, int], roles: Sequence[str]) -> str | None:
    """The first of ``roles`` that ``specials_of`` has not ``found`` and that is needed."""
    return next((role for role in roles if role not in found and role != "unk"), None)


def check_specials(tokenizer: Tokenizer, roles: Sequence[str], where: str) -> dict[str, int]:
    """``specials_of``. Raises InputError, naming ``where`` and saying what to do, when one of ``roles`` is missing."""
    found = specials_of(tokenizer)
    role = missing_role(found, roles)
    if role is not None:
        raise InputError(f"{where}: the tokenizer lacks {ROLES[role][0]}; {ADD}")
    return found


def load_tokenizer(file: str | Path) -> Tokenizer:
    """Any tokenizer.json. Raises InputError when it is none."""
    path = Path(file)
    path = path / "tokenizer.json" if path.is_dir() else path
    return read_tokenizer(tokenizer_text(path), str(path))


def tokenizer_text(path: Path) -> str:
    """The text of a tokenizer.json. Raises InputError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not text'}); expected a tokenizer.json"
        ) from None


def read_tokenizer(text: str, where: str) -> Tokenizer:
    """A tokenizer from the text of its tokenizer.json, without truncation and padding. Raises InputError."""
    try:
        made = Tokenizer.from_str(text)
    except Exception as error:  # the library raises Exception itself
        raise InputError(f"{where}: not a tokenizer.json ({str(error)[:80]}); save it with tokenizer.save") from None
    made.no_truncation()
    made.no_padding()
    return made


def templated(
    tokenizer: Tokenizer, lead: Sequence[int], between: Sequence[int], trail: Sequence[int], *, second: int = 1
) -> str:
    """The text of a tokenizer.json that puts special tokens round one text and round two, for other programs.

    ``lead``, ``between``, ``trail``: their ids before the first text, between two and at the end; ``second``: the segment of
    the second text.
    """
    made = Tokenizer.from_str(tokenizer.to_str())
    names = {number: str(made.id_to_token(number)) for number in (*lead, *between, *trail)}
    first, middle, last = ([names[number] for number in part] for part in (lead, between, trail))
    made.post_processor = processors.TemplateProcessing(
        single=[*first, "$A", *last],
        pair=[*first, "$A", *middle, f"$B:{second}", *(f"{token}:{second}" for token in last)],
        special_tokens=[(name, number) for number, name in names.items()],
    )
    return str(made.to_str())


def begun_by(tokenizer: Tokenizer, token: int) -> str:
    """The text of a tokenizer.json that puts ``token`` before a text, for other programs; once, where it does so already."""
    if tokenizer.encode("a").ids[:1] == [token]:
        return str(tokenizer.to_str())
    begun = Tokenizer.from_str(templated(tokenizer, [token], [], [], second=0))
    if tokenizer.post_processor is not None:
        begun.post_processor = processors.Sequence([tokenizer.post_processor, begun.post_processor])
    return str(begun.to_str())


def trained(corpus: Corpus, config: TokenizerConfig, roles: Sequence[str], cache: Path | None = None) -> Tokenizer:
    """``config.file``, or ``train_tokenizer`` once: what comes out is kept in the cache.

    Raises InputError as these do, for a file that lacks one of ``roles``, and for text that changes meanwhile.
    """
    if config.file is not None:
        made = load_tokenizer(config.file)
        check_specials(made, roles, config.file)
        return made
    roles = _with_unknown(config, roles)
    key = f"{FORMAT}\0{corpus.fingerprint}\0{config.model_dump_json()}\0{roles}"
    if _gapped(_kind(config, roles), roles):
        key += "\0gaps"
    folder = (cache if cache is not None else cache_folder()) / "tokenizers"
    file = folder / f"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}.json"
    if not file.is_file():
        with alone(file.with_suffix(".lock")):
            if not file.is_file():
                text = train_tokenizer(corpus, config, roles).to_str()
                corpus.watch.check()
                write_aside(file, text)
    with whole(file, "the kept tokenizer was"):
        return load_tokenizer(file)


def train_tokenizer(corpus: Corpus, config: TokenizerConfig, roles: Sequence[str]) -> Tokenizer:
    """A tokenizer trained on about ``config.sample`` megabytes of ``corpus``, documents taken evenly from all of it.

    The same text gives the same tokenizer. ``roles``: the special tokens it gets, ids from 0; where its kind needs one for
    what it does not know, that too. Raises InputError when the text supports fewer entries than were asked for.
    """
    roles = _with_unknown(config, roles)
    kind = _kind(config, roles)
    lowercase = config.lowercase if config.lowercase is not None else kind == "wordpiece"
    specials = [ROLES[role][0] for role in roles]
    if kind == "unigram" and "unk" not in roles:
        specials.append(ROLES["unk"][1])
    gaps = _gapped(kind, roles)
    sample = [config.sample * 1_000_000, corpus.bytes]
    vocabulary = _usual_size(corpus, *sample) if config.vocabulary == "auto" else config.vocabulary
    few = (
        f"objective.tokenizer.vocabulary = {vocabulary}: the letters of the text and the special tokens alone are more"
    )
    if vocabulary <= len(specials):
        raise InputError(f"{few}; set it to some thousands, or leave it out")
    made = _made(kind, lowercase, gaps)
    try:
        if kind == "wordpiece":
            _train_wordpiece(made, vocabulary, specials, lambda: _sampled(corpus, *sample))
        else:
            made.train_from_iterator(_sampled(corpus, *sample), _trainer(kind, vocabulary, specials, gaps))
    except InputError:
        raise
    except Exception as error:  # the library raises Exception itself
        if "not large enough" not in str(error):
            raise
        raise InputError(f"{few}; set it to some thousands") from None
    size = made.get_vocab_size()
    if config.vocabulary != "auto" and size > vocabulary:
        raise InputError(f"{few} ({size:,}); set it to more than {size}, or leave it out")
    if config.vocabulary != "auto" and size < vocabulary:
        raise InputError(
            f"objective.tokenizer.vocabulary = {vocabulary}: the text supports only {size:,} entries; set it to {size} "
            "or less, or give more text"
        )
    return made


def _kind(config: TokenizerConfig, roles: Sequence[str]) -> str:
    return config.kind or ("wordpiece" if "mask" in roles else "bpe")


def _gapped(kind: str, roles: Sequence[str]) -> bool:
    """Whether [MASK] hides the blank before a word with it, and no blank is put before what follows it."""
    return kind != "wordpiece" and "mask" in roles


def _with_unknown(config: TokenizerConfig, roles: Sequence[str]) -> tuple[str, ...]:
    """``roles``, for WordPiece with that of what it does not know: it can give nothing else for a letter it never saw."""
    lacks = _kind(config, roles) == "wordpiece" and "unk" not in roles
    return (*roles, "unk") if lacks else tuple(roles)


def _train_wordpiece(
    made: Tokenizer, vocabulary: int, specials: list[str], texts: Callable[[], Iterator[list[str]]]
) -> None:
    """Give ``made`` the model learnt from ``texts``, the same each time.

    The library numbers letters inside words ("##a") as it comes upon them, in random order, and breaks ties between merges
    by these numbers. Here all letters are numbered beforehand, by handing them over as special tokens.
    """
    words = {word for batch in texts() for text in batch for word in text.split(" ")}
    seen = _wordpiece(made, 0, specials, [list(words)]).keys() - set(specials)
    letters = sorted(seen, key=lambda letter: (len(letter) > 1, letter))
    entries = _wordpiece(made, vocabulary, [*specials, *letters], texts())
    made.model = models.WordPiece(entries, unk_token=ROLES["unk"][0])
    made.add_special_tokens(specials)


def _wordpiece(made: Tokenizer, size: int, first: list[str], texts: Iterable[list[str]]) -> dict[str, int]:
    """The entries, ``first`` before the others, that a copy of ``made`` learns from ``texts``: ``size``, or all letters."""
    copy = Tokenizer.from_str(made.to_str())
    copy.train_from_iterator(texts, _trainer("wordpiece", size, first))
    entries: dict[str, int] = copy.get_vocab()
    return entries


def _usual_size(corpus: Corpus, most: int, size: int) -> int:
    """Entries of a vocabulary for all of the text, judged by what ``_sampled`` gives."""
    words = characters = 0
    for batch in _sampled(corpus, most, size):
        words += sum(text.count(" ") + 1 for text in batch)
        characters += sum(map(len, batch))
    if characters > UNSPACED * words:
        words = characters // SHORT
    words = round(words * max(1.0, corpus.bytes / most))
    return min(max(words // WORDS_AN_ENTRY, AUTO[0]), AUTO[1])


def _sampled(corpus: Corpus, most: int, size: int) -> Iterator[list[str]]:
    """Sentences of every n-th document, in lists, until ``most`` characters; ``size``: bytes of the whole."""
    every = max(1, size // most)
    held: list[str] = []
    waiting = given = 0
    for number, document in enumerate(corpus.documents()):
        if number % every or document.split not in (None, "train"):
            continue
        held += document.sentences
        waiting += sum(map(len, document.sentences))
        if waiting > AT_ONCE:
            yield held
            given, waiting, held = given + waiting, 0, []
        if given > most:
            return
    if held:
        yield held


def _without_accents() -> list[normalizers.Normalizer]:
    return [normalizers.NFD(), normalizers.Replace(Regex(ACCENTS), ""), normalizers.NFC()]


def _made(kind: str, lowercase: bool, gaps: bool = False) -> Tokenizer:
    """One that has learnt nothing yet. ``gaps``: a blank is put before the beginning of a text alone."""
    if kind == "wordpiece":
        made = Tokenizer(models.WordPiece(unk_token=ROLES["unk"][0]))
        bare = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False)
        made.normalizer = normalizers.Sequence([*_without_accents(), bare]) if lowercase else bare
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        return made
    plain: list[normalizers.Normalizer] = [normalizers.NFC()]
    if lowercase:
        plain = [*_without_accents(), normalizers.Lowercase()]
    if kind == "bpe":
        made = Tokenizer(models.BPE())
        made.normalizer = normalizers.Sequence(plain)
        bytewise = pre_tokenizers.ByteLevel(add_prefix_space=not gaps)  # which would put one behind special tokens, too
        first = pre_tokenizers.Metaspace(" ", prepend_scheme="first", split=False)
        made.pre_tokenizer = pre_tokenizers.Sequence([first, bytewise]) if gaps else bytewise
        made.decoder = decoders.ByteLevel()
        return made
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([*plain, normalizers.Replace(Regex(r"\s+"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if gaps else "always")
    made.decoder = decoders.Metaspace()
    return made


def _trainer(kind: str, vocabulary: int, specials: list[str], gaps: bool = False) -> trainers.Trainer:
    special: list[Any] = list(specials)
    if gaps:
        mask = ROLES["mask"][0]
        special[special.index(mask)] = AddedToken(mask, lstrip=True, special=True)
    common: dict[str, Any] = {"vocab_size": vocabulary, "special_tokens": special, "show_progress": False}
    if kind == "wordpiece":
        return trainers.WordPieceTrainer(**common)
    if kind == "bpe":
        return trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **common)
    return trainers.UnigramTrainer(unk_token=next(name for name in specials if name in ROLES["unk"]), **common)


def continuation_prefix(tokenizer: Tokenizer) -> str | None:
    """What tokens that go on with a word begin with ("##"), for models that mark them all; else None."""
    model: Mapping[str, object] = json.loads(tokenizer.to_str())["model"]
    prefix = model.get("continuing_subword_prefix")
    return str(prefix) if model.get("type") == "WordPiece" and prefix else None
