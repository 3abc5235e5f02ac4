"""The findings of ``audit`` as lines for a terminal."""

from __future__ import annotations

from foretell.data.fingerprints import RUN
from foretell.data.table import many
from foretell.data.text.audit import SHORTEST, Copies, TextAudit, TextLeak
from foretell.data.text.characters import KINDS

SHOWN = 5  # examples of each finding; the data class holds all

_LEAKS = {
    "equal": "LEAK: equal documents in two splits",
    "copied": f"LEAK: documents of which more than half the runs of {RUN} words stand in the training part",
    "shared": f"documents that share a run of {RUN} words with the training part",
    "group": "LEAK: groups in two splits",
    "labels disagree": "equal documents with different labels",
}


def render_text(found: TextAudit) -> str:
    """What was understood first, what is wrong last."""
    lines = [
        f"{found.source}: {many(found.documents, 'document')}, {many(found.sentences, 'sentence')}, "
        f"{many(found.words, 'word')}, {_size(found.bytes)} in {many(found.files, 'file')}"
    ]
    lines += [f"  understood: {note}" for note in found.notes]
    long = found.lengths
    lines.append(
        f"  words a document: usually {long['usual']:,}, nine of ten at most {long['long']:,}, from {long['shortest']:,} to "
        f"{long['longest']:,}"
    )
    lines.append(f"  tokens: about {found.tokens:,}, by a guess of 1.3 a word; a tokenizer trained on it tells")
    if found.single:
        lines.append(
            f"  of one sentence: {many(found.single, 'document')} ({_share(found.single, found.documents)}); in next-sentence "
            "prediction another document's text always comes second to these"
        )
    lines += _languages(found)
    lines += _labels(found)
    lines += _encodings(found)
    lines += _duplicates(found)
    for what, title in _LEAKS.items():
        lines += _listed(title, [_leak(leak) for leak in found.leaks if leak.what == what])
    if found.runs_share < 1 and found.splits:
        lines.append(
            f"  runs of words shared between splits: looked for in one of {round(1 / found.runs_share):,} runs"
        )
    if found.clean and not (found.odd or found.copies):
        lines.append("  nothing wrong was found")
    return "\n".join(lines)


def _languages(found: TextAudit) -> list[str]:
    told = dict(found.languages)
    unknown = told.pop("?", 0)
    shown = [f"{name} {_share(count, found.documents)}" for name, count in list(told.items())[:8]]
    if len(told) > 8:
        shown.append(f"{len(told) - 8} others")
    if unknown:
        shown.append(f"not told {_share(unknown, found.documents)}")
    lines = [f"  language, guessed by document: {', '.join(shown)}"]
    if found.other_language:
        lines.append(f"  another language than the column says, by the guess: {many(found.other_language, 'document')}")
    return lines


def _labels(found: TextAudit) -> list[str]:
    lines = []
    if found.labels:
        shown = ", ".join(f"{name} {count:,}" for name, count in list(found.labels.items())[:12])
        more = f" and {len(found.labels) - 12} more" if len(found.labels) > 12 else ""
        lines.append(
            f"  labels: {len(found.labels)} over {many(sum(found.labels.values()), 'document')}: {shown}{more}"
        )
    if found.groups:
        lines.append(f"  groups: {found.groups:,}")
    if found.splits:
        lines.append("  splits: " + ", ".join(f"{name} {count:,}" for name, count in found.splits.items()))
    return lines


def _encodings(found: TextAudit) -> list[str]:
    lines = _listed("unreadable", [f"{name}: {reason}" for name, reason in found.unreadable])
    lines += [f"  byte order mark of {name}, taken away: {many(count, 'file')}" for name, count in found.marks.items()]
    for kind, count in found.odd.items():
        lines.append(f"  {KINDS[kind]}: {count:,}, first in {'; '.join(found.odd_places[kind])}")
    decomposed = found.forms.get("decomposed", 0) + found.forms.get("mixed", 0)
    if decomposed and len(found.forms) > 1:
        lines.append(
            f"  accents written in two ways: {many(decomposed, 'document')} with letter and mark apart (not in NFC), beside "
            "composed ones; one word then has two spellings"
        )
    return lines


def _duplicates(found: TextAudit) -> list[str]:
    lines = []
    for title, copies, sign in (
        ("equal documents, but for case, spaces and punctuation", found.equal, " = "),
        ("groups of documents alike, in about 80% of their runs of five words or more", found.alike, " ~ "),
    ):
        if copies is not None and copies.count:
            about = "about " if copies.share < 1 else ""
            told = f"{about}{copies.count:,} {'copy' if copies.count == 1 else 'copies'}{_of(copies)}"
            lines += _listed(title, [sign.join(_short(group)) for group in copies.groups], told)
    sentences = found.sentence_copies
    if sentences is not None and sentences.count:
        about = "about " if sentences.share < 1 else ""
        lines.append(
            f"  sentences of {SHORTEST} words or more that are copies of earlier ones: {about}{sentences.count:,} ({_share(sentences.count, found.sentences)})"
            f"{_of(sentences)}"
        )
        lines += [f"    {count:,} times: {text}" for text, count in found.repeated]
    return lines


def _of(copies: Copies) -> str:
    return f", by a sample of {copies.share:.1%}" if copies.share < 1 else ""


def _leak(leak: TextLeak) -> str:
    return f"{', '.join(_short(leak.places))} ({' and '.join(leak.where)})"


def _short(names: list[str]) -> list[str]:
    return names if len(names) <= 3 else [*names[:3], f"{len(names) - 3} more"]


def _listed(title: str, items: list[str], extra: str = "") -> list[str]:
    if not items:
        return []
    lines = [f"  {title}: {len(items):,}{f' ({extra})' if extra else ''}"] + [f"    {item}" for item in items[:SHOWN]]
    return [*lines, f"    and {len(items) - SHOWN:,} more"] if len(items) > SHOWN else lines


def _share(count: int, of: int) -> str:
    share = count / max(of, 1)
    return f"{share:.0%}" if share >= 0.01 or not count else "under 1%"


def _size(count: int) -> str:
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
